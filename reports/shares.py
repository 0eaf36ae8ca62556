"""The share of the removable variance that each baseline removes, by stage of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradproof.checks.records import Stage

from .stages import BEST, NONE, by_key, labels, mark, pick, places, rows_down, stage_legend
from .style import COLUMN, GREY, Layout

#: What lies beyond is drawn at the edge, as an arrow with its number. Some baselines know more than
#: one number for each sentence, and remove more than the best of that kind.
LEAST, MOST = -0.25, 1.5

#: Room for half a mark beyond the outermost, and where the axis has numbers.
MARGIN = 0.05
TICKS = (-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def layout(stages: Sequence[Stage]) -> Layout:
    """A row for each baseline."""
    return Layout(COLUMN, 0.8 + 0.2 * len(_rows(pick(stages))))


def draw(axes: Any, stages: Sequence[Stage], *, title: str = "") -> Any:
    """Draw shares as dots: a row for each baseline, the best of the last stage on top.

    Shares below -25 % or above 150 % are arrows at the edge with their numbers; a row that has no
    share says so.

    Args:
        axes: of matplotlib; returned.
    """
    shown = pick(stages)
    rows = _rows(shown)
    rows_down(axes, list(rows.values()))
    for place, text in ((0.0, "no baseline"), (1.0, "best B of\neach sentence")):
        axes.axvline(place, color=GREY, lw=0.6, zorder=1)
        axes.text(
            place, 1.0, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom",
            fontsize=6.0, color=GREY,
        )  # fmt: skip
    shares = {key: [_share(stage, key) for stage in shown] for key in rows}
    for row, found in enumerate(shares.values()):
        _row(axes, row, found)
    seen = [share for found in shares.values() for share in found if not math.isnan(share)]
    low = max(min([0.0, *seen]), LEAST) - MARGIN
    high = min(max([1.0, *seen]), MOST) + MARGIN
    axes.set_xlim(low, high)
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [_percent(tick) for tick in ticks])
    axes.set_xlabel("share of the removable variance, in %")
    axes.set_title(title, loc="left")
    stage_legend(axes, shown)
    return axes


def _rows(stages: Sequence[Stage]) -> dict[Any, str]:
    """Rows to show by key, the best of the last stage first; none and best are lines."""
    names = {key: name for key, name in labels(stages).items() if key[0] not in (NONE, BEST)}
    last = {key: _share(stages[-1], key) for key in names}
    order = sorted(names, key=lambda key: -math.inf if math.isnan(last[key]) else last[key])
    return {key: names[key] for key in reversed(order)}


def _share(stage: Stage, key: Any) -> float:
    found = by_key(stage).get(key)
    return math.nan if found is None else found.share


def _row(axes: Any, row: int, shares: Sequence[float]) -> None:
    for which, (share, place) in enumerate(zip(shares, places(row, len(shares)), strict=True)):
        if share < LEAST:
            axes.plot([LEAST], [place], **mark(which) | {"marker": "<"})
        elif share > MOST:
            axes.plot([MOST], [place], **mark(which) | {"marker": ">"})
        elif not math.isnan(share):
            axes.plot([share], [place], **mark(which))
    if all(math.isnan(share) for share in shares):
        _note(axes, "nothing to remove", 0.5, row, 0.0, "center")
    low = [_percent(share) for share in shares if share < LEAST]
    high = [_percent(share) for share in shares if share > MOST]
    _note(axes, ", ".join(low), LEAST, row, 4.0, "left")
    _note(axes, ", ".join(high), MOST, row, -4.0, "right")


def _note(axes: Any, text: str, x: float, row: int, shift: float, side: str) -> None:
    axes.annotate(
        text, (x, row), (shift, 0.0), textcoords="offset points", ha=side, va="center",
        fontsize=6.0, color=GREY,
    )  # fmt: skip


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f}".replace("-", "\N{MINUS SIGN}")
