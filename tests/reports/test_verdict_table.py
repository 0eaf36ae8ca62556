"""The table of verdicts reads evidence, and computes nothing."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED, Evidence
from gradproof.reports.verdict_table import refutations, summary, surprises, verdict_table

EVIDENCE = Evidence(
    claim="gradient.e",
    variant="corrected",
    backend="autograd",
    statement="L ds - dH + dL",
    expected=HOLDS,
    verdict=HOLDS,
    comparisons=12,
    error=1e-15,
    bound=2e-12,
    signal=1.0,
    worst="e.embedding of somewhere",
    note="",
    resolution=1e-12,
    bound_reason="rounding",
    subjects=("somewhere",),
    seed=4,
    seconds=0.1,
)


def shown(*evidence: Evidence) -> str:
    """The table as plain text."""
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(verdict_table(evidence))
    return console.export_text()


def change(**changes: object) -> Evidence:
    """The evidence with some fields changed."""
    return dataclasses.replace(EVIDENCE, **changes)  # type: ignore[arg-type]


def test_a_column_for_each_framework() -> None:
    """One row a claim and variant; a framework that a check is not about gets a dash."""
    text = shown(EVIDENCE, change(backend="torch"), change(backend="torch", variant="other"))
    header, *rows = [line for line in text.splitlines() if "claim" in line or "holds" in line]
    assert header.index("autograd") < header.index("torch")
    assert len(rows) == 2
    assert "holds 1e-15/2e-12" in rows[0]
    assert "│ -" in rows[1]


def test_an_unexpected_verdict_is_marked() -> None:
    """The mark is a character: colour alone is lost in a file, and on some eyes."""
    assert "refuted !" in shown(change(verdict=REFUTED))
    assert "undecided !" in shown(change(verdict=UNDECIDED))
    assert "!" not in shown(change(verdict=REFUTED, expected=REFUTED))


def test_a_crash_is_not_a_verdict() -> None:
    """A check that could not finish shows as crashed, whatever was expected."""
    assert "crashed !" in shown(change(verdict=UNDECIDED, crash="ValueError: planted"))


def test_brackets_are_text() -> None:
    """Formulas have brackets, and the table must not take them for markup."""
    assert "[log q]" in shown(change(variant="[log q]"))


def test_explanations_name_the_numbers() -> None:
    """What is off the record is explained with error, bound, where, and how to repeat it."""
    wrong = change(verdict=REFUTED, error=0.5, snippet="print(1)")
    (paragraph,) = surprises([EVIDENCE, wrong])
    for words in ("expected holds", "5.000e-01", "at most 2.000e-12", "e.embedding", "print(1)"):
        assert words in paragraph
    assert refutations([EVIDENCE, wrong]) == [paragraph]


def test_summary_counts() -> None:
    """The last line says how many verdicts, of how many numbers, and the seed."""
    line = summary([EVIDENCE, change(verdict=REFUTED)], seed=9)
    assert line == "1 of 2 verdicts as recorded (1 refuted), 24 numbers compared, seed 9"
