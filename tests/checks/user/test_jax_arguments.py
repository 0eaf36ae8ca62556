"""Estimators of JAX that are given a key or a module: what is said of them, how exact= is read."""

import dataclasses
import functools

import numpy as np
import pytest

from gradproof import NotDifferentiable, check_estimator, check_surrogate
from gradproof.checks.evidence import HOLDS, REFUTED

pytestmark = pytest.mark.libraries

COSTS = (1.0, 3.0, 2.0)


@pytest.fixture
def jax(library):
    """JAX in double precision, or nothing is tested."""
    jax = library("jax")
    with jax.enable_x64(True):
        yield jax


@pytest.fixture
def problem(jax):
    """Logits, the gradient of the mean cost in closed form, a surrogate, and the cost."""
    costs = jax.numpy.array(COSTS)

    def surrogate(logits, key):
        y = jax.random.categorical(key, jax.lax.stop_gradient(logits))
        return jax.lax.stop_gradient(costs[y]) * jax.nn.log_softmax(logits)[y]

    def cost(logits, key):
        return costs[jax.random.categorical(key, logits)]

    logits = jax.numpy.array([0.3, -0.2, 0.5])
    p = np.exp(np.asarray(logits)) / np.exp(np.asarray(logits)).sum()
    return logits, p * (np.array(COSTS) - p @ np.array(COSTS)), surrogate, cost


