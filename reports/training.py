"""The variance with each baseline through training, and the accuracy below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradproof.checks.variance.records import Training

from .stages import BEST, NONE, by_key, labels
from .style import BLACK, PAGE, FigureLayout, line_style, name_lines

LAYOUT = FigureLayout(0.75 * PAGE, 3.8, rows=2, heights=(3.0, 1.0), share_x=True)


def draw(axes: Sequence[Any], training: Training, *, title: str = "") -> Sequence[Any]:
    """Draw the total variance with each baseline against the step, and the accuracy.

    Args:
        axes: two, of matplotlib, the second below the first; returned.
    """
    variance, accuracy = axes
    accuracy.plot(training.steps, training.accuracy, color=BLACK, label="accuracy")
    accuracy.set_ylim(0.0, 1.0)
    accuracy.set_ylabel("accuracy,\nheld out")
    accuracy.set_xlabel("training step")
    ends = _variances(variance, training)
    variance.set_ylabel("variance of the gradient, summed")
    variance.set_title(title, loc="left")
    name_lines(variance, ends)
    variance.figure.align_ylabels([variance, accuracy])
    return axes


def _variances(axes: Any, training: Training) -> list[tuple[str, float, float, str]]:
    ends: list[tuple[str, float, float, str]] = []
    for place, (key, name) in enumerate(labels(training.stages).items()):
        points = [
            (stage.step, found[key].total)
            for stage in training.stages
            for found in (by_key(stage),)
            if key in found and found[key].total > 0.0  # 0 has no place on a log axis
        ]
        if points:
            # What all others are measured between is to be seen first.
            style = line_style(place) | {"lw": 1.8 if key[0] in (NONE, BEST) else 0.8}
            axes.plot(*zip(*points, strict=True), label=name, **style)
            ends.append((name, *points[-1], style["color"]))
    axes.set_yscale("log")
    return ends
