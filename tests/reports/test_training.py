"""The figure of a training run: lines through its stages, accuracy below."""

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from gradproof.reports.training import draw


def named(axes):
    """The lines of an axes by their name."""
    return {line.get_label(): line for line in axes.get_lines()}


def test_what_is_drawn_is_the_record(training):
    """Total variances at the steps of the stages, and the accuracy at each look."""
    axes = Figure().subplots(2, 1, sharex=True)
    assert draw(axes, training, title="mine") is axes
    variance, accuracy = axes
    lines = named(variance)
    assert list(lines) == ["none", "constant", "mlp", "best"]
    np.testing.assert_array_equal(lines["mlp"].get_xdata(), [0, 20, 40])
    totals = [stage.rows[2].total for stage in training.stages]
    np.testing.assert_array_equal(lines["mlp"].get_ydata(), totals)
    np.testing.assert_array_equal(named(accuracy)["accuracy"].get_xdata(), training.steps)
    np.testing.assert_array_equal(named(accuracy)["accuracy"].get_ydata(), training.accuracy)
    assert variance.get_yscale() == "log"
    assert {text.get_text() for text in variance.texts} == set(lines)


def test_one_stage_and_one_baseline(training, stage):
    """A point is drawn where there is no line yet; zero has no place on a log axis."""
    axes = Figure().subplots(2, 1)
    draw(axes, dataclasses.replace(training, stages=(stage(0, {"none": 0.0}),)))
    assert named(axes[0])["none"].get_xdata()[0] == 0
    axes = Figure().subplots(2, 1)
    draw(axes, dataclasses.replace(training, stages=(stage(0, scale=0.0),)))
    assert not axes[0].get_lines()
