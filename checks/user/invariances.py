"""What must not move the mean of an estimator, checked without knowing what the mean should be.

Each row changes one thing of the estimator, and says what becomes of the mean. They catch what
needs no oracle: a baseline that depends on the draw, a score that is none, a sum over sentences
that is none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.limits import MOST_PATHS
from gradproof.estimators.enumeration.spread import RoundingBounds

from ..evidence import (
    FAR,
    HOLDS,
    REFUTED,
    UNDECIDED,
    Comparison,
    compare_entries,
    entry,
    judge,
    worst_of,
)
from ..report import Report
from ..section import Headline, Ratio, Section, SectionTable
from . import snippet
from .code_name import code_name
from .progress import Progress, telling
from .refused_draws import saying_instead
from .sections import comparison_table, small

#: What is added to a cost or a baseline: no round number, and of the size of many costs.
SHIFT = 2.71

#: What a cost is multiplied with: negative, so that a magnitude in the place of a number shows.
SCALE = -1.7

#: Steps that something which learns is taken through.
STEPS = 3

#: What to do about a continuous number in an estimator of which no exact gradient is known.
WITH_EXACT = (
    "or pass what it should estimate to check_estimator (exact=), which can integrate or sample it"
)

Means = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Invariance:
    """One change, given to the maker by a keyword, and what it does to the mean."""

    id: str
    keyword: str
    value: Any
    expected: Callable[[Means], Means]
    statement: str


def _identity(mean: Means) -> Means:
    return mean


def _scale(mean: Means) -> Means:
    return {key: SCALE * value for key, value in mean.items()}


#: A row each.
ROWS = (
    Invariance(
        "baseline-shift", "baseline", lambda b: b + SHIFT, _identity,
        f"adding {SHIFT} to the baseline leaves the mean",
    ),
    Invariance(
        "baseline-none", "baseline", lambda b: 0.0 * b, _identity,
        "leaving the baseline out leaves the mean",
    ),
    Invariance(
        "cost-shift", "cost", lambda f: f + SHIFT, _identity,
        f"adding {SHIFT} to the cost leaves the mean",
    ),
    Invariance(
        "cost-scale", "cost", lambda f: SCALE * f, _scale,
        f"multiplying the cost by {SCALE} multiplies the mean",
    ),
    Invariance(
        "state", "steps", STEPS, _identity,
        f"the mean at the first step is that after {STEPS} steps of learning",
    ),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, repr=False)
class InvarianceReport(Report):
    """The report on invariances: a comparison and a verdict for each, by its id.

    ``snippet`` has lines that repeat the check, as far as what it was given can be written.
    """

    name: str
    comparisons: Mapping[str, Comparison]
    verdicts: Mapping[str, str]
    not_run: tuple[str, ...]
    snippet: str = ""

    @property
    def verdict(self) -> str:
        """Refuted if one is; holds if all do."""
        for verdict in (REFUTED, UNDECIDED):
            if verdict in self.verdicts.values():
                return verdict
        return HOLDS

    def explain(self) -> str:
        """A line for each invariance."""
        lines = [f"{self.name}: {self.verdict}, by {len(self.verdicts)} invariances."]
        for name, verdict in self.verdicts.items():
            one = self.comparisons[name]
            lines.append(
                f"{verdict}: {_statement(name)}: {one.what} is off by {one.error:.1e}, at most "
                f"{one.bound:.1e} is rounding"
            )
        if self.not_run:
            lines.append(
                f"not run, since the maker takes no such keyword: {', '.join(self.not_run)}"
            )
        return "\n".join(lines)

    def headline(self) -> Headline:
        """Its name, its verdict, and the invariance that is farthest off, in units of its bound."""
        name, worst = max(self.comparisons.items(), key=lambda pair: pair[1].ratio)
        off = (
            f"{name}: {entry(worst.what, worst.index)} is off by {small(worst.error)}, at most "
            f"{small(worst.bound)} is rounding"
        )
        return Headline(self.name, self.verdict, off)

    def section(self) -> Section:
        """What a page shows of it."""
        table = comparison_table("Errors", self.comparisons)
        verdicts = tuple(
            (name, verdict, _statement(name)) for name, verdict in self.verdicts.items()
        )
        not_run = tuple((name, "not run", _statement(name)) for name in self.not_run)
        ratios = [Ratio(name, one.ratio) for name, one in self.comparisons.items()]
        return Section(
            *self.headline(),
            facts=(("invariances", f"{len(self.verdicts)}, and {len(self.not_run)} not run"),),
            tables=(
                SectionTable("Verdicts", ("invariance", "verdict", "claim"), verdicts + not_run),
                table,
            ),
            ratios=tuple(ratios),
            snippet=self.snippet,
        )


def check_invariances(
    make: Callable[..., Callable[..., Any]],
    inputs: Sequence[Any] = (),
    *,
    wrt: Any = None,
    sentences: int = 0,
    averaged: bool = False,
    classes: int = 0,
    paths: int = MOST_PATHS,
    progress: Progress | bool | None = None,
) -> InvarianceReport:
    """Is the mean of an estimator invariant as it must be, whatever the exact gradient is?

    Estimator: ``make()``, enumerated as :func:`.estimator.check_estimator` does.
    Valid when: the gradient is that of an expected cost by the score function. A cost that is also
    differentiated along the sample has the same invariances.

    Args:
        make: makes a fresh estimator; it may take ``cost`` and ``baseline``, functions that are
            applied to each cost and each baseline; ``steps``, by which what learns has learned;
            ``rows``, the sentences that there are; ``relabel``, a permutation by which outcome k is
            called ``relabel[k]`` everywhere. What it does not take is not run, as reported.
        sentences: N, for ``rows``: the mean of all is the sum over each alone.
        averaged: it is their average.
        classes: K, for ``relabel``, which must leave the mean as it is.
        progress: as of :func:`.estimator.check_estimator`.

    Raises:
        TypeError: if the maker takes none of the keywords, so that nothing could be compared.
        Other errors: as :func:`.estimator.check_estimator`.
    """
    given = dict(locals())
    taken = set(inspect.signature(make).parameters)
    name = code_name(make)
    comparisons: dict[str, Comparison] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(saying_instead(WITH_EXACT))
        listener = stack.enter_context(telling(progress, paths))

        def mean(**changes: Any) -> _Mean:
            estimator = Estimator(make(**changes), inputs, wrt=wrt)
            estimator.listener = listener
            enumeration = stack.enter_context(Enumeration(estimator, paths))
            return _Mean(enumeration, estimator)

        plain = mean()
        for row in _rows(classes):
            if row.keyword in taken:
                other = mean(**{row.keyword: row.value})
                comparisons[row.id] = _compare(row.expected(plain.mean), other, [plain], name)
        if "rows" in taken and sentences:
            alone = [mean(rows=[each]) for each in range(sentences)]
            share = 1.0 / sentences if averaged else 1.0
            total = {
                key: share * np.sum([one.mean[key] for one in alone], axis=0) for key in plain.mean
            }
            comparisons["sentences"] = _compare(total, plain, alone, name)
    if not comparisons:
        raise TypeError(
            f"{name} takes none of the keywords cost, baseline, steps, rows (with sentences=) and "
            "relabel (with classes=): there is nothing to vary"
        )
    keywords = {row.id: row.keyword for row in _rows(2)} | {"sentences": "rows"}
    return InvarianceReport(
        name=name,
        comparisons=comparisons,
        verdicts={key: judge([one]) for key, one in comparisons.items()},
        not_run=tuple(key for key in keywords if key not in comparisons),
        snippet=snippet.of_call(check_invariances, given),
    )


def _rows(classes: int) -> list[Invariance]:
    if classes < 2:
        return list(ROWS)
    turned = np.roll(np.arange(classes), 1)
    return [
        *ROWS,
        Invariance("relabel", "relabel", turned, _identity, "calling outcomes otherwise leaves it"),
    ]


def _statement(name: str) -> str:
    known = {row.id: row.statement for row in _rows(2)}
    return known.get(name, "the mean of all sentences is that of each alone, together")


class _Mean:
    """The mean of one estimator, with what rounding may do to it."""

    def __init__(self, enumeration: Enumeration, estimator: Estimator) -> None:
        self._moments = enumeration.moments()
        self._layout = self._moments.layout
        self.mean = self._layout.split(self._moments.mean())
        self.sizes = self._layout.split(self._moments.size())
        self._bounds = RoundingBounds(enumeration, self._moments, estimator.precision)

    def bounds(self, measured: bool) -> Means:
        """By parameter and entry."""
        spread = self._bounds.best() if measured else self._bounds.wide
        return self._layout.split(np.where(np.isfinite(spread.bound), spread.bound, FAR))

    def least(self) -> Means:
        """What adding up alone may do."""
        return self._layout.split(self._bounds.least)


def _compare(expected: Means, actual: _Mean, others: Sequence[_Mean], name: str) -> Comparison:
    """The worst of all parameters; bounds are measured where the cheap ones do not decide."""
    one = _compare_within(expected, actual, others, name, measured=False)
    means = [actual, *others]
    surely = all(
        (np.abs(actual.mean[key] - value) <= sum(mean.least()[key] for mean in means)).all()
        for key, value in expected.items()
    )
    if surely and judge([one]) == HOLDS:
        return one
    return _compare_within(expected, actual, others, name, measured=True)


def _compare_within(
    expected: Means, actual: _Mean, others: Sequence[_Mean], name: str, *, measured: bool
) -> Comparison:
    comparisons = []
    means = [actual, *others]
    bounds = [mean.bounds(measured) for mean in means]
    scale = max(float(size.max(initial=0.0)) for mean in means for size in mean.sizes.values())
    for key, value in expected.items():
        # Of a mean that is scaled, so is what it may be off by.
        bound = np.minimum(sum(one[key] for one in bounds) * max(1.0, abs(SCALE)), FAR)
        own = np.minimum(sum(one[key] for one in bounds[1:]) * max(1.0, abs(SCALE)), FAR)
        sizes = np.max([mean.sizes[key] for mean in means], axis=0)
        comparisons.append(
            compare_entries(
                key, actual.mean[key], value, bound, name, sizes=sizes, scale=scale, own_error=own
            )
        )
    # An entry that could not have been seen to be off counts, whichever is the worst.
    worst = worst_of(comparisons)
    coarsest = max(comparisons, key=lambda one: one.resolution)
    return dataclasses.replace(worst, coarsest=coarsest.resolution, unseen=coarsest.unseen)
