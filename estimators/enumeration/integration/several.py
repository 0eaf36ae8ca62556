"""Several quadratures of one estimator in the same blocks of paths: which is a draw before all."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..block import BlockRun, Rows
from ..gradients import GradientLayout
from ..moments import Moments
from ..outcomes import Uniform
from ..path_blocks import Block
from ..run import Choice, Path
from .laws import Nodes
from .quadrature import ChoosingRun, NodeDistribution, PartOfLaw, Quadrature, RowsRun

#: Under this name a run remembers by which of the quadratures its numbers are.
WHICH = "which quadrature"


class Quadratures(Quadrature):
    """Several of them, of which each path takes its nodes from one.

    Args:
        parts: which differ in counts, boxes and cuts only.
    """

    def __init__(self, parts: Sequence[Quadrature]) -> None:
        super().__init__(by_function=parts[0].by_function, derives=parts[0].derives)
        self.parts = parts
        self._which = Uniform("the choice of a quadrature", len(parts))

    def begin(self, run: ChoosingRun) -> None:
        """See the base class."""
        if isinstance(run, BlockRun):
            which = run.take_counts([self._which], np.zeros(run.size, np.int64))
            run.memory[WHICH] = which
        else:
            run.memory[WHICH] = min(run.choose(self._which), len(self.parts) - 1)

    def width(self, place: int) -> int:
        """See the base class."""
        return max(each.width(place) for each in self.parts)

    def nodes(self, run: ChoosingRun, place: int, part: PartOfLaw) -> Nodes:
        """See the base class; so many for each, some without weight."""
        return self._nodes_by(run.memory[WHICH], run, place, part)

    def _nodes_by(self, which: int, run: ChoosingRun, place: int, part: PartOfLaw) -> Nodes:
        found = self.parts[which].nodes(run, place, part)
        lacking = self.width(place) - len(found.values)
        values = np.pad(found.values, (0, lacking), mode="edge")
        return Nodes(values, np.pad(found.weights, (0, lacking)))

    def _rules_of_rows(
        self, run: RowsRun, place: int, part: PartOfLaw
    ) -> tuple[list[Nodes], np.ndarray]:
        different, which = np.unique(run.memory[WHICH], return_inverse=True)
        rules = [self._nodes_by(int(each), run, place, part) for each in different]
        return rules, which.reshape(-1)


class MomentsByQuadrature:
    """Moments by each of several quadratures, of paths that are run together.

    Args:
        layout: the names and shapes of gradients.
    """

    def __init__(self, layout: GradientLayout, quadratures: Quadratures) -> None:
        self._layout, self._quadratures = layout, quadratures
        #: See :class:`..moments.Moments`.
        self.choices_of: Callable[[list[int]], tuple[Choice, ...]] | None = None
        self.each = [Moments(layout) for _ in quadratures.parts]
        for which, moments in enumerate(self.each):
            moments.choices_of = functools.partial(self._choices, which)

    def _choices(self, which: int, numbers: Sequence[int]) -> tuple[Choice, ...]:
        assert self.choices_of is not None  # whoever adds blocks says it
        return self.choices_of([which, *numbers])[1:]

    def add_block(self, block: Block) -> np.ndarray:
        """Add paths that were run together; the gradients of each, (N, P)."""
        rows = np.empty((len(block.numbers), self._layout.size))
        reached = self._layout.write_rows(block.gradients, rows)
        numbers = block.numbers
        for which in np.unique(numbers[:, 0]).tolist():
            mine = numbers[:, 0] == which
            part = block._replace(
                numbers=numbers[mine, 1:],
                widths=block.widths[1:],
                weights=block.weights[mine] * len(self.each),
                gradients={},
                far=block.far[mine],
            )
            self.each[which].add_rows(part, rows[mine], reached)
        return rows

    def expected(self, first: Path[Any]) -> list[int]:
        """How many outcomes the draws of a path have."""
        return [choice.outcomes.count for choice in first.choices]

    def start(self, first: Path[Any], most: int) -> Rows:
        """The paths that there are if all make the draws of one, as far as these are so many.

        Args:
            most: rows.
        """
        widths = [self._widths(part, first) for part in self._quadratures.parts]
        draws = len(first.choices) - 1
        while draws and sum(int(np.prod(each[:draws])) for each in widths) > most:
            draws -= 1
        numbers = np.array(
            [
                (which, *outcomes)
                for which, each in enumerate(widths)
                for outcomes in itertools.product(*map(range, each[:draws]))
            ],
            np.int64,
        )
        return Rows(numbers, tuple(self.expected(first)[: draws + 1]), 1)

    def _widths(self, part: Quadrature, first: Path[Any]) -> list[int]:
        """How many outcomes each draw of a path has, by one of the quadratures."""
        found, numbers = [], itertools.count()
        for choice in first.choices[1:]:
            is_node = isinstance(choice.outcomes, NodeDistribution)
            found.append(part.width(next(numbers)) if is_node else choice.outcomes.count)
        return found
