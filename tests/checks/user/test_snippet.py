"""Lines that repeat a check come to the same verdict; what cannot be written down is said to be."""

import contextlib
import io
import runpy

import numpy as np
import pytest

from gradproof import check_estimator, check_invariances
from gradproof.checks.user.snippet import ADVICE, UNKNOWN, lines

MINE = """
import numpy as np

rng = np.random.default_rng()
q = np.array([0.5, 0.25, 0.25])
c = np.array([1.0, 2.0, 4.0])
exact = q * (c - q @ c)

def right(theta): return score(rng.choice(3, p=q))
def score(k): return c[k] * (np.eye(3)[k] - q)
def doubled(theta): return 2.0 * right(theta)
def make(baseline=lambda b: b): return lambda theta: (1.0 - 0.0 * baseline(1.0)) * right(theta)
"""


def printed(code):
    """What lines of Python print."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "snippet", "exec"), {})
    return said.getvalue().rstrip("\n")


@pytest.fixture
def mine(tmp_path):
    """The names of a file."""
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return runpy.run_path(str(path))


@pytest.mark.parametrize("name", ["right", "doubled"])
def test_a_report_has_lines_that_repeat_it(mine, name):
    """Run by themselves, they say the same."""
    report = check_estimator(mine[name], [np.zeros(3)], exact=mine["exact"], paths=50)
    assert "paths=50" in report.snippet
    assert "draws=" not in report.snippet
    assert printed(report.snippet) == report.explain()


def test_invariances_have_them_too(mine):
    """With the name of the check."""
    report = check_invariances(mine["make"], [np.zeros(3)])
    assert "from gradproof import check_invariances" in report.snippet
    assert printed(report.snippet) == report.explain()


def test_progress_is_no_part_of_a_check(mine):
    """It changes no verdict."""
    report = check_estimator(
        mine["right"], [np.zeros(3)], exact=mine["exact"], progress=lambda *_: None
    )
    assert "progress=" not in report.snippet
    assert UNKNOWN not in report.snippet


def test_what_cannot_be_written_down_is_said_to_be():
    """A function within a function has a name, and no place where it could be found."""

    def estimate(_):
        return np.ones(2)

    report = check_estimator(estimate, [object()], exact=np.ones(2))
    assert report.snippet.startswith(ADVICE)
    assert "check_estimator(estimate, [...], exact=np.array([1.0, 1.0], 'float64'))" in (
        report.snippet
    )


def test_names_of_a_notebook_stand_for_themselves():
    """There is no file; what a notebook keeps of its outputs is not taken for a name."""

    def f(x):
        return x

    weight = np.arange(100.0)
    names = {"_": f, "_3": weight, "f": f, "weight": weight}
    assert lines("", names, f, [weight, ()], {}) == (
        "from gradproof import check_estimator\nprint(check_estimator(f, [weight, ()]).explain())"
    )


def test_what_is_large_is_not_written_out():
    """Neither a long list, nor a long text, nor what holds itself: a check must not wait for it."""
    ring = []
    ring.append(ring)
    deep = [[[0.5] * 20] * 20] * 20
    for value in ([0.5] * 100_000, "a" * 1_000, ring, deep, {"a": deep}):
        said = lines("", {}, lambda x: x, [value], {})
        assert said.startswith(ADVICE)
        assert len(said) < 5_000  # 256 values at most, each of a few letters


def test_the_seed_of_samples_is_in_the_report():
    """Where one was given; an enumerated verdict has none."""
    rng = np.random.default_rng()

    def noisy(theta):
        return theta + rng.uniform(1.0, 3.0, 3)

    given = {"exact": np.full(3, 2.0), "draws": 20_000}
    assert check_estimator(noisy, [np.zeros(3)], seed=7, **given).seed == 7
    assert check_estimator(noisy, [np.zeros(3)], **given).seed is None
    assert check_estimator(lambda x: x, [np.ones(3)], exact=np.ones(3), seed=7).seed is None
