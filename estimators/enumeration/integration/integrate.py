"""The mean of an estimator over continuous draws, with an estimate of its error."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from ..enumeration import Enumeration
from ..moments import Moments
from ..run import TooManyPaths
from .boxes import MOST_NUMBERS, integrate_by_boxes
from .quadrature import LEAST, Quadrature
from .sparse_grid import integrate_smooth
from .sums import Integral, Sums


#: With fewer paths than this nothing better can be found.
MOST_LEFT = 100

#: Paths by which it is found what a framework's approximation of derivatives does to the mean.
MOST_APPROXIMATED = 64

#: It is allowed for as many times: approximations differ from node to node, and so by rules of some
#: dozens of nodes; of PyTorch's gamma numbers by 1.6 times at most, from 16 nodes to 64.
ALLOWANCE = 4.0


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
        #: What a framework approximates the derivatives of, and what that adds to the error, (P,).
        self.approximated: set[str] = set()
        self.approximation: np.ndarray | float = 0.0

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
        found = self._by_best_rule(numbers, moments.count, has_functions=quadrature.has_functions)
        return self._with_approximations(found, moments.count)

    def _by_best_rule(self, numbers: int, paths: int, *, has_functions: bool) -> Integral:
        """By grids, and by boxes where these do not come to an end.

        Args:
            paths: that were run.
        """
        tolerance, best = self._tolerance, None
        ways: list[Callable[[int], Integral]] = [
            functools.partial(
                integrate_smooth, self._moments_by, numbers, tolerance, by_function=by_function
            )
            for by_function in ((False, True) if has_functions else (False,))
        ]
        if numbers <= MOST_NUMBERS:
            boxes = functools.partial(integrate_by_boxes, self._moments_by, numbers, tolerance)
            ways.append(boxes)
        for integrate in ways:
            if best is not None and (best.is_within(tolerance) or self._most - paths < MOST_LEFT):
                break
            found = integrate(most=self._most - paths)
            paths += found.paths
            best = found if best is None or found.is_better_than(best) else best
        assert best is not None  # there is one way at least
        return best._replace(paths=paths)

    def _with_approximations(self, found: Integral, least: int) -> Integral:
        """With what derivatives that a framework approximates add to the error.

        Args:
            least: paths where each number takes the least nodes.
        """
        if not self.approximated:
            return found
        allowed = max(MOST_APPROXIMATED // least, 1) ** (1.0 / found.numbers)
        counts = (LEAST * int(allowed),) * found.numbers
        as_is, derived = (
            self._moments_by(Quadrature(counts, derives=derives)) for derives in (False, True)
        )
        self.approximation = ALLOWANCE * np.abs(as_is.mean() - derived.mean())
        paths = found.paths + as_is.count + derived.count
        return found._replace(paths=paths)

    def _moments_by(self, quadrature: Quadrature) -> Moments:
        self._enumeration.handling.quadrature = quadrature
        moments = self._enumeration.moments(self._like)
        largest = moments.largest()
        self.largest = np.maximum(self.largest, largest) if self.largest.size else largest
        self.draws = max(self.draws, moments.draws)
        self.approximated |= quadrature.approximated
        return moments
