"""All paths of an estimator in blocks: each block is run once, for all its rows.

The result is that of the runs one by one but for rounding, and some paths of each block are run by
themselves too, to see that it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .block import MOST_ROWS, NO_ROWS, BlockRun, NotBatchable, OtherRows, Rows
from .run import TooManyPaths
from .tree_size import share_behind

#: Numbers that the gradients of a block come to, at most: 16 megabytes, some four of which are in
#: use at a time.
NUMBERS = 2**21

#: Rows that a block must be able to have: with fewer it is no faster than path by path.
WORTHWHILE = 64


#: Runs that may be made before it is clear that many paths are run at a time, and how many more for
#: how many paths that there seem to be: trying shall not take long beside running them one by one.
FEWEST_RUNS, MOST_RUNS = 4, 32


class Block(NamedTuple):
    """Paths that were run together.

    Shape:
        ``numbers`` (P, D), the outcomes of their draws by number, and ``widths`` (D,), of how many;
        ``weights`` (P,), their probabilities, and ``far`` (P,), whether they are near to what is
        ``left_out`` of draws without an end (see :mod:`.left_out`); each gradient (P, *shape), None
        for what was not reached.
    """

    numbers: np.ndarray
    widths: tuple[int, ...]
    weights: np.ndarray
    gradients: Mapping[str, Any]
    precision: float
    far: np.ndarray
    left_out: float

    @property
    def behind(self) -> float:
        """The share of all paths that was run up to the last of these, about."""
        return share_behind(zip(self.numbers[-1].tolist(), self.widths, strict=True))


def blocks(
    perform: Callable[[BlockRun], Mapping[str, Any]],
    expected: Sequence[int],
    *,
    size: int,
    most: int,
    most_rows: int = 0,
    start: Rows | None = None,
) -> Iterator[Block]:
    """Every path once, in blocks, in the order in which they are enumerated.

    Args:
        perform: makes a run, and returns what it returned, a row a path.
        expected: how many outcomes the draws of some path have, in order.
        size: how many numbers the gradients of a path come to.
        most: paths that may be run.
        most_rows: paths of one block, at most; 0: as many as are worth while.
        start: rows that are expected to make up all paths; None: nothing is known of them but the
            number of outcomes.

    Raises:
        NotBatchable: for code that has to be run path by path.
        TooManyPaths: if there are more than ``most``; known before they are run.
    """
    rows_at_once = min(most_rows or MOST_ROWS, NUMBERS // max(1, size))
    if rows_at_once < WORTHWHILE:
        raise NotBatchable(f"its gradients of {size:,} numbers are run faster one by one")
    # Each with the number of paths that it has at least; the next is the last.
    waiting = list(_pieces(start or NO_ROWS, expected, rows_at_once))
    count, runs = 0, 0
    allowed = FEWEST_RUNS + min(math.prod(expected), most, MOST_RUNS**2) // MOST_RUNS
    while waiting:
        runs += 1
        if runs > allowed + count // WORTHWHILE:
            raise NotBatchable("what it does depends on what is drawn in too many ways")
        rows, _ = waiting.pop()
        run = BlockRun(rows)
        try:
            gradients = perform(run)
            if run.given_up is not None:  # and caught
                raise run.given_up
        except OtherRows as other:
            for each in reversed(other.rows):
                waiting += reversed(list(_pieces(each, expected, rows_at_once)))
            _check_count(count, waiting, most)
            continue
        count += run.size
        _check_count(count, waiting, most)
        yield Block(
            rows.numbers,
            rows.widths,
            run.weights,
            gradients,
            run.precision,
            run.is_far(),
            float(run.weights @ run.left_out),
        )


def _check_count(count: int, waiting: Sequence[tuple[Rows, int]], most: int) -> None:
    least = count + sum(paths for _, paths in waiting)
    if least > most:
        raise TooManyPaths(
            f"there are at least {least:,} paths, more than {most:,}; allow more of them (paths=), "
            "or draw less (a smaller batch, fewer outcomes)"
        ) from None


def _pieces(rows: Rows, expected: Sequence[int], most: int) -> Iterator[tuple[Rows, int]]:
    """Rows that are run at once, each with the number of paths that go through them at least."""
    if rows.known < len(rows.widths):
        yield rows, len(rows.up_to(rows.known).numbers)
        return
    for piece in rows.pieces(most):
        yield piece.with_expected(expected, most), len(piece.numbers)
