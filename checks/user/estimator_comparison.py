"""Estimators of one gradient side by side: what each is off by, and how much it varies."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.errors import GradproofError

from ..evidence import UNDECIDED, NothingCompared
from ..report import TableReport
from ..section import Headline, Panel, Section, SectionTable, Series
from .estimator import check_estimator
from .estimator_report import EstimatorReport
from .passes import Passes, expected_passes
from .sections import small

#: Draws that the mean squared error is of, where nobody says how many.
BUDGET = 100.0

#: What is drawn of each, in units of the gradient's length.
BIAS, DEVIATION = "bias / |gradient|", "standard deviation / |gradient|"

#: What costs are called where passes are counted, and what these are.
PASSES = "passes"
PASSES_WORDS = (
    "A forward pass is an evaluation of what CountedFunction marks, and a backward pass a gradient "
    "that comes back to its result; numbers are means over all paths, and each pass costs 1."
)

#: What a row is called that could not be checked.
NOT_CHECKED = "not checked"


@dataclasses.dataclass(frozen=True)
class ComparedEstimator:
    """One estimator of a comparison: its report, or why there is none.

    All numbers are in units of the gradient's length, or its square: NaN where that is zero, or
    where there is no report. ``cost`` is what one estimate costs, in a unit that all share; where
    that is passes, ``passes`` has them.
    """

    name: str
    cost: float
    report: EstimatorReport | None
    why: str = ""
    passes: Passes | None = None

    @property
    def verdict(self) -> str:
        """``holds``, ``refuted``, ``undecided``; of a refuted one where its mean points, if known.

        That is ``proportional``, ``zero`` or ``differs``.
        """
        if self.report is None:
            return NOT_CHECKED
        direction = self.report.direction
        if direction is None or direction.verdict == UNDECIDED:  # where it points, if anywhere
            return self.report.verdict
        return direction.verdict

    @property
    def bias(self) -> float:
        """The length of mean - gradient."""
        return self._length(lambda report, key: report.mean[key] - report.exact[key])

    @property
    def seen_bias(self) -> float:
        """The same, but zero where it is no more than rounding leaves."""
        return 0.0 if self.report is not None and self.report.unbiased else self.bias

    @property
    def factor(self) -> float:
        """Of the mean along the gradient."""
        direction = self.report.direction if self.report is not None else None
        return math.nan if direction is None else direction.factor

    @property
    def cosine(self) -> float:
        """Of the angle between mean and gradient."""
        direction = self.report.direction if self.report is not None else None
        return math.nan if direction is None else direction.cosine

    @property
    def variance(self) -> float:
        """Summed over all entries, of one estimate."""
        if self.report is None or self._unit == 0.0:
            return math.nan
        return self.report.total_variance / self._unit**2

    @property
    def variance_at_cost(self) -> float:
        """Of as many estimates as cost one unit: variance * cost."""
        return self.variance * self.cost

    @property
    def signal_to_noise(self) -> float:
        """The length of the mean over the root of the variance; infinite without a variance."""
        length = self._length(lambda report, key: report.mean[key])
        if math.isnan(length):
            return length
        return length / math.sqrt(self.variance) if self.variance > 0.0 else math.inf

    def mean_squared_error(self, budget: float) -> float:
        """Of a mean over as many estimates as ``budget`` pays for.

        That is bias^2 + variance * cost / budget.
        """
        return self.bias**2 + self.variance_at_cost / budget

    @property
    def _unit(self) -> float:
        return 0.0 if self.report is None else _norm(self.report.exact)

    def _length(self, vector: Callable[[EstimatorReport, str], np.ndarray]) -> float:
        if self.report is None or self._unit == 0.0:
            return math.nan
        return _norm({key: vector(self.report, key) for key in self.report.exact}) / self._unit


@dataclasses.dataclass(frozen=True, repr=False)
class EstimatorComparison(TableReport):
    """A table of estimators of one gradient, the smallest mean squared error first.

    ``budget`` is what the means may cost whose squared errors are compared, in units of ``costs``;
    ``unit`` is ``cost``, or ``passes`` where forward and backward passes were counted.
    """

    rows: tuple[ComparedEstimator, ...]
    budget: float
    unit: str = "cost"

    def __getitem__(self, name: str) -> ComparedEstimator:
        """The row of an estimator.

        Raises:
            KeyError: if there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no estimator {name!r}; there are {', '.join(r.name for r in self.rows)}")

    @property
    def verdict(self) -> str:
        """How many hold."""
        held = sum(row.report is not None and row.report.accepted for row in self.rows)
        return f"{held} of {len(self.rows)} hold"

    @property
    def accepted(self) -> bool:
        """Whether all hold, or are as ``judge`` asked."""
        return all(row.report is not None and row.report.accepted for row in self.rows)

    def table(self) -> SectionTable:
        """A row for each; numbers are in units of the gradient's length, or its square."""
        columns = (
            "estimator", "verdict", "bias", "factor", "cosine", "variance", *self._cost_columns,
            f"variance x {self.unit}", "signal / noise", f"MSE at {self.budget:g}", "paths",
            "seconds",
        )  # fmt: skip
        rows = tuple(self._cells(row, len(columns)) for row in self.rows)
        return SectionTable("Estimators", columns, rows)

    @property
    def _cost_columns(self) -> tuple[str, ...]:
        return ("forward", "backward") if self.unit == PASSES else ("cost",)

    def _cells(self, row: ComparedEstimator, columns: int) -> tuple[str, ...]:
        if row.report is None:
            return (row.name, row.verdict, *[""] * (columns - 2))
        report = row.report
        bias = "-" if math.isnan(row.seen_bias) else small(row.seen_bias)
        runs = f"{report.paths:,}" if report.paths else f"{report.draws:,} draws"
        costs = (row.cost,) if row.passes is None else (row.passes.forward, row.passes.backward)
        return (
            row.name, row.verdict, bias, _plain(row.factor), _plain(row.cosine),
            _plain(row.variance), *map(_plain, costs), _plain(row.variance_at_cost),
            _plain(row.signal_to_noise), _plain(row.mean_squared_error(self.budget)), runs,
            f"{report.seconds:.2f}",
        )  # fmt: skip

    def explain(self) -> str:
        """What each that does not hold has to say for itself, and what the numbers are."""
        lines = [
            "Bias, variance and mean squared error are in units of the gradient's length, and its "
            f"square; the last is of as many estimates as {self.budget:g} pays for."
        ]
        if self.unit == PASSES:
            lines.append(PASSES_WORDS)
        for row in self.rows:
            if row.report is None:
                lines.append(f"{row.name}: {NOT_CHECKED}: {row.why}")
            elif not row.report.accepted:
                lines.append(row.report.explain())
        return "\n".join(lines)

    def panels(self) -> tuple[Panel, ...]:
        """Bias against standard deviation, a point for each estimator."""
        series = tuple(
            Series(row.name, (math.sqrt(row.variance_at_cost),), (row.seen_bias,))
            for row in self.rows
            if math.isfinite(row.bias)
        )
        at = "one pass" if self.unit == PASSES else "equal cost"
        return (Panel(f"{DEVIATION} at {at}", BIAS, series),)

    def headline(self) -> Headline:
        """How many hold, and which costs least for its error."""
        return Headline("Estimators", self.verdict, f"{self.rows[0].name} has the least error")

    def section(self) -> Section:
        """What a page shows of it."""
        return Section(
            *self.headline(),
            paragraphs=tuple(self.explain().splitlines()),
            tables=(self.table(),),
        )

    def sections(self) -> tuple[Section, ...]:
        """The table, and a section for each estimator."""
        reports = (row.report for row in self.rows)
        return (self.section(), *(each.section() for each in reports if each is not None))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "budget": self.budget,
            "unit": self.unit,
            "estimators": [
                {
                    "name": row.name,
                    "verdict": row.verdict,
                    "why": row.why,
                    "cost": row.cost,
                    "forward": None if row.passes is None else row.passes.forward,
                    "backward": None if row.passes is None else row.passes.backward,
                    "bias": row.bias,
                    "factor": row.factor,
                    "cosine": row.cosine,
                    "variance": row.variance,
                    "variance_at_cost": row.variance_at_cost,
                    "signal_to_noise": row.signal_to_noise,
                    "mean_squared_error": row.mean_squared_error(self.budget),
                    "paths": 0 if row.report is None else row.report.paths,
                    "draws": 0 if row.report is None else row.report.draws,
                    "seconds": 0.0 if row.report is None else row.report.seconds,
                }
                for row in self.rows
            ],
        }


