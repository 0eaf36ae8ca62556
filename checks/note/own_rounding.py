"""What of B's changes with its own loss rounding could have made, and in which precision.

A real dependence is a function of the own loss: it goes on at nearby losses. Rounding makes B jump,
up and down as next to nothing is added to the loss, or once where the exponent of a sum changes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

#: B at a loss, all else held.
OfLoss = Callable[[float], float]

#: The unit roundoffs of double, single and half precision.
DOUBLE, SINGLE, HALF = 2.0**-53, 2.0**-24, 2.0**-11

#: Roundings that a difference of squares makes, of a few losses.
ROUNDINGS = 8.0

#: Losses of one size: no two are further apart than this factor, nor, as they may be exponents,
#: than this difference, whose exponential leaves single precision some digits.
FACTOR, APART = 2.5, 9.0

#: Within this, beside the loss, B stays but for jumps and rounding: a few roundings of half
#: precision, and for a leak little beside what it changes by.
NEAR = 2.0**-8

#: At losses of one size rounding moves B by no more than this of the largest.
MOST_AT_ONE_SIZE = 1e-3

#: Where B is looked at between two losses: uneven, as rounding is even on even steps.
FRACTIONS = (np.arange(1, 13) - 0.5 * (np.arange(1, 13) * 2.0**0.5 % 1.0)) / 12.5

#: Steps of narrowing, each to a twelfth or so: beyond the digits of a double.
STEPS = 20

#: The share of a change that is made at once, if rounding makes it: it may jump a few times.
JUMP = 1.0 / 16.0

#: ... and the share that tells nothing: a loss hidden by another comes back in many small jumps.
SMALL_JUMP = 2.0**-10


@dataclasses.dataclass(frozen=True)
class Narrowed:
    """The largest change of B between two losses, narrowed until they are next to each other.

    ``jump`` is what is left of the change there; ``erratic`` what B goes up and down by on next to
    nothing, beyond any function that turns once. ``place`` is the loss that it was narrowed to.
    """

    jump: float
    erratic: float
    place: float


def erratic(values: Sequence[float] | np.ndarray) -> float:
    """What a sequence goes up and down by, beyond one that turns at most once."""
    span = float(np.ptp(values))
    return min(span, max(0.0, float(np.abs(np.diff(values)).sum()) / 2.0 - span))


def around(b: OfLoss, loss: float, largest: float) -> float:
    """What B goes up and down by where its loss is moved by next to nothing."""
    width = NEAR * max(abs(loss), 1e-3 * largest)  # beside zero there is nothing to round
    return erratic([b(loss + width * (fraction - 0.5)) for fraction in FRACTIONS])


def narrow(
    b: OfLoss, ends: tuple[float, float], largest: float, *, least: float = JUMP
) -> Narrowed:
    """The largest change between two losses, narrowed down.

    Args:
        least: the share of the change below which it is no jump, and need not be narrowed further.
    """
    low, high = sorted(ends)
    at_low, at_high = b(low), b(high)
    change = abs(at_high - at_low)
    jump, most = change, 0.0
    for _ in range(STEPS):
        width = high - low
        points = [low, *(low + width * FRACTIONS), high]
        values = np.array([at_low, *(b(float(point)) for point in points[1:-1]), at_high])
        if width <= NEAR * max(abs(low), abs(high), 1e-3 * largest):
            most = max(most, erratic(values))
        steps = np.abs(np.diff(values))
        place = int(steps.argmax())
        jump = float(steps[place])
        low, high = float(points[place]), float(points[place + 1])
        at_low, at_high = float(values[place]), float(values[place + 1])
        if jump < least * change or (least and most >= change):
            break
        if high - low <= 4.0 * float(np.spacing(max(abs(low), abs(high)))):
            break
    return Narrowed(jump, most, (low + high) / 2.0)


def of_one_size(losses: np.ndarray) -> bool:
    """Whether no loss is much larger than another, so that rounding hides none beside another."""
    sizes = np.abs(losses)
    return bool(sizes.max() <= FACTOR * sizes.min() and np.ptp(losses) <= APART)


def unit_of(b: Callable[[np.ndarray], float], losses: np.ndarray, row: int) -> float:
    """The unit roundoff of what B is computed in: from how it jumps, as another's loss moves.

    Zero where nothing can be told, as B does not follow that loss, or by steps of its own.
    """

    def at(other: float) -> float:
        return b(np.where(np.arange(len(losses)) == row, other, losses))

    loss = float(losses[row])
    ends = loss, loss * (1.0 + 8.0 * NEAR)  # several roundings even of bfloat16
    largest = float(max(np.abs(losses).max(), abs(at(loss))))
    jump = narrow(at, ends, largest, least=0.0).jump / largest
    # What B makes of a rounding may be a few of them, and a difference of squares some more.
    units = (unit for unit in (DOUBLE, SINGLE, HALF) if 0.0 < jump <= 2.0**7 * unit)
    return next(units, 0.0)


def of_squares(unit: float, largest: float) -> float:
    """What rounding makes of a difference of squares, or of its root: half of the digits."""
    return ROUNDINGS * max(math.sqrt(unit) * largest, unit * largest**2)


@dataclasses.dataclass(frozen=True)
class Allowance:
    """What rounding may move B by between two own losses.

    ``jumps`` where it moves by jumps, the largest at ``place``, so that it may be by rounding.
    """

    bound: float
    jumps: bool
    place: float


def allow(
    b: OfLoss, ends: tuple[float, float], largest: float, unit: float, *, usual: bool
) -> Allowance:
    """What rounding may move B by between two own losses.

    Args:
        largest: of all numbers that enter, and of B.
        unit: the unit roundoff of what B is computed in.
        usual: whether the losses are of one size, so that there is a limit to what goes up and
            down by rounding.
    """
    at_ends = b(ends[0]), b(ends[1])
    change = abs(at_ends[1] - at_ends[0])
    # The largest of a dozen roundings is less than that of all.
    noise = 4.0 * max(around(b, end, largest) for end in ends)
    squares = of_squares(unit, largest)
    most = max(MOST_AT_ONE_SIZE * largest, squares) if usual else math.inf
    if change <= min(noise, most):
        return Allowance(change, True, ends[1])
    narrowed = narrow(b, ends, largest, least=JUMP if usual else SMALL_JUMP)
    noise = min(max(noise, 4.0 * narrowed.erratic), most)
    if narrowed.jump >= JUMP * change:
        return Allowance(min(change, max(noise, squares)), True, narrowed.place)
    # B is rounded itself, and so jumps a little on every slope.
    own_jump = 4.0 * unit * max(map(abs, at_ends))
    jumps = not usual and narrowed.jump >= max(SMALL_JUMP * change, own_jump)
    return Allowance(noise, jumps, narrowed.place)


#: Own losses to try among others of one size, from below to above them all.
AMONG = np.array([-1.0, -0.5, -1e-3, 1e-3, 0.5, 1.0])


def reaches(place: float, largest: float) -> tuple[float, float]:
    """How far losses may be from a place to be of one size with it: as exponents, and beside it."""
    beside = 0.3 * abs(place) if abs(place) > 1e-3 * largest else largest
    return min(beside, 0.4 * APART), beside
