"""The variance against a constant baseline, as a figure for a paper."""

from __future__ import annotations

import math
import sys
from typing import Any

from gradproof.checks.evidence import Curve

from .style import GREY, ORANGE, PAGE, FigureLayout, group_style, name_lines

#: Behind words that may lie over a curve.
PATCH = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}

LAYOUT = FigureLayout(width=0.75 * PAGE, height=2.8)


def draw(
    axes: Any, curve: Curve, *, own: tuple[float, float] | None = None, title: str = ""
) -> Any:
    """Draw a curve with its best baseline, the interval in which one helps, and the floor.

    Args:
        axes: of matplotlib; returned.
        own: the mean of a baseline that is looked at, and the variance with it: a point, or an
            arrow at the edge that it lies beyond, with its numbers.
    """
    low, high = sorted((0.0, curve.limit))
    axes.axvspan(low, high, color="0.92", zorder=0, label="a baseline helps")
    ends = _curves(axes, curve)
    axes.set_yscale("log")
    axes.axhline(curve.per_sentence, color=GREY, lw=0.8, label="best B of each sentence")
    ends.append(("best B of each sentence", curve.baselines[-1], curve.per_sentence, GREY))
    axes.plot([curve.best], [curve.least], "o", color="black", label="best constant")
    helps = f"helps from {low:.3g} to {high:.3g}, most at B* = {curve.best:.3g}"
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
    """A point, if it is on the panel; else an arrow from its nearest place there, outwards."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.set_ylim(bottom, top)  # what is marked must not move what it is compared with
    across = (baseline - left) / (right - left)
    up = math.log(max(variance, sys.float_info.min) / bottom) / math.log(top / bottom)
    text = f"yours: B = {baseline:.3g}, variance {variance:.3g}"
    if 0.0 <= across <= 1.0 and 0.0 <= up <= 1.0:
        axes.plot([baseline], [variance], "D", color=ORANGE, zorder=4, label="yours")
        side = "left" if across < 0.5 else "right"
        away = 5.0 if side == "left" else -5.0
        axes.annotate(
            text, (baseline, variance), (away, 5.0), textcoords="offset points",
            color=ORANGE, fontsize=6.0, ha=side, annotation_clip=False, bbox=PATCH,
        )  # fmt: skip
        return
    edge = [min(max(place, 0.0), 1.0) for place in (across, up)]
    beyond = 0 if edge[0] != across else 1  # the axis that it is off, the horizontal one first
    edge[1 - beyond] = min(max(edge[1 - beyond], 0.05), 0.95)  # not on the frame
    tail = list(edge)
    tail[beyond] = abs(edge[beyond] - 0.1)
    side = "left" if edge[0] < 0.5 else "right"
    axes.annotate(
        text, edge, tail, xycoords="axes fraction", textcoords="axes fraction", color=ORANGE,
        fontsize=6.0, ha="center" if beyond else side, va="center", label="yours", zorder=5,
        bbox=PATCH,
        arrowprops={"arrowstyle": "->", "color": ORANGE, "lw": 1.2, "shrinkA": 1, "shrinkB": 0},
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
