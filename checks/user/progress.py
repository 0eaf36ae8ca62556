"""Progress of a check: how many runs of how many, and how long still; a line on a terminal."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from gradproof.estimators.enumeration.run import Path
from gradproof.estimators.enumeration.tree_size import duration

#: Called for each run: how many were made, of about how many, of what.
Progress = Callable[[int, int, str], object]

#: Seconds before anything is shown, and from one time to the next.
PATIENCE, EVERY = 2.0, 0.2

#: On the line, if there is room for it.
HIDE = " (progress=False hides this)"

#: Paths from which on a time is named: the first ones compile, and import.
FEW = 8


class RunProgress:
    """Reports each run, of about how many, and about how long the others take.

    How many paths there are is estimated from the share of their tree that is behind, as if all its
    branches were alike.

    Args:
        most: paths that may be run in one enumeration.
    """

    def __init__(
        self, report: Progress, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._most, self._clock = report, most, clock
        self._runs = self._paths = self._samples = 0
        self._behind, self._started = 0.0, clock()
        #: Of the paths that were run, where the most probable are run first; None elsewhere.
        self._probability: float | None = None
        self._most_left = 0
        #: Enumerations that were begun. How many there will be, nobody knows.
        self._passes = 0

    def run(self) -> None:
        """A run is about to be made."""
        self._runs += 1
        self._tell()

    def several(self, paths: int, behind: float) -> None:
        """So many paths were run, elsewhere or at once; this share of all is behind now, about."""
        self._runs += paths
        self._paths += paths
        self._behind = behind
        self._tell()

    def _tell(self) -> None:
        left, seconds = self._left()
        about = f", about {duration(seconds)} left" if seconds is not None else ""
        if about and self._passes > 1:  # an objective is enumerated at one point after another
            about += f" of pass {self._passes}"
        done = "" if self._probability is None else f" of probability {self._probability:.4g}"
        self._report(self._runs, self._runs + left, f"runs{done}{about}")

    def path(self, path: Path[Any]) -> None:
        """A path was run, the next in its enumeration."""
        if self._samples:  # of which each has paths of its own
            return
        behind = path.behind
        if behind <= self._behind or not self._paths:  # of another enumeration
            self._paths, self._started = 0, self._clock()
            self._passes += 1
        self._paths += 1
        self._behind, self._probability = behind, None

    def share(self, left: int, probability: float) -> None:
        """A path was run; so many may be run still, and all up to it have this probability."""
        self._paths += 1
        self._most_left, self._probability = left, probability

    def tried(self, done: int, total: int) -> None:
        """So many of all groups were tried in another order."""
        self._report(done, total, "groups tried in other orders")

    def sample(self, draws: int) -> None:
        """From now on so many samples are taken, at most."""
        self._samples, self._started = self._runs + draws, self._clock()
        self._sampled_from = self._runs

    def _left(self) -> tuple[int, float | None]:
        """Runs that are left, and seconds where they can be told."""
        spent = self._clock() - self._started
        if self._samples:
            left, made = max(0, self._samples - self._runs), self._runs - self._sampled_from
            return left, spent / made * left if made >= FEW else None
        if self._probability is not None:
            left = self._most_left
            return left, spent / self._paths * left if self._paths >= FEW else None
        if not 0.0 < self._behind < 1.0:
            return 0, None
        ahead = (1.0 - self._behind) / self._behind
        paths = min(self._paths * ahead, float(max(0, self._most - self._paths)))
        return round(paths), spent / self._paths * paths if self._paths >= FEW else None


def _room() -> int:
    """Characters that fit on a line of the terminal."""
    return shutil.get_terminal_size().columns - 1


class TerminalLine:
    """A line on a terminal once something takes longer than two seconds, and gone afterwards."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._next, self._width = clock() + PATIENCE, 0

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show how many were made, of about how many."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY
        text, room = f"gradproof: {done:,} of about {total:,} {what}", _room()
        text = text + HIDE if len(text + HIDE) <= room else text[:room]
        self._write(f"\r{text.ljust(self._width)}")
        self._width = len(text)

    def clear(self) -> None:
        """Leave the line empty, if anything was shown."""
        if self._width:
            self._write(f"\r{' ' * self._width}\r")
            self._width = 0

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that went away is no news here
            self._stream.write(text)
            self._stream.flush()


@contextlib.contextmanager
def telling(progress: Progress | bool | None, most: int) -> Iterator[RunProgress | None]:
    """What runs are told to: a function's, or a line on standard error if that is a terminal.

    Args:
        progress: as of :func:`reporting`.
        most: paths that may be run in one enumeration.

    Raises:
        TypeError: for what cannot be called.
    """
    with reporting(progress) as report:
        yield None if report is None else RunProgress(report, most)


@contextlib.contextmanager
def reporting(progress: Progress | bool | None) -> Iterator[Progress | None]:
    """What is to be called with how far something is; None where nothing is shown.

    Args:
        progress: None: that line; False: nothing.

    Raises:
        TypeError: for what cannot be called.
    """
    if progress is not None and progress is not False and not callable(progress):
        raise TypeError(
            f"progress = {progress!r:.60}, expected a function (done, total, what), False for "
            "none, or None for a line on a terminal"
        )
    if callable(progress):
        yield progress
        return
    if progress is False or not _is_terminal(sys.stderr):
        yield None
        return
    line = TerminalLine(sys.stderr)
    try:
        yield line
    finally:
        line.clear()


def _is_terminal(stream: Any) -> bool:
    """There may be no stream at all, or a closed one."""
    return stream is not None and not stream.closed and bool(stream.isatty())
