"""Estimates that are a sum of terms of one draw each: the draws are changed one at a time.

Of N independent draws of K outcomes there are K^N paths. Where the estimate is c + sum over draws
of g_i(y_i), it is known on all of them from N (K - 1) + 1: a base path, and those that differ from
it in one draw. The mean is that of the base plus, for each draw, the mean of what changing it does;
the variance is the sum over draws of the variance of that. This is the part of an analysis of
variance that has no interactions, anchored at the base path.

Reference:
    Sobol (1993), Sensitivity estimates for nonlinear mathematical models; Kuo, Sloan, Wasilkowski
    and Wozniakowski (2010), On decompositions of multivariate functions, for anchored ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .enumeration import Enumeration
from .gradients import GradientLayout
from .heaviest import LikeliestRun, Shares
from .outcomes import OutcomeDistribution
from .run import Choice, NotEnumerable, Path, Run, TooManyPaths, UnsupportedDraw

#: Numbers that are kept of all changes: half a gigabyte.
KEPT = 2**26

#: Paths at the beginning of which each is run twice; after these, those whose number is a power of
#: two.
FIRST = 16


class NotAdditive(NotEnumerable):
    """An estimate that is no sum of terms of one draw each, or draws that are not independent."""


class OtherDraws(NotEnumerable):
    """Draws that are not those of the base path; ``place`` is where, ``how`` what is otherwise."""

    def __init__(self, place: int, how: str) -> None:
        super().__init__(f"draw {place + 1} {how}")
        self.place, self.how = place, how


class GivenRun(Run):
    """Takes outcomes that are given for all draws, which must have the same probabilities."""

    def finish(self) -> None:
        """See the base class."""
        if len(self.choices) < len(self._prefix):
            self._differ(len(self.choices), "is not made")

    def _repeat_draw(self, outcomes: OutcomeDistribution, given: Choice) -> Choice:
        if not outcomes.is_same(given.outcomes):
            self._differ(len(self.choices), "has other probabilities")
        return given

    def _choose_freely(self, outcomes: OutcomeDistribution) -> int:
        self._differ(len(self.choices), "is made in addition")
        return 0

    def _differ(self, place: int, how: str) -> None:
        error = OtherDraws(place, how)
        self.refused.append(error)  # code that catches all errors goes on
        raise error

    def _count(self) -> None:
        pass  # nothing is enumerated

    def _count_together(self, many: Sequence[OutcomeDistribution]) -> None:
        pass  # likewise


class AdditivePaths:
    """Runs an estimator with one draw changed at a time, or with any outcomes.

    Args:
        enumeration: of its paths, which was entered.
        layout: the names and shapes of gradients.
        rng: draws outcomes of paths.

    ``count`` is how many paths were run, ``base`` the gradients of the base path (P,), and
    ``changes`` what changing a draw to an outcome adds, by the place of the draw.
    """

    def __init__(
        self, enumeration: Enumeration, layout: GradientLayout, rng: np.random.Generator
    ) -> None:
        self._enumeration, self._layout, self._shares = enumeration, layout, Shares(rng)
        self._rng = rng
        self.count = 0
        self.choices: tuple[Choice, ...] = ()
        self.changes: dict[int, dict[int, np.ndarray]] = {}
        #: The coarsest of the probabilities, as the step from 1 to the next number.
        self.precision = 0.0
        self.largest = 0.0

    def change_each(self, most: int) -> None:
        """Run the base path, the likeliest of each draw's outcomes, and each change of one draw.

        Args:
            most: paths that may be run.

        Raises:
            NotAdditive: if the probabilities of a draw depend on another one.
            NotEnumerable: for an unsupported draw, or nondeterministic code.
            TooManyPaths: if there are more.
        """
        kind = functools.partial(LikeliestRun, shares=self._shares)
        path = self._enumeration.run_once([], kind)
        self.choices, self.precision = path.choices, path.precision
        self.base = self._read(path)
        self._check_room(most)
        for place, choice in enumerate(self.choices):
            numbers, _ = choice.outcomes.listed()
            others = [int(number) for number in numbers if number != choice.taken]
            self.changes[place] = {each: self._change(place, each) for each in others}

    def _check_room(self, most: int) -> None:
        """Raises: UnsupportedDraw for a draw without an end; TooManyPaths for too many outcomes."""
        for choice in self.choices:
            if choice.outcomes.is_cut:
                raise UnsupportedDraw(
                    f"{choice.outcomes.what} draws one of outcomes without an end, which are not "
                    "enumerated one draw at a time; leave additive=True out"
                )
        paths = 1 + sum(choice.outcomes.possible - 1 for choice in self.choices)
        kept = paths * self._layout.size
        if paths > most or kept > KEPT:
            why = f"{paths:,} paths" if paths > most else f"{kept:,} numbers to be kept"
            raise TooManyPaths(
                f"changing one of {len(self.choices):,} draws at a time makes {why}, more than "
                f"{most if paths > most else KEPT:,}; allow more paths (paths=), draw from fewer "
                "outcomes, or compare fewer parameters (wrt=)"
            )

    def _change(self, place: int, outcome: int) -> np.ndarray:
        """What another outcome of one draw adds to the base, (P,)."""
        try:
            with np.errstate(invalid="ignore"):  # a mean that is no number is found
                return self.row({place: outcome}) - self.base
        except OtherDraws as error:
            one = self.describe(place)
            other = self.describe(error.place)
            raise NotAdditive(
                f"draws are not independent: where {one} comes out as {outcome}, {other} "
                f"{error.how}; leave additive=True out"
            ) from error

    def row(self, outcomes: Mapping[int, int]) -> np.ndarray:
        """The gradients of the base path with other outcomes of some draws, by place; (P,).

        Raises:
            OtherDraws: if draws are not those of the base path.
        """
        prefix = [
            choice._replace(taken=outcomes.get(place, choice.taken))
            for place, choice in enumerate(self.choices)
        ]
        return self._read(self._enumeration.run_once(prefix, GivenRun))

    def _read(self, path: Path[Any]) -> np.ndarray:
        row = self._layout.row(path.value)
        self.count += 1
        if self.count <= FIRST or not self.count & (self.count - 1):
            self._enumeration.check_repeated(path, row, self._layout)
        self._enumeration.restore_state()
        size = np.abs(row[np.isfinite(row)]).max(initial=0.0)
        self.largest = max(self.largest, float(size))
        return row

    def describe(self, place: int) -> str:
        """A draw, by its number and what draws."""
        if place >= len(self.choices):
            return f"draw {place + 1}"
        return f"draw {place + 1} ({self.choices[place].outcomes.what})"

    def mean(self) -> np.ndarray:
        """Of each entry, (P,), if the estimate is additive."""
        return self.base + sum((mean for mean, _ in self._of_each()), np.zeros_like(self.base))

    def variance(self) -> np.ndarray:
        """Of each entry, (P,), if the estimate is additive: that of each draw, added up."""
        return sum((variance for _, variance in self._of_each()), np.zeros_like(self.base))

    def size(self) -> np.ndarray:
        """The magnitudes of the base and of what each draw adds on average, added up; (P,)."""
        total = np.abs(self.base)
        for place, rows in self.changes.items():
            law = self.choices[place].outcomes
            for outcome, row in rows.items():
                total = total + law.probability(outcome) * np.abs(row)
        return total

    def _of_each(self) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Mean and variance of what each draw adds."""
        for place, rows in self.changes.items():
            law, mean = self.choices[place].outcomes, np.zeros_like(self.base)
            with np.errstate(invalid="ignore"):
                for outcome, row in rows.items():
                    mean = mean + law.probability(outcome) * row
                variance = law.probability(self.choices[place].taken) * mean**2
                for outcome, row in rows.items():
                    variance = variance + law.probability(outcome) * (row - mean) ** 2
            yield mean, variance

    def predicted(self, outcomes: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The gradients of a path if the estimate is additive, and the magnitudes in that sum."""
        total, size = self.base.copy(), np.abs(self.base)
        for place, outcome in outcomes.items():
            if outcome != self.choices[place].taken:
                total = total + self.changes[place][outcome]
                size = size + np.abs(self.changes[place][outcome])
        return total, size

    def draw(self, *, evenly: bool) -> dict[int, int]:
        """Outcomes of all draws, by their probabilities, or each as likely as the others."""
        outcomes = {}
        for place, choice in enumerate(self.choices):
            law, share = choice.outcomes, self._shares.draw()
            if evenly:
                numbers, _ = law.listed()
                outcomes[place] = int(numbers[min(int(share * len(numbers)), len(numbers) - 1)])
            else:
                outcomes[place] = law.quantile(share)
        return outcomes

    def interacting(
        self, outcomes: Mapping[int, int], is_off: Callable[[np.ndarray, np.ndarray], bool]
    ) -> tuple[int, ...]:
        """The places of few draws that do not add up on a path where all of them do not.

        Draws are taken away one by one as long as what is left is off.

        Args:
            is_off: whether gradients are not those predicted, by the magnitudes in their sum.
        """
        left = {
            place: each for place, each in outcomes.items() if each != self.choices[place].taken
        }
        for place in list(left):
            fewer = {key: each for key, each in left.items() if key != place}
            total, size = self.predicted(fewer)
            if is_off(self.row(fewer) - total, size):
                left = fewer
        return tuple(left)
