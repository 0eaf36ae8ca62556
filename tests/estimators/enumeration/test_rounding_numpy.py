"""NumPy's arithmetic moved: what is observed stays, and all that is computed from it moves."""

import copy
import math
import pickle
import threading

import autograd
import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.estimators.enumeration.rounding import (
    FACTOR,
    is_observed,
    measured,
    observed,
    perturbation,
)


def softmax(x):
    """As most people write it."""
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def moving():
    """Arithmetic that is moved."""
    return perturbation(np.random.default_rng())


# ------------------------------------------------------------------ observed numbers are numbers


def test_an_observed_array_is_a_view_and_nothing_else_changes():
    """It shares its memory; integers and other objects are what they were."""
    x = np.arange(6.0).reshape(2, 3)
    seen = observed(x)
    seen[0, 0] = 7.0
    assert x[0, 0] == 7.0
    assert isinstance(seen, np.ndarray)
    assert observed(seen) is seen
    for other in (np.arange(3), "text", 3, None, True):
        assert observed(other) is other
    assert all(is_observed(value) for value in observed([1.5, 2.5]))


def test_an_observed_scalar_is_still_a_float():
    """For everybody who asks."""
    x = observed(2.75)
    assert isinstance(x, float)
    assert hash(x) == hash(2.75)
    assert {2.75: "found"}[x] == "found"
    assert f"{x:.1f}" == "2.8"
    assert int(x) == 2
    assert round(x) == 3
    assert list(range(int(x))) == [0, 1]
    assert max(x, 1.0) is x
    assert x > 2
    assert x == 2.75
    assert isinstance(pickle.loads(pickle.dumps(x)), float)
    assert copy.deepcopy(observed(np.ones(3))).tolist() == [1.0, 1.0, 1.0]


def test_where_nothing_moves_the_results_are_numpys_own():
    """To the bit, and of its own types."""
    x = np.random.default_rng().normal(size=(3, 4))
    for function in (softmax, np.var, np.linalg.norm, lambda x: x @ x.T, lambda x: x[0, 0] * 1.1):
        result = function(observed(x))
        assert not is_observed(result)
        np.testing.assert_array_equal(result, function(x))


FUNCTIONS = {
    "operators": lambda x: (x * 1.1 + 0.3) / 1.7 - x**2,
    "reflected": lambda x: 1.0 - 2.0 / x,
    "functions": lambda x: np.log1p(np.exp(x)),
    "matmul": lambda x: x @ x.T,
    "dot": lambda x: np.dot(x, x.T),
    "method dot": lambda x: x.dot(x.T),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "sum": lambda x: x.sum(0),
    "sum of all": lambda x: x.sum() * np.ones(2),
    "mean": lambda x: x.mean(axis=1),
    "mean of all": lambda x: np.mean(x) * np.ones(2),
    "variance": lambda x: x.var(0),
    "deviation": lambda x: np.std(x, axis=1, keepdims=True),
    "norm": lambda x: np.linalg.norm(x, axis=0),
    "inverse": lambda x: np.linalg.inv(x[:, :3] + 4.0 * np.eye(3)),  # far from a singular one
    "cumulative": lambda x: np.cumsum(x),
    "product": lambda x: x.prod(1),
    "outer": lambda x: np.outer(x[0], x[1]),
    "concatenated": lambda x: np.concatenate([x, x]) * 1.1,
    "chosen": lambda x: np.where(x > 1, x, 0.1) * 1.7,
    "from scalars": lambda x: np.array([x[0, 0] * 1.1, 1 - x[0, 1]]),
    "from floats": lambda x: np.array([math.exp(v) for v in x[0]]),
    "from a list": lambda x: np.array([v * 1.1 for v in x.tolist()[0]]),
    "of Python": lambda x: sum(x[0].item(i) * 1.1 for i in range(4)) * np.ones(2),
    "filled": lambda x: _filled(x),
    "in place": lambda x: _in_place(x),
    "scipy": lambda x: scipy.special.softmax(x, axis=1),
    "special": lambda x: scipy.special.expit(x) + scipy.special.gammaln(x),
}


def _filled(x):
    result = np.zeros(4)
    for i in range(4):
        result[i] = x[0, i]
    result *= 1.1
    return result


def _in_place(x):
    result = np.array(x)
    result -= 0.3
    np.exp(result, out=result)
    np.add.at(result, (0, 1), 0.7)
    return result


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_whatever_is_computed_from_what_is_observed_moves(name):
    """A little, and is observed itself."""
    x = np.random.default_rng().uniform(1.1, 1.9, (3, 4))
    base = FUNCTIONS[name](x)
    found = []
    for _ in range(12):
        with moving() as moved:
            found.append(FUNCTIONS[name](observed(x)))
        assert moved.operations["numpy"] > 0
        assert not moved.unseen
    assert is_observed(found[0])
    others = np.stack([np.asarray(value) for value in found])
    still = (others == base).all(0)
    assert not still.any()  # one alone stays in one run of some
    # Some dozen operations, each moved by a unit or two; the variance of near numbers loses digits.
    np.testing.assert_allclose(others, np.broadcast_to(base, others.shape), rtol=1e-11)


