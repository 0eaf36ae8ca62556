"""``gradproof benchmark``: what it prints, writes and returns."""

from click.testing import CliRunner

from gradproof.checks.benchmark.results import BenchmarkResult
from gradproof.checks.json_records import from_json
from gradproof.cli import main

FEW = ["--right-runs", "1", "--bug-runs", "1", "--jobs", "1"]


def test_some_estimators_are_scored(tmp_path):
    """A line for each method, and with --rows one for each estimator; the record is written."""
    record = tmp_path / "benchmark.json"
    only = ["--only", "numpy/batch-mean", "--only", "numpy/constant-baseline"]
    found = CliRunner().invoke(
        main, ["benchmark", *only, *FEW, "--rows", "--seed", "3", "--json", str(record)]
    )
    assert found.exit_code == 0, found.output
    assert "enumeration" in found.output
    assert "numpy/batch-mean" in found.output
    assert "1 bugs, 1 right, seed 3" in found.output
    assert from_json(BenchmarkResult, record.read_text(encoding="utf-8")).bugs == 1


def test_what_cannot_be_run_is_one_message(tmp_path):
    """Status 2, before any work is done."""
    only = ["--only", "numpy/batch-mean", "--only", "fortran"]  # a known one beside it
    found = CliRunner().invoke(main, ["benchmark", *only, *FEW])
    assert found.exit_code == 2
    assert "--only fortran names no estimator; frameworks are numpy, torch, and" in found.stderr
    missing = str(tmp_path / "none" / "benchmark.json")
    found = CliRunner().invoke(main, ["benchmark", *FEW, "--json", missing])
    assert found.exit_code == 2
    assert found.stderr.startswith("gradproof: ")
