"""The report on a user's baseline: verdicts, variances, and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from gradproof.estimators.note.parabola import Quadratics

from ..evidence import HOLDS, REFUTED, UNDECIDED, Evidence
from ..report import Report
from ..section import Headline, Section, SectionTable
from .baseline_search import Looked
from .evidence_sections import evidence_table

#: The share of a variance that is rounding: far below any gain that one would care for.
ROUNDS = 1e-9

#: What to do about a verdict that is not ``holds``, by variant.
ADVICE = {
    "own-number": "give a finite number for every sentence and batch: 0 where there is nothing to "
    "average, and in a clean state",
    "own-draw": "leave the sentence's own loss out of B, or use what was learned before this step",
    "own-gradient": "detach what B reads: the embeddings are the model's, and so are the losses",
    "own-mean": "the gradient is biased from the first step on; mend what is named above",
    "own-mean-alone": "a sentence alone has no others to average: give 0 there, and mend what is "
    "named above",
    "own-mean-shifted": "a constant changes no mean; mend what is named above",
    "own-draw-later": "leave the sentence's own loss out of B when it has learned, too",
    "own-gradient-later": "detach what B reads: what it learned weighs it, and so it leaks",
    "own-mean-later": "the gradient is biased once B has learned; mend what is named above",
}

#: The rows whose bound grows with B, so that too large a B leaves them undecided.
MEANS = ("own-mean", "own-mean-alone", "own-mean-shifted", "own-mean-later")


@dataclasses.dataclass(frozen=True)
class Variances:
    """What a baseline does to the variance of one group's gradient, exactly.

    ``none``, ``own`` and ``best`` are the variances without a baseline, with it, and with the one
    number for each sentence that is best for all groups together. ``noise`` is the part of ``own``
    that comes from random numbers which the baseline draws: an estimate, from repeated calls.
    """

    group: str
    none: float
    own: float
    best: float
    noise: float = 0.0


@dataclasses.dataclass(frozen=True, repr=False)
class BaselineReport(Report):
    """Verdicts on a baseline, and what it does to the variance.

    ``shares`` is what B contains of its own loss, on losses as the model's, by the number of
    sentences; None where it is in no proportion to it. ``changed`` are the attributes that a call
    changes. ``looked`` is what was searched.

    Shape:
        ``values`` and ``best`` (N,): B at one draw, and the baseline at which the variance is
        least. It helps sentence n where B lies between 0 and twice the best. ``noise`` (N,): the
        standard deviation of what B draws itself. A baseline that learns is looked at after
        ``learned`` steps; of one that does not that is 0.
    """

    name: str
    evidence: tuple[Evidence, ...]
    variances: tuple[Variances, ...]
    values: np.ndarray
    best: np.ndarray
    parabola: Quadratics
    learned: int
    noise: np.ndarray
    shares: Mapping[int, float | None]
    changed: tuple[str, ...]
    looked: Looked

    condition_words: ClassVar[str] = "report.usable, report.helps, or read report.verdict"

    @property
    def verdict(self) -> str:
        """Whether the estimate keeps its mean with it; undecided where a row is, or crashed."""
        verdicts = {found.verdict for found in self.evidence}
        return REFUTED if REFUTED in verdicts else HOLDS if verdicts == {HOLDS} else UNDECIDED

    @property
    def usable(self) -> bool:
        """Whether the estimate keeps its mean with it."""
        return self.verdict == HOLDS

    @property
    def factor(self) -> float:
        """All variances together, with it over without; NaN where there is none without."""
        none, own = (sum(getattr(each, of) for each in self.variances) for of in ("none", "own"))
        return own / none if none > 0.0 else float("nan")

    @property
    def helps(self) -> bool:
        """Whether all variances together are smaller with it, by more than they round."""
        return self.factor < 1.0 - ROUNDS

    @property
    def factors(self) -> np.ndarray:
        """The variance of each sentence's part with B over that without, (N,), by the parabola."""
        total = self.parabola.summed()
        value = sum(of.reshape(len(of), -1).sum(axis=1) for of in self.parabola.value.values())
        own, none = (
            value + shift * (total.curvature * shift - 2.0 * total.slope)
            for shift in (self.values - total.centre, -total.centre)
        )
        return np.divide(own, none, out=np.full(len(total.centre), np.nan), where=none > 0.0)

    @property
    def helps_between(self) -> tuple[float, float]:
        """Where the same baseline for every sentence lowers the variance; (0, 0) for nowhere."""
        total = self.parabola.summed()
        curvature = float(total.curvature.sum())
        if curvature <= 0.0:
            return 0.0, 0.0
        best = float((total.slope + total.curvature * total.centre).sum()) / curvature
        return min(0.0, 2.0 * best), max(0.0, 2.0 * best)

    def headline(self) -> Headline:
        """Its name, its verdict, and the rows that do not hold, or what it does to the variance."""
        bad = [found.variant for found in self.evidence if found.verdict != HOLDS]
        worst = f"the variance is {self.factor:.3g} times that without a baseline"
        return Headline(self.name, self.verdict, ", ".join(bad) or worst)

    def section(self) -> Section:
        """What a page shows of it."""
        columns = ("group", "no baseline", self.name, "best")
        rows = tuple(
            (each.group, f"{each.none:.4g}", f"{each.own:.4g}", f"{each.best:.4g}")
            for each in self.variances
        )
        low, high = self.helps_between
        facts = {
            "may be used": "yes" if self.usable else "no",
            "variance, with it over without": f"{self.factor:.4g}",
            "the same number for every sentence helps between": f"{low:.4g} and {high:.4g}",
        }
        return Section(
            *self.headline(),
            facts=tuple(facts.items()),
            tables=(
                evidence_table(self.evidence),
                SectionTable("Variance of the gradient, by group", columns, rows),
            ),
        )
