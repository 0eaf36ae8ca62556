"""Estimates of which somebody says that they are a sum of terms, each of one draw alone.

Then one draw is changed at a time (see :mod:`gradproof.estimators.enumeration.additive_paths`).
That it is so is not proved: it is compared on random paths, on which all draws differ at once, and
the report says on how many, and how rare a path must be that may have been missed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.additive_paths import AdditivePaths, NotAdditive, OtherDraws
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.rounding import ROUNDINGS

from ..evidence import FAR, REFUTED, UNDECIDED, Comparison, compare_entries, entry, judge, worst_of
from .estimand import ROUNDED, Estimand, left_by_constants
from .estimator_report import EstimatorReport, bias_at
from .listing import list_names
from .progress import RunProgress
from .strategy import ALL

#: Random paths on which all draws differ at once: so many by the probabilities of outcomes, and as
#: many on which each outcome of a draw is as likely as the others, so that rare ones meet. A run
#: takes a millisecond or less, so that a second is spent; what a violation must have less of to be
#: missed with a probability of 1e-6 is three hundredths of all probability.
WITNESSES = 500

#: What the verdict rests on.
CONDITION = "the estimate is a sum of terms of one draw each, as additive=True says"


def check_is_additive(given: Mapping[str, Any]) -> None:
    """Whether it is said that estimates are additive, and goes with the other arguments of a check.

    Raises:
        TypeError: if not.
    """
    if not isinstance(given["additive"], bool):
        raise TypeError(f"additive = {given['additive']!r:.60}, expected True or False")
    if not given["additive"]:
        return
    refused = {
        "batch=True": given["batch"] is True,
        "jobs=": given["jobs"] != 1,
        f"strategy={given['strategy']!r}": given["strategy"] != ALL,
        "exchangeable=True": given["exchangeable"],
        "fast=True": given["fast"],
        "integrate=": given["integrate"] is not None,
        "draws=": given["draws"] > 0,
        "keep_paths=True": given["keep_paths"],
    }
    for name, is_given in refused.items():
        if is_given:
            raise TypeError(f"{name} does not go with additive=True: leave one of them out")


def check_additive(
    label: str,
    estimator: Estimator,
    estimand: Estimand,
    given: Mapping[str, Any],
    listener: RunProgress | None,
) -> EstimatorReport:
    """The report on an estimator whose estimates are said to be sums over draws.

    Args:
        given: the arguments of :func:`.estimator.check_estimator`.

    Raises:
        NotAdditive: if they are not; the message names draws that do not add up.
        NotEnumerable: for an unsupported draw, too many paths, or nondeterministic code.
    """
    started = time.perf_counter()
    seed = secrets.randbits(32) if given["seed"] is None else int(given["seed"])
    with Enumeration(estimator, given["paths"], batch=False) as enumeration:
        check = _AdditiveCheck(label, estimator, estimand, given)
        check.run(enumeration, np.random.default_rng(seed), listener)
    return check.report(time.perf_counter() - started, seed)


class _AdditiveCheck:
    """The moments of an additive estimator, and what was seen of its being one."""

    def __init__(
        self, label: str, estimator: Estimator, estimand: Estimand, given: Mapping[str, Any]
    ) -> None:
        self._label, self._estimator, self._given = label, estimator, given
        self._exact = estimand.with_measured_error()
        self._layout = GradientLayout(estimand.value)

    def run(
        self, enumeration: Enumeration, rng: np.random.Generator, listener: RunProgress | None
    ) -> None:
        """Change draws one at a time, and look at random paths."""
        self._paths = paths = AdditivePaths(enumeration, self._layout, rng)
        paths.change_each(self._given["paths"])
        self._changing = paths.count
        if listener is not None:
            listener.sample(2 * WITNESSES)
        self._off = np.zeros(self._layout.size)
        for evenly in (False, True):
            for _ in range(WITNESSES):
                self._witness(paths.draw(evenly=evenly))
        self._changed, self._repeats = enumeration.changed, enumeration.repeats

    @property
    def _step(self) -> float:
        """Of the arithmetic, from 1 to the next number."""
        precision = max(self._estimator.precision, self._given["precision"])
        return max(precision, self._paths.precision)

    def _witness(self, outcomes: Mapping[int, int]) -> None:
        """Compare a path with the sum of what each of its draws adds.

        Raises:
            NotAdditive: if it differs.
        """
        paths = self._paths
        try:
            total, size = paths.predicted(outcomes)
            off = paths.row(outcomes) - total
            if self._is_off(off, size):
                self._refuse(outcomes)
        except OtherDraws as error:
            raise NotAdditive(
                f"draws are not independent: {paths.describe(error.place)} {error.how} where "
                "several others come out otherwise; leave additive=True out"
            ) from error
        self._off = np.maximum(self._off, np.where(np.isfinite(off), np.abs(off), 0.0))

    def _is_off(self, off: np.ndarray, size: np.ndarray) -> bool:
        """Whether it is by more than rounding, as of what is added up in any entry.

        Where a change alone makes an entry infinite or no number, so it is in the mean.
        """
        finite = np.isfinite(size)
        allowed = ROUNDINGS * self._step * float(size[finite].max(initial=0.0))
        with np.errstate(invalid="ignore"):
            return bool((~(np.abs(off) <= allowed))[finite].any())

    def _refuse(self, outcomes: Mapping[int, int]) -> None:
        """Raises: NotAdditive, with few draws of this path that do not add up."""
        paths = self._paths
        places = paths.interacting(outcomes, self._is_off)
        fewer = {place: outcomes[place] for place in places}
        total, _ = paths.predicted(fewer)
        row = paths.row(fewer)
        off = np.abs(row - total)
        at = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
        where = self._layout.entry(at)
        names = " and ".join(f"{paths.describe(each)} -> {outcomes[each]}" for each in places)
        raise NotAdditive(
            f"the estimate is no sum of terms of one draw each: {entry(*where)} is {row[at]:.6e} "
            f"where {names} come out together, and {total[at]:.6e} by what each of them adds; a "
            "baseline or a normalisation may mix examples: leave additive=True out"
        )

    def _compare(self) -> tuple[Comparison, ...]:
        paths, layout = self._paths, self._layout
        draws = max(1, len(paths.changes))
        # Each change is a difference of two estimates, so that the base comes in twice a draw; and
        # terms of several draws that are below the rounding of a path were not seen.
        rounding = ROUNDINGS * self._step * paths.largest * (2.0 * draws + 1.0)
        bounds = layout.split(np.minimum(rounding + self._off, FAR))
        self._mean, self._sizes = layout.split(paths.mean()), layout.split(paths.size())
        sizes = self._sizes
        finite = [value[np.isfinite(value)].max(initial=0.0) for value in sizes.values()]
        scale = float(max(finite))
        self._bounds, comparisons = {}, []
        for key, value in self._exact.value.items():
            self._bounds[key] = bounds[key] + self._exact.error[key] + self._exact.unstated[key]
            comparisons.append(
                compare_entries(
                    key,
                    self._mean[key],
                    value,
                    self._bounds[key],
                    self._label,
                    sizes=np.where(np.isfinite(sizes[key]), sizes[key], scale),
                    scale=scale,
                    own_error=self._exact.vanishing(key, scale),
                )
            )
        return tuple(comparisons)

    def report(self, seconds: float, seed: int) -> EstimatorReport:
        """Verdict, comparisons and moments."""
        comparisons = self._compare()
        worst, verdict, reason = worst_of(comparisons), judge(comparisons), ""
        if (
            verdict == REFUTED
            and self._exact.is_made
            and left_by_constants(self._mean, self._exact.value, self._bounds, self._sizes)
        ):
            verdict, reason = UNDECIDED, ROUNDED
        return EstimatorReport(
            name=self._label,
            verdict=verdict,
            method="additive",
            comparisons=comparisons,
            worst=bias_at(worst.what, worst.index, self._mean, self._exact.value),
            mean=self._mean,
            variance=self._layout.split(self._paths.variance()),
            exact=self._exact.value,
            paths=self._changing,
            draws=len(self._paths.choices),
            seconds=seconds,
            notes=tuple(self._notes(seed)),
            bound_reason=f"{ROUNDINGS:,.0f} roundings of the largest estimate, twice for each draw",
            changed=self._changed,
            repeats=self._repeats,
            condition=CONDITION,
            seed=seed,
            bounds=self._bounds,
            reason=reason,
        )

    def _notes(self, seed: int) -> list[str]:
        # Of so many independent paths none was in a part that has this much of all probability.
        alpha = self._given["alpha"]
        share = -np.expm1(np.log(alpha) / WITNESSES)
        notes = [
            f"One of {len(self._paths.choices):,} draws was changed at a time, since additive=True "
            "says that the estimate is a sum of terms of one draw each. That is declared and not "
            f"proved. It was compared on {WITNESSES:,} random paths, and on as many on which all "
            f"outcomes are as likely (seed={seed}), and nothing was seen against it: if it were "
            f"false on paths of a probability of {share:.2g} together, that would have been missed "
            f"with a probability of {alpha:g}. Draws had the same probabilities on all paths.",
        ]
        if self._exact.note:
            notes.append(self._exact.note)
        if self._changed:
            notes.append(
                f"Each run changes {list_names(self._changed)}. All of it is put back before the "
                "next, so that every run begins in the state that was given."
            )
        return notes
