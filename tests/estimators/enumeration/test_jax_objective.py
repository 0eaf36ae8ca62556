"""Objectives in JAX that are not compiled: they are compiled where that comes to the same."""

import numpy as np
import pytest

from gradproof.checks.user.estimator import check_estimator
from gradproof.estimators.enumeration import expectation

pytestmark = pytest.mark.libraries

COSTS = np.array([0.3, -1.0, 2.0])


@pytest.fixture(autouse=True)
def jax(library):
    """JAX, in double precision."""
    found = library("jax")
    with found.enable_x64(True):
        yield found


@pytest.fixture
def cost(jax):
    """Of one label."""
    return lambda logits, key: jax.numpy.asarray(COSTS)[jax.random.categorical(key, logits)]


@pytest.fixture
def check(jax, cost):
    """Checks score-function gradients of three logits, or so many times them."""

    def surrogate(logits, key):
        label = jax.random.categorical(key, logits)
        return jax.numpy.asarray(COSTS)[label] * jax.nn.log_softmax(logits)[label]

    score = jax.jit(jax.grad(surrogate))

    def check(objective, factor=1.0, logits=None):
        logits = jax.numpy.array([0.2, -0.1, 0.4]) if logits is None else logits
        return check_estimator(
            lambda *inputs: factor * score(*inputs),
            [logits, jax.random.key(1)],
            objective=objective,
        )

    return check


def test_it_is_called_for_a_few_means_only(check, cost):
    """Twice for the mean, thrice to look at a path; differences take some twenty means."""
    calls = []

    def objective(logits, key):
        calls.append(None)
        return cost(logits, key)

    assert check(objective).unbiased
    assert len(calls) < 5 * len(COSTS)
    assert not check(objective, 1.01).unbiased


@pytest.mark.parametrize("kind", ["a branch", "a number of Python", "NumPy", "compiled already"])
def test_what_cannot_be_compiled_is_run_as_it_is(jax, check, cost, kind):
    """A parameter's or a draw's value may be Python's."""
    objective = {
        "a branch": lambda logits, key: cost(logits, key) if logits[0] > 0 else 0.0,
        "a number of Python": lambda logits, key: float(cost(logits, key)),
        "NumPy": lambda logits, key: COSTS[int(jax.random.categorical(key, logits))],
        "compiled already": jax.jit(cost),
    }[kind]
    assert check(objective).unbiased
    assert not check(objective, 1.01).unbiased


def test_what_is_moved_where_it_stands_is_no_constant(jax, check, cost):
    """An array of NumPy's is, also for code that reads it past its argument."""
    logits = np.array([0.2, -0.1, 0.4])

    def objective(_, key):
        return cost(jax.numpy.asarray(logits), key)

    assert check(objective, logits=logits).unbiased
    assert not check(objective, 1.01, logits=logits).unbiased


def test_another_mean_is_not_gone_on_with(monkeypatch, jax, check, cost):
    """Where compiled code is planted to be twice as large, the code that was given decides."""
    monkeypatch.setattr(
        expectation,
        "compiled_objective",
        lambda objective, *_: jax.jit(lambda *inputs: 2.0 * objective(*inputs)),
    )
    assert check(cost).unbiased
    assert not check(cost, 2.0).unbiased


def test_nor_is_what_fails(monkeypatch, check, cost):
    """The code as it was given did not."""

    def failing(*_):
        raise RuntimeError("planted")

    monkeypatch.setattr(expectation, "compiled_objective", lambda *_: failing)
    assert check(cost).unbiased
