"""Where rounding leaves no law of monotone functions of a number that is not known."""

from __future__ import annotations

from typing import Any

import numpy as np

from .monotone import NORMAL, Chain, Shift, Sum, forward

#: Half of all numbers lie between these; and in how few steps of rounding they would be too coarse.
QUARTILES, FEW_STEPS = (0.25, 0.75), 1000.0


def is_too_rare(chain: Chain, bounds: np.ndarray, edges: np.ndarray, above: np.ndarray) -> bool:
    """Whether rounding puts an edge at 0 or 1, where some normal numbers lie beyond it.

    Of uniform numbers there are none: those that a generator gives are a rounding away from 1.
    """
    at_end = (edges == 0.0) | (edges == 1.0)
    if not at_end.any() or chain[:1] != (NORMAL,):
        return False
    values = forward(chain, np.where(edges == 1.0, 1.0, 0.0))
    # Next to 1 all numbers lie below the edge, next to 0 above it.
    are_below = (edges == 1.0) != above
    return bool((at_end & np.where(are_below, values > bounds, values < bounds)).any())


def are_absorbed(chain: Chain, precision: float) -> np.ndarray:
    """Whether numbers are added to one so large that rounding leaves few of them apart.

    Args:
        precision: of the numbers, as the step from 1 to the next.

    Shape: that of the entries, or ().
    """
    absorbed: Any = np.False_
    for place, link in enumerate(chain):
        if isinstance(link, Shift):
            one, other = (forward(chain[:place], u) for u in QUARTILES)
            with np.errstate(divide="ignore", invalid="ignore"):
                steps = np.abs(one - other) / (precision * np.abs(link.by))
            absorbed = absorbed | (steps < FEW_STEPS)
        elif isinstance(link, Sum):
            absorbed = absorbed | are_absorbed(link.one, precision)
            absorbed = absorbed | are_absorbed(link.other, precision)
    return np.asarray(absorbed)
