"""The benchmark as a figure: the bugs that each way of testing catches, and its false alarms."""

from __future__ import annotations

from typing import Any

from gradproof.checks.benchmark.results import BenchmarkResult

from .style import BLUE, GREY, PAGE, VERMILION, FigureLayout

#: How the figure names methods that are not ours: words that a reader knows, where ids are short.
NAMES = {
    "gradcheck": "gradcheck on the surrogate",
    "tolerance": "mean of 100,000 draws,\nwithin 5 %",
    "3 errors": "mean of 10,000 draws,\nwithin 3 standard errors",
}

LAYOUT = FigureLayout(PAGE, 1.9, columns=2, share_y=True)


def draw(panels: Any, result: BenchmarkResult) -> None:
    """Two panels, a bar for each way: shares of the bugs, and of the right estimators.

    Raises:
        KeyError: for a method of others that has no name here.
    """
    ours = [method.id for method in result.methods if method.ours]
    others = [method.id for method in result.methods if not method.ours]
    names = ["gradproof", *(NAMES[method] for method in others)]
    right = len(result.rows) - result.bugs
    judged = [right, *(_judged(result, method) for method in others)]
    caught = [result.seen, *map(result.catches, others)]
    alarms = [sum(map(result.false_alarms, ours)), *map(result.false_alarms, others)]
    _bars(panels[0], names, caught, [result.bugs] * len(names), BLUE)
    _bars(panels[1], names, alarms, judged, VERMILION)
    panels[0].set_title("wrong estimators that are caught", loc="left")
    panels[1].set_title("right estimators that are called wrong", loc="left")
    panels[0].invert_yaxis()  # the first at the top; both panels share the axis


def _judged(result: BenchmarkResult, method: str) -> int:
    """How many right estimators the method can say something of."""
    return sum(row.right and row.answers[method] is not None for row in result.rows)


def _bars(axes: Any, names: list[str], counts: list[float], totals: list[int], colour: str) -> None:
    shares = [100.0 * count / total for count, total in zip(counts, totals, strict=True)]
    bars = axes.barh(names, shares, color=colour, height=0.6)
    labels = [f"{count:.0f} of {total}" for count, total in zip(counts, totals, strict=True)]
    axes.bar_label(bars, labels, padding=3, fontsize=6.0, color=GREY)
    axes.set_xlim(0.0, 118.0)  # room for the label of a bar at 100
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.tick_params(axis="y", length=0)
