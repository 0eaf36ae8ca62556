"""Tables of comparisons and of moments, as reports on anyone's estimator show them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..evidence import Comparison, entry
from ..section import Ratio, SectionTable

#: Entries of a table of the worst ones, and rows of a figure.
MOST_ENTRIES, MOST_RATIOS = 10, 20

Means = Mapping[str, np.ndarray]


def number(value: float) -> str:
    """A number as tables have it: seven digits."""
    return f"{value:.6e}"


def small(value: float) -> str:
    """An error, or a bound: two digits; infinity is a word."""
    if value == 0.0:
        return "0"
    return f"{value:.1e}" if math.isfinite(value) else str(value)


def largest_ratios(comparisons: Iterable[Comparison]) -> tuple[Ratio, ...]:
    """Errors in units of their bounds, the largest first, of the worst entries."""
    rows = [Ratio(entry(one.what, one.index), one.ratio) for one in comparisons if one.count]
    return tuple(sorted(rows, key=lambda row: -row.ratio)[:MOST_RATIOS])


def input_table(
    comparisons: Sequence[Comparison], mean: Means, exact: Means, variance: Means
) -> SectionTable:
    """A row for each parameter: its worst entry, in units of its bound."""
    columns = (
        "parameter", "shape", "worst entry", "mean", "exact", "error", "bound", "error / bound",
        "smallest visible error", "standard deviation",
    )  # fmt: skip
    rows = []
    for one in comparisons:
        if not mean[one.what].size:
            continue
        at = one.index
        spread = math.sqrt(variance[one.what][at])
        rows.append(
            (
                one.what,
                str(mean[one.what].shape),
                str(list(at)) if at else "-",
                number(mean[one.what][at]),
                number(exact[one.what][at]),
                small(one.error),
                small(one.bound),
                small(one.ratio),
                _share(one.resolution),
                small(spread),
            )
        )
    return SectionTable("Parameters", columns, tuple(rows))


def _share(value: float) -> str:
    return f"{100.0 * value:.1e} %" if math.isfinite(value) else "none"


def entry_table(mean: Means, exact: Means, variance: Means) -> SectionTable:
    """The entries whose means are farthest from what they should be, whatever their bounds."""
    worst: list[tuple[float, str, tuple[int, ...]]] = []
    for name, value in mean.items():
        off = np.abs(value - exact[name]).ravel()
        far = np.where(np.isnan(off), np.inf, off)
        for place in np.argsort(-far, kind="stable")[:MOST_ENTRIES]:
            index = tuple(int(each) for each in np.unravel_index(place, value.shape))
            worst.append((float(off[place]), name, index))
    worst.sort(key=lambda row: -math.inf if math.isnan(row[0]) else -row[0])
    rows = tuple(
        (
            entry(name, at),
            number(mean[name][at]),
            number(exact[name][at]),
            small(off),
            small(math.sqrt(variance[name][at])),
        )
        for off, name, at in worst[:MOST_ENTRIES]
    )
    columns = ("entry", "mean", "exact", "difference", "standard deviation")
    return SectionTable("Entries that are farthest off", columns, rows)


def comparison_table(title: str, comparisons: Mapping[str, Comparison]) -> SectionTable:
    """A row for each comparison, by a name of its own."""
    columns = ("what", "worst entry", "error", "bound", "error / bound", "smallest visible error")
    rows = tuple(
        (
            name,
            entry(one.what, one.index),
            small(one.error),
            small(one.bound),
            small(one.ratio),
            _share(one.resolution),
        )
        for name, one in comparisons.items()
    )
    return SectionTable(title, columns, rows)
