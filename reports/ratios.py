"""What a baseline does to the variance of every single parameter, as histograms of ratios."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradproof.checks.variance.records import RatioMap

from .plain_names import number
from .style import BLACK, BLUE, GREY, ORANGE, PAGE, FigureLayout

#: The share of the entries that the axis has room for at either end: one with next to no variance
#: must not press all others together. What lies beyond is in the last bin.
WITHIN = 0.999

#: The least reach of the axis, a factor: where all ratios are 1, rounding is not to be shown.
NARROW = 1.1

#: Bins of a panel.
BINS = 40

#: What a baseline of each kind is, in words.
KIND_NAMES = {
    "expected": "E[R|x] of each sentence as its baseline",
    "best": "the best baseline of each sentence",
    "constant": "the best constant baseline",
}


def layout(ratios: RatioMap) -> FigureLayout:
    """Two matrices a row."""
    rows = math.ceil(len(ratios.ratios) / 2)
    columns = min(2, len(ratios.ratios))
    return FigureLayout(PAGE, 0.7 + 1.15 * rows, rows=rows, columns=columns)


def draw(axes: Any, ratios: RatioMap, *, title: str = "") -> Any:
    """Draw the ratios of each matrix as a histogram, all on one axis of factors.

    Entries whose variance is lower with the baseline are blue, others orange; the line is at 1.
    Entries without variance have no ratio: how many there are is said.

    Args:
        axes: of matplotlib, an array with room for each matrix; returned.

    Raises:
        ValueError: if no matrix has an entry with a variance.
    """
    panels = list(np.ravel(np.asarray(axes, dtype=object)))
    edges = _edges(ratios)
    for panel, (name, values) in zip(panels, ratios.ratios.items(), strict=False):
        _histogram(panel, values[np.isfinite(values)], edges)
        panel.set_title(f"{name}: {_said(ratios, name)}", loc="left")
    for panel in panels[len(ratios.ratios) :]:
        panel.set_axis_off()
    figure = panels[0].figure
    figure.supxlabel(
        "variance of an entry with the baseline / without: below 1 (blue) it helps", fontsize=7.0
    )
    figure.supylabel("share of the entries, in %", fontsize=7.0)
    figure.suptitle(title, x=0.01, ha="left", fontsize=7.0)
    return axes


def _said(ratios: RatioMap, name: str) -> str:
    values = ratios.ratios[name]
    varying = int(np.isfinite(values).sum())
    if not varying:
        return f"none of {values.size:,} varies"
    without = f" ({values.size - varying:,} do not vary)" if varying < values.size else ""
    return f"lower in {100.0 * ratios.lowered_share(name):.0f} % of {varying:,}{without}"


def _edges(ratios: RatioMap) -> np.ndarray:
    """The bins, with an edge at 1: equal factors."""
    finite = [of[np.isfinite(of) & (of > 0.0)] for of in ratios.ratios.values()]
    seen = np.concatenate(finite) if finite else np.empty(0)
    if not seen.size:
        raise ValueError("no entry of any matrix has a variance, so there is no ratio to draw")
    logs = np.log10(seen)
    low, high = np.quantile(logs, [1.0 - WITHIN, WITHIN])
    least = math.log10(NARROW)
    low, high = min(float(low), -least), max(float(high), least)
    step = (high - low) / BINS
    below, above = math.ceil(-low / step), math.ceil(high / step)
    return np.asarray(10.0 ** (step * np.arange(-below, above + 1)))


def _histogram(panel: Any, values: np.ndarray, edges: np.ndarray) -> None:
    # 0 is the lowest ratio, and no lack of one.
    within = np.clip(values, edges[0], edges[-1])
    shares = 100.0 * np.histogram(within, edges)[0] / max(len(within), 1)
    colours = [BLUE if edge < 1.0 else ORANGE for edge in edges[:-1] * (1.0 + 1e-9)]
    panel.bar(edges[:-1], shares, np.diff(edges), align="edge", color=colours)
    panel.axvline(1.0, color=BLACK, lw=0.8)
    panel.set_xscale("log")
    panel.set_xlim(edges[0], edges[-1])
    ticks = _ticks(edges[0], edges[-1])
    panel.set_xticks(ticks, [_factor(tick) for tick in ticks])
    panel.set_xticks([], minor=True)
    if not len(values):
        panel.text(0.5, 0.5, "no variance", transform=panel.transAxes, ha="center", color=GREY)


def _ticks(low: float, high: float) -> list[float]:
    """1, and powers of ten, not too many; round factors where there is no room for a power."""
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    if len(powers) > 1:
        step = math.ceil(len(powers) / 6)
        return [10.0**power for power in powers if power % step == 0]
    sides = [factor for factor in (1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0) if low <= factor <= high]
    under = [1.0 / factor for factor in (5.0, 2.0, 1.25, 1.1) if low <= 1.0 / factor]
    return [*under, 1.0, *sides[-2:]]


def _factor(tick: float) -> str:
    """As a plain number near 1, and as a power of ten elsewhere; never both ways of one size."""
    power = math.log10(tick)
    if abs(power - round(power)) < 1e-9 and abs(power) > 1.5:  # it was made as a whole power
        return rf"$10^{{{round(power)}}}$"
    return number(tick)
