"""What is missing of a sum over paths where draws without an end are cut, at most.

Gradients may grow as fast as the probabilities of outcomes fall, so that these alone say nothing.
What paths add is looked at by their probability instead, that of the draws which are cut. Those
below the root of the least that is kept have added D to a sum S of sizes; those below the least
itself would add no more than D (D / S), those below its power of 3/2 no more than D (D / S)², and
so on: D / S to the power of the logarithm falls no slower as it goes on, for laws whose logarithm
is concave or linear in the end and gradients that grow no faster than exponentially. Beside that,
all that is left out may be as large as the largest gradient of any parameter that was seen.

What shows on no path is not in it: a cost that begins beyond all that is kept, and then is larger
than any before by more than what is left out is rare. Where nothing shows at all, nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .counts import least_product, product_of_cut


class PathEdge(NamedTuple):
    """How near a path is to what is left out: whether it is far out, and what is left out there.

    ``probability`` is that of what is left out beside its last outcomes.
    """

    is_far: bool
    probability: float


#: Of a path on which nothing is cut.
NOTHING_CUT = PathEdge(False, 0.0)


def edge_of(choices: Iterable[Any], weight: float) -> PathEdge:
    """That of a path, by its draws and its probability."""
    cut = [choice for choice in choices if choice.outcomes.is_cut]
    if not cut:
        return NOTHING_CUT
    product, draws = product_of_cut(cut)
    left = sum(
        weight / choice.probability * choice.outcomes.left_out
        for choice in cut
        if choice.taken == choice.outcomes.last and choice.probability > 0.0
    )
    return PathEdge(is_far(product, draws), left)


def is_far(product: Any, draws: int) -> Any:
    """Whether cut draws are rarer together than the root of the least that is kept."""
    return product < math.sqrt(least_product(draws))


class LeftOut:
    """What is left out of a sum, as it grows.

    Args:
        size: how many numbers are added up, P.
    """

    def __init__(self, size: int) -> None:
        self._far = np.zeros(size)
        #: Of all that is left out together.
        self.probability = 0.0

    def add(self, weights: np.ndarray, sizes: np.ndarray) -> None:
        """Add paths that are far, by their probabilities (N,) and magnitudes (N, P)."""
        self._far += weights @ sizes

    def merge(self, other: LeftOut) -> None:
        """Add those of another."""
        self._far += other._far
        self.probability += other.probability

    def bound(self, size: np.ndarray, largest: float) -> np.ndarray:
        """What is left out of each entry at most, (P,); infinite where that is not known.

        Args:
            size: what all paths together have added, without signs, (P,).
            largest: magnitude of any entry on any path.
        """
        if not self.probability:
            return np.zeros_like(self._far)
        if not largest:  # it says nothing of how large a gradient may be
            return np.full_like(self._far, np.inf)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            share = np.where(size > 0.0, self._far / size, 0.0)
            tail = np.where(share < 1.0, self._far * share / (1.0 - share), np.inf)
            return np.asarray(np.where(size > 0.0, tail, 0.0) + self.probability * largest)
