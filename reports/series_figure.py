"""Series of numbers as a figure: points with names beside them, or lines with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradproof.checks.section import Panel

from .paper_sizes import paper
from .style import GREY, line_style, name_lines

#: Inches of a panel, where no paper sets them, and the height in a narrow column.
WIDTH, HEIGHT, NARROW = 4.6, 3.0, 2.2

#: Inches more where there is a legend below.
LEGEND = 0.8

#: An axis is logarithmic where values differ by more.
DECADES = 30.0


def plot(panels: Sequence[Panel], *, axes: Any = None, preset: str | None = None) -> Any:
    """The figure; see :meth:`gradproof.checks.report.TableReport.plot`.

    Raises:
        ValueError: for a preset that there is not, axes that do not fit, or nothing to draw.
        ModuleNotFoundError: without matplotlib, or tueplots for a conference's preset.
    """
    size = paper(preset)  # first: it says what is not installed
    from matplotlib import pyplot, rc_context

    if not any(panel.series for panel in panels):
        raise ValueError(
            "there is nothing to draw: no estimator has a bias in units of the gradient's length"
        )
    with rc_context(size.rc):
        if axes is None:
            width = size.width or WIDTH * (1.0 + 0.5 * (len(panels) - 1))
            legend = 0.0 if _is_of_points(panels[0]) else LEGEND
            shape = (width, (NARROW if size.narrow else HEIGHT) + legend)
            _, axes = pyplot.subplots(1, len(panels), figsize=shape, layout="constrained")
        places = list(np.ravel(np.asarray(axes, dtype=object)))
        if len(places) != len(panels):
            raise ValueError(f"axes has {len(places)} axes, expected {len(panels)}")
        for place, panel in zip(places, panels, strict=True):
            _draw(place, panel)
        if not _is_of_points(panels[0]):
            handles, labels = places[0].get_legend_handles_labels()
            columns = min(4, len(labels))
            where = "outside lower center"
            places[0].figure.legend(handles, labels, loc=where, ncols=columns, frameon=False)
    return places[0].figure


def _is_of_points(panel: Panel) -> bool:
    return all(len(one.x) == 1 for one in panel.series)


def _draw(axes: Any, panel: Panel) -> None:
    for place, one in enumerate(panel.series):
        style = line_style(place)
        if _is_of_points(panel):
            style |= {"linestyle": "none", "clip_on": False, "zorder": 3}
        axes.plot(one.x, one.y, label=one.name, **style)
    _scale_y(axes, [value for one in panel.series for value in one.y])
    across = [value for one in panel.series for value in one.x]
    if min(across) > 0.0 and max(across) > DECADES * min(across):
        axes.set_xscale("log")
    axes.margins(x=0.08)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.4)
    if _is_of_points(panel):
        colours = [str(line_style(place)["color"]) for place in range(len(panel.series))]
        ends = [
            (one.name, one.x[0], one.y[0], colour)
            for one, colour in zip(panel.series, colours, strict=True)
        ]
        # Of points at one height the rightmost has the lowest name, or lines to names would cross.
        name_lines(axes, sorted(ends, key=lambda end: -end[1]))


def _scale_y(axes: Any, values: Sequence[float]) -> None:
    """From zero; logarithmic but near it, so that what is zero has a place."""
    some = [value for value in values if value > 0.0]
    if some and max(some) > DECADES * min(some):
        axes.set_yscale("symlog", linthresh=min(some), linscale=0.5)
    axes.set_ylim(0.0, 1.2 * max(some, default=1.0))
