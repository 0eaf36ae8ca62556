"""What JAX's samplers draw by a key, as outcomes of numbers that have values.

A sampler describes one call: it is the same for all runs, so that code may be compiled with it.
Which outcomes come out is asked when the call's arguments have values, in whatever order that is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..counts import draw_counts, geometric, poisson
from ..monotone import CAUCHY, NORMAL, Chain, Factor, Known
from ..outcomes import (
    EPS,
    Categorical,
    Choose,
    Coin,
    Uniform,
    binomial,
    draw_weighted_without_replacement,
    draw_without_replacement,
    weighted_table,
)
from ..run import UnsupportedDraw

#: How far parameters may be apart that were computed twice, in steps of their precision: a sum of n
#: terms in another order is off by about the root of n roundings, and layers are 4 096 wide.
RECOMPUTED = 64.0

LOG, MINUS = Known("log"), Factor(np.array(-1.0))


@dataclasses.dataclass(frozen=True)
class Sampler:
    """One call of a sampler.

    Args:
        what: draws, for messages.
        shape: of what one key draws.
        dtype: of the same.
        step: the precision of what it is given, as the step from 1 to the next number.
    """

    what: str
    shape: tuple[int, ...]
    dtype: Any
    step: float = EPS

    def parameters(self, *arguments: np.ndarray) -> tuple[np.ndarray, ...]:
        """What the probabilities follow from, of the arguments."""
        return tuple(each.astype(np.float64) for each in arguments)

    def draw(self, choose: Choose, *known: np.ndarray) -> Any:
        """What comes out, with these parameters; its shape may be another one of as many."""
        raise NotImplementedError

    def is_same(self, before: Sequence[np.ndarray], now: Sequence[np.ndarray]) -> bool:
        """Whether parameters are the same, or the same but for rounding."""
        limit = RECOMPUTED * self.step
        return all(
            one.shape == other.shape and bool(np.all(np.abs(one - other) <= limit))
            for one, other in zip(before, now, strict=True)
        )


@dataclasses.dataclass(frozen=True)
class Categoricals(Sampler):
    """Places in the last axis of an array of weights, (*rows, K).

    Args:
        softmax: whether they are logarithms.
        times: places of each row, none of them twice. None: one for each entry of the shape, to
            which the rows are broadcast.
    """

    softmax: bool = False
    times: int | None = None

    def parameters(self, *arguments: np.ndarray) -> tuple[np.ndarray, ...]:
        """Probabilities, (*rows, K).

        Raises:
            ValueError: for a row that has none.
        """
        weights = arguments[0].astype(np.float64)
        if self.softmax:
            with np.errstate(invalid="ignore"):  # of what is not finite, and refused below
                weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
            total = weights.sum(axis=-1, keepdims=True)
            good = (total >= 1.0).all()  # the largest is one; false of NaN
        else:
            total = weights.sum(axis=-1, keepdims=True)
            good = (weights >= 0.0).all() and ((total > 0.0) & (total < math.inf)).all()
        if not good:
            for row in weights.reshape(-1, weights.shape[-1]):
                weighted_table(self.what, row)
        return (weights / total,)

    def draw(self, choose: Choose, *known: np.ndarray) -> Any:
        """See the base class."""
        (rows,) = known
        if rows.ndim == 1 and self.times is None:
            one = Categorical(self.what, rows, self.step)
            return [choose(one) for _ in range(math.prod(self.shape))]
        flat = rows.reshape(-1, rows.shape[-1])
        if self.times is not None:
            times, step = self.times, self.step
            found = [
                draw_weighted_without_replacement(choose, self.what, row, times, step)
                for row in flat
            ]
            return np.moveaxis(np.reshape(found, (*rows.shape[:-1], self.times)), -1, 0)
        outcomes = [Categorical(self.what, row, self.step) for row in flat]
        places = np.arange(len(flat)).reshape(rows.shape[:-1])
        return [choose(outcomes[row]) for row in np.broadcast_to(places, self.shape).flat]


@dataclasses.dataclass(frozen=True)
class Coins(Sampler):
    """Zeros and ones, with the probabilities of ones."""

    def parameters(self, *arguments: np.ndarray) -> tuple[np.ndarray, ...]:
        """Probabilities. JAX compares a number between 0 and 1 with what it is given."""
        return (np.clip(arguments[0].astype(np.float64), 0.0, 1.0),)

    def draw(self, choose: Choose, *known: np.ndarray) -> Any:
        """See the base class."""
        ones = np.broadcast_to(known[0], self.shape).flat
        return [choose(Coin(self.what, float(one), self.step)) for one in ones]


@dataclasses.dataclass(frozen=True)
class Signs(Sampler):
    """1 or -1."""

    def draw(self, choose: Choose, *_: np.ndarray) -> Any:
        """See the base class."""
        coin = Coin(self.what, 0.5)
        return [2 * choose(coin) - 1 for _ in range(math.prod(self.shape))]


@dataclasses.dataclass(frozen=True)
class Integers(Sampler):
    """Whole numbers, each as likely: from the first argument up to, and without, the second."""

    def parameters(self, *arguments: np.ndarray) -> tuple[np.ndarray, ...]:
        """Bounds, as whole numbers of any size."""
        return tuple(each.astype(object) for each in arguments)

    def draw(self, choose: Choose, *known: np.ndarray) -> Any:
        """See the base class."""
        kind = np.iinfo(self.dtype)
        first, last = int(kind.min), int(kind.max)
        found = []
        lows, highs = (np.broadcast_to(each, self.shape).flat for each in known)
        for low, high in zip(lows, highs, strict=True):
            low, high = max(first, min(last, int(low))), min(last + 1, int(high))
            # JAX gives the lower bound where there is nothing between.
            found.append(low + choose(Uniform(self.what, max(1, high - low))))
        return found


@dataclasses.dataclass(frozen=True)
class Permutations(Sampler):
    """Rows of places of so many, in any order and none twice; the last axis is a row."""

    count: int = 0
    size: int = 0

    def draw(self, choose: Choose, *_: np.ndarray) -> Any:
        """See the base class."""
        rows = math.prod(self.shape) // self.size if self.size else 0
        return [
            draw_without_replacement(choose, self.what, self.count, self.size) for _ in range(rows)
        ]


@dataclasses.dataclass(frozen=True)
class Binomials(Sampler):
    """How many of so many trials come out, with the probability of each."""

    def draw(self, choose: Choose, *known: np.ndarray) -> Any:
        """See the base class."""
        trials, ones = (np.broadcast_to(each, self.shape).flat for each in known)
        pairs = zip(trials, ones, strict=True)
        return [self._one(choose, float(many), float(one)) for many, one in pairs]

    def _one(self, choose: Choose, trials: float, one: float) -> float:
        if not (trials >= 0.0 and 0.0 <= one <= 1.0):
            return math.nan  # as JAX does
        if trials == math.inf:
            return math.inf  # as JAX does
        return choose(binomial(self.what, int(trials), one, self.step))


@dataclasses.dataclass(frozen=True)
class Counts(Sampler):
    """How often each place comes out in so many trials, by weights in the last axis."""

    def draw(self, choose: Choose, *known: np.ndarray) -> Any:
        """See the base class."""
        trials, weights = known
        rows = np.broadcast_to(weights, self.shape).reshape(-1, self.shape[-1])
        many = np.broadcast_to(trials, self.shape[:-1]).flat
        pairs = zip(many, rows, strict=True)
        return [draw_counts(choose, self.what, int(n), row, self.step) for n, row in pairs]


@dataclasses.dataclass(frozen=True)
class Poissons(Sampler):
    """Numbers of events at a rate."""

    def draw(self, choose: Choose, *known: np.ndarray) -> Any:
        """See the base class."""
        rates = np.broadcast_to(known[0], self.shape).flat
        # JAX gives -1 for what is no rate.
        return [
            choose(poisson(self.what, float(rate), self.step)) if rate >= 0.0 else -1
            for rate in rates
        ]


@dataclasses.dataclass(frozen=True)
class Geometrics(Sampler):
    """Numbers of trials up to the first success."""

    def draw(self, choose: Choose, *known: np.ndarray) -> Any:
        """See the base class."""
        ones = np.broadcast_to(known[0], self.shape).flat
        return [1 + choose(geometric(self.what, float(one), self.step)) for one in ones]


@dataclasses.dataclass(frozen=True)
class ContinuousNumbers(Sampler):
    """Numbers of a law that has no parameters.

    Where they are integrated they are nodes of rules at once. Elsewhere :mod:`.jax_lazy` answers,
    but for what is compiled all the same.

    Args:
        law: in :data:`LAWS`.
        why: they are refused where they are not integrated.
    """

    law: str = ""
    why: str = ""

    def draw(self, choose: Any, *_: np.ndarray) -> Any:
        """See the base class.

        Raises:
            UnsupportedDraw: where they are not integrated.
        """
        return [
            choose.take(self.what, LAWS[self.law], self.step, self.why)
            for _ in range(math.prod(self.shape))
        ]


#: Continuous laws without parameters, by the names of JAX's samplers: functions of uniform numbers.
LAWS: dict[str, Chain] = {
    "uniform": (),
    "normal": (NORMAL,),
    "exponential": (LOG, MINUS),
    "gumbel": (LOG, MINUS, LOG, MINUS),
    "logistic": (Known("logit"),),
    "laplace": (Known("laplace quantile"),),
    "cauchy": (CAUCHY,),
}


@dataclasses.dataclass(frozen=True)
class UncountedSampler(Sampler):
    """What has no outcomes to count. It is described all the same: shapes may be all that is asked.

    Args:
        what: is the reason.
    """

    def draw(self, choose: Choose, *_: np.ndarray) -> Any:
        """Nothing.

        Raises:
            UnsupportedDraw: always.
        """
        raise UnsupportedDraw(self.what)
