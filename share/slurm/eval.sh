#!/bin/bash
# protlm eval on 1 x 2 ranks, a batch script for Slurm, made by protlm 0.1.0:
#
#   protlm slurm --no-discover --preset cpu --nodes 1 --ranks-per-node 2 --time 2h --program protlm -- eval --model runs/cpu/final \
#      --data proteins.fasta
#
# Submit it from the directory from which its paths lead:  sbatch FILE
# Not told, so assumed:
#   --mpi=pmix for Open MPI; MPICH wants --mpi pmi2; `srun --mpi=list` shows what there is

#SBATCH --job-name=eval
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --ntasks-per-node=2
#SBATCH --mem=0
#SBATCH --time=0-02:00:00
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --no-requeue

if [ -z "${SLURM_JOB_ID:-}" ]; then
  echo "$0 is a batch script of Slurm, and this is no job of Slurm's. Try: sbatch $0" >&2
  exit 2
fi

ranks_per_node=2
nodes=${SLURM_JOB_NUM_NODES:-1}
ranks=$((nodes * ranks_per_node))
cpus_per_task=$((${SLURM_CPUS_ON_NODE:-1} / ranks_per_node)) # the whole node, shared out
[ "$cpus_per_task" -gt 0 ] || cpus_per_task=1

# srun passes neither -c nor anything else on by itself, so all of it stands here. One rank that dies ends all; the
# variable says the same where you take the option out, and to the ranks, which cannot see the option.
export SLURM_KILL_BAD_EXIT=1
launcher=(srun --kill-on-bad-exit=1 -N "$nodes" -n "$ranks" --ntasks-per-node="$ranks_per_node" -c "$cpus_per_task" --mpi=pmix)

command=(protlm eval
  --model runs/cpu/final
  --data proteins.fasta)

export SLURM_EXPORT_ENV=ALL # what is exported above reaches the ranks
"${launcher[@]}" "${command[@]}"
