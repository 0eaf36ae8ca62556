"""The report on a test of a mean, and the smallest bias that the test would have seen."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
from scipy.special import ndtri

from ..no_truth_value import NoTruthValue
from .betting import RunningMoments, Strategy, diagonal


@dataclasses.dataclass(frozen=True)
class MeanTestResult(NoTruthValue):
    """The report on a mean: verdict, e-value, threshold; asserts, tables and figures only read it.

    ``e_value`` is the wealth when the test stopped: under a right mean it is 1 or less on average,
    and ``threshold`` is where it rejects: 1/alpha, or a little more if ranges are learnt. ``worst``
    is the coordinate whose bettor won most; ``mean``, ``exact`` and ``standard_error`` are its own.
    ``joint`` says that it was rejected by bets on a direction: no coordinate need be guilty by
    itself. ``detectable`` is, by coordinate, the smallest shift of the mean that would have been
    seen with probability ``power`` in as many draws (a normal approximation; infinite before
    anything was bet). ``reason`` says why it was rejected if no bet was needed. ``draws`` are
    counted up to the one that decided, ``bets`` those of them that were bet on. ``condition`` is
    what the verdict hangs on, after an "if", where that was not known; empty where it was.
    ``assumption`` is all that must hold for ``alpha`` to be the probability of a false alarm.

    Shape:
        ``detectable`` and ``standard_errors`` (P,).
    """

    rejected: bool
    alpha: float
    draws: int
    bets: int
    e_value: float
    threshold: float
    worst: int
    mean: float
    exact: float
    standard_error: float
    joint: bool
    power: float
    detectable: np.ndarray
    standard_errors: np.ndarray
    assumption: str
    condition: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()

    condition_words: ClassVar[str] = "result.rejected"

    def explain(self) -> str:
        """A paragraph: what came out, where it is worst, on what it rests."""
        verdict = "the mean is not the exact one" if self.rejected else "nothing found"
        if not self.rejected and not self.bets:
            verdict = "undecided, nothing was bet yet"
        elif self.condition:
            verdict += f", if {self.condition}"
        lines = [
            f"{verdict}: e-value {self.e_value:.3e}, rejects at {self.threshold:.3e}, after "
            f"{self.draws:,} draws.",
            f"mean of coordinate {self.worst} is {self.mean:.6e}, should be {self.exact:.6e} "
            f"[standard error {self.standard_error:.1e}].",
        ]
        if self.reason:
            lines.append(self.reason)
        if self.joint:
            lines.append("It is a direction in which the mean is off, more than any coordinate.")
        if not self.rejected and self.bets:
            smallest = self.detectable[self.worst]
            lines.append(
                f"A bias of {smallest:.1e} in that coordinate would have been seen with "
                f"probability {self.power:g}, and of {self.detectable.max():.1e} in any."
            )
        return "\n".join([*lines, f"Valid if {self.assumption}.", *self.notes])


def smallest_shift(
    strategy: Strategy | None, moments: RunningMoments, *, bets: int, need: float, power: float
) -> np.ndarray:
    """The smallest shift of the mean, by coordinate, that would be seen with ``power``.

    Who stakes Kelly's part d/(v + d^2) on a shift d wins u^2/2 a draw, give or take u at most,
    with u^2 = d^2/(v + d^2). Who learns it loses half the logarithm of the number of draws
    (Waudby-Smith and Ramdas 2023, section 5), less what was seen before betting. Where the
    range allows a stake t only, he wins t d - t^2 (v + d^2)/2, and t d is at most a half.

    Args:
        strategy: None, or no ``bets``: nothing was bet, and nothing would be seen.
        need: the logarithm of what a bettor has to multiply his wealth with.
    """
    if strategy is None or not bets:
        return np.full(moments.mean.size, np.inf)
    need = need + 0.5 * math.log(1.0 + bets / (1.0 + moments.count - bets))
    unlucky = float(ndtri(power))
    unit = (unlucky + math.sqrt(unlucky**2 + 2.0 * need)) / math.sqrt(bets)
    other = math.sqrt(max(0.0, 1.0 - unit**2))
    spread = np.sqrt(diagonal(strategy.scatter(moments)))
    most = strategy.largest()
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = spread * np.divide(unit, other)
        forced = need / (bets * most) + most * spread**2 / 2 + unlucky * spread / bets**0.5
        allowed = np.isfinite(shift) & (unit * other <= most * spread)
    # Where nothing can vary, any stake is allowed and any shift is seen.
    forced = np.where(np.isfinite(most), forced / 0.75, np.where(spread > 0.0, np.inf, 0.0))
    return strategy.allowance + np.where(allowed, shift, forced)
