"""How large rounding is in the values of a function: measured, where it is not the function's own.

Reference: J. J. Moré and S. M. Wild 2011, "Estimating computational noise", SIAM Journal on
Scientific Computing 33, whose points are spaced evenly; these are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .lines import EVEN, TINY, Line, RoundingNoise, Value, first_rung
from .outcomes import EPS

#: The fractions of this number's multiples are spread evenly, and never fall into step.
GOLDEN = 0.5 * (5.0**0.5 - 1.0)

#: Where values are taken: about as far from each other as they are from 0, on one side of it, for
#: kinks are oftenest at 0 itself.
POINTS = tuple((each + each * GOLDEN % 1.0) * 2.0 / 3.0 for each in range(12))

#: Coefficients of the smooth curve that is taken out; seven of twelve values are left.
CURVE = 5

#: How often the way to a jump is halved: what bends by 1e-5 over the spacing bends by less than
#: rounding after 20, and a wave of a millionth of the spacing is told from a jump.
HALVINGS = 26


class _Roughness(NamedTuple):
    deviation: float
    size: float
    worst: tuple[Value, Value]

    def is_small(self, eps: float) -> bool:
        """Whether it can be rounding: that keeps half of the digits at least."""
        return bool(self.deviation <= eps**0.5 * self.size)


def measure(line: Line) -> RoundingNoise:
    """The rounding of values near 0.

    It is looked for at the spacing of the first steps; if values are rough there, at smaller ones,
    where it is still there and the function's own roughness is not.
    """
    least = EVEN * line.eps  # a value is rounded at least once
    # Below its smallest normal number, arithmetic may flush what is left to zero.
    flushed = float(np.finfo(np.float32).tiny) if line.eps > EPS else TINY
    start = first_rung(least)
    roughnesses: list[_Roughness] = []
    jumps = 0.0
    # Of the last, points are 64 units in the last place apart.
    for rung in (start, start - 6, max(start - 24, math.floor(math.log2(line.eps)) + 6)):
        one = _roughness(line, rung)
        if one is None:
            continue
        roughnesses.append(one)
        if one.deviation <= 4.0 * least * one.size:
            break
        if _jumps(line, one):
            if one.is_small(line.eps):
                break
            jumps = max(jumps, one.deviation)
    rounded = [one for one in roughnesses if one.is_small(line.eps)]
    if not rounded:
        return RoundingNoise(max(least * line.here.size, flushed), least, bool(roughnesses), jumps)
    quietest = min(max(one.deviation, least * one.size) for one in rounded)
    # Each is known to a factor of a few: the largest of those that may be the same.
    worst = max(one for one in rounded if one.deviation <= 16.0 * quietest)
    deviation = max(worst.deviation, least * worst.size)
    relative = deviation / worst.size if worst.size > 0.0 else least
    return RoundingNoise(max(deviation, flushed), max(relative, least), len(roughnesses) > 1, jumps)


def _roughness(line: Line, rung: int) -> _Roughness | None:
    """What a smooth curve leaves of values; None if there are none on either side."""
    for side in (1.0, -1.0):
        step = side * line.scale * 2.0**rung
        values = [line.here]
        for point in POINTS[1:]:
            each = line.value_at(point * step)
            if each is None:
                break
            values.append(each)
        if len(values) == len(POINTS):
            return _residual(values, step)
    return None


def _residual(values: Sequence[Value], step: float) -> _Roughness:
    at = np.array([each.at / step for each in values])
    moved = np.array([each.value - values[0].value for each in values])
    largest = float(np.abs(moved).max()) or 1.0  # squares of small numbers vanish
    smooth, _ = np.linalg.qr(np.vander(at, CURVE))
    left = moved / largest
    for _ in range(2):  # once leaves the rounding of what was taken out
        left = left - smooth @ (smooth.T @ left)
    deviation = largest * math.sqrt(float(left @ left) / (len(values) - CURVE))
    apart = int(np.argmax(np.abs(np.diff(left))))
    size = max(each.size for each in values)
    return _Roughness(deviation, size, (values[apart], values[apart + 1]))


def _jumps(line: Line, rough: _Roughness) -> bool:
    """Whether values jump, between points however near, by about what they are rough by."""
    start, end = rough.worst
    smooth = 0
    for _ in range(HALVINGS):
        middle = line.value_at(0.5 * (start.at + end.at))
        if middle is None:
            return False
        if not min(start.at, end.at) < middle.at < max(start.at, end.at):
            break
        off = abs(middle.value - 0.5 * (start.value + end.value))
        # Stairs that are met at their edges do not show; six times in a row is rare.
        smooth = smooth + 1 if off < rough.deviation / 8.0 else 0
        if smooth == 6:
            return False
        halves = (start, middle), (middle, end)
        start, end = max(halves, key=lambda half: abs(half[1].value - half[0].value))
    return True
