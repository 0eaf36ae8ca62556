"""Means that run along with training: b <- d b + (1 - d) new."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from .protocol import BaselineBatch, Lambda, check_shape, plain


@runtime_checkable
class Averaged(Protocol):
    """A baseline that is a mean of losses: it has a lambda that a running mean runs towards."""

    def of_losses(self, losses: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Lambda as these losses (N,) alone have it."""


class AveragingBaseline:
    """Learns from L at the drawn labels by averaging, with no gradient of anything.

    ``decay`` is d, from 0 (forgets all) to 1 (never learns).

    Reference:
        Sutton (1984), Temporal credit assignment in reinforcement learning (reinforcement
        comparison). Williams (1992), Simple statistical gradient-following algorithms for
        connectionist reinforcement learning.
    """

    decay: float

    def of_losses(self, losses: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Lambda as these losses (N,) alone have it."""
        raise NotImplementedError

    def updated(
        self, lambda_: Lambda, x: BaselineBatch, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The mean with this step's losses in it.

        Raises:
            ValueError: if the losses are not one finite number for each sentence.
        """
        lengths = plain(x.lengths)
        new = self.of_losses(check_shape("losses", plain(x.losses), (len(lengths),)), lengths)
        return {
            name: self.decay * lambda_[name] + (1.0 - self.decay) * mean
            for name, mean in new.items()
        }
