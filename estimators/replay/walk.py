"""Runs code once for every outcome of its discrete draws, as a model checker walks choices.

Whatever draws asks the :class:`Walker` for the outcome. A run takes the outcomes it is told first,
then the first possible one of each further draw; the next run differs in the last draw that has
another outcome. So every path is run once, in whatever order and number it draws.
"""

from __future__ import annotations

import contextvars
import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")

#: Paths that are run at most, if nobody says otherwise.
MOST_PATHS = 10_000

#: Probabilities that a caller gives are as exact as those of single precision.
MASS = 1e-5


#: The precision of double-precision numbers.
EPS = float(np.finfo(np.float64).eps)


class NotEnumerable(RuntimeError):
    """Code whose draws cannot be walked through one by one."""


class TooManyPaths(NotEnumerable):
    """There are more paths than may be run."""


class Continuous(NotEnumerable):
    """Something is drawn that has no outcomes to count, or that cannot be intercepted.

    The run that it is raised in notes it: code that catches all errors draws all the same.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        walker = _walking.get()
        if walker is not None:
            walker.refused.append(self)


class Restless(NotEnumerable):
    """The same draws were not followed by the same: something is kept from run to run."""


class Choice(NamedTuple):
    """One draw: by what, the chance of each outcome, and the one that was taken."""

    what: str
    probabilities: tuple[float, ...]
    taken: int


@dataclasses.dataclass(frozen=True)
class Path(Generic[T]):
    """One run: its draws, what it returned, and the precision of the draws' probabilities."""

    choices: tuple[Choice, ...]
    value: T
    precision: float = EPS

    @property
    def weight(self) -> float:
        """The probability of these draws."""
        return math.prod(choice.probabilities[choice.taken] for choice in self.choices)

    def __str__(self) -> str:
        return _listed(self.choices)


class Walker:
    """Decides the draws of one run.

    Args:
        told: the draws of which the outcome is given, in order.
        most: paths that may be run.
    """

    def __init__(self, told: Sequence[Choice] = (), most: int = MOST_PATHS) -> None:
        self._told, self._most = told, most
        self._open = 0
        self.choices: list[Choice] = []
        self.precision = EPS
        self.refused: list[NotEnumerable] = []
        #: Generators that were moved by draws which asked, by id, with the state they were left in.
        self.moved: dict[int, tuple[object, object]] = {}
        self._rewound = ""
        self._process = os.getpid()

    def rewind(self, what: str) -> None:
        """Note that a generator may draw again what it drew: nothing may be drawn from now on."""
        if self.choices:
            self._rewound = what

    def choose(self, probabilities: object, what: str, precision: float = EPS) -> int:
        """The outcome of a draw.

        Args:
            probabilities: of each outcome, (K,); normalised if their sum is not quite 1.
            what: draws, for messages.
            precision: of the probabilities, as the step from 1 to the next number.

        Raises:
            ValueError: if they are none.
            Restless: if they are not those of the run that is repeated up to here.
        """
        if os.getpid() != self._process:
            raise Continuous(f"{what} draws in another process, whose draws cannot be told")
        if self._rewound:
            raise Continuous(
                f"{what} draws after {self._rewound}: it may draw again what was drawn before, "
                "which is no draw of its own; draw once and keep what was drawn, or let every draw "
                "have numbers of its own"
            )
        known = _checked(probabilities, what)
        self.precision = max(self.precision, precision)
        place = len(self.choices)
        if place < len(self._told):
            told = self._told[place]
            if (told.what, told.probabilities) != (what, known):
                raise Restless(
                    f"draw {place + 1} was {_shown(told.what, told.probabilities)}, and after the "
                    f"same draws it is {_shown(what, known)}: something is kept from one run to "
                    "the next; let the estimator start afresh each time, or pass reset="
                )
            taken = told.taken
        else:
            taken = next(place for place, chance in enumerate(known) if chance > 0.0)
        self.choices.append(Choice(what, known, taken))
        # Each draw that could have come out another way is where another path begins.
        self._open += known[taken] < 1.0
        if self._open >= self._most:
            error = TooManyPaths(
                f"one path has made {self._open:,} draws and has not ended, so that there are more "
                f"than {self._most:,} paths; code that draws until something comes out has paths "
                "without end: allow more of them (paths=), or sample"
            )
            self.refused.append(error)
            raise error
        return taken


