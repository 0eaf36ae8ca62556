"""Sections as small tables in Markdown, for what shows that and no HTML."""

from __future__ import annotations

import html
import re

from gradproof.checks.section import Section, SectionTable

#: Rows of the table: what is beyond them is counted.
MOST_ROWS = 10


def table(section: Section) -> str:
    """The verdict, where it is worst, and the first table, as far as it is short."""
    lines = [f"**{_text(section.title)}: {_text(section.verdict)}**"]
    if section.worst.strip():
        lines += ["", _text(section.worst)]
    if section.tables:
        lines += ["", *_rows(section.tables[0])]
    return "\n".join(lines) + "\n"


def _rows(rows: SectionTable) -> list[str]:
    lines = [_row(rows.columns), _row(("---",) * len(rows.columns), escape=False)]
    lines += [_row(row) for row in rows.rows[:MOST_ROWS]]
    more = len(rows.rows) - MOST_ROWS
    return [*lines, "", f"{more} more"] if more > 0 else lines


def _row(cells: tuple[str, ...], *, escape: bool = True) -> str:
    return f"| {' | '.join(_text(cell) if escape else cell for cell in cells)} |"


def _text(text: str) -> str:
    """In one line, with nothing in it that Markdown or HTML would take for its own."""
    line = html.escape(" ".join(text.split()))
    return re.sub(r"([\\`*_{}\[\]()#+!|~$-])", r"\\\1", line)
