"""What no mean shows is seen by the check that a row names, and not in what is right."""

import dataclasses

import pytest

from gradproof.checks.benchmark import not_by_mean as beyond
from gradproof.checks.benchmark.bugs import ROWS

from .test_bugs import cases


def another(row):
    """A bug that neither the mean shows nor an error stops."""
    return not row.right and row.sees != "mean" and row.raises is None


@pytest.mark.parametrize("row", cases(of=another))
def test_what_no_mean_shows_is_seen(row):
    """Each by the check that its row names."""
    assert beyond.is_wrong(row) is True


@pytest.mark.parametrize("row", cases(of=lambda row: row.raises is not None))
def test_nothing_more_is_asked_of_what_cannot_be_checked(row):
    """An error has been raised already."""
    assert beyond.is_wrong(row) is None


@pytest.mark.parametrize("row", cases(of=lambda row: row.right))
def test_nothing_more_is_asked_of_right_ones(row):
    """Their rows name none."""
    assert beyond.is_wrong(row) is None


RIGHT = [
    ("numpy/samples-averaged", "variance"),
    ("numpy/no-baseline", "variance"),
    ("numpy/no-baseline", "sampler"),
    ("numpy/samples-averaged", "sampler"),
    ("numpy/no-baseline", "state"),
    ("numpy/samples-averaged", "state"),
    pytest.param("torch/no-baseline", "variance", marks=pytest.mark.torch),
    pytest.param("torch/no-baseline", "sampler", marks=pytest.mark.torch),
    pytest.param("torch/no-baseline", "reach", marks=pytest.mark.torch),
    pytest.param("torch/no-baseline", "state", marks=pytest.mark.torch),
]


@pytest.mark.parametrize(("key", "sees"), RIGHT)
def test_these_checks_pass_right_estimators(monkeypatch, key, sees):
    """Held against itself, none varies more, draws otherwise, or leaves anything out or moved."""
    row = dataclasses.replace(ROWS[key], sees=sees)
    monkeypatch.setitem(beyond.PEERS, row.id, row.id)
    assert beyond.is_wrong(row) is False
