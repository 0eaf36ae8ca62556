"""The outcomes of a draw by their probabilities, the most likely first."""

from __future__ import annotations

import numpy as np

from .outcomes import Certain, OutcomeDistribution, Uniform


class RankedOutcomes:
    """The possible outcomes of a draw by rank, from the most likely, of rank 0, to the least.

    Of equally likely ones the first comes first. Outcomes that are all as likely are not listed,
    however many there are.
    """

    def __init__(self, outcomes: OutcomeDistribution) -> None:
        self.count = outcomes.possible
        self._outcomes = outcomes
        self._numbers: np.ndarray | None = None
        if isinstance(outcomes, Uniform | Certain):
            self._each = 1.0 / self.count
            return
        numbers, probabilities = outcomes.listed()
        order = np.argsort(-probabilities, kind="stable")
        self._numbers, self._probabilities = numbers[order], probabilities[order]

    def outcome(self, rank: int) -> int:
        """The number of the outcome of a rank."""
        if self._numbers is not None:
            return int(self._numbers[rank])
        if isinstance(self._outcomes, Certain):
            return self._outcomes.quantile(0.5)
        return rank

    def rank(self, outcome: int) -> int:
        """That of an outcome, by its number."""
        if self._numbers is not None:
            return int(np.flatnonzero(self._numbers == outcome)[0])
        return 0 if isinstance(self._outcomes, Certain) else outcome

    def probability(self, start: int, stop: int) -> float:
        """Of all outcomes from one rank to before another."""
        if self._numbers is None:
            return (stop - start) * self._each
        return float(self._probabilities[start:stop].sum())

    def draw(self, start: int, stop: int, share: float) -> int:
        """An outcome of those ranks, in which their cumulative probability reaches a share of it.

        Args:
            share: from 0 to less than 1; if it is uniform, outcomes come by their probabilities.
        """
        if self._numbers is None:
            return self.outcome(start + min(int(share * (stop - start)), stop - start - 1))
        steps = np.cumsum(self._probabilities[start:stop])
        place = int(np.searchsorted(steps, share * steps[-1], side="right"))
        return self.outcome(start + min(place, stop - start - 1))
