"""The figure of a comparison: a point for each estimator, at its bias and standard deviation."""

import math

import numpy as np
import pytest

from gradproof import compare_along, compare_estimators

pytest.importorskip("matplotlib")

Q = np.array([0.2, 0.3, 0.5])
COSTS = np.array([1.0, 3.0, 2.0])


def score(weight):
    """A score times a weight that is a function of the cost."""
    rng = np.random.default_rng()

    def estimate(scale):
        drawn = rng.choice(3, p=Q)
        return scale * weight(COSTS[drawn]) * (np.eye(3)[drawn] - Q)

    return estimate


ESTIMATORS = {
    "plain": score(lambda c: c),
    "half": score(lambda c: c / 2),
    "squared": score(lambda c: c**2),
}


def exact(scale):
    """Of the expected cost, times a scale."""
    return scale * Q * (COSTS - Q @ COSTS)


def test_each_estimator_is_a_point():
    """At its bias, none if it holds, and its standard deviation at equal cost."""
    found = compare_estimators(ESTIMATORS, [np.ones(3)], exact=exact)
    axes = found.plot().axes[0]
    points = [tuple(float(z[0]) for z in line.get_data()) for line in axes.get_lines()]
    wanted = [
        (math.sqrt(row.variance_at_cost), 0.0 if row.report.unbiased else row.bias)
        for row in found.rows
    ]
    assert points == wanted
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == sorted(ESTIMATORS)


def test_lines_to_names_do_not_cross():
    """Of points at one height, the further to the right the lower the name."""
    points = {name: score(lambda c, k=k: c - k) for name, k in (("a", 0.0), ("b", 1.0), ("c", 2.0))}
    found = compare_estimators(points, [np.ones(3)], exact=exact)
    assert all(row.report.unbiased for row in found.rows)
    axes = found.plot().axes[0]
    places = {text.get_text(): text.get_position()[1] for text in axes.texts}
    from_left = sorted(found.rows, key=lambda row: row.variance_at_cost)
    heights = [places[row.name] for row in from_left]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 3


def test_a_figure_along_a_path_has_two_panels():
    """Bias and deviation, a line for each estimator, through every point."""
    path = compare_along(
        ESTIMATORS, {one: (one * np.ones(3),) for one in (1.0, 2.0)}, along="scale", exact=exact
    )
    figure = path.plot(preset="column")
    bias, deviation = figure.axes
    assert [len(panel.get_lines()) for panel in (bias, deviation)] == [3, 3]
    assert bias.get_xlabel() == "scale"
    place = path.names.index("half")
    assert list(bias.get_lines()[place].get_ydata()) == [
        comparison["half"].bias for comparison in path.comparisons
    ]
    with pytest.raises(ValueError, match="axes has 1 axes, expected 2"):
        path.plot(axes=[bias])


def test_nothing_to_draw_is_said():
    """Where the gradient is zero there is no unit of length."""
    found = compare_estimators(ESTIMATORS, [np.ones(3)], exact=np.zeros(3))
    with pytest.raises(ValueError, match="there is nothing to draw"):
        found.plot()
    with pytest.raises(ValueError, match="preset = 'nature'"):
        found.plot(preset="nature")
