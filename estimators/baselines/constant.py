"""A baseline that is the same for every sentence; zero is no baseline."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.reference_models.ops import Array

from .linear import Linear
from .protocol import BaselineInput, NothingLearned


@dataclasses.dataclass(frozen=True)
class Constant(Linear):
    """B(x) = lambda.bias.

    Valid when: always. It depends on no label, and is detached.

    Reference:
        Williams (1992), Simple statistical gradient-following algorithms for connectionist
        reinforcement learning. Weaver and Tao (2001), The optimal reward baseline for
        gradient-based reinforcement learning (the best constant). Greensmith,
        Bartlett and Baxter (2004), Variance reduction techniques for gradient estimates in
        reinforcement learning.
    """

    name: str = "constant"

    def of_losses(self, losses: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Their mean."""
        return {"lambda.bias": np.array(losses.mean())}


@dataclasses.dataclass(frozen=True)
class Zero(NothingLearned):
    """B(x) = 0."""

    name: str = "none"
    coupled: bool = False
    held: bool = True

    def value(self, seen: BaselineInput) -> Array:
        """Zeros."""
        return seen.ops.zeros_like(seen.loss)
