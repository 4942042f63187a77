#!/bin/sh
# The tables of docs/SCALING.md, by `protlm bench scaling`. usage: tools/generate_scaling.sh [--check] PROTLM ROOT
set -eu
check=
[ "${1:-}" != --check ] || { check=1; shift; }
protlm=$1 document=$2/docs/SCALING.md
made=$(mktemp)
trap 'rm -f "$made"' EXIT
{
  sed '/<!-- tables -->/q' "$document"
  for case in 'esm2_t33_650M h100' 'esm2_t33_650M a100' 'esm2_t33_650M setonix' 'esm2_t36_3B h100' 'esm2_t36_3B a100' 'esm2_t36_3B setonix'; do
    printf '\n'
    NO_COLOR=1 "$protlm" bench scaling --model "${case% *}" --machine "${case#* }" </dev/null
  done
  printf '\n'
  sed -n '/<!-- end of tables -->/,$p' "$document"
} >"$made"
if [ -n "$check" ]; then
  cmp -s "$made" "$document" || { diff "$document" "$made"; echo "docs/SCALING.md is not what bench scaling says: run tools/generate_scaling.sh build/protlm ." >&2; exit 1; }
else
  cp "$made" "$document"
fi
