"""A report on anyone's estimator, as a figure: where it is off, how much it varies, and why."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradproof.checks.user.plotted_report import Entry, PlottedReport, locate

from . import report_panels
from .paper_sizes import Paper, paper

#: What there may be to see, in the order in which it is drawn.
PANELS: dict[str, Callable[..., Any]] = {
    "bias": report_panels.draw_ratios,
    "deviation": report_panels.draw_deviations,
    "law": report_panels.draw_law,
    "paths": report_panels.draw_paths,
}

#: The width of two panels side by side where no paper sets one, in lines of text: 9.4 inches where
#: fonts have 10 points.
WIDTH = 68.0

#: Points in an inch.
INCH = 72.0


def panels_of(report: PlottedReport, entry: Entry | None = None) -> tuple[str, ...]:
    """The panels that a report has something for.

    Raises:
        ValueError: for an entry that there is not.
    """
    shown = ["bias"] if report.ratios else []
    if report.variance:
        shown.append("deviation")
    if report.path_law is not None:
        name, index = locate(entry, report.ratios)
        if report.path_law.is_kept(name, index):
            shown.append("law")
            if report.guilty_paths((name, index), 1):
                shown.append("paths")
    return tuple(shown)


def plot(
    report: PlottedReport,
    *,
    entry: Entry | None = None,
    panels: Sequence[str] | None = None,
    axes: Any = None,
    figure: Any = None,
    preset: str | None = None,
) -> Any:
    """The figure of a report; see :meth:`PlottedReport.plot`.

    Raises:
        ValueError: for an entry, panel or preset that there is not, and axes that do not fit.
        ModuleNotFoundError: without matplotlib, or tueplots for a conference's preset.
    """
    size = paper(preset)  # first: it says what is not installed
    from matplotlib import rc_context

    chosen = _chosen(report, entry, panels)
    with rc_context(size.rc):
        if axes is None:
            axes = _axes(report, chosen, size, figure)
        places = list(np.ravel(np.asarray(axes, dtype=object)))
        if len(places) != len(chosen):
            raise ValueError(
                f"axes has {len(places)} axes, expected one for each of {', '.join(chosen)}; give "
                "as many, or choose with panels="
            )
        at = locate(entry, report.ratios)
        for name, place in zip(chosen, places, strict=True):
            PANELS[name](place, report, at)
    return places[0].figure


def _chosen(
    report: PlottedReport, entry: Entry | None, panels: Sequence[str] | None
) -> tuple[str, ...]:
    there = panels_of(report, entry)
    if panels is None:
        if not there:
            raise ValueError("the report has no array to draw: it compares sets of names only")
        return there
    panels = (panels,) if isinstance(panels, str) else tuple(panels)
    for name in panels:
        if name not in PANELS:
            raise ValueError(f"panels has {name!r}, expected some of {', '.join(PANELS)}")
        if name not in there:
            raise ValueError(f"panels has {name!r}: {_why_not(report, name)}")
    if not panels:
        raise ValueError(f"panels is empty, expected some of {', '.join(there)}")
    return panels


def _why_not(report: PlottedReport, name: str) -> str:
    if name in ("law", "paths"):
        if report.path_law is None:
            return "no paths were kept; pass keep_paths=True to the check, which must enumerate"
        return "this entry is within its bound, or its estimates were not kept"
    return "there is nothing to be drawn of it"


def _axes(report: PlottedReport, chosen: Sequence[str], size: Paper, figure: Any) -> Any:
    """Panels one below the other in a column, in pairs elsewhere."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    columns = 1 if size.narrow or len(chosen) == 1 else 2
    pairs = [chosen[place : place + columns] for place in range(0, len(chosen), columns)]
    heights = [max(report_panels.height_of(panel, report) for panel in pair) for pair in pairs]
    if figure is None:
        line = float(rcParams["font.size"]) / INCH
        width = size.width or line * (WIDTH if columns > 1 else WIDTH / 2.0)
        figure = Figure(figsize=(width, line * sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(pairs), columns, height_ratios=heights)
    return [
        # The last panel of an odd number has the row for itself.
        figure.add_subplot(grid[row, column:] if len(pair) < columns else grid[row, column])
        for row, pair in enumerate(pairs)
        for column in range(len(pair))
    ]


def svg(
    report: PlottedReport,
    *,
    entry: Entry | None = None,
    panels: Sequence[str] | None = None,
    preset: str | None = "page",
) -> str:
    """The figure as one element ``<svg>``, to stand in a page of HTML.

    Text stays text; the same report gives the same characters. It scales to the width that it is
    given.

    Raises:
        ValueError, ModuleNotFoundError: as :func:`plot`.
    """
    figure = plot(report, entry=entry, panels=panels, preset=preset)
    from matplotlib import rc_context

    written = io.StringIO()
    # Parts have names, which must not be those of another figure's on the page.
    shown = [report.name, entry, panels, *(of.tobytes() for of in report.ratios.values())]
    name = hashlib.sha256(repr(shown).encode()).hexdigest()
    salt: Any = {"svg.fonttype": "none", "svg.hashsalt": name}
    with rc_context(salt):
        figure.savefig(written, format="svg", metadata={"Date": None})
    return _inline(written.getvalue(), report.name)


def page_figures(report: PlottedReport) -> tuple[str, ...]:
    """What a page shows beside its tables, if paths were kept; none without matplotlib."""
    panels = [name for name in panels_of(report) if name in ("law", "paths")]
    try:
        return (svg(report, panels=panels),) if panels else ()
    except ModuleNotFoundError:
        return ()


def _inline(drawn: str, name: str) -> str:
    """The element of a file, with nothing that would reach beyond it: no style, no unused ids."""
    drawn = drawn[drawn.index("<svg") :]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn))
    drawn = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", drawn)
    drawn = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", drawn, flags=re.DOTALL)
    style = "max-width: 100%; height: auto; stroke-linejoin: round; stroke-linecap: butt"
    label = html.escape(f"Figure of {name}")
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" style="{style}" ', 1)
