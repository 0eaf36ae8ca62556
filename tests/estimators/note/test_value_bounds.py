"""Roundings are counted as they are, and what they come to is a bound that means something."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases, typical_tabular
from gradproof.estimators.backends.autograd_backend import AutogradBackend
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.builds import all_labels, build, surrogate
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.value_bounds import PASSES, count_roundings, unit_roundoff
from gradproof.reference_models.model import every_label, one_hot

X, Y, M = np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 4))

COUNTS = {
    "nothing": (lambda ops, p: p["x"], 0),
    "an addition": (lambda ops, p: p["x"] + p["y"], 1),
    "a number and a minus": (lambda ops, p: 2.0 * -p["x"], 2),
    "a function": (lambda ops, p: ops.exp(p["x"]), 1),
    "a sum of three": (lambda ops, p: ops.sum(p["x"], axis=1), 3),
    "a sum of two": (lambda ops, p: ops.sum(p["x"], axis=0), 2),
    "a sum of all": (lambda ops, p: ops.sum(p["x"]), 6),
    "an average": (lambda ops, p: ops.sum(p["x"]) / 6, 7),
    "a product of matrices": (lambda ops, p: ops.dot(p["x"], p["m"]), 3),
    "a product with a constant": (lambda ops, p: ops.dot(np.ones((5, 3)), p["m"]), 3),
    "a constant product": (lambda ops, p: ops.dot(X, M) * np.exp(X[:, :1]), 0),
    "a choice": (lambda ops, p: ops.where(X > 0, p["x"], 0.0), 0),
    "rows": (lambda ops, p: ops.take(p["x"], np.array([0, 1, 1])), 0),
    "a stack": (lambda ops, p: ops.stack([p["x"], p["y"]], axis=0), 0),
    # Largest entry (exact), difference, exponential, sum of three, logarithm, and the entry back.
    "a log-sum": (lambda ops, p: ops.logsumexp(p["x"], axis=1), 1 + 1 + 3 + 1 + 1),
}


@pytest.mark.parametrize(("compute", "count"), COUNTS.values(), ids=COUNTS)
def test_roundings_are_counted(compute, count):
    """A sum of n terms has n, any other operation on parameters one, and moving numbers none."""
    parameters = {"x": X, "y": Y, "m": M}
    found = count_roundings(lambda ops, p, _: compute(ops, p), parameters, {})
    assert found.operations == count


SIZES = {
    "an intermediate result": (lambda ops, p: p["x"] * 100.0 - p["y"] * 100.0, 200.0),
    "a product of matrices": (lambda ops, p: 0.25 * ops.dot(p["x"], p["m"]), 3 * 2 * 5.0),
    "a full sum": (lambda ops, p: ops.sum(p["x"]) / 6, 12.0),
    "what is infinite aside": (lambda ops, p: ops.where(X > 0, -np.inf, p["x"]) + p["y"], 0.0),
    "what is negative": (lambda ops, p: p["x"] * -7.0, 14.0),
}


@pytest.mark.parametrize(("compute", "largest"), SIZES.values(), ids=SIZES)
def test_the_largest_intermediate_is_seen(compute, largest):
    """A number that is large on the way, and small in the end, makes the error that it makes."""
    parameters = {"x": 2 * X, "y": Y, "m": 5 * M}
    found = count_roundings(lambda ops, p, _: compute(ops, p), parameters, {})
    assert found.largest == largest


def test_counting_leaves_the_arrays_alone():
    """Parameters are read only, and stay arrays of NumPy."""
    x = np.ones(3)
    x.setflags(write=False)
    count_roundings(lambda ops, p, _: p["x"] + 1.0, {"x": x}, {})
    assert type(x) is np.ndarray


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_unit_is_half_the_gap_above_one(dtype):
    """Half a gap above 1 rounds back to 1; anything more does not."""
    unit = dtype(unit_roundoff(dtype))
    assert dtype(1) + unit == dtype(1)
    assert dtype(1) + unit * dtype(1.5) > dtype(1)


@given(case=tabular_cases(), data=st.data())
def test_the_bound_holds_in_single_precision(case, data):
    """What float32 does to log q, L and the gradient of a draw stays within the bounds for it."""
    subject = case.subject()
    single = {name: array.astype(np.float32) for name, array in subject.parameters.items()}
    subject = subject.replace(parameters=single)
    double = {name: array.astype(np.float64) for name, array in single.items()}
    known = reference(subject)
    n, k = subject.batch.n, subject.model.classes
    values = build(all_labels, subject)
    found = AutogradBackend().evaluate(values, single, {})(
        single, subject.inputs(every_label(n, k))
    )
    possible = known.log_q > -np.inf
    error = np.abs(found["log_q"][possible] - known.log_q[possible]).max()
    assert error <= known.value_bound()
    assert np.abs(found["loss"].T - known.loss).max() <= known.value_bound()

    places = [data.draw(st.sampled_from(np.flatnonzero(row).tolist())) for row in possible]
    estimate = surrogate(FORMS["one-pass"], BASELINES["none"], subject)
    inputs = subject.inputs(one_hot(np.array(places), k)) | {"lambda.bias": np.float32(0.0)}
    names = tuple(single)
    narrow = AutogradBackend().differentiate(estimate, single, inputs, names)(single, inputs)
    wide = AutogradBackend().differentiate(estimate, double, inputs, names)(double, inputs)
    for name in names:
        assert np.abs(narrow[name] - wide[name]).max() <= known.bound(name), name


@given(case=tabular_cases())
def test_the_bound_is_smaller_than_what_it_bounds(case):
    """In double precision the bound is a millionth of what goes into the estimate, at the most."""
    subject = case.subject()
    wide = {name: array.astype(float) for name, array in subject.parameters.items()}
    known = reference(subject.replace(parameters=wide))
    log_q = np.where(np.isfinite(known.log_q), known.log_q, 0.0)
    for name in wide:
        weight = (np.abs(known.loss) + np.abs(log_q) + 1.0).max()
        score = np.abs(known.score[name]).max() + known.cancelled(known.score).max()
        pathwise = np.abs(known.pathwise[name]).max() + known.cancelled(known.pathwise).max()
        size = known.loss.shape[0] * (weight * score + pathwise)
        assert known.bound(name) <= 1e-6 * size  # a millionth, as the name says


def test_the_bound_grows_with_its_parts():
    """Four passes and a baseline among the weights of the score are what the bound says."""
    known = reference(typical_tabular(np.random.default_rng(0)).subject())
    assert PASSES == 4
    assert known.bound("w.bias", extra=10.0) > known.bound("w.bias")
    assert known.bound("w.bias", extra=-10.0) == known.bound("w.bias", extra=10.0)
    # The score of phi is zero, and what it may be in the bound is what may be left of others.
    scores = sum(float(np.abs(known.score["w.bias"][row]).max()) for row in range(2))
    grown = known.bound("phi.table", extra=10.0) - known.bound("phi.table")
    assert 0.0 < grown < 0.5 * (known.bound("w.bias", extra=10.0) - known.bound("w.bias")), scores
    assert known.bound("w.bias", moved=1.0) == known.bound("w.bias") + scores
