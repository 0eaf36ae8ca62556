"""The share of the removable variance that each baseline removes, by stage of training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradproof.checks.variance.records import Stage

from .stages import (
    BEST,
    NONE,
    WHEN,
    mark,
    ordered,
    pick,
    places,
    rows_down,
    rule_rows,
    share_of,
    stage_legend,
)
from .style import COLUMN, GREY, PAGE, FigureLayout

LABEL = "share of the removable variance, in %"

#: What to say of an axis whose steps are no equal shares.
OF_NINES = (LABEL, "each step leaves a tenth as much", "100 is the best B of each sentence")


@dataclasses.dataclass(frozen=True)
class Scale:
    """Of the axis of shares; what lies beyond its ends is an arrow there.

    ``least`` and ``most`` are those ends, ``forward`` where a share stands on paper, and
    ``inverse`` undoes it.
    """

    least: float
    most: float
    ticks: tuple[float, ...]
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]


#: Some baselines know more than one number for each sentence, and remove more than the best B of
#: each: hence room beyond 1.
EVEN = Scale(-0.25, 1.5, (-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5), np.asarray, np.asarray)

#: Where most baselines remove nearly all, what they leave tells them apart: each step of this scale
#: is a tenth of what the one before left.
NINES = Scale(
    -0.25,
    0.9999,
    (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999),
    lambda share: -np.log10(np.maximum(1.0 - np.asarray(share), 1e-9)),
    lambda place: 1.0 - 10.0 ** -np.asarray(place),
)

#: Ticks that the panels of several runs have no room for.
CROWDED = (-0.25, 0.25, 0.5, 0.75, 1.25)

#: Nearly all, and room for half a mark beyond the outermost, as a part of the axis.
NEARLY, MARGIN = 0.9, 0.04


def layout(stages: Sequence[Stage]) -> FigureLayout:
    """A row for each baseline."""
    return FigureLayout(COLUMN, 0.8 + 0.2 * len(_rows([pick(stages)])))


def layout_runs(runs: Sequence[Sequence[Stage]]) -> FigureLayout:
    """A panel for each run, side by side, and a row for each baseline through them all."""
    rows = len(_rows(list(map(pick, runs))))
    return FigureLayout(PAGE, 1.0 + 0.16 * max(rows, 3), columns=len(runs), share_y=True)


def draw(axes: Any, stages: Sequence[Stage], *, title: str = "") -> Any:
    """Draw shares as dots: a row for each baseline, the best of the last stage on top.

    Shares beyond the axis are arrows at its edge, with their numbers beside them where they are
    below 0 or above 100 %; a row without a share says so.
    Where most shares are above 90 %, the axis has 90, 99 and 99.9 % as equal steps.

    Args:
        axes: of matplotlib; returned.
    """
    shown = pick(stages)
    scale, more = _panels([axes], [shown])
    axes.set_xlabel("\n".join(OF_NINES) if scale is NINES else LABEL)
    axes.set_title(title, loc="left", pad=18.0)
    # One line has no room for four in a column.
    names = [f"{stage.step:,}" for stage in shown]
    stage_legend(axes, shown, [f"step {names[0]}", *names[1:]], more)
    return axes


def draw_runs(
    axes: Sequence[Any], runs: Sequence[Sequence[Stage]], titles: Sequence[str]
) -> Sequence[Any]:
    """Draw several runs side by side, on one scale, as :func:`draw` does one.

    Rows are in the order of what they remove at the last stage of all runs, in the mean.

    Args:
        axes: of matplotlib, one for each run; returned.
        titles: one for each run.

    Raises:
        ValueError: if runs have not as many stages: the marks would not be of the same ones.
    """
    shown = [pick(stages) for stages in runs]
    if len(set(map(len, shown))) > 1:
        raise ValueError(
            f"runs with {', '.join(str(len(stages)) for stages in runs)} stages cannot be drawn "
            "side by side; measure them at as many"
        )
    scale, more = _panels(axes, shown)
    for panel, title in zip(axes, titles, strict=True):
        panel.set_title(title, loc="left", pad=18.0)
        ticks = [tick for tick in panel.get_xticks() if tick not in CROWDED]
        panel.set_xticks(ticks, map(_percent, ticks))
    label = "; ".join(OF_NINES) if scale is NINES else LABEL
    axes[0].figure.supxlabel(label, fontsize=7.0)
    steps = {tuple(stage.step for stage in stages) for stages in shown}
    names = None if len(steps) == 1 else [*WHEN[: len(shown[0]) - 1], WHEN[-1]]
    stage_legend(axes[0], shown[0], names, more)
    return axes


def _panels(axes: Sequence[Any], runs: Sequence[Sequence[Stage]]) -> tuple[Scale, list[Any]]:
    """The marks of each run in its panel; rows, scale and ends of the axis are those of all.

    The scale, and a mark that says what arrows are, if there is one.
    """
    rows = _rows(runs)
    rows_down(axes[0], list(rows.values()))
    shares = [[[share_of(stage, key) for stage in stages] for key in rows] for stages in runs]
    seen = [share for each in shares for row in each for share in row if not math.isnan(share)]
    scale = NINES if seen and float(np.median(seen)) > NEARLY else EVEN
    for panel, each in zip(axes, shares, strict=True):
        if panel is not axes[0]:
            rule_rows(panel, len(rows))
        for place, row in enumerate(each):
            _row(panel, place, row, scale)
        _axis(panel, seen, scale)
    return scale, _arrows(axes[0], seen, scale)


def _arrows(axes: Any, seen: Sequence[float], scale: Scale) -> list[Any]:
    """What an arrow is, on either side."""
    more = f"above {_percent(scale.most)} %", any(share > scale.most for share in seen), ">"
    less = f"below {_percent(scale.least)} %", any(share < scale.least for share in seen), "<"
    return [
        axes.plot([], [], shape, color="0.5", ms=3.0, label=name)[0]
        for name, there, shape in (less, more)
        if there
    ]


def _axis(axes: Any, seen: Sequence[float], scale: Scale) -> None:
    axes.set_xscale("function", functions=(scale.forward, scale.inverse))
    low = float(scale.forward(max(min([0.0, *seen]), scale.least)))
    high = float(scale.forward(min(max([1.0, *seen]), scale.most)))
    margin = MARGIN * (high - low)
    axes.set_xlim(scale.inverse(low - margin), scale.inverse(high + margin))
    ticks = [tick for tick in scale.ticks if low <= scale.forward(tick) <= high]
    axes.set_xticks(ticks, [_percent(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    for place, text in ((0.0, "no baseline"), (1.0, "best B of\neach sentence")):
        if place <= scale.most:
            axes.axvline(place, color=GREY, lw=0.6, zorder=1)
            axes.text(
                place, 1.0, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom",
                fontsize=6.0, color=GREY,
            )  # fmt: skip


def _rows(runs: Sequence[Sequence[Stage]]) -> dict[Any, str]:
    """Rows to show by key, the best of the last stages first; none and best are lines."""
    return {key: name for key, name in ordered(runs).items() if key[0] not in (NONE, BEST)}


def _row(axes: Any, row: int, shares: Sequence[float], scale: Scale) -> None:
    for which, (share, place) in enumerate(zip(shares, places(row, len(shares)), strict=True)):
        if share < scale.least:
            axes.plot([scale.least], [place], **mark(which) | {"marker": "<"})
        elif share > scale.most:
            axes.plot([scale.most], [place], **mark(which) | {"marker": ">"})
        elif not math.isnan(share):
            axes.plot([share], [place], **mark(which))
    if all(math.isnan(share) for share in shares):
        _note(axes, "nothing to remove", 0.5, row, 0.0, "center")
    # Of what is beyond 99.99 % and no more than 100 an arrow says enough.
    most = max(scale.most, 1.005)
    less = _numbers([share for share in shares if share < scale.least])
    more = _numbers([share for share in shares if share > most])
    _note(axes, less, scale.least, row, 4.0, "left")
    _note(axes, more, scale.most, row, 6.0, "left")


def _note(axes: Any, text: str, x: float, row: int, shift: float, side: str) -> None:
    axes.annotate(
        text, (x, row), (shift, 0.0), textcoords="offset points", ha=side, va="center",
        fontsize=6.0, color=GREY, annotation_clip=False,
    )  # fmt: skip


def _numbers(shares: Sequence[float]) -> str:
    said = dict.fromkeys(map(_percent, shares))  # once where print shows no difference
    return f"{', '.join(said)} %" if said else ""


def _percent(share: float) -> str:
    digits = 2 if NEARLY < share < 1.0 else 0
    return f"{round(100.0 * share, digits):g}".replace("-", "\N{MINUS SIGN}")
