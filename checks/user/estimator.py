"""Any estimator against its estimand: its own code, run once for every outcome of its draws."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import GRAPH, Estimator
from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import (
    MOST_PATHS,
    NotReproducible,
    TooManyPaths,
    UnsupportedDraw,
)
from gradproof.estimators.enumeration.spread import RoundingBounds

from ..evidence import (
    COARSEST,
    FAR,
    GAP,
    HOLDS,
    REFUTED,
    UNDECIDED,
    Comparison,
    NothingCompared,
    compare_entries,
    entry,
    judge,
    unresolved,
    worst_of,
)
from ..sequential.mean_test import ALPHA
from .estimand import MADE, Estimand, exact_gradient
from .expected_cost import check_precision
from .jax_keys import FreshKeys
from .sampled import SampledMoments, check_sampling, sample

#: A sampled verdict holds if a bias of this share of the largest entry would have been seen: what
#: baselines that contain their own draw do to a batch of ten.
SEEN = 0.1

#: Relative errors below this are such as arithmetic in single precision makes: roundings of 6e-8,
#: some hundreds of them.
SINGLE = 1e-4

#: Why they are no bias, where nobody said what the arithmetic is.
UNMEASURED = (
    "An error so small may be rounding of single precision, and the arithmetic inside could not be "
    "measured: if it is single, pass precision=np.finfo(np.float32).eps; if it is double, "
    "precision=np.finfo(float).eps."
)

#: Runs in a row after which an estimator that keeps something is looked at again: one of them may
#: change nothing.
LATER = 8


@dataclasses.dataclass(frozen=True)
class Bias:
    """Where a mean is farthest from what it should be, in units of what may be."""

    parameter: str
    index: tuple[int, ...]
    mean: float
    exact: float


@dataclasses.dataclass(frozen=True)
class EstimatorReport:
    """The report on one estimator; asserts, tables and figures only read it.

    ``method`` is ``enumerated`` or ``sampled``. ``mean`` and ``variance`` are over all paths, by
    parameter; ``exact`` is what the mean should be. ``paths`` were run, of at most ``draws`` draws;
    or as many ``draws`` were sampled, and ``detectable`` is the smallest bias that would have been
    seen in any entry. ``bound_reason`` says where bounds come from, ``changed`` what a run leaves
    changed, which is put back, and ``repeats`` how many runs were made again; ``reason`` why there
    is no verdict, and ``condition`` what a sampled one depends on, after an "if". ``notes`` are
    facts that no verdict depends on.
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
    bound_reason: str = ""
    changed: tuple[str, ...] = ()
    repeats: int = 0
    reason: str = ""
    condition: str = ""

    @property
    def unbiased(self) -> bool:
        """Whether the mean is the exact gradient, as far as could be seen."""
        return self.verdict == HOLDS

    @property
    def total_variance(self) -> float:
        """Summed over all entries of all parameters."""
        return float(sum(value.sum() for value in self.variance.values()))

    def explain(self) -> str:
        """A paragraph: what came out, where it is worst, and what to do next."""
        if self.method == "sampled":
            verdict = "unbiased as far as could be seen" if self.unbiased else self.verdict
            if self.condition and self.verdict != UNDECIDED:
                verdict += f", if {self.condition}"
            lines = [f"{self.name}: {verdict}.", *self.notes]
            if self.reason:
                lines.append(self.reason)
            elif self.verdict == UNDECIDED:
                lines.append(
                    "Take more draws to tell (the first of them only teach how far outcomes lie "
                    "apart), pass rarest= if outcomes that are rarer do not matter, or enumerate a "
                    "smaller problem."
                )
            return "\n".join(lines)
        found = worst_of(self.comparisons)
        entry = f"{self.worst.parameter}{list(self.worst.index) if self.worst.index else ''}"
        lines = [
            f"{self.name}: {'unbiased' if self.unbiased else self.verdict}, by "
            f"{_count(self.paths, 'path')} of at most {_count(self.draws, 'draw')}.",
            f"mean of {entry} is {self.worst.mean:.6e}, should be {self.worst.exact:.6e}: off by "
            f"{found.error:.1e}, at most {found.bound:.1e} is rounding, and gradients are of size "
            f"{found.signal:.1e}.",
        ]
        lines.append(f"Bound: {self.bound_reason}.")
        if found.note:
            lines.append(found.note)
        if self.reason:
            lines.append(self.reason)
        elif self.verdict == UNDECIDED:
            lines.append(self._advice())
        return "\n".join([*lines, *self.notes])

    def _advice(self) -> str:
        """What to do about a verdict that is none."""
        unseen = unresolved(self.comparisons)
        if not unseen:
            return "Rounding alone could explain the error: use double precision."
        return (
            f"An error of {COARSEST:.0%} would not have been seen in {', '.join(unseen)}: use "
            "double precision, or a problem in which less cancels."
        )


