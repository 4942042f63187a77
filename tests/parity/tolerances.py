"""The tolerances of the model specification, in one place, as checks that raise."""

import torch

LOGITS_RELATIVE = 1e-5       # against the double-precision reference, of max(1, max|z|)
LOGITS_ABSOLUTE = 1e-4       # against transformers in float32
GRADIENT_RELATIVE = 1e-4     # per tensor, of its own norm
GRADIENT_OF_TOTAL = 1e-7     # ... plus this part of the norm of all gradients
LOSS_RELATIVE = 2e-5
GRAD_NORM_RELATIVE = 1e-4
MOVEMENT_RELATIVE = 1e-2     # per tensor, of the distance it moved
MOVEMENT_OF_LR = 0.2         # per element, of the learning rate


class Mismatch(AssertionError):
    """Two implementations disagree by more than the tolerance."""


def require(condition, message):
    if not condition:
        raise Mismatch(message)


def require_within(what, error, limit):
    """NaN fails too."""
    require(error <= limit, f"{what}: {error:.3e} > {limit:.3e}")


def max_error(got, want):
    require(got.shape == want.shape, f"shape {tuple(got.shape)} instead of {tuple(want.shape)}")
    return (got.double() - want.double()).abs().max().item()


def check_against_fp64(what, got, want):
    require_within(what, max_error(got, want), LOGITS_RELATIVE * max(1.0, want.abs().max().item()))


def check_against_hf(what, got, want):
    require_within(what, max_error(got, want), LOGITS_ABSOLUTE)


def check_relative(what, got, want, tolerance):
    require_within(what, abs(got - want), tolerance * abs(want))


def check_gradients(got, want):
    """got, want: {name: gradient}."""
    require(set(got) == set(want), f"gradients of different tensors: {sorted(set(got) ^ set(want))}")
    total = torch.stack([g.double().norm() for g in want.values()]).norm().item()
    for name, gradient in want.items():
        error = (got[name].double() - gradient.double()).norm().item()
        limit = GRADIENT_RELATIVE * gradient.double().norm().item() + GRADIENT_OF_TOTAL * total
        require_within(f"gradient of {name}", error, limit)


def check_movement(initial, got, want, lr):
    """Weights after some steps at learning rate lr, both from the same initial ones."""
    for name, weight in want.items():
        moved = (weight.double() - initial[name].double()).norm().item()
        difference = got[name].double() - weight.double()
        require_within(f"movement of {name}", difference.norm().item(), MOVEMENT_RELATIVE * moved)
        require_within(f"elements of {name}", difference.abs().max().item(), MOVEMENT_OF_LR * lr)
