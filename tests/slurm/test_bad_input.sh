#!/usr/bin/env bash
# Mistakes that only a cluster offers, each with its line: an output directory that one node alone sees, a batch script that forgot srun,
# srun that would let ranks wait for a dead one, a container that has no MPI.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"

# /dev/shm is each node's own.
write_script private --max-restarts 3 -- --output-dir /dev/shm/private
submit private
wait_for_end "$job" FAILED
expect_exit "$job" 6:0
expect_starts "$output" 1
expect_words "$output" "rank 1 (n2): --output-dir /dev/shm/private is on n1 only"
expect_equal "ranks that say so" "$(count "$output" '^protlm: ')" 1

cat >forgotten.sbatch <<T
#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=2 --output=%x-%j.out --job-name=forgotten
"$PROTLM" ${train_line[*]} --output-dir forgotten --dry-run
T
submit forgotten
wait_for_end "$job" COMPLETED
expect_words "$output" "this job of Slurm's has 4 tasks, and this is one process of one rank; for all of them: \`srun --mpi=pmix --ntasks=4 $PROTLM train"

client srun --mpi=pmix -N 2 -n 2 "$PROTLM" "${train_line[@]}" --output-dir waits --dry-run >waits.out 2>&1 || fail "a dry run by srun"
expect_equal "lines about --kill-on-bad-exit" "$(count waits.out 'kill-on-bad-exit')" 1

command -v ch-run >/dev/null || skip "there is no ch-run for the last of them"
"$slurm_tests/container_image.sh" "$scratch/image" "$(dirname "$PROTLM")" || fail "no image"
rm "$scratch"/image/usr/lib/*/libmpi.so* "$scratch"/image/usr/lib/*/libmpich.so*
write_script nompi --container "$scratch/image" -- --output-dir nompi
submit nompi
wait_for_end "$job" FAILED
expect_words "$output" "bind the host's MPI (docs/CONTAINERS.md), or use an image with one"
