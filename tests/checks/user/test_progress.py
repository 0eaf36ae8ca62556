"""How far a check is: a line on a terminal after two seconds, silence elsewhere."""

import io

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.user import progress
from gradproof.checks.user.progress import WAIT, Progress


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self):
        """It is."""
        return True


class Clock:
    """Shows the time that it is set to."""

    now = 0.0

    def __call__(self):
        """Seconds."""
        return self.now


def test_a_line_is_written_after_two_seconds_with_the_time_that_is_left():
    """And with what would be faster; at the end it is gone."""
    stream, clock = Terminal(), Clock()
    with Progress(None, 100, stream=stream, clock=clock) as shown:
        shown()
        assert stream.getvalue() == ""
        shown.expect(1_000, "fast=True is faster")
        clock.now = WAIT
        shown()
        assert "2 runs in 2 s, some 33 min more for 1,000 of the objective" in stream.getvalue()
        count = len(stream.getvalue())
        shown()  # not again at once
        assert len(stream.getvalue()) == count
    assert stream.getvalue().split("\r")[-1] == ""


def test_nothing_is_written_where_there_is_no_terminal():
    """As in a log, under pytest, or on a server without one."""
    stream, clock = io.StringIO(), Clock()
    with Progress(None, 100, stream=stream, clock=clock) as shown:
        clock.now = 100.0
        shown()
        assert shown.tell is None
    assert stream.getvalue() == ""


def test_who_asks_is_told_instead():
    """Of each run."""
    told, stream, clock = [], Terminal(), Clock()
    with Progress(lambda *facts: told.append(facts), 2, stream=stream, clock=clock) as shown:
        clock.now = 100.0
        for _ in range(3):
            shown()
    assert told == [(1, 2, "runs, at most"), (2, 2, "runs, at most"), (3, 3, "runs, at most")]
    assert stream.getvalue() == ""


def test_a_check_shows_how_long_its_objective_takes(monkeypatch):
    """The terminal's line offers one direction; the verdict is what it is without."""
    stream = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", stream)
    monkeypatch.setattr(progress, "WAIT", 0.0)
    monkeypatch.setattr(progress, "AGAIN", 0.0)
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng()

    def estimate(p):
        one = rng.random() < p[0]
        return np.array([one / p[0]])

    found = check_estimator(estimate, [np.array([0.3])], objective=lambda p: rng.random() < p[0])
    assert found.verdict == "holds"
    assert "more for" in stream.getvalue()
    assert "fast=True" in stream.getvalue()


@pytest.mark.parametrize(("seconds", "words"), [(2.4, "2 s"), (90.0, "2 min"), (5400.0, "1.5 h")])
def test_durations(seconds, words):
    """Rounded."""
    assert progress._duration(seconds) == words
