"""Moments are those of a plain loop over the draws, each sentence by itself or all together."""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases, typical_tabular
from gradproof.estimators.backends import load
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.tabular import TabularModel

each_backend = pytest.mark.parametrize(
    "backend",
    [
        "autograd",
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("theano", marks=pytest.mark.theano),
    ],
)
seeds = st.integers(0, 2**32 - 1)
EPSILON = np.finfo(float).eps


@functools.lru_cache
def bench(backend="autograd"):
    """One bench a backend, so that a symbolic framework compiles once."""
    return Bench(load(backend))


def subject_of(seed, support=None):
    """Two sentences of a tabular model with K = 3, always of the same shapes."""
    rng = np.random.default_rng(seed)
    model = TabularModel(3, 4, 2, support=support)
    mask = np.arange(2) < rng.integers(1, 3, (2, 1))
    batch = make_batch(rng.integers(0, 4, (2, 2)), mask, noise=model.noise(rng, 2, 2))
    return Subject(model, model.initial(rng), batch)


def extra_of(baseline, subject, seed=0):
    """Lambda of a baseline."""
    found = BASELINES[baseline].initial(np.random.default_rng(seed), subject.model.width)
    return {name: array.astype(subject.dtype) for name, array in found.items()}


def loop(estimates, probability):
    """Mean and variance of numbers by label tuple, in plain Python."""
    weights = {
        labels: math.prod(probability[n][y] for n, y in enumerate(labels)) for labels in estimates
    }
    mean = math.fsum(weights[labels] * value for labels, value in estimates.items())
    spread = (weights[labels] * (value - mean) ** 2 for labels, value in estimates.items())
    return mean, math.fsum(spread)


@st.composite
def probabilities(draw):
    """q (N, K) in eighths, some of them zero; rows sum to one exactly."""
    n, k = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    rows = []
    for _ in range(n):
        cuts = sorted(draw(st.lists(st.integers(0, 8), min_size=k - 1, max_size=k - 1)))
        rows.append(np.diff([0, *cuts, 8]) / 8)
    return np.array(rows)


@given(probability=probabilities(), seed=seeds)
def test_moments_are_those_of_a_loop(probability, seed):
    """Mean, variance and largest are over all draws that can happen, weighed by their q."""
    n, k = probability.shape
    rng = np.random.default_rng(seed)
    table = {labels: rng.standard_normal(2) for labels in itertools.product(range(k), repeat=n)}
    run = []

    def estimate(draw):
        labels = tuple(draw.argmax(axis=1).tolist())
        run.append(labels)
        return {"x": table[labels], "s": np.array(7.0)}

    found = estimate_moments.enumerate_draws(estimate, probability)
    possible = [labels for labels in table if all(probability[range(n), labels] > 0.0)]
    assert sorted(run) == sorted(possible)
    assert (found.draws, found.skipped) == (len(possible), k**n - len(possible))
    assert found.largest["x"] == max(np.abs(table[labels]).max() for labels in possible)
    # At most 27 draws: as many products and additions, of numbers up to largest, and its square.
    slack = 2 * 27 * EPSILON * (1.0 + found.largest["x"]) ** 2
    for entry in range(2):
        mean, variance = loop({y: table[y][entry] for y in possible}, probability)
        assert abs(found.mean["x"][entry] - mean) <= slack
        assert abs(found.variance["x"][entry] - variance) <= 4 * slack
    assert found.mean["s"] == pytest.approx(7.0, abs=7 * 27 * EPSILON)  # as above
    assert found.variance["s"] == pytest.approx(0.0, abs=(7 * 27 * EPSILON) ** 2)


@pytest.mark.parametrize(
    "enumerate_moments", [estimate_moments.per_example, estimate_moments.joint]
)
@given(case=tabular_cases(), shift=st.integers(-8, 8))
def test_the_one_pass_estimate_has_the_moments_of_its_formula(enumerate_moments, case, shift):
    """Mean and variance of (L + log q + 1 - B) score + pathwise, looped over, are what is found."""
    subject = case.subject()
    known = reference(subject)
    extra = {"lambda.bias": np.array(shift / 4, subject.dtype)}
    found = enumerate_moments(
        bench(), FORMS["one-pass"], BASELINES["constant"], subject, extra, known.log_q
    )
    possible = [np.flatnonzero(row > 0.0) for row in known.probability]
    for name in subject.parameters:
        bound = known.bound(name, extra=shift / 4)
        for place in np.ndindex(subject.parameters[name].shape):
            estimates = {
                labels: math.fsum(
                    (known.loss[i, y] + known.log_q[i, y] + 1.0 - shift / 4)
                    * known.score[name][(i, y, *place)]
                    + known.pathwise[name][(i, y, *place)]
                    for i, y in enumerate(labels)
                )
                for labels in itertools.product(*possible)
            }
            mean, variance = loop(estimates, known.probability)
            assert abs(found.mean[name][place] - mean) <= bound
            largest = max(map(abs, estimates.values())) + bound
            apart = abs(found.variance[name][place] - variance)
            assert apart <= variance_bound(largest, bound)


