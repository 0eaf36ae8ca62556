"""The mean of what the baseline is subtracted from, by enumerating the labels."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.reference_models import objective
from gradproof.reference_models.ops import Array, Ops

from .protocol import BaselineInput, NothingLearned


@dataclasses.dataclass(frozen=True)
class ExpectedReturn(NothingLearned):
    """B(x) = E_q[R|x] = U(x) + 1, from L at every label.

    Valid when: detached; it depends on every parameter of the model. It costs the enumeration
    that sampling is to save, and shows what a baseline that learns from returns can come to.
    """

    name: str = "expected-return"
    coupled: bool = False
    held: bool = True

    def value(self, seen: BaselineInput) -> Array:
        """U + 1 of each sentence."""
        log_q = seen.model.log_q(seen.ops, seen.parameters, seen.batch)
        labels = _every_label(seen.ops, log_q, seen.batch.n, seen.model.classes)
        losses = seen.model.loss(seen.ops, seen.parameters, seen.batch, labels)
        return objective.unlabelled(seen.ops, log_q, losses) + 1.0


def _every_label(ops: Ops, log_q: Array, n: int, classes: int) -> Array:
    """One-hot labels (K, N, K) of the framework and precision of ``log_q``."""
    zeros = ops.zeros_like(log_q)
    chosen = np.eye(classes, dtype=bool)
    rows = [ops.where(np.tile(row, (n, 1)), zeros + 1.0, zeros) for row in chosen]
    return ops.stack(rows, axis=0)
