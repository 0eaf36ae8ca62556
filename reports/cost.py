"""What a gradient costs and how much it varies as the number of labels grows: figure and table."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.checks.variance.records import Scaling

from . import marked
from .style import GREY, PAGE, FigureLayout, line_style, name_lines

LAYOUT = FigureLayout(PAGE, 2.5, columns=2)

#: What a page says for each way that benchmarks/moments.py times, in the order of its table.
WAYS = {
    "total": "total variance, and a table for any baseline",
    "per parameter": "variance of each parameter, as a parabola of B",
    "in PyTorch": "total, of a model in PyTorch's own functions",
    "mixed": "total, with one parameter used in no known way",
    "general": "total, with none used in a known way",
    "loop": "a backward pass for each label",
    "Monte Carlo": "Monte Carlo, 10⁴ draws",
    "sampled": "one sampled step",
}


def fill(page: str, scaling: Scaling) -> str:
    """A page with its table of what moments cost written anew; ``answer`` is left to who writes it.

    Raises:
        ValueError: if a place is marked by another name, or has no end.
    """
    return marked.fill(page, {"moments-cost": functools.partial(table, scaling)}, ("answer",))


def table(scaling: Scaling) -> str:
    """Each way in enumerated gradients, by the number of labels.

    Raises:
        ValueError: for a way that has no name here.
    """
    columns = {
        "total": scaling.total,
        "per parameter": scaling.per_parameter,
        **scaling.others,
        "sampled": scaling.sampled,
    }
    lines = [
        f"| labels | {' | '.join(f'{classes}' for classes in scaling.classes)} |",
        f"|---|{'---:|' * len(scaling.classes)}",
    ]
    for way, seconds in sorted(columns.items(), key=lambda item: list(WAYS).index(item[0])):
        mark = " ~" if way in scaling.extrapolated else ""
        cells = [_multiple(each) for each in seconds / scaling.enumerated]
        lines.append(f"| {WAYS[way]}{mark} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _multiple(value: float) -> str:
    """To two digits, or to a hundredth where ways are to be told apart."""
    if not np.isfinite(value):
        return "-"
    if 1.0 <= value < 4.0:
        return f"{value:.2f}"
    return f"{float(f'{value:.2g}'):.10f}".rstrip("0").rstrip(".")


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
