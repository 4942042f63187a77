# shellcheck shell=bash
# What the situations share. A situation is a file test_NAME.sh that begins with
#   . "$(dirname "$0")/lib.sh" [options of cluster.sh]
# and from then on runs on host ctl of a two-node Slurm of its own, in a scratch directory of its own ($scratch), which all nodes see.
# It tells a story of submit, wait_for and expect; the first expectation that fails ends it with the journal and every log.
# PROTLM: the program (default build/protlm). Exit codes: 0 passed, 77 skipped (the reason is said), else failed.
set -uo pipefail

slurm_tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$slurm_tests/../.." && pwd)
[ -n "${CLUSTER_STATE:-}" ] || exec "$slurm_tests/cluster.sh" "$@" bash "$0"
scratch=$CLUSTER_STATE/scratch # in memory, and gone with the cluster
mkdir -p "$scratch"
cd "$scratch" || exit 1
story=$(basename "$0" .sh)
PROTLM=${PROTLM:-$repository/build/protlm}
started=$(date +%s%N)
job='' # the last one submitted

# ---- the journal: what was seen, with the seconds since the beginning ----

note() { printf '%6.1f s  %s\n' "$((($(date +%s%N) - started) / 100000000))e-1" "$*" | tee -a "$scratch/journal"; }

show_everything() {
  local file
  echo "---- journal of $story"
  cat "$scratch/journal"
  for file in "$scratch"/*.out "$scratch"/*.sbatch "$scratch"/*/stopped "$CLUSTER_STATE"/log/slurm*; do
    [ -f "$file" ] || continue
    echo "---- ${file#"$scratch/"}"
    tail -n "${LOG_LINES:-25}" "$file"
  done
  echo "---- queue and nodes"
  client squeue -a
  client sinfo -N -l
}

fail() {
  note "FAILED: $*"
  show_everything
  exit 1
}

skip() {
  echo "skipped: $*"
  exit 77
}

# Every client of Slurm and MPI has an end: srun waits for ever for a node that is down.
client() { timeout -k 3 "${CLIENT_SECONDS:-60}" "$@"; }

# ---- expectations ----

expect_equal() { # WHAT GOT WANTED
  [ "$2" = "$3" ] || fail "$1: expected '$3', got '$2'"
  note "$1: $2"
}

expect_words() { # FILE WORDS
  grep -qF -- "$2" "$1" || fail "$1 does not say: $2"
  note "$(basename "$1") says: $2"
}

expect_same_file() { # A B
  cmp "$1" "$2" || fail "$1 and $2 differ"
}

# ---- waiting: for something seen, never for a time ----

wait_for() { # WHAT COMMAND...: until the command succeeds; not for long once the job has ended
  local what=$1 end=$((SECONDS + ${WAIT_SECONDS:-120})) look=$((SECONDS + 2))
  shift
  until "$@"; do
    if [ $SECONDS -ge $look ]; then
      look=$((SECONDS + 2))
      if [ -n "$job" ] && [ $end -gt $((SECONDS + 10)) ] && has_ended "$job"; then end=$((SECONDS + 10)); fi
    fi
    [ $SECONDS -lt $end ] || fail "waited in vain for $what"
    sleep .05
  done
  note "seen: $what"
}

says() { grep -qsF -- "$2" "$1"; }
wait_for_words() { wait_for "'$2' in $(basename "$1")" says "$1" "$2"; }

count() { if [ -f "$1" ]; then grep -c -- "$2" "$1"; else echo 0; fi; } # FILE PATTERN: lines
steps_logged() { count "$1/log.jsonl" '"loss"'; }
has_step() { [ "$(steps_logged "$1")" -ge "$2" ]; }
wait_for_step() { wait_for "step $2 of $1" has_step "$1" "$2"; }

has_checkpoint() { [ -f "$1/checkpoint-$2/MANIFEST.json" ]; }
wait_for_checkpoint() { wait_for "checkpoint-$2 of $1" has_checkpoint "$1" "$2"; }

# ---- the run: small, of a few seconds, with a checkpoint every 20 steps ----

STEPS=${STEPS:-100} # a story that disturbs its run often says more, before it reads this file
write_proteins() {
  awk 'BEGIN {
    srand(11)
    for (i = 0; i < 200; i++) {
      sequence = ""
      for (n = 50 + int(rand() * 200); n > 0; n--) sequence = sequence substr("ACDEFGHIKLMNPQRSTVWY", 1 + int(rand() * 20), 1)
      printf ">made_up_%d\n%s\n", i, sequence
    }
  }' >proteins.fasta
}
write_proteins

train_line=(train --model esm2_t6_8M --num-hidden-layers 2 --hidden-size 32 --num-attention-heads 4 --train proteins.fasta
  --max-length 256 --batch-tokens 4K --micro-batch-tokens 1K --learning-rate 2e-3 --threads 1 --dtype fp32
  --logging-steps 1 --max-steps "$STEPS")

kind=(--cpu) # what the job asks of its nodes

# Two nodes of one rank each, by srun and Open MPI, unless the story says otherwise; SLURM_TEST_LAUNCHER, SLURM_TEST_NODES and
# SLURM_TEST_RANKS (of a node) say it for all stories.
nodes=${SLURM_TEST_NODES:-2}
run_by() { # pmix|pmi2|mpirun [RANKS a node]
  ranks_per_node=${SLURM_TEST_RANKS:-${2:-1}}
  case ${SLURM_TEST_LAUNCHER:-$1} in
    pmix) launcher=(--launcher srun --mpi pmix) ;;
    pmi2) launcher=(--launcher srun --mpi pmi2) ;;
    mpirun) launcher=(--launcher mpirun) ;;
    *) fail "SLURM_TEST_LAUNCHER is pmix, pmi2 or mpirun" ;;
  esac
}
run_by pmix