class Biased(GradproofError, AssertionError):
    """A biased estimator: its mean is not the exact gradient. ``checked`` is the report."""

    def __init__(self, checked: EstimatorReport) -> None:
        super().__init__(checked.explain())
        self.checked = checked


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def check_estimator(
    estimate: Callable[..., Any],
    inputs: Sequence[Any] = (),
    *,
    exact: Any = None,
    objective: Callable[..., Any] | None = None,
    exact_error: Any = None,
    wrt: Any = None,
    paths: int = MOST_PATHS,
    draws: int = 0,
    alpha: float = ALPHA,
    rarest: float | None = None,
    seed: int | None = None,
    reset: Callable[[], object] | None = None,
    returns: str | None = None,
    precision: float = 0.0,
    name: str | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> EstimatorReport:
    """Is a stochastic gradient estimator unbiased: is its mean the gradient that it estimates?

    Estimand: the gradient of the expected cost: ``exact``, or that of the mean of ``objective``.
    Estimator: ``estimate``, unmodified: the score-function estimator (likelihood ratio, REINFORCE)
    with any baseline or control variate, a pathwise, straight-through or other one. It is run once
    for each outcome of its discrete draws, and each run is weighted by the probability of its
    draws, so that mean and variance have no noise.
    Every run begins in the state that the estimator was given in: what a run changes (parameters,
    buffers, optimizers, attributes, generators) is put back, and said.
    Valid when: every draw is discrete and made by PyTorch, NumPy, Python's ``random``, JAX, Theano
    or PyTensor (``torch.multinomial``, ``torch.bernoulli``, ``torch.binomial``, ``torch.randint``,
    ``torch.randperm`` and what ``torch.distributions`` draw with them, the same of
    ``numpy.random``, of its generators and of ``jax.random``, comparisons of uniform numbers of
    NumPy and Python, Theano's ``RandomStreams``, and PyTensor's random variables). Anything else
    that draws is an unsupported draw: an error, or with ``draws=`` a reason to sample.

    A verdict holds if every entry is within its bound, and an error of one part in a hundred would
    have been seen in every entry of which the exact gradient is not zero.

    Args:
        estimate: called with ``inputs``; returns gradients (an array, a tensor, or a mapping,
            sequence or dataclass of them), or a surrogate, a tensor of one number, or nothing and
            leaves gradients in ``.grad``; of an estimator that takes an optimizer's step, what
            stood there before it.
        exact: the exact gradient, of the same names and shapes, or what returns it.
        objective: instead of it, what draws and returns the cost of one draw; its mean is
            enumerated and differentiated.
        exact_error: what ``exact`` may be off by itself, a number or arrays like it. Default: the
            rounding of what returns it; of arrays that were made somehow, errors as small as
            differences leave refute nothing, nor such as single precision leaves if that is what
            they are in, or were.
        wrt: the module or tensors whose gradients are read. Default: those among the inputs.
        paths: that may be run at most.
        draws: samples that may be taken where draws cannot be enumerated; 0: that is an error.
        alpha: probability of a false alarm of a sampled verdict.
        rarest: the least probability of an outcome that a sampled verdict allows for; what is rarer
            may make it false, and it says so. Default: that of the rarest outcome of any draw, as
            far as that is seen.
        seed: of the generators that frameworks have of their own, for a sampled verdict.
        reset: called before each run, for an estimator that keeps something which is not meant to
            count, or cannot be put back.
        returns: ``gradient``, ``surrogate`` or ``grad`` (what it leaves in ``.grad``), where what
            an estimator returns could be read in more than one way.
        precision: of the coarsest arithmetic within, as the step from 1 to the next number, where
            it cannot be measured: ``np.finfo(np.float32).eps`` for a model in single precision that
            no framework of ours computes.
        progress: called for each run: how many were made, of at most how many, of what.

    Raises:
        NotEnumerable: for an unsupported draw, too many paths, or nondeterministic code.
        NotAGradient: if there is no gradient to be read.
        TypeError, ValueError: for an exact gradient that does not fit.

    Reference: the estimator's mean is sum over draws of p(draw) g(draw) by definition. Williams
    (1992), REINFORCE; Glynn (1990), Likelihood ratio gradient estimation for stochastic systems.
    """
    started = time.perf_counter()
    check_precision(precision)
    check_sampling(draws=draws, alpha=alpha, rarest=rarest, seed=seed)
    label = name or str(getattr(estimate, "__qualname__", type(estimate).__name__))
    estimator = Estimator(estimate, inputs, wrt=wrt, reset=reset, returns=returns)
    estimator.tell = None if progress is None else _Counter(progress, paths)
    known = exact_gradient(
        exact,
        objective,
        estimator,
        exact_error=exact_error,
        paths=paths,
        reset=reset,
        precision=precision,
    )
    _check_entries(known.value)
    try:
        with Enumeration(estimator, paths) as enumeration:
            found = _EnumeratedMoments(label, estimator, enumeration, known, precision)
            found.look()
    except (UnsupportedDraw, TooManyPaths) as error:
        if draws:
            known = _finitely_measured(known)
            with (
                estimator.restoring_state(generators=False),
                Handling(*estimator.roots) as handling,
            ):
                samples = sample(
                    estimator,
                    known.value,
                    draws=draws,
                    alpha=alpha,
                    rarest=rarest,
                    exact_error=known.error,
                    doubt=_doubt(known, precision),
                    seed=seed,
                    coarsest=precision,
                    perform=handling.perform,
                    restore_state=estimator.restore_state,
                    keys=FreshKeys(estimator.function, estimator.inputs, seed=seed),
                )
            seconds = time.perf_counter() - started
            return _of_samples(label, known, samples, seconds, str(error))
        raise type(error)(f"{error}; pass draws= to sample it instead") from error
    return found.record(time.perf_counter() - started)


def _check_entries(exact: Mapping[str, np.ndarray]) -> None:
    """Whether there is a number to be compared.

    Raises:
        NothingCompared: if not.
    """
    if not any(value.size for value in exact.values()):
        shapes = ", ".join(f"{key} has shape {value.shape}" for key, value in exact.items())
        raise NothingCompared(
            f"nothing to compare: no exact gradient has an entry ({shapes}); check exact=, wrt= "
            "and the sizes of the parameters"
        )


class _Counter:
    """Reports each run."""

    def __init__(self, progress: Callable[[int, int, str], object], most: int) -> None:
        self._progress, self._most, self._done = progress, most, 0

    def __call__(self) -> None:
        self._done += 1
        self._progress(self._done, max(self._done, self._most), "runs, at most")


class _EnumeratedMoments:
    """An estimator's moments, compared with the exact gradient."""

    def __init__(
        self,
        label: str,
        estimator: Estimator,
        enumeration: Enumeration,
        exact: Estimand,
        precision: float,
    ) -> None:
        self._label, self._estimator, self._enumeration = label, estimator, enumeration
        self._exact, self._precision = exact, precision
        self._reason = ""
        self._unmeasured = False

    def look(self) -> None:
        """Run all paths, and compare."""
        self._moments = self._enumeration.moments(self._exact.value)
        self._compare()
        self._verdict = judge(self._comparisons)
        self._excuse()
        self._changed = self._enumeration.changed
        if self._verdict == HOLDS and self._changed and not self._estimator.resets:
            self._look_later()

    def _compare(self) -> None:
        """With bounds that cost nothing where they decide, with measured ones where they do not."""
        moments, layout = self._moments, self._moments.layout
        bounds = RoundingBounds(
            self._enumeration, moments, self._estimator.precision, self._precision
        )
        off = np.abs(moments.mean() - layout.row(self._exact.value))
        self._spread = bounds.wide
        self._compare_within(bounds.wide.bound)
        with np.errstate(invalid="ignore"):
            surely = bool((off <= bounds.least + layout.row(self._exact.error)).all())
        if not (surely and judge(self._comparisons) == HOLDS):
            self._exact = self._exact.measured()
            self._spread = bounds.best()
            self._compare_within(self._spread.bound)
            if self._is_small(COARSEST):  # and some of the other paths may be coarser inside
                self._spread = bounds.thorough()
                self._compare_within(self._spread.bound)
            known = self._spread.bound + layout.row(self._exact.error)
            self._unmeasured = bool((off <= known + bounds.unmeasured_bound()).all())

    def _is_small(self, share: float) -> bool:
        """Whether something is off, and nothing by more than this share of what it should be."""
        off = [one for one in self._comparisons if one.ratio > 1.0]
        return bool(off) and all(one.error <= share * one.signal for one in off)

    def _compare_within(self, bounds: np.ndarray) -> None:
        moments, layout = self._moments, self._moments.layout
        mean, sizes = layout.split(moments.mean()), layout.split(moments.size())
        scale = float(moments.size().max(initial=0.0))
        by_name = layout.split(np.where(np.isfinite(bounds), bounds, FAR))
        comparisons: list[Comparison] = []
        for key, value in self._exact.value.items():
            own = self._exact.error[key]
            one = compare_entries(
                key,
                mean[key],
                value,
                np.minimum(by_name[key] + own, FAR),
                self._label,
                sizes=sizes[key],
                scale=scale,
                own_error=own,
            )
            note = moments.note(key) or one.note
            if not (np.any(sizes[key]) or np.any(np.abs(value) > own)):
                note = f"{key}: no gradient on any path, and none expected"
            comparisons.append(dataclasses.replace(one, note=note))
        self._comparisons = tuple(comparisons)
        self._mean = mean

    def _excuse(self) -> None:
        """An error that something else may have made is no bias of the estimator's."""
        if self._verdict == REFUTED and not self._excuse_exact():
            self._excuse_precision()
        elif self._verdict == UNDECIDED and self._exact.why != MADE:
            self._excuse_exact()  # it is off by so little that rounding alone may be as large

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

    def _excuse_exact(self) -> bool:
        """An exact gradient that was made by differences, say."""
        off = {key: np.abs(self._mean[key] - value) for key, value in self._exact.value.items()}
        bounds = self._moments.layout.split(self._spread.bound)
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
        runs = [choices for _, choices in self._moments.likeliest()[:LATER]]
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
                f"It keeps {_listed(self._changed)} from one run to the next, and draws otherwise "
                f"from the state that {len(runs)} runs leave ({error}); from the state that it was "
                "given in its mean is the exact gradient. Pass reset= if a run is to start afresh."
            )
            return
        layout = self._moments.layout
        off = np.abs(later.mean() - layout.row(self._exact.value))
        # Whatever rounding did to the first, four times that for the second, which it knows less
        # of.
        allowed = GAP * (self._spread.bound + layout.row(self._exact.error))
        if (off <= allowed).all():
            return
        place = int(np.argmax(np.where(np.isfinite(off), off, np.inf) - allowed))
        self._verdict = UNDECIDED
        self._reason = (
            f"It keeps {_listed(self._changed)} from one run to the next. From the state "
            f"that it was given in its mean is the exact gradient; from the state that {len(runs)} "
            f"runs leave it is off by up to {off[place]:.1e}. If a run is to start afresh each "
            "time, "
            "pass reset=; if it is another problem each time, such as the next batch, pass reset= "
            "that sets it back; if not, what is kept makes it wrong."
        )

    def record(self, seconds: float) -> EstimatorReport:
        """What was found."""
        moments, layout = self._moments, self._moments.layout
        worst = worst_of(self._comparisons)
        return EstimatorReport(
            name=self._label,
            verdict=self._verdict,
            method="enumerated",
            comparisons=self._comparisons,
            worst=_bias(worst.what, worst.index, self._mean, self._exact.value),
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
            reason=self._reason,
        )

    def _notes(self) -> list[str]:
        """Facts."""
        found = self._reading()
        if self._exact.note:
            found.append(self._exact.note)
        if not self._moments.draws:
            found.append("Nothing was drawn: there is one path, and no variance.")
        if self._enumeration.handling.seeds.seeded:
            found.append(
                "A generator is made from a seed in each run: it is enumerated as if it drew "
                "anew, and draws the same each time if the seed is the same."
            )
        if self._changed:
            found.append(
                f"Each run changes {_listed(self._changed)}; it was put back before the "
                "next, so that every run begins in the state that was given."
            )
        if self._estimator.steps:
            more = "" if self._estimator.steps == 1 else f", of {self._estimator.steps}"
            found.append(
                "An optimizer takes a step in each run: the gradient is what stood in .grad before "
                f"the first{more}."
            )
        if max(self._estimator.precision, self._moments.precision) > 1e-10:  # far from double
            found.append(
                "It runs in single precision: in double precision a smaller bias could be seen."
            )
        return found

    def _reading(self) -> list[str]:
        """What helps to see why an estimator is refuted, and how its gradients were read."""
        found = []
        if self._verdict == REFUTED:
            factor = self._factor()
            if factor is not None:
                found.append(_times(factor))
            if self._estimator.has_graph:
                found.append(f"{GRAPH[0].upper()}{GRAPH[1:]}.")
        if self._estimator.cleared:
            found.append(
                ".grad was cleared before each run; it was not zero when the check began, and an "
                "estimator that does not clear it itself (zero_grad()) adds to what stands there, "
                "which is not seen here."
            )
        return found

    def _factor(self) -> float | None:
        """What the exact gradient is multiplied with in every entry, as far as bounds can tell.

        None if there is no such number, or if it would be of one entry only.
        """
        layout = self._moments.layout
        mean, exact = self._moments.mean(), layout.row(self._exact.value)
        error = self._spread.bound + layout.row(self._exact.error)
        at, sure = int(np.argmax(np.abs(exact))), np.abs(exact) * COARSEST > error
        if np.count_nonzero(sure) < 2 or not sure[at] or not np.isfinite(mean).all():
            return None
        factor = float(mean[at] / exact[at]) if abs(mean[at]) > error[at] else 0.0
        # Of the factor's own error each entry has its share.
        with np.errstate(over="ignore", invalid="ignore"):  # no number is within no number
            allowed = (1.0 + abs(factor)) * (error + np.abs(exact) * error[at] / abs(exact[at]))
            within = np.abs(mean - factor * exact) <= allowed
        return factor if within.all() else None


