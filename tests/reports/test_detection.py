"""The benchmark's pages: they say what the record says, and the record is of today's catalogue."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from gradproof.checks.benchmark.bugs import ROWS
from gradproof.checks.benchmark.detection import METHODS
from gradproof.checks.benchmark.results import (
    Answer,
    BenchmarkResult,
    Method,
    RowResult,
)
from gradproof.checks.json_records import from_json
from gradproof.reports import detection as report
from gradproof.reports import detection_figure as figure

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "benchmark.json").read_text(encoding="utf-8")
RECORD = from_json(BenchmarkResult, TEXT)

SMALL = BenchmarkResult(
    methods=(Method("ours", "exactly", True), Method("theirs", "roughly", False)),
    rows=(
        RowResult("numpy/a", True, "A.", "a paper", "mean", 0.0,
               {"ours": Answer(0.0, 1, 9.0, 0.1), "theirs": Answer(0.25, 4, 100.0, 100.0)}),
        RowResult("numpy/b", False, "B.", "a library", "mean", 0.5,
               {"ours": Answer(1.0, 1, 9.0, 0.1), "theirs": Answer(0.5, 4, 100.0, 8000.0)}),
        RowResult("torch/b", False, "B.", "a library", "variance", 0.0,
               {"ours": Answer(0.0, 1, 9.0, 0.1), "theirs": None}),
    ),
    seed="1",
)  # fmt: skip


def test_no_number_was_typed():
    """Each marked place is what the record gives."""
    page = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
    assert report.fill(page, RECORD) == page, "it is stale; run `python benchmarks/detection.py`"
    assert "<!-- benchmark -->" in page


def test_the_record_is_of_todays_catalogue_and_ways():
    """A row that was added or changed is run anew."""
    known = {row.key: (row.right, row.statement, row.source, row.sees) for row in ROWS.values()}
    found = {row.key: (row.right, row.statement, row.source, row.sees) for row in RECORD.rows}
    assert found == known, (
        "run `gradproof benchmark --json docs/benchmark.json` as docs/benchmark.md says"
    )
    assert RECORD.methods == tuple(METHODS)


def test_the_record_holds_what_is_claimed_of_it():
    """Every bug of the mean, at least forty; no false alarm in ten thousand runs."""
    assert RECORD.as_claimed
    of_mean = {r.key.split("/")[1] for r in RECORD.rows if not r.right and r.sees == "mean"}
    assert len(of_mean) >= 40
    assert RECORD.runs("sequential") >= 10_000
    assert RECORD.false_alarms("sequential") == 0.0


def test_totals_are_averages_over_runs():
    """Where a way does not apply it has not missed anything."""
    lines = report.summary(SMALL).splitlines()
    assert lines[2] == "| ours | 1 of 2 | 1 | 0 | 0 of 1 | 0 s | exactly |"
    assert lines[3] == "| theirs | 0.5 of 2 | 0.5 | 1 | 0.2 of 1 | 2.2 h | roughly |"
    assert "1 bugs and 1 right estimators" in report.counts(SMALL)


def test_rows_and_sources_are_all_there():
    """Each estimator, and each kind once."""
    matrix = report.matrix(SMALL).splitlines()
    assert matrix[2:] == [
        "| numpy/a | right | 0 | 0% | 25% |",
        "| numpy/b | wrong | 50.0% | 100% | 50% |",
        "| torch/b | wrong (variance) | 0 | 0% | - |",
    ]
    assert report.sources(SMALL).splitlines()[2:] == [
        "| a | A. | a paper |",
        "| b | B. | a library |",
    ]


def test_tables_for_a_terminal_have_the_same_rows():
    """One for methods, one for estimators."""
    assert report.summary_table(SMALL).row_count == 2
    assert report.row_table(SMALL).row_count == 3


# ------------------------------------------------------------------ the figure


def bars(result):
    """The labels and the lengths of the bars, by panel."""
    panels = Figure().subplots(1, 2)
    figure.draw(panels, result)
    return [
        [
            (label.get_text(), bar.get_width())
            for label, bar in zip(panel.texts, panel.patches, strict=True)
        ]
        for panel in panels
    ]


def test_the_figure_shows_the_record(monkeypatch):
    """Ours together, the others each; a method is judged on the estimators it applies to."""
    monkeypatch.setitem(figure.NAMES, "theirs", "roughly")
    caught, alarms = bars(SMALL)
    assert caught == [("1 of 2", 50.0), ("0 of 2", 25.0)]
    assert alarms == [("0 of 1", 0.0), ("0 of 1", 25.0)]


def test_a_method_without_a_name_is_an_error():
    """A new method must get words for the figure, and is not drawn under its id."""
    with pytest.raises(KeyError, match="theirs"):
        bars(SMALL)


def test_the_figure_on_file_is_of_the_record():
    """Every label of it stands in the SVG, whose text is text."""
    drawn = (ROOT / "docs" / "detection.svg").read_text(encoding="utf-8")
    labels = [label for panel in bars(RECORD) for label, _ in panel]
    assert len(labels) == 8
    assert [label for label in labels if f">{label}<" not in drawn] == []
