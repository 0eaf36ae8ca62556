"""Functions of numbers that are not decided yet, whatever framework's they are.

Each leaves them a monotone function of what was drawn, or compares them. What keeps no such law is
:class:`NoLaw`; a framework that asked says by which name of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradproof.errors import GradproofError

from .lazy_numbers import LazyNumbers, join
from .monotone import (
    FUNCTIONS,
    Clip,
    Factor,
    Known,
    Shift,
    Sum,
    clipped_at,
    falls,
    forward,
    is_same_chain,
)


class NoLaw(GradproofError, ValueError):
    """What is asked for is no monotone function of what was drawn, or none that is known."""


def elementwise(numbers: LazyNumbers, name: str) -> LazyNumbers:
    """A function by its name in :data:`.monotone.FUNCTIONS`.

    Raises:
        NoLaw: where it is not defined of all numbers.
    """
    if not numbers.lie_between(FUNCTIONS[name].start, FUNCTIONS[name].end):
        raise NoLaw
    found = numbers.then(Known(name))
    low, high = found.drawn.between(found.places)
    if not np.isfinite(forward(found.chain, 0.5 * (low + high))).all():
        raise NoLaw
    return found


def scale(numbers: LazyNumbers, by: np.ndarray) -> LazyNumbers:
    """Times other numbers, of any shape that goes with theirs.

    Raises:
        NoLaw: if one is zero or not finite.
    """
    if not ((by != 0.0) & np.isfinite(by)).all():
        raise NoLaw
    return _with(numbers, Factor, by)


def shift(numbers: LazyNumbers, by: np.ndarray) -> LazyNumbers:
    """Plus other numbers.

    Raises:
        NoLaw: if one is no number.
    """
    if np.isnan(by).any():
        raise NoLaw
    return _with(numbers, Shift, by)


def clip(numbers: LazyNumbers, low: np.ndarray, high: np.ndarray) -> LazyNumbers:
    """Not below one number nor above another, which may be infinite.

    Raises:
        NoLaw: if one is no number.
    """
    if np.isnan(low).any() or np.isnan(high).any():
        raise NoLaw
    return _with(numbers, Clip, low, high)


def _with(numbers: LazyNumbers, link: Callable[..., Any], *parts: np.ndarray) -> LazyNumbers:
    shape = np.broadcast_shapes(numbers.shape, *(part.shape for part in parts))
    return numbers.spread(shape).then(link(*(np.broadcast_to(part, shape) for part in parts)))


def negate(numbers: LazyNumbers) -> LazyNumbers:
    """Minus these."""
    return scale(numbers, np.array(-1.0))


def divide(by: np.ndarray, numbers: LazyNumbers) -> LazyNumbers:
    """Other numbers divided by these.

    Raises:
        NoLaw: if these may be zero, or change their sign.
    """
    if not numbers.are_positive:
        raise NoLaw
    return scale(numbers.then(Known("reciprocal")), by)


def power(numbers: LazyNumbers, exponent: np.ndarray) -> LazyNumbers:
    """These to a power that is not zero.

    Raises:
        NoLaw: if they may be negative.
    """
    return elementwise(scale(elementwise(numbers, "log"), exponent), "exp")


def absolute(numbers: LazyNumbers) -> LazyNumbers:
    """Without a sign, which is drawn of those that may have either."""
    if numbers.lie_between(0.0, math.inf):
        return numbers
    if numbers.lie_between(-math.inf, 0.0):
        return negate(numbers)
    return scale(numbers, np.where(sign(numbers) < 0.0, -1.0, 1.0))


def sign(numbers: LazyNumbers) -> np.ndarray:
    """1, -1, or 0 of those that are clipped there."""
    zero = np.zeros(numbers.shape)
    below, above = (
        compare(numbers, zero, 0.0, strict=True, above=above) for above in (False, True)
    )
    return above.astype(np.float64) - below


def add(one: LazyNumbers, other: LazyNumbers) -> LazyNumbers:
    """The sum of two functions of the same numbers.

    Raises:
        NoLaw: if they are of others, or do not rise together.
    """
    if not one.are_same(other) or np.any(falls(one.chain) != falls(other.chain)):
        raise NoLaw
    return LazyNumbers(one.drawn, one.places, (Sum(one.chain, other.chain),))


def compare(
    numbers: LazyNumbers, bounds: np.ndarray, precision: float, *, strict: bool, above: bool
) -> np.ndarray:
    """Whether each is below a bound; ``above``: whether it is above.

    Args:
        precision: of the comparison, as the step from 1 to the next number.
        strict: whether one that is equal does not count.
    """
    shape = np.broadcast_shapes(numbers.shape, bounds.shape)
    numbers, bounds = numbers.spread(shape), np.broadcast_to(bounds, shape)
    # x > c is what x <= c is not.
    below = numbers.below(bounds, precision, strict=strict is not above)
    return ~below & ~np.isnan(bounds) if above else below


def compare_numbers(
    one: LazyNumbers, other: LazyNumbers, precision: float, *, strict: bool, above: bool
) -> np.ndarray:
    """The same of two that are both not decided."""
    if one.are_same(other) and is_same_chain(one.chain, other.chain):
        return np.full(one.shape, not strict)
    shape = np.broadcast_shapes(one.shape, other.shape)
    both = join([one.spread(shape), other.spread(shape)])
    count = math.prod(shape)
    pairs = np.stack([np.arange(count), np.arange(count) + count], axis=1)
    # Of equal ones the first counts as the larger: so the one that is, if they are equal.
    is_reversed = strict is above and clipped_at(both.chain).size > 0
    pairs = pairs[:, ::-1] if is_reversed else pairs
    larger = [both.rearrange(pair).order(1, precision)[0] for pair in pairs]
    wanted = 0 if above is not is_reversed else 1
    return np.array(larger, np.int64).reshape(shape) == wanted


def sort_into(
    numbers: LazyNumbers, bounds: np.ndarray, precision: float, *, strict: bool
) -> np.ndarray:
    """How many bounds each number is not below: of one row of them, or of a row each.

    Args:
        strict: whether a bound that it is equal to counts.

    Raises:
        NoLaw: if bounds do not increase.
    """
    if not (np.diff(bounds) >= 0.0).all():
        raise NoLaw
    rows = None
    if bounds.ndim > 1:
        rows = np.broadcast_to(bounds, (*numbers.shape[:-1], bounds.shape[-1]))
    found = np.zeros(numbers.places.size, np.int64)
    for place in range(found.size):
        alone = numbers.rearrange(np.array(place))
        own = bounds if rows is None else rows[np.unravel_index(place, numbers.shape)[:-1]]
        found[place] = alone.cell(own.tolist(), precision, strict=strict)
    return found.reshape(numbers.shape)


def round_down(numbers: LazyNumbers) -> np.ndarray:
    """The whole number below each.

    Raises:
        NoLaw: if there are infinitely many.
    """
    low, high = numbers.ends()
    if not (np.isfinite(low) & np.isfinite(high)).all():
        raise NoLaw
    found = np.array(np.floor(low))
    for place in range(found.size):
        at = np.unravel_index(place, found.shape)
        alone = numbers.rearrange(np.array(place))
        edges = range(int(found[at]) + 1, math.floor(high[at]) + 1)
        found[at] += alone.cell(edges, 0.0)
    return found


def truncate(numbers: LazyNumbers) -> np.ndarray:
    """The whole number nearer to zero, of numbers that are not negative.

    Raises:
        NoLaw: of others, and if there are infinitely many.
    """
    if not numbers.are_positive:
        raise NoLaw
    return round_down(numbers)


def order(
    numbers: LazyNumbers,
    axis: int | None,
    count: int | None,
    precision: float,
    *,
    descending: bool,
) -> np.ndarray:
    """The places of the largest along an axis, or of the least; in order, on the last axis.

    Args:
        axis: None: of all, in one row.
        count: how many of them. None: all.
    """
    places = np.arange(numbers.places.size).reshape(numbers.shape)
    rows = places.reshape(-1)[None]
    if axis is not None:
        rows = np.moveaxis(np.atleast_1d(places), axis, -1)
    found = []
    for row in rows.reshape(-1, rows.shape[-1]):
        some = numbers.rearrange(row)
        some = some if descending else some.turned()
        found.append(some.order(len(row) if count is None else count, precision))
    return np.array(found, np.int64).reshape(*rows.shape[:-1], -1)


def gather(numbers: LazyNumbers, places: np.ndarray, axis: int) -> LazyNumbers:
    """Those at some places along an axis."""
    order = np.arange(numbers.places.size).reshape(numbers.shape)
    return numbers.rearrange(np.take_along_axis(order, places, axis))


def put_together(
    several: Sequence[LazyNumbers], how: Callable[[list[np.ndarray]], Any]
) -> LazyNumbers:
    """Several in one array.

    Args:
        how: puts arrays together, as the framework does it.
    """
    places, start = [], 0
    for each in several:
        places.append(np.arange(start, start + each.places.size).reshape(each.shape))
        start += each.places.size
    return join(several).rearrange(np.asarray(how(places)))
