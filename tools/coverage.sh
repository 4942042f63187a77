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
  case " $flags " in *" $need "*) ;; *) echo "left out of coverage: $file (this processor has no $need)"; excludes="$excludes --exclude $file" ;; esac
done
# shellcheck disable=SC2086
gcovr --root . --filter 'src/' $excludes --gcov-ignore-parse-errors --object-directory "$build" --txt --fail-under-line "$minimum" "$build"
