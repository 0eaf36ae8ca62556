"""The map of ratios: each entry where it is, in one scale, centred at 1."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from gradproof.checks.variance.records import RatioMap
from gradproof.reports.ratios import NARROW, SHADES, draw, layout

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


def images(panels):
    """What is shown in each panel."""
    return [panel.get_images()[0] for panel in panels if panel.get_images()]


def test_what_is_drawn_is_the_record():
    """Entries as they are, high matrices on their side, and nothing where there is no variance."""
    panels = drawn(RATIOS)
    wide, high, small = (image.get_array() for image in images(panels))
    assert wide.mask.tolist() == [[False, False, False], [False, True, False]]
    np.testing.assert_array_equal(wide[0], [0.5, 2.0, 0.25])
    assert 0.0 < wide[1, 2] < 1e-300  # nothing is left of it: the lowest ratio, and no lack of one
    np.testing.assert_array_equal(high, RATIOS.ratios["e.high"].T)
    np.testing.assert_array_equal(small, RATIOS.ratios["w.small"])
    titles = [panel.get_title("left") for panel in panels[:3]]
    assert titles == ["w.wide, lower in 60 %", "e.high, lower in 88 %", "w.small, lower in 100 %"]
    assert not panels[3].axison


def test_one_scale_centred_at_1():
    """All maps have the same colours, and 1 the one in the middle."""
    norms = [image.norm for image in images(drawn(RATIOS))]
    assert len({(norm.vmin, norm.vmax) for norm in norms}) == 1
    # 1e-12: one logarithm and one division, of numbers near 1.
    assert norms[0](1.0) == pytest.approx(0.5, abs=1e-12)
    even = RatioMap("mine", "none", {"w": np.ones((2, 2))})
    assert images(drawn(even))[0].norm.vmax == NARROW


def test_shades_grow_lighter_throughout():
    """In grey print, darker is lower."""
    grey = [
        np.dot([int(shade[i : i + 2], 16) for i in (1, 3, 5)], (0.299, 0.587, 0.114))
        for shade in SHADES
    ]
    assert grey == sorted(grey)


def test_no_ratio_at_all_is_an_error():
    """There is no scale for nothing."""
    empty = RatioMap("mine", "expected", {"w": np.full((2, 2), np.nan)})
    with pytest.raises(ValueError, match="no entry of any matrix"):
        draw(Figure().subplots(), empty)
    assert np.isnan(empty.lowered_share("w"))
