"""protlm as the parity tests and benchmarks drive it: through the command line only."""

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file

STDERR_LINES = 15


class CommandFailed(Exception):
    """protlm ended with another exit code than 0; the message has what to run again."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the stream of batches, and how a run updates on it."""

    seed: int = 7
    batch_tokens: int = 2048
    micro_batch_tokens: int = 1024
    max_length: int = 128
    mask_probability: float = 0.15
    learning_rate: float = 1e-3
    betas: tuple = (0.9, 0.98)
    epsilon: float = 1e-8
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    def stream_arguments(self):
        return [
            "--seed", self.seed, "--batch-tokens", self.batch_tokens, "--max-length", self.max_length,
            "--mask-probability", self.mask_probability,
        ]

    def update_arguments(self):
        return [
            "--dtype", "fp32", "--lr-scheduler-type", "constant", "--warmup-steps", 0,
            "--learning-rate", self.learning_rate, "--adam-beta1", self.betas[0], "--adam-beta2", self.betas[1],
            "--adam-epsilon", self.epsilon, "--weight-decay", self.weight_decay,
            "--max-grad-norm", self.max_grad_norm, "--micro-batch-tokens", self.micro_batch_tokens,
        ]


class Protlm:
    """binary: path of the program; threads: what `--threads` gets."""

    def __init__(self, binary, threads):
        self.binary, self.threads = str(Path(binary).resolve()), threads

    def command(self, *arguments):
        return [self.binary, *map(str, arguments)]

    def run(self, *arguments):
        command = self.command(*arguments)
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        if done.returncode != 0:
            tail = "\n".join(done.stderr.splitlines()[-STDERR_LINES:])
            raise CommandFailed(f"exit {done.returncode}: {shlex.join(command)}\n{tail}")
        return done.stdout

    def inspect_forward(self, model, fasta, output):
        """{tokens, cu_seqlens, logits, hidden_states.0..L} of every sequence of a FASTA file."""
        self.run("inspect", "forward", "--model", model, "--fasta", fasta, "--dtype", "fp32",
                 "--layers", "all", "--output", output)
        return load_file(output)

    def inspect_batch(self, model, data, recipe, step, output):
        """{tokens, original, cu_seqlens, labels, sequence_id, crop_offset} of the global batch of a step."""
        self.run("inspect", "batch", "--model", model, "--train", data, "--step", step, "--output", output,
                 *recipe.stream_arguments())
        return load_file(output)

    def train_arguments(self, model, data, recipe, output_dir, max_steps, save_steps):
        return ["train", "--model", model, "--train", data, "--output-dir", output_dir, "--max-steps", max_steps,
                "--save-steps", save_steps, "--logging-steps", 1, "--threads", self.threads,
                *recipe.stream_arguments(), *recipe.update_arguments()]

    def train(self, *arguments):
        self.run(*self.train_arguments(*arguments))

    def start(self, *arguments):
        """The process of a command whose end nobody waits for; its output is discarded."""
        quiet = subprocess.DEVNULL
        return subprocess.Popen(self.command(*arguments), stdout=quiet, stderr=quiet, env=environment())


def environment():
    """Without the caller's PROTLM_* options, which would change what is compared.

    PROTLM_CPU stays: every instruction set has to pass.
    """
    return {n: v for n, v in os.environ.items() if n == "PROTLM_CPU" or not n.startswith("PROTLM_")}


def read_log(output_dir):
    """The lines of log.jsonl that report a training step, oldest first."""
    lines = (Path(output_dir) / "log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return [record for record in records if "loss" in record and "grad_norm" in record]
