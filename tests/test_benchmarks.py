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
    assert "goal 1.15" in said
    record = from_json(Scaling, (tmp_path / "out" / "scaling.json").read_text(encoding="utf-8"))
    assert record.classes.tolist() == [2, 5]
    assert np.isfinite([record.enumerated, record.total, record.per_parameter]).all()
    assert (tmp_path / "out" / "cost.svg").stat().st_size > 1000


#: How far above the record a ratio may be. On a loaded machine ratios move by a third; a way that
#: forms gradients which it need not costs several times as much.
MARGIN = 3.0


def _over_the_record(moments, least):
    """The ways that cost far more than they did, and what they cost."""
    return {name: cost for name, cost in least.items() if cost > MARGIN * moments.RECORD[name]}


@pytest.fixture(name="small")
def _small_subject(moments):
    """Large enough for products of matrices to count, small enough for a second a round."""
    return moments.subject(10, 6)


def _general(moments, whole):
    return lambda: moments.moments_table(whole, path="general")


def test_no_way_costs_far_more_than_it_did(moments, small):
    """Ratios of processor time on one thread, the least of several rounds."""
    runs = moments.ways(small) | {"general": _general(moments, small)}
    with moments.one_thread():
        least = moments.ratios(runs, 5)
    assert least.keys() == moments.RECORD.keys()
    assert not _over_the_record(moments, least)


def test_a_way_that_forms_every_gradient_is_seen(moments, small):
    """The check above catches the regression that it is there for.

    Least ratios are small where something else slows down the floor in any round: of three tries
    one has rounds without that.
    """
    runs = {"enumerated": moments.ways(small)["enumerated"], "total": _general(moments, small)}
    with moments.one_thread():
        tries = [_over_the_record(moments, moments.ratios(runs, 2)).keys() for _ in range(3)]
    assert {"total"} in tries


def test_ratios_are_of_one_round(moments, monkeypatch):
    """The least ratio of a round, and not that of the least times."""
    seconds = iter([1.0, 3.0, 2.0, 5.0])
    monkeypatch.setattr(moments, "timed", lambda _: next(seconds))
    least = moments.ratios({"enumerated": list, "total": list}, 2)
    assert least == {"total": 2.5}


def test_threads_are_put_back(moments):
    """Also after an error."""
    before, seen = moments.torch.get_num_threads(), []

    def fail():
        with moments.one_thread():
            seen.append(moments.torch.get_num_threads())
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert seen == [1]
    assert moments.torch.get_num_threads() == before


def test_a_c_library_without_mallopt_is_an_error(moments, monkeypatch):
    """Page faults that could not be kept away are not passed over."""
    monkeypatch.setattr(moments.ctypes, "CDLL", lambda _: object())
    with pytest.raises(OSError, match="no mallopt in this C library"):
        moments.keep_memory()


def test_the_fast_total_is_that_of_a_rerun(moments):
    """From the table, and from entries that were run anew with the baseline: twelve digits."""
    row = moments.measure(3, 2, 1)
    assert row.baseline_error <= 1e-12  # what the benchmark promises
