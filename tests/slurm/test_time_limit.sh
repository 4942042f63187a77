#!/usr/bin/env bash
# The time limit itself. A run that hangs until then (its ranks are held) is woken and told to end by Slurm, saves within Slurm's
# KillWait, and goes on in a new start.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"

undisturbed quiet

time_limit=1m ahead=10s
write_script limit -- --output-dir limit
submit limit
wait_for_step limit 5
signal_ranks STOP
wait_for_words "$output" "TERM from Slurm"
wait_for_words "$output" "starting again: "
wait_for_end "$job" COMPLETED
expect_exit "$job" 0:0
expect_starts "$output" 2
expect_progress "$output"
expect_same_run limit quiet
