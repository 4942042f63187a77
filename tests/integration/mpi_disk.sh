#!/bin/sh
# The disk of rank 0 fills up, in a save, in the log, in what is written at the end: all ranks end with 6, nothing half-written is
# left, and with room again the run goes on to the bytes of one that was never disturbed.
# On a small file system that only these processes see, which takes root: skips (77) without it, or where the make is not here.
# usage: mpi_disk.sh openmpi|mpich PROTLM
# shellcheck disable=SC2086
set -u
make=$1 protlm=$2
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${DISK_IS_OURS:-}" ]; then
  unshare -m true 2>/dev/null || { echo "skipped: no file system can be mounted here"; exit 77; }
  DISK_IS_OURS=1 exec unshare -m "$0" "$@"
fi
out=$(mktemp -d) || exit 1
trap 'umount "$out/small" 2>/dev/null; rm -rf "$out"' EXIT
mkdir "$out/small"
mount -t tmpfs -o size=64m none "$out/small" || { echo "skipped: no file system can be mounted here"; exit 77; }

run() { # NAME arguments...
  name=$1
  shift
  code=0
  MPI_TEST_SECONDS=100 "$here/mpi_ranks.sh" "$make" 3 "$protlm" train --model esm2_t6_8M --num-hidden-layers 2 --hidden-size 32 \
    --num-attention-heads 4 --train "$here/proteins.fasta" --max-length 256 --batch-tokens 512 --micro-batch-tokens 512 --threads 1 --dtype fp32 \
    --cache-dir "$out/cache" --logging-steps 1 "$@" >"$out/$name.out" 2>"$out/$name.err" || code=$?
  [ $code -ne 77 ] || { cat "$out/$name.out"; exit 77; }
}
fail() { echo "FAILED: $name: $1"; tail -n 20 "$out/$name.err"; find "$out/small" -size +0 -ls | head -n 40; exit 1; }
ends() { [ $code -eq "$1" ] || fail "ended with $code, not $1"; }
resize() { mount -o "remount,size=$1" "$out/small" || fail "the file system cannot be resized"; }
nothing_half_written() {
  [ -z "$(find "$out/small" -name 'tmp-*' ! -name 'tmp-seen-*')" ] || fail "something half-written was left"
  for kept in "$out"/small/run/checkpoint-*; do
    [ ! -d "$kept" ] || [ -f "$kept/MANIFEST.json" ] || fail "$kept is no whole checkpoint"
  done
}
goes_on() { # to the bytes of the run that had room
  resize 64m
  rm -f "$out/small/ballast"
  run again $steps --output-dir "$out/small/run"
  ends 0
  cmp "$out/small/run/final/model.safetensors" "$out/whole/final/model.safetensors" || fail "other weights than without the fault"
  rm -rf "$out/small/run"
}

steps='--max-steps 12 --save-steps 4 --save-total-limit 9'
run whole $steps --output-dir "$out/whole"
ends 0
one=$(du -sk "$out/whole/checkpoint-4" | cut -f 1)

# save: room for one checkpoint and a half
resize "$((one * 3 / 2 + 40))k"
run save $steps --output-dir "$out/small/run"
ends 6
grep -q 'No space left on device' "$out/save.err" || fail "the reason is not said"
nothing_half_written
goes_on

# final: room for the checkpoints alone
all=$(du -sk "$out/whole/checkpoint-4" "$out/whole/checkpoint-8" "$out/whole/checkpoint-12" | awk '{ sum += $1 } END { print sum }')
resize "$((all + one / 3))k"
run final $steps --output-dir "$out/small/run"
ends 6
nothing_half_written
[ ! -d "$out/small/run/final" ] || [ -f "$out/small/run/final/model.safetensors" ] || fail "half a final/ was left"
goes_on

# log: full from some step on, with nothing to save before the end
steps='--max-steps 400 --save-steps 1000 --save-total-limit 9'
rm -rf "$out/whole"
run whole $steps --output-dir "$out/whole"
ends 0
resize 4m
fill() {
  i=0
  until grep -q '"step":5,' "$out/small/run/log.jsonl" 2>/dev/null || [ $i -ge 600 ]; do sleep 0.02; i=$((i + 1)); done
  dd if=/dev/zero of="$out/small/ballast" bs=4k 2>/dev/null
}
fill &
filler=$!

run log $steps --output-dir "$out/small/run"
wait $filler
ends 6
grep -q 'No space left on device' "$out/log.err" || fail "the reason is not said"
nothing_half_written
goes_on
echo "a full disk under $make"
