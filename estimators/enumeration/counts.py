"""Counts: numbers from 0 on, without an end or drawn without replacement.

A law without an end is cut where an outcome is too rare, which is decided path by path: each path
keeps the outcomes with which the product of the probabilities of all its cut draws stays above
:func:`least_product`. What is left out is no small thing by its probability alone, for a gradient
may grow as that falls; :mod:`.left_out` says what it may add to a mean.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .outcomes import (
    EPS,
    Categorical,
    Certain,
    Choose,
    OutcomeDistribution,
    binomial,
    weighted_table,
)

#: Outcomes of one law that are formed at most: more than anybody runs.
MOST_OUTCOMES = 2**20

#: The number of those that are kept, where not even they were formed: more than may be run.
BEYOND_COUNT = 2**62

#: Outcomes that are formed at a time, on each side of the likeliest.
CHUNK = 64


def least_product(draws: int) -> float:
    """The least product of the probabilities of so many cut draws of a path that is kept.

    The square of a rounding for one draw, so that what is left out is nothing beside rounding even
    where gradients grow a thousand million times. The number of paths grows with a power of its
    logarithm, so that it is a rounding for three, and for four and more its power of 2/3: of four
    Poisson numbers around 1 some six thousand paths are kept.
    """
    return float(EPS ** max(2.0 / 3.0, 2.0 - (draws - 1) / 2.0))


class Law(NamedTuple):
    """A law without an end: the likeliest number, and p(k + 1) / p(k), which falls beyond it."""

    mode: int
    ratio: Callable[[np.ndarray], np.ndarray]


def _poisson(rate: float) -> Law:
    return Law(int(rate), lambda k: rate / (k + 1.0))


def _negative_binomial(successes: float, again: float) -> Law:
    # The one above the mode is the first that is less likely; none is below it for r <= 1.
    mode = int(max(0.0, (successes - 1.0) * again / (1.0 - again)))
    return Law(mode, lambda k: (k + successes) / (k + 1.0) * again)


def _logarithmic(again: float) -> Law:
    return Law(0, lambda k: again * (k + 1.0) / (k + 2.0))


LAWS: dict[str, Callable[..., Law]] = {
    "poisson": _poisson,
    "negative binomial": _negative_binomial,
    "logarithmic": _logarithmic,
}


class Table(NamedTuple):
    """Probabilities of the numbers from the first on, (K,), far beyond those that are kept."""

    first: int
    probabilities: np.ndarray
    mode: int
    is_whole: bool


@functools.lru_cache(maxsize=1024)
def _table(law: str, parameters: tuple[float, ...]) -> Table:
    mode, ratio = LAWS[law](*parameters)
    above = _walk(ratio, mode, 1)
    below = _walk(ratio, mode, -1)
    values = np.concatenate([below[::-1], np.ones(1), above])
    is_whole = max(len(above), len(below)) < MOST_OUTCOMES
    return Table(mode - len(below), values / values.sum(), mode, is_whole)


def _walk(ratio: Callable[[np.ndarray], np.ndarray], mode: int, step: int) -> np.ndarray:
    """Probabilities beside the mode, up to a factor, until they are too small to be kept."""
    parts: list[np.ndarray] = []
    place, last = mode, 1.0
    # A third rounding beyond what one draw keeps: what lies beyond is nothing of what is left out.
    least = least_product(1) * EPS
    while last >= least and (step > 0 or place > 0) and len(parts) * CHUNK < MOST_OUTCOMES:
        count = CHUNK if step > 0 else min(CHUNK, place)
        k = place + step * np.arange(count) - (step < 0)
        parts.append(last * np.cumprod(ratio(k) if step > 0 else 1.0 / ratio(k)))
        place, last = place + step * count, float(parts[-1][-1])
    return np.concatenate(parts) if parts else np.zeros(0)


class Count(OutcomeDistribution):
    """A number from 0 on by a law without an end, of which only some are kept.

    Args:
        law, parameters: see :data:`LAWS`.
        least: the least probability of an outcome that is kept; the likeliest always is.

    ``left_out`` is the probability of all that are not kept, and ``last`` the largest that is.
    """

    __slots__ = ("_first", "_law", "_parameters", "_table", "last", "least", "left_out")
    is_cut = True

    def __init__(
        self,
        what: str,
        law: str,
        parameters: tuple[float, ...],
        precision: float = EPS,
        least: float = 0.0,
    ) -> None:
        table = _table(law, parameters)
        first, values, mode, _ = table
        super().__init__(what, first + len(values), precision)
        self._law, self._parameters, self._table = law, parameters, table
        self.least = max(least, least_product(1))
        kept = np.flatnonzero(values >= self.least)
        start, end = (kept[0], kept[-1]) if kept.size else (mode - first, mode - first)
        self._first, self.last = first + int(start), first + int(end)
        self.left_out = float(values[:start].sum() + values[end + 1 :].sum())

    def after(self, choices: Iterable[Any]) -> Count:
        """The same with what is kept after some draws of a path."""
        product, draws = product_of_cut(choices)
        least = least_product(draws + 1) / product if product > 0.0 else 1.0
        return Count(self.what, self._law, self._parameters, self.precision, least)

    @property
    def possible(self) -> int:
        """Those that are kept; far too many where not even these were formed."""
        return self.last - self._first + 1 if self._table.is_whole else BEYOND_COUNT

    @property
    def rarest(self) -> float:
        """Of those that are kept."""
        return min(self.probability(self._first), self.probability(self.last))

    @property
    def mode(self) -> int:
        """The likeliest, which is kept in any case."""
        return self._table.mode

    @property
    def probabilities(self) -> np.ndarray:
        """Of all numbers from 0 on, kept or not, (count,)."""
        first, values, _, _ = self._table
        return np.concatenate([np.zeros(first), values])

    def probability(self, outcome: int) -> float:
        """Of any number, kept or not."""
        first, values, _, _ = self._table
        if first <= outcome < self.count:
            return float(values[outcome - first])
        # Only where parameters have moved since it was kept.
        ratio = LAWS[self._law](*self._parameters).ratio
        if outcome < first:
            return float(values[0] / np.prod(ratio(np.arange(outcome, first))))
        return float(values[-1] * np.prod(ratio(np.arange(self.count - 1, outcome))))

    def next_possible(self, outcome: int) -> int | None:
        """See the base class."""
        place = max(outcome + 1, self._first)
        return place if place <= self.last else None

    def rank(self, outcome: int) -> int:
        """Of those that are kept."""
        return outcome - self._first

    def quantile(self, share: float) -> int:
        """By the cumulative sum, among those that are kept."""
        place = int(np.searchsorted(np.cumsum(self.probabilities), share, side="right"))
        return min(max(place, self._first), self.last)

    def key(self) -> object:
        """The law; not what is kept of it."""
        return self._law, self._parameters

    def is_like(self, other: OutcomeDistribution) -> bool:
        """The same by whatever parameters."""
        return type(other) is Count and self.what == other.what


def product_of_cut(choices: Iterable[Any]) -> tuple[float, int]:
    """The product of the probabilities of the cut draws of a path, and how many there are."""
    product, draws = 1.0, 0
    for choice in choices:
        if choice.outcomes.is_cut:
            product, draws = product * choice.probability, draws + 1
    return product, draws


def count_ways(many: Sequence[OutcomeDistribution], choices: Iterable[Any], most: int) -> float:
    """In how many ways cut draws may come out at least, after others; no more than needed.

    Costs are added up in powers of two, each rounded up.
    """
    product, draws = product_of_cut(choices)
    budget = math.log2(product) - math.log2(least_product(draws + len(many)))
    ways = np.zeros(int(max(0.0, budget)) + 1)
    ways[0] = 1.0
    costs: dict[object, np.ndarray] = {}
    for each in many:
        assert isinstance(each, Count)
        if each.key() not in costs:
            cost = np.ceil(-np.log2(each.probabilities[each.probabilities > 0.0])).astype(int)
            costs[each.key()] = np.bincount(cost[cost < ways.size], minlength=ways.size)
        ways = np.convolve(ways, costs[each.key()])[: ways.size]
        if ways.sum() > most:
            break
    return float(ways.sum())


def _refuse(what: str, name: str, value: float, expected: str) -> None:
    raise ValueError(f"{what} draws with {name} {value!r}, expected {expected}")


def poisson(what: str, rate: float, precision: float = EPS) -> OutcomeDistribution:
    """A number of events at a rate.

    Raises:
        ValueError: for a rate that is none.
    """
    if not 0.0 <= rate < 2.0**53:
        _refuse(what, "rate", rate, "a number that is not negative, and below 2**53")
    return Count(what, "poisson", (rate,), precision) if rate else Certain(what, 0, 1)


def geometric(what: str, one: float, precision: float = EPS) -> OutcomeDistribution:
    """A number of failures before the first success.

    Raises:
        ValueError: for a probability that is none, or zero.
    """
    return negative_binomial(what, 1.0, one, precision)


def negative_binomial(
    what: str, successes: float, one: float, precision: float = EPS
) -> OutcomeDistribution:
    """A number of failures before so many successes, which need not be a whole number.

    Raises:
        ValueError: for a negative number, or a probability that is none, or zero.
    """
    if not 0.0 < one <= 1.0:
        _refuse(what, "probability", one, "a number above 0 and up to 1")
    if not 0.0 <= successes < math.inf:
        _refuse(what, "a number of successes", successes, "a finite number that is not negative")
    if one == 1.0 or not successes:
        return Certain(what, 0, 1)
    return Count(what, "negative binomial", (successes, 1.0 - one), precision)


def logarithmic(what: str, again: float, precision: float = EPS) -> OutcomeDistribution:
    """One less than a number k with probabilities as p^k / k.

    Raises:
        ValueError: for a p that is not from 0 up to, and without, 1.
    """
    if not 0.0 <= again < 1.0:
        _refuse(what, "p", again, "a number from 0 up to, and without, 1")
    return Count(what, "logarithmic", (again,), precision) if again else Certain(what, 0, 1)


def hypergeometric(what: str, good: int, bad: int, draws: int) -> OutcomeDistribution:
    """How many of so many draws without replacement are good.

    Raises:
        ValueError: for negative numbers, or more draws than there is to be drawn.
    """
    if min(good, bad, draws) < 0 or draws > good + bad:
        raise ValueError(
            f"{what} draws {draws} of {good} and {bad}, expected numbers that are not negative, "
            "and no more draws than there is to be drawn"
        )
    least, most = max(0, draws - bad), min(draws, good)
    if least == most:
        return Certain(what, least, most + 1)
    mode = min(max(int((draws + 1) * (good + 1) / (good + bad + 2)), least), most)
    k = np.arange(least, most, dtype=np.float64)
    ratio = (good - k) * (draws - k) / ((k + 1.0) * (bad - draws + k + 1.0))
    up, down = ratio[mode - least :], ratio[: mode - least]
    above, below = np.cumprod(up), np.cumprod(1.0 / down[::-1])
    values = np.concatenate([np.zeros(least), below[::-1], np.ones(1), above])
    return Categorical(what, values / values.sum())


def draw_counts(
    choose: Choose, what: str, trials: int, weights: np.ndarray, precision: float = EPS
) -> list[int]:
    """How often each place comes out in so many trials, by weights, (K,).

    One place after the other, so that ways which differ in their order alone are one.
    """
    if trials == 1:
        taken = choose(weighted_table(what, weights, precision))
        return [int(place == taken) for place in range(weights.size)]
    counts, left = [0] * weights.size, trials
    for place in range(weights.size):
        rest = float(weights[place:].sum())
        if left and weights[place] > 0.0:
            one = float(weights[place]) / rest
            is_last = not np.any(weights[place + 1 :])
            drawn = left if is_last else choose(binomial(what, left, min(1.0, one), precision))
            counts[place], left = drawn, left - drawn
    return counts


def draw_several_kinds(choose: Choose, what: str, colors: Sequence[int], draws: int) -> list[int]:
    """How many of each kind are among so many draws without replacement."""
    counts, left, others = [], draws, sum(colors)
    for color in colors:
        others -= color
        outcomes = hypergeometric(what, color, others, left)
        # The one outcome of a draw that is none.
        certain = isinstance(outcomes, Certain)
        taken = outcomes.quantile(0.5) if certain else choose(outcomes)
        counts.append(taken)
        left -= taken
    return counts
