"""The score of ways of checking, as a table for a terminal and a page in Markdown."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from gradproof.checks.scores import Said, Score, Scored, Way


def summary_table(score: Score) -> Table:
    """A row for each way: what it caught, missed and cried wolf at, and how long it takes."""
    table = Table("way", "caught", "missed", "false alarms", "time", "what it does")
    for way in score.ways:
        table.add_row(Text(way.id), *map(Text, _totals(score, way)), Text(way.statement))
    return table


def row_table(score: Score) -> Table:
    """A row for each estimator: the share of runs in which each way says that it is wrong."""
    table = Table("estimator", "is", "bias", *[way.id for way in score.ways])
    for row in score.rows:
        cells = [Text(_cell(row, way), style=_style(row, way)) for way in score.ways]
        table.add_row(Text(row.key), _kind(row), _bias(row), *cells)
    return table


def page(score: Score) -> str:
    """The whole matrix in Markdown."""
    return "\n".join([*_summary(score), "", *_matrix(score), "", *_sources(score), ""])


def _summary(score: Score) -> list[str]:
    right = len(score.rows) - score.bugs
    lines = [
        f"{score.bugs} bugs and {right} right estimators. Where a way draws, what it says is "
        "averaged over its runs.",
        "",
        "| way | caught | missed | false alarms | runs on right ones | time | what it does |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for way in score.ways:
        caught, missed, alarms, seconds = _totals(score, way)
        lines.append(
            f"| {way.id} | {caught} | {missed} | {alarms} | {score.runs(way.id):,} | {seconds} | "
            f"{way.statement} |"
        )
    return lines


def _totals(score: Score, way: Way) -> tuple[str, str, str, str]:
    caught = score.caught(way.id)
    asked = [row for row in score.rows if row.said[way.id] is not None]
    bugs = sum(not row.right for row in asked)
    alarms = f"{_count(score.false_alarms(way.id))} of {len(asked) - bugs}"
    return (
        f"{_count(caught)} of {score.bugs}",
        _count(score.bugs - caught),
        alarms,
        _duration(score.seconds(way.id)),
    )


def _matrix(score: Score) -> list[str]:
    heads = [way.id for way in score.ways]
    lines = [
        "Each cell is how often a way says that an estimator is wrong; `-`: it cannot be asked.",
        "",
        f"| estimator | is | bias | {' | '.join(heads)} |",
        f"|---|---|---:|{'---:|' * len(heads)}",
    ]
    for row in score.rows:
        cells = " | ".join(_cell(row, way) for way in score.ways)
        lines.append(f"| {row.key} | {_kind(row)} | {_bias(row)} | {cells} |")
    return lines


def _sources(score: Score) -> list[str]:
    lines = ["| estimator | what it is | seen in |", "|---|---|---|"]
    told = {}
    for row in score.rows:
        told.setdefault(row.key.split("/", 1)[1], row)
    for name, row in told.items():
        lines.append(f"| {name} | {row.statement} | {row.source} |")
    return lines


def _kind(row: Scored) -> str:
    if row.right:
        return "right"
    return "wrong" if row.sees == "mean" else f"wrong ({row.sees})"


def _bias(row: Scored) -> str:
    return "0" if row.right or row.bias == 0.0 else f"{row.bias:.1%}"


def _cell(row: Scored, way: Way) -> str:
    said: Said | None = row.said[way.id]
    return "-" if said is None else f"{said.wrong:.0%}"


def _style(row: Scored, way: Way) -> str:
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
