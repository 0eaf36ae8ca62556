"""Moments of an estimator by several rules, and their weighted sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..moments import Moments
from .quadrature import Quadrature

#: Runs an estimator on all paths that quadratures give, for the moments by each.
MomentsBy = Callable[[Sequence[Quadrature]], list[Moments]]


class Sums(NamedTuple):
    """Means over all outcomes and nodes: of each entry, its square, and its magnitude.

    Shape: (P,) each.
    """

    mean: np.ndarray
    square: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, moments: Moments) -> Sums:
        """Those of an enumeration."""
        mean = moments.mean()
        return cls(mean, moments.variance() + mean**2, moments.size())

    @classmethod
    def zeros(cls, count: int) -> Sums:
        """Nothing yet, for so many entries."""
        return cls(*np.zeros((3, count)))

    def plus(self, other: Sums, times: float = 1.0) -> Sums:
        """With another, a multiple of it."""
        return Sums(*(one + times * two for one, two in zip(self, other, strict=True)))


#: Rules that differ by more than this share of the variance may be of what has none. Of 2,900
#: random networks of one and two numbers, which have one, 41 did, all but two with jumps: they are
#: undecided.
TAILS = 0.2


class IntegratedMean(NamedTuple):
    """An integrated mean and what is estimated of its error.

    Args:
        sums: over all outcomes and nodes.
        error: estimated, from rules of different sizes; no bound. (P,)
        how: the rules, in a few words.
        paths: that were run.
        numbers: integrated on a path, at most.
        is_slow: whether larger rules would hardly be better.
        square_error: what rules of different places differ by in mean squares; None if there are no
            others to compare. (P,)
    """

    sums: Sums
    error: np.ndarray
    how: str
    paths: int
    numbers: int
    is_slow: bool = False
    square_error: np.ndarray | None = None

    def knows_squares(self, share: float) -> bool:
        """Whether no entry's mean square differs by more than a share of it."""
        error = self.square_error
        return error is None or bool((error <= share * self.sums.square).all())

    def has_tails(self) -> bool:
        """Whether rules that may agree on the mean differ on the variance, as of what has none.

        Symmetrical rules give a Cauchy number the mean that it does not have.
        """
        if self.square_error is None:
            return False
        variance = self.sums.square - self.sums.mean**2
        rounding = np.sqrt(np.finfo(float).eps) * self.sums.square
        return bool((self.square_error > TAILS * np.abs(variance) + rounding).any())

    def is_within(self, tolerance: float) -> bool:
        """Whether no entry's estimated error is beyond a share of its mean magnitude."""
        return bool((self.error <= tolerance * self.sums.size).all())

    def is_better_than(self, other: IntegratedMean) -> bool:
        """Whether the entry that is known worst, beside its mean magnitude, is known better."""
        return self._worst < other._worst

    @property
    def _worst(self) -> float:
        share = np.divide(
            self.error, self.sums.size, out=np.zeros_like(self.error), where=self.sums.size > 0.0
        )
        return float(share.max(initial=0.0))
