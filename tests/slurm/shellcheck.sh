#!/usr/bin/env bash
# Every script of this folder, and those that start it, is clean for shellcheck.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v shellcheck >/dev/null || { echo "skipped: there is no shellcheck"; exit 77; }
shellcheck -x tests/slurm/*.sh tools/check_slurm.sh bench/paced_link.sh bench/overlap.sh bench/ranks.sh
