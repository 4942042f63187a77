"""ESM-2 in double precision, from the formulas, without transformers.

The second opinion of the parity tests: elementary tensor operations on
float64, one sequence at a time, reading config.json and model.safetensors
itself under every naming that transformers has used. Gradients come from
autograd, so the same few lines also check backward and AdamW.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file

IGNORED_LABEL = -100
TRAINING_MASK_RATIO = 0.15 * 0.8


def normalised_name(name):
    """The transformers module path of a tensor, whatever version saved it."""
    if name.endswith("rotary_embeddings.inv_freq"):
        return "inv_freq"
    if name.endswith("LayerNorm.gamma"):
        return name[: -len("gamma")] + "weight"
    if name.endswith("LayerNorm.beta"):
        return name[: -len("beta")] + "bias"
    return name


def load_tensors(directory):
    """Tensors of a model directory by transformers module path, as stored."""
    stored = load_file(Path(directory) / "model.safetensors")
    return {normalised_name(name): tensor for name, tensor in stored.items()}


class Esm2:
    """config: the parsed config.json; tensors: module path -> tensor."""

    def __init__(self, config, tensors):
        self.config = config
        self.width = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.layers = config["num_hidden_layers"]
        self.head_width = self.width // self.heads
        self.inv_freq = tensors["inv_freq"].float()
        self.weights = {
            name: tensor.double()
            for name, tensor in tensors.items()
            if name != "inv_freq" and tensor.is_floating_point()
        }

    @classmethod
    def load(cls, directory):
        config = json.loads((Path(directory) / "config.json").read_text())
        return cls(config, load_tensors(directory))

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def layer_norm(self, x, name):
        centred = x - x.mean(-1, keepdim=True)
        variance = (centred * centred).mean(-1, keepdim=True)
        normalised = centred / torch.sqrt(variance + self.config["layer_norm_eps"])
        return normalised * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def embed(self, tokens):
        """Word embeddings under token dropout: masks zeroed, the rest rescaled. [T] -> [T,C]"""
        masked = tokens == self.config["mask_token_id"]
        ratio = masked.sum().double() / tokens.numel()
        rows = self.weights["esm.embeddings.word_embeddings.weight"][tokens]
        rows = rows * (~masked).double()[:, None]
        return rows * (1.0 - TRAINING_MASK_RATIO) / (1.0 - ratio)

    def rotate(self, x):
        """Half-split rotation; the angle is a float32 product, its sine and cosine are double. [T,H,D]"""
        angle = torch.arange(x.shape[0], dtype=torch.float32)[:, None] * self.inv_freq
        cos, sin = angle.double().cos()[:, None, :], angle.double().sin()[:, None, :]
        low, high = x.chunk(2, dim=-1)
        return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)

    def attend(self, x, prefix):
        split = (x.shape[0], self.heads, self.head_width)
        q = self.linear(x, prefix + "self.query").view(split) * self.head_width**-0.5
        k = self.linear(x, prefix + "self.key").view(split)
        v = self.linear(x, prefix + "self.value").view(split)
        scores = torch.einsum("qhd,khd->hqk", self.rotate(q), self.rotate(k))
        scores = scores - scores.amax(-1, keepdim=True)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        mixed = torch.einsum("hqk,khd->qhd", weights, v).reshape(x.shape)
        return self.linear(mixed, prefix + "output.dense")

    def forward(self, tokens):
        """tokens [T] -> (logits [T,V], hidden states: L+1 of [T,C], the last after the final norm)."""
        x = self.embed(tokens)
        hidden = [x]
        for i in range(self.layers):
            prefix = f"esm.encoder.layer.{i}."
            x = x + self.attend(self.layer_norm(x, prefix + "attention.LayerNorm"), prefix + "attention.")
            inner = gelu(self.linear(self.layer_norm(x, prefix + "LayerNorm"), prefix + "intermediate.dense"))
            x = x + self.linear(inner, prefix + "output.dense")
            hidden.append(x)
        hidden[-1] = x = self.layer_norm(x, "esm.encoder.emb_layer_norm_after")
        return self.lm_head(x), hidden

    def lm_head(self, x):
        x = self.layer_norm(gelu(self.linear(x, "lm_head.dense")), "lm_head.layer_norm")
        return x @ self.weights["esm.embeddings.word_embeddings.weight"].T + self.weights["lm_head.bias"]

    def loss_sum(self, sequences, labels):
        """(sum of NLL, count) over all labelled rows of all sequences."""
        total, count = 0.0, 0
        for tokens, targets in zip(sequences, labels):
            rows = torch.nonzero(targets != IGNORED_LABEL)[:, 0]
            logits = self.forward(tokens)[0][rows]
            total = total + (logits.logsumexp(-1) - logits[torch.arange(len(rows)), targets[rows]]).sum()
            count += len(rows)
        return total, count

    def trainable(self):
        """Names of the tensors that MLM training moves, in a fixed order."""
        left_out = ("esm.contact_head.", "esm.embeddings.position", "lm_head.decoder.")
        return sorted(name for name in self.weights if not name.startswith(left_out))

    def gradients(self, sequences, labels):
        """(mean loss, {name: gradient}) of one packed batch."""
        names = self.trainable()
        leaves = [self.weights[name].detach().requires_grad_() for name in names]
        self.weights.update(zip(names, leaves))
        total, count = self.loss_sum(sequences, labels)
        loss = total / count
        return loss.item(), dict(zip(names, torch.autograd.grad(loss, leaves)))


class AdamW:
    """AdamW with decoupled decay and clipping by the global norm, in double."""

    def __init__(self, model, lr, betas, eps, weight_decay, max_grad_norm):
        self.model, self.lr, self.betas, self.eps = model, lr, betas, eps
        self.weight_decay, self.max_grad_norm = weight_decay, max_grad_norm
        self.updates = 0
        self.moments = {name: [torch.zeros_like(model.weights[name]) for _ in range(2)] for name in model.trainable()}

    def step(self, gradients):
        """Updates the model's weights; returns the norm before clipping."""
        norm = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
        clip = min(1.0, self.max_grad_norm / (norm + 1e-6))
        self.updates += 1
        for name, gradient in gradients.items():
            self.update_tensor(name, gradient * clip)
        return norm

    def update_tensor(self, name, gradient):
        first, second = self.moments[name]
        first.mul_(self.betas[0]).add_((1 - self.betas[0]) * gradient)
        second.mul_(self.betas[1]).add_((1 - self.betas[1]) * gradient * gradient)
        mean = first / (1 - self.betas[0] ** self.updates)
        spread = torch.sqrt(second / (1 - self.betas[1] ** self.updates)) + self.eps
        weight = self.model.weights[name].detach()
        if is_decayed(name, weight):
            weight = weight * (1 - self.lr * self.weight_decay)
        self.model.weights[name] = weight - self.lr * mean / spread


def is_decayed(name, tensor):
    """Weight decay acts on linear weights only: no embedding, norm or bias."""
    return tensor.dim() == 2 and "embeddings" not in name


def gelu(x):
    return 0.5 * x * (1.0 + torch.erf(x / math.sqrt(2.0)))