STILL = {
    "transposed": lambda x: x.T,
    "sorted": lambda x: np.sort(x)[::-1].reshape(-1),
    "larger": lambda x: np.maximum(x, 1.5),
    "negative": lambda x: -abs(x),
    "stacked": lambda x: np.stack([x, x]),
    "compared": lambda x: x > 1.5,
    "order": lambda x: np.argsort(x),
    "equal": lambda x: np.equal(x, x),
    "close": lambda x: np.allclose(x, x),  # as people call it
    "rounded": lambda x: np.round(x, 1),
    "clipped": lambda x: np.clip(x, 1.2, 1.3),
    "whole": lambda x: np.eye(3)[1] * 2 + np.ones(3).sum(),
    "one": lambda x: np.exp(x - x),
}


@pytest.mark.parametrize("name", sorted(STILL))
def test_copies_choices_comparisons_and_whole_numbers_stay(name):
    """To the bit."""
    function = STILL[name]
    x = np.random.default_rng().uniform(1.1, 1.9, (3, 4))
    base = function(x)
    with moving():
        result = function(observed(x))
    np.testing.assert_array_equal(np.asarray(result), base)


def test_what_is_made_one_of_pythons_own_numbers_is_said():
    """From there nobody sees what is done to it."""
    x = observed(np.array([1.3, 1.7]))
    with moving() as moved:
        float(x[0]) * 1.1
    assert moved.unseen == {"float()"}


def test_arrays_that_are_made_meanwhile_are_observed():
    """What is written into others is lost from sight."""
    with moving():
        made = [np.zeros(2), np.ones_like([1.5]), np.eye(2), np.linspace(0, 1, 3), np.array([0.1])]
        made[0][0] = observed(1.3)
        assert is_observed(made[0][0])
    assert all(is_observed(value) for value in made)
    assert not is_observed(np.zeros(2))


def test_everything_is_as_before_also_after_an_error():
    """And other threads notice nothing meanwhile."""
    before = {name: getattr(np, name) for name in ("array", "asarray", "zeros", "ones")}
    before["exp"] = math.exp
    kinds = []

    def beside():
        kinds.append(type(np.zeros(3)))
        kinds.append(type(np.array([1.5]) * observed(np.ones(1))))
        kinds.append(type(math.exp(observed(1.5))))

    def failing():
        with moving():
            assert np.zeros is not before["zeros"]
            thread = threading.Thread(target=beside)
            thread.start()
            thread.join()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert kinds == [np.ndarray, np.ndarray, float]
    for name in ("array", "asarray", "zeros", "ones"):
        assert getattr(np, name) is before[name]
    assert math.exp is before["exp"]


# ------------------------------------------------------------------ whole estimators


def by_arrays(x, costs, y):
    """The score of a softmax."""
    shares = softmax(x)
    return shares[y], costs[y] * (np.eye(len(x))[y] - shares)


def by_floats(x, costs, y):
    """The same, in a loop."""
    powers = [math.exp(v - max(x)) for v in x]
    shares = [power / sum(powers) for power in powers]
    return shares[y], np.array(
        [costs[y] * ((1.0 if k == y else 0.0) - share) for k, share in enumerate(shares)]
    )


def by_autograd(x, costs, y):
    """By automatic differentiation."""

    def log(x):
        return x[y] - anp.max(x) - anp.log(anp.sum(anp.exp(x - anp.max(x))))

    return np.exp(log(x)), costs[y] * autograd.grad(log)(x)


@pytest.mark.parametrize("estimator", [by_arrays, by_floats, by_autograd])
@pytest.mark.parametrize("form", [np.float64, np.float32])
@given(st.floats(0, 80, width=32), st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_peaked_softmax_is_explained_and_no_more_than_that(estimator, form, gap, seed):
    """REINFORCE by loop over all outcomes against 60 digits."""
    x, costs = np.array([0.25, gap, -0.5], form), np.array([1.0, 3.0, 2.0], form)
    mean, bound = np.zeros(3), np.zeros(3)
    for y in range(3):

        def weighed(x=x, costs=costs, y=y):
            weight, gradient = estimator(x, costs, y)
            return {"x": np.asarray(weight, float) * np.asarray(gradient, float)}

        base = weighed()
        found = measured(
            lambda y=y: weighed(observed(x), observed(costs), y),
            base,
            np.random.default_rng([seed, y]),
        )
        assert found.operations["numpy"] > 0
        assert not found.unseen
        mean += base["x"]
        bound += FACTOR * (found.largest["x"] + found.underflow)
    with mpmath.workdps(60):
        powers = [mpmath.e ** mpmath.mpf(float(v)) for v in x]
        shares = [power / sum(powers) for power in powers]
        expected = sum(p * mpmath.mpf(float(c)) for p, c in zip(shares, costs, strict=True))
        truth = [p * (mpmath.mpf(float(c)) - expected) for p, c in zip(shares, costs, strict=True)]
        error = [abs(float(mpmath.mpf(m) - t)) for m, t in zip(mean, truth, strict=True)]
    assert (error <= bound).all()
    # 1,000 units in the last place of what cancels: costs, and logits where these are subtracted
    assert bound.max() < 1_000 * np.finfo(form).eps * 3.0 * max(1.0, gap)
