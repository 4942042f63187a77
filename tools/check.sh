#!/bin/sh
# `make check`: build, then every test that needs no GPU, no PyTorch and no network. Release build: everything. Sanitizer build (address,
# undefined): unit, op, fault and CLI tests. Ends with "N passed, N failed, N skipped" and fails on any failure or unexpected skip.
set -u
cd "$(dirname "$0")/.."
tools/install-deps.sh || exit 1
start=$(date +%s)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

tools/build.sh release build -DPROTLM_WERROR=ON || exit 1
tools/build.sh asan build-asan || exit 1

tools/run_ctest.sh release build "$results"
tools/run_ctest.sh asan build-asan "$results" -L sanitize
tools/summarise_tests.sh "$results" tests/expected_skips
status=$?
echo "took $(($(date +%s) - start)) s"
tail -n 1 "$results/summary"
exit $status
