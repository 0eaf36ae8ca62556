"""Where rounding leaves no law of monotone functions of a number that is not known."""

from __future__ import annotations

from typing import Any

import numpy as np

from .monotone import NORMAL, Chain, Shift, Sum, forward, without_clips

#: Half of all numbers lie between these; and in how few steps of rounding they would be too coarse.
QUARTILES, FEW_STEPS = (0.25, 0.75), 1000.0

#: Numbers with a larger step from 1 to the next are not in double precision.
COARSE = 1e-10

#: Intervals that are narrower, in roundings, are not looked into; what is left out at their ends.
NARROW, TAIL = 64.0, 1e-13

#: What two libraries may differ by, as a share of a number: four roundings.
NEAR = 4.0 * float(np.finfo(np.float64).eps)


def is_too_rare(chain: Chain, bounds: np.ndarray, edges: np.ndarray, above: np.ndarray) -> bool:
    """Whether rounding puts an edge at 0 or 1, where some normal numbers lie beyond it.

    Of uniform numbers there are none: those that a generator gives are a rounding away from 1.
    """
    at_end = (edges == 0.0) | (edges == 1.0)
    # Others, whose parts are arrays, cannot be compared with it.
    is_normal = bool(chain) and type(chain[0]) is type(NORMAL) and chain[0] == NORMAL
    if not at_end.any() or not is_normal:
        return False
    values = forward(chain, np.where(edges == 1.0, 1.0, 0.0))
    # Next to 1 all numbers lie below the edge, next to 0 above it.
    are_below = (edges == 1.0) != above
    return bool((at_end & np.where(are_below, values > bounds, values < bounds)).any())


def is_too_coarse(low: Any, edges: Any, high: Any, precision: float) -> bool:
    """Whether few numbers of single precision lie on one side of an edge.

    A generator gives multiples of half a step: ``torch.rand(()) < 1e-9`` is true as often as it
    gives 0, sixty times as often as it should be. Of a hundred multiples, one is one in a hundred.
    Rounding down, and the like, goes on beyond earlier edges; how rare it is there is not asked.
    """
    if precision <= COARSE:
        return False
    inside, apart = (edges > 0.0) & (edges < 1.0) & (low == 0.0) & (high == 1.0), 50.0 * precision
    return bool((inside & ((edges < apart) | (1.0 - edges < apart))).any())


def are_absorbed(chain: Chain, precision: float) -> np.ndarray:
    """Whether numbers are added to one so large that rounding leaves few of them apart.

    Args:
        precision: of the numbers, as the step from 1 to the next.

    Shape: that of the entries, or ().
    """
    absorbed: Any = np.False_
    for place, link in enumerate(chain):
        if isinstance(link, Shift):
            # What is clipped may have both quartiles on one side.
            before = without_clips(chain[:place])
            one, other = (forward(before, u) for u in QUARTILES)
            with np.errstate(divide="ignore", invalid="ignore"):
                steps = np.abs(one - other) / (precision * np.abs(link.by))
            absorbed = absorbed | (steps < FEW_STEPS)
        elif isinstance(link, Sum):
            absorbed = absorbed | are_absorbed(link.one, precision)
            absorbed = absorbed | are_absorbed(link.other, precision)
    return np.asarray(absorbed)


def _is_below(
    chain: Chain, u: np.ndarray, bounds: np.ndarray, precision: tuple[float, float], *, strict: bool
) -> np.ndarray:
    """Whether a chain of known numbers is below some bounds, in single precision if need be.

    1 or 0; -1 where they are so near that it depends on who computes the chain, NumPy or a
    framework.
    """
    values, limits = forward(chain, u), np.asarray(bounds, np.float64)
    if precision[0] > COARSE:
        values = np.asarray(np.asarray(values, np.float32), np.float64)
    if precision[1] > COARSE:
        limits = np.asarray(np.asarray(limits, np.float32), np.float64)
    is_near = (values != limits) & (np.abs(values - limits) <= NEAR * np.abs(limits))
    is_near &= np.isfinite(limits)
    return np.where(is_near, -1, values < limits if strict else values <= limits)


def is_confirmed(
    chain: Chain,
    bounds: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray, np.ndarray],
    above: np.ndarray,
    precision: tuple[float, float],
    *,
    strict: bool,
) -> bool:
    """Whether numbers on either side of an edge are on that side of a bound, when it is tried.

    They are not where rounding makes them equal to it: a sigmoid that comes to 1, or the hyperbolic
    tangent of a clipped number, and that of where it is clipped.

    Args:
        ends: what these lie between, and the edge in the middle.
        above: whether they are below the bound above the edge, and not below the edge.
        precision: of the numbers, and of what they are compared in, as the step from 1 to the
            next.
        strict: whether below is asked for, or at most.
    """
    if not chain:
        return True
    low, edge, high = ends
    few = NARROW * precision[0]
    tail = max(TAIL, few)
    with np.errstate(over="ignore", invalid="ignore"):
        for start, end, side in ((low, edge, True), (edge, high, False)):
            wide, middle = end - start > few * end, 0.5 * (start + end)
            for u, tried in (
                (middle, wide),
                # Next to an edge between 0 and 1 rounding may be on either side.
                (np.minimum(tail, middle), wide & (start == 0.0)),
                (np.maximum(1.0 - tail, middle), wide & (end == 1.0)),
            ):
                some = np.where(tried, u, 0.5)
                found = _is_below(chain, some, bounds, precision, strict=strict)
                if (tried & (found != (above != side))).any():
                    return False
    return True
