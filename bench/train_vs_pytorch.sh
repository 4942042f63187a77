#!/usr/bin/env bash
# Training rate of protlm against PyTorch's best way, side by side.
#
# Usage: bench/train_vs_pytorch.sh DATA.fasta [further options of pytorch_train.py]
#        MODEL=esm2_t30_150M DTYPE=bf16 ROUNDS=5 bench/train_vs_pytorch.sh DATA.fasta --compile
#
# The two run in separate processes, alternating, ROUNDS times; medians and their
# ratio are printed and appended to bench/results/train_vs_pytorch.md with the
# machine, date, commit and versions. Run it on an otherwise idle machine.
#
# MODEL    preset, random weights        esm2_t6_8M
# DTYPE    fp32 or bf16, for both        bf16
# ROUNDS                                 5
# THREADS  for both                      2
# SECONDS_PER_ROUND  PyTorch's timed part    60
# STEPS    of protlm, the first 3 not counted    40
# PROTLM   the program                   build/protlm
# PROTLM_VENV  as for make parity
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
. "$here/../tests/parity/venv.sh"

data="${1:?usage: bench/train_vs_pytorch.sh DATA.fasta [options of pytorch_train.py]}"
shift
model="${MODEL:-esm2_t6_8M}"
dtype="${DTYPE:-bf16}"
threads="${THREADS:-2}"
protlm="${PROTLM:-$here/../build/protlm}"
unset PROTLM PROTLM_VENV    # protlm reads its options from PROTLM_*

results="$(mktemp -d)"
trap 'rm -rf "$results"' EXIT

for round in $(seq "${ROUNDS:-5}"); do
    "$python" "$here/pytorch_train.py" "$data" --model "$model" --dtype "$dtype" --threads "$threads" \
        --max-length 512 --batch-tokens 4096 --seconds "${SECONDS_PER_ROUND:-60}" "$@" \
        >"$results/pytorch-$round.json"
    "$protlm" train --model "$model" --train "$data" --dtype "$dtype" --threads "$threads" \
        --max-length 512 --batch-tokens 4096 --max-steps "${STEPS:-40}" --logging-steps 1 \
        --output-dir "$results/protlm-$round" >/dev/null
done

"$python" "$here/compare.py" "$results" "$here/results/train_vs_pytorch.md" \
    --title "Training, $model, $dtype" --protlm "$protlm"
