"""What a gradient costs and how much it varies as the number of labels grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.checks.variance.records import Scaling

from .style import GREY, PAGE, FigureLayout, line_style, name_lines

LAYOUT = FigureLayout(PAGE, 2.5, columns=2)


def draw(axes: Sequence[Any], scaling: Scaling, *, title: str = "") -> Sequence[Any]:
    """Draw seconds, and beside them variances, against K.

    Args:
        axes: two, of matplotlib; returned.
    """
    seconds = {
        "per-parameter variance": scaling.per_parameter,
        "total variance": scaling.total,
        "enumerated gradient": scaling.enumerated,
        "sampled step": scaling.sampled,
    }
    time, variance = axes
    _lines(time, scaling.classes, seconds)
    time.set_ylabel(f"seconds for {scaling.sentences:,} sentences")
    _lines(variance, scaling.classes, scaling.variances)
    variance.set_ylabel("variance of the gradient, summed")
    note = f"{scaling.model}, {scaling.parameters:,} parameters; {scaling.machine}"
    time.figure.suptitle(
        f"{title}\n{note}" if title else note, x=0.01, ha="left", fontsize=6.0, color=GREY
    )
    return axes


def _lines(axes: Any, classes: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("labels K")
    axes.set_xticks(classes, [f"{each:,}" for each in classes], minor=False)
    axes.set_xticks([], minor=True)
    ends = []
    for place, (name, of) in enumerate(values.items()):
        there = np.isfinite(of) & (of > 0.0)  # NaN was not measured, and 0 has no place on log axes
        if there.any():
            style = line_style(place)
            axes.plot(classes[there], of[there], label=name, **style)
            ends.append((name, classes[there][-1], of[there][-1], style["color"]))
    name_lines(axes, ends)
