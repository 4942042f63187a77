#!/bin/sh
# A run goes on with another number of ranks, threads, micro-batch and --zero at each of four starts (4, 2, 1, 3 ranks): the same batches as on
# one rank to the end, losses that differ by rounding, and at each start a line for each thing that changes the bits. And a batch that was
# given in sequences a rank stays what it was in all. Skips (77) where the make is not here. usage: mpi_elastic.sh openmpi|mpich PROTLM
set -u
make=$1 protlm=$2
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

run() { # NAME RANKS DIRECTORY arguments...
  name=$1 ranks=$2 directory=$3
  shift 3
  code=0
  MPI_TEST_SECONDS=100 "$here/mpi_ranks.sh" "$make" "$ranks" "$protlm" train --model esm2_t6_8M --num-hidden-layers 2 --hidden-size 32 \
    --num-attention-heads 4 --train "$here/proteins.fasta" --max-length 150 --learning-rate 2e-3 --lr-scheduler-type constant --warmup-steps 0 \
    --logging-steps 1 --dtype fp32 --cache-dir "$out/cache" --allow-change max-steps --output-dir "$out/$directory" "$@" \
    >"$out/$name.out" 2>"$out/$name.err" || code=$?
  [ $code -ne 77 ] || { cat "$out/$name.out"; exit 77; }
  [ $code -eq 0 ] || fail "ended with $code"
}
fail() { echo "FAILED: $name: $1"; tail -n 20 "$out/$name.err"; exit 1; }
says_once() { # THEN NOW: what changes the bits, in one line
  [ "$(grep -c 'bits may differ' "$out/$name.err")" = 1 ] && grep -q "bits may differ.*: $1 then; $2 now" "$out/$name.err" || fail "not said once: $1 then; $2 now"
}
# step, tokens, residues; and, apart, the losses
batches() { sed -n 's/.*"step":\([0-9]*\),.*"loss":.*"tokens":\([0-9]*\),"residues":\([0-9]*\),.*/\1 \2 \3/p' "$out/$1/log.jsonl"; }
losses() { sed -n 's/.*"step":[0-9]*,.*"loss":\([^,]*\),"grad_norm".*/\1/p' "$out/$1/log.jsonl"; }
same_batches() { # ONE OTHER STEPS
  batches "$1" >"$out/one"
  batches "$2" >"$out/other"
  [ "$(wc -l <"$out/one")" = "$3" ] || fail "$1: not $3 steps"
  diff "$out/one" "$out/other" || fail "other batches"
}

tokens='--batch-tokens 800'
# shellcheck disable=SC2086
{
  run whole 1 whole $tokens --micro-batch-tokens 800 --threads 1 --zero 0 --max-steps 20
  run four 4 parts $tokens --micro-batch-tokens 300 --threads 1 --zero 1 --max-steps 5
  run two 2 parts $tokens --micro-batch-tokens 400 --threads 2 --zero 0 --max-steps 10
  says_once '4 ranks, 1 thread of [A-Za-z]*, micro-batches of 300 tokens' '2 ranks, 2 threads of [A-Za-z]*, micro-batches of 400 tokens'
  run one 1 parts $tokens --micro-batch-tokens 800 --threads 2 --zero 0 --max-steps 15
  says_once '2 ranks, micro-batches of 400 tokens' '1 rank, micro-batches of 800 tokens'
  run three 3 parts $tokens --micro-batch-tokens 200 --threads 1 --zero 1 --max-steps 20
  says_once '1 rank, 2 threads of [A-Za-z]*, micro-batches of 800 tokens' '3 ranks, 1 thread of [A-Za-z]*, micro-batches of 200 tokens'
}
same_batches whole parts 20
losses whole >"$out/one"
losses parts >"$out/other"
paste "$out/one" "$out/other" | awk '{ d = $2 / $1 - 1; if (d > 1e-4 || d < -1e-4) { print "step " NR ": " $0; bad = 1 } } END { exit bad }' || fail "other losses"

# 2 ranks of 3 sequences: 6 in all, on 3 ranks and on one too
run each 2 sequences --per-device-train-batch-size 3 --threads 1 --max-steps 4
run each_goes_on 3 sequences --per-device-train-batch-size 3 --threads 1 --max-steps 8
run each_whole 2 sequences_whole --per-device-train-batch-size 3 --threads 1 --max-steps 8
same_batches sequences_whole sequences 8
echo "elastic under $make"