def compare_estimators(
    estimators: Mapping[str, Callable[..., Any]],
    inputs: Sequence[Any] = (),
    *,
    costs: Mapping[str, float] | str | None = None,
    budget: float = BUDGET,
    **options: Any,
) -> EstimatorComparison:
    """Estimators of one gradient in one table: bias, direction, exact variance, error at one cost.

    Estimand: as of :func:`check_estimator`, the same for all.
    Estimator: each is run on all of its own paths, so that no number has noise where these can be
    enumerated, and differences between two estimators are no accident of draws.
    Valid when: as of :func:`check_estimator`. An estimator that cannot be checked has a row that
    says why.

    Args:
        estimators: by the name of the row.
        costs: what one estimate costs, by name, in a unit of yours, such as samples or seconds. Or
            "passes": the expected number of evaluations of what :class:`CountedFunction` marks,
            and of gradients that come back to them. Default: 1 each.
        budget: in the same unit. Rows are sorted by the mean squared error of a mean over as many
            estimates as it pays for.
        options: of :func:`check_estimator`, ``exact`` or ``objective`` among them.

    Raises:
        NothingCompared: if none of them can be checked, or no passes can be counted.
        TypeError, ValueError: for costs or a budget that are none, and for options that do not fit.

    Reference: bias^2 + variance / n is the mean squared error of a mean of n independent estimates.
    """
    check_functions("estimators", estimators)
    reports: dict[str, Callable[[], EstimatorReport]] = {
        name: functools.partial(check_estimator, each, inputs, name=name, **options)
        for name, each in estimators.items()
    }
    passes = None
    if isinstance(costs, str):
        if costs != PASSES:
            raise ValueError(f'costs = {costs!r:.40}, expected "passes", or numbers by name')
        passes = {}
        for name, each in estimators.items():
            try:
                passes[name] = expected_passes(each, inputs, options)
            except (GradproofError, ArithmeticError, RuntimeError) as error:
                reports[name] = functools.partial(_fail, error)
        costs = {name: each.total for name, each in passes.items()}
    return compare_reports(reports, costs=costs, budget=budget, passes=passes)


