"""The complex step is a derivative, to rounding, by arithmetic that knows no derivatives."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.cases import tabular_cases
from gradproof.estimators.backends.autograd_backend import AutogradBackend
from gradproof.estimators.builds import build, exact_objective
from gradproof.estimators.complex_step import derivative
from gradproof.estimators.exact import reference
from gradproof.reference_models.model import every_label

#: Tenths, which no binary number is, up to 4: far from where a step of 1e-200 would underflow.
numbers = st.integers(-40, 40).map(lambda tenths: tenths / 10)
EPSILON = np.finfo(float).eps


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
