"""Where a mean points beside the gradient: a multiple of it, nothing, or elsewhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from ..evidence import (
    COARSEST,
    DIFFERS,
    FAR,
    PROPORTIONAL,
    REFUTED,
    UNDECIDED,
    ZERO,
    Comparison,
    compare_entries,
    judge,
)

#: What will do: the gradient, or any positive multiple of it.
EQUALITY, DIRECTION = "equality", "direction"

#: In place of zero, where something is divided by it.
TINY = float(np.finfo(float).tiny)


@dataclasses.dataclass(frozen=True)
class MeanDirection:
    """A mean, seen along the gradient that it should be, and beside it.

    ``verdict`` is ``holds`` (it is the gradient), ``proportional`` (a multiple of it in every
    entry, within the bounds of what is left), ``zero`` (nothing, where the gradient is not),
    ``differs`` or ``undecided``. ``factor`` is the length of the mean along the gradient in units
    of the gradient's: where it is proportional, mean = factor * gradient. ``cosine`` is that of the
    angle between the two, NaN where one of them is zero; ``residual`` the length of what is left of
    the mean, mean - factor * gradient, in units of the gradient's. Each has what it may be off by.

    Reference: least squares; lengths and angles are Euclidean, over all entries of all parameters.
    """

    verdict: str
    factor: float
    cosine: float
    residual: float
    factor_error: float
    cosine_error: float
    residual_error: float

    def sentence(self) -> str:
        """Factor, cosine and residual in words; empty if they say nothing."""
        if not math.isfinite(self.cosine) or self.verdict == ZERO:
            return ""
        return (
            f"Along the gradient the mean is {_digits(self.factor, self.factor_error)} times as "
            f"long as it, and what is left is {_digits(self.residual, self.residual_error)} times "
            f"as long: the cosine between them is {_digits(self.cosine, self.cosine_error)}."
        )


def direction_of(
    verdict: str,
    mean: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
    error: Mapping[str, np.ndarray],
    size: Mapping[str, np.ndarray],
    own_error: Mapping[str, np.ndarray],
) -> MeanDirection | None:
    """The direction of a mean, beside the gradient that it should be.

    Args:
        verdict: of the mean itself.
        error: what each entry may be off by, bounds and the exact gradient's own error together.
        size: the mean magnitude of each entry.
        own_error: below what an entry of the gradient may as well be zero.

    Returns:
        None where one of the two is no number.

    Shape:
        All have the same names and shapes.
    """
    rows = [_row(each) for each in (mean, exact, error)]
    m, g, b = rows
    if not (np.isfinite(m).all() and np.isfinite(g).all()):
        return None
    factor = factor_of(*rows)
    numbers = _numbers(m, g, b)
    kind = verdict
    if verdict == REFUTED and not g.any():
        kind = DIFFERS  # nothing has no direction
    elif verdict == REFUTED:
        times, off = _fit(m, g, b) if factor is None else (factor, _largest_error(g, b))
        found = _comparisons(times, off, mean, exact, error, size, own_error)
        kind = _kind(factor, found, entries=int(np.count_nonzero(np.abs(g) > b)))
    return dataclasses.replace(numbers, verdict=kind)


def _kind(factor: float | None, found: list[Comparison], entries: int) -> str:
    """What a mean that is not the gradient is, by its comparison with a multiple of it."""
    judged = judge(found)
    if factor is None:
        # One entry alone is a multiple of anything.
        return DIFFERS if judged == REFUTED and entries > 1 else UNDECIDED
    if judged == REFUTED or max(one.resolution for one in found) > COARSEST:
        return UNDECIDED
    return ZERO if factor == 0.0 else PROPORTIONAL


def _comparisons(
    factor: float,
    off: float,
    mean: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
    error: Mapping[str, np.ndarray],
    size: Mapping[str, np.ndarray],
    own_error: Mapping[str, np.ndarray],
) -> list[Comparison]:
    """A mean against a multiple of the gradient, by parameter.

    Args:
        off: what the factor itself may be off by, but for its size.
    """
    g = _row(exact)
    wide = (1.0 + abs(factor)) * off
    scale = max((float(each.max(initial=0.0)) for each in size.values()), default=0.0)
    if factor == 0.0:  # nothing has no scale but that of what is missing
        scale = max(scale, float(np.abs(g).max()))
    return [
        compare_entries(
            key,
            mean[key],
            factor * value,
            # Each entry has its share of what the factor itself is off by.
            (1.0 + abs(factor)) * error[key] + np.abs(value) * wide,
            "direction",
            # Nothing in an entry that should be something cancels: it is missing.
            sizes=np.maximum(size[key], np.abs(value)),
            scale=scale,
            own_error=abs(factor) * own_error[key],
        )
        for key, value in exact.items()
    ]


def _largest_error(g: np.ndarray, b: np.ndarray) -> float:
    """What a factor that is read off the largest entry is off by."""
    largest = int(np.argmax(np.abs(g)))
    return float(b[largest] / max(abs(g[largest]), TINY))


def _fit(m: np.ndarray, g: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The factor by least squares over the entries that are known well, and what it is off by.

    One that is hardly known would leave the others open; if there are no others, it is over all.
    """
    sure = np.abs(g) * COARSEST > b
    if not sure.any():
        sure[:] = True
    length = _length(g[sure])
    unit = g[sure] / length
    off = float(np.abs(unit) @ np.minimum(b[sure], FAR)) / length
    return float(unit @ m[sure]) / length, off


