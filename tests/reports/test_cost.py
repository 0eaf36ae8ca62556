"""The figure of cost against K, and the page's table: what was measured."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from gradproof.checks.json_records import from_json
from gradproof.checks.variance.records import Scaling
from gradproof.reports.cost import draw, fill, table

ROOT = Path(__file__).resolve().parents[2]

SCALING = Scaling(
    model="seqdgm",
    machine="two cores",
    sentences=32,
    parameters=400_000,
    classes=np.array([10, 50, 200]),
    enumerated=np.array([0.1, 0.5, 2.0]),
    total=np.array([0.11, 0.55, 2.2]),
    per_parameter=np.array([0.14, 0.7, np.nan]),
    sampled=np.full(3, np.nan),
    variances={"none": np.array([5.0, 6.0, 7.0]), "best": np.array([0.0, 2.0, 3.0])},
    others={"general": np.full(3, 0.6)},
    extrapolated=("general",),
)


def named(axes):
    """The lines of an axes by their name."""
    return {line.get_label(): line for line in axes.get_lines()}


def test_what_is_drawn_is_the_record():
    """Seconds on the left, variances on the right, against K; NaN and zero are left out."""
    axes = Figure().subplots(1, 2)
    assert draw(axes, SCALING) is axes
    seconds, variances = map(named, axes)
    np.testing.assert_array_equal(seconds["enumerated gradient"].get_ydata(), SCALING.enumerated)
    np.testing.assert_array_equal(seconds["total variance"].get_xdata(), SCALING.classes)
    np.testing.assert_array_equal(seconds["per-parameter variance"].get_ydata(), [0.14, 0.7])
    assert "sampled step" not in seconds
    np.testing.assert_array_equal(variances["none"].get_ydata(), [5.0, 6.0, 7.0])
    np.testing.assert_array_equal(variances["best"].get_xdata(), [50, 200])
    assert axes[0].get_ylabel() == "seconds for 32 sentences"
    assert "two cores" in axes[0].figure.get_suptitle()


@pytest.mark.parametrize("panel", [0, 1])
def test_axes_are_logarithmic_with_the_numbers_of_labels(panel):
    """A cost that is linear in K is a straight line, and each K that was measured is named."""
    axes = draw(Figure().subplots(1, 2), SCALING)[panel]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "50", "200"]


def test_no_number_was_typed():
    """The table of the page is what the record gives."""
    written = (ROOT / "docs" / "records" / "scaling.json").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "note.md").read_text(encoding="utf-8")
    filled = fill(page, from_json(Scaling, written))
    assert filled == page, "it is stale; run `python benchmarks/answer.py`"
    assert "<!-- moments-cost -->" in page


def test_the_table_is_in_enumerated_gradients():
    """Two digits, and hundredths near 1; what is extrapolated is marked, what is missing a dash."""
    assert table(SCALING).splitlines() == [
        "| labels | 10 | 50 | 200 |",
        "|---|---:|---:|---:|",
        "| total variance, and a table for any baseline | 1.10 | 1.10 | 1.10 |",
        "| variance of each parameter, as a parabola of B | 1.40 | 1.40 | - |",
        "| total, with none used in a known way ~ | 6 | 1.20 | 0.3 |",
        "| one sampled step | - | - | - |",
    ]


def test_a_way_without_a_name_is_an_error():
    """A new one must get words for the page."""
    other = dataclasses.replace(SCALING, others={"theirs": np.ones(3)})
    with pytest.raises(ValueError, match="'theirs' is not in list"):
        table(other)
