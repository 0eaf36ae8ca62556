"""What tests by betting share: error rates, and sums of wealths, which are kept as logarithms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

#: Roundings, all in one direction, that a sample may be off by; see :mod:`.estimator`.
ROUNDINGS = 1000.0

#: Numbers that are worked on at once: eight megabytes of each intermediate result.
CELLS = 2**20


def settle_bets(
    wealth: np.ndarray,
    gains: np.ndarray,
    total: Callable[[np.ndarray], np.ndarray],
    enough: float,
) -> tuple[np.ndarray, int, bool]:
    """Wealths after the bets on some draws, how many draws that took, and whether they decide.

    Args:
        wealth: of each bettor before; what he gains with each draw is ``gains`` (B, bettors).
        total: of all bettors.
        enough: the total that decides: later draws are not bet on.
    """
    wealth = wealth + np.cumsum(gains, axis=0)
    over = np.flatnonzero(total(wealth) >= enough)
    draws = int(over[0]) + 1 if over.size else len(wealth)
    return wealth[draws - 1], draws, bool(over.size)


def log_sum(logarithms: np.ndarray) -> Any:
    """Logarithm of a sum over the last axis; SciPy's takes ten times as long for a few numbers."""
    peak = logarithms.max(axis=-1)
    return peak + np.log(np.exp(logarithms - peak[..., None]).sum(axis=-1))


def exp(logarithm: float) -> float:
    """Infinite where that is too large for a number."""
    return math.exp(logarithm) if logarithm < math.log(np.finfo(np.float64).max) else math.inf
