"""The figure of a variance shows its record, and computes nothing."""

import numpy as np
from matplotlib.figure import Figure

from gradproof.checks.evidence import Curve
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
    assert draw(axes, CURVE, own=3.0, title="mine") is axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    np.testing.assert_array_equal(lines["e, shared"].get_ydata(), CURVE.variances["e"])
    np.testing.assert_array_equal(lines["all parameters"].get_xdata(), PLACES)
    assert "φ, inference" not in lines  # all zeros have no place on a log axis
    best = lines["best constant"]
    assert (*best.get_xdata(), *best.get_ydata()) == (2.0, 1.0)
    assert set(lines["best B of each sentence"].get_ydata()) == {0.5}
    assert set(lines["yours"].get_xdata()) == {3.0}
    words = {text.get_text() for text in axes.texts}
    assert {"helps from 0 to 4, most at B* = 2", " yours, 3", "e, shared"} <= words
    assert axes.patches[0].get_extents().width > 0
    assert axes.get_yscale() == "log"
    assert axes.get_title("left") == "mine"
