"""The pieces of a tree, run by several processes: the same code on the same paths, elsewhere.

The code is sent by cloudpickle as it is before its draws are handled, and enumerated there under
the same checks as here. A worker has to compute as this process does: the first path of a piece is
compared where it was run here, and first of all the draws that lead there, up to rounding, which
may be another on another processor.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from ..workers import count_workers, share_out
from .enumeration import Delivery, Enumeration
from .estimator import UserFunction
from .gradients import GradientLayout
from .handling import one_at_a_time
from .moments import Moments
from .outcomes import EPS, OutcomeDistribution
from .packing import pack, unpacked
from .rounding import ROUNDINGS
from .run import Choice, NotReproducible, Path, Run
from .subtrees import Cut
from .whole_numbers import whole_from

#: Tasks that each worker is given, about, so that none waits long for the last one.
TASKS = 8

#: What is said where a worker computes something else.
OUTSIDE = (
    "what it reads outside of itself and of what it is called with must be the same there: globals "
    "of imported modules that were changed, files, the environment, the versions of libraries; let "
    "it be given these (inputs=, an attribute, an argument's default), or pass jobs=1"
)


class DistantRun(Run):
    """Goes on from draws that another process made, whose arithmetic may round otherwise."""

    def _repeat_draw(self, outcomes: OutcomeDistribution, given: Choice) -> Choice:
        there, taken = given.outcomes, given.taken
        alike = all(
            getattr(outcomes, name) == getattr(there, name)
            for name in ("what", "count", "possible")
        )
        allowed = ROUNDINGS * max(outcomes.precision, there.precision) * there.probability(taken)
        if not alike or not abs(outcomes.probability(taken) - there.probability(taken)) <= allowed:
            raise NotReproducible(
                f"nondeterministic: draw {len(self.choices) + 1} was {there}, and in a worker it "
                f"is {outcomes}: {OUTSIDE}"
            )
        return Choice(outcomes, taken, given.key)


@dataclasses.dataclass(frozen=True)
class Piece:
    """Where a piece begins; and, where its first path was run already, the gradients of that.

    Shape: ``row`` (P,).
    """

    start: Sequence[Choice]
    row: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Order:
    """Pieces for one worker, in a row.

    ``witness`` begins with a path that was run already, which the worker runs first and last, and
    must get the same gradients of. ``after`` are the runs that lead to the state in which each run
    begins; ``made`` is how many paths were run before.
    """

    pieces: tuple[Piece, ...]
    witness: Piece
    layout: GradientLayout
    cut: Cut
    after: Sequence[Sequence[Choice]]
    made: int


class Workers:
    """Several processes that run the pieces of a tree.

    Args:
        jobs: how many; see :func:`gradproof.estimators.workers.share_out`.

    Raises:
        ValueError: for a number that is none.
    """

    def __init__(self, jobs: int) -> None:
        words = f"jobs = {jobs!r}, expected a whole number of processes, 1 or more"
        self._jobs = whole_from(jobs, 1, words)
        self._parcel: np.ndarray | Exception | None = None

    def pack(self, code: UserFunction, most: int) -> None:
        """See :class:`.enumeration.Sharing`. What cannot be sent is said when it is to be."""
        try:
            self._parcel = pack(code, most)
        except Exception as error:  # noqa: BLE001 - most trees are small, and nothing is sent
            self._parcel = error

    def moments_of_pieces(
        self,
        enumeration: Enumeration,
        moments: Moments,
        cut: Cut,
        start: Sequence[Choice],
        after: Sequence[Sequence[Choice]],
    ) -> Iterator[Moments]:
        """See :class:`.enumeration.Sharing`.

        Raises:
            NotSendable: for code that cannot be pickled.
            NotReproducible: if a worker computes something else than this process.
        """
        if isinstance(self._parcel, Exception):
            raise self._parcel
        layout = moments.layout
        pieces = list(_pieces(enumeration, layout, cut, start))
        size = -(-len(pieces) // (TASKS * count_workers(self._jobs)))
        tasks, witness = [], pieces[0]
        for first in range(0, len(pieces), size):
            some = tuple(pieces[first : first + size])
            witness = next((piece for piece in some if piece.row is not None), witness)
            order = Order(some, witness, layout, cut, after, moments.count)
            tasks.append((self._parcel, order))
        for delivery in share_out(self._jobs, run_pieces, tasks, ordered=True):
            enumeration.take_over(delivery)
            yield from delivery.parts


def _pieces(
    enumeration: Enumeration, layout: GradientLayout, cut: Cut, start: Sequence[Choice] | None
) -> Iterator[Piece]:
    """All pieces; the first path of the first, and of those whose draws are not known, is run.

    If it cannot be, its piece is the last: whoever runs it says why, after what comes before it.
    """
    is_known = False
    while start is not None:
        if is_known and cut.is_within_piece(start):
            yield Piece(start)
            start = cut.next_start(start)
            continue
        try:
            path = enumeration.run_once(start)
            piece = Piece(path.choices, layout.row(path.value))
        except Exception:  # noqa: BLE001 - whatever it is, it is raised in its turn
            yield Piece(start)
            return
        finally:
            enumeration.restore_state()
        yield piece
        is_known, start = True, cut.next_start(path.choices)


def run_pieces(parcel: np.ndarray, order: Order) -> Delivery:
    """What a worker does: it runs some pieces, from the state that the code was packed in.

    Raises:
        As :meth:`.enumeration.Enumeration.moments`; and
        NotReproducible: if it computes something else than the process that packed it.
    """
    # Nothing is handled yet, so that what is unpacked are functions themselves, and no handlers.
    with one_at_a_time(), unpacked(parcel) as (code, most):
        with Enumeration(code, most) as enumeration:
            state = enumeration.state_after(order.after) if order.after else None
            with state or contextlib.nullcontext():
                code.reads_precision = False
                step = code.observations.get("precision", EPS)
                parts, repeats, behind = _run_all(enumeration, order, step)
        return Delivery(
            parts,
            repeats,
            behind,
            enumeration.changed,
            code.observations,
            enumeration.handling.seeds.seeded,
        )


def _run_all(
    enumeration: Enumeration, order: Order, step: float
) -> tuple[tuple[Moments, ...], int, float]:
    def compare(piece: Piece, row: np.ndarray | None, whose: str) -> tuple[Piece, np.ndarray]:
        path = enumeration.run_once(piece.start, DistantRun)
        here = order.layout.row(path.value)
        enumeration.restore_state()
        _compare(row, here, whose, step)
        return Piece(path.choices[: len(piece.start)]), here

    witness, row = compare(order.witness, order.witness.row, "another process computed")
    parts, repeats = [], 0
    for piece in order.pieces:
        local, _ = compare(piece, piece.row, "another process computed")
        before = enumeration.repeats
        part, following = enumeration.piece(order.layout, order.cut, local.start, order.made)
        repeats += enumeration.repeats - before
        parts.append(part)
    # What came late may have changed what it gives.
    compare(witness, row, "it computed before")
    return tuple(parts), repeats, 1.0 if following is None else Path(tuple(following), None).behind


def _compare(there: np.ndarray | None, here: np.ndarray, whose: str, step: float) -> None:
    """Whether gradients of the same draws are the same but for rounding.

    Args:
        there: what they should be; None: that is not known.
        step: from 1 to the next number, of what gradients are in.

    Raises:
        NotReproducible: if not.
    """
    if there is None or np.array_equal(there, here, equal_nan=True):
        return
    with np.errstate(invalid="ignore"):  # what is infinite in one of them only is off
        off = np.abs(there - here)
    size = np.max(np.abs(there), where=np.isfinite(there), initial=0.0)
    if not (np.nan_to_num(off, nan=np.inf) <= ROUNDINGS * step * size).all():
        raise NotReproducible(
            f"nondeterministic: for the same draws a worker computes a gradient that is off by "
            f"{np.nanmax(off):.1e} from what {whose}, of size {size:.1e}: {OUTSIDE}"
        )
