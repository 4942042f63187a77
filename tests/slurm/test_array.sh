#!/usr/bin/env bash
# Two runs in an array, each with a seed and a directory of its own. One crashes and is started again, and only that one: in an array one
# task's number is the array's, by which all would be.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
run_by mpirun

for task in 0 1; do undisturbed quiet-$task --seed $task; done

write_script array --array 0-1 -- --output-dir array-%a --seed %a
submit array
wait_for_checkpoint array-1 20
crash_rank array-1
for task in 0 1; do wait_for_end "${job}_$task" COMPLETED; done
expect_starts "array-${job}_0.out" 1
expect_starts "array-${job}_1.out" 2
expect_progress "array-${job}_1.out"
for task in 0 1; do expect_same_run array-$task quiet-$task; done
