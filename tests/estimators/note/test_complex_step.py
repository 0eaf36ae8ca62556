"""The complex step is a derivative, to rounding, by arithmetic that knows no derivatives."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases, typical_tabular
from gradproof.estimators.backends.autograd_backend import AutogradBackend
from gradproof.estimators.note.builds import build, exact_objective
from gradproof.estimators.note.complex_step import derivative, tables
from gradproof.estimators.note.exact import reference
from gradproof.reference_models.model import every_label

#: Tenths, which no binary number is, up to 4: far from where a step of 1e-200 would underflow.
numbers = st.integers(-40, 40).map(lambda tenths: tenths / 10)
EPSILON = np.finfo(float).eps

#: Sums of the same dozen terms of size one, which a batch of another size may add in another order.
CLOSE = {"rtol": 0.0, "atol": 1e-14}


@given(x=numbers, y=numbers, dx=numbers, dy=numbers)
def test_it_is_the_derivative_that_calculus_gives(x, y, dx, dy):
    """exp(x) tanh(y) + (x y)^2 has, along any direction, the derivative written out."""
    found = derivative(
        lambda ops, p, i: ops.sum(ops.exp(p["x"]) * ops.tanh(p["y"]) + ops.square(p["x"] * p["y"])),
        {"x": np.array([x]), "y": np.array([y])},
        {},
        {"x": np.array([dx]), "y": np.array([dy])},
    )
    terms = [
        dx * math.exp(x) * math.tanh(y),
        dy * math.exp(x) / math.cosh(y) ** 2,
        dx * 2 * x * y**2,
        dy * 2 * x**2 * y,
    ]
    # Eight operations on either side; complex arithmetic makes 1 - tanh^2, good to EPSILON.
    largest = math.fsum(map(abs, terms)) + abs(dy) * math.exp(x)
    assert abs(found - math.fsum(terms)) <= 16 * EPSILON * largest


@given(case=tabular_cases(supports=False), seed=st.integers(0, 2**32 - 1))
def test_it_agrees_with_reverse_mode(case, seed):
    """Along a random direction U changes as its gradient says: two ways to one number."""
    subject = case.subject()
    wide = {name: array.astype(float) for name, array in subject.parameters.items()}
    subject = subject.replace(parameters=wide)
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    whole = build(exact_objective, subject)
    known = reference(subject)
    gradient = AutogradBackend().differentiate(whole, wide, inputs, tuple(wide))(wide, inputs)
    rng = np.random.default_rng(seed)
    direction = {name: rng.choice([-1.0, 0.0, 1.0], array.shape) for name, array in wide.items()}
    along = math.fsum((gradient[name] * direction[name]).sum() for name in wide)
    bound = math.fsum(known.bound(name) * np.abs(direction[name]).sum() for name in wide)
    assert abs(derivative(whole, wide, inputs, direction) - along) <= bound


@given(x=numbers)
def test_single_precision_is_widened(x):
    """The step is taken in double precision, whatever the parameters have."""
    found = derivative(
        lambda ops, p, i: ops.sum(ops.square(p["x"])),
        {"x": np.array([x], np.float32)},
        {},
        {"x": np.ones(1)},
    )
    expected = 2 * float(np.float32(x))
    # The step, the square and the division; float32 would be off by up to 6e-8.
    assert abs(found - expected) <= 4 * EPSILON * abs(expected)


def wide_subject(case):
    """A case's subject in double precision."""
    subject = case.subject()
    wide = {name: array.astype(float) for name, array in subject.parameters.items()}
    return subject.replace(parameters=wide)


@given(case=tabular_cases(supports=False))
def test_tables_agree_with_reverse_mode(case):
    """Score and pathwise gradient of each label are reverse mode's, in every entry.

    The bound is the reference's for the estimate, in which each score has a weight of one or more.
    """
    subject = wide_subject(case)
    found, known = tables(subject), reference(subject)
    assert set(found.score) == set(found.pathwise) == set(subject.parameters)
    for name in subject.parameters:
        bound = known.bound(name)
        for mine, other in (
            (found.score[name], known.score[name]),
            (found.pathwise[name], known.pathwise[name]),
        ):
            assert np.abs(mine - np.swapaxes(other, 0, 1)).max() <= bound
    assert np.abs(found.log_q - known.log_q.T).max() <= known.value_bound()
    assert np.abs(found.loss - known.loss.T).max() <= known.value_bound()


@given(case=tabular_cases(supports=False))
def test_tables_have_the_label_first(case):
    """Then the sentence, then the parameter's own axes; real, and in double precision."""
    subject = case.subject()
    found = tables(subject)
    lead = (len(case.bias), len(case.tokens))
    assert found.log_q.shape == found.loss.shape == lead
    for name, array in subject.parameters.items():
        for table in (found.score[name], found.pathwise[name]):
            assert table.shape == lead + array.shape
            assert table.dtype == np.float64
    assert found.log_q.dtype == found.loss.dtype == np.float64


@given(case=tabular_cases(supports=False))
def test_tables_weigh_labels_by_probabilities(case):
    """Over the first axis q sums to one, and so the mean of each score is zero."""
    subject = wide_subject(case)
    found, known = tables(subject), reference(subject)
    q = np.exp(found.log_q)
    # One rounding of exp for each label, of what is off by rounding of log q already.
    assert np.abs(q.sum(axis=0) - 1.0).max() <= 2 * len(q) * known.value_bound()
    for name, score in found.score.items():
        mean = np.einsum("kn,kn...->n...", q, score)
        assert np.abs(mean).max() <= known.bound(name)


@given(case=tabular_cases(supports=False))
def test_tables_know_what_reaches_what(case):
    """Exactly zero: the score by phi and theta, and the pathwise gradient by w."""
    found = tables(case.subject())
    for name in ("phi.table", "theta.table"):
        assert not found.score[name].any()
    for name in ("w.weight", "w.bias"):
        assert not found.pathwise[name].any()


def test_tables_are_of_one_sentence_each():
    """What a sentence's score is does not depend on who else is in the batch."""
    case = typical_tabular(np.random.default_rng(0), sentences=(2, 2), supports=False)
    subject = case.subject()
    both = tables(subject)
    for row in range(2):
        alone = tables(subject.example(row))
        for name, score in alone.score.items():
            np.testing.assert_allclose(both.score[name][:, [row]], score, **CLOSE)
            np.testing.assert_allclose(both.pathwise[name][:, [row]], alone.pathwise[name], **CLOSE)
