#!/usr/bin/env python3
"""Hold protlm against PyTorch and transformers, live: the body of `make parity`.

Usage:
    tests/parity/run.sh [BINARY [--keep DIR] [CHECK ...]]      (makes the venv first)
    python tests/parity/live.py build/protlm

Random models of every head width are saved by transformers and read by protlm,
and the other way round; batches are taken from `protlm inspect batch` and
trained on by both. Only the command line is used, so this also checks what a
user sees. Tolerances: tolerances.py. Ends with

    parity: N passed, N failed, N skipped

and exit code 1 if anything failed. --keep leaves all files in DIR.
"""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer, EsmTokenizer

import esm2_fp64
import esm2_torch
from esm2_torch import CLS, EOS, MASK, STANDARD_IDS, split_packed
from protlm_cli import CommandFailed, Protlm, Recipe, read_log
from tolerances import (
    GRAD_NORM_RELATIVE, LOSS_RELATIVE, Mismatch, check_against_fp64, check_against_hf, check_movement,
    check_relative, require,
)

# name: (hidden size, heads, intermediate size, layers); no two have the same F / C.
MODELS = {
    "d8": (40, 5, 100, 3),
    "d10": (30, 3, 77, 2),
    "d16": (64, 4, 256, 3),
    "d24": (48, 2, 200, 2),
    "d32": (96, 3, 250, 2),
    "d64": (128, 2, 300, 2),
    "d128": (128, 1, 200, 1),
}
LETTERS = "LAGVSERTIDPKQNFYMHWC"
NONSTANDARD = "XBUZO"
TRAINED_MODEL, TRAINING_STEPS = "d16", 10
KILLED_STEPS, KILLED_SAVE_STEPS, KILL_AFTER = 300, 50, 120
START_TIMEOUT_S, POLL_S = 120.0, 0.002
SIGMAS = 5.0


class Skip(Exception):
    """A check that cannot be done here, with the reason."""


class Bench:
    """The files that checks share, each made when first asked for."""

    def __init__(self, protlm, directory):
        self.protlm, self.directory = protlm, Path(directory)
        self.recipe = Recipe()

    def path(self, name):
        return self.directory / name

    def model(self, name):
        """A model directory saved by transformers, with its tokenizer."""
        directory = self.path("model-" + name)
        if not directory.exists():
            rng = numpy.random.default_rng(list(name.encode()))
            esm2_torch.random_model(esm2_torch.esm2_config(*MODELS[name]), rng).save_pretrained(directory)
            vocabulary = self.path("vocab.txt")
            vocabulary.write_text("\n".join(esm2_torch.VOCABULARY))
            EsmTokenizer(str(vocabulary)).save_pretrained(directory)
        return directory

    def fasta(self, name, lengths):
        """A FASTA file of made-up proteins with a few nonstandard residues."""
        path = self.path(name + ".fasta")
        if not path.exists():
            rng = numpy.random.default_rng(list(name.encode()))
            weights = [0.98 / len(LETTERS)] * len(LETTERS) + [0.02 / len(NONSTANDARD)] * len(NONSTANDARD)
            proteins = ("".join(rng.choice(list(LETTERS + NONSTANDARD), n, p=weights)) for n in lengths)
            path.write_text("".join(f">protein{i}\n{p}\n" for i, p in enumerate(proteins)))
        return path

    def short_proteins(self):
        return self.fasta("short", (1, 2, 33, 64, 150, 7))

    def training_proteins(self):
        return self.fasta("training", numpy.random.default_rng(1).integers(60, 300, 400))

    def batch(self, step):
        """The global batch of a step of the training recipe."""
        path = self.path(f"batch-{step}.safetensors")
        if path.exists():
            return load_file(path)
        model, data = self.model(TRAINED_MODEL), self.training_proteins()
        return self.protlm.inspect_batch(model, data, self.recipe, step, path)

    def trained(self):
        """The output directory of a short run."""
        directory = self.path("trained")
        if not directory.exists():
            model, data = self.model(TRAINED_MODEL), self.training_proteins()
            self.protlm.train(model, data, self.recipe, directory, TRAINING_STEPS, TRAINING_STEPS)
        return directory

    def killed_and_resumed(self):
        """The output directory of a run that was killed between two checkpoints and resumed."""
        directory = self.path("killed")
        if not directory.exists():
            arguments = self.protlm.train_arguments(
                self.model(TRAINED_MODEL), self.training_proteins(), self.recipe, directory,
                KILLED_STEPS, KILLED_SAVE_STEPS)
            kill_at_step(self.protlm.start(*arguments), directory, KILL_AFTER)
            self.protlm.run(*arguments, "--resume-from-checkpoint", "auto")
        return directory


