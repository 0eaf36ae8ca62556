"""Enumeration by other people's libraries, as benchmarks/peers.py has it beside a check."""

import importlib
import sys
from pathlib import Path

import pytest

NEEDS = ("funsor", "numpyro", "pyro", "storch")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.libraries


@pytest.fixture(name="peers")
def _peers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("peers")
    sys.modules.pop("peers")


@pytest.mark.parametrize("maker", ["by_pyro", "by_numpyro", "by_storchastic"])
@pytest.mark.parametrize("draws", [1, 2, 3])
def test_their_gradient_is_the_exact_one(peers, maker, draws):
    """None of them is left out, and each finds the same: to the roundings of a thousand paths."""
    (way,) = (way for way in peers.WAYS if way.make.__name__ == maker)
    assert not peers.missing(way)
    subject = peers.make_subject(draws)
    assert peers.compare(way.name, way.make(subject)(), subject) < 1e-12  # some thousand roundings
