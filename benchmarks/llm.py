"""Losses and trainers of libraries for language models, each beside the gradient that is wanted.

    python benchmarks/llm.py                    # all of them: ten minutes on two cores
    python benchmarks/llm.py --only verl torchrl  # of some libraries, the others are kept
    python benchmarks/llm.py --missing          # what the record lacks, or has undecided
    python benchmarks/llm.py --page             # docs/llm.md from the record, without running any

Writes docs/records/llm.json, and from it the table of docs/llm.md. It needs what is pinned in
constraints/trainers.txt.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from llm_rows import off_policy_rows, openrlhf_rows, torchrl_rows, trl_rows, verl_rows
from llm_rows.row import Answer, Row

from gradproof.checks.evidence import REFUTED, UNDECIDED, ZERO
from gradproof.checks.json_records import from_json, to_json
from gradproof.checks.user.estimator_report import EstimatorReport

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "records" / "llm.json"
PAGE = ROOT / "docs" / "llm.md"

#: The distributions whose versions the record has.
PACKAGES = ("verl", "openrlhf", "torchrl", "trl", "transformers", "torch")

#: Between these lines the page has its table.
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"

#: Decimals that are recorded: more than the page shows, and fewer than machines differ in.
DECIMALS = 6


@dataclasses.dataclass(frozen=True)
class LossTable:
    """The record: versions of the packages, and what was found of each option."""

    versions: Mapping[str, str]
    answers: tuple[Answer, ...]


def all_rows() -> list[Row]:
    """Every option, in the order of the page."""
    modules = verl_rows, off_policy_rows, openrlhf_rows, torchrl_rows, trl_rows
    return [row for module in modules for row in module.rows()]


def answer_of(row: Row) -> Answer:
    """What is found of an option."""
    report = row.check()
    verdict, factor, cosine = _direction(report)
    length = math.sqrt(sum(float(np.sum(each**2)) for each in report.exact.values()))
    deviation = math.sqrt(report.total_variance) / length
    numbers = (round(value, DECIMALS) for value in (factor, cosine, deviation))
    return Answer(row.library, row.option, row.estimand, verdict, *numbers, report.paths)


def _direction(report: EstimatorReport) -> tuple[str, float, float]:
    direction = report.direction
    if direction is None:
        return report.verdict, math.nan, math.nan
    if direction.verdict == UNDECIDED:  # then it may be known that it is not the gradient
        return report.verdict, direction.factor, direction.cosine
    if direction.verdict == ZERO:
        return ZERO, 0.0, math.nan
    return direction.verdict, direction.factor, direction.cosine


def versions() -> dict[str, str]:
    """Of each package, without what says which machine a build is for."""
    return {name: importlib.metadata.version(name).partition("+")[0] for name in PACKAGES}


def read() -> LossTable:
    """The record."""
    return from_json(LossTable, RECORD.read_text(encoding="utf-8"))


def write(table: LossTable) -> None:
    """The record, and the page's table from it."""
    RECORD.write_text(to_json(table) + "\n", encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")


def filled(page: str, table: LossTable) -> str:
    """A page with the table in its place.

    Raises:
        ValueError: if it has no place for it.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page has no place for the table: {BEGIN.strip()} {END.strip()}")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{markdown(table)}\n{END}{rest.split(END)[1]}"


def markdown(table: LossTable) -> str:
    """The table."""
    lines = [
        "| library | option | estimand | verdict | factor | cosine | deviation |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in table.answers:
        name = f"{one.library} {table.versions.get(one.library, '')}".strip()
        numbers = digits(one.factor, one.verdict), digits(one.cosine, one.verdict)
        deviation = f"{one.deviation:.3f}"
        cells = name, f"`{one.option}`", one.estimand, one.verdict, *numbers, deviation
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def digits(value: float, verdict: str) -> str:
    """Four digits, and as many more as keep what differs from looking as if it did not."""
    if math.isnan(value):
        return "-"
    rounded = f"{value:.4f}"
    return rounded if float(rounded) != 1.0 or verdict != "differs" else f"{value:.6f}"


def updated(names: Sequence[str], *, missing: bool = False) -> LossTable:
    """The record, with the options of some libraries tried anew; others stay as they are.

    Args:
        missing: of these only what the record lacks, or has undecided.
    """
    known = {_key(one): one for one in read().answers} if RECORD.is_file() else {}
    answers = []
    for row in all_rows():
        old = known.get(_key(row))
        again = not missing or old is None or old.verdict in (UNDECIDED, REFUTED)
        if row.library in names and again:
            answers.append(answer_of(row))
            print(f"{row.library} {row.option}, {row.estimand}: {answers[-1].verdict}", flush=True)
        elif old is not None:
            answers.append(old)
    return LossTable(versions(), tuple(answers))


def _key(one: Any) -> tuple[str, str, str]:
    return one.library, one.option, one.estimand


def main() -> None:
    """The command line."""
    libraries = list(dict.fromkeys(row.library for row in all_rows()))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=libraries, default=libraries)
    parser.add_argument("--missing", action="store_true", help="what the record lacks")
    parser.add_argument("--page", action="store_true", help="write the page from the record")
    given = parser.parse_args()
    write(read() if given.page else updated(given.only, missing=given.missing))


if __name__ == "__main__":
    main()
