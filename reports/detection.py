"""What methods of checking came to on the benchmark, as tables for a terminal and for a page."""

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


def summary_table(result: BenchmarkResult) -> Table:
    """A row for each method: bugs caught and missed, false alarms, and how long it takes."""
    table = Table(
        "method", "caught", "missed", "not applicable", "false alarms", "time", "what it does"
    )
    for method in result.methods:
        table.add_row(Text(method.id), *map(Text, _totals(result, method)), Text(method.statement))
    return table


def row_table(result: BenchmarkResult) -> Table:
    """A row for each estimator: the share of runs in which each method says that it is wrong."""
    table = Table("estimator", "is", "bias", *[method.id for method in result.methods])
    for row in result.rows:
        cells = [Text(_cell(row, method), style=_style(row, method)) for method in result.methods]
        table.add_row(Text(row.key), _kind(row), _bias(row), *cells)
    return table


def fill(page: str, result: BenchmarkResult) -> str:
    """A page with every place of :data:`PARTS` written anew; ``answer`` is left to who writes it.

    Raises:
        ValueError: if a place is marked by another name, or has no end.
    """
    parts = {name: functools.partial(part, result) for name, part in PARTS.items()}
    return marked.fill(page, parts, ("answer",))


def summary(result: BenchmarkResult) -> str:
    """A row for each method."""
    lines = [
        "| method | bugs caught | missed | not applicable | false alarms | time | what it does |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for method in result.methods:
        lines.append(
            f"| {method.id} | {' | '.join(_totals(result, method))} | {method.statement} |"
        )
    return "\n".join(lines)


def counts(result: BenchmarkResult) -> str:
    """A sentence: how many rows there are, and what came out."""
    ids = {right: {row.key.split("/")[1] for row in result.rows if row.right is right}
           for right in (True, False)}  # fmt: skip
    of_mean = sum(not row.right and row.sees == "mean" for row in result.rows)
    runs = ", ".join(
        f"{result.runs(method.id):,} of {method.id}"
        for method in result.methods
        if method.ours and result.runs(method.id)
    )
    return textwrap.fill(
        f"{len(ids[False])} bugs and {len(ids[True])} right estimators, most of them in PyTorch "
        f"and in NumPy: {result.bugs} and {len(result.rows) - result.bugs} rows. {of_mean} of the "
        f"bugs are biases of the mean, and the others show elsewhere; gradproof's methods together "
        f"see {result.seen} of {result.bugs}. Runs on right estimators: {runs}.",
        WIDTH,
    )


def _totals(result: BenchmarkResult, method: Method) -> tuple[str, ...]:
    caught = result.catches(method.id)
    applicable = [row for row in result.rows if row.answers[method.id] is not None]
    bugs = sum(not row.right for row in applicable)
    alarms = f"{_count(result.false_alarms(method.id))} of {len(applicable) - bugs}"
    return (
        f"{_count(caught)} of {result.bugs}",
        _count(bugs - caught),
        str(result.bugs - bugs),
        alarms,
        _duration(result.seconds(method.id)),
    )


def matrix(result: BenchmarkResult) -> str:
    """A row for each estimator: how often each method says that it is wrong."""
    heads = [method.id for method in result.methods]
    lines = [
        f"| estimator | is | bias | {' | '.join(heads)} |",
        f"|---|---|---:|{'---:|' * len(heads)}",
    ]
    for row in result.rows:
        cells = " | ".join(_cell(row, method) for method in result.methods)
        lines.append(f"| {row.key} | {_kind(row)} | {_bias(row)} | {cells} |")
    return "\n".join(lines)


def sources(result: BenchmarkResult) -> str:
    """A row for each kind of estimator: what it is, and where it was seen."""
    lines = ["| estimator | what it is | seen in |", "|---|---|---|"]
    first: dict[str, RowResult] = {}
    for row in result.rows:
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


def _cell(row: RowResult, method: Method) -> str:
    said: Answer | None = row.answers[method.id]
    return "-" if said is None else f"{said.wrong:.0%}"


def _style(row: RowResult, method: Method) -> str:
    said = row.answers[method.id]
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
    "benchmark": summary,
    "benchmark-counts": counts,
    "benchmark-matrix": matrix,
    "benchmark-sources": sources,
}
