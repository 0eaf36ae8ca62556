"""The baseline of the released training script: a running mean of the loss, for all sentences."""

from __future__ import annotations

import dataclasses

import numpy as np

from .linear import Linear
from .running import AveragingBaseline


@dataclasses.dataclass(frozen=True)
class MeanLoss(AveragingBaseline, Linear):
    """B(x) = b, with b <- .9 b + .1 mean L.

    The script takes it off the loss *per token*, which is as many times smaller as a sentence has
    tokens: form ``reward-per-token``.

    Valid when: used before its update, as any running mean.

    Reference:
        The default of the training script that the note's authors released in 2016.
    """

    name: str = "mean-loss"
    decay: float = 0.9

    def of_losses(self, losses: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Their mean."""
        return {"lambda.bias": np.array(losses.mean())}