# The same run as nothing disturbs it: what all others must end as.
undisturbed() { # DIRECTORY [MORE OF TRAIN...]
  write_script "$1" --max-restarts 0 -- --output-dir "$@"
  submit "$1"
  wait_for_end "$job" COMPLETED
  expect_exit "$job" 0:0
  expect_starts "$output" 1
}

expect_same_run() { # DIRECTORY OTHER
  local other=$2
  expect_same_file "$1/final/model.safetensors" "$other/final/model.safetensors"
  expect_same_file "$1/checkpoint-$STEPS/model.safetensors" "$other/checkpoint-$STEPS/model.safetensors"
  expect_same_file "$1/checkpoint-$STEPS/optimizer.safetensors" "$other/checkpoint-$STEPS/optimizer.safetensors"
  losses "$1" >losses.one
  losses "$other" >losses.other
  expect_equal "steps logged" "$(wc -l <losses.one)" $STEPS
  expect_same_file losses.one losses.other
  note "$1: model, optimizer and losses are those of $other"
}
losses() { sed -n 's/.*"step": *\([0-9]*\).*"loss": *\([^,}]*\).*/\1 \2/p' "$1/log.jsonl"; }

# ---- jobs ----

# NAME.sbatch, by protlm slurm: options of its own, then -- and what train gets besides train_line.
write_script() { # NAME [OPTIONS OF SLURM...] -- [MORE OF TRAIN...]
  local name=$1 options=()
  shift
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  "$PROTLM" slurm "${kind[@]}" --nodes "$nodes" --ranks-per-node "$ranks_per_node" --cpus-per-task 1 "${launcher[@]}" --time "${time_limit:-10m}" \
    --signal-ahead "${ahead:-60s}" \
    --job-name "$name" "${options[@]}" -- "${train_line[@]}" --save-steps "${save_steps:-20}" "$@" >"$name.sbatch" ||
    fail "protlm slurm does not write $name.sbatch"
  shellcheck "$name.sbatch" || fail "shellcheck finds fault with $name.sbatch"
}

# Sets job: its number. Its output: NAME-NUMBER.out.
submit() { # NAME [OPTIONS OF SBATCH...]
  local name=$1
  shift
  job=$(client sbatch --parsable "$@" "$name.sbatch") || fail "sbatch does not take $name.sbatch"
  # shellcheck disable=SC2034 # the stories read it
  output=$name-$job.out
  note "submitted $name.sbatch: job $job"
}

job_field() { client scontrol -o show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; } # JOB FIELD
state() { job_field "$1" JobState; }
is_in_state() { [ "$(state "$1")" = "$2" ]; }
wait_for_state() { wait_for "job $1 $2" is_in_state "$1" "$2"; }

# An end is a state that does not change any more, whichever it is; then it must be the one that was promised.
has_ended() { case $(state "$1") in PENDING | RUNNING | COMPLETING | CONFIGURING | SUSPENDED | REQUEUED | '') return 1 ;; esac; }
wait_for_end() { # JOB STATE
  wait_for "the end of job $1" has_ended "$1"
  expect_equal "state of job $1" "$(state "$1")" "$2"
}

expect_exit() { expect_equal "exit code of job $1" "$(job_field "$1" ExitCode)" "$2"; } # JOB CODE:SIGNAL

# How often the script has begun; each start says on which checkpoint it stands.
starts() { count "$1" '\] start on '; }
has_starts() { [ "$(starts "$1")" -ge "$2" ]; }
wait_for_start() { wait_for "start $2 in $1" has_starts "$1" "$2"; } # OUTPUT COUNT
expect_starts() { expect_equal "starts in $1" "$(starts "$1")" "$2"; }

# A script that starts itself again must have a newer checkpoint than at its beginning.
expect_progress() { # OUTPUT
  local line step last=-1
  while read -r line; do
    step=${line#* checkpoint } step=${step%% *}
    case $line in
      *'] start on '*) last=${step/none/-1} ;;
      *) [ "${step/none/-1}" -gt "$last" ] || fail "started again without progress: $line" ;;
    esac
  done < <(grep -E '\] (start on|starting again: )' "$1")
  note "no new start without progress in $1"
}

# ---- the ranks, wherever they run ----

ranks_alive() { # [WORD of the command line]
  local pid
  for pid in $(pgrep -x protlm); do
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -F -- ' train ' | grep -qF -- "${1:-}"; then echo "$pid"; fi
  done
}
no_ranks() { [ -z "$(ranks_alive)" ]; }

# One rank dies, as of a fault of its own; the others must not wait for it.
crash_rank() { # DIRECTORY of the run
  local pid
  pid=$(ranks_alive "$1" | tail -n 1)
  [ -n "$pid" ] || fail "no rank is there to crash: the run ended before"
  kill -s KILL "$pid"
  note "KILL to a rank of $1, process $pid"
}

# To all of them, or to those whose command line has a word. STOP first, and the story decides when the run goes on: no race with a machine
# that is fast or slow.
signal_ranks() { # SIGNAL [WORD]
  local pids
  pids=$(ranks_alive "${2:-}")
  [ -n "$pids" ] || fail "no rank is there to get $1: the run ended before"
  # shellcheck disable=SC2086
  kill -s "$1" $pids || fail "cannot send $1 to $pids"
  note "$1 to $(wc -w <<<"$pids") rank(s)${2:+ of $2}"
}
