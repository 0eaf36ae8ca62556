"""Baselines made of the batch's own losses: with the sentence's own loss in it, or without."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.ops import Array, Ops


@dataclasses.dataclass(frozen=True)
class BatchMean:
    """The mean loss of the batch, the sentence's own among them.

    Valid when: never. B contains the draw it is subtracted from, and the score part of the estimate
    shrinks by 1 - 1/N (claim ``baseline.unbiased``).
    """

    name: str = "batch-mean"
    coupled: bool = True
    held: bool = True

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """Nothing to fit."""
        return {}

    def value(
        self,
        ops: Ops,
        parameters: Mapping[str, Array],
        batch: Batch,
        inputs: Mapping[str, Array],
        loss: Array,
    ) -> Array:
        """The same mean for each sentence."""
        return ops.zeros_like(loss) + ops.sum(loss) / batch.n

    def kept(self, n: int) -> float:
        """The share of the score part that is left, 1 - 1/N."""
        return 1.0 - 1.0 / n


@dataclasses.dataclass(frozen=True)
class LeaveOneOut(BatchMean):
    """The mean loss of the other sentences; zero where there is no other.

    Valid when: labels of different sentences are drawn independently.

    Reference:
        Mnih and Rezende (2016), VIMCO; Kool et al. (2019).
    """

    name: str = "leave-one-out"

    def value(
        self,
        ops: Ops,
        parameters: Mapping[str, Array],
        batch: Batch,
        inputs: Mapping[str, Array],
        loss: Array,
    ) -> Array:
        """Another mean for each sentence."""
        if batch.n == 1:
            return ops.zeros_like(loss)
        return (ops.sum(loss) - loss) / (batch.n - 1)

    def kept(self, n: int) -> float:
        """All of it."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class RunningMean(BatchMean):
    """A running mean b <- d b + (1 - d) mean L, used before or after this batch has updated it.

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

    def value(
        self,
        ops: Ops,
        parameters: Mapping[str, Array],
        batch: Batch,
        inputs: Mapping[str, Array],
        loss: Array,
    ) -> Array:
        """The same mean for each sentence."""
        old = ops.zeros_like(loss) + inputs["lambda.mean"]
        if not self.update_first:
            return old
        return self.decay * old + (1.0 - self.decay) * ops.sum(loss) / batch.n

    def kept(self, n: int) -> float:
        """The share of the score part that is left."""
        return 1.0 - (1.0 - self.decay) / n if self.update_first else 1.0
