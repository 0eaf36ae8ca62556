"""Draws of one call by the same probabilities, where their order is said not to matter.

N labels of K come out in K^N ways, and by how often each came out in (N + K - 1 over N). Where the
order does not matter it is enough to enumerate these. How often the first label comes out is
binomial, how often the next one does, of the others, is binomial given that, and so on. In which
order labels are then given is drawn for each way by itself: so the mean of an estimator of which
the order does matter is right on average over orders, and what another order makes of one path
shows that it does.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from .outcomes import OutcomeDistribution, Uniform, binomial

#: Outcomes that are listed at most.
LISTED = 2**16

#: Orders that there are of each path; see :class:`Exchange`.
ORDERS = 4


class Exchange:
    """Answers draws of one call by how often each outcome comes.

    ``order`` is the number of the order in which outcomes are given: 0 for one that is drawn, 1 for
    its reverse, so that two outcomes that differ are exchanged for certain, 2 for what a turn by
    one place makes of it, and 3 for another one that is drawn. ``draws`` is the largest number of
    draws that were answered so at once.
    """

    def __init__(self) -> None:
        self.order = self.draws = 0

    def choose(
        self, choose: Callable[[OutcomeDistribution], int], many: Sequence[OutcomeDistribution]
    ) -> list[int]:
        """The outcomes of the draws of one call.

        Of equal probabilities only those of one row are exchanged: those of another row may belong
        to another example.

        Args:
            choose: answers one draw.
        """
        outcomes = list[int]()
        for _, group in itertools.groupby(many, key=_distribution):
            alike = list(group)
            if len(alike) == 1 or alike[0].possible > LISTED:
                outcomes += [choose(each) for each in alike]
            else:
                outcomes += self._choose_alike(choose, alike[0], len(alike))
        return outcomes

    def _choose_alike(
        self,
        choose: Callable[[OutcomeDistribution], int],
        distribution: OutcomeDistribution,
        left: int,
    ) -> list[int]:
        """The outcomes of so many draws by one distribution."""
        self.draws = max(self.draws, left)
        numbers, probabilities = distribution.listed()
        tails, outcomes = np.cumsum(probabilities[::-1])[::-1], list[int]()
        for number, probability, tail in zip(numbers[:-1], probabilities, tails, strict=False):
            if not left:
                break
            what = f"{distribution.what}: how often {number}"
            share = min(1.0, float(probability / tail))
            count = choose(binomial(what, left, share, distribution.precision))
            outcomes += [int(number)] * count
            left -= count
        outcomes += [int(numbers[-1])] * left
        return [outcomes[place] for place in self._places(outcomes)]

    def _places(self, outcomes: Sequence[int]) -> list[int]:
        """An order, by a hash: no generator is drawn from while a run is under way."""
        places = _hashed(outcomes, self.order if self.order == ORDERS - 1 else 0)
        if self.order == 1:
            return places[::-1]
        return [*places[1:], *places[:1]] if self.order == 2 else places


def _distribution(draw: OutcomeDistribution) -> object:
    """Equal for draws that are by one distribution."""
    return draw.count if isinstance(draw, Uniform) else id(draw)


def _hashed(outcomes: Sequence[int], number: int) -> list[int]:
    """An order of so many places, another for other outcomes and for another number."""
    head = f"{number}:{list(outcomes)}".encode()
    return sorted(
        range(len(outcomes)), key=lambda place: hashlib.sha256(b"%d:" % place + head).digest()
    )
