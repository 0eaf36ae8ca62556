"""Figures of stages: dots where the record has them, and words where it has none."""

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from gradproof.checks.variance.records import BaselineVariance
from gradproof.reports import baselines, shares, stages


def dots(axes):
    """The marks of an axes, by their shape: (x, y) of each."""
    found = {}
    for line in axes.get_lines():
        if line.get_linestyle() == "None" and len(line.get_xdata()):
            found.setdefault(line.get_marker(), []).extend(
                zip(line.get_xdata(), line.get_ydata(), strict=True)
            )
    return found


def words(axes):
    """The texts in an axes."""
    return [text.get_text() for text in axes.texts]


def panels(found):
    """Axes as :func:`baselines.layout` wants them."""
    layout = baselines.layout(found)
    return Figure().subplots(1, layout.columns, sharey=True)


def test_first_middle_and_last_are_picked(stage):
    """Three marks are told apart at a glance; more stages than that are not all drawn."""
    five = [stage(step) for step in (0, 1, 2, 3, 4)]
    assert [each.step for each in stages.pick(five)] == [0, 2, 4]
    assert stages.pick(five[:2]) == tuple(five[:2])
    with pytest.raises(ValueError, match="no stages"):
        stages.pick([])


def test_marks_are_told_apart_without_colour():
    """By shape, and from light to dark."""
    assert len({shape for shape, _ in stages.MARKS}) == 3
    light = [float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114))) for _, colour in stages.MARKS]
    assert light == sorted(light, reverse=True)


def test_a_fit_is_said_where_there_are_several(stage):
    """One baseline by two fits is two rows; elsewhere the fit says nothing."""
    one = stage(0)
    again = dataclasses.replace(one.rows[1], fit="variance")
    names = stages.labels([dataclasses.replace(one, rows=(*one.rows, again))])
    assert list(names.values()) == ["none", "constant, none", "mlp", "best", "constant, variance"]


def test_variances_are_dots_by_group(stage):
    """Each panel has each baseline's variance, at each stage; all groups together come last.

    The best is on top; a group that no baseline changes has no panel, and is named.
    """
    found = (stage(0, scale=100.0), stage(5))
    assert baselines.panels(found) == ["e", "all"]
    axes = panels(found)
    assert baselines.draw(axes, found, title="mine") is axes
    shared, whole = axes
    assert [x for x, _ in dots(shared)["o"]] == [100.0 * each for each in (17, 18, 19, 20)]
    assert [x for x, _ in dots(shared)["^"]] == [17, 18, 19, 20]
    assert [x for x, _ in dots(whole)["^"]] == [row.total for row in reversed(found[1].rows)]
    assert [round(y) for _, y in dots(whole)["^"]] == [0, 1, 2, 3]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == [
        "best B of each sentence", "network (MLP)", "constant", "no baseline",
    ]  # fmt: skip
    note = axes[0].figure.get_supxlabel()
    assert note.endswith("; no baseline changes that of w or φ")
    legend = axes[0].figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["step 0", "step 5"]


def test_a_group_without_variance_says_so(stage):
    """Zero has no place on a log axis, and an empty panel would look like a mistake."""
    one = (stage(0, {"constant": 0.3}),)  # alone it is not compared with anything
    axes = panels(one)
    baselines.draw(axes, one)
    assert words(axes[2]) == ["no variance"]
    assert not dots(axes[2])
    assert words(axes[0]) == []
    assert axes[0].get_xscale() == "log"


def test_one_baseline_at_one_stage(stage):
    """The smallest record there is has a figure."""
    found = (stage(0, {"constant": 0.3}),)
    axes = panels(found)
    baselines.draw(axes, found)
    assert [x for x, _ in dots(axes[0])["o"]] == [20.0]
    axes = Figure().subplots()
    shares.draw(axes, found)
    assert dots(axes) == {"o": [(0.3, 0.0)]}


def test_shares_are_dots_with_the_best_on_top(stage):
    """Rows are in the order of the last stage; none and best are the lines they lie between."""
    found = (stage(0), stage(5, {"none": 0.0, "constant": 0.9, "mlp": -0.1, "best": 1.0}))
    axes = Figure().subplots()
    assert shares.draw(axes, found, title="mine") is axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["constant", "network (MLP)"]
    seen = dots(axes)
    assert [x for x, _ in seen["o"]] == [0.5, 0.8]
    assert [x for x, _ in seen["^"]] == [0.9, -0.1]
    assert {"no baseline", "best B of\neach sentence"} <= set(words(axes))
    low, high = axes.get_xlim()
    assert low < -0.1
    assert high > 1.0
    assert axes.get_title("left") == "mine"


