#!/bin/sh
# Ends of several ranks, each in its way: all processes are gone in time, and what was wrong is said.
# usage: mpi_ends.sh openmpi|mpich PROGRAM
set -u
make=$1 program=$2
here=$(dirname "$0")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bad=0

launch() { # way, seconds, ranks; the exit code is in $code
  MPI_TEST_SECONDS=60 "$here/mpi_ranks.sh" "$make" "$3" "$program" "$1" "$2" >"$out/said" 2>&1
  code=$?
  [ $code -ne 77 ] || { cat "$out/said"; exit 77; }
}
expect() { # what, words...
  what=$1
  shift
  for words; do
    grep -qF -- "$words" "$out/said" && continue
    echo "$what: \"$words\" was not said (exit code $code):"
    cat "$out/said"
    bad=1
  done
}
expect_code() { # what, codes...
  what=$1
  shift
  for one; do [ $code -ne "$one" ] || return 0; done
  echo "$what: exit code $code, not $*"
  cat "$out/said"
  bad=1
}
expect_gone() { # nothing of the program runs any more
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    pgrep -f "^$program $1 " >"$out/left" || return 0
    sleep 1
  done
  echo "$1: still running: $(cat "$out/left")"
  xargs kill -9 <"$out/left"
  bad=1
}

launch well 10 3
expect_code well 0
expect well "all ended well"

launch fail 10 3
expect_code fail 3
expect fail "rank 1 (" "a bad letter"

launch hang 2 3
expect_gone hang
expect_code hang 1
expect hang 'rank 1 (' 'hangs in section "step"' hang_here 'waiting for others in "step"' "stopped: rank 1, stage step"

launch stop 2 3
expect_gone stop
expect stop "does not answer: stopped or dead" "stopped: rank 1"

launch die 60 3
expect_gone die
[ $code -ne 0 ] || { echo "die: exit code 0"; bad=1; }
# mpiexec ends the others at once; mpirun leaves them a second
[ "$make" = mpich ] || expect die "rank 1 (" "has died: its process is gone" "stopped: rank 1, stage step"

launch abort 60 3
expect_gone abort
expect_code abort 6
expect abort "the disk is full" "stopped: rank 1, stage step"

PROTLM_TEST_TRANSPORT=fail:1:step
export PROTLM_TEST_TRANSPORT
launch fault 10 3
unset PROTLM_TEST_TRANSPORT
expect_gone fault
expect_code fault 1
expect fault 'failed in stage "step"' "rank 1 (" "stopped: rank 1, stage step"

# Stopped for less than the time limit, and continued: as if nothing had been.
launch pause 10 2 &
client=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  pid=$(sed -n 's/^pid //p' "$out/said" 2>/dev/null)
  [ -z "$pid" ] || break
  sleep 0.5
done
kill -STOP "$pid" || { echo "pause: no process to stop"; bad=1; }
sleep 2.5
kill -CONT "$pid"
wait $client
code=0
expect pause "all ended well"

# The other make's library under this launcher: every process would be alone.
case $make in openmpi) other=libmpich.so.12 ;; mpich) other=libmpi.so.40 ;; esac
PROTLM_MPI=$other
export PROTLM_MPI
launch well 10 2
unset PROTLM_MPI
if ! grep -q "cannot be opened\|cannot use" "$out/said"; then
  expect "wrong make" "takes each for the only one" "PROTLM_MPI"
  expect_code "wrong make" 2
fi

# A step of srun's that told MPI nothing.
SLURM_STEP_NUM_TASKS=2 SLURM_NTASKS=2 SLURM_PROCID=1 SLURM_STEP_ID=0 "$program" well 10 >"$out/said" 2>&1
code=$?
expect_code "without MPI" 2
expect "without MPI" "that cannot find each other" '`srun --mpi=pmix --ntasks=2 ' "srun --mpi=list"
exit $bad
