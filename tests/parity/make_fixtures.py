#!/usr/bin/env python3
"""Make the parity fixtures in tests/fixtures/parity/ from random ESM-2 models.

Usage:
    OMP_NUM_THREADS=1 python tests/parity/make_fixtures.py [--output-dir DIR] [CASE ...]

Needs torch, transformers 5 and safetensors (tests/parity/requirements.txt).
Deterministic for given versions of them; the fixtures are committed, so only a
change of this script calls for a run. Each case directory holds

    config.json, model.safetensors   as save_pretrained of transformers 5 writes
                                     them: LayerNorm.gamma/beta and a literal
                                     "layer.*" in the name of inv_freq
    expected_forward.safetensors     tokens I32[N], cu_seqlens I32[S+1],
                                     labels I32[N] (-100: no loss),
                                     logits F32[N,V], hidden_states.0..L F32[N,C]
                                     (0: after token dropout; L: after the final norm)
    expected_grads.safetensors       loss F32[1] = sum of NLL / labelled rows,
                                     grad_norm F32[1], grad.<name> per parameter
    expected_steps.safetensors       10 AdamW steps on that batch (settings below):
                                     losses F32[10] and grad_norms F32[10] before
                                     each step, weight.<name> after the last

<name> is the module path in transformers (LayerNorm.weight, never .gamma); the
tied embedding appears once, as esm.embeddings.word_embeddings.weight, and the
contact head, which has no gradient, not at all. `d8_v4_names` is the model of
`d8` re-saved as transformers 4 saved published checkpoints, with inv_freq per
layer and the tensors that a reader has to ignore. `d8` and `d16_half_inv_freq`
hold inv_freq rounded through fp16, so a reader that recomputes it fails.

Everything written is held against the independent double-precision
implementation in esm2_fp64.py before the script succeeds.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from transformers import EsmForMaskedLM

import esm2_fp64
import esm2_torch
from tolerances import (
    GRAD_NORM_RELATIVE, LOSS_RELATIVE, check_against_fp64, check_gradients, check_movement, check_relative, require,
)

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "parity"
FILE_LIMIT, TOTAL_LIMIT = 250_000, 2_500_000
SEED = 1    # with it no gradient element is so near zero that its first AdamW step is rounding noise
STEPS, LR, BETAS, EPS, WEIGHT_DECAY, MAX_GRAD_NORM = 10, 1e-3, (0.9, 0.98), 1e-8, 0.01, 1.0
NONSTANDARD_IDS = (3, 24, 25, 26, 27, 28, 29, 30)

# How a sequence of the batch is treated.
PLAIN = "plain"        # nothing selected: no label, no <mask>
KEPT = "kept"          # labels on unchanged residues only, so no <mask>
MASKED = "masked"      # <mask>, random residues and kept residues
CROPPED = "cropped"    # masked, and a window without <cls> and <eos>


@dataclass(frozen=True)
class Case:
    name: str
    hidden_size: int
    heads: int
    intermediate_size: int
    layers: int
    sequences: tuple            # of (residues, treatment)
    layer_norm_eps: float = 1e-5
    half_inv_freq: bool = False  # rounded through fp16, as in the published models
    settings: tuple = ()         # further settings of the config


CASES = (
    Case("d8", 24, 3, 50, 3, ((1, KEPT), (20, MASKED), (7, PLAIN), (13, MASKED)), half_inv_freq=True),
    Case("d10", 30, 3, 77, 2, ((18, MASKED), (1, MASKED), (11, CROPPED)), settings=(("emb_layer_norm_before", None),)),
    Case("d16_half_inv_freq", 32, 2, 128, 2, ((15, MASKED), (9, KEPT), (21, MASKED)), half_inv_freq=True),
    Case("d24", 48, 2, 33, 1, ((19, CROPPED), (2, PLAIN), (8, MASKED), (16, MASKED))),
    Case("d32_eps1e-12", 32, 1, 96, 2, ((1, PLAIN), (20, MASKED), (5, MASKED)), layer_norm_eps=1e-12),
    Case("d64", 64, 1, 40, 1, ((12, MASKED), (20, MASKED), (3, KEPT))),
)
V4_CASE, V4_SOURCE = "d8_v4_names", "d8"


def make_tokens(rng, residues):
    """<cls> residues <eos>, one residue in eight not a standard amino acid."""
    letters = rng.integers(4, 24, residues)
    odd = rng.random(residues) < 0.125
    letters[odd] = rng.choice(NONSTANDARD_IDS, odd.sum())
    return numpy.concatenate(([esm2_torch.CLS], letters, [esm2_torch.EOS]))


def select(rng, tokens, treatment):
    """(tokens as the model sees them, labels) of one sequence."""
    labels = numpy.full_like(tokens, esm2_fp64.IGNORED_LABEL)
    shown = tokens.copy()
    residues = numpy.arange(1, len(tokens) - 1)
    if treatment != PLAIN:
        chosen = rng.choice(residues, max(1, round(0.3 * len(residues))), replace=False)
        labels[chosen] = tokens[chosen]
        if treatment != KEPT:
            kinds = numpy.resize(["mask", "mask", "mask", "random", "keep"], len(chosen))
            shown[chosen[kinds == "mask"]] = esm2_torch.MASK
            shown[chosen[kinds == "random"]] = rng.integers(4, 24, (kinds == "random").sum())
    inside = slice(1, -1) if treatment == CROPPED else slice(None)
    return shown[inside], labels[inside]


def make_batch(rng, sequences):
    """The packed batch of a case: {tokens, labels, cu_seqlens}, all int32."""
    pairs = [select(rng, make_tokens(rng, residues), treatment) for residues, treatment in sequences]
    lengths = [len(tokens) for tokens, _ in pairs]
    packed = {
        "tokens": numpy.concatenate([tokens for tokens, _ in pairs]),
        "labels": numpy.concatenate([labels for _, labels in pairs]),
        "cu_seqlens": numpy.concatenate(([0], numpy.cumsum(lengths))),
    }
    return {name: torch.from_numpy(values.astype(numpy.int32)) for name, values in packed.items()}


def make_model(case, rng):
    config = esm2_torch.esm2_config(
        case.hidden_size, case.heads, case.intermediate_size, case.layers,
        layer_norm_eps=case.layer_norm_eps, **dict(case.settings),
    )
    model = esm2_torch.random_model(config, rng)
    if case.half_inv_freq:
        buffer = model.esm.rotary_embeddings.inv_freq
        buffer.copy_(buffer.half().float())
    return model


def expected_forward(model, batch):
    logits, hidden = esm2_torch.run_packed(model, batch["tokens"], batch["cu_seqlens"])
    return {**batch, "logits": logits, **{f"hidden_states.{i}": state for i, state in enumerate(hidden)}}


def expected_grads(model, batch):
    loss = esm2_torch.backward_packed(model, batch["tokens"], batch["labels"], batch["cu_seqlens"])
    gradients = {name: p.grad.clone() for name, p in esm2_torch.trained_parameters(model).items()}
    norm = torch.nn.utils.get_total_norm(gradients.values(), foreach=False)
    named = {f"grad.{name}": gradient for name, gradient in gradients.items()}
    return {"loss": torch.tensor([loss]), "grad_norm": norm.reshape(1), **named}


def expected_steps(model, batch):
    """Trains the model in place."""
    optimizer = esm2_torch.adamw(model, LR, BETAS, EPS, WEIGHT_DECAY)
    arguments = (batch["tokens"], batch["labels"], batch["cu_seqlens"], MAX_GRAD_NORM)
    records = [esm2_torch.train_step(model, optimizer, *arguments) for _ in range(STEPS)]
    losses, norms = (torch.tensor(column) for column in zip(*records))
    weights = {f"weight.{name}": p.detach().clone() for name, p in esm2_torch.trained_parameters(model).items()}
    return {"losses": losses, "grad_norms": norms, **weights}


def save(directory, name, tensors):
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, directory / name, {"format": "pt"})


def write_case(root, case):
    """Writes one case directory."""
    rng = numpy.random.Generator(numpy.random.PCG64([SEED, *case.name.encode()]))
    model, batch = make_model(case, rng), make_batch(rng, case.sequences)
    directory = root / case.name
    model.save_pretrained(directory)
    save(directory, "expected_forward.safetensors", expected_forward(model, batch))
    save(directory, "expected_grads.safetensors", expected_grads(model, batch))
    save(directory, "expected_steps.safetensors", expected_steps(model, batch))


def v4_config(config):
    """The config.json that transformers 4.25 would have written for the same model."""
    modern = ("dtype", "rope_theta", "tie_word_embeddings", "is_decoder", "add_cross_attention",
              "bos_token_id", "eos_token_id")
    old = {key: value for key, value in config.items() if key not in modern}
    old.update(classifier_dropout=None, hidden_act="gelu", torch_dtype="float32",
               transformers_version="4.25.0.dev0", _name_or_path="d8")
    return dict(sorted(old.items()))


def v4_tensors(config, tensors):
    """The tensors of a model directory under the names of transformers 4, with its unused ones."""
    positions, width = config["max_position_embeddings"], config["hidden_size"]
    old = {name: tensor for name, tensor in tensors.items() if name != "inv_freq"}
    for i in range(config["num_hidden_layers"]):
        prefix = f"esm.encoder.layer.{i}.attention.self.rotary_embeddings."
        old[prefix + "inv_freq"] = tensors["inv_freq"].clone()
    old["lm_head.decoder.weight"] = tensors["esm.embeddings.word_embeddings.weight"].clone()
    old["esm.embeddings.position_ids"] = torch.arange(positions)[None]
    old["esm.embeddings.position_embeddings.weight"] = torch.full((positions, width), 0.5)
    return old


def write_v4_case(root):
    source, directory = root / V4_SOURCE, root / V4_CASE
    directory.mkdir(exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(v4_config(config), indent=2) + "\n")
    save(directory, "model.safetensors", v4_tensors(config, esm2_fp64.load_tensors(source)))
    save(directory, "expected_forward.safetensors", load_file(source / "expected_forward.safetensors"))


def check_reload(directory, expected):
    """transformers opens what it or transformers 4 saved, to the same bits."""
    model, info = EsmForMaskedLM.from_pretrained(directory, output_loading_info=True, attn_implementation="eager")
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        require(not info[kind], f"{directory.name}: {kind} {sorted(info[kind])}")
    logits, _ = esm2_torch.run_packed(model.eval(), expected["tokens"], expected["cu_seqlens"])
    require(torch.equal(logits, expected["logits"]), f"{directory.name}: logits changed by saving and loading")


def check_forward(directory):
    """Expected logits and hidden states equal the double-precision ones."""
    expected = load_file(directory / "expected_forward.safetensors")
    reference = esm2_fp64.Esm2.load(directory)
    results = [reference.forward(s.long()) for s in esm2_torch.split_packed(expected["tokens"], expected["cu_seqlens"])]
    check_against_fp64("logits", expected["logits"], torch.cat([logits for logits, _ in results]))
    for i, states in enumerate(zip(*(hidden for _, hidden in results))):
        check_against_fp64(f"hidden_states.{i}", expected[f"hidden_states.{i}"], torch.cat(states))
    check_reload(directory, expected)
    return expected


def check_training(directory, batch):
    """Expected gradients and steps equal the double-precision ones."""
    reference = esm2_fp64.Esm2.load(directory)
    initial = dict(reference.weights)
    sequences = [s.long() for s in esm2_torch.split_packed(batch["tokens"], batch["cu_seqlens"])]
    labels = [s.long() for s in esm2_torch.split_packed(batch["labels"], batch["cu_seqlens"])]
    grads = load_file(directory / "expected_grads.safetensors")
    steps = load_file(directory / "expected_steps.safetensors")
    optimizer = esm2_fp64.AdamW(reference, LR, BETAS, EPS, WEIGHT_DECAY, MAX_GRAD_NORM)
    for i in range(STEPS):
        loss, gradients = reference.gradients(sequences, labels)
        if i == 0:
            check_relative("loss", grads["loss"].item(), loss, LOSS_RELATIVE)
            check_gradients(without_prefix("grad.", grads), gradients)
        norm = optimizer.step(gradients)
        check_relative(f"loss of step {i + 1}", steps["losses"][i].item(), loss, LOSS_RELATIVE)
        check_relative(f"gradient norm of step {i + 1}", steps["grad_norms"][i].item(), norm, GRAD_NORM_RELATIVE)
    final = {name: reference.weights[name] for name in reference.trainable()}
    check_movement(initial, without_prefix("weight.", steps), final, LR)
    return steps


def without_prefix(prefix, tensors):
    return {name[len(prefix):]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def check_sizes(root):
    sizes = {path: path.stat().st_size for path in root.rglob("*") if path.is_file()}
    for path, size in sizes.items():
        require(size < FILE_LIMIT, f"{path}: {size} bytes")
    require(sum(sizes.values()) < TOTAL_LIMIT, f"{root}: {sum(sizes.values())} bytes in all")
    return sum(sizes.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output-dir", type=Path, default=FIXTURES)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if options.cases and case.name not in options.cases:
            continue
        write_case(options.output_dir, case)
        directory = options.output_dir / case.name
        expected = check_forward(directory)
        steps = check_training(directory, expected)
        print(f"{case.name}: max|z| {expected['logits'].abs().max():.2f}, "
              f"loss {steps['losses'][0]:.4f} -> {steps['losses'][-1]:.4f}, "
              f"gradient norm {steps['grad_norms'][0]:.3f} -> {steps['grad_norms'][-1]:.3f}")
    if not options.cases or V4_CASE in options.cases:
        write_v4_case(options.output_dir)
        check_forward(options.output_dir / V4_CASE)
    print(f"{check_sizes(options.output_dir):,} bytes in {options.output_dir}")


if __name__ == "__main__":
    main()
