"""The table of estimators: a small run writes it, a partial record goes on, and it is shown."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gradproof.checks.json_records import from_json, to_json
from gradproof.checks.variance.records import EstimatorTable
from gradproof.cli import main
from gradproof.reports import answer, estimator_table

pytestmark = pytest.mark.torch

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "estimator_table.py"


@pytest.fixture(name="benchmark_module")
def _benchmark_module(monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_estimator_table", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    # Models and batches so small that a step takes milliseconds.
    sizes = {"width": 2, "hidden": 2, "latent": 2, "batch": 2, "labelled_batch": 2}
    sizes |= {"labelled": 20, "held_out": 20}
    monkeypatch.setattr(module, "OPTIONS", {"model": "seqdgm", "weights": "c"} | sizes)
    return module


@pytest.fixture(name="run")
def _run(benchmark_module, monkeypatch, tmp_path, capsys):
    """Runs the benchmark with these arguments; the record, and what was said."""
    path = tmp_path / "table.json"

    def run(*arguments):
        few = ["--data", "names-8", "--seeds", "1", "--sentences", "1", "--jobs", "1"]
        given = ["benchmark", "--record", str(path), *few, *arguments]
        monkeypatch.setattr("sys.argv", given)
        benchmark_module.main()
        text = path.read_text(encoding="utf-8")
        return from_json(EstimatorTable, text), capsys.readouterr().out

    run.path = path
    return run


def test_a_small_run_writes_every_row_and_goes_on(benchmark_module, run):
    """Five steps each; run again it has nothing to do, and what is missing it makes."""
    table, said = run("--steps", "5")
    assert "0 runs are there, 7 to go" in said
    assert "7/7" in said
    assert "minutes to go" in said
    assert len(table.runs) == len(benchmark_module.ROWS)
    for one in table.runs:
        assert one.steps.tolist() == [0, 1, 2, 5]
        assert [stage.step for stage in one.stages] == [0, 3, 5]
        assert np.isfinite(one.seconds).all()
        assert one.classes == 8
        for stage in one.stages:
            assert stage.signal > 0.0
            assert (stage.variance > 0.0) == (one.estimator != "enumeration")
            biased = one.estimator in ("s1-normalised", "s2")
            assert biased or stage.cosine == pytest.approx(1.0)  # of some roundings
    again, said = run("--steps", "5")
    assert "7 runs are there, 0 to go" in said
    assert to_json(again) == to_json(table)
    partial = EstimatorTable(**vars(table) | {"runs": (*table.runs[:2], *table.runs[3:])})
    run.path.write_text(to_json(partial), encoding="utf-8")
    whole, said = run("--steps", "5")
    assert "6 runs are there, 1 to go" in said
    assert [benchmark_module.key_of(one) for one in whole.runs] == [
        benchmark_module.key_of(one) for one in table.runs
    ]
    assert whole.runs[2].accuracy.tolist() == table.runs[2].accuracy.tolist()


def test_a_record_of_other_options_is_not_gone_on_with(run, capsys):
    """The option is named, with both values."""
    run("--steps", "1")
    with pytest.raises(SystemExit):
        run("--steps", "2")
    assert "has most_steps = 1, and this run 2" in capsys.readouterr().err


def test_the_budget_of_seconds_ends_a_run(run):
    """No step is begun after it."""
    table, _ = run("--seconds", "0.02")
    for one in table.runs:
        assert one.seconds[-1] >= 0.02
        assert len(one.stages) >= 2


def test_the_page_and_the_figure_are_written_from_the_record(run, tmp_path):
    """A row for each estimator, numbers of the record, and a line for each run."""
    table, _ = run("--steps", "2")
    page = "".join(f"<!-- {name} -->\n\n<!-- /{name} -->\n" for name in answer.OF_TABLE)
    written = answer.fill(page, {}, table)
    for name in estimator_table.NAMES.values():
        assert f"| {name} | " in written
    assert "accuracy after 2 steps" in written
    assert "names-8, K = 8" in written
    assert "against" in written
    assert answer.fill(page, {}) == page
    file = tmp_path / "estimators.svg"
    drawn = CliRunner().invoke(main, ["plot", "estimators", str(run.path), str(file)])
    assert drawn.exit_code == 0, drawn.output
    assert "names-8 (K = 8)" in drawn.output
    svg = file.read_text(encoding="utf-8")
    assert "enumeration" in svg
    other = CliRunner().invoke(main, ["plot", "cost", str(run.path), str(file)])
    assert other.exit_code == 2
