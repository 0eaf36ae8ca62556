"""The figure of a training run: a panel for each baseline, and the accuracy."""

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from gradproof.checks.variance.records import BaselineVariance
from gradproof.reports.training import FIT_STYLES, NOT_FITTED, baselines_of, draw, layout


def named(axes):
    """The lines of an axes by their name."""
    return {line.get_label(): line for line in axes.get_lines()}


def panels(training, only=()):
    """The panels of a run, drawn."""
    size = layout(training, only)
    axes = Figure().subplots(size.rows, size.columns, squeeze=False)
    assert draw(axes, training, only=only, title="mine") is axes
    return list(axes.ravel())


def test_what_is_drawn_is_the_record(training):
    """Total variances at the steps of the stages, and the accuracy at each look."""
    network, constant, accuracy = panels(training)
    assert [panel.get_title("left") for panel in (network, constant, accuracy)] == [
        "network (MLP)", "constant", "accuracy, held out",
    ]  # fmt: skip
    for panel, row in ((network, 2), (constant, 1)):
        lines = named(panel)
        assert list(lines) == ["no baseline", "best B of each sentence", "not fitted"]
        for name, place in (("no baseline", 0), ("not fitted", row), (list(lines)[1], 3)):
            totals = [stage.rows[place].total for stage in training.stages]
            np.testing.assert_array_equal(lines[name].get_ydata(), totals)
            np.testing.assert_array_equal(lines[name].get_xdata(), [0, 20, 40])
        assert panel.get_yscale() == "log"
    assert network.get_ylim() == constant.get_ylim()
    np.testing.assert_array_equal(named(accuracy)["accuracy"].get_xdata(), training.steps)
    np.testing.assert_array_equal(named(accuracy)["accuracy"].get_ydata(), training.accuracy)
    (legend,) = network.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(named(network))


def test_baselines_can_be_chosen(training):
    """The others have no panel; one that is not there is an error with those that are."""
    assert baselines_of(training) == ["mlp", "constant"]
    assert [panel.get_title("left") for panel in panels(training, ["constant"])] == [
        "constant", "accuracy, held out",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="has no baseline 'best'; it has mlp, constant"):
        layout(training, ["best"])


def test_each_way_of_fitting_has_a_line(training):
    """No two of them look alike, nor have one panel a name twice."""
    first = training.stages[0]
    more = [
        BaselineVariance("constant", fit, {"e": 5.0 + place}, 0.4)
        for place, fit in enumerate(FIT_STYLES)
    ]
    run = dataclasses.replace(
        training, stages=(dataclasses.replace(first, rows=(*first.rows, *more)),)
    )
    (constant,) = [panel for panel in panels(run) if panel.get_title("left") == "constant"]
    lines = named(constant)
    assert {"least squares", "least variance", "running mean", "not fitted"} <= set(lines)
    assert len(lines) == len(constant.get_lines())
    styles = [*FIT_STYLES.values(), NOT_FITTED]
    for column in zip(*styles, strict=True):
        assert len(set(column)) == len(styles)


def test_one_stage_and_one_baseline(training, stage):
    """A point is drawn where there is no line yet; zero has no place on a log axis."""
    (only,) = panels(dataclasses.replace(training, stages=(stage(0, {"none": 0.0}),)))
    assert list(named(only)) == ["accuracy"]
    none = panels(dataclasses.replace(training, stages=(stage(0, scale=0.0),)))
    assert not none[0].get_lines()
