"""What a baseline does to the variance of every single parameter, as heat maps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradproof.checks.variance.records import RatioMap

from .style import PAGE, FigureLayout

#: Diverges from 1 in hue, and grows lighter throughout, so that grey print tells < 1 from > 1.
SHADES = ("#08244F", "#0072B2", "#B2B2B2", "#F2B45A", "#FFF1C9")

#: The share of the entries whose ratios the colours tell apart: one with next to no variance must
#: not make all others look alike. What lies beyond has the last colour, and the bar an arrow.
WITHIN = 0.98

#: The least reach of the colours, a factor: where all ratios are 1, rounding is not to be shown.
NARROW = 1.1


def layout(ratios: RatioMap) -> FigureLayout:
    """Two matrices a row."""
    rows = math.ceil(len(ratios.ratios) / 2)
    return FigureLayout(PAGE, 0.5 + 0.95 * rows, rows=rows, columns=2)


def draw(axes: Any, ratios: RatioMap, *, title: str = "") -> Any:
    """Draw each matrix as a map of its entries, all in one scale of colours, centred at 1.

    An entry without variance is hatched. A matrix that is higher than wide is laid on its side.

    Args:
        axes: of matplotlib, an array with room for each matrix; returned.

    Raises:
        ValueError: if no matrix has an entry with a variance.
    """
    panels = list(np.ravel(axes))
    reach = _reach(ratios)
    for panel, (name, values) in zip(panels, ratios.ratios.items(), strict=False):
        image = _map(panel, values, reach)
        panel.set_title(f"{name}, lower in {100.0 * ratios.lowered_share(name):.0f} %", loc="left")
    for panel in panels[len(ratios.ratios) :]:
        panel.set_axis_off()
    bar = panels[0].figure.colorbar(image, ax=axes, extend="both", shrink=0.8, aspect=30)
    bar.set_label("variance with the baseline / without")
    ticks, names = _ticks(reach)
    bar.set_ticks(ticks, labels=names)
    bar.minorticks_off()
    panels[0].figure.suptitle(title, x=0.01, ha="left", fontsize=7.0)
    return axes


def _reach(ratios: RatioMap) -> float:
    finite = [of[np.isfinite(of) & (of > 0.0)] for of in ratios.ratios.values()]
    seen = np.concatenate(finite) if finite else np.empty(0)
    if not seen.size:
        raise ValueError("no entry of any matrix has a variance, so there is no ratio to draw")
    return max(float(np.exp(np.quantile(np.abs(np.log(seen)), WITHIN))), NARROW)


def _map(panel: Any, values: np.ndarray, reach: float) -> Any:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    upright = values.shape[0] > values.shape[1]
    values = np.clip(
        values, np.finfo(np.float64).tiny, None
    )  # 0 is the lowest ratio, no lack of one
    panel.set_facecolor("white")
    panel.patch.set(hatch="//////", edgecolor="0.7", linewidth=0.0)
    for spine in panel.spines.values():
        spine.set_visible(True)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_xlabel(f"{max(values.shape)}", labelpad=1.0)
    panel.set_ylabel(f"{min(values.shape)}", labelpad=1.0)
    return panel.imshow(
        np.ma.masked_invalid(values.T if upright else values),
        cmap=LinearSegmentedColormap.from_list("ratio", SHADES).with_extremes(bad="none"),
        norm=LogNorm(1.0 / reach, reach),
        aspect="auto",
        interpolation="nearest",
    )


def _ticks(reach: float) -> tuple[list[float], list[str]]:
    """1, and on either side two round factors within reach."""
    powers = int(math.log10(reach))
    if powers >= 2:
        sides = [10.0 ** (powers // 2), 10.0**powers]
    else:
        sides = [step for step in (1.05, 1.1, 1.2, 1.5, 2.0, 5.0, 10.0) if step <= reach][-2:]
    ticks = [*(1.0 / step for step in reversed(sides)), 1.0, *sides]
    return ticks, [f"{tick:.3g}" for tick in ticks]
