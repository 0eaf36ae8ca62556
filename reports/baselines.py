"""The exact variance with each baseline, by parameter group and stage of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradproof.checks.variance.records import Stage

from .stages import by_key, labels, mark, ordered, pick, places, rows_down, rule_rows, stage_legend
from .style import GREY, PAGE, FigureLayout, decades, group_style

#: The panel of all groups together.
ALL = "all"


#: Relative differences that no figure shows.
UNSEEN = 1e-6


def layout(stages: Sequence[Stage]) -> FigureLayout:
    """A panel for each group that a baseline changes and one for all, a row for each baseline."""
    rows, columns = len(labels(pick(stages))), len(panels(stages))
    return FigureLayout(PAGE, 1.0 + 0.16 * rows, columns=columns, share_y=True)


def panels(stages: Sequence[Stage]) -> list[str]:
    """The groups whose variance some baseline changes, and all of them together."""
    still = unchanged(stages)
    return [*(group for group in _groups(stages) if group not in still), ALL]


def unchanged(stages: Sequence[Stage]) -> list[str]:
    """The groups whose variance no baseline changes at any stage: there is nothing to compare."""
    still = []
    for group in _groups(stages):
        columns = [[row.variances.get(group, 0.0) for row in stage.rows] for stage in pick(stages)]
        if all(max(column) - min(column) <= UNSEEN * max(column) for column in columns):
            still.append(group)
    several = any(len(stage.rows) > 1 for stage in pick(stages))
    return still if several else []


def _groups(stages: Sequence[Stage]) -> list[str]:
    groups = (group for stage in pick(stages) for row in stage.rows for group in row.variances)
    return list(dict.fromkeys(groups))


def draw(axes: Any, stages: Sequence[Stage], *, title: str = "") -> Any:
    """Draw the variances as dots: groups across, baselines down, a mark for each stage.

    The baseline that removes most of the variance at the last stage is on top, as in all figures.
    A group that no baseline changes has no panel, and is named; one without variance says so: zero
    has no place on a log axis.

    Args:
        axes: of matplotlib, one for each of :func:`panels`; returned.
    """
    shown, columns = pick(stages), list(np.atleast_1d(axes))
    names = ordered([shown])
    for panel, group in zip(columns, panels(stages), strict=True):
        if panel is columns[0]:
            rows_down(panel, list(names.values()))
        else:
            rule_rows(panel, len(names))
        panel.set_title(group_style(group)[2])
        _panel(panel, shown, list(names), group)
    still = [group_style(group)[2].partition(",")[0] for group in unchanged(stages)]
    note = f"; no baseline changes that of {' or '.join(still)}" if still else ""
    columns[0].figure.supxlabel(
        f"variance of the gradient, summed over parameters{note}", fontsize=7.0
    )
    columns[0].figure.suptitle(title, x=0.01, ha="left", fontsize=7.0)
    stage_legend(columns[0], shown)
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
