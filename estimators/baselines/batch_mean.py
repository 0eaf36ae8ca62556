"""Baselines made of the batch's own losses: with the sentence's own loss in it, or without."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.reference_models.ops import Array

from .protocol import BaselineInput, NothingLearned
from .running import AveragingBaseline


@dataclasses.dataclass(frozen=True)
class BatchMean(NothingLearned):
    """The mean loss of the batch, the sentence's own among them.

    Valid when: never. B contains the draw it is subtracted from, and the score part of the estimate
    shrinks by 1 - 1/N (claim ``baseline.unbiased``).
    """

    name: str = "batch-mean"
    coupled: bool = True
    held: bool = True

    def value(self, seen: BaselineInput) -> Array:
        """The same mean for each sentence."""
        return seen.ops.zeros_like(seen.loss) + seen.ops.sum(seen.loss) / seen.batch.n

    def kept_share(self, n: int) -> float:
        """The share of the score part that is left, 1 - 1/N."""
        return 1.0 - 1.0 / n


@dataclasses.dataclass(frozen=True)
class LeaveOneOut(BatchMean):
    """The mean loss of the other sentences; zero where there is no other.

    Valid when: labels of different sentences are drawn independently.

    Reference:
        Mnih and Rezende (2016), Variational inference for Monte Carlo objectives (VIMCO). Kool, van
        Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline for free!
    """

    name: str = "leave-one-out"

    def value(self, seen: BaselineInput) -> Array:
        """Another mean for each sentence."""
        if seen.batch.n == 1:
            return seen.ops.zeros_like(seen.loss)
        return (seen.ops.sum(seen.loss) - seen.loss) / (seen.batch.n - 1)

    def kept_share(self, n: int) -> float:
        """All of it."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class RunningMean(AveragingBaseline, BatchMean):
    """A running mean b <- d b + (1 - d) mean L, used before or after this batch has updated it.

    L and not R is what it learns from, as it is what the note and its code subtract it from.

    Valid when: used before the update. Updated first, it contains the sentence's own draw and the
    score part shrinks by 1 - (1 - d)/N.

    Args:
        decay: d, from 0 (forgets all) to 1 (never learns).
        update_first: subtract the mean that this batch's losses are already in.
    """

    name: str = "running-mean"
    decay: float = 0.75
    update_first: bool = False

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """The mean so far."""
        return {"lambda.mean": np.array(2.0 + rng.standard_normal())}

    def value(self, seen: BaselineInput) -> Array:
        """The same mean for each sentence."""
        old = seen.ops.zeros_like(seen.loss) + seen.inputs["lambda.mean"]
        if not self.update_first:
            return old
        return self.decay * old + (1.0 - self.decay) * super().value(seen)

    def of_losses(self, losses: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Their mean."""
        return {"lambda.mean": np.array(losses.mean())}

    def kept_share(self, n: int) -> float:
        """The share of the score part that is left."""
        return 1.0 - (1.0 - self.decay) / n if self.update_first else 1.0
