"""The table of estimators: seconds a step, accuracy, exact variance and cosine, side by side.

    python benchmarks/estimator_table.py                 # all of it: half an hour on two cores
    python benchmarks/estimator_table.py --data names-8 --seeds 1 --seconds 5 --record small.json

Writes docs/records/estimators.json after each run, and goes on with what is there. Each run has as
many seconds as any other, of one processor and of its steps alone. `python benchmarks/answer.py`
writes docs/answer.md and docs/estimators.svg from the record; `gradproof plot estimators RECORD`
draws it.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gradproof.checks.json_records import from_json, to_json
from gradproof.checks.variance.estimator_run import run_estimator
from gradproof.checks.variance.records import EstimatorRun, EstimatorTable
from gradproof.estimators.backends import load
from gradproof.estimators.training.checkpoint import replace_whole
from gradproof.estimators.training.training_options import TrainingOptions, make_task
from gradproof.estimators.training.unlabelled import ESTIMATORS
from gradproof.estimators.workers import share_out

RECORD = Path(__file__).resolve().parents[1] / "docs" / "records" / "estimators.json"

#: Corpora, and the tokens that a sentence is cut to.
DATA = {"names-8": 12, "names-61": 12, "r8": 30, "r52": 30}

#: The rows: estimators, and of ours the baselines.
ROWS: tuple[tuple[str, str | None], ...] = (
    ("enumeration", None),
    ("s1", None),
    ("s1-normalised", None),
    ("s2", None),
    ("no-baseline", None),
    ("sampled", "affine-both"),
    ("sampled", "expected-return"),
)

SEEDS = (1, 2, 3)

#: What all runs share. With more sentences a step that enumerates 52 labels takes gigabytes.
OPTIONS: dict[str, Any] = {"model": "seqdgm", "batch": 32, "labelled_batch": 32, "weights": "c"}

#: For each run, by default: 84 of them in half an hour on two processors, with what is measured.
SECONDS = 25.0

#: Held-out sentences that moments are of.
SENTENCES = 4


class Cell(NamedTuple):
    """One run of the table."""

    data: str
    estimator: str
    baseline: str | None
    seed: int

    def key(self) -> tuple[str, str, str, int]:
        """As the record names it."""
        own = ESTIMATORS[self.estimator].baseline or self.baseline or "none"
        return self.data, self.estimator, own, self.seed


def run(cell: Cell, seconds: float, steps: int, sentences: int) -> EstimatorRun:
    """A run, in a process of its own."""
    options = TrainingOptions(
        data=cell.data,
        length=DATA[cell.data],
        estimator=cell.estimator,
        baseline=cell.baseline,
        seed=cell.seed,
        **OPTIONS,
    )
    return run_estimator(make_task(options), seconds=seconds, most_steps=steps, sentences=sentences)


def empty(given: argparse.Namespace) -> EstimatorTable:
    """The record before any run."""
    torch = load("torch").torch  # type: ignore[attr-defined]
    options = OPTIONS | {"alpha": TrainingOptions().alpha}
    return EstimatorTable(
        machine=f"{platform.machine()}, one thread, PyTorch {torch.__version__}",
        options={name: str(value) for name, value in options.items()},
        budget=given.seconds,
        most_steps=given.steps,
        sentences=given.sentences,
        runs=(),
    )


def begun(path: Path, given: argparse.Namespace) -> EstimatorTable:
    """The record so far.

    Raises:
        ValueError: if it was begun with other options.
    """
    new = empty(given)
    if not path.is_file():
        return new
    old = from_json(EstimatorTable, path.read_text(encoding="utf-8"))
    for name in ("machine", "options", "budget", "most_steps", "sentences"):
        if getattr(old, name) != getattr(new, name):
            raise ValueError(
                f"{path} has {name} = {getattr(old, name)!r}, and this run {getattr(new, name)!r}: "
                "go on with the options it was begun with, or delete it"
            )
    return old


def with_run(table: EstimatorTable, one: EstimatorRun) -> EstimatorTable:
    """The record with one more run, in the order of the rows."""
    cells = [cell.key() for cell in cells_of(DATA, SEEDS)]
    runs = sorted((*table.runs, one), key=lambda made: cells.index(key_of(made)))
    return EstimatorTable(**vars(table) | {"runs": tuple(runs)})


def key_of(one: EstimatorRun) -> tuple[str, str, str, int]:
    """A run's cell."""
    return one.data, one.estimator, one.baseline, one.seed


def cells_of(data: Sequence[str] | dict[str, int], seeds: Sequence[int]) -> list[Cell]:
    """Every run: corpus by corpus, and the first seed of all rows before the second."""
    return [Cell(name, *row, seed) for name, seed, row in itertools.product(data, seeds, ROWS)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the steps of a run")
    parser.add_argument("--steps", type=int, default=10**6, help="of a run, at most")
    parser.add_argument("--sentences", type=int, default=SENTENCES, help="that moments are of")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    given = parser.parse_args()
    try:
        table = begun(given.record, given)
    except ValueError as error:
        parser.error(str(error))
    done = {key_of(one) for one in table.runs}
    left = [cell for cell in cells_of(given.data, given.seeds) if cell.key() not in done]
    say(f"{len(done)} runs are there, {len(left)} to go, {given.seconds:g} seconds each at most")
    began = time.perf_counter()
    for number, one in enumerate(results(left, given), start=1):
        table = with_run(table, one)
        replace_whole(given.record, to_json(table).encode())
        minutes = (time.perf_counter() - began) / 60.0
        say(
            f"{number}/{len(left)} {one.data} {one.estimator} {one.baseline} seed {one.seed}: "
            f"{one.steps[-1]} steps of {one.seconds_per_step:.3g} s, accuracy "
            f"{one.accuracy[-1]:.3f}; {minutes * (len(left) - number) / number:.0f} minutes to go"
        )
    say(f"wrote {given.record}; python benchmarks/answer.py writes the page and the figure")


def results(left: Sequence[Cell], given: argparse.Namespace) -> Any:
    """Each run as it ends."""
    arguments = given.seconds, given.steps, given.sentences
    yield from share_out(given.jobs, run, [(cell, *arguments) for cell in left])


def say(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
