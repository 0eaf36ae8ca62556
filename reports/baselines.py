"""The exact variance with each baseline, by parameter group and stage of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradproof.checks.variance.records import Stage

from .stages import by_key, labels, mark, pick, places, rows_down, stage_legend
from .style import GREY, PAGE, FigureLayout, decades, group_style

#: The panel of all groups together.
ALL = "all"


def layout(stages: Sequence[Stage]) -> FigureLayout:
    """A panel for each group and one for all, a row for each baseline."""
    rows = len(labels(pick(stages)))
    return FigureLayout(PAGE, 0.9 + 0.16 * rows, columns=len(panels(stages)), share_y=True)


def panels(stages: Sequence[Stage]) -> list[str]:
    """The groups of any row, and all of them together."""
    groups = (group for stage in pick(stages) for row in stage.rows for group in row.variances)
    return [*dict.fromkeys(groups), ALL]


def draw(axes: Sequence[Any], stages: Sequence[Stage], *, title: str = "") -> Sequence[Any]:
    """Draw the variances as dots: groups across, baselines down, a mark for each stage.

    A group without variance says so: zero has no place on a log axis.

    Args:
        axes: of matplotlib, one for each of :func:`panels`; returned.
    """
    shown = pick(stages)
    names = labels(shown)
    for panel, group in zip(axes, panels(stages), strict=True):
        rows_down(panel, list(names.values()))
        panel.set_title(group_style(group)[2])
        _panel(panel, shown, list(names), group)
    axes[0].figure.supxlabel("variance of the gradient, summed over parameters", fontsize=7.0)
    axes[0].figure.suptitle(title, x=0.01, ha="left", fontsize=7.0)
    stage_legend(axes[0], shown)
    return axes


def _panel(panel: Any, stages: Sequence[Stage], keys: Sequence[Any], group: str) -> None:
    seen: list[float] = []
    for which, stage in enumerate(stages):
        found = by_key(stage)
        points = []
        for row, key in enumerate(keys):
            if key in found:
                of = found[key]
                value = of.total if group == ALL else of.variances.get(group, 0.0)
                if value > 0.0:
                    points.append((value, places(row, len(stages))[which]))
        if points:
            panel.plot(
                *zip(*points, strict=True),
                label=f"step {stage.step:,}",
                clip_on=False,
                **mark(which),
            )
            seen += [value for value, _ in points]
    if not seen:
        panel.text(0.5, 0.5, "no variance", transform=panel.transAxes, ha="center", color=GREY)
        panel.set_xticks([])
        return
    panel.set_xscale("log")
    panel.set_xlim(*decades(seen))
    panel.locator_params(axis="x", numticks=4)
    panel.minorticks_off()
