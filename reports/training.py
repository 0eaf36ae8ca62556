"""The variance with each baseline through training, a panel each, and the accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradproof.checks.variance.records import Stage, Training

from .plain_names import baseline_name, fit_name
from .stages import BEST, NONE, by_key, ordered
from .style import BLACK, BLUE, GREEN, GREY, PAGE, VERMILION, FigureLayout

#: Panels in a row of the page.
ACROSS = 5

#: Colour, dash and mark of each way of fitting a baseline, and of what is not fitted.
FIT_STYLES: dict[str, tuple[str, Any, str]] = {
    "mse": (BLUE, "-", "o"),
    "variance": (VERMILION, "--", "^"),
    "running-mean": (GREEN, ":", "s"),
}
NOT_FITTED = (BLACK, "-.", "D")


def baselines_of(training: Training, only: Sequence[str] = ()) -> list[str]:
    """The baselines that have a panel, the one that removes most on the left.

    Args:
        only: their names; none: all.

    Raises:
        ValueError: for a name that the record does not have.
    """
    names = [baseline for baseline, _ in ordered([training.stages])]
    there = [name for name in dict.fromkeys(names) if name not in (NONE, BEST)]
    for name in only:
        if name not in there:
            raise ValueError(
                f"the record has no baseline {name!r}; it has {', '.join(there) or 'none'}"
            )
    return [name for name in there if name in only or not only]


def layout(training: Training, only: Sequence[str] = ()) -> FigureLayout:
    """A panel for each baseline, and one for the accuracy."""
    count = len(baselines_of(training, only)) + 1
    rows = math.ceil(count / ACROSS)
    columns = math.ceil(count / rows)
    width = PAGE if columns > 2 else 0.75 * PAGE
    return FigureLayout(width, 0.85 + 1.3 * rows, rows=rows, columns=columns)


def draw(axes: Any, training: Training, *, only: Sequence[str] = (), title: str = "") -> Any:
    """Draw the total variance against the step, a panel for each baseline, and the accuracy.

    In each panel are also the variances without a baseline and with the best one of each sentence,
    between which the others lie.

    Args:
        axes: of matplotlib, as :func:`layout` has them; returned.
        only: the baselines to show; none: all.

    Raises:
        ValueError: for a baseline that the record does not have.
    """
    panels, names = list(np.ravel(axes)), baselines_of(training, only)
    for panel, name in zip(panels, names, strict=False):
        _panel(panel, training.stages, name)
        panel.set_title(baseline_name(name), loc="left")
    _same_limits(panels[: len(names)])
    accuracy = panels[len(names)]
    accuracy.plot(training.steps, training.accuracy, color=BLACK, label="accuracy")
    accuracy.set_ylim(0.0, 1.0)
    accuracy.set_title("accuracy, held out", loc="left")
    for panel in panels[len(names) + 1 :]:
        panel.set_axis_off()
    columns = accuracy.get_gridspec().ncols
    for place, panel in enumerate(panels[: len(names)]):
        if place % columns:
            panel.set_yticklabels([])
        else:
            panel.set_ylabel("variance of\nthe gradient")
    for panel in panels[: len(names) + 1]:
        panel.locator_params(axis="x", nbins=3)
    for panel in panels[: len(names) + 1][-columns:]:  # those with none below them
        panel.set_xlabel("training step")
    figure = panels[0].figure
    figure.suptitle(title, x=0.01, ha="left", fontsize=7.0)
    _legend(figure, panels[: len(names)])
    return axes


def _panel(panel: Any, stages: Sequence[Stage], baseline: str) -> None:
    for name, style in ((NONE, {"ls": "-"}), (BEST, {"ls": (0, (4, 2))})):
        for _, points in _lines(stages, name):
            panel.plot(*points, color=GREY, lw=0.8, label=baseline_name(name), **style)
    for fit, points in _lines(stages, baseline):
        colour, dashes, shape = FIT_STYLES.get(fit, NOT_FITTED)
        label = fit_name(fit) if fit in FIT_STYLES else "not fitted"
        panel.plot(*points, color=colour, ls=dashes, marker=shape, ms=3.0, lw=1.0, label=label)
    panel.set_yscale("log")
    panel.minorticks_off()


def _lines(
    stages: Sequence[Stage], baseline: str
) -> list[tuple[str, tuple[list[int], list[float]]]]:
    """A line for each fit of a baseline: steps and variances."""
    fits = dict.fromkeys(key[1] for stage in stages for key in by_key(stage) if key[0] == baseline)
    found = []
    for fit in fits:
        rows = [(stage.step, by_key(stage).get((baseline, fit))) for stage in stages]
        # 0 has no place on a log axis.
        points = [(step, row.total) for step, row in rows if row is not None and row.total > 0.0]
        if points:
            found.append((fit, ([step for step, _ in points], [total for _, total in points])))
    return found


def _same_limits(panels: Sequence[Any]) -> None:
    """One axis of variances for all: what is lower in one panel is lower."""
    shown = [panel for panel in panels if panel.get_lines()]
    limits = [panel.get_ylim() for panel in shown]
    for panel in shown:
        panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _legend(figure: Any, panels: Sequence[Any]) -> None:
    """Each kind of line once, below the panels."""
    handles = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    if handles:
        figure.legend(
            handles=handles.values(), loc="outside lower center", ncols=len(handles), frameon=False,
            handletextpad=0.4, columnspacing=1.0,
        )  # fmt: skip