def kill_at_step(process, output_dir, step):
    """SIGKILL once the log shows the step."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while logged_steps(output_dir) < step:
        require(process.poll() is None, f"the run ended with {process.returncode} before step {step}")
        if time.monotonic() > deadline:
            process.kill()
            raise Mismatch(f"no step {step} in log.jsonl after {START_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
    process.kill()
    process.wait()


def logged_steps(output_dir):
    log = output_dir / "log.jsonl"
    return log.read_text().count('"grad_norm"') if log.exists() else 0


def read_proteins(fasta):
    return fasta.read_text().split("\n")[1::2]


def open_in_transformers(directory):
    """The model, which must have found exactly the tensors it wants."""
    model, info = AutoModelForMaskedLM.from_pretrained(
        directory, output_loading_info=True, attn_implementation="eager")
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        require(not info[kind], f"{directory}: {kind} {sorted(info[kind])}")
    return model.eval()


def check_forward_results(results, model_dir):
    """Logits and hidden states of an inspect forward against both references."""
    tokens, cu_seqlens = results["tokens"], results["cu_seqlens"]
    model, reference = open_in_transformers(model_dir), esm2_fp64.Esm2.load(model_dir)
    hf_logits, hf_hidden = esm2_torch.run_packed(model, tokens, cu_seqlens)
    exact = [reference.forward(sequence.long()) for sequence in split_packed(tokens, cu_seqlens)]
    check_against_fp64("logits", results["logits"], torch.cat([logits for logits, _ in exact]))
    check_against_hf("logits against transformers", results["logits"], hf_logits)
    for i, states in enumerate(zip(*(hidden for _, hidden in exact))):
        check_against_fp64(f"hidden_states.{i}", results[f"hidden_states.{i}"], torch.cat(states))
        check_against_hf(f"hidden_states.{i} against transformers", results[f"hidden_states.{i}"], hf_hidden[i])
    require(f"hidden_states.{len(hf_hidden)}" not in results, "more hidden states than layers + 1")


def forward_check(name):
    def check(bench):
        model, fasta = bench.model(name), bench.short_proteins()
        results = bench.protlm.inspect_forward(model, fasta, bench.path(f"forward-{name}.safetensors"))
        tokenizer = AutoTokenizer.from_pretrained(model)
        expected = [tokenizer(protein).input_ids for protein in read_proteins(fasta)]
        got = [sequence.tolist() for sequence in split_packed(results["tokens"], results["cu_seqlens"])]
        require(got == expected, "tokens differ from the transformers tokenizer's")
        check_forward_results(results, model)
    return check


def check_labels(bench):
    """Labels are the originals at selected residues; nothing else has changed."""
    batch = bench.batch(1)
    tokens, original, labels = batch["tokens"], batch["original"], batch["labels"]
    selected = labels != esm2_fp64.IGNORED_LABEL
    standard = (original >= STANDARD_IDS[0]) & (original <= STANDARD_IDS[-1])
    require(torch.equal(labels[selected], original[selected]), "a label is not the original token")
    require(torch.equal(tokens[~selected], original[~selected]), "a token changed that has no label")
    require(bool(standard[selected].all()), "a special or nonstandard token was selected")
    for targets in split_packed(labels, batch["cu_seqlens"]):
        require(bool((targets != esm2_fp64.IGNORED_LABEL).any()), "a sequence without any selected residue")


def epoch_steps(bench):
    """Number of batches of an epoch: the tokens after cropping, in budgets, rounded down."""
    lengths = [min(len(p) + 2, bench.recipe.max_length) for p in read_proteins(bench.training_proteins())]
    return max(1, sum(lengths) // bench.recipe.batch_tokens)


def check_mask_statistics(bench):
    """15 % of standard residues are selected; of those 80 % masked, 10 % another residue, 10 % kept."""
    batches = [bench.batch(step) for step in range(1, epoch_steps(bench) + 1)]
    tokens, original, labels = (torch.cat([b[key] for b in batches]) for key in ("tokens", "original", "labels"))
    selected = labels != esm2_fp64.IGNORED_LABEL
    eligible = (original >= STANDARD_IDS[0]) & (original <= STANDARD_IDS[-1])
    shown, true = tokens[selected], original[selected]
    replaced = shown[(shown != MASK) & (shown != true)]
    require_share("selected", len(shown), int(eligible.sum()), bench.recipe.mask_probability)
    require_share("masked", int((shown == MASK).sum()), len(shown), 0.8)
    require_share("kept", int((shown == true).sum()), len(shown), 0.1)
    for residue in STANDARD_IDS:
        require_share(f"replaced by {residue}", int((replaced == residue).sum()), len(replaced), 1 / 20)
    require(all(int(residue) in STANDARD_IDS for residue in replaced.unique()), "replaced by a nonstandard token")


def require_share(what, part, whole, share):
    """A binomial count within SIGMAS of its expectation."""
    allowed = SIGMAS * (whole * share * (1 - share)) ** 0.5
    require(abs(part - whole * share) <= allowed, f"{what}: {part} of {whole}, expected {whole * share:.0f}")


def check_epoch(bench):
    """Every protein comes once an epoch, in batches of about the same number of tokens."""
    steps = epoch_steps(bench)
    batches = [bench.batch(step) for step in range(1, steps + 1)]
    ids = torch.cat([batch["sequence_id"] for batch in batches]).tolist()
    proteins = read_proteins(bench.training_proteins())
    require(sorted(ids) == list(range(len(proteins))), "an epoch is not every sequence once")
    require(ids != sorted(ids), "an epoch is in file order")
    mean = sum(len(batch["tokens"]) for batch in batches) / steps
    for step, batch in enumerate(batches, 1):
        uneven = abs(len(batch["tokens"]) - mean)
        require(uneven <= bench.recipe.max_length + 1, f"batch {step} is {uneven:.0f} tokens from the mean")


def check_crops(bench):
    """Long proteins are cut to uniform windows of their tokens, ends included."""
    proteins, places = read_proteins(bench.training_proteins()), []
    tokenizer = AutoTokenizer.from_pretrained(bench.model(TRAINED_MODEL))
    for step in range(1, epoch_steps(bench) + 1):
        batch = bench.batch(step)
        windows = split_packed(batch["original"], batch["cu_seqlens"])
        for window, row, offset in zip(windows, batch["sequence_id"].tolist(), batch["crop_offset"].tolist()):
            whole = tokenizer(proteins[row]).input_ids
            length = min(len(whole), bench.recipe.max_length)
            require(window.tolist() == whole[offset:offset + length], f"sequence {row} is not its window at {offset}")
            if len(whole) > length:
                places.append(offset / (len(whole) - length))
    allowed = SIGMAS / (12 * len(places)) ** 0.5
    require(abs(numpy.mean(places) - 0.5) <= allowed, f"crops are not uniform: mean place {numpy.mean(places):.3f}")


def check_batch_repeats(bench):
    """The same step asked for again is the same batch, bit for bit."""
    first = bench.batch(2)
    again = bench.protlm.inspect_batch(bench.model(TRAINED_MODEL), bench.training_proteins(), bench.recipe, 2,
                                       bench.path("batch-again.safetensors"))
    require(set(first) == set(again), "other tensors")
    require(all(torch.equal(first[name], again[name]) for name in first), "another batch")


def check_ten_steps(bench):
    """Ten AdamW steps on the same batches: losses, gradient norms and weights as PyTorch's."""
    recipe = bench.recipe
    log = read_log(bench.trained())
    require([record["step"] for record in log] == list(range(1, TRAINING_STEPS + 1)), "not one log line a step")
    model = open_in_transformers(bench.model(TRAINED_MODEL))
    initial = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = esm2_torch.adamw(model, recipe.learning_rate, recipe.betas, recipe.epsilon, recipe.weight_decay)
    for record in log:
        batch = bench.batch(record["step"])
        loss, norm = esm2_torch.train_step(
            model, optimizer, batch["tokens"], batch["labels"], batch["cu_seqlens"], recipe.max_grad_norm)
        check_relative(f"loss of step {record['step']}", record["loss"], loss, LOSS_RELATIVE)
        check_relative(f"gradient norm of step {record['step']}", record["grad_norm"], norm, GRAD_NORM_RELATIVE)
    got = esm2_fp64.load_tensors(bench.trained() / f"checkpoint-{TRAINING_STEPS}")
    want = {name: p.detach() for name, p in esm2_torch.trained_parameters(model).items()}
    check_movement(initial, got, want, recipe.learning_rate)


