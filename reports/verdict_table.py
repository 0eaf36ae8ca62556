"""Evidence as a table for a terminal: claims down, frameworks across."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED, Evidence

#: Colour is for a terminal; the word says it all without.
STYLES = {HOLDS: "green", REFUTED: "magenta", UNDECIDED: "yellow"}


def verdict_table(evidence: Sequence[Evidence]) -> Table:
    """One row for each claim and variant; a cell has the verdict and error / bound.

    A verdict that is not the recorded expectation is marked ``!``.
    """
    columns = list(dict.fromkeys(found.backend for found in evidence))
    rows: dict[str, dict[str, Evidence]] = {}
    for found in evidence:
        rows.setdefault(found.id, {})[found.backend] = found
    table = Table(
        title="Verdicts, with the error largest beside its bound / that bound",
        title_justify="left",
    )
    table.add_column("claim", overflow="fold")
    table.add_column("variant", overflow="fold")
    for column in columns:
        table.add_column(column)
    previous = ""
    for cells in rows.values():
        first = next(iter(cells.values()))
        new = first.claim != previous
        if new and previous:
            table.add_section()
        table.add_row(
            Text(first.claim if new else ""),
            Text(first.variant),
            *[_cell(cells.get(column)) for column in columns],
        )
        previous = first.claim
    return table


def _cell(found: Evidence | None) -> Text:
    if found is None:
        return Text("-", style="dim")
    if found.crash:
        return Text("crashed !", style="bold red")
    mark = "" if found.as_expected else " !"
    style = STYLES[found.verdict] if found.as_expected else "bold red"
    return Text(f"{found.verdict}{mark} {_number(found.error)}/{_number(found.bound)}", style=style)


def _number(value: float) -> str:
    if value == 0.0:
        return "0"
    return f"{value:.0e}" if math.isfinite(value) else "inf"


def refutations(evidence: Iterable[Evidence]) -> list[str]:
    """A paragraph for each refuted claim, with its smallest counterexample and a snippet."""
    return [found.explain() for found in evidence if found.verdict == REFUTED]


def surprises(evidence: Iterable[Evidence]) -> list[str]:
    """A paragraph for each verdict that is not the recorded expectation."""
    return [found.explain() for found in evidence if not found.as_expected]


def summary(evidence: Sequence[Evidence], seed: int) -> str:
    """One line: how much was compared, how it came out, and the seed that repeats it."""
    expected = sum(found.as_expected for found in evidence)
    compared = sum(found.comparisons for found in evidence)
    refuted = sum(found.verdict == REFUTED for found in evidence)
    return (
        f"{expected} of {len(evidence)} verdicts as recorded ({refuted} refuted), "
        f"{compared:,} numbers compared, seed {seed}"
    )
