#!/usr/bin/env python3
"""Steps that PyTorch needs to learn a small set by heart, on protlm's own batches.

Usage:
    for k in $(seq 1 2000); do
        build/protlm inspect batch --model MODEL --train DATA --step $k ... \
            --output BATCHES/$(printf 'step-%05d' $k).safetensors
    done                    # likewise EVAL/, a handful of other mask draws
    python bench/overfit_pytorch.py MODEL BATCHES EVAL [--threshold 0.2]

Trains MODEL (a directory) on the batches in the order of their names, once each,
with AdamW at a constant learning rate after a linear warm-up, and evaluates the
mean loss over all files of EVAL every --eval-steps. Prints one JSON object whose
`steps` is the first evaluated step below the threshold, or null if the batches
ran out before. protlm is to need at most 1.2 times as many.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional

from esm2_peer import IGNORED_LABEL, fused_adamw, make_model, pad, trained_parameters
from esm2_torch import run_packed, split_packed

PADDING_TOLERANCE = 1e-3


def batch_files(directory):
    files = sorted(Path(directory).glob("*.safetensors"))
    if not files:
        sys.exit(f"no *.safetensors in {directory}")
    return files


def load_padded(path):
    packed = load_file(path)
    return pad(*(split_packed(packed[name], packed["cu_seqlens"]) for name in ("tokens", "labels")))


def nll(model, batch):
    """(sum of NLL, count) of the labelled tokens of a padded batch."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    labelled = batch["labels"] != IGNORED_LABEL
    total = functional.cross_entropy(logits[labelled], batch["labels"][labelled], reduction="sum")
    return total, int(labelled.sum())


def require_padding_is_harmless(model, path):
    """Some transformers releases scale padded sequences with masks wrongly; refuse those."""
    packed, padded = load_file(path), load_padded(path)
    exact, _ = run_packed(model, packed["tokens"], packed["cu_seqlens"])
    with torch.no_grad():
        logits = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits
    error = (logits[padded["attention_mask"].bool()] - exact).abs().max().item()
    if not error <= PADDING_TOLERANCE:
        sys.exit(f"this transformers changes logits by {error:.1e} when it pads; use another release")


def evaluate(model, batches):
    model.eval()
    with torch.no_grad():
        sums, counts = zip(*(nll(model, batch) for batch in batches))
    model.train()
    return float(sum(sums)) / sum(counts)


def train(model, files, eval_batches, options):
    """Yields (step, evaluation loss) every eval_steps."""
    optimizer = fused_adamw(model, options.learning_rate, weight_decay=options.weight_decay)
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, (s + 1) / max(1, options.warmup_steps)))
    for step, path in enumerate(files, 1):
        total, count = nll(model, load_padded(path))
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(trained_parameters(model).values(), options.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        warmup.step()
        if step % options.eval_steps == 0:
            yield step, evaluate(model, eval_batches)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", help="model directory")
    parser.add_argument("batches", help="directory of training batches, one a step")
    parser.add_argument("eval", help="directory of evaluation batches")
    parser.add_argument("--threshold", type=float, default=0.2)
    parser.add_argument("--eval-steps", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--warmup-steps", type=int, default=0)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--max-grad-norm", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, files = make_model(options.model).eval(), batch_files(options.batches)
    require_padding_is_harmless(model, files[0])
    eval_batches = [load_padded(path) for path in batch_files(options.eval)]
    reached, loss = None, evaluate(model, eval_batches)
    for step, loss in train(model, files, eval_batches, options):
        print(f"step {step} eval_loss {loss:.4f}", file=sys.stderr)
        if loss < options.threshold:
            reached = step
            break
    print(json.dumps({"steps": reached, "eval_loss": loss, "threshold": options.threshold,
                      "learning_rate": options.learning_rate, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
