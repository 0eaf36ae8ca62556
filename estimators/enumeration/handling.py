"""Draws are handled once for a whole enumeration, not anew for each path.

While handlers are installed, each looks up the run that is under way in its own thread and context,
and asks it; where there is none it falls through to what it stands for. So another thread draws as
ever, and an enumeration may run inside of another.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

from .cells import refuse_if_named
from .exchange import Exchange
from .frameworks import FRAMEWORKS, Framework
from .frameworks.framework import GeneratorFramework
from .generators import Seeds, Stream, Streams, unseen_draw_message
from .integration.quadrature import Quadrature
from .patches import Patches
from .places import KeptFunctions
from .run import Run, UnsupportedDraw, _current, current_run, describe_choices

T = TypeVar("T")

#: Enumerations in several threads wait for each other: they move the same generators, and put them
#: back. One may run inside of another.
_ENUMERATIONS = threading.RLock()


def one_at_a_time() -> contextlib.AbstractContextManager[object]:
    """What an enumeration waits for: those around it, and others that its run begins, but not that.

    A run may begin one in any thread, and wait for it.
    """
    run = current_run()
    if run is None or run.over:
        return _ENUMERATIONS
    return run.recall("enumerations", threading.RLock)


class Handling:
    """Handlers for what some code draws, from ``with`` to its end.

    A framework that is not imported draws nothing, and is left alone.

    Args:
        roots: functions, objects and collections of them, in which functions are looked for that
            were imported by their own names, and methods of generators that are kept.

    Raises:
        UnsupportedDraw: at its end, if a generator moved by a draw that no handler saw.
    """

    def __init__(self, *roots: object) -> None:
        self._roots = roots
        self._frameworks: list[Framework] = []
        self._each_run: list[Framework] = []
        self._generator_frameworks: list[GeneratorFramework] = []
        self._places = Patches()
        self._lock = contextlib.ExitStack()
        self._token: contextvars.Token[tuple[frozenset[int], ...]] | None = None
        self._last_streams: dict[int, Stream] = {}
        #: By what continuous numbers are integrated in each run; None: they are not.
        self.quadrature: Quadrature | None = None
        #: Whether what draws is made from a fixed seed in each run.
        self.seeds = Seeds()
        #: Answers draws of one call whose order does not matter; None: it may matter.
        self.exchange: Exchange | None = None

    def __enter__(self) -> Handling:
        with contextlib.ExitStack() as stack:
            stack.enter_context(one_at_a_time())
            self._begin()
            self._lock = stack.pop_all()
        return self

    def _begin(self) -> None:
        self._frameworks = [
            kind(sys.modules[name]) for name, kind in FRAMEWORKS.items() if name in sys.modules
        ]
        self._each_run = [each for each in self._frameworks if each.each_run]
        self._generator_frameworks = [
            each for each in self._frameworks if isinstance(each, GeneratorFramework)
        ]
        _install(self._frameworks)
        try:
            self._replace()
            for each in self._frameworks:
                each.begin()
        except BaseException:
            self._end()
            raise

    def _replace(self) -> None:
        """Put handlers where the roots keep functions, unless somebody around this one did."""
        self._places = Patches()
        mine = frozenset(_identities(self._roots))
        if any(mine <= known for known in _replaced.get()):
            return
        replaced = {
            id(real): (real, handler)
            for each in _installed.frameworks.values()
            for real, handler in each.by_name()
        }
        KeptFunctions(self._roots, replaced).replace(self._places)
        self._token = _replaced.set((*_replaced.get(), mine))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            try:
                for each in self._frameworks:
                    each.end(failed=kind is not None)
            finally:
                self._end()

    def _end(self) -> None:
        try:
            if self._token is not None:
                _replaced.reset(self._token)
            self._places.undo()
        finally:
            _uninstall(self._frameworks)

    def perform(self, code: Callable[[], T], run: Run, *, watched: bool = False) -> T:
        """What code returns, each draw of which asks a run.

        Args:
            watched: whether draws are looked for that no handler sees; it takes longer.

        Raises:
            UnsupportedDraw: for what was refused, also if the code went on.
            NotReproducible: as :class:`.run.Run`.
        """
        token = _current.set(run)
        run.over, run.quadrature, run.exchange = False, self.quadrature, self.exchange
        started: list[Framework] = []
        try:
            for framework in self._frameworks if watched or run.is_sampling else self._each_run:
                started.append(framework)
                framework.start(run, watched)
            streams = run.memory["streams"] = Streams(self._last_streams, self.is_shared)
            try:
                with run.at_end:
                    value = code()
            finally:
                self.seeds.look(streams)
                stray = streams.end()
                self._last_streams = streams.unmoved_streams()
                for framework in reversed(started):
                    framework.finish(run, watched)
            if run.refused:  # and caught by the code that was run
                raise run.refused[0]
            if stray:
                raise UnsupportedDraw(unseen_draw_message(stray))
            run.finish()
            return value
        except Exception as error:
            if run.refused and run.refused[0] is not error:  # a framework may have wrapped it
                raise run.refused[0] from error
            refuse_if_named(run, error)
            error.add_note(f"draws so far: {describe_choices(run.choices)}")
            raise
        finally:
            run.over = True
            _current.reset(token)

    def is_shared(self, generator: int) -> bool:
        """Whether somebody else draws from a generator, by its identity, and may.

        It belongs to a framework, and so to all. One of the estimator's own may draw for it in a
        thread that was there before, unseen.
        """
        return any(
            generator in each.drawn_outside_runs and each.owns(generator)
            for each in self._generator_frameworks
        )

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of what runs changed and frameworks put back themselves."""
        return tuple(name for each in self._frameworks for name in each.changed)

    @contextlib.contextmanager
    def state_after(self, run_once: Callable[[], object]) -> Iterator[None]:
        """What frameworks put back themselves is as a run leaves it, until this is left."""
        run = run_once
        with contextlib.ExitStack() as stack:
            for each in self._frameworks:
                run = functools.partial(stack.enter_context, each.state_after(run))
            run()
            yield

    def perform_watched(self, code: Callable[[], T], run: Run) -> T:
        """The same, while draws are looked for that no handler sees."""
        return self.perform(code, run, watched=True)


