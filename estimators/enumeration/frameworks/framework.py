"""What a framework has to say of itself so that its draws can be handled.

Adding a framework: write one class in a file of its own that derives from :class:`Framework`, and
name it in ``FRAMEWORKS``. It says

- what draws, and what answers instead: ``install`` puts handlers on, made by :func:`handle`, once
  for all enumerations that are under way. An answer asks ``run.choose(outcomes)`` for each draw,
  with outcomes of :mod:`..outcomes`, or raises :class:`..run.UnsupportedDraw`;
- which of these are functions that people import by their own names (``by_name``);
- what a run must have or must leave (``start``, ``finish``): what the framework remembers during a
  run belongs into ``run.memory``, generators that draw go through :func:`..generators.draw_from`;
- what is to be seen at the end of an enumeration (``begin``, ``end``).

Stop-gradients are in :mod:`..stops`, and how results are moved by rounding in :mod:`..rounding`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from ..generators import WatchedGenerators, identity
from ..patches import Patches
from ..run import Run, SampledRun, UnsupportedDraw, current_run, outside_runs


class Framework:
    """One framework's draws.

    Args:
        module: the framework itself, which is imported already.
    """

    #: The module whose presence says that the framework may draw.
    name: ClassVar[str] = ""
    #: Whether ``start`` and ``finish`` are for every run, not only for those that are watched and
    #: those that sample.
    each_run: ClassVar[bool] = True

    def __init__(self, module: Any) -> None:
        self.module = module
        #: Names of what runs changed and the framework put back itself, but for states of draws.
        self.changed: dict[str, None] = {}

    def install(self, patches: Patches) -> None:
        """Put handlers on. Only one object of the class does, for all that are there."""

    def by_name(self) -> Iterable[tuple[Any, Any]]:
        """Functions that may have been imported by their own names, and their handlers."""
        return ()

    def begin(self) -> None:
        """An enumeration begins; handlers are installed."""

    def start(self, run: Run, watched: bool) -> None:
        """A run begins. ``watched``: draws are to be looked for that no handler sees."""

    def finish(self, run: Run, watched: bool) -> None:
        """It ended, or failed."""

    @contextlib.contextmanager
    def state_after(self, run_once: Callable[[], object]) -> Iterator[None]:
        """What the framework puts back itself is as a run leaves it, until this is left.

        Args:
            run_once: performs that run.
        """
        run_once()
        yield

    def end(self, failed: bool) -> None:
        """The enumeration ended, or failed; handlers are installed still."""


class GeneratorFramework(Framework):
    """A framework that has a generator of its own, which only handlers may move.

    ``begin`` adds that generator to what is watched.
    """

    #: Generators that somebody drew from outside of any run while handlers were installed.
    drawn_outside_runs: ClassVar[set[int]]
    each_run = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.drawn_outside_runs = set()

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._handlers: list[tuple[Any, Any]] = []
        self._watched = WatchedGenerators()
        #: Whether a run let everything draw as ever, so that generators moved.
        self._sampled = False

    def by_name(self) -> Iterable[tuple[Any, Any]]:
        """The functions of the module."""
        return self._handlers

    def note_drawn_outside(self, generator: Any) -> None:
        """Somebody drew from a generator where no run was under way."""
        self.drawn_outside_runs.add(identity(generator))

    def owns(self, generator: int) -> bool:
        """Whether this is the framework's own generator, by its identity."""
        return self._watched.has(generator)

    def finish(self, run: Run, watched: bool) -> None:
        """Look whether something was drawn unseen."""
        self._sampled = self._sampled or run.is_sampling
        if watched and not run.is_sampling:
            self._watched.check(self.drawn_outside_runs)

    def end(self, failed: bool) -> None:
        """Look whether something was drawn unseen."""
        if self._sampled:
            return
        if failed:  # which says why; the generator is put back all the same
            self._watched.put_back(self.drawn_outside_runs)
        else:
            self._watched.check(self.drawn_outside_runs)


def handle(
    real: Callable[..., Any],
    answer: Callable[..., Any],
    on_call_outside: Callable[..., object] | None = None,
) -> Callable[..., Any]:
    """A handler that stands for a function.

    Args:
        answer: given the run, and the function's arguments, returns what it would.
        on_call_outside: is called with the arguments where no run is under way.
    """

    @functools.wraps(real, assigned=("__name__", "__doc__"), updated=())
    def handler(*args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is None or run.over:
            if on_call_outside is not None and run is None:
                on_call_outside(*args, **kwargs)
            return real(*args, **kwargs)
        if isinstance(run, SampledRun):
            run.observe(lambda: answer(run, *args, **kwargs))
            with outside_runs():  # what it does inside is its own business
                return real(*args, **kwargs)
        return answer(run, *args, **kwargs)

    return handler


def handle_in_runs(real: Callable[..., Any], answer: Callable[..., Any]) -> Callable[..., Any]:
    """A handler that stands for a function while a run is under way, and is given the run first."""

    @functools.wraps(real)
    def handler(*args: Any, **kwargs: Any) -> Any:
        run = current_run()
        return real(*args, **kwargs) if run is None else answer(run, *args, **kwargs)

    return handler


def by_itself(real: Callable[..., Any]) -> Callable[..., Any]:
    """A handler of what draws names and seeds of the framework's own, which is nobody's draw."""

    def answer(_: Run, *args: Any, **kwargs: Any) -> Any:
        with outside_runs():
            return real(*args, **kwargs)

    return handle_in_runs(real, answer)


def unsupported_message(what: str) -> str:
    """Why a function is refused that draws what has no outcomes to count, or too many."""
    return f"{what} is an unsupported draw: its outcomes cannot be enumerated"


def refuse(why: str) -> Callable[..., Any]:
    """An answer that refuses an unsupported draw."""

    def answer(*_: Any, **__: Any) -> Any:
        raise UnsupportedDraw(why)

    return answer
