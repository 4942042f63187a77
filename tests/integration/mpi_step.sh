#!/bin/sh
# Training by several ranks of a real MPI: the same losses on 1, 2, 3 and 4 ranks; with --zero 1 the same bytes, in fp32 and bf16, on both
# wires; and a flipped bit is found, with its rank named. Skips (77) where the make is not here.
# usage: mpi_step.sh openmpi|mpich PROGRAM
set -u
make=$1 program=$2
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

run() { # NAME RANKS arguments of mpi_step...
  name=$1
  shift
  MPI_TEST_SECONDS=120 "$here/mpi_ranks.sh" "$make" "$1" "$program" "$@" >"$out/$name" 2>"$out/$name.err"
  code=$?
  [ $code -eq 77 ] && { cat "$out/$name"; exit 77; }
  return $code
}
fail() { echo "FAILED: $1"; shift; for file; do echo "== $file"; cat "$file"; done; exit 1; }
must() { run "$@" || fail "$*: ended with $code" "$out/$1" "$out/$1.err"; }

for ranks in 1 2 3 4; do
  must "n$ranks" "$ranks" fp32 0 fp32 8
  grep -c '^loss' "$out/n$ranks" | grep -qx 8 || fail "no eight losses on $ranks ranks" "$out/n$ranks"
  paste "$out/n1" "$out/n$ranks" | awk '/^loss/ { d = $6 / $3 - 1; if (d > 1e-5 || d < -1e-5) { print; bad = 1 } } END { exit bad }' ||
    fail "other losses on $ranks ranks than on 1" "$out/n1" "$out/n$ranks"
done

for ranks in 2 3; do
  for dtype in fp32 bf16; do
    for wire in fp32 bf16; do
      must plain "$ranks" $dtype 0 $wire 5
      must zero "$ranks" $dtype 1 $wire 5
      cmp -s "$out/plain" "$out/zero" || fail "$ranks ranks, $dtype, gradients in $wire: --zero 1 changes bits" "$out/plain" "$out/zero"
    done
  done
done

run flip 3 fp32 0 fp32 5 flip && fail "a flipped bit was not found" "$out/flip"
[ "$make" = mpich ] || [ $code -eq 70 ] || fail "a flipped bit ended with $code, not 70" "$out/flip.err"
grep -q 'the parameters of rank 2 (' "$out/flip.err" || fail "the rank with the flipped bit is not named" "$out/flip.err"
echo "1 to 4 ranks of $make"
