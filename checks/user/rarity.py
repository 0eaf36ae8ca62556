"""How rare outcomes can be, as far as the draws of an estimator that is sampled were seen."""

from __future__ import annotations

import math

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.run import SampledRun

from ..sequential.learning import stretch
from ..sequential.mean_test import MeanTest

#: The least probability of an outcome that matters where that is not known: the range of the rest
#: takes some ten thousand draws, which is what people sample anyway.
RAREST = 1e-3

#: Part of all draws that may go into learning a range for certain, where less would do for a
#: verdict that is conditional: with more, the smallest bias that is seen would be larger by two
#: fifths.
LEARNING = 1 / 2


class TooFewDraws(GradproofError, ValueError):
    """Too few draws: all of them would go into learning the range, and none into the test."""


class Rarity:
    """What was seen of the probabilities of outcomes, over all runs so far.

    Args:
        given: the least probability of an outcome that matters, as whoever asks says. None: that of
            the rarest outcome of any draw that was seen, and ``RAREST`` at most.

    ``outcome`` is the least probability of an outcome of any one draw; ``path`` the least product
    of the rarest outcomes of all draws of a run, so that no branch that leaves a run anywhere is
    less likely; ``depth`` the most draws of a run. ``unknown`` are draws whose outcomes have no
    probabilities that were seen.
    """

    def __init__(self, given: float | None = None) -> None:
        self.given = given
        self.outcome = 1.0
        self.path = 1.0
        self.depth = 0
        self.unknown: dict[str, None] = {}

    def see(self, run: SampledRun) -> None:
        """Look at a run that has ended."""
        self.outcome = min(self.outcome, run.rarest)
        self.unknown |= run.unknown
        if not self.unknown:
            rare = [choice.outcomes.rarest for choice in run.choices]
            self.depth = max(self.depth, len(rare))
            # The logarithm of the least number that there is stands for all below it.
            log = math.fsum(math.log(each) for each in rare)
            self.path = min(self.path, max(math.exp(log), math.ulp(0.0)))

    @property
    def least(self) -> float:
        """The least probability of an outcome that matters to a verdict that is conditional."""
        return min(RAREST, self.outcome) if self.given is None else self.given

    def plan(self, test: MeanTest, draws: int) -> None:
        """Let a test learn the range from as many draws as that takes.

        Raises:
            TooFewDraws: if that is all that there are, or more.
        """
        size = test.exact.size
        wanted = stretch(size, test.alpha, self.least)
        if self.depth and not self.unknown:
            # Never fewer than without: whatever is drawn unseen nevertheless may be as rare.
            rarest = min(self.path, self.least)
            whole = stretch(size, test.alpha, rarest, self.depth)
            worth = self.given is None and whole <= LEARNING * draws
            if whole < draws and (worth or rarest == self.least):
                test.expect(rarest, depth=self.depth)
                return
        if wanted >= draws:
            raise TooFewDraws(self._too_few(draws, wanted))
        test.expect(self.least)

    def _too_few(self, draws: int, wanted: int) -> str:
        said = (
            f"draws is {draws:,}, and {wanted:,} are needed to know the range of what is drawn "
            "before anything is tested"
        )
        if self.given is None and self.outcome < RAREST:
            return (
                f"{said}: an outcome may come out whose probability is {self.outcome:.3g}; take "
                "more, or say how rare outcomes are to be that do not matter (rarest=), for a "
                "verdict that says so"
            )
        return (
            f"{said}: take more, or pass a larger rarest= than {self.least:g}, for a verdict that "
            "leaves out all outcomes rarer than that, and says so"
        )
