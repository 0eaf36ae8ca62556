"""What methods of checking say of the catalogue's rows, as a record that is written and drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one method says of one row.

    ``wrong`` is the share of its runs in which it says that the estimator is wrong: 0 or 1 for a
    method that draws nothing. ``runs`` is how many there were. ``draws`` is how many the estimator
    was run for in one of them, on average. ``seconds`` is what one of them takes.
    """

    wrong: float
    runs: int
    draws: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class RowResult:
    """One row: what it is, the bias of its mean, and what each method says; None: it cannot tell.

    ``bias`` is the largest error of the exact mean over the largest entry of the exact gradient;
    None where there is no such mean.
    """

    key: str
    right: bool
    statement: str
    source: str
    sees: str
    bias: float | None
    answers: Mapping[str, Answer | None]


@dataclasses.dataclass(frozen=True)
class Method:
    """A method of checking, in a line."""

    id: str
    statement: str
    ours: bool


@dataclasses.dataclass(frozen=True)
class BenchmarkResult:
    """The whole matrix. ``seed`` is a number of any size, as text."""

    methods: tuple[Method, ...]
    rows: tuple[RowResult, ...]
    seed: str

    def catches(self, method: str) -> float:
        """Bugs that it says are wrong, on average over its runs."""
        return sum(_wrong(row, method) for row in self.rows if not row.right)

    def false_alarms(self, method: str) -> float:
        """Right estimators that it says are wrong, on average over its runs."""
        return sum(_wrong(row, method) for row in self.rows if row.right)

    def runs(self, method: str) -> int:
        """Runs on right estimators."""
        said = [row.answers[method] for row in self.rows if row.right]
        return sum(one.runs for one in said if one is not None)

    def seconds(self, method: str) -> float:
        """For one run on every row."""
        said = [row.answers[method] for row in self.rows]
        return sum(one.seconds for one in said if one is not None)

    @property
    def as_claimed(self) -> bool:
        """No false alarm of our methods, and every bug seen; those of the mean by the first."""
        ours = [method.id for method in self.methods if method.ours]
        quiet = all(self.false_alarms(method) == 0.0 for method in ours)
        of_mean = [row for row in self.rows if not row.right and row.sees == "mean"]
        exact = all(_wrong(row, ours[0]) == 1.0 for row in of_mean)
        return quiet and exact and self.seen == self.bugs

    @property
    def seen(self) -> int:
        """Bugs that one of our methods sees in every run."""
        ours = [method.id for method in self.methods if method.ours]
        bugs = [row for row in self.rows if not row.right]
        return sum(max(_wrong(row, method) for method in ours) == 1.0 for row in bugs)

    @property
    def bugs(self) -> int:
        """Rows that are wrong."""
        return sum(not row.right for row in self.rows)


def _wrong(row: RowResult, method: str) -> float:
    said = row.answers[method]
    return 0.0 if said is None else said.wrong
