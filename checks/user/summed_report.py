"""The report on a sum of independent estimates, each of which is enumerated by itself.

A batch of sentences of which none enters another's estimate is such a sum: it has K^N paths, and
its parts have N K. Means and variances add.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from gradproof.errors import GradproofError

from ..evidence import HOLDS, REFUTED, Comparison, NothingCompared, worst_of
from .direction import direction_of
from .estimator_report import EstimatorReport

#: What the verdict rests on.
CONDITION = "the parts of the sum draw independently"

#: The moments of a report that add, and the bounds.
ADDED = ("mean", "variance", "exact", "bounds")


class NotEnumerated(GradproofError, ValueError):
    """A part of a sum whose moments are not exact."""


class SummedReport:
    """A sum of independent estimates, to which reports on its parts are added one by one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sums: dict[str, dict[str, np.ndarray]] = {key: {} for key in ADDED}
        self._sizes: dict[str, np.ndarray] = {}
        self._comparisons: dict[str, Comparison] = {}
        self._parts: list[EstimatorReport] = []

    def add(self, part: EstimatorReport) -> None:
        """Add a part, by the same parameters as the others.

        Raises:
            NotEnumerated: for one that was sampled.
            ValueError: for one by other parameters.
        """
        if part.method != "enumerated":
            raise NotEnumerated(
                f"{part.name} was {part.method}, expected enumerated: only exact moments add; "
                "leave draws= out"
            )
        if self._sizes and list(part.mean) != list(self._sizes):
            raise ValueError(
                f"a part by {', '.join(part.mean)}, expected {', '.join(self._sizes)} as of the "
                "others"
            )
        for key, sums in self._sums.items():
            _add(sums, getattr(part, key))
        _add(self._sizes, {key: np.abs(value) for key, value in part.mean.items()})
        for one in part.comparisons:
            self._comparisons[one.what] = _both(self._comparisons.get(one.what), one)
        none: dict[str, np.ndarray] = {}
        self._parts.append(
            dataclasses.replace(part, mean=none, variance=none, exact=none, bounds={})
        )

    def report(self) -> EstimatorReport:
        """The report on the sum: it holds if every part does.

        Raises:
            NothingCompared: without a part.
        """
        if not self._parts:
            raise NothingCompared(f"{self._name}: a sum of no estimates, expected one or more")
        parts = self._parts
        worst = max(parts, key=lambda part: worst_of(part.comparisons).ratio)
        decisive = min(parts, key=lambda part: (REFUTED, part.verdict, HOLDS).index(part.verdict))
        return dataclasses.replace(
            worst,
            name=self._name,
            verdict=decisive.verdict,
            reason=decisive.reason,
            comparisons=tuple(self._comparisons.values()),
            paths=sum(part.paths for part in parts),
            draws=sum(part.draws for part in parts),
            seconds=sum(part.seconds for part in parts),
            repeats=sum(part.repeats for part in parts),
            notes=(
                f"It is a sum of {len(parts):,} independent estimates. Each was enumerated by "
                "itself, and the entry above is of the one that is farthest off.",
            ),
            condition=CONDITION,
            snippet="",
            direction=direction_of(
                decisive.verdict,
                self._sums["mean"],
                self._sums["exact"],
                self._sums["bounds"],
                self._sizes,
                {key: np.zeros_like(value) for key, value in self._sizes.items()},
            ),
            mean=self._sums["mean"],
            variance=self._sums["variance"],
            exact=self._sums["exact"],
            bounds=self._sums["bounds"],
        )


def _add(sums: dict[str, np.ndarray], more: Mapping[str, np.ndarray]) -> None:
    for key, value in more.items():
        sums[key] = sums[key] + value if key in sums else np.array(value, np.float64)


def _both(one: Comparison | None, other: Comparison) -> Comparison:
    """The worse of two, which could show no more than either."""
    if one is None:
        return other
    return dataclasses.replace(
        worst_of([one, other]),
        count=one.count + other.count,
        coarsest=max(one.resolution, other.resolution),
        unseen=tuple(dict.fromkeys((*one.unseen, *other.unseen))),
    )
