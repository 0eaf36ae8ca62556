"""Many paths at once: a block of rows, each with outcomes of its own for the same draws.

Code is run once for all rows, in a framework that maps over them (``torch.func.vmap``, say). A draw
takes a column of outcomes. Where a column is lacking, where rows go different ways, or where one
cannot be at all, the run is given up and begun again with other rows; so the tree of outcomes grows
level by level, and what paths have in common is run once a level, not once a path.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from .counts import Count, least_product
from .left_out import is_far
from .outcomes import EPS, OutcomeDistribution
from .run import NotEnumerable, Run, current_run

#: Rows that share a way through the code, at least, where it depends on what is drawn: fewer are
#: run faster one by one.
FEWEST = 4

#: Rows of one block, at most, of which more are no faster; and how many blocks of them are made of
#: one that lacked a draw.
MOST_ROWS, AHEAD = 4096, 16


class NotBatchable(NotEnumerable):
    """Code that cannot be run for many rows at once; it can still be run path by path.

    The run of rows that it is raised in notes it: code that catches all errors goes on.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        run = current_run()
        if isinstance(run, BlockRun):
            run.refused.append(self)


def refused_by_framework(error: Exception) -> NotBatchable:
    """What a framework raises where it maps over rows, as an error that says that it does not."""
    lines = [type(error).__name__, *str(error).splitlines()][:2]
    return NotBatchable(f"it fails there ({': '.join(lines)})")


class Rows(NamedTuple):
    """Outcomes of the first draws of many paths.

    Shape:
        ``numbers`` (P, D), outcomes by number; ``widths`` (D,), of how many.

    The first ``known`` draws are made by each row. What comes after these is only expected: every
    row of ``known`` outcomes stands here with every combination of those that are expected. After
    other draws than were expected, nothing more ``is_expected``.
    """

    numbers: np.ndarray
    widths: tuple[int, ...]
    known: int
    is_expected: bool = True

    def up_to(self, draws: int) -> Rows:
        """Only so many draws, each row once; no others are expected."""
        numbers = self.numbers[:, :draws]
        if draws < len(self.widths):  # rows stand in order, so that equal ones are neighbours
            other = np.ones(len(numbers), bool)
            other[1:] = (numbers[1:] != numbers[:-1]).any(axis=1)
            numbers = numbers[other]
        return Rows(numbers, self.widths[:draws], draws, False)

    def where(self, chosen: np.ndarray, known: int) -> Rows:
        """Some of the rows, of which now more is known."""
        return self._replace(numbers=self.numbers[chosen], known=known)

    def with_draw(self, possible: np.ndarray) -> Rows:
        """One more draw, with the outcomes that each row can have, (P, K)."""
        places, outcomes = np.nonzero(possible)
        numbers = np.column_stack([self.numbers[places], outcomes])
        widths = (*self.widths, possible.shape[1])
        return self._replace(numbers=numbers, widths=widths, known=self.known + 1)

    def with_expected(self, widths: Sequence[int], most: int) -> Rows:
        """With draws that are expected to come next, as long as there are not too many rows."""
        numbers, ahead = self.numbers, list(self.widths)
        for width in widths[len(self.widths) :] if self.is_expected else ():
            if len(numbers) * width > most:
                break
            count = len(numbers)
            outcomes = np.tile(np.arange(width), count)
            numbers = np.column_stack([np.repeat(numbers, width, axis=0), outcomes])
            ahead.append(width)
        return self._replace(numbers=numbers, widths=tuple(ahead))

    def pieces(self, most: int) -> Iterator[Rows]:
        """At most so many rows at once, in order; nothing is expected beyond what is known."""
        for start in range(0, len(self.numbers), most):
            yield self._replace(numbers=self.numbers[start : start + most])


#: One row, of which nothing is drawn yet.
NO_ROWS = Rows(np.zeros((1, 0), np.int64), (), 0)


class OtherRows(BaseException):
    """A run is given up, to be begun again with other rows instead.

    It is no ``Exception``, so that code which catches all errors does not catch it.
    """

    def __init__(self, *rows: Rows) -> None:
        super().__init__("other rows")
        self.rows = rows


class RowsCode(Protocol):
    """Code that is run for many rows at once, while a :class:`BlockRun` is under way."""

    @property
    def most_rows(self) -> int:
        """Of a block; 0: as many as are worth while."""

    @property
    def fewest_paths(self) -> int:
        """From which on it is faster than path by path, as far as that is known beforehand."""

    def __call__(self, run: BlockRun) -> Mapping[str, Any]:
        """Gradients in all rows: a :class:`.gradients.RowValues` by name, or None.

        Raises:
            NotBatchable, OtherRows: as the run does.
        """