def check_untrained_tensors(bench):
    """Training leaves the contact head and the rotary frequencies as they were read."""
    before = esm2_fp64.load_tensors(bench.model(TRAINED_MODEL))
    after = esm2_fp64.load_tensors(bench.trained() / f"checkpoint-{TRAINING_STEPS}")
    for name in ("inv_freq", "esm.contact_head.regression.weight", "esm.contact_head.regression.bias"):
        require(torch.equal(before[name], after[name]), f"{name} changed")


def opens_check(name):
    def check(bench):
        directory = bench.trained() / name
        tokenizer = AutoTokenizer.from_pretrained(directory)
        require(tokenizer("MKV").input_ids == [CLS, 20, 15, 7, EOS], "the tokenizer reads MKV differently")
        output = bench.path(f"forward-{name}.safetensors")
        check_forward_results(bench.protlm.inspect_forward(directory, bench.short_proteins(), output), directory)
    return check


def check_round_trip(bench):
    """A model that transformers opened and saved again gives protlm the same bits."""
    final, saved_again = bench.trained() / "final", bench.path("saved-again")
    open_in_transformers(final).save_pretrained(saved_again)
    AutoTokenizer.from_pretrained(final).save_pretrained(saved_again)
    fasta = bench.short_proteins()
    before = bench.protlm.inspect_forward(final, fasta, bench.path("forward-before.safetensors"))
    after = bench.protlm.inspect_forward(saved_again, fasta, bench.path("forward-after.safetensors"))
    require(set(before) == set(after), "other tensors")
    for name, tensor in before.items():
        require(torch.equal(tensor, after[name]), f"{name} changed")


