"""The note's open question, "which form of B?", as tables and sentences made of records alone.

A page that quotes them marks each place with ``<!-- name -->`` and ``<!-- /name -->``; what stands
between is written by :func:`fill`, and nobody types a number.
"""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from gradproof.checks.variance.records import BaselineVariance, EstimatorTable, Stage, Training

from . import marked
from .estimator_table import write_sentence, write_tables
from .stages import BEST, NONE, by_key, labels

#: By name: training runs, of which those with stages were measured.
Runs = Mapping[str, Training]

#: A baseline, and how it was fitted.
Key = tuple[str, str]

#: Columns of a line of prose.
WIDTH = 120

#: What the released code of the note's authors subtracts, as it is had for nothing in training.
RELEASED: Key = ("per-token", "running-mean")

#: The mean return of each sentence, for which all labels have to be tried.
EXPECTED: Key = ("expected-return", "exact")

#: Nothing, the simplest form, and the one that adds what the sentence is about to how long it is.
NOTHING: Key = (NONE, "none")
CONSTANT: Key = ("constant", "running-mean")
AFFINE: Key = ("affine-both", "mse")

#: Rows that the two forms of the score term are compared by.
COMPARED: tuple[Key, ...] = (
    NOTHING,
    CONSTANT,
    RELEASED,
    EXPECTED,
    (BEST, "exact"),
)


#: Places of the same pages that other reports write.
OTHERS = ("benchmark", "benchmark-counts", "moments-cost")


def fill(page: str, runs: Runs, table: EstimatorTable | None = None) -> str:
    """A page with every marked place written anew.

    Args:
        table: estimators side by side; their places are left alone where there is none.

    Raises:
        ValueError: if a place is marked by a name that is none of :data:`PARTS`, or has no end.
    """
    parts = {name: functools.partial(part, runs) for name, part in PARTS.items()}
    if table is None:
        return marked.fill(page, parts, (*OTHERS, *OF_TABLE))
    parts |= {name: functools.partial(part, table) for name, part in OF_TABLE.items()}
    return marked.fill(page, parts, OTHERS)


def shares(runs: Runs) -> str:
    """The share of the removable variance that each baseline removes, in %, at each stage."""
    return _by_baseline(measured_runs(runs), lambda row, _: _percent(row.share))


def factors(runs: Runs) -> str:
    """How many times smaller each baseline makes the variance, at each stage."""
    return _by_baseline(
        measured_runs(runs),
        lambda row, stage: _times(_none_row(stage).total / row.total),
        hidden=(),
    )


def helped_shares(runs: Runs) -> str:
    """The share of the sentences whose variance each baseline lowers, in %, at each stage."""
    return _by_baseline(
        measured_runs(runs), lambda row, _: None if row.helped is None else _percent(row.helped)
    )


def plus_one(runs: Runs) -> str:
    """The variance with the entropy differentiated over that with log q + 1 in the score term."""

    def ratio(row: BaselineVariance, stage: Stage) -> str | None:
        key = (row.baseline, row.fit)
        return f"{_analytic(stage, key):.2f}" if key in COMPARED else None

    return _by_baseline(measured_runs(runs), ratio, hidden=())


def groups(runs: Runs) -> str:
    """What the released form does to each parameter group: its variance over that without."""
    shown = measured_runs(runs)
    names = dict.fromkeys(group for run in shown for group in _none_row(run.stages[0]).variances)
    rows = []
    for group in names:
        cells = [" / ".join(_group_ratio(stage, group) for stage in run.stages) for run in shown]
        rows.append([group, *cells])
    return _table(["parameters", *map(title, shown)], rows)


def _group_ratio(stage: Stage, group: str) -> str:
    none, row = _none_row(stage).variances[group], by_key(stage)[RELEASED].variances[group]
    return f"{row / none:.2g}" if none > 0.0 else "-"


