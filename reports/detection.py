"""The score of ways of checking, as tables for a terminal and for a page."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable

from rich.table import Table
from rich.text import Text

from gradproof.checks.benchmark.results import Answer, BenchmarkResult, Method, RowResult

from . import marked

#: Columns of a line of prose.
WIDTH = 120


def summary_table(score: BenchmarkResult) -> Table:
    """A row for each way: bugs caught and missed, false alarms, and how long it takes."""
    table = Table(
        "way", "caught", "missed", "not applicable", "false alarms", "time", "what it does"
    )
    for way in score.ways:
        table.add_row(Text(way.id), *map(Text, _totals(score, way)), Text(way.statement))
    return table


def row_table(score: BenchmarkResult) -> Table:
    """A row for each estimator: the share of runs in which each way says that it is wrong."""
    table = Table("estimator", "is", "bias", *[way.id for way in score.ways])
    for row in score.rows:
        cells = [Text(_cell(row, way), style=_style(row, way)) for way in score.ways]
        table.add_row(Text(row.key), _kind(row), _bias(row), *cells)
    return table


def filled(page: str, score: BenchmarkResult) -> str:
    """A page with every place of :data:`PARTS` written anew; ``answer`` is left to who writes it.

    Raises:
        ValueError: if a place is marked by another name, or has no end.
    """
    parts = {name: functools.partial(part, score) for name, part in PARTS.items()}
    return marked.filled(page, parts, ("answer",))


def summary(score: BenchmarkResult) -> str:
    """A row for each way."""
    lines = [
        "| way | bugs caught | missed | not applicable | false alarms | time | what it does |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for way in score.ways:
        lines.append(f"| {way.id} | {' | '.join(_totals(score, way))} | {way.statement} |")
    return "\n".join(lines)


def counts(score: BenchmarkResult) -> str:
    """A sentence: how many rows there are, and what came out."""
    ids = {right: {row.key.split("/")[1] for row in score.rows if row.right is right}
           for right in (True, False)}  # fmt: skip
    of_mean = sum(not row.right and row.sees == "mean" for row in score.rows)
    runs = ", ".join(
        f"{score.runs(way.id):,} of {way.id}"
        for way in score.ways
        if way.ours and score.runs(way.id)
    )
    return textwrap.fill(
        f"{len(ids[False])} bugs and {len(ids[True])} right estimators, most of them in PyTorch "
        f"and in NumPy: {score.bugs} and {len(score.rows) - score.bugs} rows. {of_mean} of the "
        f"bugs are biases of the mean, and the others show elsewhere; gradproof's ways together "
        f"see {score.seen} of {score.bugs}. Runs on right estimators: {runs}.",
        WIDTH,
    )


def _totals(score: BenchmarkResult, way: Method) -> tuple[str, ...]:
    caught = score.caught(way.id)
    applicable = [row for row in score.rows if row.said[way.id] is not None]
    bugs = sum(not row.right for row in applicable)
    alarms = f"{_count(score.false_alarms(way.id))} of {len(applicable) - bugs}"
    return (
        f"{_count(caught)} of {score.bugs}",
        _count(bugs - caught),
        str(score.bugs - bugs),
        alarms,
        _duration(score.seconds(way.id)),
    )


def matrix(score: BenchmarkResult) -> str:
    """A row for each estimator: how often each way says that it is wrong."""
    heads = [way.id for way in score.ways]
    lines = [
        f"| estimator | is | bias | {' | '.join(heads)} |",
        f"|---|---|---:|{'---:|' * len(heads)}",
    ]
    for row in score.rows:
        cells = " | ".join(_cell(row, way) for way in score.ways)
        lines.append(f"| {row.key} | {_kind(row)} | {_bias(row)} | {cells} |")
    return "\n".join(lines)


def sources(score: BenchmarkResult) -> str:
    """A row for each kind of estimator: what it is, and where it was seen."""
    lines = ["| estimator | what it is | seen in |", "|---|---|---|"]
    first: dict[str, RowResult] = {}
    for row in score.rows:
        first.setdefault(row.key.split("/", 1)[1], row)
    for name, row in first.items():
        lines.append(f"| {name} | {row.statement} | {row.source} |")
    return "\n".join(lines)


def _kind(row: RowResult) -> str:
    if row.right:
        return "right"
    return "wrong" if row.sees == "mean" else f"wrong ({row.sees})"


def _bias(row: RowResult) -> str:
    if row.bias is None:
        return "-"
    return "0" if row.right or row.bias == 0.0 else f"{row.bias:.1%}"


def _cell(row: RowResult, way: Method) -> str:
    said: Answer | None = row.said[way.id]
    return "-" if said is None else f"{said.wrong:.0%}"


def _style(row: RowResult, way: Method) -> str:
    said = row.said[way.id]
    if said is None:
        return "dim"
    good = said.wrong < 0.5 if row.right else said.wrong > 0.5
    return "green" if good else "bold red"


def _count(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 0.05 else f"{value:.1f}"


def _duration(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.1f} h"


#: What a page can quote, by name.
PARTS: dict[str, Callable[[BenchmarkResult], str]] = {
    "score": summary,
    "score-counts": counts,
    "score-matrix": matrix,
    "score-sources": sources,
}
