"""Values of a function of one number, on a ladder of steps, and what rounding does to them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .outcomes import EPS

#: Of double precision: the smallest number that is not denormal.
TINY = float(np.finfo(np.float64).tiny)

#: Standard deviation of an error that is spread evenly over a unit.
EVEN = 12.0**-0.5

#: What says that there is no value, or none that counts: an assertion is a function's own check of
#: where it is called, such as on a simplex. Other errors are the caller's to see.
REFUSALS = (ValueError, OverflowError, FloatingPointError, AssertionError)

#: The value of a function, and what is added up in it without signs.
Phi = Callable[[float], tuple[float, float]]


class Value(NamedTuple):
    """Of a function, at a point where it could be had."""

    at: float
    value: float
    size: float


@dataclasses.dataclass(frozen=True)
class RoundingNoise:
    """The standard deviation of rounding in values: at least so much, and for each unit of size.

    ``rough`` says that values were rougher than that on the scale of the first steps; ``jumps`` is
    how rough, if they jump there, by more than can be rounding without being asked.
    """

    absolute: float
    relative: float
    rough: bool = False
    jumps: float = 0.0

    def deviation_at(self, size: float) -> float:
        """The standard deviation of rounding in a value of this size."""
        return max(self.absolute, self.relative * size)


class Line:
    """Values of a function of one number, on a ladder of steps; each is asked for once.

    Args:
        phi: the function; it may raise a ValueError, fail an assertion or give NaN where it has no
            value.
        scale: the step of rung 0, made a power of two, so that steps are exact.
        eps: the precision of its arithmetic, as the step from 1 to the next number.
        rounded: where a step leads.
        here: its value at 0, if that is known.

    Raises:
        Whatever ``phi`` raises at 0.
        ValueError: if the value there is not finite.
    """

    def __init__(
        self,
        phi: Phi,
        *,
        scale: float = 1.0,
        eps: float = EPS,
        rounded: Callable[[float], float] = float,
        here: Value | None = None,
    ) -> None:
        self._phi, self._rounded, self.eps = phi, rounded, eps
        self.scale = 2.0 ** round(math.log2(scale))
        self.refusals: dict[str, str] = {}
        self.runs = 0
        self._pairs: dict[int, tuple[Value | None, Value | None]] = {}
        self.here = self._run(0.0) if here is None else here
        if not math.isfinite(self.here.value):
            raise ValueError(f"the value to be differenced is {self.here.value}, expected a number")

    def value_at(self, step: float) -> Value | None:
        """The value at a step, where it leads; None if there is no finite one."""
        where = self._rounded(step)
        try:
            found = self._run(where)
        except REFUSALS as error:
            refusal = f"{type(error).__name__}: {error}"
        else:
            if math.isfinite(found.value):
                return found
            refusal = f"it is {found.value}"
        self.refusals["right" if step > 0.0 else "left"] = refusal
        return None

    def has(self, rung: int) -> bool:
        """Whether the steps of a rung are not lost in the rounding of where they lead."""
        step = self.scale * 2.0**rung
        # A quarter: the next rung is shorter by that.
        return all(abs(self._rounded(each) - each) <= 0.25 * step for each in (step, -step))

    def pair(self, rung: int) -> tuple[Value | None, Value | None]:
        """The values to the right and to the left."""
        if rung not in self._pairs:
            step = self.scale * 2.0**rung
            self._pairs[rung] = self.value_at(step), self.value_at(-step)
        return self._pairs[rung]

    def _run(self, where: float) -> Value:
        self.runs += 1
        value, size = self._phi(where)
        return Value(where, float(value), max(abs(float(size)), abs(float(value))))


def first_rung(relative: float) -> int:
    """Where a function that is smooth on the scale of 1 makes no witness speak.

    The slope less the inner one is 16/120 h^4 times a fifth derivative of 1, and rounding makes it
    0.003 relative / h, of which 4 are too many: h^5 = 0.1 relative.
    """
    # A noise beyond a thousandth leaves nothing to be seen on any rung.
    return math.floor(math.log2(0.1 * min(max(relative, EVEN * EPS), 1e-3)) / 5.0)
