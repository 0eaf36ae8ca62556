"""Evidence as the tables and sections of a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..evidence import Evidence
from ..section import Section, SectionTable

#: In the place of a verdict, where a check could not finish.
CRASHED = "crashed"

COLUMNS = (
    "claim", "framework", "verdict", "expected", "error", "bound", "numbers compared", "worst",
)  # fmt: skip


def evidence_table(evidence: Sequence[Evidence]) -> SectionTable:
    """A row for each claim in each variant and framework."""
    rows = tuple(
        (
            found.id,
            found.backend,
            verdict_of(found),
            found.expected,
            f"{found.error:.1e}",
            f"{found.bound:.1e}",
            f"{found.comparisons:,}",
            found.worst,
        )
        for found in evidence
    )
    return SectionTable("Verdicts", COLUMNS, rows)


def evidence_section(found: Evidence) -> Section:
    """One claim in one framework: what was compared, and the lines that repeat it."""
    plain = dataclasses.replace(found, snippet="")  # it has a place of its own on a page
    return Section(
        f"{found.id} [{found.backend}]",
        verdict_of(found),
        found.statement,
        paragraphs=tuple(plain.explain().splitlines()),
        snippet=found.snippet,
    )


def verdict_of(found: Evidence) -> str:
    """The verdict, or that there is none since the check could not finish."""
    return CRASHED if found.crash else found.verdict
