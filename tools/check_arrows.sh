#!/bin/sh
# The arrows between rooms point one way (docs/architecture.md). Fails naming each include that goes against them, each direct allocation
# outside base/alloc.c, each write to the file system outside the file layer, and each print or exit outside src/cli.
set -u
cd "$(dirname "$0")/.."
bad=0
complain() { echo "$1"; bad=1; }

allowed() { # rooms that room $1 may include
  case $1 in
    base) echo base ;;
    data) echo base data ;;
    kernels) echo base kernels ;;
    model) echo base kernels model ;;
    io) echo base data kernels model io ;; # data: the alphabet, for tokenizer files
    dist) echo base kernels dist ;;
    train) echo base data kernels model io dist train ;;
    app) echo base data kernels model io dist train app ;;
    cli) echo cli ;;
  esac
}

for room in base data kernels model io dist train app cli; do
  [ -d "src/$room" ] || continue
  for file in $(find "src/$room" -name '*.[ch]' -o -name '*.inc'); do
    for used in $(sed -nE 's/^ *# *include "([a-z_]+)\/.*/\1/p' "$file" | sort -u); do
      case $used in protlm) continue ;; esac
      case " $(allowed "$room") " in *" $used "*) ;; *) complain "$file: room '$room' must not include '$used/'" ;; esac
    done
  done
done

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
hits=$(find_words '(^|[^a-z_])(printf|puts|putchar|perror|exit|abort) *\(|fprintf *\((stdout|stderr)' $(others 'src/cli/*'))
[ -z "$hits" ] || complain "printing or exiting outside src/cli:
$hits"
exit $bad
