"""The report on a test of a mean, and the smallest bias that the test would have seen."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.special import ndtri

from ..no_truth_value import NoTruthValue
from .betting import RunningMoments, Strategy, diagonal

#: The least share of a bias that is listed among what it is made of: two digits are shown.
LISTED = 0.01


class VisibleShift(NamedTuple):
    """What the smallest shift of a mean that would have been seen is made of, in three parts.

    ``noise`` is what draws of this variance take, ``reach`` what is added because the farthest
    outcomes that are allowed for limit stakes, and ``allowance`` what the mean may be off by and
    have no bias: rounding, and the error of the exact mean.

    Shape:
        (P,) each, or numbers of one coordinate.
    """

    noise: np.ndarray
    reach: np.ndarray
    allowance: np.ndarray

    def whole(self) -> np.ndarray:
        """All of it."""
        return self.noise + self.reach + self.allowance


@dataclasses.dataclass(frozen=True)
class MeanTestResult(NoTruthValue):
    """The report on a mean: verdict, e-value, threshold; asserts, tables and figures only read it.

    ``e_value`` is the wealth when the test stopped: under a right mean it is 1 or less on average,
    and ``threshold`` is where it rejects: 1/alpha, or a little more if ranges are learnt. ``worst``
    is the coordinate whose bettor won most; ``mean``, ``exact`` and ``standard_error`` are its own,
    and so is ``visible_by``, what the smallest visible bias is made of. ``joint`` says that it was
    rejected by bets on a direction: no coordinate need be guilty by itself. ``detectable`` is, by
    coordinate, the smallest shift of the mean that would have been seen with probability ``power``
    in as many draws (a normal approximation; infinite before anything was bet). ``reason`` says why
    it was rejected if no bet was needed. ``draws`` are counted up to the one that decided, ``bets``
    those of them that were bet on. ``condition`` is what the verdict hangs on, after an "if", where
    that was not known; empty where it was. ``assumption`` is all that must hold for ``alpha`` to be
    the probability of a false alarm.

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
    visible_by: VisibleShift
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
            lines.extend(self._made_of())
        return "\n".join([*lines, f"Valid if {self.assumption}.", *self.notes])

    def _made_of(self) -> list[str]:
        """Why a bias has to be so much larger than a standard error to be seen, in a sentence."""
        if not (np.isfinite(self.visible_by).all() and self.standard_error > 0.0):
            return []
        noise, reach, allowance = (float(each) for each in self.visible_by)
        many = noise / self.standard_error
        parts = {
            f"{noise:.1e} for noise ({many:.1f} standard errors, as it takes to win "
            f"{self.threshold:.1e} times the stake on the {self.bets:,} draws that were bet "
            "on)": noise,
            f"{reach:.1e} for the range (stakes are so low that the farthest outcome that is "
            "allowed for loses no more than half of the wealth)": reach,
            f"{allowance:.1e} for what rounding and the error of the exact mean may do": allowance,
        }
        least = LISTED * sum(parts.values())
        listed = [words for words, part in parts.items() if part > least]
        return [f"That is {', and '.join(listed)}."]


def smallest_shift(
    strategy: Strategy | None, moments: RunningMoments, *, bets: int, need: float, power: float
) -> VisibleShift:
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
        never = np.full(moments.mean.size, np.inf)
        return VisibleShift(never, np.zeros_like(never), np.zeros_like(never))
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
    whole = np.where(allowed, shift, forced)
    # What is not noise is the price of stakes that the range keeps low.
    noise = np.fmin(shift, whole)
    with np.errstate(invalid="ignore"):
        reach = np.where(whole > noise, whole - noise, 0.0)
    return VisibleShift(noise, reach, strategy.allowance)
