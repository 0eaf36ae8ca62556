"""What enumeration costs: the page and the figure say what the record says."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from gradproof.checks.json_records import from_json
from gradproof.checks.variance.records import EnumerationCost, WayCost
from gradproof.reports import enumeration_cost as report

ROOT = Path(__file__).resolve().parents[2]
RECORD = from_json(
    EnumerationCost, (ROOT / "docs" / "records" / "enumeration.json").read_text(encoding="utf-8")
)


def way(name, seconds, *, as_it_is=True, error=1e-16):
    """Measured at a hundred paths, ten thousand, and so on."""
    paths = 100 ** np.arange(1, 1 + len(seconds))
    return WayCost(name, "mean", as_it_is, paths, np.array(seconds), np.full(len(seconds), error))


SMALL = EnumerationCost(
    subject="two draws",
    machine="one core",
    ways=(
        way("bare loop", [0.02, 2.0, 200.0], error=np.nan),
        way("gradproof, path by path", [0.04, 4.0]),
        way("gradproof, blocks", [0.03, 0.08, 4.0]),
        way("theirs", [0.001, 0.004, 0.02], as_it_is=False),
        way("sampled", [2.0, 2.0, 2.0], error=0.25),
    ),
    left_out=(),
)


def test_no_number_was_typed():
    """The page's table is what the record gives."""
    page = (ROOT / "docs" / "how-to" / "many-paths.md").read_text(encoding="utf-8")
    assert report.fill(page, RECORD) == page, "it is stale; run `python benchmarks/answer.py`"
    assert "<!-- enumeration-cost -->" in page


def test_the_figure_on_file_is_of_the_record():
    """Each way is named in the SVG, whose text is text."""
    drawn = (ROOT / "docs" / "enumeration.svg").read_text(encoding="utf-8")
    names = [
        line for way in RECORD.ways for line in way.name.replace(", path", ",\npath").split("\n")
    ]
    assert len(names) >= 8
    assert [name for name in names if f">{name}<" not in drawn] == []


def test_the_record_has_every_way_and_holds_what_is_claimed_of_it():
    """Others' tools are among them; blocks are five times faster than the bare loop, or more."""
    names = " ".join(way.name for way in RECORD.ways)
    assert not RECORD.left_out
    for tool in ("bare", "vmap", "Pyro", "NumPyro", "Storchastic", "Monte Carlo"):
        assert tool in names
    (blocks,) = (way for way in RECORD.ways if way.name == "gradproof, blocks")
    assert RECORD.ratios(blocks)[blocks.paths >= report.PATHS].max() < 1 / 5
    exact = [way for way in RECORD.ways[1:] if not way.name.startswith("Monte Carlo")]
    assert len(exact) >= 6
    assert max(way.error.max() for way in exact) < 1e-9  # a million roundings are 1e-10


def test_the_table_is_of_ten_thousand_paths():
    """Time of a path, and its ratio to the bare loop; nothing was compared of the latter."""
    assert report.table(SMALL).splitlines()[2:] == [
        "| bare loop | mean | yes | - | 200 µs | 1.0 |",
        "| gradproof, path by path | mean | yes | 1e-16 | 400 µs | 2.0 |",
        "| gradproof, blocks | mean | yes | 1e-16 | 8 µs | 0.04 |",
        "| theirs | mean | no, rewritten | 1e-16 | 0.4 µs | 0.002 |",
        "| sampled | mean | yes | 25% | 200 µs | 1.0 |",
    ]


def test_a_way_that_the_table_cannot_show_is_an_error():
    """It is not left out without a word."""
    few = dataclasses.replace(SMALL, ways=(*SMALL.ways[:4], way("sampled", [2.0])))
    with pytest.raises(ValueError, match="sampled was not measured at 10000 paths"):
        report.table(few)


def test_ours_and_the_bare_code_are_lines_and_the_others_points():
    """Each at what was measured, on logarithmic axes, and named beside its end."""
    axes = report.draw(Figure().subplots(), SMALL)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == [way.name for way in SMALL.ways]
    for way in SMALL.ways:
        np.testing.assert_array_equal(lines[way.name].get_xdata(), way.paths)
        np.testing.assert_array_equal(lines[way.name].get_ydata(), way.seconds)
    styles = [line.get_linestyle() for line in lines.values()]
    assert styles == ["-", "--", "-", "None", "None"]
    looks = {(line.get_color(), line.get_marker()) for line in lines.values()}
    assert len(looks) == len(SMALL.ways)
    named = [text.get_text().replace("\n", " ") for text in axes.texts]
    assert sorted(named) == sorted(way.name for way in SMALL.ways)
    assert "two draws" in axes.figure.get_suptitle()
