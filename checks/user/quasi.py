"""An estimator of many continuous numbers: means over random nets of points, tested as draws are.

The mean over a net that is randomised is an unbiased estimate of the estimator's mean (see
:mod:`gradproof.estimators.enumeration.integration.random_nets`), and nets are independent. So these
means are tested by betting, as samples of any estimator are (see :mod:`..sequential.mean_test`);
but they vary by less. Kinks and jumps make them vary more, and nothing that is said less true.

A range of means is learnt from thousands of them, as where plain draws are tested, and there are
some hundred only. So their standard deviation is learnt, from the first of them, and the bets are
Catoni's. That they have no larger one is what a verdict depends on, and it says so.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.integration.integrate import ALLOWANCE
from gradproof.estimators.enumeration.integration.random_nets import RandomNets
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw

from ..evidence import UNDECIDED, entry
from ..sequential.betting import RunningMoments
from ..sequential.learning import SHARE
from ..sequential.mean_test import MeanTest
from .estimand import Estimand
from .estimator_report import EstimatorReport
from .known_spread import known_spread
from .listing import list_names
from .progress import RunProgress
from .rarity import TooFewDraws
from .sampled import Samples, entry_groups
from .sampled_report import report_on_samples
from .strategy import QUASI

#: How many times the standard deviation that the first nets show is allowed for.
WIDEN = 1.5

#: Points of a net by which it is found what a framework's approximation of derivatives moves.
APPROXIMATED = 32


def check_quasi(
    label: str,
    estimator: Estimator,
    estimand: Estimand,
    given: Mapping[str, Any],
    doubt: Mapping[str, np.ndarray],
    why: str,
    listener: RunProgress | None,
) -> EstimatorReport:
    """The report on an estimator whose continuous numbers are drawn by random nets.

    Args:
        given: the arguments of :func:`.estimator.check_estimator`.
        doubt: what the mean may be off by, and nobody be wrong for certain.
        why: it is not enumerated.

    Raises:
        NotEnumerable: for an unsupported draw, too many paths, or nondeterministic code.
        TooFewDraws: if all nets would go into learning the range.
        BeyondRange: for a mean over a net that is not as ``bounds`` says.
    """
    started = time.perf_counter()
    seed = secrets.randbits(32) if given["seed"] is None else int(given["seed"])
    check = _QuasiCheck(estimator, estimand, given, doubt)
    try:
        with Enumeration(estimator, given["paths"], batch=False) as enumeration:
            samples = check.sample(enumeration, np.random.default_rng(seed), listener)
    except UnsupportedDraw as error:
        raise UnsupportedDraw(
            f"{error}; strategy='quasi' needs draws that can be integrated or enumerated: leave it "
            "out, and draws= samples the whole estimator"
        ) from error
    report = report_on_samples(label, estimand, samples, time.perf_counter() - started, why)
    reason = check.broken_condition()
    return dataclasses.replace(
        report,
        method=QUASI,
        verdict=UNDECIDED if reason else report.verdict,
        reason=reason or report.reason,
        paths=check.nets.moments.count,
        draws=check.count,
        mass=1.0,
        notes=(*check.notes(samples, why, seed), *report.notes[1:]),
        seed=seed,
    )


class _QuasiCheck:
    """Means over nets, and the tests of what they estimate."""

    def __init__(
        self,
        estimator: Estimator,
        estimand: Estimand,
        given: Mapping[str, Any],
        doubt: Mapping[str, np.ndarray],
    ) -> None:
        self._estimator, self._estimand, self._given = estimator, estimand, given
        self._layout = GradientLayout(estimand.value)
        self._doubt = self._layout.row(doubt)
        self._known = known_spread(given["bounds"], None, estimand.value)
        self._net_moments = RunningMoments(self._layout.size, joint=False)
        #: Points of a net.
        self.points = 0

    def sample(
        self, enumeration: Enumeration, rng: np.random.Generator, listener: RunProgress | None
    ) -> Samples:
        """Take nets until the mean is refuted, or there are as many nets or paths as may be."""
        self.nets = nets = RandomNets(enumeration, self._layout, rng)
        nets.look()
        draws, paths = self._given["draws"], self._given["paths"]
        self.points = self._points_of_net(paths - nets.per_node, draws, nets.per_node)
        self._learning = self._nets_to_learn_from(draws)
        self._approximation = ALLOWANCE * nets.approximation(APPROXIMATED)
        if listener is not None:
            listener.sample(draws * self.points * nets.per_node)
        while self._net_moments.count < self._learning:
            self._take()
        self._sd = self._largest_sd()
        tests, decided = self._tests(), False
        while self._net_moments.count < draws and not decided and self._has_room(paths):
            row = self._take()
            for test in tests:
                test.precision = max(test.precision or 0.0, self._estimator.precision)
            decided = [test.feed(row) for test in tests][-1]
        self._changed = enumeration.changed
        doubtful = tests[0].rejected and not tests[-1].rejected
        decisive = tests[-1] if doubtful or tests[-1].rejected else tests[0]
        return self._samples(decisive, doubtful)

    def _take(self) -> np.ndarray:
        """The mean over one net, (P,)."""
        row = self.nets.mean(self.points)
        with np.errstate(over="ignore", invalid="ignore"):  # a test names what is no number
            self._net_moments.add(row[None])
        return row

    def _points_of_net(self, paths: int, draws: int, per_node: int) -> int:
        """The largest power of two by which so many nets fit into so many paths.

        Raises:
            TooManyPaths: if a net would not have two points.
        """
        most = paths // (draws * per_node)
        if most < 2:
            raise TooManyPaths(
                f"{draws:,} nets (draws=) of points that have {per_node:,} paths each leave no two "
                f"points for a net, of {self._given['paths']:,} paths that may be run in all: "
                "allow more (paths=), or fewer nets (draws=)"
            )
        return 1 << (int(most).bit_length() - 1)

    def _nets_to_learn_from(self, draws: int) -> int:
        """How many nets a standard deviation is learnt from; none where bounds are known.

        Of n normal numbers it comes out as less than one w-th of what it is with a probability of
        at most exp(-(n - 1) (log w² - 1 + 1/w²) / 2), by Chernoff's bound; that is a tenth of the
        false alarms, for all entries together.

        Raises:
            TooFewDraws: if these are all that there are.
        """
        if self._known.low is not None:
            return 0
        rate = (math.log(WIDEN**2) - 1.0 + WIDEN**-2) / 2.0
        rare = math.log(self._layout.size / (SHARE * self._given["alpha"]))
        wanted = 1 + math.ceil(rare / rate)
        if wanted >= draws:
            raise TooFewDraws(
                f"draws is {draws:,}, and {wanted:,} nets are needed to know how far their means "
                "spread before anything is tested: take more (draws=), or pass bounds= if they "
                "are known"
            )
        return wanted

    def _largest_sd(self) -> np.ndarray | None:
        """What the standard deviation of no mean exceeds, as the first nets show; (P,).

        Entries of one parameter have one scale: what is small in one may come to be as large as in
        others. Where nothing in a parameter varies, it is that of all.
        """
        if self._known.low is not None:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            seen = np.sqrt(self._net_moments.variance())
        seen = np.where(np.isfinite(seen), seen, 0.0)  # what is no number refutes by itself
        groups = entry_groups(self._layout)
        largest = np.zeros(int(groups.max()) + 1)
        np.maximum.at(largest, groups, seen)
        return WIDEN * np.where(largest > 0.0, largest, seen.max())[groups]

    def _has_room(self, paths: int) -> bool:
        """Whether one more net fits into all paths, if its points have as many as those before."""
        moments, count = self.nets.moments, self._net_moments.count
        of_net = moments.count / count if count else self.points * self.nets.per_node
        return moments.count + of_net + self.nets.per_node <= paths

    def _tests(self) -> list[MeanTest]:
        """The first of which says whether anything is wrong, the last for certain."""
        error = self._layout.row(self._estimand.error) + self._approximation
        allowed = [error, *([error + self._doubt] if self._doubt.any() else [])]
        return [
            MeanTest(
                self._layout.row(self._estimand.value),
                exact_error=off,
                alpha=self._given["alpha"] * (1.0 if self._sd is None else 1.0 - SHARE),
                low=self._known.low,
                high=self._known.high,
                sd=self._sd,
                precision=self._given["precision"],
            )
            for off in allowed
        ]

    def _samples(self, test: MeanTest, doubtful: bool) -> Samples:
        """Moments of the estimator, and what a test says of its mean."""
        if self._net_moments.count == self._learning:
            raise TooManyPaths(
                f"{self._net_moments.count:,} nets were taken, and points had more paths than the "
                "first of all, so that none is left to be tested: allow more paths (paths=)"
            )
        result = test.found()
        if self._sd is not None:
            result = dataclasses.replace(
                result,
                condition=f"no entry's mean over {self.points:,} points has a standard deviation "
                f"more than {WIDEN:g} times the largest in its parameter that {self._learning} "
                "nets showed",
            )
        moments, split = self.nets.moments, self._layout.split
        return Samples(split(moments.mean()), split(moments.variance()), result, doubtful=doubtful)

    @property
    def count(self) -> int:
        """Nets that were taken."""
        return self._net_moments.count

    def broken_condition(self) -> str:
        """Why nothing can be said: means spread farther than the first ones; empty if not."""
        if self._sd is None:
            return ""
        with np.errstate(over="ignore", invalid="ignore"):
            seen = np.sqrt(self._net_moments.variance())
        beyond = np.flatnonzero((seen > self._sd) & (self._sd > 0.0))
        if not beyond.size:
            return ""
        where = int(beyond[0])
        return (
            f"The standard deviation of {entry(*self._layout.entry(where))} over nets is "
            f"{seen[where]:.2e}, and should not be above {self._sd[where]:.2e}, {WIDEN:g} times "
            f"what {self._learning} nets showed, for a verdict: something rare matters. Take nets "
            "of more points (paths=), pass bounds= if they are known, or sample (draws=, "
            "strategy='all')."
        )

    def notes(self, samples: Samples, why: str, seed: int) -> tuple[str, ...]:
        """What was done, and facts that no verdict depends on."""
        nets, given = self.nets, self._given
        learnt = self._sd is not None
        right = f"A right estimator is refuted with a probability of at most {given['alpha']:g}"
        said = [
            f"Means over nets were tested, for {why.partition('; ')[0]}: {self.count:,} "
            f"scrambled Sobol nets of {self.points:,} points in {nets.numbers} dimensions, and all "
            f"outcomes of discrete draws, {nets.moments.count:,} paths (seed={seed}). "
            f"{f'The first {self._learning} only show how far they spread. ' if learnt else ''}"
            f"{samples.test.draws:,} were tested.",
            f"{right}{', on that condition' if samples.condition else ''}.",
            f"The variance is that of one estimate, and is estimated.{self._gain()}",
            *filter(None, map(nets.moments.note, self._layout.parts)),
        ]
        if nets.approximated:
            said.append(
                f"Derivatives by {' and '.join(sorted(nets.approximated))} are PyTorch's own, "
                f"which are approximations: {self._approximation.max():.1e} is allowed for them."
            )
        if self._changed:
            said.append(
                f"Each run changes {list_names(self._changed)}. All of it is put back before the "
                "next; whether the estimator is right from a later state was not checked."
            )
        if given["keep_paths"]:
            said.append("Paths were not kept, for their numbers are drawn.")
        return tuple(said)

    def _gain(self) -> str:
        """By how much nets do better than draws, where that is a number."""
        with np.errstate(over="ignore", invalid="ignore"):
            plain = float(self.nets.moments.variance().sum()) / self.points
            by_nets = float(self._net_moments.variance().sum())
        if self._net_moments.count < 2 or not 0.0 < by_nets < np.inf or not np.isfinite(plain):
            return ""
        return (
            f" Means over nets vary {plain / by_nets:.3g} times less than means of {self.points:,} "
            "independent draws."
        )
