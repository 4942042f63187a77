#!/usr/bin/env bash
# Steps that protlm and PyTorch need to learn twenty proteins by heart, from the same weights on the same batches.
#
# Usage: bench/overfit_vs_pytorch.sh [FASTA]      default: the first twenty of tests/integration/proteins.fasta
#
# Both start from one model of 4 layers of width 128 and see the batches that `protlm inspect batch` shows; both evaluate on five other
# draws of masks every ten steps. Printed: the first evaluated step whose loss is below 0.2 nats. protlm is to need at most 1.2 times
# PyTorch's. Takes about ten minutes on two cores.
#
# PROTLM   the program      build/protlm
# PROTLM_VENV  as for make parity
# STEPS    at most          1700
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
. "$here/../tests/parity/venv.sh"
protlm="$(realpath "${PROTLM:-$here/../build/protlm}")"
unset PROTLM PROTLM_VENV    # protlm reads its options from PROTLM_*
steps="${STEPS:-1700}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
awk '/^>/ { n++ } n <= 20' "${1:-$here/../tests/integration/proteins.fasta}" >"$work/twenty.fasta"
cd "$work"
mkdir batches eval

data=(--train twenty.fasta --max-length 256)
"$protlm" train --model esm2_t6_8M --num-hidden-layers 4 --hidden-size 128 --num-attention-heads 8 --intermediate-size 256 \
    "${data[@]}" --batch-tokens 1100 --max-steps 1 --save-at start --output-dir start --quiet >/dev/null
"$protlm" train --model start/checkpoint-0 "${data[@]}" --batch-tokens 1100 --dtype fp32 --seed 7 --learning-rate 1.5e-3 --warmup-steps 50 \
    --weight-decay 0 --lr-scheduler-type constant_with_warmup --eval twenty.fasta --eval-draws 5 --eval-steps 10 --logging-steps 100 \
    --save-steps "$steps" --max-steps "$steps" --output-dir run --quiet >/dev/null

for step in $(seq "$steps"); do
    "$protlm" inspect batch --config run/config.yaml --step "$step" --output "batches/step-$(printf %05d "$step").safetensors" --quiet >/dev/null
done
for seed in 101 102 103 104 105; do    # all twenty proteins in one batch
    "$protlm" inspect batch --model start/checkpoint-0 "${data[@]}" --batch-tokens 5200 --seed "$seed" --step 1 --output "eval/$seed.safetensors" --quiet >/dev/null
done

"$python" - <<'P'
import json
lines = map(json.loads, open("run/log.jsonl"))
reached = [line for line in lines if line.get("eval_loss", 9) < 0.2]
print("protlm ", {"steps": reached[0]["step"], "eval_loss": reached[0]["eval_loss"]} if reached else "did not get there")
P
printf 'PyTorch '
"$python" "$here/overfit_pytorch.py" start/checkpoint-0 batches eval \
    --learning-rate 1.5e-3 --warmup-steps 50 --weight-decay 0 2>/dev/null
