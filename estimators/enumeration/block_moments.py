"""Exact moments of an estimator that is run for many paths at a time.

What comes of it is what runs one by one come to, but for rounding; of each block some paths are run
by themselves too, to see that it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from .block import NO_ROWS, BlockRun, NotBatchable, Rows
from .compared_paths import ComparedPaths, scale_of
from .estimator import UserFunction
from .gradients import GradientLayout
from .handling import Handling
from .moments import Moments
from .path_blocks import Block, blocks
from .rounding import ROUNDINGS
from .run import Choice, MiddleRun, NotReproducible, Path, run_numbers, run_path

T = TypeVar("T")

#: Paths from which on it is worth while, as far as the first path can tell.
FEWEST_PATHS = 32


class KindsOfPaths(Protocol):
    """Moments of several kinds of paths, kept apart."""

    choices_of: Callable[[list[int]], tuple[Choice, ...]] | None

    def add_block(self, block: Block) -> np.ndarray:
        """See :meth:`.moments.Moments.add_block`."""


class BlockMoments:
    """Runs code for many paths at a time, from the state that it was given in.

    Args:
        handling: of what it draws, which is entered.
        layout: the names and shapes of gradients.
        most: paths that may be run.
        insist: whether they are run together also where that takes longer.
    """

    def __init__(
        self,
        code: UserFunction,
        handling: Handling,
        layout: GradientLayout,
        most: int,
        insist: bool = False,
    ) -> None:
        self._code, self._handling = code, handling
        self._layout, self._most, self._insist = layout, most, insist
        self._keys: list[Hashable] = []
        #: Blocks, and paths that were run by themselves.
        self.blocks = self.repeats = 0
        #: How many of these are watched for draws that no handler sees, the first; None: all.
        self.watched: int | None = None

    def moments(self, first: Path[Any], compared: ComparedPaths | None = None) -> Moments:
        """Mean and variance over all paths.

        Args:
            first: the first of them, whose draws are about those of the others.
            compared: chooses the paths that are run by themselves too. None: a new one.

        Raises:
            NotBatchable: if a path by itself comes to something else, or it can only be run so.
            TooManyPaths: if there are more than may be run.
            Whatever it raises where it is run for many paths.
        """
        moments = Moments(self._layout)
        self.add_to(moments, first, self._expected(first), compared or ComparedPaths())
        return moments

    def add_to(
        self,
        moments: Moments | KindsOfPaths,
        first: Path[Any],
        expected: Sequence[int],
        compared: ComparedPaths,
        start: Rows | None = None,
    ) -> None:
        """Add all paths to moments; see :meth:`moments`.

        Args:
            expected, start: as of :func:`.path_blocks.blocks`.
        """
        moments.choices_of = self._choices
        self._keys = [choice.key for choice in first.choices if choice.key is not None]
        code = self._perform(functools.partial(self._code.rows, first), BlockRun(NO_ROWS))
        if not self._insist and math.prod(expected) < code.fewest_paths:
            raise NotBatchable(f"fewer than {code.fewest_paths:,} are run faster so")
        for block in blocks(
            lambda run: self._perform(functools.partial(code, run), run),
            expected,
            size=self._layout.size,
            most=self._most,
            most_rows=code.most_rows,
            start=start,
        ):
            rows = moments.add_block(block)
            self._compare(block, rows, compared.choose(block, rows))
            self.blocks += 1
            if self._code.listener is not None:
                self._code.listener.several(len(block.weights), block.behind)

    def _expected(self, first: Path[Any]) -> list[int]:
        """How many outcomes each draw has, on the first path or on a longer one.

        Raises:
            NotBatchable: if there are but a few paths, as far as these can tell.
        """
        expected = _outcome_counts(first)
        few = math.prod(expected) < FEWEST_PATHS
        if few and any(each.outcomes.what.startswith("torch.") for each in first.choices):
            try:
                middle = run_path(self._code, self._handling.perform, (), self._most, MiddleRun)
            finally:
                self._code.restore_state()
            expected = max(expected, _outcome_counts(middle), key=math.prod)
        if not expected or (math.prod(expected) < FEWEST_PATHS and not self._insist):
            raise NotBatchable(
                f"what a path draws can come out in {math.prod(expected):,} ways, as far as two of "
                f"them tell, and fewer than {FEWEST_PATHS} paths are run faster one by one"
            )
        return expected

    def _perform(self, code: Callable[[], T], run: BlockRun) -> T:
        """What code returns in a run of rows, after which the state is as before."""
        try:
            return self._handling.perform(code, run)
        finally:
            self._code.restore_state()

    def _path(self, numbers: Sequence[int]) -> Path[Any]:
        """One path by itself, watched; :meth:`Estimator.restore_state` must follow."""
        is_watched = self.watched is None or self.repeats <= self.watched
        perform = functools.partial(self._handling.perform, watched=is_watched)
        try:
            return run_numbers(self._code, perform, numbers, self._keys)
        except NotReproducible as error:
            raise NotBatchable(
                f"a path by itself comes to something else than among others: {error}"
            ) from error

    def _choices(self, numbers: Sequence[int]) -> tuple[Choice, ...]:
        """The draws of a path."""
        choices = self._path(numbers).choices
        self._code.restore_state()
        return choices

    def _compare(self, block: Block, rows: np.ndarray, places: Sequence[int]) -> None:
        """Run some paths by themselves.

        They must come to the same but for as many roundings of the size of a parameter's gradients
        as are supposed where nothing is measured. What cancels inside may be off by more: it is run
        path by path then.

        Raises:
            NotBatchable: if one comes to something else.
        """
        sizes = np.where(np.isfinite(rows), np.abs(rows), 0.0)
        for place in places:
            self.repeats += 1
            path = self._path(block.numbers[place].tolist())
            row = self._layout.row(path.value)
            self._code.restore_state()
            roundings = ROUNDINGS * max(path.precision, self._code.precision)
            probability = path.probability
            if len(path.choices) != block.numbers.shape[1] or not (
                abs(probability - block.weights[place]) <= roundings * probability
            ):
                raise NotBatchable(
                    "a path by itself comes to something else than among others: other draws, or "
                    f"the probability {probability:.17g} instead of {block.weights[place]:.17g}"
                )
            for name, part in self._layout.parts.items():
                scale = scale_of(block, sizes[:, part], place)
                self._compare_gradient(name, row[part], rows[place, part], roundings * scale)

    def _compare_gradient(
        self, name: str, here: np.ndarray, there: np.ndarray, allowed: float
    ) -> None:
        """A parameter's gradient on a path by itself, and in its block."""
        finite = np.isfinite(here)
        alike = np.array_equal(finite, np.isfinite(there))
        off = np.abs(here[finite] - there[finite]).max(initial=0.0) if alike else math.inf
        if not off <= allowed:
            raise NotBatchable(
                f"a path by itself comes to something else than among others: its gradient of "
                f"{name} is off by {off:.1e}"
            )


def _outcome_counts(path: Path[Any]) -> list[int]:
    return [choice.outcomes.count for choice in path.choices]
