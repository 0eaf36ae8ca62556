"""Progress of a check: what is told, when a line is shown, and that it is gone afterwards."""

import io
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from gradproof import TooManyPaths, check_estimator, check_invariances, check_surrogate
from gradproof.checks.user import progress
from gradproof.checks.user.progress import RunProgress, TerminalLine
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.tree_size import duration

RNG = np.random.default_rng()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """It is."""
        return True


def bits(theta):
    """Four draws of two outcomes, in calls of their own."""
    return theta * sum(RNG.integers(2) for _ in range(4))


def check(**options):
    """Of that one, with its exact gradient."""
    return check_estimator(bits, [np.ones(2)], exact=np.full(2, 2.0), **options)


def test_how_many_runs_there_are_is_known_from_the_first_path():
    """Each path draws alike, so that the estimate is exact; runs that are repeated come on top."""
    told = []
    check(progress=lambda *what: told.append(what))
    done, totals, _ = zip(*told, strict=True)
    assert done == tuple(range(1, len(told) + 1))
    assert totals[1] == 2 + 15  # one path was run of sixteen, and the second run begins
    assert totals[-1] == len(told)


def test_a_tree_of_unlike_branches_is_estimated_and_never_past_its_end():
    """It draws until something comes out: the share that is behind grows, and ends at 1."""

    def until():
        return next((n for n in range(6) if RNG.integers(2)), 6)

    with Enumeration(UserFunction(until)) as enumeration:
        behind = [path.behind for path in enumeration.paths()]
    assert len(behind) == 7
    assert behind == sorted(set(behind))
    assert behind[-1] == 1.0


@pytest.mark.parametrize("progress", [None, False])
def test_a_short_check_shows_nothing(monkeypatch, progress):
    """Nor does one that is told not to."""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    check(progress=progress)
    assert terminal.getvalue() == ""


def test_a_long_check_shows_a_line_and_takes_it_away(monkeypatch):
    """On a terminal, from Python; the line has the time that is left, and nothing of it stays."""
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setenv("COLUMNS", "79")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    check()
    lines = terminal.getvalue().split("\r")
    assert any(re.search(r"of about \d\d runs, about 0 s left", line) for line in lines)
    assert max(map(len, lines)) < 79
    assert lines[-1] == ""
    assert lines[-2].strip() == ""
    assert len(lines[-2]) >= len(lines[-3].rstrip())


def test_a_line_goes_away_with_an_error(monkeypatch):
    """As when somebody interrupts."""
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())

    def stopped(theta):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_estimator(stopped, [np.ones(2)], exact=np.ones(2))
    assert terminal.getvalue().endswith(" \r")


def test_a_hint_is_left_out_where_there_is_no_room_for_it(monkeypatch):
    """It is not cut in two."""
    monkeypatch.setenv("COLUMNS", "60")
    now = [0.0]
    line = TerminalLine(terminal := Terminal(), clock=lambda: now[0])
    now[0] = 2.0
    line(1_000, 20_000, "runs, about 14 s left")
    assert terminal.getvalue() == "\rgradproof: 1,000 of about 20,000 runs, about 14 s left"


def test_no_more_runs_are_left_than_may_be_made():
    """Of a tree that is far larger."""
    told = []
    with pytest.raises(TooManyPaths):
        check_estimator(
            lambda x: x * sum(RNG.integers(2) for _ in range(12)),
            [1.0],
            exact=6.0,
            paths=100,
            batch=False,
            progress=lambda *what: told.append(what),
        )
    # Some runs are of no path, such as those that are repeated; a hundred more would be too many.
    assert max(total for _, total, _ in told) < 150


def test_two_seconds_pass_first():
    """By its clock."""
    now = [0.0]
    line = TerminalLine(terminal := Terminal(), clock=lambda: now[0])
    line(1, 10, "runs")
    now[0] = 1.9
    line(2, 10, "runs")
    assert terminal.getvalue() == ""
    now[0] = 2.0
    line(3, 10, "runs")
    assert terminal.getvalue().startswith("\rgradproof: 3 of about 10 runs (progress=False ")