UNCOUPLED = [name for name, baseline in BASELINES.items() if not baseline.coupled]
COUPLED = [name for name, baseline in BASELINES.items() if baseline.coupled]


@pytest.mark.parametrize("baseline", UNCOUPLED)
@given(seed=seeds, form=st.sampled_from(["one-pass", "score-of-loss"]))
def test_sentences_add_up(baseline, seed, form):
    """Enumerated one by one or jointly, mean and variance of an uncoupled estimate are the same."""
    subject = subject_of(seed)
    known = reference(subject)
    extra = extra_of(baseline, subject, seed)
    names = ("e.embedding", "w.bias", "phi.table")
    # The baseline at its largest: lambda times the embeddings, all of which are tables of normals.
    size = sum(np.abs(value).sum() for value in extra.values())
    size = size * (1.0 + np.abs(subject.parameters["e.embedding"]).max())
    single, whole = (
        enumerate_moments(
            bench(), FORMS[form], BASELINES[baseline], subject, extra, known.log_q, names
        )
        for enumerate_moments in (estimate_moments.per_example, estimate_moments.joint)
    )
    assert (single.draws, whole.draws) == (2 * 3, 3**2)
    assert set(single.mean) == set(whole.mean) == set(names)
    for name in names:
        bound = 2 * known.bound(name, extra=size)
        largest = max(single.largest[name], whole.largest[name]) + bound
        assert np.abs(single.mean[name] - whole.mean[name]).max() <= bound
        apart = np.abs(single.variance[name] - whole.variance[name]).max()
        assert apart <= variance_bound(largest, bound)
        assert whole.largest[name] <= single.largest[name] + bound


def variance_bound(largest, bound):
    """How far a variance moves when estimates up to ``largest``, and their mean, move by ``bound``.

    A square moves by twice the deviation, which is at most twice the largest estimate.
    """
    return 2 * (2 * largest) * (2 * bound)


@each_backend
@given(seed=seeds)
def test_the_mean_is_the_gradient_and_the_variance_the_same(backend, seed):
    """In every framework the one-pass estimate is unbiased, and spreads as in the others."""
    subject = subject_of(seed)
    known = reference(subject)
    extra = extra_of("constant", subject, seed)
    found, other = (
        estimate_moments.per_example(
            bench(one), FORMS["one-pass"], BASELINES["constant"], subject, extra, known.log_q
        )
        for one in (backend, "autograd")
    )
    for name, gradient in known.gradient.items():
        bound = known.bound(name, extra=float(extra["lambda.bias"]))
        assert np.abs(found.mean[name] - gradient).max() <= bound, name
        apart = np.abs(found.variance[name] - other.variance[name]).max()
        assert apart <= variance_bound(found.largest[name] + bound, bound), name


@pytest.mark.parametrize("baseline", COUPLED)
def test_a_coupled_baseline_must_be_enumerated_jointly(baseline):
    """What depends on other sentences' labels cannot be enumerated one by one, and says so."""
    subject = subject_of(0)
    arguments = (
        bench(),
        FORMS["one-pass"],
        BASELINES[baseline],
        subject,
        extra_of(baseline, subject),
        reference(subject).log_q,
    )
    message = f"baseline '{baseline}' couples the sentences of a batch; enumerate jointly"
    with pytest.raises(ValueError, match=message):
        estimate_moments.per_example(*arguments)
    assert estimate_moments.joint(*arguments).draws == 9


def test_batch_statistics_need_joint_enumeration():
    """Sentences that enter each other's cost do not add up one by one: jointly alone."""
    case = typical_tabular(np.random.default_rng(0), batch_statistics=True)
    subject = case.subject()
    arguments = (
        bench(), FORMS["pathwise"], BASELINES["none"], subject, extra_of("none", subject),
        reference(subject).log_q, ("theta.table",),
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"sentences enter each other's cost: L of sentence 0 is"):
        estimate_moments.per_example(*arguments)
    assert estimate_moments.joint(*arguments).draws == 9


