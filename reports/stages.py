"""What the figures of baselines share: which stages and rows they show, and how."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradproof.checks.variance.records import BaselineVariance, Stage

from .plain_names import baseline_name, fit_name
from .style import BLACK, SKY, VERMILION

#: Light to dark and round to square: early to late, in colour and in grey.
MARKS = (("o", SKY), ("^", VERMILION), ("s", BLACK))

#: Between the marks of two stages, where rows are 1 apart: marks of one row must not hide another.
DODGE = 0.22

#: What the stages of runs of several lengths have in common.
WHEN = ("beginning of training", "middle", "end")

#: The rows that the others are measured between.
NONE, BEST = "none", "best"


def pick(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The first, the middle and the last stage; all of them where there are three or fewer.

    Raises:
        ValueError: if there is none.
    """
    if not stages:
        raise ValueError("the record has no stages, so there is nothing to draw of baselines")
    if len(stages) <= len(MARKS):
        return tuple(stages)
    return stages[0], stages[len(stages) // 2], stages[-1]


def labels(stages: Sequence[Stage]) -> dict[tuple[str, str], str]:
    """A name for each baseline and fit of any stage; the fit is said where there are several."""
    return _labels(stages, str, str)


def _labels(
    stages: Sequence[Stage], of_baseline: Callable[[str], str], of_fit: Callable[[str], str]
) -> dict[tuple[str, str], str]:
    keys = list(dict.fromkeys(_key(row) for stage in stages for row in stage.rows))
    several = [baseline for baseline, _ in keys]
    return {
        (baseline, fit): of_baseline(baseline)
        + (f", {of_fit(fit)}" if fit and several.count(baseline) > 1 else "")
        for baseline, fit in keys
    }


def ordered(runs: Sequence[Sequence[Stage]]) -> dict[tuple[str, str], str]:
    """The same in words, in the order of what they remove at the last stage, the most first.

    Of several runs in the mean. All figures have these names, and this order.
    """
    stages = [stage for stages in runs for stage in stages]
    names = _labels(stages, baseline_name, fit_name)
    last = {key: _mean([share_of(run[-1], key) for run in runs]) for key in names}
    return {key: names[key] for key in sorted(names, key=last.__getitem__, reverse=True)}


def share_of(stage: Stage, key: tuple[str, str]) -> float:
    """The share that a baseline removes at a stage; NaN if it is not there."""
    rows = by_key(stage)
    return rows[key].share if key in rows else math.nan


def _mean(shares: Sequence[float]) -> float:
    """Of those that there are; below all others if there is none."""
    known = [share for share in shares if not math.isnan(share)]
    return sum(known) / len(known) if known else -math.inf


def by_key(stage: Stage) -> dict[tuple[str, str], BaselineVariance]:
    """The rows of a stage by baseline and fit."""
    return {_key(row): row for row in stage.rows}


def _key(row: BaselineVariance) -> tuple[str, str]:
    return row.baseline, row.fit


def rows_down(axes: Any, names: Sequence[str]) -> None:
    """One row a name, the first on top, with a faint line to guide the eye along it."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    rule_rows(axes, len(names))


def rule_rows(axes: Any, rows: int) -> None:
    """A faint line along each row, and none down the side."""
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for place in range(rows):
        axes.axhline(place, color="0.9", lw=0.5, zorder=0)


def places(row: int, stages: int) -> list[float]:
    """Where a row's mark for each stage stands, early above late."""
    return [row + DODGE * (stage - (stages - 1) / 2.0) for stage in range(stages)]


def mark(place: int) -> dict[str, Any]:
    """How the stage at a place of :func:`pick` is drawn."""
    shape, colour = MARKS[place]
    return {"marker": shape, "color": colour, "linestyle": "none", "markersize": 3.0}


def stage_legend(
    axes: Any,
    stages: Sequence[Stage],
    names: Sequence[str] | None = None,
    more: Sequence[Any] = (),
) -> None:
    """Which mark is which stage, in a line above the panels; by its step if no names are given.

    Args:
        more: marks that mean something else, with their labels.
    """
    said = names or [f"step {stage.step:,}" for stage in stages]
    handles = [
        axes.plot([], [], label=name, **mark(place))[0]
        for place, (_, name) in enumerate(zip(stages, said, strict=True))
    ]
    handles += more
    axes.figure.legend(
        handles=handles, loc="outside upper right", ncols=len(handles), frameon=False,
        handletextpad=0.2, columnspacing=1.0,
    )  # fmt: skip
