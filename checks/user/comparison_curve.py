"""Estimators of one gradient along a path of parameters, such as a training run."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..report import TableReport
from ..section import Headline, Panel, Section, SectionTable, Series
from .estimator_comparison import (
    BIAS,
    DEVIATION,
    ComparedEstimator,
    EstimatorComparison,
    compare_estimators,
)
from .sections import small


@dataclasses.dataclass(frozen=True, repr=False)
class ComparisonCurve(TableReport):
    """A comparison of the same estimators at each point of a path.

    ``points`` are numbers, such as temperatures or steps; ``along`` is what they are of.
    """

    along: str
    points: tuple[float, ...]
    comparisons: tuple[EstimatorComparison, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the estimators, those first that have the least error at the most points."""
        firsts = [comparison.rows[0].name for comparison in self.comparisons]
        names = sorted(row.name for row in self.comparisons[0].rows)
        return tuple(sorted(names, key=lambda name: -firsts.count(name)))

    def best(self) -> dict[float, str]:
        """The estimator of the least mean squared error, by point."""
        rows = zip(self.points, self.comparisons, strict=True)
        return {point: comparison.rows[0].name for point, comparison in rows}

    def table(self) -> SectionTable:
        """A row for each point: bias, and standard deviation at equal cost, of each estimator."""
        columns = (self.along, *self.names, "least error")
        rows = []
        for point, comparison in zip(self.points, self.comparisons, strict=True):
            cells = [_cell(comparison[name]) for name in self.names]
            rows.append((f"{point:g}", *cells, comparison.rows[0].name))
        return SectionTable("bias, standard deviation at equal cost", columns, tuple(rows))

    def panels(self) -> tuple[Panel, ...]:
        """Bias and standard deviation along the path, a line for each estimator."""
        rows = {name: [each[name] for each in self.comparisons] for name in self.names}
        biases = tuple(
            Series(name, self.points, tuple(row.seen_bias for row in some))
            for name, some in rows.items()
        )
        deviations = tuple(
            Series(name, self.points, tuple(math.sqrt(row.variance_at_cost) for row in some))
            for name, some in rows.items()
        )
        return Panel(self.along, BIAS, biases), Panel(self.along, DEVIATION, deviations)

    def headline(self) -> Headline:
        """Which has the least error, and where."""
        best = list(dict.fromkeys(self.best().values()))
        return Headline(f"Along {self.along}", f"{len(self.points)} points", ", ".join(best))

    def section(self) -> Section:
        """What a page shows of it."""
        return Section(*self.headline(), tables=(self.table(),))


def compare_along(
    estimators: Mapping[str, Callable[..., Any]],
    points: Mapping[float, Sequence[Any]],
    *,
    along: str = "parameters",
    **options: Any,
) -> ComparisonCurve:
    """Estimators of one gradient at each point of a path: which of them should be used where?

    Estimand and estimator: as of :func:`compare_estimators`, at every point.
    Valid when: ``exact`` is a function of the inputs, or ``objective`` is given.

    Args:
        points: the inputs that estimators are called with, by a number: the steps of a training
            run, temperatures, how far off policy.
        along: what these numbers are of, for an axis.
        options: of :func:`compare_estimators`.

    Raises:
        ValueError: if there are no points, one is no number, or ``exact`` is the same numbers at
            all of them.
        Other errors: as :func:`compare_estimators`.
    """
    if not points:
        raise ValueError("points is empty, expected inputs by number: {0.5: (logits,), ...}")
    _check_points(points)
    if options.get("exact") is not None and not callable(options["exact"]):
        raise ValueError(
            "exact= is the same numbers at all points; pass a function of the inputs, or objective="
        )
    comparisons = tuple(
        compare_estimators(estimators, inputs, **options) for inputs in points.values()
    )
    return ComparisonCurve(along, tuple(map(float, points)), comparisons)


def _check_points(points: Iterable[object]) -> None:
    """Whether they are numbers.

    Raises:
        ValueError: if not.
    """
    for point in points:
        if not isinstance(point, numbers.Real):
            raise ValueError(f"points has the key {point!r:.40}, expected numbers, for an axis")


def _cell(row: ComparedEstimator) -> str:
    if row.report is None or math.isnan(row.bias):
        return "-"
    return f"{small(row.seen_bias)}, {math.sqrt(row.variance_at_cost):.3g}"
