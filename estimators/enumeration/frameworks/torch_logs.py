"""Logarithms of the probabilities of what was drawn, such as PyTorch can differentiate."""

from __future__ import annotations

from typing import Any

#: A tensor of PyTorch.
Tensor = Any


def log_weights(weights: Tensor, places: Tensor, replacement: bool) -> Tensor:
    """Of outcomes that were drawn by weights.

    Shape: ``weights`` (..., K), ``places`` (..., N) as what is returned.
    """
    taken = weights.gather(-1, places)
    left = weights.sum(-1, keepdim=True)
    if not replacement:
        left = left - (taken.cumsum(-1) - taken)
    return (taken / left).log()


def log_coins(torch: Any, ones: Tensor, drawn: Tensor) -> Tensor:
    """Of coins that came out so, by the probabilities of ones; each as they are."""
    return torch.where(drawn != 0.0, ones, 1.0 - ones).log()


def has_lost_graph(given: Tensor, log: Tensor) -> bool:
    """Whether probabilities have a derivative, and their logarithm has none."""
    return bool(given.requires_grad) and not log.requires_grad