def _times(factor: float) -> str:
    if factor == 0.0:
        return "The mean is zero in every entry."
    rough = f"{factor:.4f}"
    shown = rough if abs(factor) >= 0.1 and float(rough) != 1.0 else f"{factor:.6g}"
    return f"The mean is {shown} times the gradient in every entry."


def _listed(names: Iterable[str], most: int = 6) -> str:
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def assert_unbiased(
    estimate: Callable[..., Any], inputs: Sequence[Any] = (), **options: Any
) -> EstimatorReport:
    """:func:`check_estimator`, as an assertion.

    Raises:
        Biased: unless the mean is the exact gradient; its message names the worst entry.
        Other errors: as :func:`check_estimator`.
    """
    checked = check_estimator(estimate, inputs, **options)
    if not checked.unbiased:
        raise Biased(checked)
    return checked


def _farthest(off: np.ndarray) -> tuple[int, ...]:
    """Where something is largest, or no number; nowhere in an empty array."""
    place = int(np.argmax(np.where(np.isnan(off), np.inf, off))) if off.size else 0
    return tuple(int(each) for each in np.unravel_index(place, off.shape)) if off.size else ()


def _finitely_measured(exact: Estimand) -> Estimand:
    """With what its own rounding was measured to do, where that is a number."""
    found = exact.measured()
    return found if all(np.isfinite(each).all() for each in found.error.values()) else exact


