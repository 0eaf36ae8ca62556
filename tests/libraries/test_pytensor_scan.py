"""PyTensor's scan and ``consider_constant``: what claim constant.theano says of Theano's."""

import importlib
import warnings

import numpy as np
import pytest

pytestmark = pytest.mark.libraries

#: What is imported here, by the name of its package.
NEEDS = ("pytensor",)

WEIGHTS, INPUTS = np.array([0.3, 0.4]), np.array([1.0, 2.0])


def gradient(pick, name=None):
    """d/dw of (CL log q + L), L and CL = x (w . 1) from a scan of two outputs.

    Args:
        pick: CL and L out of the scan's two outputs.
        name: makes the node to name in ``consider_constant`` and to use as CL; None: CL, and none.
    """
    pytensor = importlib.import_module("pytensor")
    tensor = importlib.import_module("pytensor.tensor")
    w, x = tensor.vector("w"), tensor.vector("x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a second result, which newer releases do not return
        result = pytensor.scan(
            lambda entry, w: [entry * w.sum(), entry * w.sum()], sequences=[x], non_sequences=[w]
        )
    outputs = result[0] if isinstance(result, tuple) else result
    constant, loss = pick(*outputs)
    named = []
    if name is not None:
        constant = name(constant)
        named = [constant]
    log_q = tensor.log(tensor.sigmoid(w)).sum()
    cost = (constant * log_q + loss).sum()
    slope = pytensor.grad(cost, w, consider_constant=named)
    return pytensor.function([w, x], slope)(WEIGHTS, INPUTS)


def parts():
    """Sum of CL d log q, and of dL, by hand."""
    total = INPUTS.sum()
    score = 1.0 - 1.0 / (1.0 + np.exp(-WEIGHTS))
    return total * WEIGHTS.sum() * score, total * np.ones(2)


def log_q():
    """log q, by hand."""
    return -np.log1p(np.exp(-WEIGHTS)).sum()


def two(first, second):
    """CL one output, L the other."""
    return first, second


def shared(first, _):
    """CL and L the same output."""
    return first, first


def raw(node):
    """The output itself is named."""
    return node


def copied(node):
    """A node of its own is named."""
    return node.copy()


@pytest.mark.parametrize("pick", [two, shared])
def test_a_copy_that_is_named_gives_the_derived_gradient(pick):
    """Whether CL and L are two outputs or one."""
    score, pathwise = parts()
    np.testing.assert_allclose(gradient(pick, copied), score + pathwise, rtol=1e-12)  # rounding


def test_a_raw_output_beside_another_is_not_held():
    """The gradient is that of nothing named, and not the derived one."""
    score, pathwise = parts()
    nothing = gradient(two)
    np.testing.assert_allclose(nothing, score + (1.0 + log_q()) * pathwise, rtol=1e-12)  # rounding
    np.testing.assert_allclose(gradient(two, raw), nothing, rtol=1e-12)  # rounding


def test_a_raw_output_that_is_the_loss_too_loses_its_gradient():
    """Only the score part is left."""
    np.testing.assert_allclose(gradient(shared, raw), parts()[0], rtol=1e-12)  # rounding
