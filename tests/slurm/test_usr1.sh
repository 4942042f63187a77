#!/usr/bin/env bash
# Slurm's signal ahead of the time limit: the run saves, ends with 75, and the job starts again and finishes. The limit is a minute, Slurm's
# shortest, and the signal comes 15 to 30 s after the start; until it does the ranks are held, so that no machine is too fast for it.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
run_by mpirun

undisturbed quiet

time_limit=1m ahead=30s
write_script ahead -- --output-dir ahead
submit ahead
wait_for_step ahead 5
signal_ranks STOP
wait_for_words "$output" "USR1: asked the run to save and stop"
signal_ranks CONT
wait_for_words "$output" "starting again: "
wait_for_end "$job" COMPLETED
expect_exit "$job" 0:0
expect_progress "$output"
expect_same_run ahead quiet
[ "$(starts "$output")" -ge 2 ] || fail "it has not started again"
