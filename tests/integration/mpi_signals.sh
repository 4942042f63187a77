#!/bin/sh
# What becomes of a run when its launcher is sent a signal, and when a rank is killed, is stopped for longer than --timeout, or hangs: the
# rows of the table in docs/SLURM.md. Whatever it is: nothing is left of it, and the same command goes on.
# Skips (77) where the make is not here. usage: mpi_signals.sh openmpi|mpich PROTLM
set -u
export NO_COLOR=1 # mpirun gives its ranks a terminal
make=$1 protlm=$2
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d) || exit 1
trap 'ranks | xargs -r kill -9; rm -rf "$out"' EXIT
cp "$here/proteins.fasta" "$out"

ranks() { pgrep -f "^$protlm train .*$out/run "; }
start() { # MAX-STEPS [LD_PRELOAD]: in the background, as $client
  MPI_TEST_SECONDS=120 LD_PRELOAD=${2:-} "$here/mpi_ranks.sh" "$make" 3 "$protlm" train --output-dir "$out/run" --model esm2_t6_8M --num-hidden-layers 2 \
    --hidden-size 32 --num-attention-heads 4 --max-length 256 --batch-tokens 512 --micro-batch-tokens 300 --learning-rate 2e-3 --warmup-steps 2 \
    --train "$out/proteins.fasta" --logging-steps 1 --threads 1 --dtype fp32 --timeout 10s --save-steps 1M --allow-change max-steps \
    --max-steps "$1" >"$out/out" 2>"$out/err" &
  client=$!
}
fail() { echo "FAILED: $make, $what: $1"; tail -n 30 "$out/out" "$out/err"; cat "$out/run/stopped"; exit 1; }
wait_for_step() { # STEP, or the end
  until grep -q "^step $1/" "$out/err"; do
    kill -0 $client 2>/dev/null || return 0
    sleep 0.1
  done
}
finish() { # the launcher's exit code is in $code, and nothing is left
  wait $client
  code=$?
  [ $code -ne 77 ] || { cat "$out/out"; exit 77; }
  for _ in $(seq 1 100); do
    ranks >/dev/null || return 0
    sleep 0.1
  done
  fail "ranks are left: $(ranks | tr '\n' ' ')"
}
member() { sed -n "s/^ *\"$1\": *\\(.*[^,]\\),*\$/\\1/p" "$out/run/stopped" 2>/dev/null; }
newest() { find "$out/run" -maxdepth 1 -name 'checkpoint-*' | sed 's/.*-//' | sort -n | tail -n 1; }
expect_stopped() { # MEMBER VALUE
  [ "$(member "$1")" = "$2" ] || fail "stopped says $1 $(member "$1"), not $2"
}
says() { grep -q "$1" "$out/err" || fail "does not say: $1"; }

# The same command again: it says why the last start stopped, where there was time to write that, and goes on where that had saved.
goes_on() { # [WORDS OF THE LAST START'S END]
  from=$(newest)
  start $((${from:-0} + 3))
  wait_for_step $((${from:-0} + 3))
  finish
  [ $code -eq 0 ] || fail "the next start ends with $code"
  [ -z "${1:-}" ] || says "the last start stopped: $1"
  says "^step $((${from:-0} + 1))/"
  [ "$(newest)" -eq $((${from:-0} + 3)) ] || fail "the next start ends at step $(newest)"
  [ ! -e "$out/run/stopped" ] || fail "a finished run leaves the file stopped"
}
report() { echo "$make, $what: exit code $code, $1"; }

# ---- to the launcher ----

signal_launcher() { # SIGNAL: once the run is at work
  rm -rf "$out/run"
  what="SIG$1 to the launcher"
  start 100000
  wait_for_step 5
  kill -s "$1" "$(pgrep -P $client)" || fail "there is no launcher"
}
expect_saved() { # SIGNAL THAT RANKS SAW, LAUNCHER'S EXIT CODES...
  saw=$1
  shift
  for one; do [ $code -ne "$one" ] || known=1; done
  [ -n "${known:-}" ] || fail "exit code $code, not $*"
  known=
  expect_stopped code 75
  expect_stopped words "\"SIG$saw\""
  expect_stopped requeue true
  expect_stopped steps_done "$(newest)"
  report "ranks saw SIG$saw and saved"
  goes_on "SIG$saw"
}

