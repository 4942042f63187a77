#!/usr/bin/env bash
# Signals to srun itself, and a rank that is killed: what docs/SLURM.md says becomes of the run. Whatever it is, no rank is left, and the same
# command goes on.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"

launch() { # MAX-STEPS: in the background, as $launched; its output is in $run.err
  srun --mpi=pmix -N 2 --ntasks-per-node 1 --cpus-per-task 1 --kill-on-bad-exit=1 "$PROTLM" "${train_line[@]:0:${#train_line[@]}-2}" --warmup-steps 2 --timeout 10s \
    --save-steps 1M --allow-change max-steps --output-dir "$run" --max-steps "$1" >"$run.out" 2>"$run.err" &
  launched=$!
}
begin() { # NAME
  run=$1
  launch 100000
  wait_for_step "$run" 5
}
has_left() { ! kill -0 "$launched" 2>/dev/null; }
finish() { # sets code
  wait_for "the end of srun" has_left
  wait "$launched"
  code=$?
  wait_for "the ranks' end" no_ranks
}
newest() { find "$run" -maxdepth 1 -name 'checkpoint-*' | sed 's/.*-//' | sort -n | tail -n 1; }
has_saved() { [ -n "$(newest)" ]; }
member() { sed -n "s/^ *\"$1\": *\\(.*[^,]\\),*\$/\\1/p" "$run/stopped" 2>/dev/null; }
goes_on() { # [WORDS]
  local from
  from=$(newest)
  launch $((${from:-0} + 3))
  finish
  expect_equal "exit code of the next start of $run" $code 0
  [ -z "${1:-}" ] || expect_words "$run.err" "the last start stopped: $1"
  expect_equal "its first step" "$(sed -n 's/^step \([0-9]*\)\/.*/\1/p' "$run.err" | head -n 1)" $((${from:-0} + 1))
}

begin usr1
kill -s USR1 "$launched"
finish
expect_equal "USR1 to srun: exit code" $code 75
expect_equal "stopped" "$(member code) $(member words)" '75 "SIGUSR1"'
goes_on SIGUSR1

begin usr2
kill -s USR2 "$launched"
wait_for "a save" has_saved
wait_for_step usr2 $(($(newest) + 5))
note "USR2 to srun: saved, and went on"
kill -s USR1 "$launched"
finish
expect_equal "USR1 to srun: exit code" $code 75
goes_on SIGUSR1

# once: it tells the state of the ranks, and goes on; a shell without job control has srun ignore it
begin int
kill -s INT "$launched"
wait_for_step int $(($(tail -n 1 int/log.jsonl | sed 's/.*"step":\([0-9]*\),.*/\1/') + 20))
note "INT to srun, once: goes on"
kill -s TERM "$launched"
finish
note "TERM to srun: exit code $code, stopped says: $(member code) $(member words), newest checkpoint: $(newest)"
[ $code != 0 ] || fail "TERM to srun: exit code 0"
goes_on "$(member words | tr -d '"')"

begin kill
crash_rank "$run"
finish
note "KILL to a rank of srun: exit code $code, stopped says: $(member code) $(member words), newest checkpoint: $(newest)"
[ $code != 0 ] || fail "KILL to a rank: exit code 0"
goes_on
