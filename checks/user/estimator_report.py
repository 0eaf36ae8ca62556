"""The report on an estimator: verdict, comparisons, moments, and the paragraph that explains it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.spread import CUT

from ..evidence import (
    COARSEST,
    DIFFERS,
    HOLDS,
    PROPORTIONAL,
    UNDECIDED,
    Comparison,
    entry,
    unresolved_quantities,
    worst_of,
)
from ..published_records import UNPUBLISHED
from ..section import Headline, Section
from .direction import EQUALITY, MeanDirection, judged_by_direction
from .error_words import error_words
from .estimate_law import EstimateLaw, GuiltyPath
from .plotted_report import Entry, PlottedReport, locate, ratios_of
from .sections import entry_table, input_table, largest_ratios, small


@dataclasses.dataclass(frozen=True)
class Bias:
    """Where a mean is farthest from what it should be, in units of what may be."""

    parameter: str
    index: tuple[int, ...]
    mean: float
    exact: float


@dataclasses.dataclass(frozen=True, repr=False)
class EstimatorReport(PlottedReport):
    """The report on one estimator; asserts, tables and figures only read it.

    ``method`` is ``enumerated``, ``integrated``, ``sampled``, or ``heaviest``: then ``paths`` were
    enumerated, of probability ``mass`` together (else 1 or 0), ``draws`` are of the others, and the
    variance is in part an estimate; or ``quasi``: then ``draws`` are random nets, of ``paths`` in
    all; or ``additive``: one of ``draws`` was changed at a time. ``mean`` and ``variance`` are over
    all paths, by parameter; ``exact`` is what the mean should be. ``paths`` were run, of at most
    ``draws`` draws; or as many ``draws`` were sampled, and ``detectable`` is the smallest bias that
    would have been seen in any entry. ``bound_reason`` says where bounds come from, ``changed``
    what a run leaves changed, which is put back, and ``repeats`` how many runs were made again;
    paths were run many at a time in so many ``blocks``, 0: one by one. ``reason`` is why there is
    no verdict, and ``condition`` what a sampled or an additive one depends on, after an "if".
    ``notes`` are facts that no verdict depends on. ``along`` is the direction that was compared,
    where that is all that was: then moments are of slopes. ``seed`` is that of the samples or the
    direction, None where none was given, and ``snippet`` has lines that repeat the check, as far as
    what it was given can be written. ``direction`` says where the mean points beside the gradient,
    None where not all of it is known. ``bounds`` are those of every entry, by parameter; of samples
    the smallest bias that would have been seen there. ``law`` has the estimates of all paths, if
    they were to be kept.
    """

    name: str
    verdict: str
    method: str
    comparisons: tuple[Comparison, ...]
    worst: Bias
    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]
    exact: Mapping[str, np.ndarray]
    paths: int
    draws: int
    seconds: float
    notes: tuple[str, ...] = ()
    detectable: float = 0.0
    mass: float = 1.0
    bound_reason: str = ""
    changed: tuple[str, ...] = ()
    repeats: int = 0
    blocks: int = 0
    reason: str = ""
    condition: str = ""
    along: str = ""
    seed: int | None = None
    snippet: str = ""
    bounds: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    direction: MeanDirection | None = None
    law: EstimateLaw | None = dataclasses.field(default=None, metadata=UNPUBLISHED)

    condition_words: ClassVar[str] = (
        "report.unbiased, read report.verdict, or let gradproof.assert_unbiased raise an error"
    )

    @property
    def ratios(self) -> Mapping[str, np.ndarray]:
        """The error of each entry in units of its bound, by parameter; 0 where both are 0."""
        return ratios_of(self.mean, self.exact, self.bounds)

    @property
    def estimand(self) -> Mapping[str, np.ndarray]:
        """What the mean should be, by parameter."""
        return self.exact

    @property
    def path_law(self) -> EstimateLaw | None:
        """The estimates of all paths, if they were kept."""
        return self.law

    @property
    def ratio_words(self) -> str:
        """What ``ratios`` are, for an axis."""
        return "bias / smallest that would be seen" if self._is_sampled else "bias / bound"

    @property
    def _is_sampled(self) -> bool:
        """Whether not all paths were run."""
        return self.method not in ("enumerated", "integrated", "additive")

    def guilty_paths(self, entry: Entry | None = None, most: int = 6) -> tuple[GuiltyPath, ...]:
        """The outcomes with the largest shares of an entry's bias; none if it is within its bound.

        Args:
            entry: "W[0, 3]", or ("W", (0, 3)). Default: the worst.
            most: paths that are listed.

        Raises:
            ValueError: if paths were not kept, or there is no such entry.
        """
        name, index = locate(entry, self.ratios)
        if self.law is None:
            raise ValueError(
                "no paths were kept; pass keep_paths=True to check_estimator, which enumerates "
                "them once more"
            )
        if self.ratios[name][index] <= 1.0:
            return ()
        return self.law.guilty_paths(name, index, float(self.exact[name][index]), most)

    @property
    def unbiased(self) -> bool:
        """Whether the mean is the exact gradient, as far as could be seen."""
        return self.verdict == HOLDS

    @property
    def accepted(self) -> bool:
        """Whether it is unbiased, or as ``judge`` asked, a positive multiple of the gradient."""
        return self.verdict in (HOLDS, PROPORTIONAL)

    def judged(self, judge: str) -> EstimatorReport:
        """The report, where a positive multiple of the gradient will do as well, if it says so."""
        if judge == EQUALITY:
            return self
        verdict, reason = judged_by_direction(self.verdict, self.direction)
        return dataclasses.replace(self, verdict=verdict, reason=reason or self.reason)

    @property
    def total_variance(self) -> float:
        """Summed over all entries of all parameters."""
        return float(sum(value.sum() for value in self.variance.values()))

    def explain(self) -> str:
        """A paragraph: what came out, where it is worst, and what to do next."""
        if self._is_sampled:
            verdict = "unbiased as far as could be seen" if self.unbiased else self.verdict
            verdict += f" {self.along}" if self.along else ""
            if self.condition and self.verdict != UNDECIDED:
                verdict += f", if {self.condition}"
            lines = [f"{self.name}: {verdict}.", *self.notes]
            if self.reason:
                lines.append(self.reason)
            elif self.verdict == UNDECIDED:
                lines.append(self._more_draws())
            return "\n".join(lines)
        worst = worst_of(self.comparisons)
        entry = f"{self.worst.parameter}{list(self.worst.index) if self.worst.index else ''}"
        rests = f", if {self.condition}" if self.condition else ""
        lines = [
            f"{self.name}: {'unbiased' if self.unbiased else self.verdict}"
            f"{f' {self.along}' if self.along else ''}{rests}, by "
            f"{_count(self.paths, 'path')} of at most {_count(self.draws, 'draw')}.",
            f"mean of {entry} is {self.worst.mean:.6e}, should be {self.worst.exact:.6e}: off by "
            f"{worst.error:.1e}, at most {worst.bound:.1e} is {self._allowed}, and gradients are "
            f"of size {worst.signal:.1e}.",
        ]
        lines.append(f"Bound: {self.bound_reason}.")
        if worst.note:
            lines.append(f"{worst.note}.")
        if self.direction is not None and self.direction.verdict == DIFFERS:
            lines.append(self.direction.sentence())
        if self.reason:
            lines.append(self.reason)
        elif self.verdict == UNDECIDED:
            lines.append(self._advice())
        return "\n".join(filter(None, [*lines, *self.notes]))  # a direction may have no sentence

    @property
    def _allowed(self) -> str:
        """What an error within its bound may be."""
        words = error_words(self.method)
        return f"{words} and left out" if CUT in self.bound_reason else words

    def headline(self) -> Headline:
        """Its name, its verdict, and the entry that is farthest off, in units of its bound."""
        worst = worst_of(self.comparisons)
        why = self._allowed
        at = entry(self.worst.parameter, self.worst.index)
        off = f"{at} is off by {small(worst.error)}, at most {small(worst.bound)} is {why}"
        condition = f", if {self.condition}" if self.condition else ""
        along = f"{self.along}: " if self.along else ""
        return Headline(self.name, self.verdict, along + (worst.note or off) + condition)

    def section(self) -> Section:
        """What a page shows of it."""
        moments = self.mean, self.exact, self.variance
        return Section(
            *self.headline(),
            paragraphs=tuple(self.explain().splitlines()),
            facts=self._facts(),
            tables=(input_table(self.comparisons, *moments), entry_table(*moments)),
            ratios=largest_ratios(self.comparisons),
            snippet=self.snippet,
        )

    def _facts(self) -> tuple[tuple[str, str], ...]:
        facts = {"method": self.method}
        if not self._is_sampled:
            facts |= {"paths": f"{self.paths:,}", "draws on a path, at most": f"{self.draws:,}"}
        else:
            if self.paths:
                facts["paths"] = f"{self.paths:,}"
            if self.paths and self.mass < 1.0:
                facts["of probability"] = f"{self.mass:.6g}"
            seed = "none was given" if self.seed is None else str(self.seed)
            facts |= {"draws": f"{self.draws:,}", "seed": seed}
            facts["smallest bias that would have been seen"] = small(self.detectable)
        if self.along:
            facts["compared"] = self.along
        if self.condition:
            facts["the verdict rests on this"] = self.condition
        if self.direction is not None and self.direction.verdict not in (HOLDS, UNDECIDED):
            one = self.direction
            facts["direction"] = (
                f"{one.verdict}: factor {one.factor:.6g}, cosine {one.cosine:.6g}, residual "
                f"{one.residual:.2g}"
            )
        facts |= {"total variance": f"{self.total_variance:.6e}", "time": f"{self.seconds:.2f} s"}
        return tuple(facts.items())

    def _more_draws(self) -> str:
        """What to do about samples that do not tell."""
        if self.method == "quasi":
            return (
                "Allow more paths (paths=), for nets of more points, and take more nets (draws=) "
                "to tell, or integrate or enumerate a smaller problem."
            )
        more = ", enumerate more paths (paths=)" if self.paths else ""
        return (
            f"Take more draws to tell{more} (the first only teach how far outcomes lie apart), "
            "average many samples in one draw, pass a larger rarest= if outcomes rarer than that "
            "do not matter, or enumerate a smaller problem."
        )

    def _advice(self) -> str:
        """What to do about a verdict that is none."""
        unseen = unresolved_quantities(self.comparisons)
        if not unseen:
            return "Rounding alone could explain the error: use double precision."
        finer = "use double precision"
        if self.method == "integrated":
            finer = "ask for a smaller error of the integral (integrate=)"
        return (
            f"An error of {COARSEST:.0%} would not have been seen in {', '.join(unseen)}: {finer}, "
            "or choose a problem in which less cancels."
        )


class Biased(GradproofError, AssertionError):
    """A biased estimator: its mean is not the exact gradient. ``checked`` is the report."""

    def __init__(self, checked: EstimatorReport) -> None:
        super().__init__(checked.explain())
        self.checked = checked


def bias_at(
    key: str,
    index: tuple[int, ...],
    mean: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
) -> Bias:
    """Of one entry: its mean, and what it should be."""
    return Bias(key, index, float(mean[key][index]), float(exact[key][index]))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
