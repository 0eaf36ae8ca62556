"""Claims baseline.variance and baseline.form: enumerated variances against derived formulas."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from gradproof.derivations import baseline_form as form
from gradproof.derivations import baseline_variance as variance
from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES, Baseline
from gradproof.estimators.baselines.protocol import BaselineInput, NothingLearned
from gradproof.estimators.note.estimate_moments import EstimateMoments
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.parabola import quadratics
from gradproof.reference_models.batch import Batch
from gradproof.reference_models.ops import Array

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import Check, checks_of, on_tabular_cases
from ..study import Study
from .baseline import MOST_JOINT, joint_draws, jointly
from .every_baseline import OF_SENTENCE, look_at_all
from .formulas import Arrays, apply_oracle, of_sentence

VARIANCE = "rounding: 8 times the largest estimate times what rounding can do to one"

#: Copies of a sentence that serve each other as baselines, and as many as do with many labels.
COPIES, FEWER_COPIES = 3, 2

#: Sentences of a text that are looked at, each alone.
SENTENCES = 2

#: Where the variance is looked at, in multiples of the best B: both sides of both ends of (0, 2).
PLACES = (-0.25, 0.25, 1.0, 1.75, 2.0, 2.25)


@dataclasses.dataclass(frozen=True)
class GivenValues(NothingLearned):
    """A number for each of ``n`` sentences. Called coupled, so that the batch stays together."""

    n: int
    name: str = "given"
    coupled: bool = True
    held: bool = True

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """``lambda.values`` (N,)."""
        return {"lambda.values": rng.standard_normal(self.n)}

    def value(self, seen: BaselineInput) -> Array:
        """The numbers, (N,)."""
        return seen.inputs["lambda.values"]


def moments_at(study: Study, baseline: np.ndarray, form_name: str = "one-pass") -> EstimateMoments:
    """Exact moments with a given baseline value for each sentence, of all draws jointly."""
    if not baseline.any():
        return study.moments(form_name)
    return study.moments_with(
        FORMS[form_name], GivenValues(study.subject.batch.n), {"lambda.values": baseline}
    )


def rounded(study: Study, baseline: object) -> np.ndarray:
    """Baseline values as the subject's dtype has them: formulas must read the same numbers."""
    per_sentence = np.broadcast_to(np.asarray(baseline, np.float64), (study.subject.batch.n,))
    return per_sentence.astype(study.subject.dtype)


def error_bound(
    study: Study, name: str, moments: EstimateMoments, largest_baseline: float
) -> float:
    """What rounding can do to one entry of a variance.

    An estimate is at most its largest from the mean, twice; squares and the mean of squares double
    its error each, and so does the formula's difference of two squares. Where estimates are zero
    their errors are what is squared.
    """
    bound = study.reference.bound(name, largest_baseline)
    return 8.0 * (moments.largest[name] + bound) * bound


def variances(study: Study) -> list[Comparison]:
    """The variance of each entry with a baseline, against the derived quadratic."""
    baseline = rounded(study, 2.0 + study.rng().standard_normal(study.subject.batch.n))
    moments = moments_at(study, baseline)
    expected = apply_oracle(
        derivation("baseline.variance").oracle, study, study.names(), baseline=baseline
    )
    return _compare(study, moments.variance, expected, moments, float(np.abs(baseline).max()))


def _compare(
    study: Study,
    variance_by_name: Mapping[str, np.ndarray],
    expected: Arrays,
    moments: EstimateMoments,
    largest: float,
) -> list[Comparison]:
    return [
        compare(
            name,
            variance_by_name[name],
            expected[name],
            error_bound(study, name, moments, largest),
            study.name,
            # Where a variance is zero by cancelling, what cancels is its size.
            signal=max(float(np.abs(expected[name]).max(initial=0.0)), moments.largest[name] ** 2),
        )
        for name in study.names()
    ]


def plus_one(study: Study) -> list[Comparison]:
    """The (CQ + 1) form's variance less the analytic form's, against the derived difference."""
    baseline = rounded(study, 2.0 + study.rng().standard_normal(study.subject.batch.n))
    one, other = (
        moments_at(study, baseline, form_name) for form_name in ("one-pass", "analytic-entropy")
    )
    difference = {name: one.variance[name] - other.variance[name] for name in study.names()}
    expected = apply_oracle(variance.PLUS_ONE, study, study.names(), baseline=baseline)
    larger = dataclasses.replace(
        one, largest={name: one.largest[name] + other.largest[name] for name in one.largest}
    )
    return _compare(study, difference, expected, larger, float(np.abs(baseline).max()))