def test_what_is_beyond_is_an_arrow_with_its_number(stage):
    """A baseline that does much harm must not press all others together, nor look harmless."""
    found = (stage(0, {"constant": -3.4, "mlp": 0.5, "best-per-parameter": 2.5}),)
    axes = Figure().subplots()
    shares.draw(axes, found)
    seen = dots(axes)
    assert [x for x, _ in seen["<"]] == [shares.EVEN.least]
    assert [x for x, _ in seen[">"]] == [shares.EVEN.most]
    assert {"−340 %", "250 %"} <= set(words(axes))  # noqa: RUF001 - a minus sign
    low, high = axes.get_xlim()
    assert low < shares.EVEN.least
    assert high > shares.EVEN.most


def test_shares_near_all_are_told_apart(stage):
    """Where most are above 90 %, a tenth of what is left is a step, and all of it is an arrow."""
    found = (stage(0, {"constant": 0.9, "affine": 0.99, "mlp": 0.999, "group": 1.2, "late": -9.0}),)
    axes = Figure().subplots()
    shares.draw(axes, found)
    seen = dots(axes)
    assert [x for x, _ in seen["o"]] == [0.999, 0.99, 0.9]
    assert [x for x, _ in seen[">"]] == [shares.NINES.most]
    assert [x for x, _ in seen["<"]] == [shares.NINES.least]
    assert {"120 %", "−900 %"} <= set(words(axes))  # noqa: RUF001 - a minus sign
    places = [axes.transData.transform((x, 0.0))[0] for x, _ in seen["o"]]
    # Dots: sums and logarithms of numbers of a few hundred.
    assert places[0] - places[1] == pytest.approx(places[1] - places[2], abs=1e-12)


def test_arrows_and_steps_that_are_no_equal_shares_are_said(stage):
    """In the legend and at the axis; and only where there are such."""
    found = (stage(0, {"constant": 0.9, "affine": 0.99, "mlp": 0.999, "group": 1.2, "late": -9.0}),)
    axes = Figure().subplots()
    shares.draw(axes, found)
    said = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert said == ["step 0", "below −25 %", "above 99.99 %"]  # noqa: RUF001 - a minus sign
    assert "each step leaves a tenth as much" in axes.get_xlabel()
    axes = Figure().subplots()
    shares.draw(axes, (stage(0),))
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["step 0"]
    assert axes.get_xlabel() == shares.LABEL


def test_several_runs_are_drawn_on_one_scale(stage):
    """A panel each; rows, their order and the axis are the same, and one may lack a row."""
    runs = [
        (stage(0), stage(5, {"none": 0.0, "constant": 0.9, "mlp": -0.1, "best": 1.0})),
        (stage(0), stage(9, {"none": 0.0, "constant": 0.2, "late": 0.7, "best": 1.0})),
    ]
    layout = shares.layout_runs(runs)
    axes = Figure().subplots(1, layout.columns, sharey=layout.share_y)
    assert shares.draw_runs(axes, runs, ["one", "two"]) is axes
    names = [label.get_text() for label in axes[0].get_yticklabels()]
    assert names == ["late", "constant", "network (MLP)"]  # in the mean of the last stages
    below = 0.11  # of its row, on which the other end stands
    assert dots(axes[0])["^"] == [(0.9, 1.0 + below), (-0.1, 2.0 + below)]
    assert dots(axes[1])["^"] == [(0.7, 0.0 + below), (0.2, 1.0 + below)]
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert [each.get_title("left") for each in axes] == ["one", "two"]
    (legend,) = axes[0].figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == ["beginning of training", "end"]  # their steps differ
    with pytest.raises(ValueError, match="runs with 2, 1 stages cannot be drawn side by side"):
        shares.draw_runs(axes, [runs[0], runs[1][:1]], ["one", "two"])


@pytest.mark.parametrize("scale", [shares.EVEN, shares.NINES])
def test_a_scale_can_be_undone(scale):
    """matplotlib asks for the inverse, and a wrong one would move the ends of the axis."""
    places = np.linspace(scale.least, scale.most, 50)
    # A logarithm and its inverse, of numbers near 1.
    np.testing.assert_allclose(scale.inverse(scale.forward(places)), places, rtol=0.0, atol=2e-15)


def test_a_row_without_a_share_says_so(stage):
    """NaN is not drawn as 0; it is the last row, and no other row is touched."""
    found = (stage(0, {"none": 0.0, "constant": math.nan, "mlp": 0.4, "best": math.nan}),)
    axes = Figure().subplots()
    shares.draw(axes, found)
    assert dots(axes) == {"o": [(0.4, 0.0)]}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["network (MLP)", "constant"]
    assert "nothing to remove" in words(axes)


def test_a_baseline_that_one_stage_lacks(stage):
    """A row is there for what any stage has; what is missing is not drawn."""
    first = stage(0)
    more = BaselineVariance("late", "none", {"e": 3.0}, 0.7)
    found = (first, dataclasses.replace(first, step=5, rows=(*first.rows, more)))
    axes = Figure().subplots()
    shares.draw(axes, found)
    assert len(dots(axes)["o"]) == 2
    assert len(dots(axes)["^"]) == 3
    several = panels(found)
    baselines.draw(several, found)
    assert len(dots(several[0])["o"]) == 4
    assert len(dots(several[0])["^"]) == 5
