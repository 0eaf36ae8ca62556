"""The mean of an estimator over continuous draws, with an estimate of its error."""

from __future__ import annotations

import numpy as np

from ..enumeration import Enumeration
from ..moments import Moments
from ..run import TooManyPaths
from .boxes import MOST_NUMBERS, integrate_by_boxes
from .quadrature import Quadrature
from .sparse_grid import integrate_smooth
from .sums import Integral, Sums


class Integration:
    """Integrals of one estimator: each an enumeration, of which every number takes a node.

    Args:
        enumeration: of its paths, which was entered.
        like: arrays of the names and shapes that gradients should have.
        tolerance: that the error is to come to, as a share of each entry's mean magnitude.
        most: paths that may be run, in all.
    """

    def __init__(
        self,
        enumeration: Enumeration,
        like: dict[str, np.ndarray],
        tolerance: float,
        most: int,
    ) -> None:
        self._enumeration, self._like = enumeration, like
        self._tolerance, self._most = tolerance, most
        #: The moments by the coarsest rule, which say what is read, and how.
        self.coarse: Moments | None = None
        #: The largest magnitude of each entry on any path, (P,), and the draws of a path at most.
        self.largest = np.zeros(0)
        self.draws = 0

    def integrate(self) -> Integral:
        """The mean, as well as paths allow.

        Raises:
            NotEnumerable: for an unsupported draw, nondeterministic code, or more numbers than
                paths allow to integrate.
        """
        quadrature = Quadrature()
        try:
            self.coarse = moments = self._moments_by(quadrature)
        except TooManyPaths as error:
            raise TooManyPaths(
                f"{quadrature.numbers} continuous numbers are used on a path, of which each takes "
                f"two nodes at least, and so there are more than {self._most:,} paths; use fewer, "
                "or sample (draws=)"
            ) from error
        numbers = quadrature.numbers
        if not numbers:
            sums = Sums.of(moments)
            return Integral(sums, np.zeros_like(sums.mean), "no number is used", moments.count, 0)
        left = self._most - moments.count
        found = integrate_smooth(self._moments_by, numbers, self._tolerance, left // 2)
        if not found.is_within(self._tolerance) and numbers <= MOST_NUMBERS:
            rest = left - found.paths
            other = integrate_by_boxes(self._moments_by, numbers, self._tolerance, rest)
            better = other if other.is_better_than(found) else found
            found = better._replace(paths=found.paths + other.paths)
        return found._replace(paths=found.paths + moments.count)

    def _moments_by(self, quadrature: Quadrature) -> Moments:
        self._enumeration.handling.quadrature = quadrature
        moments = self._enumeration.moments(self._like)
        largest = moments.largest()
        self.largest = np.maximum(self.largest, largest) if self.largest.size else largest
        self.draws = max(self.draws, moments.draws)
        return moments