def check_events(output_dir, steps):
    """TensorBoard sees each logged step once, with the loss of log.jsonl."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError as error:
        raise Skip(f"tensorboard is not installed ({error})") from None
    events = EventAccumulator(str(output_dir), size_guidance={"scalars": 0}).Reload()
    require("train/loss" in events.Tags()["scalars"], f"no train/loss among {events.Tags()['scalars']}")
    scalars, log = events.Scalars("train/loss"), read_log(output_dir)
    require([record["step"] for record in log] == list(range(1, steps + 1)), "log.jsonl is not one line a step")
    require([scalar.step for scalar in scalars] == list(range(1, steps + 1)), "train/loss is not one value a step")
    for scalar, record in zip(scalars, log):
        check_relative(f"train/loss of step {scalar.step}", scalar.value, record["loss"], LOSS_RELATIVE)


CHECKS = {
    **{f"forward_{name}": forward_check(name) for name in MODELS},
    "batch_labels": check_labels,
    "batch_mask_statistics": check_mask_statistics,
    "batch_epoch_is_every_sequence_once": check_epoch,
    "batch_crops": check_crops,
    "batch_repeats": check_batch_repeats,
    "train_ten_steps": check_ten_steps,
    "train_leaves_contact_head_and_frequencies": check_untrained_tensors,
    "checkpoint_opens_in_transformers": opens_check(f"checkpoint-{TRAINING_STEPS}"),
    "final_opens_in_transformers": opens_check("final"),
    "transformers_round_trip": check_round_trip,
    "tensorboard": lambda bench: check_events(bench.trained(), TRAINING_STEPS),
    "tensorboard_after_kill_and_resume": lambda bench: check_events(bench.killed_and_resumed(), KILLED_STEPS),
}


def run_check(name, bench):
    """passed, failed or skipped; says why if not passed."""
    try:
        CHECKS[name](bench)
    except Skip as reason:
        return "skipped", str(reason)
    except (Mismatch, CommandFailed) as error:
        return "failed", str(error)
    except Exception:  # a broken file or a missing key is protlm's failure too, not this script's end
        return "failed", traceback.format_exc().rstrip()
    return "passed", ""


def run_checks(names, bench):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name in names:
        outcome, reason = run_check(name, bench)
        counts[outcome] += 1
        print(f"{outcome:7} {name}" + (f": {reason}" if reason else ""), flush=True)
    print("parity: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("binary", type=Path, help="path of protlm")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"default: all of {', '.join(CHECKS)}")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave all files in this new directory")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    unknown = set(options.checks) - set(CHECKS)
    if unknown:
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    if not options.binary.is_file():
        parser.error(f"{options.binary} is not built yet")
    torch.set_num_threads(options.threads)
    protlm, names = Protlm(options.binary, options.threads), options.checks or list(CHECKS)
    if options.keep:
        options.keep.mkdir(parents=True)
        return run_checks(names, Bench(protlm, options.keep.resolve()))
    with tempfile.TemporaryDirectory(prefix="protlm-parity-") as directory:
        return run_checks(names, Bench(protlm, directory))


if __name__ == "__main__":
    sys.exit(main())
