#!/bin/sh
# `make check-slurm`: the situations of tests/slurm, each on a real two-node Slurm of its own, in namespaces on this host. Where there can be
# no cluster (no Slurm to be installed, no namespaces permitted) it says why and counts everything as skipped.
# Ends with "N passed, N failed, N skipped" and fails on any failure or unexpected skip.
set -u
cd "$(dirname "$0")/.." || exit 1
tools/install-deps.sh --slurm || echo "Going on with what is here." >&2
start=$(date +%s)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

tools/build.sh release build -DPROTLM_WERROR=ON || exit 1

timeout -k 3 60 tests/slurm/cluster.sh true
status=$?
if [ $status = 77 ]; then
  echo "0 passed, 0 failed, $(find tests/slurm -name 'test_*.sh' | grep -c .) skipped"
  exit 0
fi
[ $status = 0 ] || exit 1

# More at a time than there are cores: most of a situation is waiting for Slurm.
JOBS=$(($(nproc 2>/dev/null || echo 2) + 4)) tools/run_ctest.sh slurm build "$results" -C slurm -L '^slurm$'
tools/summarise_tests.sh "$results" tests/expected_skips
status=$?
echo "took $(($(date +%s) - start)) s"
tail -n 1 "$results/summary"
exit $status
