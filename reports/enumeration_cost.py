"""What enumerating an estimator costs beside calling it, and beside others' tools."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gradproof.checks.variance.records import EnumerationCost, WayCost

from . import marked
from .style import BLACK, BLUE, COLOURS, COLUMN, GREY, MARKS, FigureLayout, name_lines

LAYOUT = FigureLayout(COLUMN, 2.7)

#: The paths that the table is of, as an estimator that is checked has them.
PATHS = 10_000

#: Ways that begin so are drawn as lines, with the bare code; the others are points.
OURS = "gradproof"


def fill(page: str, cost: EnumerationCost) -> str:
    """A page with its table written anew.

    Raises:
        ValueError: if a place is marked by another name, or has no end.
    """
    return marked.fill(page, {"enumeration-cost": functools.partial(table, cost)})


def table(cost: EnumerationCost) -> str:
    """A row for each way: what it gives, whether it runs the code as it is, and what it takes.

    Raises:
        ValueError: if a way was not measured at so many paths.
    """
    lines = [
        "| way | gives | runs your code as it is | off by, of the largest entry | time per path "
        "| ratio to the bare loop |",
        "|---|---|---|---:|---:|---:|",
    ]
    for way in cost.ways:
        if PATHS not in way.paths:
            raise ValueError(f"{way.name} was not measured at {PATHS} paths, as the table needs")
        (place,) = np.flatnonzero(way.paths == PATHS)
        cells = (
            way.name,
            way.gives,
            "yes" if way.as_it_is else "no, rewritten",
            _error(way.error[place]),
            _microseconds(way.seconds[place] / PATHS * 1e6),
            _ratio(cost.ratios(way)[place]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(axes: Any, cost: EnumerationCost) -> Any:
    """Draw seconds against paths: lines for the bare code and ours, points for the others.

    Args:
        axes: of matplotlib; returned.
    """
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("paths")
    axes.set_ylabel("seconds of one processor")
    ends, farthest = [], max(way.paths[-1] for way in cost.ways)
    for place, way in enumerate(cost.ways):
        style = _style(way, place)
        axes.plot(way.paths, way.seconds, label=way.name, **style)
        end = (way.paths[-1], way.seconds[-1])
        if end[0] == farthest:
            ends.append((way.name, *end, style["color"]))
        else:  # there is nothing above its end, and the bare code is right of it
            axes.annotate(
                way.name.replace(", ", ",\n"),
                end,
                (0, 5),
                textcoords="offset points",
                ha="right",
                color=style["color"],
                fontsize=6.0,
            )
    axes.grid(which="major", color="0.9", linewidth=0.4)
    note = f"{cost.subject};\n{cost.machine}"
    axes.figure.suptitle(note, x=0.01, ha="left", fontsize=6.0, color=GREY)
    name_lines(axes, ends)
    return axes


def _style(way: WayCost, place: int) -> dict[str, Any]:
    """A colour and a mark for each; a line where time is ours or the bare code's."""
    if way.name.startswith(OURS) or not place:
        return {"color": BLUE if place else BLACK, "marker": MARKS[place % len(MARKS)],
                "linestyle": "--" if place == 1 else "-", "zorder": 3}  # fmt: skip
    others = COLOURS[2:]  # what is left of them: black is the bare code, blue is ours
    return {"color": others[place % len(others)], "marker": MARKS[place % len(MARKS)],
            "linestyle": "none", "markerfacecolor": "none"}  # fmt: skip


def _error(share: float) -> str:
    if np.isnan(share):
        return "-"  # nothing was compared: it gives no mean
    return f"{share:.0%}" if share >= 0.01 else f"{share:.0e}"


def _microseconds(value: float) -> str:
    return f"{value:.0f} µs" if value >= 10.0 else f"{value:.2g} µs"


def _ratio(value: float) -> str:
    return f"{value:.1f}" if value >= 0.95 else f"{float(f'{value:.1g}'):.4f}".rstrip("0")
