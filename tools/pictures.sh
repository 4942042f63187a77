#!/bin/sh
# Screenshots of a run's report page at the width of a desk and of a telephone, light and dark, into build/pictures/.
#
#   tools/pictures.sh [RUN]      RUN: a run directory (default: the demo's). Needs chromium.
set -eu

run=${1:-demo/run}
program=${PROTLM:-build/protlm}
pictures=${PICTURES:-build/pictures}

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
  echo "pictures: no chromium found; on Debian and Ubuntu: apt-get install chromium" >&2
  exit 1
fi
if [ ! -d "$run" ]; then
  echo "pictures: no run at $run; 'make demo' makes one, or give a run directory: make pictures RUN=my-run" >&2
  exit 2
fi

[ -x "$program" ] && "$program" report "$run" >/dev/null
page=$(cd "$run" && pwd)/report.html
mkdir -p "$pictures"
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

take() { # name width height scheme (0 dark, 1 light)
  "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$profile" --window-size="$2,$3" \
    --blink-settings=preferredColorScheme="$4" --screenshot="$pictures/$1.png" "file://$page" >/dev/null 2>&1
  echo "$pictures/$1.png"
}

take report-1280 1280 3100 1
take report-1280-dark 1280 3100 0
take report-390 390 5000 1
