#!/usr/bin/env python3
"""Training rate of ESM-2 in PyTorch, the best way we know, on the CPU.

Usage:
    python bench/pytorch_train.py DATA.fasta [--model esm2_t6_8M|DIR] [--dtype fp32|bf16]
                                  [--compile] [--threads 2] [--seconds 60]

Length-sorted batches of at most --batch-tokens padded tokens, SDPA attention,
fused AdamW, optionally bf16 autocast and torch.compile; tokenised, masked and
padded before the clock starts. Whole steps are timed (forward, loss, backward,
AdamW), in random order of batches, after untimed warm-up steps. Only real
residues count: neither padding nor <cls> and <eos>. No gradient clipping unless
--max-grad-norm, which is in PyTorch's favour.

Prints one JSON object with the settings, versions and `residues_per_s`.
"""

import argparse
import contextlib
import json
import time

import numpy
import torch
import transformers

from esm2_peer import count_residues, crop, fused_adamw, make_model, mask_tokens, pad, peak_rss_gib, read_fasta


def sorted_batches(rng, sequences, batch_tokens):
    """Lists of sequences of similar length, each at most batch_tokens when padded, in random order."""
    batches, current = [], []
    for tokens in sorted(sequences, key=len):
        if current and len(tokens) * (len(current) + 1) > batch_tokens:
            batches.append(current)
            current = []
        current.append(tokens)
    batches.append(current)
    rng.shuffle(batches)
    return batches


def make_batches(options):
    """[(padded batch, its residues)], ready in memory."""
    rng = numpy.random.default_rng(options.seed)
    sequences = [crop(rng, tokens, options.max_length) for tokens in read_fasta(options.data)]
    batches = []
    for group in sorted_batches(rng, sequences, options.batch_tokens):
        shown, labels = zip(*(mask_tokens(rng, tokens) for tokens in group))
        batches.append((pad(shown, labels), sum(map(count_residues, group))))
    return batches


def make_step(options):
    """A function that trains on one padded batch and returns its loss."""
    model = make_model(options.model).train()
    optimizer = fused_adamw(model, options.learning_rate)
    forward = torch.compile(model, dynamic=True) if options.compile else model

    def precision():
        return torch.autocast("cpu", torch.bfloat16) if options.dtype == "bf16" else contextlib.nullcontext()

    def step(batch):
        with precision():
            loss = forward(**batch).loss
        loss.backward()
        if options.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def measure(step, batches, warmup_steps, seconds):
    """(steps, residues, seconds, last loss) of whole steps after the warm-up."""
    for i in range(warmup_steps):
        step(batches[i % len(batches)][0])
    steps = residues = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or steps == 0:
        batch, size = batches[(warmup_steps + steps) % len(batches)]
        loss = step(batch)
        steps, residues = steps + 1, residues + size
    return steps, residues, elapsed, loss


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", help="FASTA file")
    parser.add_argument("--model", default="esm2_t6_8M", help="preset with random weights, or a model directory")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--compile", action="store_true", help="torch.compile with dynamic shapes")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="padded tokens of a batch, at most")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    parser.add_argument("--max-grad-norm", type=float, default=0.0, help="0: no clipping")
    parser.add_argument("--warmup-steps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps, residues, seconds, loss = measure(
        make_step(options), make_batches(options), options.warmup_steps, options.seconds)
    settings = {key: value for key, value in vars(options).items() if key != "data"}
    print(json.dumps({
        **settings, "torch": torch.__version__, "transformers": transformers.__version__,
        "steps": steps, "residues": residues, "measured_s": round(seconds, 3), "loss": loss,
        "residues_per_s": residues / seconds, "peak_rss_gib": round(peak_rss_gib(), 2),
    }))


if __name__ == "__main__":
    main()
