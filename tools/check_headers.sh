#!/bin/sh
# Every header compiles by itself, and every external symbol of the library starts with plm_. usage: tools/check_headers.sh BUILD
set -u
cd "$(dirname "$0")/.."
build=${1:-build} bad=0
for header in include/protlm/*.h $(find src -name '*.h'); do
  case $header in src/kernels/cpu/*) continue ;; esac # chapters of one source, compiled per instruction set
  printf '#include "%s"\nint translation_unit_is_not_empty;\n' "${header#*/}" |
    ${CC:-cc} -std=c17 -Iinclude -Isrc -DPLM_HAVE_HDF5=0 -DPLM_HAVE_ONEDNN=0 -DPLM_HAVE_OPENMP=0 -fsyntax-only -x c - ||
    { echo "$header does not stand by itself"; bad=1; }
done
foreign=$(nm -g --defined-only "$build/src/libprotlm.a" 2>/dev/null | awk 'NF==3 && $3 !~ /^plm_/ && $3 !~ /^__(asan|ubsan|tsan|odr|gcov)/ && $3 !~ /^_GLOBAL_/ {print $3}' | sort -u)
[ -z "$foreign" ] || { echo "external names without plm_: $foreign"; bad=1; }
exit $bad
