"""Means over several continuous numbers by sparse grids of Gauss rules.

A grid is a product of rules, one for each number; a sum of small grids with signs converges for
smooth estimators as one does that is fine in all numbers at once, at a fraction of its nodes.

Reference:
    Smolyak (1963), Quadrature and interpolation formulas for tensor products of certain classes of
    functions; Griebel, Schneider and Zenger (1992), A combination technique for the solution of
    sparse grid problems; Gerstner and Griebel (1998), Numerical integration using sparse grids.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..moments import Moments
from .quadrature import Quadrature
from .sums import IntegratedMean, MomentsBy, Sums

#: Rounds of which the last two differences must fall, before their fall is believed.
ROUNDS = 3

#: Roundings that a sum of grids with signs may make, of the mean magnitude: of 20 numbers their
#: coefficients add up to some thousand.
ROUNDINGS = 1e4

#: Where differences fall by less than this in three rounds in a row, the estimator is not smooth in
#: what is drawn: of Gauss rules of a third more nodes a kink leaves half, a jump three quarters.
SLOW = 0.5


#: Nodes of rules, level by level: one, and then even numbers: none lies in the middle, where kinks
#: are.
NODES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

#: The level to begin with, by how many numbers there are: rules of few nodes agree by accident, on
#: a jump that lies beyond all of them.
FIRST = {1: 6, 2: 3, 3: 1}

#: Numbers of which all are refined at once: what one of them does may depend on all others, and so
#: few have room for it.
TOGETHER = 3


#: The share of all paths that the first grid may take: the second needs about as many, and boxes
#: have the rest where the first does not come to an end.
SHARE = 0.45


def integrate_smooth(
    moments_by: MomentsBy, numbers: int, tolerance: float, most: int, *, by_function: bool
) -> IntegratedMean:
    """The mean over so many numbers by two grids, whose rules are cut in different places.

    The error is the larger of theirs, and at least what they differ by.

    Args:
        most: paths that may be run.
        by_function: as of :class:`.quadrature.Quadrature`.
    """
    # Those that are cut first: they have no symmetry in which jumps could hide.
    one = _integrate(_Rules(moments_by, by_function, True), numbers, tolerance, int(SHARE * most))
    if one.is_slow:
        return one
    whole = _Rules(moments_by, by_function, False)
    two = _integrate(whole, numbers, tolerance, most - one.paths)
    error = np.maximum(np.maximum(one.error, two.error), np.abs(one.sums.mean - two.sums.mean))
    squares = np.abs(one.sums.square - two.sums.square)
    return two._replace(error=error, paths=one.paths + two.paths, square_error=squares)


class _Rules(NamedTuple):
    """Moments by the nodes of each number, by one kind of rules."""

    moments_by: MomentsBy
    by_function: bool
    is_cut: bool

    def moments(self, several: Sequence[tuple[int, ...]]) -> list[Moments]:
        """By so many nodes of each number, of several rules."""
        return self.moments_by(
            [
                Quadrature(counts, is_cut=self.is_cut, by_function=self.by_function)
                for counts in several
            ]
        )


def _integrate(rules: _Rules, numbers: int, tolerance: float, most: int) -> IntegratedMean:
    """The mean over so many numbers, until its error is estimated to be small, or paths are spent.

    The error is the last difference of two rounds, and at least what the slower of the last two
    falls would have left of the difference before: an agreement by accident is not believed.

    Args:
        most: paths that may be run.
    """
    sums: dict[tuple[int, ...], Sums] = {}
    means: list[Sums] = []
    differences: list[np.ndarray] = []
    paths = 0
    for rounds in itertools.count(FIRST.get(numbers, 0)):
        grids = _levels(numbers, rounds) if rounds < len(NODES) else []
        levels = [each for each in grids if each not in sums]
        ratio = paths / max(1, sum(map(_size, sums)))
        if means and (rounds == len(NODES) or paths + ratio * sum(map(_size, levels)) > most):
            break
        counts = [tuple(NODES[level] for level in each) for each in levels]
        for each, moments in zip(levels, rules.moments(counts), strict=True):
            paths += moments.count
            sums[each] = Sums.of(moments)
        means.append(_combine(sums, numbers, rounds))
        if len(means) > 1:
            differences.append(np.abs(means[-1].mean - means[-2].mean))
        error = _error(differences, means[-1])
        is_slow = _is_slow(differences, means[-1].size)
        found = IntegratedMean(
            means[-1], error, _describe(numbers, rounds), paths, numbers, is_slow
        )
        if found.is_within(tolerance) or is_slow:
            break
    return found


def _levels(numbers: int, total: int) -> list[tuple[int, ...]]:
    """The levels of all grids of a sparse grid, which add up to a total or to some less.

    Of few numbers it is the one grid of that level.
    """
    if numbers <= TOGETHER:
        return [(total,) * numbers]
    least = max(0, total - numbers + 1)
    return [each for levels in range(least, total + 1) for each in _with_sum(numbers, levels)]


def _with_sum(numbers: int, total: int) -> Iterator[tuple[int, ...]]:
    """So many levels that add up to a total."""
    if numbers == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for others in _with_sum(numbers - 1, total - first):
            yield (first, *others)


def _size(levels: tuple[int, ...]) -> int:
    return math.prod(NODES[level] for level in levels)


def _combine(sums: dict[tuple[int, ...], Sums], numbers: int, total: int) -> Sums:
    if numbers <= TOGETHER:
        return sums[(total,) * numbers]
    result = Sums.zeros(len(next(iter(sums.values())).mean))
    for each in _levels(numbers, total):
        below = total - sum(each)
        sign = (-1) ** below * math.comb(numbers - 1, below)
        result = result.plus(sums[each], sign)
    return result


def _error(differences: list[np.ndarray], means: Sums) -> np.ndarray:
    """What is left, as far as the last differences tell; infinite before there are enough."""
    if len(differences) < ROUNDS:
        return np.full_like(means.mean, np.inf)
    rounding = ROUNDINGS * float(np.finfo(float).eps) * np.abs(means.size)
    # What rounding leaves of a difference falls no further, and says nothing of the others.
    last, before, first = (
        np.where(differences[-place] > rounding, differences[-place], 0.0) for place in (1, 2, 3)
    )
    fall = np.maximum(_fall(last, before), _fall(before, first))
    return np.asarray(np.max([last, before * fall, first * fall**2], axis=0) + rounding)


def _fall(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.minimum(
        np.divide(after, before, out=np.where(after > 0.0, 1.0, 0.0), where=before > 0.0), 1.0
    )


def _is_slow(differences: list[np.ndarray], size: np.ndarray) -> bool:
    """Whether some entry's differences hardly fall, and are more than rounding."""
    if len(differences) <= ROUNDS:
        return False
    falls = [
        after > SLOW * before for before, after in itertools.pairwise(differences[-ROUNDS - 1 :])
    ]
    seen = differences[-1] > np.sqrt(np.finfo(float).eps) * size
    return bool((seen & np.all(falls, axis=0)).any())


def _describe(numbers: int, rounds: int) -> str:
    most = NODES[rounds]
    if numbers == 1:
        return f"a Gauss rule of {most} nodes"
    if numbers <= TOGETHER:
        return f"Gauss rules of {most} nodes for each of {numbers} numbers"
    return f"a sparse grid of Gauss rules of up to {most} nodes for each of {numbers} numbers"