def _doubt(exact: Estimand, precision: float) -> dict[str, np.ndarray]:
    """What the mean of samples may be off by, and nobody be wrong for certain; by parameter.

    What nobody stated of the exact gradient, and rounding of single precision, unless somebody said
    what the arithmetic is: what is inside of samples is not measured.
    """
    share = 0.0 if precision else SINGLE
    return {
        key: exact.unstated[key] + share * float(np.abs(value).max(initial=0.0))
        for key, value in exact.value.items()
    }


def _why_doubtful(exact: Estimand, found: SampledMoments) -> str:
    """Why an error that was found is no bias for certain; empty if none is in doubt."""
    if not found.doubtful:
        return ""
    layout = GradientLayout(exact.value)
    off = np.abs(layout.row(found.mean) - layout.row(exact.value))
    allowed = layout.row(exact.error) + layout.row(exact.unstated)
    # Beside five standard errors no noise in any entry matters.
    explained = (off <= allowed + 5.0 * found.test.standard_errors).all()
    return exact.why if explained else UNMEASURED


def _naming_entries(text: str, known: Mapping[str, np.ndarray]) -> str:
    """A text, in which entries have their names instead of their numbers in a row."""
    names = [entry(key, place) for key, value in known.items() for place in np.ndindex(value.shape)]
    return re.sub(r"\bcoordinate (\d+)", lambda found: names[int(found[1])], text)


