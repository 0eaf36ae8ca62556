"""The variance against a constant baseline, as a figure for a paper."""

from __future__ import annotations

from typing import Any

from gradproof.checks.evidence import Curve

from .style import GREY, ORANGE, PAGE, FigureLayout, group_style, name_lines

LAYOUT = FigureLayout(width=0.75 * PAGE, height=2.8)


def draw(axes: Any, curve: Curve, *, own: float | None = None, title: str = "") -> Any:
    """Draw a curve with its best baseline, the interval in which one helps, and the floor.

    Args:
        axes: of matplotlib; returned.
        own: the mean of a baseline that is looked at, to be marked.
    """
    low, high = sorted((0.0, curve.limit))
    axes.axvspan(low, high, color="0.92", zorder=0, label="a baseline helps")
    ends = _curves(axes, curve)
    axes.set_yscale("log")
    axes.axhline(curve.per_sentence, color=GREY, lw=0.8, label="best B of each sentence")
    ends.append(("best B of each sentence", curve.baselines[-1], curve.per_sentence, GREY))
    axes.plot([curve.best], [curve.least], "o", color="black", label="best constant")
    if own is not None:
        axes.axvline(own, color=ORANGE, lw=1.5, label="yours")
        _write_beside(axes, f" yours, {own:.3g}", own, 0.98, ha="left", va="top")
    helps = f"helps from {low:.3g} to {high:.3g}, most at B* = {curve.best:.3g}"
    _write_beside(axes, helps, (low + high) / 2.0, 1.01, ha="center")
    axes.set_xlim(curve.baselines[0], curve.baselines[-1])
    axes.set_xlabel("constant baseline B, in nats")
    axes.set_ylabel("variance of the gradient, summed")
    axes.set_title(title, loc="left", pad=12.0)
    name_lines(axes, ends)
    return axes


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