class BlockRun(Run):
    """Gives each draw of one run its column of outcomes, one for each row.

    ``weights`` (P,) are the probabilities of what was taken.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows, self.size = rows, len(rows.numbers)
        self.weights = np.ones(self.size)
        #: Of the draws that are cut, the probabilities of what was taken, and what is left out
        #: beside it, as a share of the probability of the path; (P,).
        self.cut_weights, self.left_out = np.ones(self.size), np.zeros(self.size)
        self._cut_draws = 0
        self.column = self._by_weights = 0
        #: The coarsest of the probabilities, as the step from 1 to the next number.
        self.precision = EPS
        #: Why the run was given up, which code may have caught all the same.
        self.given_up: OtherRows | None = None

    def choose(self, outcomes: OutcomeDistribution, key: Hashable = None) -> int:
        """Whoever asks for one outcome knows nothing of rows.

        Raises:
            NotBatchable: always.
        """
        raise NotBatchable(f"{outcomes.what} draws for one path at a time")

    def choose_each(self, many: Sequence[OutcomeDistribution]) -> list[int]:
        """See :meth:`choose`."""
        return [self.choose(outcomes) for outcomes in many]

    def choose_alike(self, outcomes: OutcomeDistribution) -> int:
        """The outcome of a draw by one law in all rows, which are run apart by what comes out.

        Raises:
            OtherRows, NotBatchable: if it is not the same in all rows.
        """
        taken = self.take_counts([outcomes], np.zeros(self.size, np.int64), outcomes.precision)
        if (taken != taken[0]).any():
            self.split(taken)
        return int(taken[0])

    def take(
        self, tables: Sequence[np.ndarray], precision: float = EPS, are_fixed: bool = False
    ) -> np.ndarray:
        """The outcomes of draws that every row makes, (P, len(tables)).

        Args:
            tables: of each draw, the probabilities of its K outcomes in each row, (P, K).
            are_fixed: whether no parameter moves these.

        Raises:
            OtherRows: if the rows do not say, or say what cannot be.
        """
        self.precision = max(self.precision, precision)
        self._by_weights += 0 if are_fixed else len(tables)
        start = self.column
        for place, table in enumerate(tables):
            if self.column == len(self.rows.widths):
                self._add([each > 0.0 for each in tables[place:]])
            self._take(table)
        return self.rows.numbers[:, start : self.column]

    def take_counts(
        self, laws: Sequence[OutcomeDistribution], which: np.ndarray, precision: float = EPS
    ) -> np.ndarray:
        """The outcomes of one draw that may be without an end, (P,); see :meth:`..run.Run.choose`.

        Args:
            laws: different ones.
            which: of them each row draws by, (P,).
        """
        width = max(law.count for law in laws)
        table = np.zeros((len(laws), width))
        modes = np.zeros(len(laws), np.int64)
        for place, law in enumerate(laws):
            if isinstance(law, Count):
                table[place, : law.count], modes[place] = law.probabilities, law.mode
            else:
                table[place, : law.count] = [law.probability(k) for k in range(law.count)]
                modes[place] = int(table[place].argmax())
        whole, rows = table[which], np.arange(self.size)
        cut = np.array([law.is_cut for law in laws])[which]
        least = least_product(self._cut_draws + 1) / self.cut_weights
        kept = (whole >= np.where(cut, least, 0.0)[:, None]) & (whole > 0.0)
        kept[rows, modes[which]] = True
        taken = self.take([np.where(kept, whole, 0.0)], precision)[:, 0]
        likely = whole[rows, taken]
        last = width - 1 - kept[:, ::-1].argmax(axis=1)
        left = np.where(kept, 0.0, whole).sum(axis=1) / likely
        self.left_out += np.where(cut & (taken == last), left, 0.0)
        self.cut_weights *= np.where(cut, likely, 1.0)
        self._cut_draws += bool(cut.any())
        return taken

    def is_far(self) -> np.ndarray:
        """Whether each row is near to what is left out, (P,)."""
        return np.asarray(is_far(self.cut_weights, max(1, self._cut_draws)))

    @property
    def whole_graph(self) -> bool:
        """See the base class."""
        return self._in_graph >= self._by_weights

    def _take(self, table: np.ndarray) -> None:
        rows, column = self.rows, self.column
        if table.shape[1] != rows.widths[column]:  # another draw was expected
            if column < rows.known:
                raise NotBatchable("after the same outcomes another draw was made")
            self.restart(rows.up_to(column))
        taken = table[np.arange(self.size), rows.numbers[:, column]]
        possible = taken > 0.0
        if not possible.all():
            self.restart(rows.where(possible, max(rows.known, column + 1)))
        self.weights *= taken
        self.column += 1

    def _add(self, possible: list[np.ndarray]) -> NoReturn:
        """Every outcome that the next draws can have."""
        rows = self.rows._replace(known=self.column)
        places = np.arange(self.size)
        for each in possible:
            each = each[places]
            rows = rows.with_draw(each)
            places = places[np.nonzero(each)[0]]
            if len(places) > AHEAD * MOST_ROWS:
                break  # the others are added to fewer rows at a time
        self.restart(rows)

    def split(self, keys: np.ndarray) -> NoReturn:
        """Rows go different ways, by these keys, (P,)."""
        values, which = np.unique(keys, return_inverse=True)
        if len(values) * FEWEST > self.size:
            raise NotBatchable(
                "a number, or the way through the code, depends on what is drawn, and is another "
                "one on nearly every path"
            )
        known = max(self.rows.known, self.column)
        self.restart(*[self.rows.where(which == place, known) for place in range(len(values))])

    def restart(self, *rows: Rows) -> NoReturn:
        """Give up, and begin again with these rows.

        Raises:
            OtherRows: always.
        """
        self.given_up = OtherRows(*rows)
        raise self.given_up

    def finish(self) -> None:
        """The code has returned. Draws that were expected and not made are no part of the rows."""
        if self.column < self.rows.known:
            raise NotBatchable("after the same outcomes fewer draws were made")
        if self.column < len(self.rows.widths):
            self.restart(self.rows.up_to(self.column))
