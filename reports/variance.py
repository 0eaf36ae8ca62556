"""The variance against a constant baseline, as a figure for a paper."""

from __future__ import annotations

import math
import sys
from typing import Any

from gradproof.checks.evidence import Curve

from .plain_names import number
from .style import GREY, ORANGE, PAGE, FigureLayout, group_style, name_lines

LAYOUT = FigureLayout(width=0.75 * PAGE, height=2.8)


def draw(
    axes: Any, curve: Curve, *, own: tuple[float, float] | None = None, title: str = ""
) -> Any:
    """Draw a curve with its best baseline, the interval in which one helps, and the floor.

    Args:
        axes: of matplotlib; returned.
        own: the mean of a baseline that is looked at, and the variance with it: a point, or an
            arrow at the edge that it lies beyond; its numbers stand above the panel.
    """
    low, high = sorted((0.0, curve.limit))
    axes.axvspan(low, high, color="0.92", zorder=0, label="a baseline helps")
    ends = _curves(axes, curve)
    axes.set_yscale("log")
    axes.axhline(curve.per_sentence, color=GREY, lw=0.8, label="best B of each sentence")
    ends.append(("best B of each sentence", curve.baselines[-1], curve.per_sentence, GREY))
    axes.plot([curve.best], [curve.least], "o", color="black", label="best constant")
    helps = f"helps from {number(low)} to {number(high)}, most at B* = {number(curve.best)}"
    _write_beside(axes, helps, (low + high) / 2.0, 1.01, ha="center")
    axes.set_xlim(curve.baselines[0], curve.baselines[-1])
    axes.set_xlabel("constant baseline B, in nats")
    axes.set_ylabel("variance of the gradient, summed")
    axes.set_title(title, loc="left", pad=12.0)
    if own is not None:
        _mark_own(axes, *own)
    name_lines(axes, ends)
    return axes


def _mark_own(axes: Any, baseline: float, variance: float) -> None:
    """A point, if it is on the panel; else an arrow to its nearest place there.

    What it is stands above the panel, where no line is.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.set_ylim(bottom, top)  # what is marked must not move what it is compared with
    across = (baseline - left) / (right - left)
    up = math.log(max(variance, sys.float_info.min) / bottom) / math.log(top / bottom)
    on_panel = 0.0 <= across <= 1.0 and 0.0 <= up <= 1.0
    beyond = "" if on_panel else ", beyond the panel"
    text = f"yours: B = {number(baseline)}, variance {number(variance)}{beyond}"
    axes.set_title(text, loc="right", pad=12.0, color=ORANGE, fontsize=6.0)
    if on_panel:
        axes.plot([baseline], [variance], "D", color=ORANGE, zorder=4, label="yours")
        return
    edge = [min(max(place, 0.0), 1.0) for place in (across, up)]
    off = 0 if edge[0] != across else 1  # the axis that it is off, the horizontal one first
    edge[1 - off] = min(max(edge[1 - off], 0.05), 0.95)  # not on the frame
    tail = list(edge)
    tail[off] = abs(edge[off] - 0.08)
    axes.annotate(
        "", edge, tail, xycoords="axes fraction", textcoords="axes fraction", label="yours",
        arrowprops={"arrowstyle": "->", "color": ORANGE, "lw": 1.5, "shrinkA": 0, "shrinkB": 0},
        zorder=5,
    )  # fmt: skip


def _curves(axes: Any, curve: Curve) -> list[tuple[str, float, float, str]]:
    ends = []
    for name, values in curve.variances.items():
        colour, dashes, label = group_style(name)
        # A group that no label reaches does not depend on B, and 0 has no place on a log axis.
        if values.min() > 0.0:
            # Where one group has nearly all of the variance, it is seen on top of the sum.
            whole = {"lw": 2.4, "zorder": 1.5} if name == "all" else {"lw": 1.2}
            style = {"color": colour, "linestyle": dashes, "label": label, **whole}
            axes.plot(curve.baselines, values, **style)
            ends.append((label, curve.baselines[-1], float(values[-1]), colour))
    return ends


def _write_beside(axes: Any, text: str, x: float, height: float, **place: str) -> None:
    transform = axes.get_xaxis_transform()
    axes.text(x, height, text, transform=transform, color=GREY, fontsize=6.0, **place)
