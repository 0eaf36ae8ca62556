"""Monotone functions of a number that is not known, forwards and backwards.

A number is a chain of such functions of one that is uniform between 0 and 1. To compare it with a
bound, the bound is taken back through the chain: f(u) < c if u lies below an edge, or above it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.special import expit, ndtr, ndtri

#: The largest number below one, and how far logits go before they come to it, or to zero.
BELOW_ONE, LARGEST_LOGIT, SMALLEST_LOGIT = float(np.nextafter(1.0, 0.0)), 36.0, -700.0

#: Halvings of an interval of logits, until nothing is left between two numbers.
HALVINGS = 80


class Link(Protocol):
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

    def take(self, places: np.ndarray) -> Link:
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


class Factor(NamedTuple):
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

    def take(self, places: np.ndarray) -> Factor:
        """See the protocol."""
        return Factor(self.by.reshape(-1)[places])


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
        # In this order: where the lower bound is above the upper one, all come to the upper one.
        return np.where(every, np.inf, np.where(none, -np.inf, c))

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
        low, high, inverse = (getattr(FUNCTIONS[self.name], at) for at in ("low", "high", "back"))
        # With its ends: numbers that are clipped may come to them, as the square root to 0.
        inside = (c >= low) & (c <= high)
        found = np.asarray(inverse(np.where(inside, c, 0.5)))
        return np.where(inside, found, np.where(np.isnan(c), np.nan, self._beyond(c < low)))

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
                values = self.forward(_expit(middle))
                is_left = np.where(strict, values < c, values <= c) != self.falls
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
Chain = tuple[Link, ...]


class _Function(NamedTuple):
    """A function, its inverse, what its values lie between, and what it is defined between."""

    forward: Callable[[Any], Any]
    back: Callable[[Any], Any]
    low: float = -np.inf
    high: float = np.inf
    falls: bool = False
    start: float = -np.inf
    end: float = np.inf


def _expit(x: Any) -> np.ndarray:
    return np.minimum(expit(x), BELOW_ONE)


FUNCTIONS: dict[str, _Function] = {
    "exp": _Function(np.exp, np.log, low=0.0),
    "log": _Function(np.log, np.exp, start=0.0),
    "log1p": _Function(np.log1p, np.expm1, start=-1.0),
    "expm1": _Function(np.expm1, np.log1p, low=-1.0),
    "sqrt": _Function(np.sqrt, np.square, low=0.0, start=0.0),
    "sigmoid": _Function(expit, lambda c: np.log(c) - np.log1p(-c), low=0.0, high=1.0),
    "logit": _Function(lambda x: np.log(x) - np.log1p(-x), _expit, start=0.0, end=1.0),
    "logsigmoid": _Function(
        lambda x: -np.logaddexp(0.0, -x), lambda c: c - np.log(-np.expm1(c)), high=0.0
    ),
    "tanh": _Function(np.tanh, np.arctanh, low=-1.0, high=1.0),
    # It falls among numbers above zero, and again among those below.
    "reciprocal": _Function(np.reciprocal, np.reciprocal, low=0.0, falls=True, start=0.0),
    "square": _Function(np.square, np.sqrt, low=0.0, start=0.0),
    "ndtr": _Function(ndtr, ndtri, low=0.0, high=1.0),
    "ndtri": _Function(ndtri, ndtr, start=0.0, end=1.0),
    "laplace quantile": _Function(
        lambda u: np.where(u < 0.5, np.log(2.0 * u), -np.log(2.0 - 2.0 * u)),
        lambda c: np.where(c < 0.0, 0.5 * np.exp(c), np.minimum(1.0 - 0.5 * np.exp(-c), BELOW_ONE)),
        start=0.0,
        end=1.0,
    ),
    "normal quantile": _Function(ndtri, ndtr),  # of a draw, whose tails count
    "Cauchy quantile": _Function(
        lambda u: np.where(u < 0.25, -1.0 / np.tan(np.pi * u), np.tan(np.pi * (u - 0.5))),
        lambda c: np.where(c < -1.0, -np.arctan(1.0 / c) / np.pi, 0.5 + np.arctan(c) / np.pi),
    ),
}


#: A standard Cauchy number, as a function of a uniform one.
CAUCHY = Known("Cauchy quantile")

#: A standard normal number, as a function of a uniform one.
NORMAL = Known("normal quantile")


def forward(chain: Chain, u: Any) -> np.ndarray:
    """The values of a chain."""
    x = np.asarray(u, np.float64)
    with np.errstate(all="ignore"):
        for step in chain:
            x = step.forward(x)
    return x


def back(chain: Chain, bounds: Any, strict: Any) -> tuple[np.ndarray, np.ndarray]:
    """The edges that a chain is below some bounds on one side of; and whether that is above them.

    Args:
        strict: whether below is asked for, or at most; one for all entries, or each.
    """
    edges = np.asarray(bounds, np.float64)
    above = np.zeros(np.shape(edges), bool)
    with np.errstate(all="ignore"):
        for step in reversed(chain):
            edges = step.back(edges, above != strict)
            above = above != step.falls
    return edges, np.broadcast_to(above, np.shape(edges))


def shape_of(chain: Chain) -> tuple[int, ...]:
    """The shape that the numbers of a chain broadcast to."""
    numbers = [part for link in chain if isinstance(link, Factor | Shift | Clip) for part in link]
    return np.broadcast_shapes(*map(np.shape, numbers))


def spread(chain: Chain, shape: Sequence[int]) -> Chain:
    """A chain of one number, or of what broadcasts, as one of an array: of each entry."""
    return tuple(
        type(link)(*(np.broadcast_to(part, shape) for part in link))
        if isinstance(link, Factor | Shift | Clip)
        else link
        for link in chain
    )


def falls(chain: Chain) -> Any:
    """Whether a chain decreases, entry by entry."""
    found: Any = np.False_
    for step in chain:
        found = found != step.falls
    return found


def take(chain: Sequence[Link], places: np.ndarray) -> Chain:
    """The chain of other entries, by places among its own in order."""
    return tuple(step.take(places) for step in chain)


def without_clips(chain: Chain) -> Chain:
    """The same, where it is not clipped."""
    return tuple(link for link in chain if not isinstance(link, Clip))


def clipped_at(chain: Chain) -> np.ndarray:
    """Edges at which a chain of one entry begins to be clipped, or ends."""
    found: list[np.ndarray] = []
    for place, link in enumerate(chain):
        if isinstance(link, Clip):
            found += [back(chain[:place], bound, True)[0] for bound in (link.low, link.high)]
        elif isinstance(link, Sum):
            found += [clipped_at(link.one), clipped_at(link.other)]
    return np.concatenate([np.zeros(0), *(np.ravel(each) for each in found)])


def with_all_affine(chain: Chain, count: int) -> Chain:
    """The same, with one factor and one shift before and after every other function.

    Args:
        count: of entries.
    """
    found: list[Link] = []
    factor, shift = np.ones(count), np.zeros(count)
    for link in chain:
        if isinstance(link, Factor):
            factor, shift = factor * link.by, shift * link.by
        elif isinstance(link, Shift):
            shift = shift + link.by
        else:
            found += [Factor(factor), Shift(shift), link]
            factor, shift = np.ones(count), np.zeros(count)
    return (*found, Factor(factor), Shift(shift))


def after_exponential(chain: Chain, count: int, precision: float) -> Chain | None:
    """What is done to an exponential number; None if a chain does not begin with one.

    That is minus the logarithm of a uniform number, or of one minus it; small shifts against the
    logarithm of zero are within rounding.

    Args:
        count: of entries.
        precision: of the numbers, as the step from 1 to the next.
    """
    links: list[Any] = [*with_all_affine(chain, count)]
    if len(links) < 5 or not isinstance(links[2], Known):
        return None
    factor, shift, name = links[0].by, links[1].by, links[2].name
    is_own, is_other = (_is_about(factor, sign, precision) for sign in (1.0, -1.0))
    is_log = name == "log" and (
        (is_own and _is_about(shift, 0.0, precision))
        or (is_other and _is_about(shift, 1.0, precision))
    )
    is_log1p = name == "log1p" and is_other and _is_about(shift, 0.0, precision)
    scale = links[3].by
    if not (is_log or is_log1p) or not ((scale < 0.0).all() or (scale > 0.0).all()):
        return None
    return (Factor(-scale), *links[4:])


def _is_about(values: np.ndarray, value: float, precision: float) -> bool:
    return bool((np.abs(values - value) <= 4.0 * precision).all())


def join_chains(chains: Sequence[Chain], counts: Sequence[int]) -> Chain | None:
    """The chain of all entries of several; None if they are different functions.

    Args:
        counts: of the entries of each.
    """
    if len({tuple(map(type, chain)) for chain in chains}) > 1:
        chains = [with_all_affine(*each) for each in zip(chains, counts, strict=True)]
    if len({tuple(map(type, chain)) for chain in chains}) > 1:
        return None
    found = [_join_links(links, counts) for links in zip(*chains, strict=True)]
    return None if any(each is None for each in found) else tuple(filter(None, found))


def _join_links(links: Sequence[Link], counts: Sequence[int]) -> Link | None:
    one = links[0]
    if isinstance(one, Known):
        return one if all(link == one for link in links) else None
    if isinstance(one, Sum):
        sums = [link for link in links if isinstance(link, Sum)]
        both = [join_chains([each[side] for each in sums], counts) for side in (0, 1)]
        return None if both[0] is None or both[1] is None else Sum(both[0], both[1])
    parts = [np.concatenate(part) for part in zip(*links, strict=True)]
    return type(one)(*parts)


def is_same_chain(one: Chain, other: Chain) -> bool:
    """Whether two chains are the same functions."""
    return len(one) == len(other) and all(
        type(link) is type(twin) and _same_parts(link, twin)
        for link, twin in zip(one, other, strict=True)
    )


def _same_parts(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(part, twin)
        if isinstance(part, np.ndarray)
        else is_same_chain(part, twin)
        if isinstance(part, tuple)
        else part == twin
        for part, twin in zip(one, other, strict=True)
    )
