"""What a run is given where its continuous numbers are integrated: a rule for each, in order."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..outcomes import Categorical, OutcomeDistribution
from .laws import ContinuousLaw, Nodes, node_of, nodes_of, nodes_of_parts

#: Nodes of a number that no rule was asked for.
LEAST = 1


#: Numbers of one path at most. With some dozens there are more paths than anyone runs; those that
#: are drawn until something comes out have no end where each takes the same node.
MOST_NUMBERS = 1000


class ChoosingRun(Protocol):
    """What gives draws their outcomes, and remembers things as long as it lasts."""

    memory: dict[str, Any]

    def choose(self, outcomes: OutcomeDistribution, key: Hashable = None) -> int:
        """The outcome of a draw."""

    def stop(self, why: str) -> None:
        """There are too many paths."""


class PartOfLaw(NamedTuple):
    """What a number may be: its law between two shares, in the precision of what draws it."""

    law: ContinuousLaw
    precision: float
    low: float
    high: float


class RowsRun(ChoosingRun, Protocol):
    """The same for many rows at once."""

    size: int

    def take_counts(
        self, laws: Sequence[OutcomeDistribution], which: np.ndarray, precision: float
    ) -> np.ndarray:
        """The outcomes of one draw, of which each row has a law, (P,)."""


class NodeDistribution(Categorical):
    """A number that is integrated: one outcome a node, weighted as it is in the rule."""

    __slots__ = ("nodes",)

    def __init__(self, what: str, nodes: Nodes, precision: float) -> None:
        super().__init__(what, nodes.weights, precision)
        self.nodes = nodes

    def key(self) -> object:
        """Nodes and weights."""
        return self.nodes.values.tobytes(), self.nodes.weights.tobytes()


class Quadrature:
    """The rules by which continuous numbers are integrated, by their order on a path.

    Args:
        counts: nodes of each; of those beyond, :data:`LEAST`.
        box: the shares of its law that each lies between, (start, end); beyond, all of it.
        is_cut: whether each rule is made of those of two parts of its law.
        by_function: whether the rule of a uniform number suits polynomials in what is made of it
            first, such as its logarithm, and not in itself.
        derives: whether numbers whose derivatives a framework approximates have them by
            differences of their quantiles.

    ``numbers`` is how many there were at most on a path that was run, ``has_functions`` whether
    ``by_function`` matters, and ``approximated`` what a framework approximates the derivatives of
    that were asked for.
    """

    def __init__(
        self,
        counts: tuple[int, ...] = (),
        box: tuple[tuple[float, float], ...] = (),
        *,
        is_cut: bool = False,
        by_function: bool = False,
        derives: bool = False,
    ) -> None:
        self.counts, self.box, self._rule = counts, box, nodes_of_parts if is_cut else nodes_of
        self.by_function, self.derives, self.numbers = by_function, derives, 0
        self.has_functions = False
        self.approximated: set[str] = set()
        #: The places of numbers that are drawn by keys, in whatever order, on any path.
        self.by_key: dict[Hashable, int] = {}

    def take(
        self,
        run: ChoosingRun,
        what: str,
        law: ContinuousLaw,
        precision: float,
        low: float = 0.0,
        high: float = 1.0,
        key: Hashable = None,
    ) -> float:
        """The next number of a run, between two shares of its law.

        Args:
            key: of a number that may be drawn in any order: its place is its own on all paths.
        """
        place = self._next_place(run, what, key)
        nodes = self.nodes(run, place, PartOfLaw(law, precision, low, high))
        outcomes = NodeDistribution(what, nodes, precision)
        # Without a key where there is none: those who replay outcomes take no other argument.
        taken = run.choose(outcomes) if key is None else run.choose(outcomes, key)
        return float(nodes.values[min(taken, len(nodes.values) - 1)])

    def begin(self, run: ChoosingRun) -> None:
        """Code is about to be called."""

    def take_rows(
        self,
        run: RowsRun,
        what: str,
        law: ContinuousLaw,
        precision: float,
        low: float = 0.0,
        high: float = 1.0,
    ) -> np.ndarray:
        """The next number in each row of a block, (P,); see :meth:`take`."""
        part = PartOfLaw(law, precision, low, high)
        rules, which = self._rules_of_rows(run, self._next_place(run, what), part)
        outcomes = [NodeDistribution(what, each, precision) for each in rules]
        taken = run.take_counts(outcomes, which, precision)
        return np.asarray(np.stack([each.values for each in rules])[which, taken])

    def _rules_of_rows(
        self, run: RowsRun, place: int, part: PartOfLaw
    ) -> tuple[list[Nodes], np.ndarray]:
        """Nodes of a number, as many of each rule, and the place of each row's rule, (P,)."""
        return [self.nodes(run, place, part)], np.zeros(run.size, np.int64)

    def nodes(self, run: ChoosingRun, place: int, part: PartOfLaw) -> Nodes:
        """Of a number by its place."""
        law, _, low, high = part
        count = self.counts[place] if place < len(self.counts) else LEAST
        if place < len(self.box):
            start, end = self.box[place]
            low, high = low + start * (high - low), low + end * (high - low)
        return node_of(law, low, high) if count == 1 else self._rule(law, low, high, count)

    def width(self, place: int) -> int:
        """How many nodes a number has, at most."""
        count = self.counts[place] if place < len(self.counts) else LEAST
        return 2 * max(1, count // 2) if self._rule is nodes_of_parts and count > 1 else count

    def _next_place(self, run: ChoosingRun, what: str, key: Hashable = None) -> int:
        if key is None:
            place = run.memory.get(PLACE, 0)
            run.memory[PLACE] = place + 1
        else:
            place = self.by_key.setdefault(key, len(self.by_key))
            run.memory[KEYED] = True
        if KEYED in run.memory and PLACE in run.memory:
            run.stop(
                f"{what} draws a continuous number by a key where others are drawn without one, "
                "and which is which on another path is not known: draw all by keys, or none"
            )
        self.numbers = max(self.numbers, place + 1)
        if place == MOST_NUMBERS:
            run.stop(
                f"one path uses more than {MOST_NUMBERS:,} continuous numbers, the last by {what}; "
                "code that draws until something comes out has paths without end, and over so many "
                "numbers nobody integrates: use fewer, or sample (draws=)"
            )
        return place


#: Under this name a run remembers how many numbers it has taken.
PLACE = "integrated numbers"

#: Under this one, that some were drawn by keys.
KEYED = "integrated numbers by keys"


def shares(box: tuple[tuple[float, float], ...]) -> float:
    """The probability that all numbers lie in a box."""
    return float(np.prod([end - start for start, end in box]))
