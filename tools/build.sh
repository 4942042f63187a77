#!/bin/sh
# Configure and build one preset. usage: tools/build.sh release|debug|asan|tsan [directory] [extra cmake arguments...]
set -eu
cd "$(dirname "$0")/.."
preset=${1:-release}
directory=${2:-build}
shift; [ $# -eq 0 ] || shift
if [ ! -f "$directory/CMakeCache.txt" ]; then
  generator=
  command -v ninja >/dev/null 2>&1 && generator="-G Ninja"
  # shellcheck disable=SC2086
  cmake --preset "$preset" -B "$directory" $generator "$@" >"/tmp/protlm-configure.$$" 2>&1 || {
    cat "/tmp/protlm-configure.$$"; rm -f "/tmp/protlm-configure.$$"
    echo "protlm could not be configured: see above. Missing libraries? Run: make deps" >&2
    exit 1
  }
  grep '^-- protlm:' "/tmp/protlm-configure.$$" || :
  rm -f "/tmp/protlm-configure.$$"
fi
cmake --build "$directory" --parallel "${JOBS:-$(nproc 2>/dev/null || echo 2)}" -- ${VERBOSE:+-v} | grep -v 'Re-checking globbed' || exit 1
# the pipe hides the build's status: ask again, which costs nothing when all is built
cmake --build "$directory" >/dev/null
