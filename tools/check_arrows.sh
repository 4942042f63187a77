#!/bin/sh
# The arrows between rooms point one way (docs/architecture.md). Fails naming each include that goes against them (public headers too),
# each direct allocation outside base/alloc.c, each write to the file system outside the file layer, and each print or exit outside src/cli.
set -u
cd "$(dirname "$0")/.."
bad=0
complain() { echo "$1"; bad=1; }

allowed() { # what a file of room $1 may include, besides protlm/status.h and log.h: rooms, single headers, public headers
  case $1 in
    base) echo base ;;
    options) echo base options protlm/options.h ;;
    data) echo base data protlm/batch.h ;;
    formats) echo base formats ;;
    runlog) echo base runlog ;;
    report) echo base runlog report checkpoint ;; # checkpoint: the list of them, for the page
    kernels) echo base kernels ;;
    dist) echo base kernels dist protlm/batch.h ;;
    model) echo base kernels data/alphabet.h model protlm/batch.h ;;
    hub) echo base data/alphabet.h formats kernels/bf16.h model hub ;;
    checkpoint) echo base formats checkpoint ;;
    train) echo base options data formats kernels model hub checkpoint runlog report dist train protlm ;;
    app) echo base options data formats kernels model hub checkpoint runlog report dist train app protlm ;;
    cli) echo base/text.h base/clock.h base/lost_file.h base/json.h base/hash.h dist/comm.h dist/agree.h dist/launch.h options app cli protlm ;;
    public) echo protlm ;;
  esac
}

# Arrows that are never to be, whatever the table above is made to say. FROM TO, each a prefix of a path under src/ or include/; core/ is
# what lies in kernels/ itself.
forbidden='
report/ model/
runlog/ model/
formats/ model/
model/ options/
model/ protlm/options.h
data/ options/
data/ protlm/options.h
dist/ train/
core/ kernels/cpu/'

includes() { sed -nE 's/^ *# *include "([a-z_0-9\/]+\.(h|inc))".*/\1/p' "$1" | sort -u; }

check_file() { # file, room, path as it is included
  for used in $(includes "$1"); do
    case $used in protlm/status.h | protlm/log.h) continue ;; esac
    found=no
    for place in $(allowed "$2"); do case $used in "$place" | "$place"/*) found=yes ;; esac; done
    [ $found = yes ] || complain "$1: room '$2' must not include '$used'"
    case $3 in kernels/*/*) name=$3 ;; kernels/*) name=core/${3#kernels/} ;; *) name=$3 ;; esac
    printf '%s\n' "$forbidden" | while read -r from to; do
      [ -n "$from" ] || continue
      case $name in "$from"*) case $used in "$to"*) echo "$1: '$from' never includes '$to', but here is '$used'" ;; esac ;; esac
    done
  done
}

for room in base options data formats runlog report kernels dist model hub checkpoint train app cli; do
  for file in $(find "src/$room" -name '*.[ch]' -o -name '*.inc'); do check_file "$file" "$room" "${file#src/}"; done
done >"/tmp/protlm-arrows.$$"
for file in include/protlm/*.h; do check_file "$file" public "${file#include/}"; done >>"/tmp/protlm-arrows.$$"
[ -s "/tmp/protlm-arrows.$$" ] && { cat "/tmp/protlm-arrows.$$"; bad=1; }
rm -f "/tmp/protlm-arrows.$$"

find_words() { # pattern, then files
  pattern=$1; shift
  for file in "$@"; do sed -E 's/"([^"\\]|\\.)*"/""/g' "$file" | grep -nE "$pattern" | grep -vE '^[0-9]+: *(/?\*|//)' | sed "s|^|$file:|"; done
}
sources=$(find src -name '*.[ch]' -o -name '*.inc')
others() { for file in $sources; do case $file in $1) ;; *) echo "$file" ;; esac; done; }

hits=$(find_words '(^|[^a-z_>.])(malloc|calloc|realloc|aligned_alloc|strdup|asprintf|free) *\(' $(others 'src/base/alloc.c'))
[ -z "$hits" ] || complain "allocation outside src/base/alloc.c:
$hits"
hits=$(find_words '(^|[^a-z_>.])(freopen|creat|mkstemp|rename|unlink|mkdir|rmdir|fsync|ftruncate|symlink) *\(' $(others 'src/base/file*.c'))
hits=$hits$(grep -nE '(^|[^a-z_>.])fopen *\([^;]*"[wa]|"r\+' $(others 'src/base/file*.c') /dev/null)
[ -z "$hits" ] || complain "file system outside the file layer:
$hits"
hits=$(find_words '(^|[^a-z_>.])(printf|puts|putchar|perror|exit|abort) *\(|fprintf *\((stdout|stderr)' $(others 'src/cli/*'))
[ -z "$hits" ] || complain "printing or exiting outside src/cli:
$hits"
exit $bad
