#!/usr/bin/env bash
# The cluster itself: every launcher and make of MPI that the program promises to run under connects two ranks on each of two nodes.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"

for make in openmpi mpich; do
  "mpicc.$make" -O2 -o "hello.$make" "$slurm_tests/hello.c" || fail "mpicc.$make does not compile hello.c"
done
for rank in 0 1 2 3; do echo "rank $rank of 4, local rank $((rank % 2)) on n$((rank / 2 + 1)), sum 6"; done >wanted

says_hello() { # NAME COMMAND...
  local name=$1
  shift
  client "$@" >"$name.out" 2>"$name.err" || { cat "$name.err"; fail "$name ends with $?"; }
  diff wanted "$name.out" || fail "$name: other ranks than expected (see the difference above)"
  note "$name: 4 ranks on 2 nodes"
}

# mpirun and mpiexec take the nodes of the job they are called in.
says_hello srun-pmix srun --mpi=pmix -N 2 --ntasks-per-node 2 ./hello.openmpi
says_hello srun-pmi2 srun --mpi=pmi2 -N 2 --ntasks-per-node 2 ./hello.mpich
says_hello mpirun salloc -Q -N 2 --ntasks-per-node 2 mpirun.openmpi --bind-to none ./hello.openmpi
says_hello mpiexec salloc -Q -N 2 --ntasks-per-node 2 mpiexec.mpich -bind-to none ./hello.mpich


# A node that crashes is gone without a word, and comes back.
"$slurm_tests/node.sh" crash n2
"$slurm_tests/node.sh" start n2
expect_equal "n2 after a crash" "$(client srun -N 1 -w n2 hostname)" n2
