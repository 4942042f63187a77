#!/usr/bin/env bash
# Nodes lose power in the middle of a step, one after the other: one that ran ranks, and the one that ran the batch script; this one once
# more, and it comes back with what Slurm had on its disk, over which the first launch then trips. Slurm starts the job again when they are
# back, and the run ends as if nothing had happened.
STEPS=300
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"

undisturbed quiet

is_not_running() { ! is_in_state "$job" RUNNING; }
lose_node() { # NODE
  "$slurm_tests/node.sh" crash "$1"
  client scontrol update nodename="$1" state=down reason="no power" || fail "scontrol update"
  note "$1 lost power"
}
restore_node() { # NODE [start|restart]
  "$slurm_tests/node.sh" "${2:-start}" "$1"
  client scontrol update nodename="$1" state=resume 2>/dev/null # it may have come back by itself
  note "$1 is back"
}

write_script lost -- --output-dir lost
submit lost
wait_for_checkpoint lost 20
batch_node=$(job_field "$job" BatchHost)
begun=1
lose_and_restore() { # NODE start|restart
  signal_ranks STOP
  logged=$(steps_logged lost)
  lose_node "$1"
  wait_for "job $job is not running" is_not_running
  restore_node "$@"
  begun=$((begun + 1))
  wait_for_start "$output" $begun
}

others=$(client scontrol show hostnames "$(job_field "$job" NodeList)" | grep -vxF "$batch_node")
for node in $others $batch_node; do
  lose_and_restore "$node" start
  wait_for_step lost $((logged + 5)) # of the new start: the old one had fewer
done
lose_and_restore "$batch_node" restart
wait_for_words "$output" "launching once more"
wait_for_end "$job" COMPLETED
expect_exit "$job" 0:0
expect_starts "$output" $begun
expect_same_run lost quiet
