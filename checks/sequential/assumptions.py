"""What is known of samples before they are drawn: arguments of the test of their mean, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from .betting import Ranges, Spreads

#: Beyond this many coordinates the matrix of their scatter costs more than its direction finds.
MOST_JOINT = 256


def knowledge(size: int, low: Any, high: Any, sd: Any, covariance: Any) -> Ranges | Spreads | None:
    """What is known of the samples, checked.

    Raises:
        TypeError: for half a range, or more than one kind of knowledge.
        ValueError: for numbers or shapes that cannot be.
    """
    if (low is None) != (high is None):
        raise TypeError("pass both low= and high=, or neither: a range has two ends")
    if sum(each is not None for each in (low, sd, covariance)) > 1:
        raise TypeError(
            "pass at most one of low= with high=, sd= and covariance=: each is an assumption"
        )
    if low is not None:
        low, high = spread_out("low", low, size), spread_out("high", high, size)
        if (low > high).any():
            raise ValueError(
                f"low exceeds high in coordinate {int(np.argmax(low > high))}; exchange them"
            )
        return Ranges(low, high)
    if sd is not None:
        sd = spread_out("sd", sd, size)
        if (sd < 0.0).any():
            raise ValueError(
                f"sd of coordinate {int(np.argmin(sd))} is {sd.min()}, negative: pass 0 or more"
            )
        return Spreads(sd**2)
    if covariance is not None:
        return Spreads(_check_covariance(covariance, size))
    return None


def _check_covariance(covariance: Any, size: int) -> np.ndarray:
    """Finite, symmetric, of a right shape; its diagonal only, where no direction is bet on."""
    scatter = np.asarray(covariance, dtype=np.float64)
    if scatter.shape != (size, size) or not np.isfinite(scatter).all():
        raise ValueError(
            f"covariance has shape {scatter.shape}, should be {(size, size)}, of finite numbers"
        )
    least = float(np.linalg.eigvalsh(scatter)[0])
    # What rounding makes of an eigenvalue 0, in single precision: it may come from there.
    rounding = size * float(np.finfo(np.float32).eps) * float(np.abs(scatter).max())
    if np.abs(scatter - scatter.T).max() > rounding or least < -rounding:
        raise ValueError(
            "covariance is not positive semidefinite: not symmetric, or an eigenvalue is "
            f"{least:.3e}"
        )
    return scatter if 1 < size <= MOST_JOINT else np.diagonal(scatter).copy()


def vector(name: str, value: Any) -> np.ndarray:
    """Finite numbers, (P,), copied.

    Raises:
        ValueError: for another shape, or a number that is not finite.
    """
    numbers = np.array(value, dtype=np.float64)  # a copy: the caller may go on with his
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"{name} has shape {numbers.shape}, should be (P,) with P of 1 or more")
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"{name} is not finite in coordinate {int(np.argmin(np.isfinite(numbers)))}"
        )
    return numbers


def spread_out(name: str, value: Any, size: int) -> np.ndarray:
    """One number for all coordinates, or one for each.

    Raises:
        ValueError: as :func:`vector`.
    """
    numbers = np.asarray(value, dtype=np.float64)
    numbers = vector(name, np.full(size, numbers) if numbers.ndim == 0 else numbers)
    if numbers.size != size:
        raise ValueError(f"{name} has shape {numbers.shape}, should be ({size},)")
    return numbers


def group_numbers(groups: Any, size: int) -> np.ndarray:
    """A number from 0 for each coordinate.

    Raises:
        ValueError: for other numbers, or another shape.
    """
    numbers = np.zeros(size, dtype=np.int64) if groups is None else np.asarray(groups)
    if numbers.shape != (size,) or numbers.dtype.kind not in "iu" or numbers.min() < 0:
        raise ValueError(
            f"groups has shape {numbers.shape} and type {numbers.dtype}, should be ({size},) whole "
            "numbers from 0"
        )
    return numbers
