"""All numbers of a run of which nothing is decided before they are compared, and their cells."""

from __future__ import annotations

import bisect
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .block import BlockRun, NotBatchable
from .cells import check_under_way, decide, refuse
from .monotone import Chain, back
from .outcomes import EPS
from .run import Run, UnsupportedDraw, current_run


class NumbersNeeded(UnsupportedDraw):
    """Code needs the numbers themselves, which may become nodes of a rule; else it is a refusal."""

    def take_back(self) -> None:
        """It is no refusal, for the numbers become nodes."""
        run = current_run()
        if run is not None:
            run.refused = [each for each in run.refused if each is not self]


class numbers_can_be_had:
    """Goes on after this where numbers are needed, which become nodes then."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, NumbersNeeded):
            error.take_back()
            return True
        return False


class _Block(NamedTuple):
    """Numbers that were drawn together: what drew them, their precision, and their cells.

    ``law`` is the function of a uniform number that each is, up to factors and shifts.
    """

    what: str
    precision: float
    cells: Any
    law: Chain = ()


class DrawnNumbers:
    """All such numbers of a run, and what is known of them.

    ``decided`` has, by the places of those that were compared with each other, the functions that
    were compared and the order of the largest.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.decided: dict[tuple[int, ...], tuple[Chain, list[int]]] = {}
        self._count = 0
        self._begins: list[int] = []
        self._blocks: list[_Block] = []
        #: Where those begin whose cells somebody else made, by what these are.
        self._adopted: dict[int, int] = {}
        #: Numbers that are integrated: a node each, or one of each row, (P,), and the function of a
        #: uniform number that it is.
        self.nodes: dict[int, tuple[float | np.ndarray, Chain]] = {}

    @classmethod
    def of(cls, run: Run) -> DrawnNumbers:
        """Those of a run."""
        return run.recall("lazy numbers", lambda: cls(run))

    def draw(self, what: str, count: int, precision: float, law: Chain = ()) -> np.ndarray:
        """The places of new ones.

        Args:
            precision: of these, as the step from 1 to the next number.
            law: the function of a uniform number that each is, up to factors and shifts.

        Shape: (count,).
        """
        # Zeros are not laid out in memory before they are written to.
        start = self._add(_Block(what, precision, np.zeros((count, 2)), law), count)
        return np.arange(start, self._count)

    def adopt(self, what: str, cells: Any) -> int:
        """The place of the first of some whose cells are there already, and may be changed there.

        Args:
            cells: a single one, a list; or an array, (N, 2), or rows of one that are a view of it.
        """
        if isinstance(cells, list):
            whole, offset, count = [cells], 0, 1
            owner: Any = cells
        else:
            owner = whole = cells if cells.base is None else cells.base
            offset = cells.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
            offset, count = offset // owner.strides[0], len(owner)
        if id(owner) not in self._adopted:
            self._adopted[id(owner)] = self._add(_Block(what, EPS, whole), count)
        return self._adopted[id(owner)] + offset

    def _add(self, block: _Block, count: int) -> int:
        start = self._count
        self._begins.append(start)
        self._blocks.append(block)
        self._count += count
        return start

    def _block(self, place: int) -> tuple[int, _Block]:
        """Where the block of a number begins, and the block."""
        at = bisect.bisect(self._begins, place) - 1
        return self._begins[at], self._blocks[at]

    def what(self, places: np.ndarray) -> str:
        """What drew the first of some; of none, that they are none."""
        if not places.size:
            return "a draw of no numbers"
        return self._block(int(places.reshape(-1)[0]))[1].what

    def precision(self, places: np.ndarray) -> float:
        """The coarsest of some; 0 of none."""
        if not places.size:
            return 0.0
        ends = [bisect.bisect(self._begins, int(at(places))) - 1 for at in (np.min, np.max)]
        return max(block.precision for block in self._blocks[ends[0] : ends[1] + 1])

    def refuse(self, places: np.ndarray, how: str) -> NoReturn:
        """See :func:`cells.refuse`.

        Raises:
            NumbersNeeded: instead, where numbers are integrated.
        """
        what = self.what(places)
        if self.is_integrated:
            raise NumbersNeeded(
                f"{what}() is used other than compared ({how}), by a way on which its numbers "
                "cannot be integrated; use them by functions of the framework that drew them"
            )
        refuse(what, how)

    @property
    def is_integrated(self) -> bool:
        """Whether numbers that are needed become nodes of a rule."""
        return self.run.quadrature is not None

    def draw_of(self, place: int) -> tuple[str, float, Chain]:
        """What drew a number, its precision, and its law."""
        block = self._block(place)[1]
        return block.what, block.precision, block.law

    @property
    def has_rows(self) -> bool:
        """Whether they are drawn for the many rows of a block."""
        return isinstance(self.run, BlockRun)

    def refuse_rows(self, why: str) -> NoReturn:
        """Raises: NotBatchable, for what has to be run path by path."""
        raise NotBatchable(why)

    def are_nodes_of_rows(self, places: np.ndarray) -> bool:
        """Whether all are nodes, of which each row of a block has its own.

        Raises:
            NotBatchable: if some are, and others are not.
        """
        if not self.has_rows or not self.are_settled(places):
            return False
        if not self.nodes.keys() >= set(places.reshape(-1).tolist()):
            self.refuse_rows("numbers that are used are compared together with others")
        return True

    def settle(self, place: int, value: float | np.ndarray, law: Chain) -> None:
        """A number becomes a node: from now on what it is compared with knows it.

        Of nodes that each row has its own of, no cell knows: these are compared themselves.

        Args:
            law: the function of a uniform number that the value is.
        """
        self.nodes[place] = (value, law)
        if isinstance(value, np.ndarray):
            return
        share = float(back(law, [value], True)[0][0])
        cell = self.cell(place)
        cell[0] = cell[1] = max(share, np.finfo(float).tiny)  # as 0 above stands for 1

    def are_settled(self, places: np.ndarray) -> bool:
        """Whether any has become a node."""
        return bool(self.nodes) and not self.nodes.keys().isdisjoint(places.reshape(-1).tolist())

    def cell(self, place: int) -> Any:
        """What one of them is known to lie between."""
        start, block = self._block(place)
        return block.cells[place - start]

    def decide(self, place: int, edge: float, step: float) -> bool:
        """See :func:`cells.decide`."""
        start, block = self._block(place)
        return decide(self.run, block.what, block.cells[place - start], edge, step)

    def check_under_way(self, places: np.ndarray) -> None:
        """See :func:`cells.check_under_way`."""
        check_under_way(self.run, self.what(places) if places.size else "a draw of no numbers")

    def _cells(self, places: np.ndarray) -> np.ndarray:
        """A copy of their cells, (*shape, 2)."""
        found = np.empty((*places.shape, 2))
        blocks = np.searchsorted(self._begins, places, side="right") - 1
        for at in np.unique(blocks):
            mine = blocks == at
            found[mine] = np.asarray(self._blocks[at].cells)[places[mine] - self._begins[at]]
        return found

    def were_ordered(self, places: np.ndarray) -> bool:
        """Whether any was compared with others."""
        return bool((self._cells(places)[..., 1] < 0.0).any())

    def between(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ends of some, below and above."""
        cells = self._cells(places)
        high = np.abs(cells[..., 1])
        return cells[..., 0], np.where(high == 0.0, 1.0, high)