#: The walker of the run that is under way, if there is one.
_walking: contextvars.ContextVar[Walker | None] = contextvars.ContextVar("walking", default=None)

#: Lets whatever draws ask a walker, until it is left.
Intercept = Callable[[Walker], AbstractContextManager[object]]


def walk(
    run: Callable[[], T], intercept: Intercept, *, most: int = MOST_PATHS
) -> Iterator[Path[T]]:
    """Every path of a run that has a chance at all.

    Args:
        most: paths that may be run.

    Raises:
        TooManyPaths: if there are more.
        Restless: if a run does not go on as before after the same draws.
    """
    if most < 1:
        raise ValueError(f"paths is {most}, expected at least 1")
    told: list[Choice] | None = []
    for count in range(most + 1):
        if told is None:
            return
        if count == most:
            raise TooManyPaths(
                f"{most:,} paths were run, and there are more; allow more of them (paths=), draw "
                "less at once (fewer sentences, fewer outcomes), or sample"
            )
        path = follow(run, intercept, told, most)
        yield path
        told = _next(path.choices)


def follow(
    run: Callable[[], T], intercept: Intercept, told: Sequence[Choice], most: int = MOST_PATHS
) -> Path[T]:
    """One path, of which the first draws are told.

    Raises:
        Continuous: for what was refused, also if the run went on.
        Restless: if it ends before they are all asked for.
    """
    walker = Walker(told, most)
    value = under(walker, run, intercept)
    if len(walker.choices) < len(told):
        raise Restless(
            f"a run ended after {len(walker.choices)} draws, and after the same draws it went on "
            f"with {told[len(walker.choices)].what}: something is kept from one run to the next; "
            "let the estimator start afresh each time, or pass reset="
        )
    return Path(tuple(walker.choices), value, walker.precision)


def under(walker: Walker, run: Callable[[], T], intercept: Intercept) -> T:
    """What a run returns whose draws this walker decides.

    Raises:
        Continuous: for what was refused, also if the run went on.
    """
    token = _walking.set(walker)
    try:
        with intercept(walker):
            value = run()
        if walker.refused:  # and caught by the code that was run
            raise walker.refused[0]
        return value
    except Exception as error:
        error.add_note(f"draws so far: {_listed(walker.choices)}")
        raise
    finally:
        _walking.reset(token)


def _next(choices: Sequence[Choice]) -> list[Choice] | None:
    """The draws of the path after this one, as far as they are told; None after the last."""
    for place in reversed(range(len(choices))):
        what, known, taken = choices[place]
        for other in range(taken + 1, len(known)):
            if known[other] > 0.0:
                return [*choices[:place], Choice(what, known, other)]
    return None


def _listed(choices: Sequence[Choice]) -> str:
    return ", ".join(f"{choice.what} -> {choice.taken}" for choice in choices) or "none"


def _checked(probabilities: object, what: str) -> tuple[float, ...]:
    known = np.asarray(probabilities, np.float64)
    total = float(known.sum())
    if known.ndim != 1 or not np.isfinite(known).all() or (known < 0.0).any() or total <= 0.0:
        raise ValueError(
            f"{what} draws with probabilities {known.tolist()!r:.80}, expected finite numbers "
            "that are not negative, and not all zero"
        )
    if abs(total - 1.0) > MASS:
        raise ValueError(f"{what} draws with probabilities that sum to {total:.6g}, expected 1")
    return tuple((known / total).tolist())


def _shown(what: str, known: Sequence[float]) -> str:
    shares = ", ".join(f"{chance:.3g}" for chance in known[:6])
    return f"{what} with probabilities ({shares}{', ...' if len(known) > 6 else ''})"
