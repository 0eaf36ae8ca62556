"""Lambda from many sentences: what each fit makes least, and what cannot be fitted."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.baselines.fit import (
    RUNNING_MEAN,
    SQUARED_ERROR,
    VARIANCE,
    closest_lambda,
    fit,
    goal,
)
from gradproof.estimators.baselines.learned import LearnedBaseline
from gradproof.estimators.baselines.protocol import Features, features_of
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.label_table import of_reference
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.tabular import TabularModel

LEARNED = [name for name, of in BASELINES.items() if isinstance(of, LearnedBaseline) and of.held]
seeds = st.integers(0, 2**32 - 1)
each_form = pytest.mark.parametrize("name", LEARNED)

#: Of what is added up: far above the rounding of the few hundred terms, far below any fit's gain.
SLACK = 1e-11


@functools.lru_cache(maxsize=64)
def sentences(seed, n=7, longest=4):
    """The table and the features of some sentences of a tabular model."""
    rng = np.random.default_rng(seed)
    model = TabularModel(3, 6, 2)
    mask = np.arange(longest) < rng.integers(1, longest + 1, (n, 1))
    noise = model.noise(rng, n, longest)
    batch = make_batch(rng.integers(0, 6, mask.shape) * mask, mask, noise=noise)
    subject = Subject(model, model.initial(rng), batch)
    features = features_of(AutogradOps(), subject.parameters, subject.batch)
    return of_reference(reference(subject)), features


def fitted(name, by, seed, **more):
    """B of each sentence that it was fitted on."""
    table, x = sentences(seed, **more)
    lam = fit(BASELINES[name], x, table, by, np.random.default_rng(seed))
    return values(name, lam, x)


def values(name, lam, x):
    """B of each sentence."""
    return np.broadcast_to(BASELINES[name].value_of(AutogradOps(), lam, x), x.lengths.shape)


def squared_error(table, b):
    """The sum over sentences and labels of q (R - B)^2, term by term."""
    q, returns = table.probability, table.returns()
    return math.fsum(
        q[place] * (returns[place] - b[place[0]]) ** 2 for place in np.ndindex(q.shape)
    )


@each_form
@given(seed=seeds)
@settings(max_examples=20)
def test_the_fit_by_variance_leaves_no_more_than_that_by_squared_error(name, seed):
    """On the sentences of the fit; by squared error it is the other way round."""
    table, _ = sentences(seed)
    by_variance, by_error = fitted(name, VARIANCE, seed), fitted(name, SQUARED_ERROR, seed)
    none = table.quadratics().total(0.0)
    left = [table.quadratics().total(b) for b in (by_variance, by_error)]
    if name != "mlp":  # a network is held to where it began, and has local minima
        assert left[0] <= left[1] + SLACK * none
        slack = SLACK * squared_error(table, 0.0 * by_error)
        assert squared_error(table, by_error) <= squared_error(table, by_variance) + slack
    assert left[0] <= none * (1.0 + SLACK)


#: A form, and one that it contains.
NESTED = [
    ("affine-length", "constant"),
    ("affine-length", "per-token"),
    ("affine-embedding", "constant"),
    ("affine-both", "affine-length"),
    ("affine-both", "affine-embedding"),
    ("mlp", "affine-embedding"),
]


@pytest.mark.parametrize(("form", "part"), NESTED)
@given(seed=seeds)
@settings(max_examples=20)
def test_a_form_does_no_worse_than_one_that_it_contains(form, part, seed):
    """On the sentences of the fit, whichever of the two it goes by."""
    table, _ = sentences(seed)
    whole, none = table.quadratics(), table.quadratics().total(0.0)
    left = [whole.total(fitted(name, VARIANCE, seed)) for name in (form, part)]
    assert left[0] <= left[1] + SLACK * none
    errors = [squared_error(table, fitted(name, SQUARED_ERROR, seed)) for name in (form, part)]
    assert errors[0] <= errors[1] + SLACK * squared_error(table, np.zeros(len(table.loss)))


@pytest.mark.parametrize("name", [name for name in LEARNED if name != "mlp"])
@given(seed=seeds)
@settings(max_examples=20)
def test_no_other_lambda_has_a_smaller_error(name, seed):
    """Moved anywhere, a lambda that is fitted by squared error only gets worse."""
    table, x = sentences(seed)
    rng = np.random.default_rng(seed)
    lam = fit(BASELINES[name], x, table, SQUARED_ERROR, rng)
    least = squared_error(table, values(name, lam, x))
    for size in (1e-3, 1.0):
        moved = {key: of + size * rng.standard_normal(of.shape) for key, of in lam.items()}
        found = squared_error(table, values(name, moved, x))
        assert least <= found + SLACK * (found + squared_error(table, np.zeros(len(x.lengths))))


@given(seed=seeds)
@settings(max_examples=20)
def test_running_means_are_those_of_the_expected_loss(seed):
    """By sentence, and by token as in the released code."""
    table, x = sentences(seed)
    expected = [
        math.fsum(q * loss for q, loss in zip(*rows, strict=True))
        for rows in zip(table.probability, table.loss, strict=True)
    ]
    total = math.fsum(expected)
    by_sentence = fitted("constant", RUNNING_MEAN, seed)
    by_token = fitted("per-token", RUNNING_MEAN, seed)
    size = np.abs(table.loss).sum()
    bound = 1e-14 * size  # some twenty terms, each rounded twice
    assert np.abs(by_sentence - total / len(expected)).max() <= bound
    assert np.abs(by_token - total / x.lengths.sum() * x.lengths).max() <= bound


@given(seed=seeds)
@settings(max_examples=20)
def test_one_length_says_no_more_than_a_constant(seed):
    """Features that go together leave several lambdas; the smallest is taken, and B is the same."""
    table, x = sentences(seed, longest=1)
    for by in (SQUARED_ERROR, VARIANCE):
        one, other = (fitted(name, by, seed, longest=1) for name in ("constant", "affine-length"))
        assert np.abs(one - other).max() <= 1e-12 * (1.0 + np.abs(one).max())  # two factorisations
    lam = fit(BASELINES["affine-length"], x, table, VARIANCE, np.random.default_rng(0))
    # Of all pairs with one sum the smallest has two equal halves.
    assert lam["lambda.length"][0] == pytest.approx(float(lam["lambda.bias"]), rel=1e-10)


@given(seed=seeds)
@settings(max_examples=20)
def test_few_sentences_are_met_exactly(seed):
    """One sentence is fewer than there are features: B is what it should be there."""
    table, _ = sentences(seed, n=1)
    for name in LEARNED:
        for by in (SQUARED_ERROR, VARIANCE):
            target, weight = goal(table, by)
            found = fitted(name, by, seed, n=1)
            if weight[0] > 1e-20:  # below, lstsq has nothing to go by but rounding
                assert found[0] == pytest.approx(target[0], rel=1e-10, abs=1e-10)


@each_form
@given(seed=seeds)
@settings(max_examples=20)
def test_slopes_are_complex_steps(name, seed):
    """The derivative of B by each number of lambda, against a witness that differentiates none."""
    _, x = sentences(seed)
    rng = np.random.default_rng(seed)
    baseline, step = BASELINES[name], 1e-40
    lam = baseline.initial(rng, x.embedded.shape[1])
    slopes = baseline.slopes(lam, x)
    assert set(slopes) == set(lam)
    for key, of in lam.items():
        assert slopes[key].shape == (len(x.lengths), *of.shape)
        for place in np.ndindex(of.shape):
            moved = of.astype(complex)
            moved[place] += 1j * step
            found = np.imag(baseline.value_of(AutogradOps(), lam | {key: moved}, x)) / step
            found = np.broadcast_to(found, x.lengths.shape)
            expected = slopes[key][(slice(None), *place)]
            # A tanh, its square, and two products.
            assert np.abs(found - expected).max() <= 1e-14 * (1.0 + np.abs(expected).max())


def test_no_weight_no_lambda():
    """Where no baseline matters the smallest lambda is zero, and nothing is divided by it."""
    _, x = sentences(0)
    n = len(x.lengths)
    for name in LEARNED:
        rng = np.random.default_rng(0)
        lam = closest_lambda(BASELINES[name], x, np.ones(n), np.zeros(n), rng)
        assert np.abs(values(name, lam, x)).max() == 0.0


def broken(**changes):
    """Features and a table of which something is wrong."""
    table, x = sentences(0)
    of_x = {key: value for key, value in changes.items() if key in ("lengths", "embedded")}
    rest = {key: value for key, value in changes.items() if key not in of_x}
    return dataclasses.replace(x, **of_x), dataclasses.replace(table, **rest)


SEVEN = np.ones(7)
BAD = [
    ({"lengths": np.ones(6)}, "constant", VARIANCE, r"lengths has shape \(6,\), expected \(7,\)"),
    ({"embedded": np.ones((6, 2))}, "mlp", VARIANCE, r"embedded has shape \(6, 2\), expected \(7"),
    ({"lengths": SEVEN * np.nan}, "per-token", RUNNING_MEAN, r"lengths is nan at \(0,\), expected"),
    ({"loss": np.full((7, 3), np.nan)}, "constant", SQUARED_ERROR, "target is nan at"),
    ({"loss": np.full((7, 3), np.nan)}, "mlp", VARIANCE, "target is nan at"),
    ({"loss": np.full((7, 3), np.inf)}, "constant", RUNNING_MEAN, r"E\[L\] is inf at"),
    ({}, "constant", "guess", "by = 'guess', expected 'mse', 'variance' or"),
    ({}, "affine-both", RUNNING_MEAN, "'affine-both' is no mean of losses, expected constant or"),
    ({}, "none", VARIANCE, "'none' has nothing to fit, expected one that learns"),
    ({}, "leave-one-out", SQUARED_ERROR, "'leave-one-out' has nothing to fit"),
]


@pytest.mark.parametrize(("changes", "name", "by", "words"), BAD)
def test_what_cannot_be_fitted_is_an_error(changes, name, by, words):
    """It names the value, what was expected and what to do."""
    x, table = broken(**changes)
    with pytest.raises(ValueError, match=words), np.errstate(invalid="ignore"):
        fit(BASELINES[name], x, table, by, np.random.default_rng(0))


def test_a_goal_of_other_sentences_is_an_error():
    """Targets and weights are one for each sentence, and no weight is negative."""
    _, x = sentences(0)
    rng, constant = np.random.default_rng(0), BASELINES["constant"]
    with pytest.raises(ValueError, match=r"target has shape \(6,\), expected \(7,\)"):
        closest_lambda(constant, x, np.ones(6), SEVEN, rng)
    with pytest.raises(ValueError, match=r"weight is -1\.0 for sentence 6, expected none"):
        closest_lambda(constant, x, SEVEN, np.array([*np.ones(6), -1.0]), rng)
    with pytest.raises(ValueError, match="there are no sentences"):
        closest_lambda(constant, Features(np.ones(0), np.ones((0, 2))), np.ones(0), np.ones(0), rng)
