"""What the PyTorch benchmarks share: models, proteins as tokens, padded batches."""

import re
import resource
import sys
from pathlib import Path

import numpy
import torch
from transformers import EsmForMaskedLM

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "parity"))
from esm2_fp64 import IGNORED_LABEL, is_decayed  # noqa: E402
from esm2_torch import CLS, EOS, MASK, PAD, STANDARD_IDS, VOCABULARY, esm2_config, trained_parameters  # noqa: E402

# preset: (hidden size, heads, intermediate size, layers)
PRESETS = {
    "esm2_t6_8M": (320, 20, 1280, 6),
    "esm2_t12_35M": (480, 20, 1920, 12),
    "esm2_t30_150M": (640, 20, 2560, 30),
    "esm2_t33_650M": (1280, 20, 5120, 33),
}
UNKNOWN_RESIDUE = VOCABULARY.index("X")
RESIDUE_IDS = {letter: VOCABULARY.index(letter) for letter in VOCABULARY if len(letter) == 1}


def make_model(name, attention="sdpa"):
    """A preset with random weights, or a model directory."""
    if name in PRESETS:
        torch.manual_seed(0)
        return EsmForMaskedLM(esm2_config(*PRESETS[name], attn_implementation=attention))
    return EsmForMaskedLM.from_pretrained(name, attn_implementation=attention)


def read_fasta(path):
    """Sequences as token ids with <cls> and <eos>: upper case, '*' removed, unknown letters as X."""
    records = re.split(r"^>.*\n", Path(path).read_text(), flags=re.MULTILINE)[1:]
    proteins = (re.sub(r"[\s*]", "", record).upper() for record in records)
    return [numpy.array([CLS, *(RESIDUE_IDS.get(c, UNKNOWN_RESIDUE) for c in p), EOS]) for p in proteins if p]


def crop(rng, tokens, max_length):
    offset = rng.integers(0, max(0, len(tokens) - max_length) + 1)
    return tokens[offset:offset + max_length]


def mask_tokens(rng, tokens, probability=0.15):
    """(tokens as shown, labels): 80 % <mask>, 10 % a random residue, 10 % kept."""
    standard = (tokens >= STANDARD_IDS[0]) & (tokens <= STANDARD_IDS[-1])
    selected = standard & (rng.random(len(tokens)) < probability)
    fate, shown = rng.random(len(tokens)), tokens.copy()
    shown[selected & (fate < 0.8)] = MASK
    random = selected & (fate >= 0.8) & (fate < 0.9)
    shown[random] = rng.integers(STANDARD_IDS[0], STANDARD_IDS[-1] + 1, random.sum())
    return shown, numpy.where(selected, tokens, IGNORED_LABEL)


def pad(sequences, labels):
    """{input_ids, attention_mask, labels} [S,T] of a list of token and label arrays."""
    padded = {"input_ids": (sequences, PAD), "labels": (labels, IGNORED_LABEL)}
    batch = {
        name: torch.nn.utils.rnn.pad_sequence(
            [torch.as_tensor(row).long() for row in rows], batch_first=True, padding_value=value)
        for name, (rows, value) in padded.items()
    }
    lengths = torch.tensor([len(row) for row in sequences])
    batch["attention_mask"] = (torch.arange(lengths.max()) < lengths[:, None]).long()
    return batch


def count_residues(tokens):
    """Tokens that are neither <cls> nor <eos>; before padding."""
    return int(((tokens != CLS) & (tokens != EOS)).sum())


def fused_adamw(model, lr, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01):
    """torch's fastest AdamW, with decay on linear weights only."""
    groups = {True: [], False: []}
    for name, parameter in trained_parameters(model).items():
        groups[is_decayed(name, parameter)].append(parameter)
    return torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}],
        lr=lr, betas=betas, eps=eps, fused=True)


def peak_rss_gib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
