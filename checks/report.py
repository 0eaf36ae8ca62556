"""What every report has beside its evidence: a line, a small table, a page; and no truth value."""

from __future__ import annotations

import abc
import dataclasses
from os import PathLike
from pathlib import Path
from typing import Any

from .no_truth_value import NoTruthValue
from .section import Headline, Panel, Section, SectionTable


class Report(NoTruthValue, abc.ABC):
    """A report that can be shown: in a line, in a notebook, as a page that one keeps.

    A subclass is a frozen dataclass with ``repr=False``, or its line would be all of its arrays.
    """

    @abc.abstractmethod
    def headline(self) -> Headline:
        """Of what it is, its verdict, and where it is worst."""

    @abc.abstractmethod
    def section(self) -> Section:
        """What is shown: verdict, worst entries, tables, facts, and the lines that repeat it."""

    def sections(self) -> tuple[Section, ...]:
        """The section of the report itself, and one for each part of which there is more to say."""
        return (self.section(),)

    def page(self, *, repeat: str = "") -> str:
        """A page that one keeps, in HTML: one file, which reads nothing else and runs no script.

        Args:
            repeat: the command that repeats the check, in place of the report's own lines.
        """
        from gradproof.reports import html

        first, *others = self.sections()
        if repeat:
            first = dataclasses.replace(first, snippet=repeat)
        return html.page([first, *others])

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write :meth:`page` to a file; what was there is replaced.

        Raises:
            OSError: if it cannot be written.
        """
        Path(path).write_text(self.page(), encoding="utf-8")

    def __repr__(self) -> str:
        title, verdict, worst = self.headline()
        line = f"{type(self).__name__} {title}: {verdict}{'; ' if worst else ''}{worst}"
        return f"<{' '.join(line.split())}>"

    def _repr_html_(self) -> str:
        """For notebooks."""
        from gradproof.reports import html

        return html.table(self.section())

    def _repr_markdown_(self) -> str:
        """For what shows Markdown and no HTML."""
        from gradproof.reports import markdown

        return markdown.table(self.section())


class TableReport(Report):
    """A report that is a table and a figure of several estimators."""

    @abc.abstractmethod
    def table(self) -> SectionTable:
        """All numbers, as texts."""

    @abc.abstractmethod
    def panels(self) -> tuple[Panel, ...]:
        """What is drawn."""

    def markdown(self) -> str:
        """The table, for a page or a thread."""
        from gradproof.reports import table_text

        return table_text.markdown(self.table())

    def latex(self) -> str:
        """The table, for a paper that loads booktabs."""
        from gradproof.reports import table_text

        return table_text.latex(self.table())

    def plot(self, *, axes: Any = None, preset: str | None = None) -> Any:
        """A figure of matplotlib, a panel beside the other; there are no error bars to draw.

        Args:
            axes: as many as there are panels, where they are to be drawn.
            preset: a paper's size and fonts: ``neurips``, ``icml`` (a column), ``icml-wide``,
                ``column`` or ``page`` of a paper in two columns. Default: your rcParams.

        Raises:
            ValueError: for a preset that there is not, axes that do not fit, or nothing to draw.
            ModuleNotFoundError: without matplotlib, or tueplots for a conference's preset.
        """
        from gradproof.reports import series_figure

        return series_figure.plot(self.panels(), axes=axes, preset=preset)