def _of_samples(
    name: str, exact: Estimand, found: SampledMoments, seconds: float, why: str
) -> EstimatorReport:
    known, test, start = exact.value, found.test, 0
    comparisons: list[Comparison] = []
    guilty, guilty_at = "", tuple[int, ...]()
    for key, value in known.items():
        part = slice(start, start + value.size)
        off = np.abs(found.mean[key] - value)
        at = _farthest(off)
        size = float(np.abs(value).max(initial=0.0))
        seen = float(test.detectable[part].max(initial=0.0))
        if start <= test.worst < part.stop:
            place = np.unravel_index(test.worst - start, value.shape)
            at = tuple(int(each) for each in place)
            guilty, guilty_at = key, at
        error = float(off[at]) if off.size else 0.0
        error = np.inf if np.isnan(error) else error
        comparisons.append(
            Comparison(key, value.size, error, min(seen, FAR), size, name, kind="sampled", index=at)
        )
        start = part.stop
    seen, size = float(test.detectable.max()), max(one.signal for one in comparisons)
    verdict = REFUTED if test.rejected else HOLDS if seen <= SEEN * size else UNDECIDED
    if found.doubtful:
        verdict = UNDECIDED
    return EstimatorReport(
        name=name,
        verdict=verdict,
        method="sampled",
        comparisons=tuple(comparisons),
        worst=_bias(guilty, guilty_at, found.mean, known),
        mean=found.mean,
        variance=found.variance,
        exact=known,
        paths=0,
        draws=test.draws,
        seconds=seconds,
        notes=(
            f"It was sampled, for {why}.",
            _naming_entries(test.explain(), known),
            *found.notes,
        ),
        reason=_why_doubtful(exact, found),
        detectable=seen,
        condition=found.condition,
    )


def _bias(
    key: str, at: tuple[int, ...], mean: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]
) -> Bias:
    return Bias(key, at, float(mean[key][at]), float(exact[key][at]))
