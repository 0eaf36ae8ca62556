"""The baseline of the note's released code: a running loss per token, times the length."""

from __future__ import annotations

import dataclasses

import numpy as np

from .linear import LENGTH, Feature, Linear
from .running import AveragingBaseline


@dataclasses.dataclass(frozen=True)
class PerToken(AveragingBaseline, Linear):
    """B(x) = b |x|, with b <- .99 b + .01 sum L / sum |x|.

    Valid when: used before its update, as any running mean.

    Reference:
        The code that the note's authors released in 2016.
    """

    name: str = "per-token"
    features: tuple[Feature, ...] = (LENGTH,)
    bias: bool = False
    decay: float = 0.99

    def of_losses(self, losses: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """The loss of all sentences by the tokens of all."""
        return {"lambda.length": np.array([losses.sum() / lengths.sum()])}
