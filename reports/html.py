"""Sections as a page that one keeps: one file, without a script or a link to anything outside.

All text is escaped by the templates' environment. A section's ``figures`` are put in as they are:
that is the one place for figures which are drawn elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from gradproof.checks.evidence import GAP, HOLDS, PROPORTIONAL, REFUTED, UNDECIDED
from gradproof.checks.section import Ratio, Section
from gradproof.checks.versions import versions

#: Colours by verdict, with a sign beside them, since not everyone tells colours apart. What is not
#: here went wrong in some other way.
TONES = {
    HOLDS: ("good", "✓"),
    PROPORTIONAL: ("good", "∝"),
    "as recorded": ("good", "✓"),
    "tests passed": ("good", "✓"),
    REFUTED: ("bad", "✗"),
    UNDECIDED: ("open", "?"),
}
WRONG = ("bad", "!")

#: Beyond these decades of error over bound a dot stands at the edge: below, rounding is far from
#: its bound; above, twenty decades are as clear as more.
LOWEST, HIGHEST = -4, 16

#: Of the figure, in its own units: the width, where the axis begins and ends, a row's height.
WIDTH, LEFT, RIGHT, ROW = 340.0, 10.0, 330.0, 34.0


class Dot(NamedTuple):
    """An error in units of its bound, where it is drawn."""

    name: str
    ratio: str
    x: float
    y: float
    tone: str


class Tick(NamedTuple):
    """A mark of the axis."""

    label: str
    x: float
    anchor: str
    strong: bool


def page(
    sections: Sequence[Section], *, title: str = "", facts: Mapping[str, str] | None = None
) -> str:
    """A page of sections, the first of which is about all of it.

    Args:
        title: of the window. Default: that of the first section, with its verdict.
        facts: of the whole page. The versions are added.
    """
    first = sections[0]
    return _ENVIRONMENT.get_template("page.html.jinja").render(
        title=title or f"{first.title}: {first.verdict}",
        sections=sections,
        facts=dict(facts or {}) | versions(),
    )


def table(section: Section) -> str:
    """A small table of a section: for a notebook."""
    return _ENVIRONMENT.get_template("notebook.html.jinja").render(section=section)


def _tone(verdict: str) -> tuple[str, str]:
    return TONES.get(verdict, WRONG)


def _dots(ratios: Sequence[Ratio]) -> list[Dot]:
    top = _top(ratios)
    return [
        Dot(
            row.name,
            _words(row.ratio),
            _place(row.ratio, top),
            ROW * number,
            "good" if row.ratio <= 1.0 else "bad" if row.ratio > GAP else "open",
        )
        for number, row in enumerate(ratios)
    ]


def _words(ratio: float) -> str:
    if ratio == 0.0:
        return "0"
    return f"{ratio:.1e}" if math.isfinite(ratio) else "no number"


def _top(ratios: Sequence[Ratio]) -> int:
    """The decade at which the axis ends: one beyond the largest, and 2 at least."""
    largest = max((row.ratio for row in ratios if math.isfinite(row.ratio)), default=1.0)
    beyond = math.ceil(math.log10(largest)) + 1 if largest > 0.0 else 2
    return min(max(beyond, 2), HIGHEST)


def _place(ratio: float, top: int) -> float:
    decade = math.log10(ratio) if 0.0 < ratio < math.inf else -math.inf if ratio == 0.0 else top
    share = (min(max(decade, LOWEST), top) - LOWEST) / (top - LOWEST)
    return round(LEFT + share * (RIGHT - LEFT), 1)


def _ticks(ratios: Sequence[Ratio]) -> list[Tick]:
    top = _top(ratios)
    step = 2 if top - LOWEST <= 10 else 4  # so that labels stand clear of each other
    decades = range(LOWEST, top + 1, step)
    anchors = {LOWEST: "start", top: "end"}  # or the labels at the ends would be cut
    return [
        Tick(
            "1" if decade == 0 else f"1e{decade}",
            _place(10.0**decade, top),
            anchors.get(decade, "middle"),
            decade == 0,
        )
        for decade in decades
    ]


def _environment() -> jinja2.Environment:
    """Escapes everything, and knows no name that is missing."""
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"WIDTH": WIDTH, "ROW": ROW, "LEFT": LEFT, "RIGHT": RIGHT}
    environment.filters |= {"tone": _tone, "dots": _dots, "ticks": _ticks}
    return environment


_ENVIRONMENT = _environment()
