"""Histograms of ratios: each entry once, on one axis, told apart at 1."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gradproof.checks.variance.ratios import KINDS
from gradproof.checks.variance.records import RatioMap
from gradproof.reports.ratios import KIND_NAMES, draw, layout
from gradproof.reports.style import BLUE, ORANGE

RATIOS = RatioMap(
    "mine",
    "expected",
    {
        "w.wide": np.array([[0.5, 2.0, 0.25], [1.0, np.nan, 0.0]]),
        "e.high": np.arange(1.0, 9.0).reshape(4, 2) / 8.0,
        "w.small": np.full((2, 2), 0.9),
    },
)


def drawn(ratios):
    """The panels after drawing."""
    size = layout(ratios)
    axes = Figure().subplots(size.rows, size.columns, squeeze=False)
    assert draw(axes, ratios) is axes
    return list(axes.ravel())


def test_what_is_drawn_is_the_record():
    """Every entry with a variance is in a bar; those without are counted in the title."""
    panels = drawn(RATIOS)
    for panel, values in zip(panels, RATIOS.ratios.values(), strict=False):
        heights = [bar.get_height() for bar in panel.patches]
        assert sum(heights) == pytest.approx(100.0, abs=1e-11)  # roundings of a sum of 100
        lower = [bar.get_height() for bar in panel.patches if bar.get_facecolor()[2] > 0.5]
        varying = values[np.isfinite(values)]
        wanted = 100.0 * np.mean(varying < 1.0)
        assert sum(lower) == pytest.approx(wanted, abs=1e-11)  # the same
    titles = [panel.get_title("left") for panel in panels[:3]]
    assert titles == [
        "w.wide: lower in 60 % of 5 (1 do not vary)",
        "e.high: lower in 88 % of 8",
        "w.small: lower in 100 % of 4",
    ]
    assert not panels[3].axison


def test_one_axis_with_an_edge_at_1():
    """No bar has entries of both sides, and all panels have one scale."""
    panels = drawn(RATIOS)[:3]
    assert len({panel.get_xlim() for panel in panels}) == 1
    for bar in panels[0].patches:
        left, right = bar.get_x(), bar.get_x() + bar.get_width()
        colour = to_hex(bar.get_facecolor()).upper()
        if colour == BLUE:
            assert right <= 1.0 + 1e-12  # of one power
        else:
            assert colour == ORANGE
            assert left >= 1.0 - 1e-12  # the same


def test_ratios_of_1_have_an_axis():
    """Where nothing changes there is a factor of some tenth on either side."""
    (panel, *_) = drawn(RatioMap("mine", "none", {"w": np.ones((2, 2))}))
    low, high = panel.get_xlim()
    assert low < 0.95 < 1.05 < high
    panel.figure.savefig(io.BytesIO())


@pytest.mark.parametrize("least", [0.5, 0.05, 1e-3, 1e-9])
def test_numbers_of_an_axis_are_written_in_one_way(least):
    """Powers of ten as powers, but for those that are as short as numbers."""
    (panel, *_) = drawn(RatioMap("mine", "none", {"w": np.geomspace(least, 1.0 / least, 20)[None]}))
    texts = [label.get_text() for label in panel.get_xticklabels()]
    assert "1" in texts
    assert 3 <= len(texts) <= 8
    assert not [text for text in texts if "e" in text]


def test_each_kind_has_a_name():
    """A title has no name of the code's."""
    assert set(KIND_NAMES) == set(KINDS)


def test_no_ratio_at_all_is_an_error():
    """There is no scale for nothing."""
    empty = RatioMap("mine", "expected", {"w": np.full((2, 2), np.nan)})
    with pytest.raises(ValueError, match="no entry of any matrix"):
        draw(Figure().subplots(), empty)
    assert np.isnan(empty.lowered_share("w"))
    half = RatioMap("mine", "expected", {**empty.ratios, "v": np.ones((1, 1))})
    assert [text.get_text() for text in drawn(half)[0].texts] == ["no variance"]
