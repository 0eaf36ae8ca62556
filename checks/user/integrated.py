"""Any estimator against its estimand, where what it draws is continuous: its mean is integrated.

Its own code is run on the nodes of quadrature rules, and on every outcome of its discrete draws. No
verdict is certain by it: the error of the mean is estimated, from rules of different sizes.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.integration.boxes import UNSEEN
from gradproof.estimators.enumeration.integration.integrate import Integration
from gradproof.estimators.enumeration.integration.sums import IntegratedMean
from gradproof.estimators.enumeration.rounding import ROUNDINGS

from ..evidence import (
    COARSEST,
    FAR,
    GAP,
    REFUTED,
    UNDECIDED,
    Comparison,
    compare_entries,
    judge,
    worst_of,
)
from .direction import MeanDirection, direction_of
from .estimand import Estimand
from .estimator_report import EstimatorReport, bias_at
from .listing import note_of_changes
from .way_of_running import way_of_running

#: How many times what is estimated an error may be. Of 3,768 random networks of one and two
#: numbers, smooth and with kinks and jumps, two were off by more, by 15 and 17 times, and none by
#: what is refuted, 16 times this bound, but where :data:`LEAST` is allowed for (tests/power).
FACTOR = 10.0

#: No bound is smaller than this share of the mean magnitude. A kink within a thousandth of a law's
#: end lies between all nodes, so that rules agree to the last digit, a millionth off. What looking
#: between nodes would not have seen must refute nothing.
LEAST = UNSEEN / GAP


def check_tolerance(integrate: object) -> None:
    """Whether it says how well means are to be integrated.

    Raises:
        ValueError: if not.
    """
    if integrate is None:
        return
    good = isinstance(integrate, int | float) and not isinstance(integrate, bool)
    if not (good and 0.0 < float(integrate) < 1.0):  # type: ignore[arg-type]
        raise ValueError(
            f"integrate = {integrate!r:.60}, expected a number between 0 and 1, such as 1e-6: the "
            "share of each entry's mean magnitude that the error is to come to"
        )


class IntegratedCheck:
    """The moments of an estimator, integrated over what it draws, compared with the estimand."""

    def __init__(
        self,
        label: str,
        estimator: Estimator,
        enumeration: Enumeration,
        exact: Estimand,
        *,
        tolerance: float,
        paths: int,
        precision: float,
        why: str,
    ) -> None:
        self._label, self._estimator, self._enumeration = label, estimator, enumeration
        self._exact, self._tolerance = exact.with_measured_error(), tolerance
        self._precision, self._why = precision, why
        self._integration = Integration(enumeration, dict(exact.value), tolerance, paths)
        self._reason = ""

    def look(self) -> None:
        """Integrate, and compare."""
        self._found = self._integration.integrate()
        self._compare()
        self._verdict = judge(self._comparisons)
        self._changed = self._enumeration.changed
        self._excuse()

    @property
    def _rounding(self) -> np.ndarray:
        """What rounding may have done to each entry, (P,): where it cancels, as to the largest."""
        coarse = self._integration.coarse
        assert coarse is not None  # it was integrated
        step = max(self._estimator.precision, self._precision, coarse.precision)
        # What rounds is as large as the entries are on the mean, by the rule of the verdict and by
        # the first one, not as the largest on any node: nodes far out hardly weigh.
        sizes = np.maximum(
            self._found.sums.size.max(initial=0.0), coarse.largest().max(initial=0.0)
        )
        return np.full(coarse.layout.size, ROUNDINGS * step * sizes)

    def _compare(self) -> None:
        coarse, found = self._integration.coarse, self._found
        assert coarse is not None  # it was integrated
        layout = coarse.layout
        least = max(LEAST, self._tolerance) * np.abs(found.sums.size)
        errors = np.maximum(FACTOR * found.error, least) + self._integration.approximation
        errors = np.where(np.isnan(errors), FAR, errors)
        bounds = layout.split(np.minimum(self._rounding + errors, FAR))
        self._mean, sizes = layout.split(found.sums.mean), layout.split(found.sums.size)
        scale = float(found.sums.size.max(initial=0.0))
        comparisons: list[Comparison] = []
        self._bounds: dict[str, np.ndarray] = {}
        for key, value in self._exact.value.items():
            self._bounds[key] = np.minimum(
                bounds[key] + self._exact.error[key] + self._exact.unstated[key], FAR
            )
            one = compare_entries(
                key,
                self._mean[key],
                value,
                self._bounds[key],
                self._label,
                sizes=np.abs(sizes[key]),
                scale=scale,
                own_error=self._exact.vanishing(key, scale),
            )
            note = self._integration.wrong.get(key) or one.note
            comparisons.append(dataclasses.replace(one, note=note))
        self._comparisons = tuple(comparisons)

    def _excuse(self) -> None:
        """A mean that is not a number, or whose error is not known, refutes nothing."""
        found, tolerance = self._found, self._tolerance
        good = np.isfinite(found.sums.mean) & np.isfinite(found.error)
        if not good.all():
            self._verdict = UNDECIDED
            self._reason = (
                "The integral is not known: the estimate is infinite or no number for some of the "
                "numbers drawn, or too few paths were allowed to see the error fall (paths=)."
            )
        elif found.has_tails():
            self._verdict = UNDECIDED
            self._reason = (
                "Rules differ on the variance, as where it is infinite: the mean, if there is one, "
                "rests on what hardly ever happens. Draw from lighter tails, bound what is made "
                "of it, or sample (draws=)."
            )
        elif self._verdict == UNDECIDED and not found.is_within(tolerance):
            self._reason = (
                f"The error of the integral did not come down to {tolerance:g} of each entry's "
                f"mean magnitude in {self._integration.paths:,} paths: allow more (paths=), or "
                "a larger error (integrate=), or sample (draws=)."
            )

    def report(self, seconds: float) -> EstimatorReport:
        """Verdict, comparisons and moments."""
        coarse, found = self._integration.coarse, self._found
        assert coarse is not None  # it was integrated
        worst = worst_of(self._comparisons)
        variance = np.maximum(found.sums.square - found.sums.mean**2, 0.0)
        return EstimatorReport(
            name=self._label,
            verdict=self._verdict,
            method="integrated",
            comparisons=self._comparisons,
            worst=bias_at(worst.what, worst.index, self._mean, self._exact.value),
            mean=self._mean,
            variance=coarse.layout.split(variance),
            exact=self._exact.value,
            paths=self._integration.paths,
            draws=self._integration.draws,
            seconds=seconds,
            notes=tuple(self._notes(found)),
            bound_reason=(
                f"{FACTOR:g} times the estimated error of the integral, at least "
                f"{max(LEAST, self._tolerance):g} of an entry's mean magnitude, and "
                f"{ROUNDINGS:,.0f} roundings"
            ),
            changed=self._changed,
            repeats=self._enumeration.repeats,
            blocks=self._enumeration.blocks,
            reason=self._reason,
            bounds=self._bounds,
            direction=self._direction(scale=float(found.sums.size.max(initial=0.0))),
        )

    def _direction(self, scale: float) -> MeanDirection | None:
        """Where the mean points beside the gradient."""
        coarse = self._integration.coarse
        assert coarse is not None  # it was integrated
        return direction_of(
            self._verdict,
            self._mean,
            self._exact.value,
            self._bounds,
            coarse.layout.split(np.abs(self._found.sums.size)),
            {key: self._exact.vanishing(key, scale) for key in self._exact.value},
        )

    def _notes(self, found: IntegratedMean) -> list[str]:
        share = np.divide(
            found.error,
            found.sums.size,
            out=np.zeros_like(found.error),
            where=found.sums.size > 0.0,
        )
        notes = [
            f"It was integrated, for {self._why.partition('; ')[0]}.",
            f"{found.how[0].upper()}{found.how[1:]}: the error is estimated at "
            f"{share.max(initial=0.0):.1e} of an entry's mean magnitude, by rules of different "
            "sizes; that is no bound, and what happens only in a small part of what may be drawn "
            "may be missed.",
        ]
        if self._integration.approximated:
            most = float(np.max(self._integration.approximation))
            notes.append(
                f"Derivatives by {' and '.join(sorted(self._integration.approximated))} are "
                f"PyTorch's own, which are approximations: {most:.1e} is allowed for them."
            )
        if self._verdict == REFUTED and share.max(initial=0.0) > COARSEST:
            notes.append("A larger number of paths (paths=) would tell by how much it is off.")
        if not found.knows_squares(COARSEST):
            notes.append(
                "The variance is no more than a guess: rules that agree on the mean differ on the "
                "mean square, which may be infinite."
            )
        notes.extend(way_of_running(self._enumeration, self._integration.paths))
        if self._exact.note:
            notes.append(self._exact.note)
        if self._changed:
            notes.append(note_of_changes(self._changed))
        return notes
