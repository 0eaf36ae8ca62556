"""Monotone functions of a number that is not known, forwards and backwards.

A number is a chain of such functions of one that is uniform between 0 and 1. To compare it with a
bound, the bound is taken back through the chain: f(u) < c if u lies below an edge, or above it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

#: The largest number below one, and how far logits go before they come to it, or to zero.
BELOW_ONE, LARGEST_LOGIT, SMALLEST_LOGIT = float(np.nextafter(1.0, 0.0)), 36.0, -700.0

#: Halvings of an interval of logits, until nothing is left between two numbers.
HALVINGS = 80


class Step(Protocol):
    """One function of a chain, entry by entry."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Its values."""

    def back(self, c: np.ndarray, strict: np.ndarray) -> np.ndarray:
        """The x at which it comes to c; infinite where c is beyond all its values.

        Args:
            strict: whether what is below c is asked for, and not what is c as well.
        """

    @property
    def falls(self) -> Any:
        """Whether it is a decreasing function; one for all entries, or each."""

    def take(self, places: np.ndarray) -> Step:
        """That of other entries, by places among its own in order."""


class Shift(NamedTuple):
    """x + by."""

    by: np.ndarray

    def forward(self, x: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return x + self.by

    def back(self, c: np.ndarray, strict: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return c - self.by

    @property
    def falls(self) -> Any:
        """See the protocol."""
        return np.False_

    def take(self, places: np.ndarray) -> Shift:
        """See the protocol."""
        return Shift(self.by.reshape(-1)[places])


class Scale(NamedTuple):
    """x times a number that is not zero."""

    by: np.ndarray

    def forward(self, x: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return x * self.by

    def back(self, c: np.ndarray, strict: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return c / self.by

    @property
    def falls(self) -> Any:
        """See the protocol."""
        return self.by < 0.0

    def take(self, places: np.ndarray) -> Scale:
        """See the protocol."""
        return Scale(self.by.reshape(-1)[places])


class Clip(NamedTuple):
    """x, but not below one number nor above another; both may be infinite."""

    low: np.ndarray
    high: np.ndarray

    def forward(self, x: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return np.minimum(np.maximum(x, self.low), self.high)

    def back(self, c: np.ndarray, strict: np.ndarray) -> np.ndarray:
        """See the protocol."""
        none = np.where(strict, c <= self.low, c < self.low)
        every = np.where(strict, c > self.high, c >= self.high)
        return np.where(none, -np.inf, np.where(every, np.inf, c))

    @property
    def falls(self) -> Any:
        """See the protocol."""
        return np.False_

    def take(self, places: np.ndarray) -> Clip:
        """See the protocol."""
        return Clip(self.low.reshape(-1)[places], self.high.reshape(-1)[places])


class Known(NamedTuple):
    """A function by name, such as ``log``."""

    name: str

    def forward(self, x: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return np.asarray(FUNCTIONS[self.name].forward(x))

    def back(self, c: np.ndarray, strict: np.ndarray) -> np.ndarray:
        """See the protocol."""
        low, high, back = FUNCTIONS[self.name].low, FUNCTIONS[self.name].high, self._inverse
        inside = (c > low) & (c < high)
        found = back(np.where(inside, c, 0.5))
        return np.where(inside, found, np.where(np.isnan(c), np.nan, self._beyond(c <= low)))

    def _inverse(self, c: np.ndarray) -> np.ndarray:
        return np.asarray(FUNCTIONS[self.name].back(c))

    def _beyond(self, below: np.ndarray) -> np.ndarray:
        """Where a function that falls comes to less than all its values: above all x."""
        return np.where(below != self.falls, -np.inf, np.inf)

    @property
    def falls(self) -> Any:
        """See the protocol."""
        return np.bool_(FUNCTIONS[self.name].falls)

    def take(self, places: np.ndarray) -> Known:
        """See the protocol."""
        return self


class Sum(NamedTuple):
    """Two chains of the same numbers, added: such as log(u) - log(1 - u)."""

    one: Chain
    other: Chain

    def forward(self, x: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return forward(self.one, x) + forward(self.other, x)

    def back(self, c: np.ndarray, strict: np.ndarray) -> np.ndarray:
        """See the protocol; by halving, in logits, so that it is as exact where u is small."""
        shape = np.broadcast_shapes(c.shape, self.forward(np.array(0.5)).shape)
        low, high = np.full(shape, SMALLEST_LOGIT), np.full(shape, LARGEST_LOGIT)
        with np.errstate(all="ignore"):
            for _ in range(HALVINGS):
                middle = 0.5 * (low + high)
                is_left = (self.forward(_expit(middle)) < c) != self.falls
                low, high = np.where(is_left, middle, low), np.where(is_left, high, middle)
        found = np.where(
            high == LARGEST_LOGIT, 1.0, np.where(low == SMALLEST_LOGIT, 0.0, _expit(low))
        )
        return np.where(np.isnan(c), np.nan, found)

    @property
    def falls(self) -> Any:
        """See the protocol."""
        return falls(self.one)

    def take(self, places: np.ndarray) -> Sum:
        """See the protocol."""
        return Sum(take(self.one, places), take(self.other, places))


#: Functions, the first of which is of the uniform number itself.
Chain = tuple[Step, ...]


class _Function(NamedTuple):
    """A function, its inverse, and what its values lie between."""

    forward: Callable[[Any], Any]
    back: Callable[[Any], Any]
    low: float = -np.inf
    high: float = np.inf
    falls: bool = False


def _expit(x: Any) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.minimum(1.0 / (1.0 + np.exp(-np.asarray(x))), BELOW_ONE)


def _normal_quantile(u: Any) -> Any:
    from scipy.special import ndtri

    return ndtri(u)


def _normal_cumulative(x: Any) -> Any:
    from scipy.special import ndtr

    return ndtr(x)


FUNCTIONS: dict[str, _Function] = {
    "exp": _Function(np.exp, np.log, low=0.0),
    "log": _Function(np.log, np.exp),
    "log1p": _Function(np.log1p, np.expm1),
    "expm1": _Function(np.expm1, np.log1p, low=-1.0),
    "sqrt": _Function(np.sqrt, np.square, low=0.0),
    "sigmoid": _Function(_expit, lambda c: np.log(c) - np.log1p(-c), low=0.0, high=1.0),
    "logit": _Function(lambda x: np.log(x) - np.log1p(-x), _expit),
    "logsigmoid": _Function(
        lambda x: -np.logaddexp(0.0, -x), lambda c: c - np.log(-np.expm1(c)), high=0.0
    ),
    "tanh": _Function(np.tanh, np.arctanh, low=-1.0, high=1.0),
    # Of numbers above zero, which whoever uses it sees to.
    "reciprocal": _Function(np.reciprocal, np.reciprocal, low=0.0, falls=True),
    "normal quantile": _Function(_normal_quantile, _normal_cumulative),
}


def forward(chain: Chain, u: Any) -> np.ndarray:
    """The values of a chain."""
    x = np.asarray(u, np.float64)
    with np.errstate(all="ignore"):
        for step in chain:
            x = step.forward(x)
    return x


def back(chain: Chain, bounds: Any, strict: bool) -> tuple[np.ndarray, np.ndarray]:
    """The edges that a chain is below some bounds on one side of; and whether that is above them.

    Args:
        strict: whether below is asked for, or at most.
    """
    edges = np.asarray(bounds, np.float64)
    above = np.zeros(np.shape(edges), bool)
    with np.errstate(all="ignore"):
        for step in reversed(chain):
            edges = step.back(edges, above != strict)
            above = above != step.falls
    return edges, np.broadcast_to(above, np.shape(edges))


def is_too_rare(chain: Chain, bounds: np.ndarray, edges: np.ndarray, above: np.ndarray) -> bool:
    """Whether rounding puts an edge at 0 or 1, where some numbers lie beyond it."""
    at_end = (edges == 0.0) | (edges == 1.0)
    if not at_end.any():
        return False
    values = forward(chain, np.where(edges == 1.0, 1.0, 0.0))
    # Next to 1 all numbers lie below the edge, next to 0 above it.
    are_below = (edges == 1.0) != above
    return bool((at_end & np.where(are_below, values > bounds, values < bounds)).any())


def falls(chain: Chain) -> Any:
    """Whether a chain decreases, entry by entry."""
    found: Any = np.False_
    for step in chain:
        found = found != step.falls
    return found


def take(chain: Sequence[Step], places: np.ndarray) -> Chain:
    """The chain of other entries, by places among its own in order."""
    return tuple(step.take(places) for step in chain)
