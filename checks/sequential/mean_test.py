"""Is the mean of these samples the exact gradient? An anytime-valid test, by betting.

For estimators whose draws cannot be enumerated. Whoever tests a mean by z-scores assumes that the
sample's own variance is near the true one; with a label of probability 1e-4 that is false for
thousands of draws, and right code shows |z| = 20. Here the test bets instead: a bettor stakes part
of a wealth of 1, before each draw, on a coordinate's being too large or too small, at odds that are
fair if the mean is exact. Then wealth is a nonnegative martingale, and the probability that it ever
reaches 1/alpha is at most alpha (Ville 1939), whenever one looks.

Odds are fair whatever the bettor believes, but nobody may owe more than he has, and that takes an
assumption: without one no test of a mean has any power (Bahadur and Savage 1956). Three are on
offer, from the strongest to the weakest:

- ranges, ``low`` and ``high``: bets that lose at most half of the wealth on any possible draw
  (Waudby-Smith and Ramdas 2024, section 4);
- standard deviations, ``sd`` or ``covariance``: Catoni's influence function bounds what one draw
  moves, and the variance pays for that (Wang and Ramdas 2023, section 5);
- neither: the range is learnt from a first stretch of draws on which nothing is bet, so long that
  every outcome of probability ``rarest`` or more is in it, and then widened.

What is learnt is no knowledge. An outcome of probability 1e-5 is not seen in 20,000 draws, four
times of five, and may be most of the mean. So a verdict by a learnt range is conditional, and
``condition`` has the words for it: if no outcome rarer than ``rarest`` lies far beyond all others.
It is empty where the probabilities of all outcomes of all draws of a sample were seen; then the
stretch has them all. The path to an end of a coordinate's range was drawn, or it leaves what was
drawn at its i-th draw, by an outcome that could have come out and did not. To get there had a
probability p, and n samples without it have (1 - p)^n: at most beta, if n is log(1/beta)/p or more.
Let beta be delta/(2 P i (i + 1)), and add up over i: both ends of all P coordinates were drawn with
probability 1 - delta. This needs a number that p is not below, such as the least product of the
probabilities of the rarest outcomes on a path that was drawn, and a number that i is not above, the
most draws on such a path. It needs nothing of what was not drawn.

The bettors are one for each coordinate, and one for a direction: inverse scatter times mean error,
both of past draws. It finds what is small in every coordinate, and what cancels over coordinates.
The mean of their wealths is a wealth too, and that pays for all coordinates at once, however they
depend on each other; no correction is needed (Vovk and Wang 2021).

The exact mean may be off as well, by ``exact_error`` at most: then it is tested whether the mean is
as near to it as that, and a bettor pays what this can win him.

References:
    Bahadur and Savage 1956, The nonexistence of certain statistical procedures in nonparametric
    problems. Ville 1939, Étude critique de la notion de collectif. Catoni 2012, Challenging the
    empirical mean and empirical variance: a deviation study. Vovk and Wang 2021, E-values:
    calibration, combination and applications. Howard et al. 2021, Time-uniform, nonparametric,
    nonasymptotic confidence sequences. Wang and Ramdas 2023, Catoni-style confidence sequences for
    heavy-tailed mean estimation. Waudby-Smith and Ramdas 2024, Estimating means of bounded random
    variables by betting. Shekhar and Ramdas 2023, Nonparametric two-sample testing by betting.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from scipy.special import ndtri

from gradproof.errors import GradproofError

from ..evidence import NothingCompared
from .assumptions import MOST_JOINT, grouped, knowledge, spread_out, vector
from .betting import Ranges, RunningMoments, Strategy, diagonal, learnt

#: Probability of a false alarm, of a whole test, by default.
ALPHA = 1e-6

#: Probability to see the smallest bias that a report names, by default.
POWER = 0.9

#: Part of the false alarms that may come from a range that was learnt too narrow.
SHARE = 0.1

#: Roundings, all in one direction, that a sample may be off by; see :mod:`.estimator`.
ROUNDINGS = 1000.0

#: Bets are made anew when the draws have grown by this part.
RENEWAL = 1 / 8

#: Numbers that are worked on at once: eight megabytes of each intermediate result.
CELLS = 2**20


class BeyondRange(GradproofError, ValueError):
    """A sample out of bounds: beyond the range that was given, so that the assumption is false."""


@dataclasses.dataclass(frozen=True)
class MeanTestResult:
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


class MeanTest:
    """Anytime-valid test that samples have the exact mean, in all coordinates at once.

    Estimand: whether E[sample] = ``exact``, up to ``exact_error`` and ``ROUNDINGS`` roundings.
    Estimator: the mean wealth of the bettors of this module, rejecting at 1/``alpha``.
    Valid when: samples are independent draws of one distribution, and what ``assumption`` says of
    it holds. With ranges or standard deviations it is enough that they hold for each draw given
    those before.

    Args:
        exact: what the mean should be.
        exact_error: what it may be off by, by coordinate or one for all.
        alpha: probability of a false alarm, of the whole test, at whatever draw it is stopped.
        low, high: between which every sample lies, for certain, by coordinate or one for all.
        sd: that no standard deviation exceeds, by coordinate or one for all; there is no bet on a
            direction then.
        covariance: instead, that the covariance does not exceed.
        rarest: with none of these, the least probability of an outcome that matters. On the first
            ``stretch`` draws, ``log(2P/(alpha/10))/rarest``, nothing is bet: with probability 1 -
            alpha/10 less than ``rarest`` is left out at either end of the range that they have.
            :meth:`expect` says that outcomes are rarer, or what is known of them.
        widen: with none of these, how far outcomes may lie that are rarer: ``widen - 1`` lengths of
            that range beyond it, or of the longest range of its group. 2 is a guess at what makes
            one outcome outdo all others.
        groups: numbers from 0, equal for coordinates of one scale, such as entries of one
            parameter. None: all are.
        power: for which the smallest visible bias is stated.
        precision: of the arithmetic that the samples come from. Default: of the first samples.

    Shape:
        ``exact`` and ``groups`` (P,); ``exact_error``, ``low``, ``high`` and ``sd`` (P,) or ();
        ``covariance`` (P, P).

    Raises:
        TypeError, ValueError: for arguments that do not fit together.

    Reference: see the module.
    """

    def __init__(
        self,
        exact: Any,
        *,
        exact_error: Any = 0.0,
        alpha: float = ALPHA,
        low: Any = None,
        high: Any = None,
        sd: Any = None,
        covariance: Any = None,
        rarest: float = 1e-4,
        widen: float = 2.0,
        groups: Any = None,
        power: float = POWER,
        precision: float | None = None,
    ) -> None:
        self.exact = vector("exact", exact)
        for name, value in (("alpha", alpha), ("rarest", rarest), ("power", power)):
            if not 0.0 < value < 1.0:
                raise ValueError(f"{name} is {value}, should be between 0 and 1")
        if not (math.isfinite(widen) and widen >= 1.0):
            raise ValueError(f"widen is {widen}, should be 1 or more")
        if precision is not None and not 0.0 <= precision < 1.0:
            raise ValueError(
                f"precision is {precision}, should be 0 or a unit roundoff such as 1.2e-7"
            )
        size = self.exact.size
        self.alpha, self.power, self.rarest, self.widen = alpha, power, rarest, widen
        self.exact_error = spread_out("exact_error", exact_error, size)
        if (self.exact_error < 0.0).any():
            raise ValueError(f"exact_error is {self.exact_error.min()}, should not be negative")
        self._groups = grouped(groups, size)
        #: Draws on which nothing is bet, because the range is learnt from them.
        self.stretch = 0
        self._depth = 0
        #: The wealth at which the mean is rejected.
        self.threshold = 1.0 / alpha
        #: Of the arithmetic that samples come from; None before there are any.
        self.precision = precision
        self._given = knowledge(size, low, high, sd, covariance)
        if self._given is None:
            self.threshold = 1.0 / (alpha * (1.0 - SHARE))
            self.stretch = stretch(size, alpha, rarest)
        self._joint = 1 < size <= MOST_JOINT and not (sd is not None and covariance is None)
        self._moments = RunningMoments(size, self._joint)
        self._book: Strategy | None = None
        self._wealth = np.zeros(size + self._joint)  # its logarithm
        self._weights = _weights(size, self._joint)
        self._until = self._learnt = self.stretch
        self._bets = 0
        self._notes: list[str] = []
        self._culprit: int | None = None
        self.reason = ""
        self.rejected = False

    @property
    def assumption(self) -> str:
        """What must hold for ``alpha`` to be the probability of a false alarm."""
        if self._given is not None:
            return self._given.assumption
        if self._depth:
            return (
                "draws are independent, and all that is random is drawn where the probabilities "
                f"of outcomes were seen, by which no path is less likely than {self.rarest:g}"
            )
        return (
            "draws are independent, and in each coordinate no outcome is farther than "
            f"{self.widen - 1:g} times the longest range of its group from an interval that has "
            f"the exact mean and leaves out a probability below {self.rarest:g} at either end"
        )

    @property
    def condition(self) -> str:
        """The part of it that nobody knows; empty if that is none."""
        if self._given is not None or self._depth:
            return ""
        return f"no outcome rarer than {self.rarest:g} lies far beyond all others"

    def expect(self, rarest: float, *, depth: int = 0) -> None:
        """Learn the range on as many draws as show all outcomes of a probability, or of a larger.

        Args:
            rarest: their least probability.
            depth: where the probabilities of all outcomes of all draws were seen: the most draws
                that were made for one sample, and then ``rarest`` is the least probability of a
                path through outcomes that could have come out. 0: they were not.

        Raises:
            ValueError: for a probability that is none, or if no range is learnt any more.
        """
        if not 0.0 < rarest <= 1.0:
            raise ValueError(f"rarest is {rarest}, should be above 0 and at most 1")
        if self._given is not None or self._book is not None:
            raise ValueError(
                "the range is known, by low= and high=: leave expect() out, which learns one"
            )
        self.rarest, self._depth = rarest, depth
        self.stretch = self._learnt = stretch(self.exact.size, self.alpha, rarest, depth)
        self._until = min(self._until, self._learnt)

    def feed(self, samples: Any) -> bool:
        """Take samples; whether the mean is rejected, so that drawing may stop.

        How samples are cut into blocks changes nothing. Those after a rejection are ignored.

        Args:
            samples: one or a block of them, in the order of their drawing.

        Shape:
            ``samples`` (P,) or (B, P).

        Raises:
            BeyondRange: for a sample outside of the range that was given.
            TypeError, ValueError: for samples that are not real, or not of that shape.
        """
        block = self._read(samples)
        while len(block) and not self.rejected:
            taken = self._take(block[: max(1, self._until - self._moments.count)])
            block = block[taken:]
        return self.rejected

    def found(self) -> MeanTestResult:
        """The report so far.

        Raises:
            NothingCompared: if nothing was fed.
        """
        moments = self._moments
        if not moments.count and not self.rejected:
            raise NothingCompared(
                "zero samples: a verdict needs at least one; feed it what the estimator returns"
            )
        count = moments.count
        errors = np.sqrt(moments.variance() / max(1, count))
        shares = self._weights + self._wealth
        worst = self._worst(errors) if self._culprit is None else self._culprit
        return MeanTestResult(
            rejected=self.rejected,
            alpha=self.alpha,
            draws=count,
            bets=self._bets,
            e_value=exp(math.inf if self.reason else float(log_sum(shares))),
            threshold=self.threshold,
            worst=worst,
            mean=float(self.exact[worst] + moments.mean[worst]),
            exact=float(self.exact[worst]),
            standard_error=float(errors[worst]),
            joint=self._by_direction(shares),
            power=self.power,
            detectable=self._detectable(),
            standard_errors=errors,
            assumption=self.assumption,
            # What is decided without a bet needs no range that was learnt.
            condition="" if self.reason else self.condition,
            reason=self.reason,
            notes=tuple(self._notes),
        )

    def _by_direction(self, shares: np.ndarray) -> bool:
        """Whether bets rejected, and most of the wealth is the direction's."""
        if not self._joint or not self.rejected or self.reason:
            return False
        return bool(shares[-1] > math.log(0.5) + log_sum(shares))

    def _read(self, samples: Any) -> np.ndarray:
        """A block of differences from the exact mean."""
        block = np.asarray(samples)
        if block.dtype.kind not in "fiu":
            raise TypeError(f"samples are of type {block.dtype}, should be real numbers")
        size = self.exact.size
        if block.ndim not in (1, 2) or block.shape[-1] != size:
            raise ValueError(
                f"samples have shape {block.shape}, should be ({size},) or (B, {size})"
            )
        if self.precision is None:
            kind = block.dtype if block.dtype.kind == "f" else np.float64
            self.precision = float(np.finfo(kind).eps)
        return np.atleast_2d(block).astype(np.float64) - self.exact

    def _take(self, part: np.ndarray) -> int:
        """Take the first draws of a part, up to the first that is unlike the others; how many."""
        moments = self._moments
        if not moments.count and self._given is not None:
            self._open(self._given.book(self.exact, self._rounding(), self.exact_error))
        inside = self._book.inside(part) if self._book else np.isfinite(part)
        odd = np.flatnonzero(~inside.all(axis=1))
        usual = part[: odd[0]] if odd.size else part
        taken = self._bet(usual)
        moments.add(usual[:taken])
        if not self.rejected and odd.size:
            self._meet(part[odd[0]], inside[odd[0]])
            taken += 1
        if not self.rejected and moments.count >= self._until:
            self._renew()
        return taken

    def _bet(self, part: np.ndarray) -> int:
        """Settle the bets on some draws; how many of them it took to decide, or all."""
        if self._book is None or self.rejected or not len(part):
            return len(part)
        wealth = self._wealth + np.cumsum(self._book.gains(part), axis=0)
        total = log_sum(wealth + self._weights)
        over = np.flatnonzero(total >= math.log(self.threshold))
        last = int(over[0]) if over.size else len(part) - 1
        self.rejected = bool(over.size)
        self._wealth = wealth[last]
        self._bets += last + 1
        return last + 1

    def _meet(self, sample: np.ndarray, inside: np.ndarray) -> None:
        """A sample that is not finite, or not where it was assumed to be."""
        broken = ~np.isfinite(sample)
        where = int(np.flatnonzero(broken if broken.any() else ~inside)[0])
        value = sample[where] + self.exact[where]
        place = f"draw {self._moments.count + 1:,} of coordinate {where} is {value:.6e}"
        if broken.any():
            self._moments.count += 1
            self._moments.mean[where] = sample[where]
            kind = "NaN" if np.isnan(value) else "infinite"
            self._refuse(where, f"{place.rpartition(' is ')[0]} is {kind}, and so is the mean.")
        elif self._given is None:
            self._moments.add(sample[None])
            self._surprised(place)
        elif isinstance(self._given, Ranges):
            low, high = self._given.low[where], self._given.high[where]
            raise BeyondRange(
                f"{place}, beyond the range from {low:.6e} to {high:.6e} that was given: either "
                "the range or the samples are wrong; correct one, for nothing can be said of the "
                "mean"
            )
        else:
            self._moments.add(sample[None])
            self._refuse(
                where,
                f"{place}, should be {self.exact[where]:.6e} each time: its sd is given as 0.",
            )

    def _surprised(self, place: str) -> None:
        """Learn the range once more, as if outcomes that are half as likely mattered.

        What was won is dropped, and what was lost is not: so it remains a wealth that is 1 or less
        on average.
        """
        self._notes.append(
            f"{place}, far beyond all that was seen: an outcome rarer than {self.rarest:g} "
            "matters, the assumption is false. All wealth was dropped, and the range is learnt "
            "anew, on twice as many draws."
        )
        self._book, self._bets = None, 0
        self._wealth = np.minimum(self._wealth, 0.0)
        self.rarest, self._depth = self.rarest / 2.0, 0
        self.stretch = stretch(self.exact.size, self.alpha, self.rarest)
        self._learnt = self._moments.count + self.stretch

    def _refuse(self, where: int, reason: str) -> None:
        """Reject without a bet."""
        self.rejected, self._culprit, self.reason = True, where, reason

    def _rounding(self) -> float:
        """What rounding can do to a sample, in units of its size."""
        assert self.precision is not None  # a sample was read
        return ROUNDINGS * self.precision

    def _open(self, book: Strategy) -> None:
        """Begin to bet, unless the exact mean is where no mean can be."""
        self._book = book
        if self._joint:
            book.direction = np.zeros(self.exact.size)
        apart = np.flatnonzero((book.low > book.charge) | (book.high < -book.charge))
        if apart.size:
            where = int(apart[0])
            low, high = self.exact[where] + book.low[where], self.exact[where] + book.high[where]
            self._refuse(
                where,
                f"coordinate {where} lies between {low:.6e} and {high:.6e}, and so does its mean; "
                f"{self.exact[where]:.6e} does not.",
            )

    def _learn(self) -> None:
        """A range, from all draws so far."""
        book = learnt(
            self._moments,
            self.exact,
            rounding=self._rounding(),
            off=self.exact_error,
            widen=self.widen,
            groups=self._groups,
        )
        self._open(book)

    def _renew(self) -> None:
        """Make new bets, from all draws so far, and say when the next are due."""
        count = self._moments.count
        if self._book is None and count >= self._learnt:
            self._learn()
        if self._book is not None:
            self._book.renew(self._moments)
        most = max(1, CELLS // self.exact.size)
        self._until = count + min(max(1, int(RENEWAL * count)), most)
        if self._book is None:
            self._until = min(self._until, self._learnt)

    def _worst(self, errors: np.ndarray) -> int:
        """The coordinate whose bettor won most; of equals, the most standard errors away."""
        away = np.abs(self._moments.mean)
        units = np.divide(away, errors, out=np.where(away > 0.0, np.inf, 0.0), where=errors > 0.0)
        return int(np.lexsort((units, self._wealth[: self.exact.size]))[-1])

    def _detectable(self) -> np.ndarray:
        """The smallest shift of the mean, by coordinate, that would be seen with ``power``.

        Who stakes Kelly's part d/(v + d^2) on a shift d wins u^2/2 a draw, give or take u at most,
        with u^2 = d^2/(v + d^2). Who learns it loses half the logarithm of the number of draws
        (Waudby-Smith and Ramdas 2023, section 5), less what was seen before betting. Where the
        range allows a stake t only, he wins t d - t^2 (v + d^2)/2, and t d is at most a half.
        """
        if self._book is None or not self._bets:
            return np.full(self.exact.size, np.inf)
        bets, before = self._bets, self._moments.count - self._bets
        need = (
            math.log(self.threshold)
            - self._weights[0]
            + 0.5 * math.log(1.0 + bets / (1.0 + before))
        )
        unlucky = float(ndtri(self.power))
        unit = (unlucky + math.sqrt(unlucky**2 + 2.0 * need)) / math.sqrt(bets)
        other = math.sqrt(max(0.0, 1.0 - unit**2))
        spread = np.sqrt(diagonal(self._book.scatter(self._moments)))
        most = self._book.largest()
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = spread * np.divide(unit, other)
            forced = need / (bets * most) + most * spread**2 / 2 + unlucky * spread / bets**0.5
            allowed = np.isfinite(shift) & (unit * other <= most * spread)
        # Where nothing can vary, any stake is allowed and any shift is seen.
        forced = np.where(np.isfinite(most), forced / 0.75, np.where(spread > 0.0, np.inf, 0.0))
        return self._book.charge + np.where(allowed, shift, forced)


def stretch(size: int, alpha: float, rarest: float, depth: int = 0) -> int:
    """Draws that a range is learnt from; see :class:`MeanTest` and :meth:`MeanTest.expect`.

    Args:
        size: coordinates, P.
    """
    ends = 2.0 * size * max(1, depth * (depth + 1))
    draws = math.log(ends / (SHARE * alpha)) / rarest
    return math.ceil(min(draws, 2.0**62))  # beyond this nobody draws, and few can count


def _weights(size: int, joint: bool) -> np.ndarray:
    """Logarithms of what bettors begin with: half is the direction's, where there is one."""
    if not joint:
        return np.full(size, -math.log(size))
    return np.append(np.full(size, -math.log(2.0 * size)), math.log(0.5))


def log_sum(logarithms: np.ndarray) -> Any:
    """Logarithm of a sum over the last axis; SciPy's takes ten times as long for a few numbers."""
    peak = logarithms.max(axis=-1)
    return peak + np.log(np.exp(logarithms - peak[..., None]).sum(axis=-1))


def exp(logarithm: float) -> float:
    """Infinite where that is too large for a number."""
    return math.exp(logarithm) if logarithm < math.log(np.finfo(np.float64).max) else math.inf
