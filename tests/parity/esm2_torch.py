"""The transformers side of the parity tests: models, batches, losses, steps.

Every sequence runs alone and unpadded, because some transformers releases
computed the token-dropout ratio from the padded length.
"""

import torch
from torch.nn import functional
from transformers import EsmConfig, EsmForMaskedLM
from transformers.utils import logging

from esm2_fp64 import IGNORED_LABEL, is_decayed

MASK, CLS, PAD, EOS = 32, 0, 1, 2
STANDARD_IDS = range(4, 24)
VOCABULARY = (
    "<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>".split()
)

logging.disable_progress_bar()


def esm2_config(hidden_size, heads, intermediate_size, layers, **overrides):
    """An EsmConfig that means ESM-2 whatever the class defaults are."""
    settings = dict(
        vocab_size=33, hidden_size=hidden_size, num_attention_heads=heads,
        intermediate_size=intermediate_size, num_hidden_layers=layers,
        mask_token_id=MASK, pad_token_id=PAD, token_dropout=True, emb_layer_norm_before=False,
        position_embedding_type="rotary", layer_norm_eps=1e-5, max_position_embeddings=1026,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager",
    )
    return EsmConfig(**{**settings, **overrides})


def random_model(config, rng):
    """A model in which every parameter matters: no zero bias, no unit norm, uneven attention.

    rng: a numpy Generator. Scales are those of trained models, logits O(1-5).
    """
    model = EsmForMaskedLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.from_numpy(rng.standard_normal(parameter.shape)).float()
            parameter.copy_(random_values(name, parameter, noise))
    return model


def random_values(name, parameter, noise):
    if parameter.dim() == 1:
        is_norm_weight = "norm" in name.lower() and name.endswith("weight")
        return 0.1 * noise + (1.0 if is_norm_weight else 0.0)
    if "word_embeddings" in name:
        return 0.3 * noise
    gain = 1.5 if ".query." in name or ".key." in name else 0.7
    return noise * gain / parameter.shape[1] ** 0.5


def split_packed(values, cu_seqlens):
    """The sequences of a packed tensor. [N,...] -> S of [length,...]"""
    return torch.tensor_split(values, cu_seqlens[1:-1].long().cpu())


def run_sequence(model, tokens):
    """(logits [T,V], hidden states: list of [T,C]) of one unpadded sequence."""
    ids = tokens.long()[None]
    out = model(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    return out.logits[0], [state[0] for state in out.hidden_states]


def run_packed(model, tokens, cu_seqlens):
    """The same for a packed batch, without gradients. -> logits [N,V], hidden states [N,C]"""
    with torch.no_grad():
        results = [run_sequence(model, sequence) for sequence in split_packed(tokens, cu_seqlens)]
    hidden = [torch.cat(states) for states in zip(*(states for _, states in results))]
    return torch.cat([logits for logits, _ in results]), hidden


def backward_packed(model, tokens, labels, cu_seqlens):
    """Mean NLL over the labelled rows of the whole batch; leaves its gradients in the model."""
    model.zero_grad(set_to_none=True)
    count = int((labels != IGNORED_LABEL).sum())
    total = 0.0
    for sequence, targets in zip(split_packed(tokens, cu_seqlens), split_packed(labels, cu_seqlens)):
        logits, _ = run_sequence(model, sequence)
        nll = functional.cross_entropy(logits, targets.long(), ignore_index=IGNORED_LABEL, reduction="sum")
        (nll / count).backward()
        total += nll.item()
    return total / count


def trained_parameters(model):
    """{name: parameter} that MLM moves: tied tensors once, no contact head."""
    return {name: p for name, p in model.named_parameters() if "contact_head" not in name}


def adamw(model, lr, betas, eps, weight_decay):
    """torch's AdamW with decay on linear weights only."""
    groups = {True: [], False: []}
    for name, parameter in trained_parameters(model).items():
        groups[is_decayed(name, parameter)].append(parameter)
    return torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}],
        lr=lr, betas=betas, eps=eps, foreach=False,
    )


def train_step(model, optimizer, tokens, labels, cu_seqlens, max_grad_norm):
    """One update. -> (loss before it, gradient norm before clipping)"""
    loss = backward_packed(model, tokens, labels, cu_seqlens)
    norm = torch.nn.utils.clip_grad_norm_(trained_parameters(model).values(), max_grad_norm, foreach=False)
    optimizer.step()
    return loss, norm.item()
