#!/usr/bin/env bash
# Started again by an operator, then by its own script after a crash, a run ends as if nothing had happened; a run that crashes without
# having come farther is never started again.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
run_by pmix 2

undisturbed quiet

write_script requeued -- --output-dir requeued
submit requeued
wait_for_step requeued 5
client scontrol requeue "$job" || fail "scontrol requeue"
wait_for_start "$output" 2
wait_for_checkpoint requeued 40
crash_rank requeued
wait_for_words "$output" "starting again: "
wait_for_end "$job" COMPLETED
expect_starts "$output" 3
expect_progress "$output"
expect_exit "$job" 0:0
expect_same_run requeued quiet

save_steps=1000
write_script crashing -- --output-dir crashing
submit crashing
wait_for_step crashing 5
crash_rank crashing
wait_for_end "$job" FAILED
expect_starts "$output" 1
expect_words "$output" "no progress"
