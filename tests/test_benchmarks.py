"""The benchmark runs, and writes a record that the figure is drawn from."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from gradproof.checks.json_records import from_json
from gradproof.checks.variance.records import Scaling

pytestmark = pytest.mark.torch

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "moments.py"


@pytest.fixture(name="moments")
def _benchmark_module(monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_moments", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look for its names
    spec.loader.exec_module(module)
    return module


def test_a_small_run_writes_the_record_and_the_figure(moments, monkeypatch, tmp_path, capsys):
    """Two sizes, one round: every way has a time, and the fast baseline is that of a rerun."""
    monkeypatch.setattr(moments, "SIZES", {2: 3, 5: 2})
    monkeypatch.setattr(moments, "peak", lambda *_: 1.0)
    monkeypatch.setattr("sys.argv", ["moments.py", str(tmp_path / "out"), "--rounds", "1"])
    moments.main()
    said = capsys.readouterr().out
    assert "per parameter" in said
    assert "goal 1.25" in said
    record = from_json(Scaling, (tmp_path / "out" / "scaling.json").read_text(encoding="utf-8"))
    assert record.classes.tolist() == [2, 5]
    assert np.isfinite([record.enumerated, record.total, record.per_parameter]).all()
    assert (tmp_path / "out" / "cost.svg").stat().st_size > 1000


def test_the_fast_total_is_that_of_a_rerun(moments):
    """From the table, and from entries that were run anew with the baseline: twelve digits."""
    row = moments.measure(3, 2, 1)
    assert row.baseline_error <= 1e-12  # what the benchmark promises
