#!/bin/sh
# Line coverage of src/ after the tests ran in a coverage build. usage: tools/coverage.sh BUILD MINIMUM_PERCENT
# Files that this processor cannot run (kernels of other instruction sets) are left out, each by name.
set -eu
cd "$(dirname "$0")/.."
build=$1 minimum=$2
flags=$(grep -m1 '^flags' /proc/cpuinfo 2>/dev/null || echo)
excludes=
for file in $(find src/kernels/cpu -name '*.c'); do
  case $file in
    *avx512_bf16*|*avx512bf16*) need=avx512_bf16 ;;
    *avx512*) need=avx512f ;;
    *amx*) need=amx_bf16 ;;
    *avx2*) need=avx2 ;;
    *neon*) need=asimd ;;
    *) continue ;;
  esac
  case " $flags " in *" $need "*) ;; *) echo "left out of coverage: $file (this processor has no $need)"; excludes="$excludes $PWD/$file" ;; esac
done
# shellcheck disable=SC2086
{
  lcov --quiet --capture --directory "$build" --base-directory . --no-external --output-file "$build/all.info"
  lcov --quiet --extract "$build/all.info" "$PWD/src/*" --output-file "$build/src.info"
  [ -z "$excludes" ] || lcov --quiet --remove "$build/src.info" $excludes --output-file "$build/src.info"
} 2>"$build/lcov.log" || { cat "$build/lcov.log" >&2; exit 1; }

# Records of the trace: SF file, LH lines hit, LF lines found.
awk -F: -v root="$PWD/" -v minimum="$minimum" '
  $1 == "SF" { file = $2; sub(root, "", file) }
  $1 == "LH" { hit = $2; hits += hit }
  $1 == "LF" { found = $2; lines += found }
  $0 == "end_of_record" { printf "%6.1f %%  %5d lines  %s\n", found ? 100 * hit / found : 100, found, file | "sort -n"; hit = found = 0 }
  END {
    close("sort -n")
    printf "%6.1f %%  %5d lines  src/ (at least %s %% wanted)\n", lines ? 100 * hits / lines : 0, lines, minimum
    exit lines == 0 || 100 * hits / lines < minimum
  }' "$build/src.info"