def test_the_time_that_is_left_is_told():
    """Ten seconds a path, of sixteen, ten of which were run."""
    told, now = [], [0.0]
    listener = RunProgress(lambda *what: told.append(what), 10_000, clock=lambda: now[0])
    with Enumeration(UserFunction(lambda: bits(1.0))) as enumeration:
        paths = list(enumeration.paths())
    for path in paths[:10]:
        listener.run()
        now[0] += 10.0
        listener.path(path)
    listener.run()
    # The clock begins with the first path that came back.
    assert told[-1] == (11, 11 + 6, "runs, about 54 s left")
    # From the second enumeration on it is that of one of them, and the line says of which.
    for path in paths[:10]:
        now[0] += 10.0
        listener.path(path)
        listener.run()
    assert told[-1] == (21, 21 + 6, "runs, about 54 s left of pass 2")


def test_no_terminal_sees_nothing(monkeypatch):
    """Nor is there an error where there is no standard error at all."""
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        check()
    closed = Terminal()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    check()


def test_all_checks_tell():
    """Samples too, of as many as may be drawn."""
    told = []

    def tell(*what):
        told.append(what)

    def surrogate(theta):
        return (theta**2).sum() * RNG.integers(2)

    def gradient(theta):
        return 2.0 * theta * RNG.integers(2)

    assert check_surrogate(surrogate, [np.ones(2)], gradient=gradient, progress=tell).right
    assert len(told) == 2
    told.clear()

    def make(cost=lambda f: f):
        return lambda theta: cost(RNG.integers(2)) * (2.0 * RNG.integers(2) - 1)

    assert check_invariances(make, [np.ones(2)], progress=tell).verdict == "holds"
    assert told
    told.clear()
    noisy = lambda theta: theta + RNG.uniform(-1.0, 1.0, 2)  # noqa: E731
    check_estimator(noisy, [np.ones(2)], exact=np.ones(2), draws=3000, rarest=0.01, progress=tell)
    assert told[-1][:2] == (told[-1][0], told[-1][0])


def test_what_cannot_be_called_is_an_error():
    """By name."""
    with pytest.raises(TypeError, match="progress = True, expected a function"):
        check(progress=True)


def test_rich_is_not_imported_by_a_check():
    """Only the command line draws with it."""
    code = (
        "import sys, numpy as np\nfrom gradproof import check_estimator, check_surrogate\n"
        "check_estimator(lambda x: x, [np.ones(2)], exact=np.ones(2))\n"
        "assert 'rich' not in sys.modules and 'click' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------ too many paths


def test_draws_of_one_call_are_counted_before_they_are_run():
    """Twenty of four outcomes, all of which are made: there are 4^20 ways, and nothing is run."""

    def many(theta):
        return theta * RNG.integers(0, 4, size=20).sum()

    def choices(theta):
        return theta * RNG.choice(4, size=20).sum()

    told = r"20 draws in one call.* in 10\^12 ways"
    for estimate in (many, choices):
        with pytest.raises(TooManyPaths, match=told) as raised:
            check_estimator(estimate, [np.ones(2)], exact=np.ones(2))
        assert raised.value.__cause__.__notes__ == ["draws so far: none"]


def test_as_many_as_are_allowed_are_run():
    """Counting ahead refuses nothing that can be enumerated: 2^4 ways, and 16 paths."""
    four = lambda theta: theta * RNG.choice(2, size=4).sum()  # noqa: E731
    assert check_estimator(four, [np.ones(1)], exact=np.array([2.0]), paths=16).paths == 16
    with pytest.raises(TooManyPaths, match=r"may come out in 16 ways.*more than 15 paths"):
        check_estimator(four, [np.ones(1)], exact=np.array([2.0]), paths=15)


def test_how_long_all_would_take_is_said():
    """Where it is long: 2^40 paths, of a fiftieth of a second each."""

    def slow(theta):
        time.sleep(0.02)
        return theta * sum(RNG.integers(2) for _ in range(40))

    with pytest.raises(TooManyPaths, match=r"there are more \(all of them would take about \S+ y"):
        check_estimator(slow, [np.ones(1)], exact=np.ones(1), paths=45)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3.0, "3 s"), (119.0, "119 s"), (120.0, "2 min"), (7200.0, "2 h"), (2e5, "2 days"),
     (1e15, "3e+07 years")],
)  # fmt: skip
def test_a_time_is_said_in_its_unit(seconds, words):
    """Two of a unit at least."""
    assert duration(seconds) == words
