"""Exact moments of an estimator that is run for many paths at a time.

What comes of it is what runs one by one come to, but for rounding; of each block some paths are run
by themselves too, to see that it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from .block import NO_ROWS, BlockRun, NotBatchable
from .estimator import Estimator
from .gradients import GradientLayout
from .handling import Handling
from .moments import Moments
from .path_blocks import Block, blocks
from .rounding import ROUNDINGS
from .run import Choice, NotReproducible, Path, run_numbers

T = TypeVar("T")

#: Paths from which on it is worth while, as far as the first path can tell.
FEWEST_PATHS = 32

#: Paths of the first block that are run by themselves too, beside those of the largest gradient and
#: probability of every block.
COMPARED = 16


class BlockMoments:
    """Runs an estimator for many paths at a time, from the state that it was given in.

    Args:
        handling: of what it draws, which is entered.
        layout: the names and shapes of gradients.
        most: paths that may be run.
        insist: whether they are run together also where that takes longer.
    """

    def __init__(
        self,
        estimator: Estimator,
        handling: Handling,
        layout: GradientLayout,
        most: int,
        insist: bool = False,
    ) -> None:
        self._estimator, self._handling = estimator, handling
        self._layout, self._most, self._insist = layout, most, insist
        self._keys: list[Hashable] = []
        #: Blocks, and paths that were run by themselves.
        self.blocks = self.repeats = 0

    def moments(self, first: Path[Any]) -> Moments:
        """Mean and variance over all paths.

        Args:
            first: the first of them, whose draws are about those of the others.

        Raises:
            NotBatchable: if a path by itself comes to something else, or it can only be run so.
            TooManyPaths: if there are more than may be run.
            Whatever it raises where it is run for many paths.
        """
        expected = [outcomes.count for outcomes, _, _ in first.choices]
        paths = math.inf if self._insist else math.prod(expected)
        if not expected or paths < FEWEST_PATHS:
            raise NotBatchable("its first path makes few draws")
        self._keys = [choice.key for choice in first.choices if choice.key is not None]
        moments = Moments(self._layout)
        moments.choices_of = self._choices
        code = self._perform(functools.partial(self._estimator.rows, first), BlockRun(NO_ROWS))
        if paths < code.fewest_paths:
            raise NotBatchable(f"fewer than {code.fewest_paths:,} are run faster so")
        for block in blocks(
            lambda run: self._perform(functools.partial(code, run), run),
            expected,
            size=self._layout.size,
            most=self._most,
            most_rows=code.most_rows,
        ):
            rows = moments.add_block(block)
            self._compare(block, rows, 0 if self.blocks else COMPARED)
            self.blocks += 1
        return moments

    def _perform(self, code: Callable[[], T], run: BlockRun) -> T:
        """What code returns in a run of rows, after which the state is as before."""
        try:
            return self._handling.perform(code, run)
        finally:
            self._estimator.restore_state()

    def _path(self, numbers: Sequence[int]) -> Path[Any]:
        """One path by itself, watched; :meth:`Estimator.restore_state` must follow."""
        try:
            return run_numbers(self._estimator, self._handling.perform_watched, numbers, self._keys)
        except NotReproducible as error:
            raise NotBatchable(
                f"a path by itself comes to something else than among others: {error}"
            ) from error

    def _choices(self, numbers: Sequence[int]) -> tuple[Choice, ...]:
        """The draws of a path."""
        choices = self._path(numbers).choices
        self._estimator.restore_state()
        return choices

    def _compare(self, block: Block, rows: np.ndarray, count: int) -> None:
        """Run some paths by themselves: so many, and the most telling ones.

        They must come to the same but for as many roundings of a parameter's largest gradient as
        are supposed where nothing is measured. What cancels inside may be off by more: it is run
        path by path then.

        Raises:
            NotBatchable: if one comes to something else.
        """
        sizes = np.where(np.isfinite(rows), np.abs(rows), 0.0)
        places = np.linspace(0, len(rows) - 1, count).round().astype(int).tolist()
        places += [int(np.argmax(sizes.max(axis=1, initial=0.0))), int(np.argmax(block.weights))]
        for place in dict.fromkeys(places):
            self.repeats += 1
            path = self._path(block.numbers[place].tolist())
            row = self._layout.row(path.value)
            self._estimator.restore_state()
            roundings = ROUNDINGS * max(path.precision, self._estimator.precision)
            probability = path.probability
            if len(path.choices) != block.numbers.shape[1] or not (
                abs(probability - block.weights[place]) <= roundings * probability
            ):
                raise NotBatchable(
                    "a path by itself comes to something else than among others: other draws, or "
                    f"the probability {probability:.17g} instead of {block.weights[place]:.17g}"
                )
            for name, part in self._layout.parts.items():
                self._compare_gradient(
                    name, row[part], rows[place, part], sizes[:, part], roundings
                )

    def _compare_gradient(
        self, name: str, here: np.ndarray, there: np.ndarray, sizes: np.ndarray, roundings: float
    ) -> None:
        """A parameter's gradient on a path by itself, and in its block.

        Args:
            sizes: of the block's, (N, P).
            roundings: that may be made, as a share of the largest of these.
        """
        finite = np.isfinite(here)
        alike = np.array_equal(finite, np.isfinite(there))
        off = np.abs(here[finite] - there[finite]).max(initial=0.0) if alike else math.inf
        largest = max(sizes.max(initial=0.0), np.abs(here[finite]).max(initial=0.0))
        if not off <= roundings * largest:
            raise NotBatchable(
                f"a path by itself comes to something else than among others: its gradient of "
                f"{name} is off by {off:.1e}"
            )
