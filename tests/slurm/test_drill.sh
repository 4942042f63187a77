#!/usr/bin/env bash
# The drill that users run on their own cluster passes on this one, and says so.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"

"$PROTLM" slurm --cpu --nodes 2 --ranks-per-node 1 --cpus-per-task 1 --mpi pmix --time 10m --signal-ahead 60s -- drill >drill.sh ||
  fail "protlm slurm -- drill"
shellcheck drill.sh || fail "shellcheck finds fault with the drill"
timeout -k 3 280 bash drill.sh >verdict.out 2>&1
status=$?
cat verdict.out
expect_equal "exit code of the drill" $status 0
expect_words verdict.out "7 of 7 passed"