def training(runs: Runs) -> str:
    """Accuracies and seconds of runs with U sampled and enumerated, at equal steps."""
    compared = [run for run in runs.values() if _is_compared(run, runs.values())]
    rows = []
    for seed in sorted({run.seed for run in compared}):
        of = {run.estimator: run for run in compared if run.seed == seed}
        looks = len(of["enumeration"].steps)
        for look in sorted({1, looks // 2, looks - 1}):  # early, half way, at the end
            rows.append([str(seed), *_compare_at(of["sampled"], of["enumeration"], look)])
    head = ["seed", "steps", "enumerated", "seconds", "sampled, as many steps", "seconds"]
    return _table([*head, "sampled, as many seconds", "steps"], rows)


def texts(runs: Runs) -> str:
    """Which texts the runs were made with: where they were read from, and their checksum."""
    found = dict.fromkeys((run.data, run.source, run.fingerprint) for run in runs.values())
    return _table(["data", "read from", "checksum"], [list(row) for row in found])


def _is_compared(run: Training, runs: Iterable[Training]) -> bool:
    """Is there a run of the same seed, without stages, by each of the two estimators?"""
    if run.stages:
        return False
    twins = {each.estimator for each in runs if not each.stages and _is_same_task(each, run)}
    return twins == {"sampled", "enumeration"}


def _is_same_task(one: Training, other: Training) -> bool:
    return (one.model, one.data, one.seed) == (other.model, other.data, other.seed)


def _compare_at(sampled: Training, enumerated: Training, look: int) -> list[str]:
    steps, seconds = int(enumerated.steps[look]), float(enumerated.seconds[look])
    at = int(np.flatnonzero(sampled.steps == steps)[0])
    late = int(np.flatnonzero(sampled.seconds <= seconds)[-1])
    return [
        f"{steps:,}",
        f"{enumerated.accuracy[look]:.3f}",
        f"{seconds:.0f}",
        f"{sampled.accuracy[at]:.3f}",
        f"{sampled.seconds[at]:.0f}",
        f"{sampled.accuracy[late]:.3f}",
        f"{sampled.steps[late]:,}",
    ]


def seeds(runs: Runs) -> str:
    """How far shares of a second seed are from those of the first, in points of a percentage."""
    rows = []
    for first in measured_runs(runs):
        others = [run for run in runs.values() if run.stages and _of_another_seed(run, first)]
        for other in others:
            moved = _share_differences(first, other)
            cells = [f"{moved[key]:.1f}" for key in (CONSTANT, RELEASED)]
            rows.append([title(first), f"{first.seed}, {other.seed}", *cells, *_largest(moved)])
    return _table(
        ["run", "seeds", "constant", "per-token, running-mean", "furthest", "of which"], rows
    )


def _of_another_seed(run: Training, first: Training) -> bool:
    return (run.model, run.data) == (first.model, first.data) and run.seed != first.seed


def _share_differences(first: Training, other: Training) -> dict[Key, float]:
    """By baseline: by how much its share differs at most, over the stages."""
    found: dict[Key, float] = {}
    for one, two in zip(first.stages, other.stages, strict=True):
        again = by_key(two)
        for key, row in by_key(one).items():
            by = 100.0 * abs(row.share - again[key].share)
            found[key] = max(found.get(key, 0.0), by)
    return found


def _largest(moved: Mapping[Key, float]) -> list[str]:
    key = max(moved, key=lambda each: moved[each])
    return [f"{moved[key]:.1f}", ", ".join(key)]


def sentences(runs: Runs) -> str:
    """The answer in two sentences, of every run, and of each stage but the first: once trained."""
    stages = [stage for run in runs.values() for stage in run.stages[1:]]

    def share(key: Key) -> str:
        return _range([by_key(stage)[key].share for stage in stages], _percent)

    def smaller(key: Key) -> str:
        return _range(
            [_none_row(stage).total / by_key(stage)[key].total for stage in stages], _times
        )

    def harm(key: Key) -> str:
        helped = [by_key(stage)[key].helped for stage in stages]
        return _percent(1.0 - min(share for share in helped if share is not None))

    def without_plus_one(key: Key) -> str:
        return _range([_analytic(stage, key) for stage in stages], "{:.2f}".format)

    said = (
        f"Once a model has been trained for a while, b·|x| (a number times the sentence's length, "
        f"b a running mean) removes {share(RELEASED)} % of the variance that any B(x) can remove "
        f"and makes the gradient's variance {smaller(RELEASED)} times smaller, where one constant "
        f"removes {share(CONSTANT)} %, affine in length and mean embedding {share(AFFINE)} %, "
        f"and E[R|x], which takes a loss for each label, {share(EXPECTED)} %. Every form lowers "
        f"the variance of the batch at every stage, but b·|x| raises that of up to "
        f"{harm(RELEASED)} % of its sentences; and log q + 1 may as well stay in the score term: "
        f"with the entropy differentiated instead the variance is {without_plus_one(NOTHING)} "
        f"times as large without a baseline, {without_plus_one(RELEASED)} times with b·|x|, and "
        f"{without_plus_one(EXPECTED)} times with E[R|x]."
    )
    return textwrap.fill(said, WIDTH, break_on_hyphens=False)


def _range(values: Sequence[float], write: Callable[[float], str]) -> str:
    least, most = write(min(values)), write(max(values))
    return least if least == most else f"{least} to {most}"


def _analytic(stage: Stage, key: Key) -> float:
    """The variance with the entropy differentiated, over that with log q + 1."""
    other = next(row for row in stage.analytic if (row.baseline, row.fit) == key)
    return other.total / by_key(stage)[key].total


#: What a page can quote, by name.
PARTS: dict[str, Callable[[Runs], str]] = {
    "answer": sentences,
    "shares": shares,
    "factors": factors,
    "helped": helped_shares,
    "plus-one": plus_one,
    "groups": groups,
    "training": training,
    "seeds": seeds,
    "texts": texts,
}


#: What it can quote of the table of estimators, by name.
OF_TABLE: dict[str, Callable[[EstimatorTable], str]] = {
    "estimators": write_tables,
    "estimators-sentence": write_sentence,
}


def measured_runs(runs: Runs) -> list[Training]:
    """The first run of each model and corpus that has stages."""
    found: dict[tuple[str, str], Training] = {}
    for run in runs.values():
        if run.stages:
            found.setdefault((run.model, run.data), run)
    return list(found.values())


def _by_baseline(
    runs: Sequence[Training],
    cell: Callable[[BaselineVariance, Stage], str | None],
    hidden: Sequence[str] = (NONE, BEST),
) -> str:
    """A row for each baseline and a column for each run, in which the stages follow each other."""
    stages = [stage for run in runs for stage in run.stages]
    rows = []
    for key, name in labels(stages).items():
        found = [[cell(by_key(stage)[key], stage) for stage in run.stages] for run in runs]
        said = [[each for each in cells if each is not None] for cells in found]
        if key[0] not in hidden and all(said):
            rows.append([name, *map(" / ".join, said)])
    return _table(["baseline", *map(title, runs)], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def title(run: Training) -> str:
    """A run's column, or panel."""
    return f"{run.model} on {run.data}"


def _none_row(stage: Stage) -> BaselineVariance:
    return next(row for row in stage.rows if row.baseline == NONE)


def _percent(share: float) -> str:
    """With as many digits as tell it from 100, where it is near."""
    if math.isnan(share):
        return "-"
    left = abs(1.0 - share)
    digits = 1 if left == 0.0 or left >= 0.001 else 2
    return f"{100.0 * share:.{digits}f}"


def _times(factor: float) -> str:
    return f"{factor:.1f}" if factor < 10.0 else f"{factor:,.0f}"
