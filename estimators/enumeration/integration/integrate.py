"""The mean of an estimator over continuous draws, with an estimate of its error."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from ..block import MOST_ROWS
from ..block_moments import FEWEST_PATHS
from ..compared_paths import ComparedPaths
from ..enumeration import Enumeration
from ..moments import Moments
from ..run import TooManyPaths
from .boxes import MOST_NUMBERS, agree, integrate_by_boxes, is_blind
from .quadrature import Quadrature
from .several import Quadratures
from .sparse_grid import integrate_smooth
from .sums import IntegratedMean, Sums

#: With fewer paths than this nothing better can be found.
MOST_LEFT = 100

#: The share of all paths by which each of two ways is tried, as one over it.
TRIAL = 8

#: Where paths cannot be run together, it is tried again with so many times as many: of more, more
#: go the same way through the code. So all that is tried in vain takes a seventh of the last.
MORE = 8

#: Paths by which it is found what a framework's approximation of derivatives does to the mean.
MOST_APPROXIMATED = 128

#: It is allowed for as many times, for it is found by another rule than the mean. Between rules of
#: 16 and 128 nodes, and functions 1 and x of gamma numbers of shapes 0.7 to 7, it differs by a
#: quarter at most; of shapes 0.3 and 30, where its sign changes, by 15 and 30 times, and a right
#: estimator may be left undecided there.
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
        #: The draws of a path at most.
        self.draws = 0
        #: Paths that were run, and numbers that were integrated on one of them at most.
        self.paths, self.numbers = 0, 0
        #: Where gradients are infinite or no numbers, by parameter.
        self.wrong: dict[str, str] = {}
        #: What a framework approximates the derivatives of, and what that adds to the error, (P,).
        self.approximated: set[str] = set()
        self.approximation: np.ndarray | float = 0.0
        #: The places of numbers that are drawn by keys, the same in all rules.
        self._by_key: dict[Hashable, int] = {}
        #: Paths from which on they are run many at a time.
        self._together_from = FEWEST_PATHS
        enumeration.compared = ComparedPaths()

    def integrate(self) -> IntegratedMean:
        """The mean, as well as paths allow.

        Raises:
            NotEnumerable: for an unsupported draw, nondeterministic code, or more numbers than
                paths allow to integrate.
        """
        quadrature = Quadrature()
        self.coarse = self._one_by_one(quadrature)
        has_functions = quadrature.has_functions
        if not self.numbers:
            sums = Sums.of(self.coarse)
            paths = self.coarse.count
            return IntegratedMean(sums, np.zeros_like(sums.mean), "no number is used", paths, 0)
        while True:
            numbers = self.numbers
            self._check_room(numbers)
            found = self._by_best_rule(numbers, has_functions=has_functions)
            if self.numbers == numbers:
                break  # else there were paths on which more are used
        return self._with_approximations(found)

    def _check_room(self, numbers: int) -> None:
        """Raises: TooManyPaths where these are too many numbers."""
        least = (numbers**3) * self._per_node
        if least > self._most - self.paths:
            raise TooManyPaths(
                f"{numbers} continuous numbers are used on a path: to integrate over so many takes "
                f"about {least:,.0f} paths, more than {self._most:,}; use fewer (a smaller batch), "
                "allow more paths (paths=), or sample (draws=)"
            )

    @property
    def _per_node(self) -> int:
        """Paths by one node of each number."""
        assert self.coarse is not None  # it was run
        return self.coarse.count

    def _by_best_rule(self, numbers: int, *, has_functions: bool) -> IntegratedMean:
        """By grids, and by boxes where these do not come to an end."""
        tolerance = self._tolerance
        grids = functools.partial(integrate_smooth, self._moments_by, numbers, tolerance)
        by_function, best = False, None
        if has_functions:  # both ways with few paths, and on with the better
            best = grids(self._left // TRIAL, by_function=False)
            if not best.is_within(tolerance):
                other = grids(self._left // TRIAL, by_function=True)
                by_function = other.is_better_than(best)
                best = other if by_function else best
        ways: list[Callable[[int], IntegratedMean]] = [
            functools.partial(grids, by_function=by_function)
        ]
        if numbers <= MOST_NUMBERS:
            boxes = functools.partial(integrate_by_boxes, self._moments_by, numbers, tolerance)
            ways.append(boxes)
        for integrate in ways:
            if best is not None and (best.is_within(tolerance) or self._left < MOST_LEFT):
                break
            found = integrate(self._left)
            best = found if best is None or found.is_better_than(best) else best
        assert best is not None  # there is one way at least
        return self._looked_between(best)

    def _looked_between(self, found: IntegratedMean) -> IntegratedMean:
        """The mean, unless something happens between the nodes that it is from."""
        tolerance, left = self._tolerance, self._left
        is_sure = found.is_within(tolerance) and left > MOST_LEFT
        if found.numbers != 1 or not is_sure or not is_blind(self._moments_by, found, left):
            return found
        closer = integrate_by_boxes(self._moments_by, 1, tolerance, self._left)
        return found if agree(closer, found) else closer

    @property
    def _left(self) -> int:
        """Paths that may still be run."""
        return self._most - self.paths

    def _with_approximations(self, found: IntegratedMean) -> IntegratedMean:
        """With what derivatives that a framework approximates add to the error."""
        if not self.approximated:
            return found
        allowed = max(MOST_APPROXIMATED // self._per_node, 1) ** (1.0 / found.numbers)
        counts = (max(2, int(allowed)),) * found.numbers
        as_is, derived = (
            self._one_by_one(Quadrature(counts, derives=derives)) for derives in (False, True)
        )
        self.approximation = ALLOWANCE * np.abs(as_is.mean() - derived.mean())
        return found

    def _moments_by(self, quadratures: Sequence[Quadrature]) -> list[Moments]:
        """By each, many paths at a time where that can be done and is faster."""
        found: list[Moments] = []
        for several in self._batches(quadratures):
            together = None
            paths = sum(map(self._size, several))
            if paths >= self._together_from:
                together = self._together(several)
                if together is None:
                    self._together_from = MORE * paths
            found += together or map(self._one_by_one, several)
        return found

    def _batches(self, quadratures: Sequence[Quadrature]) -> Iterator[list[Quadrature]]:
        """Together as many as have the paths of a block."""
        batch: list[Quadrature] = []
        for each in quadratures:
            if batch and sum(map(self._size, batch)) + self._size(each) > MOST_ROWS:
                yield batch
                batch = []
            batch.append(each)
        if batch:
            yield batch

    def _size(self, quadrature: Quadrature) -> int:
        """About how many paths there are by one."""
        return self._per_node * math.prod(map(quadrature.width, range(self.numbers)))

    def _together(self, several: list[Quadrature]) -> list[Moments] | None:
        quadratures = Quadratures(several)
        quadratures.by_key = self._by_key
        found = self._enumeration.moments_by_quadrature(self._like, quadratures)
        for moments in found or ():
            self._note(moments, quadratures)
        return found

    def _one_by_one(self, quadrature: Quadrature) -> Moments:
        self._enumeration.handling.quadrature = quadrature
        quadrature.by_key = self._by_key
        moments = self._enumeration.moments(self._like, one_by_one=True)
        self._note(moments, quadrature)
        return moments

    def _note(self, moments: Moments, quadrature: Quadrature) -> None:
        self.draws = max(self.draws, moments.draws)
        self.paths += moments.count
        if not np.isfinite(moments.mean()).all():
            for key in moments.layout.parts:
                self.wrong.setdefault(key, moments.note(key))
        self.numbers = max(self.numbers, quadrature.numbers)
        self.approximated |= quadrature.approximated
