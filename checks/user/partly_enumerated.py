"""An estimator of more paths than can be run: the most probable are, and some of the rest.

With S the sum of p g over the paths that were run, and R the probability of the others, the mean of
the estimator is that of S + R g, g drawn from the others. That is tested by betting, as samples of
any estimator are (see :mod:`..sequential.mean_test`); but what varies is R times as small. Draws
are ours, by the probabilities of the code's own: nothing is drawn that no handler sees.
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
from gradproof.estimators.enumeration.heaviest import HeaviestPaths, Shares
from gradproof.estimators.enumeration.moments import ROUNDINGS_OF_A_DRAW, Moments
from gradproof.estimators.enumeration.run import NotReproducible, Path, UnsupportedDraw
from gradproof.estimators.enumeration.spread import RoundingBounds

from ..evidence import entry
from ..sequential.betting import RunningMoments
from ..sequential.learning import stretch
from ..sequential.mean_test import BeyondRange, MeanTest
from ..sequential.wealth import CELLS
from .estimand import SINGLE, Estimand
from .estimator_report import EstimatorReport
from .known_spread import known_spread
from .listing import list_names
from .progress import RunProgress
from .rarity import RAREST, TooFewDraws
from .sampled import BLOCKS, Samples, entry_groups
from .sampled_report import report_on_samples
from .strategy import HEAVIEST

#: Part of the rest that its range is always learnt to, whatever else may be left out: gradients on
#: paths that are not likely are larger than on the others as a rule, so these say little of them.
LEARNT = 1e-2

#: Paths at the beginning of which each is run twice; after these, those whose number is a power of
#: two.
FIRST = 16


def check_heaviest(
    label: str,
    estimator: Estimator,
    estimand: Estimand,
    given: Mapping[str, Any],
    listener: RunProgress | None,
) -> EstimatorReport | None:
    """The report on an estimator of which only the heaviest paths are run; None if all can be.

    Args:
        given: the arguments of :func:`.estimator.check_estimator`.

    Raises:
        NotEnumerable: for an unsupported draw, or nondeterministic code.
        TooFewDraws: if all draws would go into learning the range.
        BeyondRange: for an estimate that is not as ``bounds`` says.
    """
    started = time.perf_counter()
    seed = secrets.randbits(32) if given["seed"] is None else int(given["seed"])
    check = _HeaviestCheck(estimator, estimand, given, Shares(np.random.default_rng(seed)))
    try:
        with Enumeration(estimator, given["paths"], batch=False) as enumeration:
            if not check.enumerate(enumeration, listener):
                return None
            if listener is not None:
                listener.sample(given["draws"])
            samples = check.sample(enumeration)
    except UnsupportedDraw as error:
        raise UnsupportedDraw(
            f"{error}; strategy='heaviest' needs draws that can be enumerated: leave it out, and "
            "draws= samples the whole estimator"
        ) from error
    report = report_on_samples(label, estimand, samples, time.perf_counter() - started, "")
    return dataclasses.replace(
        report,
        method=HEAVIEST,
        paths=check.moments.count,
        mass=check.moments.mass,
        notes=(*check.notes(samples, seed), *report.notes[1:]),
        seed=seed,
    )


class _HeaviestCheck:
    """The heaviest paths, the rest, and the tests of the mean of both."""

    def __init__(
        self,
        estimator: Estimator,
        estimand: Estimand,
        given: Mapping[str, Any],
        shares: Shares,
    ) -> None:
        self._estimator, self._estimand, self._given, self._shares = (
            estimator,
            estimand,
            given,
            shares,
        )
        self._layout = GradientLayout(estimand.value)
        self._exact = self._layout.row(estimand.value)
        self._known = known_spread(given["bounds"], None, estimand.value)
        self.moments = Moments(self._layout)
        self._rest_moments = RunningMoments(self._layout.size, joint=False)

    def _check_draws(self, rarest: float, probability: float) -> None:
        """Whether there are enough to learn the range from, and more.

        Args:
            rarest: the least probability of an outcome of the rest that matters.
            probability: of the rest.

        Raises:
            TooFewDraws: if there are not.
        """
        draws = self._given["draws"]
        wanted = stretch(self._layout.size, self._given["alpha"], rarest)
        if self._known.low is None and wanted >= draws:
            raise TooFewDraws(
                f"draws is {draws:,}, and {wanted:,} are needed to know the range of the paths "
                f"that are not enumerated, of probability {probability:.3g}: take more, enumerate "
                "more (paths=), pass bounds= if they are known, or a larger rarest="
            )

    def enumerate(self, enumeration: Enumeration, listener: RunProgress | None) -> bool:
        """Run the heaviest paths; whether there are others."""
        self._heaviest = HeaviestPaths(enumeration.run_once, self._shares)
        for path in self._heaviest.paths(self._given["paths"]):
            self.moments.add(path)
            row = self._row(path)
            count = self.moments.count
            if count <= FIRST or not count & (count - 1):
                enumeration.check_repeated(path, row, self._layout)
            enumeration.restore_state()
            if listener is not None:
                listener.share(self._given["paths"] - count, self._heaviest.probability)
        if self._heaviest.complete:
            return False
        self.rest = self._heaviest.rest()
        self._check_mass()
        self._changed = enumeration.changed
        bounds = RoundingBounds(
            enumeration, self.moments, self._estimator.precision, self._given["precision"]
        )
        self._rounding = bounds.wide.bound
        return True

    def sample(self, enumeration: Enumeration) -> Samples:
        """Draw from the rest until the mean is refuted, or there are as many draws as may be."""
        rest, draws = self.rest, self._given["draws"]
        #: The least probability of an outcome that matters, of those of the rest.
        rarest = self._given["rarest"] or RAREST
        # Paths that are too unlikely for a number have no probability.
        self._rarest = min(rarest / max(rest.probability, math.ulp(0.0)), LEARNT)
        self._check_draws(self._rarest, rest.probability)
        with np.errstate(invalid="ignore"):  # what is no number is found by the tests
            part = self.moments.mean() * self.moments.mass
        tests = self._tests(part)
        most = max(1, CELLS // self._layout.size)
        decided, size = False, BLOCKS[0]
        while self._rest_moments.count < draws and not decided:
            count = min(size, draws - self._rest_moments.count, most)
            rows = np.stack([self._draw(enumeration) for _ in range(count)])
            with np.errstate(over="ignore", invalid="ignore"):
                self._rest_moments.add(rows)
                decided = [test.feed(part + rest.probability * rows) for test in tests][-1]
            size = min(2 * size, BLOCKS[1])
        doubtful = tests[0].rejected and not tests[-1].rejected
        decisive = tests[-1] if doubtful or tests[-1].rejected else tests[0]
        return self._samples(part, decisive, doubtful)

    def notes(self, samples: Samples, seed: int) -> tuple[str, ...]:
        """What was done, and facts that no verdict depends on."""
        moments, given = self.moments, self._given
        right = f"A right estimator is refuted with a probability of at most {given['alpha']:g}"
        said = [
            f"{moments.count:,} paths were enumerated, the most probable first, of probability "
            f"{moments.mass:.6g} together. Of the others, of probability "
            f"{self.rest.probability:.3g}, {samples.test.draws:,} were drawn (seed={seed}).",
            f"{right}{', on that condition' if samples.condition else ''}.",
            "The variance is known of the paths that were enumerated, and estimated of the rest.",
            *filter(None, map(moments.note, self._layout.parts)),
        ]
        if self._heaviest.full:
            said.append("More paths were not enumerated, for there is no room to keep their draws.")
        if self._changed:
            said.append(
                f"Each run changes {list_names(self._changed)}. All of it is put back before the "
                "next; whether the estimator is right from a later state was not checked."
            )
        if given["keep_paths"]:
            said.append("Paths were not kept, for not all of them were run.")
        return tuple(said)

    def _tests(self, part: np.ndarray) -> list[MeanTest]:
        """The first of which says whether anything is wrong, the last for certain.

        Args:
            part: what the enumerated paths add to the mean, (P,).
        """
        low, high = self._known.low, self._known.high
        if low is not None and high is not None:
            low, high = (part + self.rest.probability * end for end in (low, high))
        error = self._layout.row(self._estimand.error) + self._rounding
        # Single precision inside is not seen; what it does is in proportion to gradients.
        size = float(max(np.abs(self._exact).max(), self.moments.size().max()))
        doubt = self._layout.row(self._estimand.unstated)
        doubt = doubt + (0.0 if self._given["precision"] else SINGLE * size)
        allowed = [error, *([error + doubt] if doubt.any() else [])]
        return [
            MeanTest(
                self._exact,
                exact_error=off,
                alpha=self._given["alpha"],
                rarest=self._rarest,
                low=low,
                high=high,
                groups=entry_groups(self._layout),
                precision=max(self._given["precision"], self._estimator.precision),
            )
            for off in allowed
        ]

    def _samples(self, part: np.ndarray, test: MeanTest, doubtful: bool) -> Samples:
        """Moments of the whole estimator, and what a test says of its mean."""
        moments, rest, share = self.moments, self._rest_moments, self.rest.probability
        result = test.found()
        if result.condition:
            rarest = test.rarest * share
            result = dataclasses.replace(
                result,
                condition=f"no outcome rarer than {rarest:.2g} lies far beyond all others that "
                "were drawn",
                assumption=f"{result.assumption}; all this of the paths that were not enumerated",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            between = moments.mass * share * (moments.mean() - rest.mean) ** 2
            variance = moments.mass * moments.variance() + share * rest.variance() + between
            mean = part + share * rest.mean
        split = self._layout.split
        return Samples(split(mean), split(variance), result, doubtful=doubtful)

    def _draw(self, enumeration: Enumeration) -> np.ndarray:
        """The gradients of a path of the rest, (P,)."""
        row = self._row(self.rest.draw())
        enumeration.restore_state()
        return row

    def _row(self, path: Path[Any]) -> np.ndarray:
        """The gradients of a path, (P,).

        Raises:
            BeyondRange: if they are not as ``bounds`` says.
        """
        row, low, high = self._layout.row(path.value), self._known.low, self._known.high
        if low is None or high is None:
            return row
        beyond = np.flatnonzero((row < low) | (row > high))
        if beyond.size:
            where = int(beyond[0])
            raise BeyondRange(
                f"{entry(*self._layout.entry(where))} is {row[where]:.6e} where {path} "
                f"(probability {path.probability:.3g}), beyond bounds = ({low[where]:.6g}, "
                f"{high[where]:.6g}): correct them, or leave them out"
            )
        return row

    def _check_mass(self) -> None:
        """The paths that were run and the others are certain together.

        Raises:
            NotReproducible: if they are not.
        """
        moments = self.moments
        total = moments.mass + self.rest.probability
        allowed = ROUNDINGS_OF_A_DRAW * moments.precision * max(1, moments.draws)
        if not abs(total - 1.0) <= allowed:
            raise NotReproducible(
                f"the probabilities of {moments.count:,} paths and of those that were not run add "
                f"up to {total:.17g}, expected 1 within {allowed:.1e}: what is drawn, or by which "
                "probabilities, is not the same from run to run"
            )
