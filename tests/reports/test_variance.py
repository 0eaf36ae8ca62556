"""The figure of a variance shows its record, and computes nothing."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from gradproof.checks.evidence import Curve
from gradproof.reports.plain_names import number
from gradproof.reports.variance import draw

PLACES = np.linspace(-1.0, 5.0, 7)
CURVE = Curve(
    baselines=PLACES,
    variances={
        "e": 1.0 + (PLACES - 2.0) ** 2,
        "phi": np.zeros(7),
        "all": 1.0 + (PLACES - 2.0) ** 2,
    },
    best=2.0,
    least=1.0,
    none=5.0,
    per_sentence=0.5,
)


def test_what_is_drawn_is_the_record():
    """Curves as they are, the best marked, the floor and the interval where they are said to be."""
    axes = Figure().subplots()
    assert draw(axes, CURVE, own=(3.0, 2.5), title="mine") is axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    np.testing.assert_array_equal(lines["e, shared"].get_ydata(), CURVE.variances["e"])
    np.testing.assert_array_equal(lines["all parameters"].get_xdata(), PLACES)
    assert "φ, inference" not in lines  # all zeros have no place on a log axis
    best = lines["best constant"]
    assert (*best.get_xdata(), *best.get_ydata()) == (2.0, 1.0)
    assert set(lines["best B of each sentence"].get_ydata()) == {0.5}
    yours = lines["yours"]
    assert (*yours.get_xdata(), *yours.get_ydata()) == (3.0, 2.5)  # and not on the curve
    words = {text.get_text() for text in axes.texts}
    assert {"helps from 0 to 4, most at B* = 2", "e, shared"} <= words
    assert axes.get_title("right") == "yours: B = 3, variance 2.5"  # where no line is
    assert axes.patches[0].get_extents().width > 0
    assert axes.get_yscale() == "log"
    assert axes.get_title("left") == "mine"


@pytest.mark.parametrize("own", [(1e7, 3e14), (-300.0, 1e5), (1.0, 1e9), (2.0, 1e-9), (2.0, 0.0)])
def test_what_is_off_the_panel_is_an_arrow_at_its_edge(own):
    """With its numbers; the panel stays as it is without it."""
    figure = Figure()
    plain, marked = figure.subplots(2)
    draw(plain, CURVE)
    draw(marked, CURVE, own=own)
    assert marked.get_xlim() == plain.get_xlim()
    assert marked.get_ylim() == plain.get_ylim()
    (mark,) = [text for text in marked.texts if text.get_label() == "yours"]
    said = f"yours: B = {number(own[0])}, variance {number(own[1])}, beyond the panel"
    assert marked.get_title("right") == said
    assert mark.arrow_patch is not None
    assert {0.0, 1.0} & {*mark.xy}
    figure.savefig(io.BytesIO())