def _numbers(m: np.ndarray, g: np.ndarray, b: np.ndarray) -> MeanDirection:
    """Factor, cosine and residual, each with its error; (P,) each."""
    length, wide, size = _length(g), _length(b), _length(m)
    if length == 0.0:
        return MeanDirection("", math.nan, math.nan, math.nan, math.inf, math.inf, math.inf)
    unit = g / length
    wide = min(wide, FAR)
    factor = float(unit @ m) / length
    left = _length(m - factor * g) / length
    factor_error = float(np.abs(unit) @ b) * (1.0 + abs(factor)) / length
    residual_error = (1.0 + abs(factor)) * wide / length
    if size == 0.0:
        return MeanDirection("", 0.0, math.nan, 0.0, factor_error, math.inf, residual_error)
    angle = math.atan2(left, factor)
    # An error turns a vector by no more than the arc whose sine is its share of the length.
    turn = math.asin(min(1.0, wide / size)) + math.asin(min(1.0, wide / length))
    cosine = math.cos(angle)
    between = math.cos(max(0.0, angle - turn)), math.cos(min(math.pi, angle + turn))
    cosine_error = max(abs(each - cosine) for each in between)
    return MeanDirection("", factor, cosine, left, factor_error, cosine_error, residual_error)


def _length(row: np.ndarray) -> float:
    """Of a vector, whose squares may be too large for a number."""
    largest = float(np.abs(row).max(initial=0.0))
    if not 0.0 < largest < math.inf:
        return largest
    return largest * float(np.linalg.norm(row / largest))


def factor_of(mean: np.ndarray, exact: np.ndarray, error: np.ndarray) -> float | None:
    """What the exact gradient is multiplied with in every entry, as far as errors can tell.

    None if there is no such number, or if it would be of one entry only.

    Shape:
        Each is (P,).
    """
    sure = np.abs(exact) * COARSEST > error
    if np.count_nonzero(sure) < 2 or not np.isfinite(mean).all():
        return None
    largest = int(np.argmax(np.abs(exact)))
    if not sure[largest]:
        return None
    is_zero = abs(mean[largest]) <= error[largest]
    factor = 0.0 if is_zero else float(mean[largest] / exact[largest])
    # Of the factor's own error each entry has its share.
    with np.errstate(over="ignore", invalid="ignore"):  # no number is within no number
        its_own = np.abs(exact) * error[largest] / abs(exact[largest])
        allowed = (1.0 + abs(factor)) * (error + its_own)
        within = np.abs(mean - factor * exact) <= allowed
    return factor if within.all() else None


def check_judge(judge: object) -> None:
    """Whether it says what will do.

    Raises:
        ValueError: if not.
    """
    if judge not in (EQUALITY, DIRECTION):
        raise ValueError(f"judge = {judge!r:.60}, expected {EQUALITY!r} or {DIRECTION!r}")


def judged_by_direction(verdict: str, direction: MeanDirection | None) -> tuple[str, str]:
    """The verdict where a positive multiple of the gradient will do, and why if there is none.

    Args:
        verdict: of the mean itself.
    """
    if verdict != REFUTED:
        return verdict, ""
    if direction is None:
        return UNDECIDED, (
            "Only a mean over all paths has a direction that can be judged, and here it was "
            "sampled, put together of single draws (additive=), compared along one direction only, "
            "or is no number; it is not the gradient."
        )
    if direction.verdict == PROPORTIONAL and direction.factor > 0.0:
        return PROPORTIONAL, ""
    if direction.verdict == UNDECIDED:
        return UNDECIDED, (
            "It is not the gradient. Whether it is a multiple of it cannot be seen: rounding is as "
            "large as what is left, or there are fewer than two entries in which an error of one "
            "part in a hundred would show."
        )
    return REFUTED, ""


def _row(by_name: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(value) for value in by_name.values()])


def _digits(value: float, error: float) -> str:
    """Four digits, unless that many would make it 0 or 1, which it is not."""
    if abs(value) <= error:
        return "0"
    off = abs(value) - 1.0
    if error < abs(off) < 5e-5:
        sign = "-" if value < 0.0 else ""
        return f"{sign}1 {'+' if off > 0.0 else '-'} {abs(off):.1e}"
    return f"{value:.4g}"
