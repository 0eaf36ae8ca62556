"""The parabola of a variance: the same as a rerun with any baseline, at no cost."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases
from gradproof.checks.note.claims.baseline_variance import GivenValues
from gradproof.checks.note.study import Study
from gradproof.estimators.backends import load
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.parabola import Quadratics, quadratics
from gradproof.reference_models.model import group_of

BENCH = Bench(load("autograd"))
cases = tabular_cases().map(lambda case: dataclasses.replace(case, dtype="float64"))
numbers = st.integers(-40, 40).map(lambda eighths: eighths / 8)


@given(case=cases, baseline=numbers)
def test_it_is_the_variance_of_a_rerun(case, baseline):
    """The estimator's own code on every draw has the variance that the parabola says."""
    study = Study(BENCH, case.subject())
    given_values = np.full(study.subject.batch.n, baseline)
    found = study.moments_with(
        FORMS["one-pass"], GivenValues(len(given_values)), {"lambda.values": given_values}
    )
    expected = quadratics(study.reference).variance(baseline)
    for name, variance in found.variance.items():
        # An error of one estimate counts twice in its square, on either side.
        bound = 8.0 * found.largest[name] * study.reference.bound(name, abs(baseline))
        np.testing.assert_allclose(variance, expected[name], rtol=0.0, atol=bound)


@given(case=cases, shift=numbers)
def test_the_best_baseline_is_least(case, shift):
    """Any other baseline has a total that is larger, by the curvature times the shift squared."""
    found = quadratics(reference(case.subject()))
    curvature = sum(
        of.reshape(len(of), -1).sum(axis=1)
        for of in found.grouped(lambda _: "all").curvature.values()
    )
    lowest, other = found.total(found.best()), found.total(found.best() + shift)
    size = sum(float(of.sum()) for of in found.value.values()) + float(curvature.sum()) * (
        1.0 + shift**2 + float(np.abs(found.best() - found.centre).max()) ** 2
    )
    expected = float(curvature.sum()) * shift**2
    assert abs(other - lowest - expected) <= 1e-13 * size  # some hundred roundings of what is added


@given(case=cases)
def test_finer_baselines_leave_less(case):
    """One for each parameter entry leaves no more than one a group, and that than one for all."""
    found = quadratics(reference(case.subject()))
    groups, whole = found.grouped(group_of), found.grouped(lambda _: "all")
    entries = sum(float(value.sum()) for value in found.least().values())
    by_group = sum(float(value) for value in groups.least().values())
    by_one = float(whole.least()["all"])
    slack = 1e-13 * (1.0 + sum(float(np.abs(of).sum()) for of in whole.value.values()))  # rounding
    assert entries <= by_group + slack <= by_one + 2 * slack
    assert by_one <= found.total(found.best()) + slack


@given(case=cases, baseline=numbers)
def test_groups_add_up(case, baseline):
    """The sum over groups is the sum over entries."""
    found = quadratics(reference(case.subject()))
    grouped = found.grouped(group_of)
    assert set(grouped.names()) == {"e", "w", "phi", "theta"}
    np.testing.assert_allclose(
        grouped.total(baseline),
        found.total(baseline),
        rtol=1e-12,  # the same terms in another order
        # Where they cancel, what is left of the largest.
        atol=1e-12 * sum(float(of.sum()) for of in found.curvature.values()) * (1 + baseline**2),
    )


def test_no_score_no_best_baseline():
    """Where no label can move an entry, no baseline matters, and the centre is as good as any."""
    zero = {"phi.table": np.zeros((2, 3))}
    found = Quadratics(np.array([1.0, 2.0]), {"phi.table": np.ones((2, 3))}, zero, zero)
    np.testing.assert_array_equal(found.best(), [1.0, 2.0])
    assert found.total(7.0) == 6.0
    np.testing.assert_array_equal(found.least()["phi.table"], 2.0 * np.ones(3))


@given(case=cases, shift=numbers)
def test_a_total_is_the_sum_of_what_it_is_of(case, shift):
    """At any baselines, one a sentence: the README's function of microseconds."""
    found = quadratics(reference(case.subject()))
    baselines = shift + np.arange(len(found.centre), dtype=float)
    # Each sentence's parabola has terms that are larger than their sum; roundings are of these.
    summed = found.summed()
    shifts = np.abs(baselines - found.centre)
    terms = shifts**2 * summed.curvature + 2.0 * shifts * np.abs(summed.slope)
    size = summed.value + float(terms.sum())
    expected = found.total(baselines)
    # Some hundred of them, in two orders.
    np.testing.assert_allclose(summed(baselines), expected, rtol=0.0, atol=1e-13 * size)
