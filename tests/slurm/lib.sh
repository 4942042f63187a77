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

# ---- the journal: what was seen, with the seconds since the beginning ----

note() { printf '%6.1f s  %s\n' "$((($(date +%s%N) - started) / 100000000))e-1" "$*" | tee -a "$scratch/journal"; }

show_everything() {
  local file
  echo "---- journal of $story"
  cat "$scratch/journal"
  for file in "$scratch"/*.out "$scratch"/*.sbatch "$scratch"/*/stopped "$CLUSTER_STATE"/log/slurm*; do
    [ -f "$file" ] || continue
    echo "---- ${file#"$scratch/"}"
    tail -n "${LOG_LINES:-60}" "$file"
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
