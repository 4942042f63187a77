#!/usr/bin/env bash
# A job that asks for two GPUs a node is given them: each rank sees both, and device = local rank is its own business. The GPUs are fake, and
# the run computes on CPUs: what a crash and a new start do to the job's GPUs is looked at, not what is computed on them.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh" --gpus 2
run_by pmi2 2

undisturbed quiet

expect_gpus() { # each rank of the held run
  local pid
  for pid in $(ranks_alive); do
    for name in CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES GPU_DEVICE_ORDINAL; do
      expect_equal "$name of rank with process $pid" "$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n "s/^$name=//p")" 0,1
    done
  done
}

kind=(--gpus-per-node 2)
write_script gpus -- --output-dir gpus
submit gpus
wait_for_checkpoint gpus 20
signal_ranks STOP
expect_equal "GPUs of the job, a node" "$(job_field "$job" TresPerNode)" gres:gpu:2
expect_gpus
crash_rank gpus
wait_for_start "$output" 2
wait_for_checkpoint gpus 40
signal_ranks STOP
expect_gpus
signal_ranks CONT
wait_for_end "$job" COMPLETED
expect_starts "$output" 2
expect_progress "$output"
expect_same_run gpus quiet
