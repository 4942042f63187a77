#!/usr/bin/env bash
# scancel ends a job for good, with a checkpoint of its last step; USR1 ends it for good too where the file no-requeue asks for that.
# The same script submitted again goes on.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
run_by pmi2

undisturbed quiet

write_script cancelled -- --output-dir cancelled
submit cancelled
wait_for_step cancelled 5
client scancel "$job" || fail "scancel"
wait_for_end "$job" CANCELLED
wait_for "the ranks' end" no_ranks
wait_for_words "$output" "] end, exit code 75"
expect_starts "$output" 1
expect_equal "checkpoints after scancel" "$(find cancelled -name 'checkpoint-*' | wc -l)" 1

submit cancelled
wait_for_step cancelled 25
touch cancelled/no-requeue
client scancel --batch --signal=USR1 "$job" || fail "scancel --signal"
wait_for_end "$job" FAILED
expect_exit "$job" 75:0
expect_words "$output" "no-requeue asks for an end"
expect_starts "$output" 1
rm cancelled/no-requeue

submit cancelled
wait_for_end "$job" COMPLETED
expect_exit "$job" 0:0
expect_same_run cancelled quiet
