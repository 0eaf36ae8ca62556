"""What a report shows of itself, as data: pages, notebooks and terminals only read it."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from .json_records import from_json, to_json


@dataclasses.dataclass(frozen=True)
class SectionTable:
    """A table of texts: a title, columns, and rows of as many cells.

    Raises:
        ValueError: if a row has more cells than there are columns, or fewer.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"a row of {self.title!r} has {len(row)} cells, expected {len(self.columns)}: "
                    f"{', '.join(self.columns)}"
                )


class Headline(NamedTuple):
    """What a report says in a line: of what, its verdict, and where it is worst."""

    title: str
    verdict: str
    worst: str


@dataclasses.dataclass(frozen=True)
class Series:
    """Points of one name, in a panel; one point alone has its name beside it."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Panel:
    """What one axes shows, from zero upwards: series, and what their numbers are."""

    x_label: str
    y_label: str
    series: tuple[Series, ...]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """An error in units of its bound, and whose it is."""

    name: str
    ratio: float


@dataclasses.dataclass(frozen=True)
class Section:
    """One verdict, and all that is shown of what it rests on.

    ``worst`` says in a line where it is worst. ``facts`` are pairs of a name and a value.
    ``ratios`` are drawn as a figure, and ``figures`` are figures that are drawn already: each an
    ``<svg>`` element, put into the page as it is. They must not come from a user. All else is text,
    which a page escapes. ``snippet`` has the lines that repeat the check.
    """

    title: str
    verdict: str
    worst: str = ""
    paragraphs: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[SectionTable, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    figures: tuple[str, ...] = ()
    snippet: str = ""

    def to_json(self) -> str:
        """The section as a text that passes from process to process."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Section:
        """The section that :meth:`to_json` wrote."""
        return from_json(cls, text)
