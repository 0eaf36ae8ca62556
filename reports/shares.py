"""The share of the removable variance that each baseline removes, by stage of training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradproof.checks.records import Stage

from .stages import BEST, NONE, by_key, labels, mark, pick, places, rows_down, stage_legend
from .style import COLUMN, GREY, Layout


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

#: Nearly all, and room for half a mark beyond the outermost, as a part of the axis.
NEARLY, MARGIN = 0.9, 0.04


def layout(stages: Sequence[Stage]) -> Layout:
    """A row for each baseline."""
    return Layout(COLUMN, 0.8 + 0.2 * len(_rows(pick(stages))))


def draw(axes: Any, stages: Sequence[Stage], *, title: str = "") -> Any:
    """Draw shares as dots: a row for each baseline, the best of the last stage on top.

    Shares beyond the axis are arrows at its edge, with their numbers beside them where they are
    below 0 or above 100 %; a row without a share says so.
    Where most shares are above 90 %, the axis has 90, 99 and 99.9 % as equal steps.

    Args:
        axes: of matplotlib; returned.
    """
    shown = pick(stages)
    rows = _rows(shown)
    rows_down(axes, list(rows.values()))
    shares = [[_share(stage, key) for stage in shown] for key in rows]
    seen = [share for found in shares for share in found if not math.isnan(share)]
    scale = NINES if seen and float(np.median(seen)) > NEARLY else EVEN
    for row, found in enumerate(shares):
        _row(axes, row, found, scale)
    _axis(axes, seen, scale)
    axes.set_xlabel("share of the removable variance, in %")
    axes.set_title(title, loc="left", pad=18.0)
    stage_legend(axes, shown)
    return axes


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


def _rows(stages: Sequence[Stage]) -> dict[Any, str]:
    """Rows to show by key, the best of the last stage first; none and best are lines."""
    names = {key: name for key, name in labels(stages).items() if key[0] not in (NONE, BEST)}
    last = {key: _share(stages[-1], key) for key in names}
    order = sorted(names, key=lambda key: -math.inf if math.isnan(last[key]) else last[key])
    return {key: names[key] for key in reversed(order)}


def _share(stage: Stage, key: Any) -> float:
    found = by_key(stage).get(key)
    return math.nan if found is None else found.share


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
    return ", ".join(dict.fromkeys(map(_percent, shares)))  # once where print shows no difference


def _percent(share: float) -> str:
    digits = 2 if NEARLY < share < 1.0 else 0
    return f"{round(100.0 * share, digits):g}".replace("-", "\N{MINUS SIGN}")
