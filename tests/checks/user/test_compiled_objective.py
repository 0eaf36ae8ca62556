"""Objectives of JAX are compiled once for all their runs, where that changes nothing."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.estimators.enumeration import expectation

pytestmark = pytest.mark.libraries

REWARDS = np.array([[1.0, 0.2], [0.5, -0.3], [0.0, 0.7]])


@pytest.fixture
def jax(library):
    """JAX in double precision, or nothing is tested."""
    jax = library("jax")
    with jax.enable_x64(True):
        yield jax


class Episodes:
    """Episodes of two steps by ``lax.scan``; counts how often Python runs them."""

    def __init__(self, jax):
        self.jax, self.rewards = jax, jax.numpy.array(REWARDS)

    def run(self, logits, key):
        """Log-probabilities of two actions, and their rewards."""
        jax = self.jax

        def step(state, key):
            action = jax.random.categorical(key, logits[state])
            log = jax.nn.log_softmax(logits[state])[action]
            return (state + 1 + action) % 3, (log, self.rewards[state, action])

        _, (logs, rewards) = jax.lax.scan(step, 0, jax.random.split(key, 2))
        return logs, rewards

    def surrogate(self, logits, key):
        """Reward to go."""
        logs, rewards = self.run(logits, key)
        return (logs * self.jax.numpy.cumsum(rewards[::-1])[::-1]).sum()

    def cost(self, logits, key):
        """What it estimates the gradient of the mean of."""
        return self.run(logits, key)[1].sum()


def test_a_loop_is_not_traced_anew_in_each_run(jax, monkeypatch):
    """It takes tens of milliseconds, of thousands of runs."""
    episodes, scan = Episodes(jax), jax.lax.scan
    inputs = [jax.numpy.array([[0.2, -0.1], [0.0, 0.4], [0.1, 0.1]]), jax.random.key(0)]
    traced = 0

    def counted(*args, **kwargs):
        nonlocal traced
        traced += 1
        return scan(*args, **kwargs)

    monkeypatch.setattr(jax.lax, "scan", counted)
    right = jax.jit(jax.grad(episodes.surrogate))
    report = check_estimator(right, inputs, objective=episodes.cost)
    assert (report.verdict, report.paths) == (HOLDS, 4)
    assert traced < 10 * report.paths  # the mean as it is twice, and each look at a single path
    wrong = jax.jit(jax.grad(lambda *each: 1.01 * episodes.surrogate(*each)))
    assert check_estimator(wrong, inputs, objective=episodes.cost).verdict == REFUTED


def of_one_label(jax):
    """A cost, and its score-function estimator."""
    costs = jax.numpy.array([1.0, 3.0, 2.0])

    def cost(logits, key):
        return costs[jax.random.categorical(key, logits)]

    def surrogate(logits, key):
        y = jax.random.categorical(key, logits)
        return costs[y] * jax.nn.log_softmax(logits)[y]

    return cost, jax.grad(surrogate)


def doubled(function):
    """A program that is planted to come to twice as much."""
    return lambda *inputs: 2.0 * function(*inputs)


def failing(function):
    """One that is planted to fail."""

    def program(*inputs):
        raise RuntimeError("planted")

    return program


@pytest.mark.parametrize("program", [doubled, failing])
def test_a_program_that_comes_to_something_else_is_not_used(jax, monkeypatch, program):
    """The code that was given decides."""
    monkeypatch.setattr(expectation, "CompiledFunction", program)
    cost, score = of_one_label(jax)
    inputs = [jax.numpy.array([0.3, -0.2, 0.5]), jax.random.key(0)]
    assert check_estimator(score, inputs, objective=cost).verdict == HOLDS
    twice = doubled(score)
    assert check_estimator(twice, inputs, objective=cost).verdict == REFUTED


def test_an_array_that_is_kept_and_moved_where_it_stands_is_no_constant(jax):
    """NumPy's are; beside it a copy of an array of JAX moves."""
    cost, _ = of_one_label(jax)
    kept = np.array([0.3, -0.2, 0.5])

    def objective(shift, _, key):
        return cost(shift * jax.numpy.array([1.0, 0.0, 2.0]) + kept, key)

    def surrogate(shift, logits, key):
        logits = shift * jax.numpy.array([1.0, 0.0, 2.0]) + logits
        y = jax.random.categorical(key, logits)
        return jax.numpy.array([1.0, 3.0, 2.0])[y] * jax.nn.log_softmax(logits)[y]

    inputs = [jax.numpy.array(0.3), kept, jax.random.key(0)]
    right = jax.grad(surrogate, argnums=(0, 1))
    assert check_estimator(right, inputs, objective=objective).verdict == HOLDS
    twice = jax.grad(doubled(surrogate), argnums=(0, 1))
    assert check_estimator(twice, inputs, objective=objective).verdict == REFUTED


@pytest.mark.parametrize("fast", [False, True], ids=["by entry", "along a line"])
@pytest.mark.parametrize("kind", ["by its type", "by NumPy's draw", "by a number in Python"])
def test_what_is_another_function_where_it_is_traced_is_not_compiled(jax, kind, fast):
    """A planted objective that would have another gradient if it were."""
    rng = np.random.default_rng(0)
    costs = jax.numpy.array([1.0, 3.0, 2.0])

    def cost(logits, key):
        found = costs[jax.random.categorical(key, logits)]
        if kind == "by its type":
            return 2.0 * found if isinstance(logits, jax.core.Tracer) else found
        if kind == "by NumPy's draw":
            return found * 2.0 * rng.integers(2)
        return found + (0.0 if float(logits[0]) < 100.0 else 1.0)

    def surrogate(logits, key):
        y = jax.random.categorical(key, logits)
        return costs[y] * jax.nn.log_softmax(logits)[y]

    inputs = [jax.numpy.array([0.3, -0.2, 0.5]), jax.random.key(0)]
    report = check_estimator(jax.grad(surrogate), inputs, objective=cost, fast=fast)
    assert report.verdict == HOLDS


def test_arrays_of_numpy_move_too_in_a_program(jax):
    """A constant of the program would have the gradient 0."""
    costs = np.array([1.0, 3.0])

    def law(shift, slope, x):
        return jax.numpy.array([0.0, 1.0]) * (shift + slope @ x)

    def cost(shift, slope, x, key, *, name="cost"):
        assert name == "cost"
        return jax.numpy.asarray(costs)[jax.random.categorical(key, law(shift, slope, x))]

    def surrogate(shift, slope, x, key):
        y = jax.random.categorical(key, law(shift, slope, x))
        return jax.numpy.asarray(costs)[y] * jax.nn.log_softmax(law(shift, slope, x))[y]

    x = jax.numpy.array([1.0, -0.5])
    inputs = [jax.numpy.array(0.3), np.array([0.2, 0.7]), x, jax.random.key(0)]
    right = jax.grad(surrogate, argnums=(0, 1))
    report = check_estimator(right, inputs, objective=cost)
    assert report.verdict == HOLDS
    wrong = jax.grad(lambda *each: 1.01 * surrogate(*each), argnums=(0, 1))
    assert check_estimator(wrong, inputs, objective=cost).verdict == REFUTED
