"""An estimator on all its paths: its moments against the exact gradient, and why if undecided."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import GRAPH, Estimator
from gradproof.estimators.enumeration.outcomes import EPS
from gradproof.estimators.enumeration.rounding import ROUNDINGS
from gradproof.estimators.enumeration.run import NotReproducible
from gradproof.estimators.enumeration.spread import SINGLE as SINGLE_STEP
from gradproof.estimators.enumeration.spread import RoundingBounds

from ..evidence import (
    COARSEST,
    FAR,
    GAP,
    HOLDS,
    REFUTED,
    UNDECIDED,
    Comparison,
    compare_entries,
    judge,
    resolution,
    worst_of,
)
from .constant_keys import constant_keys_note
from .direction import MeanDirection, direction_of
from .estimand import MADE, ROUNDED, SINGLE, UNMEASURED, Estimand, left_by_constants
from .estimate_law import EstimateLaw, keep_law
from .estimator_report import EstimatorReport, bias_at
from .listing import list_names, note_of_changes
from .plotted_report import ratios_of
from .random_direction import Projection
from .usual_reasons import DIFFERENCED, may_be_differenced, usual_reasons
from .way_of_running import way_of_running

#: Runs in a row after which an estimator that keeps something is looked at again: one of them may
#: change nothing.
LATER = 8


#: Why it is not decided, where what is left out of a law may matter.
UNBOUNDED = (
    "It draws from a law without an end, of which the rarest outcomes are left out, and gradients "
    "grow there as fast as their probabilities fall: what is left out may matter, or the mean may "
    "not exist. Choose parameters for which large numbers are rarer, or limit the numbers in the "
    "test."
)


#: The same where nothing is there.
NOTHING = (
    "The exact gradient is zero, and so are the estimates of all paths: whatever is wrong could "
    "not be seen. Choose parameters, costs or rewards, or a longer horizon, for which there is a "
    "gradient; where Hypothesis draws them, leave such examples out by assume() or filter()."
)


class EnumeratedCheck:
    """The moments of an estimator over all its paths, compared with the exact gradient."""

    def __init__(
        self,
        label: str,
        estimator: Estimator,
        enumeration: Enumeration,
        exact: Estimand,
        precision: float,
        keep_paths: bool = False,
    ) -> None:
        #: What else was seen, after all paths were run.
        self.note = ""
        self._keep_paths = keep_paths
        self._law: EstimateLaw | str | None = None
        self._label, self._estimator, self._enumeration = label, estimator, enumeration
        self._exact, self._precision = exact, precision
        project = estimator.project
        self._projection = project if isinstance(project, Projection) else None
        self._reason = self._keys = ""
        self._unmeasured = False
        self._bounds: dict[str, np.ndarray] = {}

    def look(self) -> None:
        """Run all paths, and compare."""
        self._moments = self._enumeration.moments(self._exact.value)
        self._compare()
        self._verdict = judge(self._comparisons)
        if self._verdict == HOLDS and self._is_nothing():
            self._verdict, self._reason = UNDECIDED, NOTHING
        self._excuse()
        self._changed = self._enumeration.changed
        if self._verdict == HOLDS and self._changed and not self._estimator.resets:
            self._look_later()
        with contextlib.suppress(Exception):  # it may be such as works with its own key alone
            self._keys = constant_keys_note(self._enumeration, self._estimator)
        if self._keep_paths:  # last: it runs all paths once more, and decides nothing
            ratios = ratios_of(self._mean, self._exact.value, self._bounds)
            self._law = keep_law(self._enumeration, self._moments, self._moments.layout.row(ratios))

    def _compare(self) -> None:
        """With bounds that cost nothing where they decide, with measured ones where they do not."""
        moments, layout = self._moments, self._moments.layout
        bounds = self._rounding_bounds()
        off = np.abs(moments.mean() - layout.row(self._exact.value))
        self._spread = bounds.wide
        self._compare_within()
        with np.errstate(invalid="ignore"):
            surely = bool((off <= bounds.least + layout.row(self._exact.error)).all())
        # What one direction may hide is no more than its bound: that is worth measuring.
        if self._projection is not None or not (surely and judge(self._comparisons) == HOLDS):
            self._exact = self._exact.with_measured_error()
            self._spread = bounds.best()
            self._compare_within()
            # Some of the other paths may be coarser inside.
            unsure = judge(self._comparisons) != HOLDS and not self._is_hopeless(bounds)
            if unsure and (self._is_small(COARSEST) or self._is_within_unmeasured(off, bounds)):
                for spread in bounds.thorough():
                    self._spread = spread
                    self._compare_within()
                    if judge(self._comparisons) == HOLDS:
                        break
            self._unmeasured = self._is_within_unmeasured(off, bounds)

    @property
    def is_coarse(self) -> bool:
        """Whether some of it is in single precision."""
        coarse = max(self._estimator.precision, self._moments.precision) >= SINGLE_STEP
        return coarse or "float32" in self._spread.formats

    def _is_nothing(self) -> bool:
        """Whether neither the gradient nor what is estimated is there, in any entry."""
        given = any(np.any(value) for value in self._exact.value.values())
        return not given and not self._moments.size().any()

    def _is_hopeless(self, bounds: RoundingBounds) -> bool:
        """Whether nothing is off, and some entry stays too coarse on however many paths."""
        if worst_of(self._comparisons).ratio > 1.0:
            return False
        best = self._spread = bounds.best()
        self._spread = dataclasses.replace(best, bound=np.minimum(best.bound, best.floor))
        self._compare_within()
        hopeless = resolution(self._comparisons) > COARSEST
        self._spread = best
        self._compare_within()
        return hopeless

    def _rounding_bounds(self) -> RoundingBounds:
        """What rounding may have done to the mean, measured path by path."""
        return RoundingBounds(
            self._enumeration, self._moments, self._estimator.precision, self._precision
        )

    def _is_within_unmeasured(self, off: np.ndarray, bounds: RoundingBounds) -> bool:
        """Whether all that is off may be single precision on paths that were not measured."""
        bound = self._bound + self._moments.layout.row(self._exact.error)
        return bool((off <= bound + bounds.unmeasured_bound()).all())

    @property
    def _bound(self) -> np.ndarray:
        """What rounding may have done to each number that is compared, (P,)."""
        if self._projection is None:
            return self._spread.bound
        # What it does to entries, beside what shows in their slopes alone.
        if self._spread.measured:
            return self._spread.bound + self._projection.rounding(1.0, EPS)
        step = max(self._estimator.precision, self._precision, self._moments.precision)
        return self._spread.bound + self._projection.rounding(ROUNDINGS, step)

    def _is_small(self, share: float) -> bool:
        """Whether something is off, and nothing by more than this share of what it should be."""
        off = [one for one in self._comparisons if one.ratio > 1.0]
        return bool(off) and all(one.error <= share * one.signal for one in off)

    def _compare_within(self) -> None:
        moments, layout = self._moments, self._moments.layout
        bounds = self._bound
        mean, sizes = layout.split(moments.mean()), layout.split(moments.size())
        scale = float(moments.size().max(initial=0.0))
        by_name = layout.split(np.where(np.isfinite(bounds), bounds, FAR))
        comparisons: list[Comparison] = []
        for key, value in self._exact.value.items():
            own = self._exact.error[key]
            self._bounds[key] = np.minimum(by_name[key] + own, FAR)
            one = compare_entries(
                key,
                mean[key],
                value,
                self._bounds[key],
                self._label,
                sizes=sizes[key],
                scale=scale,
                own_error=self._exact.vanishing(key, scale),
            )
            note = moments.note(key) or one.note
            nothing = not (np.any(sizes[key]) or np.any(np.abs(value) > own))
            if nothing and np.isfinite(mean[key]).all():
                note = f"{key}: no gradient on any path, and none expected"
            comparisons.append(dataclasses.replace(one, note=note))
        self._comparisons = tuple(comparisons)
        self._mean = mean

    def _excuse(self) -> None:
        """An error that something else may have made is no bias of the estimator's."""
        if self._verdict == REFUTED and not self._excuse_exact():
            self._excuse_precision()
            if self._verdict == REFUTED:
                self._excuse_constants()
        elif self._verdict == UNDECIDED and self._lacks_outcomes():
            self._reason = UNBOUNDED
        elif self._verdict == UNDECIDED and self._exact.why != MADE:
            self._excuse_exact()  # it is off by so little that rounding alone may be as large

    def _lacks_outcomes(self) -> bool:
        """Whether it is what is left out of draws without an end that makes bounds wide."""
        left_out = self._moments.left_out()
        bound = self._bound
        with np.errstate(invalid="ignore"):
            wide = bound > COARSEST * self._moments.size()
            rest = bound - left_out  # NaN where neither is known
            return bool((wide & ~(rest > left_out)).any())

    def _excuse_precision(self) -> None:
        """Arithmetic in single precision, where what is inside could not be measured."""
        if self._spread.measured:
            self._excuse_unmeasured()
            return
        if not self._is_small(SINGLE) or self._precision:
            return
        self._verdict = UNDECIDED
        self._reason = UNMEASURED

    def _excuse_unmeasured(self) -> None:
        """Arithmetic that is coarser on paths that roundings were not moved on."""
        if self._unmeasured and self._spread.paths < self._moments.count:
            self._verdict = UNDECIDED
            self._reason = (
                "An error so small may be rounding of single precision on the paths that are less "
                f"likely: what rounding does inside was measured on {self._spread.paths:,} of "
                f"{self._moments.count:,} paths. Check a problem with fewer paths."
            )

    def _excuse_constants(self) -> None:
        """A constant in single precision, in the estimator or in what ``exact`` was made from."""
        if self._exact.is_made and left_by_constants(
            self._mean, self._exact.value, self._allowed(), self._sizes()
        ):
            self._verdict, self._reason = UNDECIDED, ROUNDED

    def _excuse_exact(self) -> bool:
        """An exact gradient that was made by differences, say."""
        off = {key: np.abs(self._mean[key] - value) for key, value in self._exact.value.items()}
        bounds = self._moments.layout.split(self._bound)
        for key, error in off.items():
            allowed = GAP * (bounds[key] + self._exact.error[key]) + self._exact.unstated[key]
            if not (error <= allowed).all():
                return False
        if all((error <= self._exact.error[key] + bounds[key]).all() for key, error in off.items()):
            return False  # nothing is off
        self._verdict = UNDECIDED
        self._reason = self._exact.why
        return True

    def _look_later(self) -> None:
        """From the state that some runs leave: an estimator that adds up is right only once."""
        runs = [choices for _, choices in self._moments.likeliest(LATER)]
        try:
            with self._enumeration.state_after(runs) as same_inputs:
                if not same_inputs:
                    return
                later = self._enumeration.moments(self._exact.value)
        except Exception as error:  # noqa: BLE001 - it may be such as can be run only so often
            if not isinstance(error, NotReproducible):
                return  # from the state that it was given in nothing was wrong
            self._verdict = UNDECIDED
            self._reason = (
                f"It keeps {list_names(self._changed)} from one run to the next, and draws "
                f"otherwise from the state that {len(runs)} runs leave ({error}); from the "
                "state that it was given in its mean is the exact gradient. Pass reset= if a "
                "run is to start afresh."
            )
            return
        layout = self._moments.layout
        off = np.abs(later.mean() - layout.row(self._exact.value))
        # Whatever rounding did to the first, four times that for the second, which it knows less
        # of.
        allowed = GAP * (self._bound + layout.row(self._exact.error))
        if (off <= allowed).all():
            return
        place = int(np.argmax(np.where(np.isfinite(off), off, np.inf) - allowed))
        self._verdict = UNDECIDED
        self._reason = (
            f"It keeps {list_names(self._changed)} from one run to the next. From the state "
            f"that it was given in its mean is the exact gradient; from the state that {len(runs)} "
            f"runs leave it is off by up to {off[place]:.1e}. If a run is to start afresh each "
            "time, "
            "pass reset=; if it is another problem each time, such as the next batch, pass reset= "
            "that sets it back; if not, what is kept makes it wrong."
        )

    def report(self, seconds: float) -> EstimatorReport:
        """Verdict, comparisons and moments."""
        moments, layout = self._moments, self._moments.layout
        worst = worst_of(self._comparisons)
        return EstimatorReport(
            name=self._label,
            verdict=self._verdict,
            method="enumerated",
            comparisons=self._comparisons,
            worst=bias_at(worst.what, worst.index, self._mean, self._exact.value),
            mean=self._mean,
            variance=layout.split(moments.variance()),
            exact=self._exact.value,
            paths=moments.count,
            draws=moments.draws,
            seconds=seconds,
            notes=tuple(self._notes()),
            bound_reason=str(self._spread),
            changed=self._changed,
            repeats=self._enumeration.repeats,
            blocks=self._enumeration.blocks,
            reason=self._reason,
            along="" if self._projection is None else self._projection.words,
            bounds=self._bounds,
            direction=self._direction(),
            law=self._law if isinstance(self._law, EstimateLaw) else None,
        )

    def _notes(self) -> list[str]:
        """Facts that no verdict depends on."""
        notes = [*self._reading(), *([self.note] if self.note else [])]
        if self._projection is not None:
            bound = max(one.bound for one in self._comparisons)
            notes.append(self._projection.note(bound, self._verdict == REFUTED))
        if isinstance(self._law, str):
            notes.append(f"Paths were not kept, for {self._law}.")
        if self._exact.note:
            notes.append(self._exact.note)
        if self._moments.probability_left_out:
            notes.append(self._note_left_out())
        notes.extend(way_of_running(self._enumeration, self._moments.count))
        if not self._moments.draws:
            notes.append("Nothing was drawn: there is one path, and no variance.")
        if self._enumeration.handling.seeds.seeded:
            notes.append(
                "A generator is made from a seed in each run: it is enumerated as if it drew "
                "anew, and draws the same each time if the seed is the same. If that is an "
                "environment (env.reset(seed=0) in each episode), every episode begins alike: seed "
                "it once, before the first."
            )
        if self._keys:
            notes.append(self._keys)
        if self._changed:
            notes.append(note_of_changes(self._changed))
        if self._estimator.steps:
            more = "" if self._estimator.steps == 1 else f", of {self._estimator.steps}"
            notes.append(
                "An optimizer takes a step in each run: the gradient is what stood in .grad before "
                f"the first{more}."
            )
        if max(self._estimator.precision, self._moments.precision) > 1e-10:  # far from double
            notes.append(
                "It runs in single precision: in double precision a smaller bias could be seen."
            )
        else:
            notes.extend(self._coarser_inside())
        return notes

    def _coarser_inside(self) -> list[str]:
        """What is computed in a coarser format than what is returned, where that was measured."""
        coarse = sorted(self._spread.formats - {"float64", "complex128"})
        if not coarse:
            return []
        return [
            f"Some of it is computed in {' and '.join(coarse)} inside, whatever its parameters are "
            "in (as normalisation and rotary embeddings of language models are, and log_softmax "
            "under autocast): bounds allow for it, and a smaller bias could be seen without."
        ]

    def _note_left_out(self) -> str:
        """What is left out of draws without an end."""
        most = float(self._moments.left_out().max(initial=0.0))
        amount = f"at most {most:.1e}" if np.isfinite(most) else "any amount"
        note = (
            "Draws without an end are cut: what is left out of them has the probability "
            f"{self._moments.probability_left_out:.1e}, and may add {amount} to an entry of the "
            "mean, as gradients grow on the rarest paths that were run."
        )
        if not self._moments.knows_variance():
            note += " The variance lacks more than that: it is of what was run."
        return note

    def _reading(self) -> list[str]:
        """What helps to see why an estimator is refuted, and how its gradients were read."""
        notes = []
        if self._verdict == REFUTED:
            notes.extend(self._usual_reasons())
            if self._estimator.has_graph:
                notes.append(f"{GRAPH[0].upper()}{GRAPH[1:]}.")
        if self._estimator.cleared:
            notes.append(
                ".grad was cleared before each run; it was not zero when the check began, and an "
                "estimator that does not clear it itself (zero_grad()) adds to what stands there, "
                "which is not seen here."
            )
        return notes

    def _sizes(self) -> dict[str, np.ndarray]:
        """The mean magnitude of each entry."""
        return self._moments.layout.split(self._moments.size())

    def _allowed(self) -> dict[str, np.ndarray]:
        """What each entry may be off by, and nobody be wrong: bounds, and the estimand's errors."""
        bounds, exact = self._moments.layout.split(self._bound), self._exact
        return {key: bounds[key] + exact.error[key] + exact.unstated[key] for key in exact.value}

    def _direction(self) -> MeanDirection | None:
        """Where the mean points beside the gradient."""
        if self._projection is not None:
            return None  # only its slope along one is known
        size = self._moments.size()
        scale = float(size.max(initial=0.0))
        return direction_of(
            self._verdict,
            self._mean,
            self._exact.value,
            self._allowed(),
            self._moments.layout.split(size),
            {key: self._exact.vanishing(key, scale) for key in self._exact.value},
        )

    def _usual_reasons(self) -> list[str]:
        """How the mean is off, if it is so in a simple way, and where that comes from as a rule."""
        if self._projection is not None:
            return []  # what a slope leaves out may be off in another way
        size = self._sizes()
        unseen = {one.what for one in self._comparisons if one.resolution > COARSEST}
        mean, exact = self._mean, self._exact.value
        reasons = usual_reasons(mean, exact, self._allowed(), size, self._draws(), unseen)
        if not reasons and self._exact.is_made and may_be_differenced(mean, exact, size):
            return [DIFFERENCED]  # of numbers that were made somehow
        return reasons

    def _draws(self) -> int:
        """Draws on a path, at most."""
        exchange = self._enumeration.exchange
        return max(self._moments.draws, 0 if exchange is None else exchange.draws)
