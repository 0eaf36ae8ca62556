"""The panels of a report's figure: bias over bound, deviations, the law of one entry, its paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradproof.checks.evidence import GAP, entry
from gradproof.checks.user.plotted_report import PlottedReport

from .style import BLACK, BLUE, COLOURS, GREY, ORANGE, VERMILION, decades

#: Entries that are named one by one, a row each; of more there is a curve.
NAMED = 12

#: Parameters that have a colour, or a row, of their own; the rest have one together.
COLOURED, ROWS = 5, 12

#: Letters in the line of names above a panel, and what a mark takes of them: a longer line would
#: take its room from the panels, until the layout gives up.
LINE, MARKED = 48, 4
OTHERS = "all others"

#: Values up to which each has a line with a dot, and up to which it has a line; of more there is a
#: histogram.
DOTS, ATOMS, BINS = 20, 40, 40

#: What lies farther below 1 is within rounding by so much that it does not matter by how much.
FLOOR = 1e-4

#: Paths that are listed; the rest are one row.
LISTED = 4

#: A parameter, and the index of an entry.
Place = tuple[str, tuple[int, ...]]


#: The height of a panel in lines of text, without its rows: a title, an axis and what names them.
BESIDE, PANEL, ROW = 8.0, 18.0, 1.9


def height_of(panel: str, report: PlottedReport) -> float:
    """The height that a panel wants, in lines of text: more where there are more rows in it."""
    if panel == "deviation":
        return min(PANEL, BESIDE + ROW * len(report.variance))
    count = sum(values.size for values in report.ratios.values())
    if panel == "bias" and count <= NAMED:
        return min(PANEL, BESIDE + ROW * count)
    return PANEL


def draw_ratios(axes: Any, report: PlottedReport, at: Place) -> Any:
    """The error of each entry over its bound, the worst first, with the line at 1.

    Few entries are rows with their names; many are points by rank, coloured by parameter. What is
    below 1e-4 is drawn there, what is infinite at the other end.

    Args:
        axes: of matplotlib; returned.
        at: the entry that other panels are of.
    """
    names = [(name, index) for name, of in report.ratios.items() for index in np.ndindex(of.shape)]
    values = np.concatenate([of.reshape(-1) for of in report.ratios.values()])
    order = np.argsort(-values, kind="stable")
    top = float(values[np.isfinite(values)].max(initial=1.0))
    top = 10.0 ** (math.floor(math.log10(max(top, GAP))) + 1)
    values = np.clip(values, FLOOR, top)[order]
    ranked = [names[place] for place in order]
    what = report.ratio_words
    if len(values) <= NAMED:
        _name_ratios(axes, ranked, values, top)
        axes.set_xlabel(what)
    else:
        _rank_ratios(axes, ranked, values, top)
        axes.set_ylabel(what)
    _title(axes, "Error of each entry")
    return axes


def _name_ratios(axes: Any, names: Sequence[Place], values: np.ndarray, top: float) -> None:
    axes.axvspan(FLOOR, 1.0, color="0.93", lw=0.0, zorder=0, label="within the bound")
    axes.axvline(1.0, color=GREY, lw=0.8, zorder=1)
    _name_line(axes, "bound", 1.0, GREY, "center")
    rows, colours = range(len(names)), [_colour(value) for value in values]
    axes.hlines(rows, FLOOR, values, color=colours, lw=1.0)
    axes.scatter(values, rows, c=colours, s=14.0, zorder=3, clip_on=False)
    _rows_down(axes, [entry(*name) for name in names])
    axes.set_xscale("log")
    axes.set_xlim(FLOOR, top)
    _few_ticks(axes, "x")


def _rank_ratios(axes: Any, names: Sequence[Place], values: np.ndarray, top: float) -> None:
    axes.axhspan(FLOOR, 1.0, color="0.93", lw=0.0, zorder=0, label="within the bound")
    axes.axhline(1.0, color=GREY, lw=0.8, zorder=1)
    axes.annotate(
        "bound", (1.0, 1.0), (0.0, 1.0), xycoords=("axes fraction", "data"), color=GREY,
        textcoords="offset points", ha="right", va="bottom", fontsize="small",
    )  # fmt: skip
    ranks = np.arange(1, len(values) + 1)
    parameters = list(dict.fromkeys(name for name, _ in names))
    own = _in_a_line(parameters)
    groups = [*own, None] if len(parameters) > len(own) else own
    for place, group in enumerate(groups):
        there = np.array([(name if name in own else None) == group for name, _ in names])
        axes.plot(
            ranks[there], values[there], ".", ms=3.0, clip_on=False, zorder=3,
            color=COLOURS[1 + place] if group else GREY, label=group or OTHERS,
            rasterized=len(values) > 5000,  # or a page takes minutes to be drawn
        )  # fmt: skip
    lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    _legend_above(axes, lines if len(lines) > 1 else ())
    axes.set_yscale("log")
    axes.set_ylim(FLOOR, top)
    axes.set_xlabel("entries, the worst first")
    if len(values) > 1000:
        axes.set_xscale("log")
    _few_ticks(axes, "y")


def _in_a_line(names: Sequence[str]) -> list[str]:
    """All names, or the first that have room above a panel beside "all others"; at least one."""
    ends = np.cumsum([len(name) + MARKED for name in names])
    if len(names) <= COLOURED and ends[-1] <= LINE:
        return list(names)
    fitting = int(np.sum(ends <= LINE - len(OTHERS) - MARKED))
    return list(names[: min(max(1, fitting), COLOURED)])


def _colour(ratio: float) -> str:
    """Of an entry that is within its bound, beyond it, or beyond what could be rounding at all."""
    return BLUE if ratio <= 1.0 else ORANGE if ratio <= GAP else VERMILION


def draw_deviations(axes: Any, report: PlottedReport, at: Place) -> Any:
    """The standard deviation of each parameter: over its entries the root mean square, and range.

    Beside it the root mean square of the exact gradient, where there is one.
    """
    rows = sorted(report.variance.items(), key=lambda item: -float(item[1].sum()))
    rows = [(name, of) for name, of in rows if of.size]
    several = len(rows) > ROWS
    shown = rows[: ROWS - 1] if several else rows
    drawn: list[float] = []
    for row, (name, variance) in enumerate(shown):
        # Squares of large numbers overflow, and what is no number has no place.
        spread = np.sqrt(variance[np.isfinite(variance)])
        drawn += _deviation_row(axes, row, spread, report.estimand.get(name))
    names = [name for name, _ in shown]
    if several:
        names.append(f"{len(rows) - len(shown)} more vary less")
    _rows_down(axes, names)
    if drawn:
        axes.set_xscale("log")
        axes.set_xlim(*decades([*drawn]))
        _few_ticks(axes, "x")
    axes.set_xlabel("size of one entry")
    _title(axes, "Standard deviation")
    handles = [axes.plot([], [], "o", ms=4.0, color=BLUE, label="deviation")[0]]
    if report.estimand:
        handles += axes.plot([], [], "D", ms=4.0, mfc="white", mec=BLACK, label="gradient")
    _legend_above(axes, handles)
    return axes


def _deviation_row(
    axes: Any, row: int, spread: np.ndarray, exact: np.ndarray | None
) -> list[float]:
    """What is drawn in one row: numbers above zero, which have a place on a log axis."""
    positive = spread[spread > 0.0]
    drawn: list[float] = []
    if positive.size:
        axes.hlines(row, positive.min(), positive.max(), color=BLUE, lw=1.0, zorder=2)
        middle = float(np.sqrt(np.mean(spread**2)))
        axes.plot([middle], [row], "o", ms=4.0, color=BLUE, zorder=3)
        drawn += [float(positive.min()), float(positive.max()), middle]
    else:
        axes.annotate(
            "does not vary" if spread.size else "no number", (0.02, row), va="center",
            xycoords=("axes fraction", "data"), color=GREY, fontsize="small",
        )  # fmt: skip
    size = 0.0 if exact is None else float(np.sqrt(np.mean(exact**2)))
    if size > 0.0:
        axes.plot([size], [row], "D", ms=4.0, mfc="white", mec=BLACK, zorder=3)
        drawn.append(size)
    return drawn


def draw_law(axes: Any, report: PlottedReport, at: Place) -> Any:
    """All values of one entry's estimate and their probabilities, with the mean and the gradient.

    Few values are lines, each as high as its probability; many are a histogram.
    """
    assert report.path_law is not None  # or there would be no such panel
    values, weights = report.path_law.of_entry(*at)
    mean, exact = float(report.mean[at[0]][at[1]]), float(report.estimand[at[0]][at[1]])
    finite = np.isfinite(values)
    if len(values) <= ATOMS:
        axes.vlines(values[finite], 0.0, weights[finite], color=BLUE, lw=1.2)
        if len(values) <= DOTS:
            axes.plot(values[finite], weights[finite], "o", ms=3.0, color=BLUE)
        axes.set_ylabel("probability")
    else:
        axes.hist(values[finite], BINS, weights=weights[finite], color=BLUE, alpha=0.75)
        axes.set_ylabel("probability of a bin")
    axes.set_ylim(0.0, None)
    axes.axvline(exact, color=BLACK, lw=1.2)
    if not math.isfinite(mean):
        _name_line(axes, f"gradient {_number(exact)}", exact, BLACK, "center")
    elif report.ratios[at[0]][at[1]] <= 1.0:
        _name_line(axes, f"mean and gradient {_number(exact)}", exact, BLACK, "center")
    else:
        axes.axvline(mean, color=VERMILION, lw=1.2, ls="--")
        sides = ("right", "left") if exact < mean else ("left", "right")
        _name_line(axes, f"gradient {_number(exact)}", exact, BLACK, sides[0])
        _name_line(axes, f"mean {_number(mean)}", mean, VERMILION, sides[1])
    bad = float(weights[~finite].sum())
    axes.set_xlabel("estimate" if finite.all() else f"estimate (no number in {bad:.2g} of all)")
    _title(axes, f"Estimates of {entry(*at)}")
    return axes


def _name_line(axes: Any, text: str, x: float, colour: str, side: str) -> None:
    axes.annotate(
        text, (x, 1.0), (0.0, 2.0), xycoords=("data", "axes fraction"), color=colour,
        textcoords="offset points", ha=side, va="bottom", fontsize="small", annotation_clip=False,
    )  # fmt: skip


def draw_paths(axes: Any, report: PlottedReport, at: Place) -> Any:
    """The outcomes with the largest shares of one entry's bias, and what they give.

    A bar is a share, and the line in it the probability: where both agree, an outcome is no
    guiltier than any other.
    """
    assert report.path_law is not None  # or there would be no such panel
    paths = report.guilty_paths(at, LISTED)
    rest = 1.0 - sum(path.share for path in paths)
    left = 1.0 - sum(path.probability for path in paths)
    several = sum(path.paths for path in paths) < report.path_law.probabilities.size
    shares = [100.0 * path.share for path in paths] + ([100.0 * rest] if several else [])
    odds = [100.0 * path.probability for path in paths] + ([100.0 * left] if several else [])
    names = [
        f"{path.numbered}:\n{_number(path.estimate)}, expected {_number(path.reference)}"
        for path in paths
    ]
    if several:
        names.append("any other")
    rows = range(len(shares))
    colours = [VERMILION] * len(paths) + ["0.75"]
    axes.barh(rows, shares, 0.62, color=colours[: len(shares)])
    low, high = np.array(rows) - 0.31, np.array(rows) + 0.31
    line = axes.vlines(odds, low, high, color=BLACK, lw=1.2, label="probability, in %")
    _rows_down(axes, names)
    axes.axvline(0.0, color=GREY, lw=0.8)
    axes.tick_params(axis="y", labelsize="small")
    axes.set_xlabel("share of its bias, in %")
    _title(axes, f"Guilty paths of {entry(*at)}")
    _legend_above(axes, [line])
    return axes


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _title(axes: Any, text: str) -> None:
    """A title, with room for a line of words between it and the panel."""
    axes.set_title(text, loc="left", pad=0.7 * axes.title.get_fontsize() + 7.0)


def _legend_above(axes: Any, handles: Sequence[Any]) -> None:
    """What is what, in a line between the title and the panel."""
    if handles:
        axes.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(handles),
            frameon=False, fontsize="small", handlelength=0.8, handletextpad=0.4,
            columnspacing=1.0, borderpad=0.0, borderaxespad=0.2,
        )  # fmt: skip


def _rows_down(axes: Any, names: Sequence[str]) -> None:
    """One row a name, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0.0)


def _few_ticks(axes: Any, axis: str) -> None:
    """Powers of ten, some six of them."""
    axes.locator_params(axis=axis, numticks=6)
    axes.minorticks_off()
