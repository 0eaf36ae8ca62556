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
  every outcome of probability ``rarest`` or more is in it, and then widened; see :mod:`.learning`.

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

import math
from typing import Any

import numpy as np

from gradproof.errors import GradproofError

from ..evidence import NothingCompared
from .assumptions import MOST_JOINT, group_numbers, knowledge, spread_out, vector
from .betting import Ranges, RunningMoments, Strategy
from .error_rates import ALPHA, POWER
from .learning import SHARE, learn_range, stretch
from .mean_result import MeanTestResult, VisibleShift, smallest_shift
from .wealth import CELLS, ROUNDINGS, exp, log_sum, settle_bets

#: Bets are made anew when the draws have grown by this part.
RENEWAL = 1 / 8


class BeyondRange(GradproofError, ValueError):
    """A sample out of bounds: beyond the range that was given, so that the assumption is false."""


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
        self._groups = group_numbers(groups, size)
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
        self._strategy: Strategy | None = None
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
            "draws are independent, and in each coordinate no outcome lies far outside an interval "
            "that has the exact mean in it and leaves out a probability below "
            f"{self.rarest:g} at either end: not by more than {self.widen - 1:g} times the longest "
            "range that was seen in its group (such as the entries of one parameter)"
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
        if self._given is not None or self._strategy is not None:
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
        visible = smallest_shift(
            self._strategy,
            moments,
            bets=self._bets,
            need=math.log(self.threshold) - self._weights[0],
            power=self.power,
        )
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
            detectable=visible.whole(),
            standard_errors=errors,
            visible_by=VisibleShift(*(each[worst] for each in visible)),
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
            self._open(self._given.strategy(self.exact, self._rounding(), self.exact_error))
        inside = self._strategy.is_inside(part) if self._strategy else np.isfinite(part)
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
        if self._strategy is None or self.rejected or not len(part):
            return len(part)
        self._wealth, bets, self.rejected = settle_bets(
            self._wealth,
            self._strategy.gains(part),
            lambda wealth: log_sum(wealth + self._weights),
            math.log(self.threshold),
        )
        self._bets += bets
        return bets

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
            self._relearn(place)
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

    def _relearn(self, place: str) -> None:
        """Learn the range once more, as if outcomes that are half as likely mattered.

        What was won is dropped, and what was lost is not: so it remains a wealth that is 1 or less
        on average.
        """
        self._notes.append(
            f"{place}, far beyond all that was seen: an outcome rarer than {self.rarest:g} "
            "matters, the assumption is false. All wealth was dropped, and the range is learnt "
            "anew, on twice as many draws."
        )
        self._strategy, self._bets = None, 0
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

    def _open(self, strategy: Strategy) -> None:
        """Begin to bet, unless the exact mean is where no mean can be."""
        self._strategy = strategy
        if self._joint:
            strategy.direction = np.zeros(self.exact.size)
        beyond = np.flatnonzero(
            (strategy.low > strategy.allowance) | (strategy.high < -strategy.allowance)
        )
        if beyond.size:
            where = int(beyond[0])
            low, high = (
                self.exact[where] + strategy.low[where],
                self.exact[where] + strategy.high[where],
            )
            self._refuse(
                where,
                f"coordinate {where} lies between {low:.6e} and {high:.6e}, and so does its mean; "
                f"{self.exact[where]:.6e} does not.",
            )

    def _learn(self) -> None:
        """A range, from all draws so far."""
        strategy = learn_range(
            self._moments,
            self.exact,
            rounding=self._rounding(),
            off=self.exact_error,
            widen=self.widen,
            groups=self._groups,
        )
        self._open(strategy)

    def _renew(self) -> None:
        """Make new bets, from all draws so far, and say when the next are due."""
        count = self._moments.count
        if self._strategy is None and count >= self._learnt:
            self._learn()
        if self._strategy is not None:
            self._strategy.renew(self._moments)
        most = max(1, CELLS // self.exact.size)
        self._until = count + min(max(1, int(RENEWAL * count)), most)
        if self._strategy is None:
            self._until = min(self._until, self._learnt)

    def _worst(self, errors: np.ndarray) -> int:
        """The coordinate whose bettor won most; of equals, the most standard errors away."""
        away = np.abs(self._moments.mean)
        units = np.divide(away, errors, out=np.where(away > 0.0, np.inf, 0.0), where=errors > 0.0)
        return int(np.lexsort((units, self._wealth[: self.exact.size]))[-1])


def _weights(size: int, joint: bool) -> np.ndarray:
    """Logarithms of what bettors begin with: half is the direction's, where there is one."""
    if not joint:
        return np.full(size, -math.log(size))
    return np.append(np.full(size, -math.log(2.0 * size)), math.log(0.5))
