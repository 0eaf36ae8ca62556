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

import numpy as np

from .quadrature import Quadrature
from .sums import Integral, MomentsBy, Sums

#: Rounds of which the last two differences must fall, before their fall is believed.
ROUNDS = 3

#: Where differences fall by less than this in two rounds in a row, the estimator is not smooth in
#: what is drawn: of Gauss rules of twice as many nodes a kink leaves a quarter, a jump a half.
SLOW = 0.2

#: Nodes of a rule at most: those of twice as many lie where nothing has a weight.
FINEST = 128


def nodes_at(level: int) -> int:
    """Nodes of a rule: even numbers, so that none lies in the middle, where kinks are."""
    return int(2 ** (level + 1))


def integrate_smooth(moments_by: MomentsBy, numbers: int, tolerance: float, most: int) -> Integral:
    """The mean over so many numbers by two sparse grids, whose rules are cut in different places.

    The error is the larger of theirs, and at least what they differ by.

    Args:
        most: paths that may be run.
    """
    one = _integrate(moments_by, numbers, tolerance, most // 2, is_cut=False)
    if not one.is_within(tolerance):
        return one
    two = _integrate(moments_by, numbers, tolerance, most - one.paths, is_cut=True)
    error = np.maximum(np.maximum(one.error, two.error), np.abs(one.sums.mean - two.sums.mean))
    return one._replace(error=error, paths=one.paths + two.paths)


def _integrate(
    moments_by: MomentsBy, numbers: int, tolerance: float, most: int, *, is_cut: bool
) -> Integral:
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
    for rounds in itertools.count():
        levels = [each for each in _levels(numbers, rounds) if each not in sums]
        finest = nodes_at(rounds) > FINEST
        ratio = paths / max(1, sum(map(_size, sums)))
        if means and (finest or paths + ratio * sum(map(_size, levels)) > most):
            break
        for each in levels:
            counts = tuple(nodes_at(level) for level in each)
            moments = moments_by(Quadrature(counts, is_cut=is_cut))
            paths += moments.count
            sums[each] = Sums.of(moments)
        means.append(_combine(sums, numbers, rounds))
        if len(means) > 1:
            differences.append(np.abs(means[-1].mean - means[-2].mean))
        error = _error(differences, means[-1])
        found = Integral(means[-1], error, _describe(numbers, rounds), paths, numbers)
        if found.is_within(tolerance) or _is_slow(differences, means[-1].size):
            break
    return found


def _levels(numbers: int, total: int) -> list[tuple[int, ...]]:
    """The levels of all grids of a sparse grid, which add up to a total or to some less."""
    least = max(0, total - numbers + 1)
    return [
        each
        for each in itertools.product(range(total + 1), repeat=numbers)
        if least <= sum(each) <= total
    ]


def _size(levels: tuple[int, ...]) -> int:
    return math.prod(map(nodes_at, levels))


def _combine(sums: dict[tuple[int, ...], Sums], numbers: int, total: int) -> Sums:
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
    last, before, first = (differences[-place] for place in (1, 2, 3))
    fall = np.maximum(_fall(last, before), _fall(before, first))
    # Differences that rounding makes fall no further.
    rounding = float(np.finfo(float).eps) * means.size
    return np.asarray(np.maximum(last, np.minimum(before * fall, before)) + rounding)


def _fall(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.minimum(
        np.divide(after, before, out=np.where(after > 0.0, 1.0, 0.0), where=before > 0.0), 1.0
    )


def _is_slow(differences: list[np.ndarray], size: np.ndarray) -> bool:
    """Whether some entry's differences hardly fall, and are more than rounding."""
    if len(differences) < ROUNDS:
        return False
    last, before, first = (differences[-place] for place in (1, 2, 3))
    seen = last > np.sqrt(np.finfo(float).eps) * size
    return bool((seen & (last > SLOW * before) & (before > SLOW * first)).any())


def _describe(numbers: int, rounds: int) -> str:
    most = nodes_at(rounds)
    if numbers == 1:
        return f"a Gauss rule of {most} nodes"
    return f"a sparse grid of Gauss rules of up to {most} nodes for each of {numbers} numbers"