# mpirun says TERM for either, a second later, and KILL a second after that: what is saved by then is complete
for signal in TERM INT; do
  signal_launcher $signal
  finish
  case $make in
    mpich) expect_saved $signal 75 0 ;;
    openmpi)
      if [ -n "$(member code)" ]; then
        expect_saved TERM 1 75
      else
        [ $code -ne 0 ] || fail "exit code 0"
        report "the time was too short for a save"
        goes_on
      fi ;;
  esac
done

signal_launcher USR1
finish
expect_saved USR1 75 0

signal_launcher USR2
if [ "$make" = openmpi ]; then # saved, and it goes on
  until [ -n "$(newest)" ] || ! kill -0 $client; do sleep 0.1; done
  saved=$(newest)
  wait_for_step $((saved + 5))
  kill -s USR1 "$(pgrep -P $client)" || fail "it did not go on"
  finish
  [ "$(newest)" -gt "$saved" ] || fail "it did not go on"
  expect_saved USR1 75
else # it dies of it, and takes the ranks along
  finish
  [ $code -eq 140 ] || fail "exit code $code"
  [ ! -e "$out/run/stopped" ] || fail "there was time for a word"
  report "all ended, nothing saved"
  goes_on
fi

# ---- to a rank ----

disturb_rank() { # SIGNAL
  rm -rf "$out/run"
  what="SIG$1 to a rank"
  start 100000
  wait_for_step 5
  kill -s "$1" "$(ranks | sed -n 2p)" || fail "there is no rank"
  finish
  [ $code -ne 0 ] || fail "exit code 0"
}

disturb_rank KILL
if [ "$make" = openmpi ]; then
  expect_stopped code 1
  expect_stopped requeue true
  expect_stopped stage '"step"'
  case $(member words) in '"rank '[0-2]*'has died: its process is gone'*) ;; *) fail "stopped does not name the rank" ;; esac
  report "$(member words)"
  goes_on 'rank [0-2] (.*) has died'
else # mpiexec has killed the others before they saw it
  report "the others were killed"
  goes_on
fi

disturb_rank STOP
expect_stopped code 1
expect_stopped requeue true
says 'rank [0-2] (.*): does not answer: stopped or dead'
case $(member words) in '"rank '[0-2]*'does not answer: it is stopped or dead; the others wait in section'*step*) ;; *) fail "stopped does not name the rank" ;; esac
report "$(member words)"
goes_on 'rank [0-2] (.*) does not answer'

# ---- a rank that hangs: its main thread never comes back from asking for the time, where it holds no lock ----

what="a rank that hangs"
cat >"$out/hang.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static __thread int held;
int pthread_mutex_lock(pthread_mutex_t *m) {
  held++;
  return ((int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock"))(m);
}
int pthread_mutex_unlock(pthread_mutex_t *m) {
  held--;
  return ((int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_unlock"))(m);
}
int clock_gettime(clockid_t id, struct timespec *time) {
  static int calls;
  const char *rank = getenv("OMPI_COMM_WORLD_RANK") ? getenv("OMPI_COMM_WORLD_RANK") : getenv("PMI_RANK");
  if (rank && !strcmp(rank, "1") && syscall(SYS_gettid) == getpid() && held == 0 && access(getenv("HANG_FILE"), F_OK) == 0 && ++calls > 20)
    for (;;) pause();
  return (int)syscall(SYS_clock_gettime, id, time);
}
C
case $(nm -D "$protlm" 2>/dev/null) in *__asan_init* | *__tsan_init*) preload= ;; *) preload=yes ;; esac
if [ -n "$preload" ] && cc -shared -fPIC -o "$out/hang.so" "$out/hang.c" 2>"$out/cc"; then
  rm -rf "$out/run"
  HANG_FILE=$out/hang
  export HANG_FILE
  start 100000 "$out/hang.so"
  wait_for_step 5
  touch "$out/hang"
  finish
  rm "$out/hang"
  [ $code -ne 0 ] || fail "exit code 0"
  says 'rank 1 (.*) hangs in section'
  says 'not waiting for others; it is in:'
  says 'plm_run_loop'
  expect_stopped rank 1
  case $(member words) in '"rank 1 ('*') hangs in section'*) ;; *) fail "stopped does not name the rank" ;; esac
  report "$(member words)"
  goes_on 'rank 1 (.*) hangs in section'
fi