def test_too_many_draws_are_refused():
    """K^N beyond the limit is refused before anything is run, with the number and what to do."""

    def never(draw):
        raise AssertionError("nothing is run")

    message = r"8192 joint draws \(of K\^N = 2\^13\), at most 4096 are enumerated; take fewer sen"
    with pytest.raises(ValueError, match=message):
        estimate_moments.enumerate_draws(never, np.full((13, 2), 0.5))
    assert estimate_moments.MOST_DRAWS == 2**12
    found = estimate_moments.enumerate_draws(
        lambda draw: {"x": draw[:, 0].sum()}, np.full((12, 2), 0.5)
    )
    assert found.draws == 2**12
    assert found.mean["x"] == 6.0
    assert found.variance["x"] == 3.0  # of a binomial, in numbers that are exact


def test_labels_that_cannot_be_drawn_do_not_count_towards_the_limit():
    """Known labels, a row with a single 1, leave one way each: a hundred of them are no trouble."""
    probability = np.zeros((100, 3))
    probability[:, 1] = 1.0
    found = estimate_moments.enumerate_draws(lambda draw: {"x": draw.sum(axis=0)}, probability)
    assert (found.draws, found.skipped) == (1, 3**100 - 1)
    np.testing.assert_array_equal(found.mean["x"], [0.0, 100.0, 0.0])
    np.testing.assert_array_equal(found.variance["x"], np.zeros(3))


@given(seed=seeds)
def test_impossible_labels_are_skipped_and_counted(seed):
    """A label of probability zero is never run, one by one nor jointly, and the count says so."""
    subject = subject_of(seed, support=(True, False, True))
    known = reference(subject)
    arguments = (bench(), FORMS["one-pass"], BASELINES["none"], subject,
                 extra_of("none", subject), known.log_q)  # fmt: skip
    single, whole = estimate_moments.per_example(*arguments), estimate_moments.joint(*arguments)
    assert (single.draws, single.skipped) == (2 * 2, 2 * 1)
    assert (whole.draws, whole.skipped) == (2**2, 3**2 - 2**2)
    for name, gradient in known.gradient.items():
        assert np.abs(whole.mean[name] - gradient).max() <= known.bound(name), name


NOT_ONE = {
    "too little": ([[0.5, 0.5], [0.5, 0.25]], r"sentence 1 have total probability 0\.75"),
    "too much": ([[0.9, 0.9], [0.5, 0.5]], r"sentence 0 have total probability 1\.8"),
    "right as a product": ([[0.5, 0.3], [0.75, 0.5]], r"sentence 0 have total probability 0\.8"),
    "NaN": ([[0.5, 0.5], [np.nan, 0.5]], "sentence 1 have total probability nan"),
    "nothing": ([[0.0, 0.0]], r"sentence 0 have total probability 0\.0"),
}


@pytest.mark.parametrize(("probability", "message"), NOT_ONE.values(), ids=NOT_ONE)
def test_probabilities_that_do_not_sum_to_one_are_refused(probability, message):
    """A mean over weights that do not sum to one is no mean; the sentence is named."""
    with pytest.raises(ValueError, match=f"{message}, expected 1; log q is not normalised"):
        estimate_moments.enumerate_draws(lambda draw: {"x": draw}, np.array(probability))


@pytest.mark.parametrize(
    "enumerate_moments", [estimate_moments.per_example, estimate_moments.joint]
)
def test_a_log_q_that_is_not_normalised_is_refused(enumerate_moments):
    """Logits in place of log probabilities are noticed, at the sentence where they are."""
    subject = subject_of(0)
    log_q = reference(subject).log_q + np.array([[0.0], [0.1]])
    with pytest.raises(ValueError, match=r"labels of sentence 1 have total probability 1\.105"):
        enumerate_moments(
            bench(), FORMS["one-pass"], BASELINES["none"], subject, extra_of("none", subject), log_q
        )


def test_the_variance_does_not_cancel():
    """A spread far below the mean keeps its digits: it is not a difference of large squares."""
    found = estimate_moments.enumerate_draws(
        lambda draw: {"x": 2.0**40 + draw[:, 0] / 8}, np.array([[0.5, 0.5]])
    )
    np.testing.assert_array_equal(found.variance["x"], [1 / 256])