KEYS = {
    "typed": lambda jax: jax.random.key(0),
    "without a type": lambda jax: jax.random.PRNGKey(0),
    "of NumPy": lambda jax: np.asarray(jax.random.PRNGKey(0)),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_an_argument_like_any_other(kind, jax, problem):
    """No gradient is by it; what draws by it is enumerated; nothing is said of it."""
    logits, exact, surrogate, cost = problem
    inputs = [logits, KEYS[kind](jax)]
    right = jax.grad(surrogate)
    found = check_estimator(right, inputs, exact=exact)
    assert (found.verdict, found.paths) == (HOLDS, 3)
    assert "follow from the key" not in found.explain()
    assert check_estimator(right, inputs, objective=cost).verdict == HOLDS
    wrong = check_estimator(lambda *each: 1.01 * right(*each), inputs, objective=cost)
    assert wrong.verdict == REFUTED


def test_the_same_in_a_collection(jax, problem):
    """A state that is passed on."""
    logits, exact, surrogate, _ = problem

    def estimate(state):
        return jax.grad(surrogate)(state["logits"], jax.random.split(state["key"])[1])

    found = check_estimator(estimate, [{"logits": logits, "key": jax.random.key(0)}], exact=exact)
    assert (found.verdict, found.notes) == (HOLDS, ())


# ------------------------------------------------------------------ keys that are not the one given


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("where", ["made", "closure", "one of two"])
def test_a_key_that_is_ignored_is_named(where, kind, jax, problem):
    """It is made inside, or kept: each call draws the same, whatever key it is given."""
    logits, exact, surrogate, _ = problem
    gradient, kept = jax.grad(surrogate), jax.random.key(3)
    estimate = {
        "made": lambda logits, key: gradient(logits, jax.random.key(3)),
        "closure": lambda logits, key: gradient(logits, kept),
        "one of two": lambda logits, key: (gradient(logits, kept) + gradient(logits, key)) / 2.0,
    }[where]
    found = check_estimator(estimate, [logits, KEYS[kind](jax)], exact=exact)
    assert found.verdict == HOLDS  # its mean over keys is right
    assert "jax.random.categorical draws by a key that does not follow from" in found.explain()


def test_nothing_is_said_of_keys_that_are_derived(jax, problem):
    """Split, folded, in a loop, and mapped over; nor where no key is given."""
    logits, exact, surrogate, _ = problem
    gradient = jax.grad(surrogate)

    def split(logits, key):
        one, other = jax.random.split(key)
        return (gradient(logits, one) + gradient(logits, jax.random.fold_in(other, 7))) / 2.0

    def loop(logits, key):
        def turn(key, _):
            key, own = jax.random.split(key)
            return key, gradient(logits, own)

        return jax.lax.scan(turn, key, None, length=2)[1].mean(0)

    def mapped(logits, key):
        return jax.vmap(gradient, (None, 0))(logits, jax.random.split(key, 2)).mean(0)

    for estimate in (split, loop, jax.jit(mapped)):
        found = check_estimator(estimate, [logits, jax.random.key(0)], exact=exact)
        assert (found.verdict, found.paths, found.notes) == (HOLDS, 9, ())
    key = jax.random.key(0)
    assert not check_estimator(lambda logits: split(logits, key), [logits], exact=exact).notes


def test_an_estimator_that_knows_its_key_alone_has_its_verdict(jax, problem):
    """Whether another key would do is nobody's business but that of a note."""
    logits, exact, surrogate, _ = problem

    def estimate(logits, key):
        assert jax.random.key_data(key)[1] == 5, "another key"
        return jax.grad(surrogate)(logits, key)

    found = check_estimator(estimate, [logits, jax.random.key(5)], exact=exact)
    assert (found.verdict, found.notes) == (HOLDS, ())


# ------------------------------------------------------------------ modules


@pytest.fixture
def policy(jax):
    """A class of policies that are pytrees, and are called as functions."""

    @functools.partial(jax.tree_util.register_dataclass, data_fields=["w", "b"], meta_fields=[])
    @dataclasses.dataclass(frozen=True)
    class Policy:
        w: object
        b: object

        def __call__(self, x):
            return self.w @ x + self.b

    return Policy


def of_policy(jax, surrogate, x):
    """A gradient by a policy, and the gradient of the mean cost."""
    costs = jax.numpy.array(COSTS)

    def estimate(policy, key):
        return jax.grad(lambda policy: surrogate(policy(x), key))(policy)

    def exact(policy):
        return jax.grad(lambda policy: jax.nn.softmax(policy(x)) @ costs)(policy)

    return estimate, exact


def test_a_module_of_gradients_is_read_and_not_called(jax, problem, policy):
    """Though it can be called, as the policy that it is the gradient of."""
    _, _, surrogate, _ = problem
    one = policy(jax.numpy.arange(6.0).reshape(3, 2) / 7.0, jax.numpy.array([0.1, -0.2, 0.3]))
    estimate, exact = of_policy(jax, surrogate, jax.numpy.array([0.4, -1.0]))
    inputs = [one, jax.random.key(0)]
    found = check_estimator(estimate, inputs, exact=exact(one))
    assert (found.verdict, set(found.mean)) == (HOLDS, {"w", "b"})
    twice = jax.tree.map(lambda each: 2.0 * each, exact(one))
    assert check_estimator(estimate, inputs, exact=twice).verdict == REFUTED
    # Where it could be called with the inputs too, and where it is of another type than these.
    key = jax.random.key(0)
    alone = check_estimator(lambda policy: estimate(policy, key), [one], exact=exact(one))
    assert alone.verdict == HOLDS
    flat = check_estimator(
        lambda w, b, key: estimate(policy(w, b), key), [one.w, one.b, key], exact=exact(one)
    )
    assert flat.verdict == HOLDS


def test_what_returns_the_exact_gradient_is_called(jax, problem, policy):
    """A function with arrays in it is a pytree as well."""
    _, _, surrogate, _ = problem
    one = policy(jax.numpy.arange(6.0).reshape(3, 2) / 7.0, jax.numpy.array([0.1, -0.2, 0.3]))
    estimate, exact = of_policy(jax, surrogate, jax.numpy.array([0.4, -1.0]))
    inputs = [one, jax.random.key(0)]
    scaled = jax.tree_util.Partial(
        lambda factor, policy, key: jax.tree.map(lambda each: factor * each, exact(policy)),
        jax.numpy.array(1.0),
    )
    for function in (lambda policy, key: exact(policy), scaled, jax.jit(lambda p, _: exact(p))):
        assert check_estimator(estimate, inputs, exact=function).verdict == HOLDS


def test_modules_of_equinox_are_read_too(jax, library, problem):
    """What has no gradient is None in them."""
    equinox = library("equinox")
    _, _, surrogate, cost = problem
    net = equinox.nn.MLP(2, 3, 2, 1, key=jax.random.key(1))
    x, costs = jax.numpy.array([0.4, -1.0]), jax.numpy.array(COSTS)

    def estimate(net, key):
        return equinox.filter_grad(lambda net: surrogate(net(x), key))(net)

    exact = equinox.filter_grad(lambda net: jax.nn.softmax(net(x)) @ costs)
    inputs = [net, jax.random.key(0)]
    assert check_estimator(estimate, inputs, exact=exact(net)).verdict == HOLDS
    assert check_estimator(estimate, inputs, exact=lambda net, key: exact(net)).verdict == HOLDS
    assert check_estimator(estimate, inputs, objective=lambda n, k: cost(n(x), k)).verdict == HOLDS


# ------------------------------------------------------------------ surrogates


@pytest.mark.parametrize("kind", KEYS)
def test_a_surrogate_of_jax_arrays_is_differentiated(kind, jax, problem):
    """By copies, which move; not by the key."""
    logits, _, surrogate, cost = problem
    inputs, gradient = [logits, KEYS[kind](jax)], jax.grad(surrogate)
    found = check_surrogate(surrogate, inputs, gradient=gradient, objective=cost)
    assert (found.verdict, found.paths, len(found.stops)) == (HOLDS, 3, 2)
    wrong = check_surrogate(surrogate, inputs, gradient=lambda *each: 1.01 * gradient(*each))
    assert wrong.verdict == REFUTED
    other = check_surrogate(
        surrogate, inputs, gradient=gradient, objective=lambda *each: 2.0 * cost(*each)
    )
    assert other.verdict == REFUTED


def test_a_surrogate_is_differentiated_by_what_its_gradient_is_by(jax, problem):
    """Weights in a dictionary, and not the data beside them."""
    _, _, surrogate, cost = problem

    def logits(weights, x):
        return weights["w"] @ x + weights["b"]

    def loss(weights, x, key):
        return surrogate(logits(weights, x), key)

    weights = {"w": jax.numpy.ones((3, 2)), "b": jax.numpy.array([0.3, -0.2, 0.5])}
    found = check_surrogate(
        loss,
        [weights, jax.numpy.array([0.3, 0.4]), jax.random.key(0)],
        gradient=jax.grad(loss),
        objective=lambda weights, x, key: cost(logits(weights, x), key),
        reaches=["w", "b"],
    )
    assert found.verdict == HOLDS


def test_a_surrogate_that_keeps_what_moves_is_an_error(jax, problem):
    """It would stand still."""
    logits, _, surrogate, _ = problem
    with pytest.raises(NotDifferentiable, match="the surrogate is given gradient, and keeps it"):
        check_surrogate(
            lambda _, key: surrogate(logits, key),
            [logits, jax.random.key(0)],
            gradient=jax.grad(surrogate),
        )