def _fail(error: Exception) -> EstimatorReport:
    """No report: raises why passes could not be counted."""
    raise error


def check_functions(what: str, functions: object) -> None:
    """Whether they are functions by name.

    Raises:
        TypeError: if not.
    """
    if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
        raise TypeError(
            f"{what} = {functions!r:.60}, expected functions by name: {{'reinforce': f, ...}}"
        )


def compare_reports(
    reports: Mapping[str, Callable[[], EstimatorReport]],
    *,
    costs: Mapping[str, float] | None,
    budget: float,
    passes: Mapping[str, Passes] | None = None,
) -> EstimatorComparison:
    """A table of estimators, each with what makes its report.

    Args:
        passes: what costs are, where these were counted.

    Raises:
        NothingCompared, ValueError: as :func:`compare_estimators`.
    """
    costs = _checked(reports, costs, budget)
    counts = {} if passes is None else passes
    rows = [_row(name, costs[name], make, counts.get(name)) for name, make in reports.items()]
    if all(row.report is None for row in rows):
        whys = "; ".join(f"{row.name}: {row.why}" for row in rows)
        raise NothingCompared(f"none of the estimators can be checked: {whys}")
    rows.sort(key=lambda row: _order(row, budget))
    return EstimatorComparison(tuple(rows), float(budget), "cost" if passes is None else PASSES)


def _row(
    name: str, cost: float, make: Callable[[], EstimatorReport], passes: Passes | None
) -> ComparedEstimator:
    try:
        report = make()
    except (GradproofError, ArithmeticError, RuntimeError) as error:
        return ComparedEstimator(name, cost, None, " ".join(str(error).split()))
    return ComparedEstimator(name, cost, report, passes=passes)


def _order(row: ComparedEstimator, budget: float) -> tuple[bool, float]:
    """The least error first, and what has none last."""
    error = row.mean_squared_error(budget)
    return math.isnan(error), error


def _checked(names: Any, costs: Mapping[str, Any] | None, budget: Any) -> dict[str, float]:
    """The cost of each.

    Raises:
        ValueError: for costs or a budget that are no positive numbers, or of others.
    """
    if not names:
        raise ValueError("estimators is empty, expected two functions by name, or more")
    costs = {} if costs is None else dict(costs)
    strange = sorted(set(costs) - set(names))
    if strange:
        raise ValueError(f"costs has {strange[0]!r}, expected some of {', '.join(names)}")
    for name, cost in {**costs, "budget": budget}.items():
        if not (isinstance(cost, int | float) and 0.0 < float(cost) < math.inf):
            what = "budget" if name == "budget" else f"costs[{name!r}]"
            raise ValueError(f"{what} = {cost!r:.40}, expected a positive number")
    return {name: float(costs.get(name, 1.0)) for name in names}


def _norm(by_name: Mapping[str, np.ndarray]) -> float:
    return math.sqrt(sum(float((value**2).sum()) for value in by_name.values()))


def _plain(value: float) -> str:
    """Four digits, or a dash."""
    return "-" if math.isnan(value) else f"{value:.4g}"
