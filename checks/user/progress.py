"""How far a check is: for whoever asks to be told, or in a line on a terminal after two seconds."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

#: Seconds before a line is written, and between two of them.
WAIT, AGAIN = 2.0, 0.5


class Progress:
    """Counts runs, and tells of them until it is left.

    Args:
        report: called for each run, as ``progress=`` of a check. None: a line is written, if
            ``stream`` is a terminal.
        most: runs that there may be, for ``report``.
        stream: standard error, unless it is another.
        clock: seconds, from any time on.
    """

    def __init__(
        self,
        report: Callable[[int, int, str], object] | None,
        most: int,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._report, self._most, self._clock = report, most, clock
        self._stream = sys.stderr if stream is None else stream
        self._shows = report is None and _is_terminal(self._stream)
        self._done, self._start = 0, clock()
        self._next = self._start + WAIT
        self._ahead: tuple[int, int, float, str] | None = None
        self._written = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.expect(0)
        if self._written:
            self._write("")

    @property
    def tell(self) -> Callable[[], object] | None:
        """Is to be called once a run; None if nobody wants to know."""
        return self if self._report is not None or self._shows else None

    def expect(self, runs: int, advice: str = "") -> None:
        """So many runs are ahead; 0: nobody knows how many.

        Args:
            advice: what would take fewer.
        """
        self._ahead = (self._done, runs, self._clock(), advice) if runs else None

    def __call__(self) -> None:
        """One more run begins."""
        self._done += 1
        if self._report is not None:
            self._report(self._done, max(self._done, self._most), "runs, at most")
        elif self._shows and self._clock() >= self._next:
            self._next = self._clock() + AGAIN
            self._write(self._line())

    def _line(self) -> str:
        line = f"gradproof: {self._done:,} runs in {_duration(self._clock() - self._start)}"
        if self._ahead is None:
            return line
        before, runs, since, advice = self._ahead
        done = max(1, self._done - before)
        left = max(0, runs - done) * (self._clock() - since) / done
        line += f", some {_duration(left)} more for {runs:,} of the objective"
        return f"{line}; {advice}" if advice else line

    def _write(self, line: str) -> None:
        """Over the last line."""
        line = line[: shutil.get_terminal_size().columns - 1]
        self._stream.write(f"\r{line.ljust(self._written)}\r{line}")
        self._stream.flush()
        self._written = len(line)


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody may be waiting in front of it; there is no stream under some servers."""
    return stream is not None and not stream.closed and stream.isatty()


def _duration(seconds: float) -> str:
    """In seconds, minutes or hours."""
    if seconds < 60.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 3600.0 else f"{seconds / 3600.0:.1f} h"
