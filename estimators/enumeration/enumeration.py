"""All paths of an estimator, from the state that it was given in."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn, Protocol, TypeVar, cast

import numpy as np

from .block import MOST_ROWS, NotBatchable, refused_by_framework
from .block_moments import BlockMoments
from .compared_paths import ComparedPaths
from .estimator import UserFunction
from .exchange import Exchange
from .gradients import GradientLayout, array_of, named
from .handling import Handling, one_at_a_time
from .integration.several import MomentsByQuadrature, Quadratures
from .limits import MOST_PATHS
from .moments import Moments
from .patches import Patches
from .places import kept_values
from .rounding import observed
from .run import (
    KEPT,
    Choice,
    LaterRun,
    NotReproducible,
    NumberedRun,
    Path,
    Run,
    TooManyPaths,
    current_run,
    next_prefix,
    paths,
    repeat,
    run_path,
    too_many_paths,
)
from .subtrees import HEAD, Cut
from .user_line import user_line

T = TypeVar("T")

#: Runs that are made again, at least, to see that the same outcomes give the same gradient. A draw
#: that no handler sees and that changes the gradient with probability q passes for a constant with
#: (1 - 2 q (1 - q)) to this power: one in a million for a fair coin. Rarer ones have nothing but
#: their generators to give them away, which are watched in these runs.
REPEATS = 20

#: Paths at the beginning of which each is repeated; after these, those whose number is a power of
#: two, so that what shows late is seen while it is still cheap.
FIRST = 16

#: Runs of an estimator that draws nothing as far as can be seen: it would be a rare one, and more
#: likely something is drawn unseen.
ALONE = 64


@dataclasses.dataclass(frozen=True)
class Delivery:
    """What another process found: the moments of each piece, and what was seen on the way.

    ``behind`` is the share of all paths that is behind, about; ``repeats`` how many runs were made
    again, as they would have been here.
    """

    parts: tuple[Moments, ...]
    repeats: int
    behind: float
    changed: tuple[str, ...]
    observations: Mapping[str, Any]
    seeded: bool


class Sharing(Protocol):
    """Lets others run the pieces of a tree."""

    def pack(self, code: UserFunction, most: int) -> None:
        """Keep what is to be run as it is now, before any draw of it is handled."""

    def moments_of_pieces(
        self,
        enumeration: Enumeration,
        moments: Moments,
        cut: Cut,
        start: Sequence[Choice],
        after: Sequence[Sequence[Choice]],
    ) -> Iterator[Moments]:
        """The moments of each piece, in the order of the tree.

        Args:
            moments: of the paths before the first piece.
            start: the prefix of its first path.
            after: the runs that lead to the state in which each run begins, by their outcomes.
        """


class Enumeration:
    """Runs code on every path, as long as ``with`` lasts; all is as before afterwards.

    Args:
        code: an estimator, or another function.
        most: paths that may be run.
        sharing: lets others run paths; None: all are run here.
        batch: whether moments are of paths that are run many at a time: ``auto``, where they can
            be; or True, and an error says why if they cannot.
        exchange: answers draws of one call whose order does not matter; None: it may matter.
    """

    def __init__(
        self,
        code: UserFunction,
        most: int = MOST_PATHS,
        sharing: Sharing | None = None,
        batch: bool | str = "auto",
        exchange: Exchange | None = None,
    ) -> None:
        self.exchange = exchange
        self._code, self._most, self._sharing, self._batch = code, most, sharing, batch
        self._after: Sequence[Sequence[Choice]] = ()
        self._began: float | None = None
        self._stack = contextlib.ExitStack()
        self._handling: Handling | None = None
        #: Runs that were made again.
        self.repeats = 0
        #: Blocks that moments were made of; and why there are none.
        self.blocks, self.one_by_one = 0, ""
        #: Chooses the paths that are run by themselves too, for moments by all quadratures.
        self.compared: ComparedPaths | None = None

    def __enter__(self) -> Enumeration:
        with contextlib.ExitStack() as stack:
            stack.enter_context(one_at_a_time())
            if self._sharing is not None:
                self._sharing.pack(self._code, self._most)
            stack.callback(setattr, self._code, "is_shared", self._code.is_shared)
            stack.enter_context(self._code.restoring_state())
            self._handling = stack.enter_context(Handling(*self._code.roots))
            self._handling.exchange = self.exchange
            self._code.is_shared = self._handling.is_shared
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def handling(self) -> Handling:
        """Of what the code draws."""
        assert self._handling is not None  # it was entered
        return self._handling

    def paths(
        self, start: Sequence[Choice] = (), made: int = 0, cut: Cut | None = None
    ) -> Iterator[Path[Any]]:
        """Each path once. What it returned is good until the next.

        Args:
            start, made: as of :func:`.run.paths`.
            cut: leaves out what is beyond the piece in which the first of them is.
        """
        for path in paths(
            self._code,
            self.handling.perform,
            most=self._most,
            start=start,
            made=made,
            began=self._began,
            ends=None if cut is None else cut.divides,
        ):
            if self._code.listener is not None:
                self._code.listener.path(path)
            yield path
            self._code.restore_state()

    def run_once(
        self, prefix: Sequence[Choice], kind: Callable[[Sequence[Choice], int], Run] = Run
    ) -> Path[Any]:
        """The first path with a prefix; :meth:`restore_state` must follow."""
        return run_path(self._code, self.handling.perform, prefix, self._most, kind)

    def take_over(self, delivery: Delivery) -> None:
        """Note what was seen where some paths were run by another process."""
        self.repeats += delivery.repeats
        self._code.changed.update(dict.fromkeys(delivery.changed))
        self._code.observe(delivery.observations)
        self.handling.seeds.seeded |= delivery.seeded
        if self._code.listener is not None:
            runs = sum(part.count for part in delivery.parts)
            self._code.listener.several(runs, delivery.behind)

    def repeat(self, choices: Sequence[Choice]) -> Path[Any]:
        """A path again, whatever its probabilities are now; :meth:`restore_state` must follow."""
        return repeat(self._code, self.handling.perform, choices)

    def repeat_watched(self, choices: Sequence[Choice]) -> Path[Any]:
        """The same path again, watched for draws that no handler sees; likewise."""
        self.repeats += 1
        reads, self._code.reads_precision = self._code.reads_precision, True
        try:
            return run_path(self._code, self.handling.perform_watched, choices, self._most)
        finally:
            self._code.reads_precision = reads

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of what runs left changed, and was put back."""
        return tuple(dict.fromkeys((*self._code.changed, *self.handling.changed)))

    @contextlib.contextmanager
    def observing_arrays(self) -> Iterator[None]:
        """Arrays of NumPy that the code is given, or keeps, are such as tell what is done to them.

        Their roundings can be moved; see :mod:`.rounding`. They share their memory with what was
        there, which is back afterwards.
        """
        inputs = self._code.inputs
        try:
            self._code.inputs = [_observe(each) for each in inputs]
            with Patches() as patches:
                for value, put in kept_values(self._code.function):
                    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                        with contextlib.suppress(TypeError, AttributeError):  # it stays as it is
                            patches.call(put, observed(value), value)
                with self._code.from_here():
                    yield
        finally:
            self._code.inputs = inputs

    @contextlib.contextmanager
    def state_after(self, runs: Sequence[Sequence[Choice]]) -> Iterator[bool]:
        """The state is that after some runs, by their outcomes, until this is left.

        False if they changed the inputs themselves: it is another problem then.
        """
        before = self._code.inputs_now()

        def run_once() -> None:
            for choices in runs:
                self.handling.perform(self._code, LaterRun(choices))

        with self.handling.state_after(run_once), self._code.from_here():
            self._after = runs
            try:
                yield self._code.same_inputs(before)
            finally:
                self._after = ()

    def restore_state(self) -> None:
        """Put back what the last run moved."""
        self._code.restore_state()

    def moments(
        self, like: Mapping[str, np.ndarray] | None = None, *, one_by_one: bool = False
    ) -> Moments:
        """Mean and variance of an estimator's gradients over all paths.

        Args:
            like: arrays of the names and shapes that there should be. None: those of the first
                path that is reached.
            one_by_one: whether paths are run one by one, whatever else was asked for.

        Raises:
            NotEnumerable: for an unsupported draw, too many paths, or nondeterministic code.
            NotAGradient, ValueError: for what does not fit.
            NotBatchable: if paths must be run many at a time, and cannot.
        """
        layout = None if like is None else GradientLayout(like)
        self._began = time.perf_counter()
        try:
            return self._moments(layout, one_by_one)
        finally:
            self._code.reads_precision = None

    def _moments(self, layout: GradientLayout | None, one_by_one: bool) -> Moments:
        moments, first, row, last = self._head(layout, one_by_one)
        following = None
        if last is not None and moments.count == HEAD:
            following = next_prefix(last.choices)
        if last is not None and following is not None:
            self._code.reads_precision = False  # but where runs are made again
            self._add_pieces(moments, Cut.after(last, HEAD), following)
        # Once at least: what came late may have changed what the first path gives.
        once = moments.count > 1
        while once or self.repeats < (REPEATS if moments.draws else ALONE):
            self.check_repeated(first, row, moments.layout)
            self.restore_state()
            once = False
        moments.check_mass()
        return moments

    def _head(
        self, layout: GradientLayout | None, one_by_one: bool
    ) -> tuple[Moments, Path[Any], np.ndarray, Path[Any] | None]:
        """Moments of the first paths, the first path and its gradients, and the last of them.

        None for the last if these are the moments of all paths.
        """
        moments, first = None if layout is None else Moments(layout), None
        # Fewer where runs were made again before, for other moments of the same code.
        early = FIRST if self.repeats < REPEATS else 0
        for path in itertools.islice(self.paths(), HEAD):
            moments = moments or Moments(self._layout(path.value))
            moments.add(path)
            count = moments.count
            if count <= early or not count & (count - 1):
                row = moments.layout.row(path.value)
                self.check_repeated(path, row, moments.layout)
                if first is None:
                    first, start = path, row
                    together = None if one_by_one else self.together(path, moments.layout)
                    if together is not None:
                        return together, first, start, None
        assert first is not None  # there is one path at least
        assert moments is not None
        if moments.count == HEAD:
            self.restore_state()  # the iterator, which does it else, was left
        return moments, first, start, path

    def _add_pieces(self, moments: Moments, cut: Cut, start: Sequence[Choice]) -> None:
        """Add all other paths."""
        if self._sharing is None or current_run() is not None:  # within a run all is done here
            parts = self._moments_of_pieces(moments, cut, start)
        else:
            parts = self._sharing.moments_of_pieces(self, moments, cut, start, self._after)
        for part in parts:
            moments.merge(part)
            if moments.count > self._most:
                self._refuse_more(moments)

    def _moments_of_pieces(
        self, moments: Moments, cut: Cut, start: Sequence[Choice] | None
    ) -> Iterator[Moments]:
        while start is not None:
            if moments.count == self._most:
                self._refuse_more(moments)
            part, start = self.piece(moments.layout, cut, start, moments.count)
            yield part

    def _refuse_more(self, moments: Moments) -> NoReturn:
        longest = max((choices for _, choices in moments.likeliest()), key=len)
        raise TooManyPaths(too_many_paths(self._most, longest))

    def piece(
        self, layout: GradientLayout, cut: Cut, start: Sequence[Choice], made: int = 0
    ) -> tuple[Moments, Sequence[Choice] | None]:
        """The moments of one piece of the tree, and the prefix of the path after it.

        Args:
            start: the prefix of its first path, which is run twice.
            made: paths that were run before, and count; fewer than there may be.
        """
        part = Moments(layout)
        choices: tuple[Choice, ...] = ()
        for path in self.paths(start, made, cut):
            part.add(path)
            if part.count == 1:
                self.check_repeated(path, layout.row(path.value), layout)
            choices = path.choices
        return part.close(), next_prefix(choices)

    def together(
        self, first: Path[Any], layout: GradientLayout, compared: ComparedPaths | None = None
    ) -> Moments | None:
        """The moments of paths that are run many at a time; None where they cannot be.

        Args:
            first, compared: as of :meth:`.block_moments.BlockMoments.moments`.

        Raises:
            TooManyPaths: if there are more than may be run.
        """
        if not self._batch:
            return None
        return self._together(lambda runs: runs.moments(first, compared), layout)

    def _together(self, find: Callable[[BlockMoments], T], layout: GradientLayout) -> T | None:
        """What is found of paths that are run many at a time; None where they cannot be."""
        self.restore_state()
        insist = self._batch is True
        runs = BlockMoments(self._code, self.handling, layout, self._most, insist)
        try:
            moments = find(runs)
        except TooManyPaths:
            raise
        except Exception as error:
            line = user_line(error)
            where = f" ({line})" if line else ""
            known = isinstance(error, NotBatchable)
            if self._batch is True:
                advice = "leave batch=True out, and paths are run one by one where they have to be"
                if known:
                    raise NotBatchable(f"{error}{where}; {advice}") from error
                error.add_note(f"It may come of running many paths at a time; {advice}.")
                raise
            # What is wrong with it, if anything is, shows best path by path.
            self.one_by_one = f"{error if known else refused_by_framework(error)}{where}"
            self.restore_state()
            return None
        self.blocks, self.repeats = runs.blocks, self.repeats + runs.repeats
        return moments

    def moments_by_quadrature(
        self, like: Mapping[str, np.ndarray], quadratures: Quadratures
    ) -> list[Moments] | None:
        """Moments by each of several quadratures, whose paths are run many at a time.

        None where they cannot be.

        Raises:
            NotEnumerable: as of :meth:`moments`.
        """
        if not self._batch:
            return None
        layout = GradientLayout(like)
        found = MomentsByQuadrature(layout, quadratures)
        self.handling.quadrature = quadratures
        first = self.run_once(())
        if self.repeats < REPEATS:
            self.check_repeated(first, layout.row(first.value), layout)
        self.restore_state()

        def add(runs: BlockMoments) -> list[Moments]:
            start = found.start(first, MOST_ROWS)
            compared = self.compared or ComparedPaths()
            runs.watched = max(0, REPEATS - self.repeats)
            runs.add_to(found, first, found.expected(first), compared, start)
            return found.each

        blocks = self.blocks
        together = self._together(add, layout)
        if together is not None:
            self.blocks += blocks
        for moments in together or ():
            moments.check_mass()
        return together

    def _layout(self, value: Any) -> GradientLayout:
        """Of all that may get a gradient, as far as that is known; else of what a path has."""
        leaves = {name: array_of(leaf) for name, leaf in self._code.leaves.items()}
        return GradientLayout(leaves if value.keys() <= leaves.keys() else named(value))

    def check_repeated(self, path: Path[Any], row: np.ndarray, layout: GradientLayout) -> None:
        """The same outcomes must give the same gradient, or something else is drawn or is kept.

        :meth:`restore_state` must follow.

        Args:
            row: the path's gradients, (P,).

        Raises:
            NotReproducible: if they do not.
        """
        self.restore_state()
        again = self.repeat_watched(path.choices)
        other = layout.row(again.value)
        longer = len(again.choices) != len(path.choices)
        if longer or not (_is_same(row, other) or self._is_watching(path, row, other, layout)):
            raise NotReproducible(
                "nondeterministic: the same outcomes gave another gradient when they were "
                f"repeated: {KEPT}"
            )

    def _is_watching(
        self, path: Path[Any], row: np.ndarray, other: np.ndarray, layout: GradientLayout
    ) -> bool:
        """Whether a gradient is another only because it is watched, and so each time.

        Some operations of PyTorch (prod) are differentiated in another way then.
        """
        self.restore_state()
        plain = layout.row(self.repeat(path.choices).value)
        self.restore_state()
        return _is_same(row, plain) and _is_same(
            other, layout.row(self.repeat_watched(path.choices).value)
        )


def check_batch(batch: object) -> None:
    """Whether it says how many paths are run at a time.

    Raises:
        ValueError: if not.
    """
    if batch is not True and batch is not False and batch != "auto":
        raise ValueError(f"batch = {batch!r:.60}, expected 'auto', True or False")


def _is_same(row: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(row, other, equal_nan=True)


def _observe(value: Any) -> Any:
    """An input, of which arrays are observed, also in collections."""
    if type(value) in (list, tuple):
        return type(value)(_observe(each) for each in value)
    if type(value) is dict:
        return {key: _observe(each) for key, each in value.items()}
    return observed(value) if isinstance(value, np.ndarray) else value


def run_at(
    function: Callable[..., T], inputs: Sequence[Any] = (), *, outcomes: Sequence[int] = ()
) -> T:
    """What a function returns if its draws come out as given.

    Args:
        outcomes: of its draws, in order, by number; those beyond these take the first possible one.

    Raises:
        ValueError: for the number of an outcome that there is not.
        NotEnumerable: for an unsupported draw, or too many paths.
    """
    code = UserFunction(function, inputs, called="function")
    with code.restoring_state(), Handling(*code.roots) as handling:
        return cast("T", handling.perform(code, NumberedRun(outcomes)))