#: Of the enumerations around this one: in which functions and objects handlers were put.
_replaced: contextvars.ContextVar[tuple[frozenset[int], ...]] = contextvars.ContextVar(
    "replaced", default=()
)


def _identities(roots: object) -> Iterator[int]:
    """Of what may keep functions, in collections and out of them."""
    if isinstance(roots, tuple | list):
        for each in roots:
            yield from _identities(each)
    elif isinstance(roots, dict):
        for each in roots.values():
            yield from _identities(each)
    elif roots is not None:
        yield id(roots)


class _Installed:
    """The handlers of this process: put on by the first who needs them, taken off by the last."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.frameworks: dict[str, Framework] = {}
        self.patches: dict[str, Patches] = {}
        self.users: dict[str, int] = {}


_installed = _Installed()


def _install(frameworks: list[Framework]) -> None:
    done: list[Framework] = []
    with _installed.lock:
        try:
            for each in frameworks:
                if not _installed.users.get(each.name):
                    _installed.patches[each.name] = patches = Patches()
                    _installed.frameworks[each.name] = each
                    _installed.users[each.name] = 0
                    each.install(patches)
                _installed.users[each.name] += 1
                done.append(each)
        except BaseException:
            for name, patches in _installed.patches.items():
                if not _installed.users[name]:
                    patches.undo()
            _uninstall(done)
            raise


def _uninstall(frameworks: list[Framework]) -> None:
    with _installed.lock:
        for each in frameworks:
            _installed.users[each.name] -= 1
            if not _installed.users[each.name]:
                _installed.patches.pop(each.name).undo()
                del _installed.frameworks[each.name]
