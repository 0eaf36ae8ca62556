"""What all figures share: widths, colours, dashes, and names beside the lines that they name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

#: Inches: a column, and both columns, of a paper in two.
COLUMN, PAGE = 3.4, 7.0

#: Told apart by the colour-blind (Okabe and Ito, 2008); a dash or a mark does it in grey.
BLACK, BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = (
    "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00",
)  # fmt: skip
COLOURS = (BLACK, BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKS = ("o", "s", "^", "D", "v", "P")

#: Of guides and notes, which are to be seen after the data.
GREY = "0.4"

#: Colour, dash and name of each parameter group, and of all together.
GROUPS: dict[str, tuple[str, Any, str]] = {
    "all": (BLACK, "-", "all parameters"),
    "e": (BLUE, "--", "e, shared"),
    "w": (VERMILION, "-.", "w, classifier"),
    "phi": (GREEN, ":", "φ, inference"),
    "theta": (PURPLE, (0, (1, 3)), "θ, generation"),
}

#: What matplotlib is told for every figure; Any, because releases differ in how they type it.
RC: Any = {
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.0,
    "ytick.labelsize": 6.0,
    "legend.fontsize": 6.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.4,
    "svg.fonttype": "none",  # text stays text: it can be searched, and set in the paper's font
    "pdf.fonttype": 42,  # fonts that journals take, where matplotlib's default is one they refuse
    "svg.hashsalt": "gradproof",  # else each file has names of its own for the same things
}


@dataclasses.dataclass(frozen=True)
class FigureLayout:
    """The panels of a figure, and its size in inches."""

    width: float
    height: float
    rows: int = 1
    columns: int = 1
    heights: tuple[float, ...] | None = None
    share_x: bool = False
    share_y: bool = False


def group_style(name: str) -> tuple[str, Any, str]:
    """Colour, dash and name of a parameter group; grey for one that no table knows."""
    return GROUPS.get(name, (GREY, "-", name))


def line_style(place: int) -> dict[str, Any]:
    """A colour, a dash and a mark: no three of one line are those of another for long."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place % len(DASHES)],
        "marker": MARKS[place % len(MARKS)],
    }


def decades(values: Sequence[float]) -> tuple[float, float]:
    """The whole powers of ten around positive numbers, for an axis with few and plain ticks."""
    low = math.floor(math.log10(min(values)))
    return 10.0**low, 10.0 ** max(math.ceil(math.log10(max(values))), low + 1)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places moved apart to ``gap`` or more, in their order, near where they were in 0..1."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    runs: list[list[int]] = []  # of neighbours that touched, and stand about their middle
    for index in order:
        runs.append([index])
        while len(runs) > 1 and _touch(runs[-2], runs[-1], places, gap):
            upper = runs.pop()
            runs[-1] += upper
    found = [0.0] * len(places)
    for run in runs:
        for step, index in enumerate(run):
            found[index] = _middle(run, places, gap) + gap * (step - (len(run) - 1) / 2.0)
    return found


def _middle(run: Sequence[int], places: Sequence[float], gap: float) -> float:
    half = gap * (len(run) - 1) / 2.0
    middle = sum(places[index] for index in run) / len(run)
    return min(max(middle, half), 1.0 - half) if half < 0.5 else 0.5


def _touch(lower: Sequence[int], upper: Sequence[int], places: Sequence[float], gap: float) -> bool:
    apart = gap * (len(lower) + len(upper)) / 2.0
    return _middle(upper, places, gap) - _middle(lower, places, gap) < apart


def name_lines(axes: Any, ends: Sequence[tuple[str, float, float, str]]) -> None:
    """Write each name to the right of the panel, as near to the end of its line as there is room.

    Args:
        ends: name, the line's last x and y, and its colour.
    """
    axes.set_xlim(axes.get_xlim())  # a name must not move what it names
    axes.set_ylim(axes.get_ylim())
    places = [
        axes.transAxes.inverted().transform(axes.transData.transform(end[1:3])) for end in ends
    ]
    size = 6.0
    height = 72.0 * axes.figure.get_figheight() * axes.get_position().height
    moved = spread([float(place[1]) for place in places], 1.25 * size / height)
    for (name, x, y, colour), place in zip(ends, moved, strict=True):
        axes.annotate(
            name,
            (x, y),
            (1.04, place),
            textcoords="axes fraction",
            color=colour,
            fontsize=size,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "lw": 0.4,
                "shrinkA": 1,
                "shrinkB": 2,
                "relpos": (0.0, 0.5),
            },
        )
