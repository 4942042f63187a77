#!/bin/sh
# Whole runs of the program on several ranks of a real MPI: what differs on a rank is named before the first step, a signal to one rank stops
# all, and the run goes on with another number of ranks; two jobs in one directory; the same bytes as the run before, undisturbed.
# Skips (77) where the make is not here. usage: mpi_runs.sh openmpi|mpich PROTLM
set -u
make=$1 protlm=$2
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
cp "$here/proteins.fasta" "$out/train.0.fasta"
cp "$here/proteins.fasta" "$out/train.1.fasta"

# Every rank runs this: rank 1 with what ODD says, and with its own training file.
cat >"$out/rank.sh" <<'RANK'
#!/bin/sh
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}
[ "$rank" = 1 ] || ODD=
train=$DATA.$rank.fasta
[ -f "$train" ] || train=$DATA.0.fasta
echo "$$" >"$DATA.pid.$rank"
# shellcheck disable=SC2086
exec "$PROTLM" train "$@" --train "$train" $ODD
RANK
chmod +x "$out/rank.sh"
ln -s "$(dirname "$protlm")/protlm_mpi_$make.so" "$out/protlm_mpi_$make.so" # where mpi_ranks.sh looks for it
export PROTLM="$protlm" DATA="$out/train" ODD=

run() { # NAME RANKS arguments...
  name=$1 ranks=$2
  shift 2
  MPI_TEST_SECONDS=100 "$here/mpi_ranks.sh" "$make" "$ranks" "$out/rank.sh" --model esm2_t6_8M --num-hidden-layers 2 --hidden-size 32 \
    --num-attention-heads 4 --max-length 256 --batch-tokens 512 --micro-batch-tokens 300 --learning-rate 2e-3 --logging-steps 1 \
    --threads 1 --dtype fp32 --cache-dir "$out/cache" "$@" >"$out/$name.out" 2>"$out/$name.err"
  code=$?
  [ $code -ne 77 ] || { cat "$out/$name.out"; exit 77; }
}
fail() { echo "FAILED: $1"; tail -n 30 "$out/$name.out" "$out/$name.err"; exit 1; }
expect() { [ "$code" -eq "$1" ] || fail "$name: ended with $code, not $1"; }
says() { grep -q "$1" "$out/$name.err" || fail "$name: does not say: $1"; }
never_steps() { ! grep -q '^step 1/' "$out/$name.err" || fail "$name: a step was done"; }
same() { cmp -s "$out/$1/$3" "$out/$2/$3" || fail "$1 and $2 differ in $3"; }
member() { sed -n "s/^ *\"$1\": *\\([^,]*\\),*\$/\\1/p" "$out/$2/stopped"; }

# what differs is named before the first step
ODD="--seed 7" run seed 2 --max-steps 5 --output-dir "$out/seed"
expect 2; says 'rank 1 (.*) has other --seed than rank 0'; never_steps
ODD="--num-hidden-layers 3" run twice 2 --max-steps 5 --output-dir "$out/twice"
[ "$code" -ne 0 ] || fail "an option given twice on rank 1 was taken"
never_steps
head -n 31 "$here/proteins.fasta" >"$out/train.1.fasta"
run cut 2 --max-steps 5 --output-dir "$out/cut"
expect 2; says 'rank 1 (.*) has other training sequences than rank 0'; never_steps
printf '>a\nMK?\n' >"$out/train.1.fasta"
run bad 2 --max-steps 5 --output-dir "$out/bad"
expect 3; says 'rank 1 (.*train.1.fasta'; never_steps
rm "$out/train.1.fasta"

# undisturbed; and stopped by a signal to one rank, then continued: the same bytes
run whole 3 --max-steps 300 --save-steps 1000 --eval "$here/proteins.fasta" --eval-steps 100 --output-dir "$out/whole"
expect 0
[ ! -e "$out/whole/stopped" ] || fail "a finished run left the file 'stopped'"
signal_rank() { # SIGNAL RANK DIRECTORY: once some steps are done
  i=0
  until grep -q '"step":6,' "$out/$3/log.jsonl" 2>/dev/null || [ $i -ge 600 ]; do sleep 0.05; i=$((i + 1)); done
  kill -s "$1" "$(cat "$DATA.pid.$2")"
}
for case in "TERM 1" "USR1 2" "INT 0"; do
  # shellcheck disable=SC2086
  set -- $case
  rm -rf "$out/part"
  signal_rank "$1" "$2" part &
  waiter=$!
  run part 3 --max-steps 300 --save-steps 1000 --eval "$here/proteins.fasta" --eval-steps 100 --output-dir "$out/part"
  wait $waiter
  [ "$make" = mpich ] || expect 75
  [ "$(member code part)" = 75 ] || fail "stopped says another code than 75"
  [ "$(member requeue part)" = true ] || fail "stopped says that it is not worth starting again"
  run again 3 --max-steps 300 --save-steps 1000 --eval "$here/proteins.fasta" --eval-steps 100 --output-dir "$out/part"
  expect 0; says "the last start stopped: SIG$1"
  same whole part final/model.safetensors
  same whole part checkpoint-300/optimizer.safetensors
  [ "$(grep -c '"loss"' "$out/part/log.jsonl")" -eq 300 ] || fail "not every step is logged once"
done

# another number of ranks
run three 3 --max-steps 10 --output-dir "$out/elastic"
expect 0
run two 2 --max-steps 20 --allow-change max-steps --output-dir "$out/elastic"
expect 0; says 'bits may differ from a run that was not interrupted: 3 ranks'
run one 1 --max-steps 30 --allow-change max-steps --output-dir "$out/elastic"
expect 0; says 'interrupted: 2 ranks'

# two jobs in one directory: the second is refused on all ranks
exec 9>"$out/elastic/run.lock"
flock 9
run second 2 --max-steps 40 --allow-change max-steps --output-dir "$out/elastic"
expect 2; says 'is in use by another run'
exec 9>&-

# one of three ranks fails in each stage, each rank in its turn: all end with its code, the launcher too
rank=0
for stage in options directory state model machine plan data load description preflight batch log save final; do
  PROTLM_TEST_FAIL="$rank:$stage" run "fail-$stage" 3 --max-steps 2 --output-dir "$out/fail-$stage"
  expect 1; says "rank $rank (.*a test has this rank fail"
  rank=$(((rank + 1) % 3))
done
echo "runs by $make"
