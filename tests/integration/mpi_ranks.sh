#!/bin/sh
# Start a test program under a launcher of MPI, or skip (77) where there is none, or no module for its make.
# usage: mpi_ranks.sh openmpi|mpich RANKS PROGRAM [arguments...]
set -u
make=$1 ranks=$2
shift 2
module=$(dirname "$1")/protlm_mpi_$make.so
[ -f "$module" ] || { echo "skipped: this build has no module for $make"; exit 77; }
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
case $make in
  openmpi)
    launcher=$(command -v mpirun.openmpi || command -v mpirun) || launcher=
    set -- --oversubscribe --bind-to none -n "$ranks" "$@" ;;
  mpich)
    launcher=$(command -v mpiexec.mpich || command -v mpiexec.hydra) || launcher=
    set -- -n "$ranks" "$@" ;;
esac
[ -n "$launcher" ] || { echo "skipped: no launcher of $make"; exit 77; }
exec timeout -k 3 "${MPI_TEST_SECONDS:-300}" "$launcher" "$@"