def leave_one_out(study: Study) -> list[Comparison]:
    """Copies of one sentence, each with the others' mean loss as its baseline."""
    first = study.first(1).subject
    old, classes = first.batch, first.model.classes
    count = COPIES if classes**COPIES <= MOST_JOINT else FEWER_COPIES
    if classes**count > MOST_JOINT:
        return []
    batch = Batch(
        count,
        old.t,
        np.repeat(old.tokens, count, axis=0),
        np.repeat(old.mask, count, axis=0),
        np.repeat(old.labels, count),
        {name: np.repeat(array, count, axis=0) for name, array in old.noise.items()},
    )
    copies = Study(study.bench, first.replace(batch=batch))
    moments = copies.moments("analytic-entropy", "leave-one-out")
    one = Study(study.bench, first)
    # With the entropy analytic the return is L alone: log q + 1 is made zero.
    returns = np.full_like(one.tables.log_q, -1.0)
    names = study.names()
    expected = apply_oracle(
        variance.LEAVE_ONE_OUT, one, names, log_q=returns, draws=np.full(1, count)
    )
    whole = {name: count**2 * expected[name] for name in names}  # of the sum, not of its average
    return _compare(copies, moments.variance, whole, moments, float(np.abs(one.tables.loss).max()))


def best(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """a2 and the best baseline of each sentence, over all parameters, (N,) each."""
    moments = []
    for oracle in (variance.A1, variance.A2):
        moments.append(
            [
                sum(float(of_sentence(oracle, study, name, row).sum()) for name in study.names())
                for row in range(study.subject.batch.n)
            ]
        )
    a1, a2 = np.array(moments)
    return a2, np.divide(a1, a2, out=np.zeros_like(a1), where=a2 > 0.0)


def trace(study: Study, baseline: np.ndarray) -> tuple[float, float]:
    """The sum of all variances with a baseline, and what rounding can do to it."""
    moments, largest = moments_at(study, baseline), float(np.abs(baseline).max())
    total = sum(float(value.sum()) for value in moments.variance.values())
    bound = sum(
        value.size * error_bound(study, name, moments, largest)
        for name, value in moments.variance.items()
    )
    return total, bound


def interval(study: Study) -> list[Comparison]:
    """What the variance loses at multiples of the best baseline, against the derived parabola.

    Lower at some, higher at others: each difference is large enough to be told from zero.
    """
    a2, exact = best(study)
    removable = float((a2 * exact**2).sum())
    nothing, bound_of_nothing = trace(study, rounded(study, 0.0))
    comparisons = []
    for place in PLACES:
        total, bound = trace(study, rounded(study, place * exact))
        less = place * (2.0 - place) * removable
        # The baseline itself is rounded, and moves the parabola by its slope at that place.
        slack = study.reference.unit * 8.0 * removable
        comparisons.append(
            compare(
                f"variance lost at {place:g} times the best B",
                nothing - total,
                less,
                bound + bound_of_nothing + slack,
                study.name,
                signal=abs(less) or removable,
            )
        )
    return comparisons


def any_baseline(study: Study) -> list[Comparison]:
    """Whether a baseline on the wrong side of zero makes the variance smaller all the same."""
    baseline = rounded(study, -best(study)[1])
    (nothing, first), (total, second) = trace(study, rounded(study, 0.0)), trace(study, baseline)
    excess = max(0.0, total - nothing)
    return [
        compare(
            "variance above that without", excess, 0.0, first + second, study.name, signal=nothing
        )
    ]


def share_taken(study: Study) -> list[Comparison]:
    """What a baseline leaves above the best one, and the share that it takes, as derived."""
    a2, optimum = best(study)
    baseline = rounded(study, optimum + study.rng().standard_normal(len(optimum)))
    at_best = rounded(study, optimum)
    arguments = {"a2": a2, "best": optimum, "baseline": baseline.astype(np.float64)}
    (lowest, first), (total, second), (nothing, third) = (
        trace(study, value) for value in (at_best, baseline, rounded(study, 0.0))
    )
    removable = float((a2 * optimum**2).sum())
    excess = float(form.EXCESS(**arguments))
    comparisons = [
        compare(
            "variance above the best",
            total - lowest,
            excess,
            first + second + 4.0 * study.reference.unit * removable,  # the best is rounded
            study.name,
            signal=max(excess, nothing),
        )
    ]
    if removable > 0.0:  # else there is no share of it
        share = float(derivation("baseline.form").oracle(**arguments))
        comparisons.append(
            compare(
                "variance taken away",
                nothing - total,
                share * removable,
                second + third,
                study.name,
                signal=max(removable, nothing),
            )
        )
    return comparisons


def baselines(study: Study) -> list[Comparison]:
    """The variance with each baseline of the registry, against the parabola at the B that it gives.

    A sum of baselines is one as well: on drawn cases all are added up, so that a framework compiles
    once, and looked at one by one only where the sum is wrong. On a model of text each is alone.
    """
    names = tuple(name for name in OF_SENTENCE if name != "none")
    if study.has_few_entries:
        return look_at_all(at_its_value, names)(study)
    return [
        dataclasses.replace(one, what=f"{name}: {one.what}")
        for name in names
        for one in at_its_value(study, BASELINES[name])
    ]


def at_its_value(study: Study, baseline: Baseline) -> list[Comparison]:
    """The variance with a baseline, entry by entry, and what it lost in all, by the parabola.

    It is lower than without one, as the parabola has it, if and only if B lies strictly between 0
    and twice the best.
    """
    parabola, exact = quadratics(study.reference), study.reference
    total, optimum = parabola.summed(), parabola.best()
    removable = float((total.curvature * optimum**2).sum())
    nothing, bound_of_nothing = trace(study, rounded(study, 0.0))
    moments = study.moments("one-pass", baseline)
    values = study.baseline_values(baseline)
    largest = float(np.abs(values).max())
    bound = sum(
        value.size * error_bound(study, name, moments, largest)
        for name, value in moments.variance.items()
    )
    # B is computed in the subject's dtype, and moves the parabola by its slope there.
    slack = exact.unit * 8.0 * float((total.curvature * (values**2 + optimum**2)).sum())
    less = float((total.curvature * values * (2.0 * optimum - values)).sum())
    lost = compare(
        "variance lost",
        nothing - sum(float(value.sum()) for value in moments.variance.values()),
        less,
        bound + bound_of_nothing + slack,
        study.name,
        signal=max(abs(less), removable),
    )
    entries = _compare(study, moments.variance, parabola.variance(values), moments, largest)
    return [*entries, lost]


def of_sentences(
    compare_one: Callable[[Study], list[Comparison]],
) -> Callable[[Study], list[Comparison]]:
    """A comparison of each sentence of a text alone, and of a small batch as it is."""

    def compare_each(study: Study) -> list[Comparison]:
        return [found for one in study.sentences(SENTENCES) for found in compare_one(one)]

    return compare_each


def variances_jointly(study: Study) -> list[Comparison]:
    """The variance of each entry: of a small batch, or of two sentences of a text together."""
    study = jointly(study)
    return variances(study) if joint_draws(study) <= MOST_JOINT else []


_FIELDS = {**on_tabular_cases(supports=False), "bound_reason": VARIANCE}
_variance = checks_of("baseline.variance", **_FIELDS)

CHECKS = (
    _variance("printed", "any B(x) makes it smaller", REFUTED, of_sentences(any_baseline)),
    _variance("derived", "it is a0 - 2 a1 B + a2 B^2, entry by entry", HOLDS, variances_jointly),
    _variance(
        "derived-interval", "smaller for B in (0, 2 a1/a2) alone", HOLDS, of_sentences(interval)
    ),
    _variance("derived-plus-one", "(CQ + 1) against analytic -dH", HOLDS, of_sentences(plus_one)),
    _variance(
        "registry",
        "with each baseline of the registry: the parabola at its B, lower only inside (0, 2 a1/a2)",
        HOLDS,
        of_sentences(baselines),
    ),
    _variance(
        "derived-leave-one-out",
        "three draws that serve each other as baselines (with many labels, two)",
        HOLDS,
        leave_one_out,
    ),
    Check(
        "baseline.form",
        "derived",
        "what a form leaves above the best B",
        HOLDS,
        of_sentences(share_taken),
        **_FIELDS,
    ),
)
