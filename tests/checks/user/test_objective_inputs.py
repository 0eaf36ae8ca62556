"""What objective= differentiates by: arrays of JAX, pytrees, dicts, by what is returned or wrt=."""

import collections
import dataclasses

import numpy as np
import pytest

from gradproof import check_estimator, check_surrogate
from gradproof.checks.user.expected_cost import NotDifferentiable
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw

COSTS = np.array([1.0, 3.0, 2.0])
Pair = collections.namedtuple("Pair", "w, b")


@dataclasses.dataclass
class Weights:
    """Parameters in a dataclass."""

    w: np.ndarray
    b: np.ndarray


def shares(logits):
    """Their softmax."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def label(logits):
    """One that is drawn."""
    return np.random.choice(3, p=shares(logits))  # noqa: NPY002 - what people draw with


def parts(weights):
    """The two arrays, whatever they stand in."""
    if isinstance(weights, dict):
        return weights["w"], weights["b"]
    return (weights.w, weights.b) if dataclasses.is_dataclass(weights) else tuple(weights)


def estimate(weights, x, factor=1.0):
    """The score-function estimator, in the collection that the parameters come in."""
    w, b = parts(weights)
    logits = x @ w + b
    y = label(logits)
    score = COSTS[y] * (np.eye(3)[y] - shares(logits))
    gradients = {"w": np.outer(x, score), "b": factor * score}
    if isinstance(weights, dict):
        return gradients
    return type(weights)(**gradients) if hasattr(weights, "w") else list(gradients.values())


def cost(weights, x):
    """What it is the gradient of."""
    w, b = parts(weights)
    return COSTS[label(x @ w + b)]


COLLECTIONS = {
    "dict": lambda w, b: {"b": b, "w": w},
    "namedtuple": Pair,
    "dataclass": Weights,
    "list": lambda w, b: [w, b],
}


@pytest.mark.parametrize("read_only", [False, True], ids=["writeable", "read-only"])
@pytest.mark.parametrize("kind", COLLECTIONS)
def test_arrays_in_collections_are_moved(kind, read_only):
    """In place or as copies; what no gradient is returned for is said, and a wrong one refuted."""
    w, b = np.array([[0.1, 0.2, 0.3], [0.5, -0.1, 0.2]]), np.array([0.3, 0.1, -0.2])
    w.flags.writeable = b.flags.writeable = not read_only
    inputs = [COLLECTIONS[kind](w, b), np.array([0.2, -1.0])]
    before = w.copy()
    right = check_estimator(estimate, inputs, objective=cost)
    assert right.verdict == "holds"
    assert "x is an input that no gradient is returned for: not compared" in right.explain()

    def wrong(weights, x):
        return estimate(weights, x, factor=0.5)

    assert check_estimator(wrong, inputs, objective=cost).verdict == "refuted"
    assert np.array_equal(w, before)


def product(theta, phi):
    """Logits of two parameters of one shape."""
    return theta * phi


def by_both(theta, phi):
    """Gradients by both."""
    q = shares(product(theta, phi))
    y = np.random.choice(3, p=q)  # noqa: NPY002
    score = COSTS[y] * (np.eye(3)[y] - q)
    return score * phi, score * theta


def both_cost(theta, phi):
    """What they are of."""
    return COSTS[label(product(theta, phi))]


def two():
    """Two parameters."""
    return [np.array([0.3, -0.2, 0.5]), np.array([0.7, 1.5, -0.4])]


def test_gradients_are_matched_by_the_names_of_arguments():
    """In any order; swapped ones are refuted, and some only are compared alone."""
    inputs = two()

    def named(theta, phi):
        by_theta, by_phi = by_both(theta, phi)
        return {"phi": by_phi, "theta": by_theta}

    def swapped(theta, phi):
        by_theta, by_phi = by_both(theta, phi)
        return {"phi": by_theta, "theta": by_phi}

    assert check_estimator(named, inputs, objective=both_cost).verdict == "holds"
    assert check_estimator(swapped, inputs, objective=both_cost).verdict == "refuted"
    one = check_estimator(lambda theta, phi: {"phi": named(theta, phi)["phi"]}, inputs,
                          objective=both_cost)  # fmt: skip
    assert one.verdict == "holds"
    assert "theta is an input that no gradient is returned for" in one.explain()


def test_what_may_be_either_is_an_error_that_wrt_settles():
    """One gradient, and two inputs of its shape."""
    inputs = two()

    def first(theta, phi):
        return by_both(theta, phi)[0]

    with pytest.raises(NotDifferentiable, match=r"theta \(3,\), phi \(3,\).* more than one of"):
        check_estimator(first, inputs, objective=both_cost)
    right = check_estimator(first, inputs, objective=both_cost, wrt=inputs[0])
    wrong = check_estimator(first, inputs, objective=both_cost, wrt=inputs[1])
    assert (right.verdict, wrong.verdict) == ("holds", "refuted")
    with pytest.raises(NotDifferentiable, match="wrt= has gradient, which is not among the inputs"):
        check_estimator(first, inputs, objective=both_cost, wrt=inputs[0].copy())
    with pytest.raises(NotDifferentiable, match=r"\(psi \(3,\)\) have the names of none of them"):
        check_estimator(lambda theta, phi: {"psi": first(theta, phi)}, inputs, objective=both_cost)


def test_arrays_are_no_wrt_of_a_surrogate():
    """Which differentiates by all of them; it says so, and does not leave it out."""
    theta = two()[0]
    with pytest.raises(TypeError, match="all arrays of real numbers among the inputs"):
        check_surrogate(lambda theta: 1.0, [theta], gradient=lambda theta: theta, wrt=theta)


def test_one_array_that_is_two_arguments_moves_in_one_of_them():
    """Each gradient is by its own argument."""
    theta = two()[0]

    def named(theta, phi):
        by_theta, by_phi = by_both(theta, phi)
        return {"theta": by_theta, "phi": by_phi}

    assert check_estimator(named, [theta, theta], objective=both_cost).verdict == "holds"

    def twice(theta, phi):  # as if both moved
        return {key: 2.0 * value for key, value in named(theta, phi).items()}

    assert check_estimator(twice, [theta, theta], objective=both_cost).verdict == "refuted"


def test_an_objective_that_cannot_be_enumerated_says_what_to_do():
    """Of too many draws some would fit; of a normal number none."""
    theta = two()[0]

    def many(theta):
        return sum(COSTS[label(theta)] for _ in range(12))

    with pytest.raises(TooManyPaths, match=r"a run makes 12 draws.* its first 8 draws have 6,561"):
        check_estimator(lambda theta: theta, [theta], objective=many)
    with pytest.raises(TooManyPaths, match="check a smaller problem"):
        check_estimator(lambda theta: theta, [theta], objective=many, paths=9)
    with pytest.raises(UnsupportedDraw, match=r"pass draws= to sample it.*or exact= instead \(in"):
        check_estimator(
            lambda theta: theta,
            [theta],
            objective=lambda theta: np.random.normal(theta.sum()),  # noqa: NPY002
        )


def test_a_number_of_python_is_moved():
    """Where there are no arrays; whole numbers stay."""

    def bernoulli(p, n):
        return sum(np.random.random() < p for _ in range(n))  # noqa: NPY002

    def right(p, n):
        ones = bernoulli(p, n)
        return ones * (ones / p - (n - ones) / (1.0 - p))

    assert check_estimator(right, [0.3, 2], objective=bernoulli).verdict == "holds"
    wrong = check_estimator(lambda p, n: 1.1 * right(p, n), [0.3, 2], objective=bernoulli)
    assert wrong.verdict == "refuted"


def test_an_objective_that_is_constant_is_told_so():
    """As where it has its parameters from elsewhere."""
    elsewhere = two()
    found = check_estimator(by_both, two(), objective=lambda *_: both_cost(*elsewhere))
    assert found.verdict == "refuted"
    assert "does this use its arguments?" in found.explain()


# ------------------------------------------------------------------ JAX


@pytest.fixture(name="jax")
def _jax(library):
    return library("jax")


def model(jax, bits):
    """Parameters, data, a key; an estimator with a factor on the bias, and its objective."""
    costs = jax.numpy.array(COSTS, f"float{bits}")
    rng = np.random.default_rng()
    weights = {
        "w": jax.numpy.array(rng.normal(size=(2, 3)), f"float{bits}"),
        "b": jax.numpy.array(rng.normal(size=3), f"float{bits}"),
    }
    x = jax.numpy.array([0.2, -1.0], f"float{bits}")

    def estimate(weights, x, key, factor=1.0):
        y = jax.random.categorical(key, x @ weights["w"] + weights["b"])

        def surrogate(weights):
            return costs[y] * jax.nn.log_softmax(x @ weights["w"] + weights["b"])[y]

        gradient = jax.grad(surrogate)(weights)
        return {**gradient, "b": factor * gradient["b"]}

    def cost(weights, x, key):
        return costs[jax.random.categorical(key, x @ weights["w"] + weights["b"])]

    return [weights, x, jax.random.key(0)], estimate, cost


@pytest.mark.libraries
@pytest.mark.parametrize("jitted", [False, True], ids=["plain", "jit"])
@pytest.mark.parametrize("fast", [False, True], ids=["entries", "direction"])
def test_arrays_of_jax_are_moved_as_copies(jax, jitted, fast):
    """A pytree of parameters, beside data and a key, in double precision."""
    with jax.enable_x64(True):
        inputs, estimate, cost = model(jax, 64)
        objective = jax.jit(cost) if jitted else cost
        right = check_estimator(estimate, inputs, objective=objective, fast=fast)
        wrong = check_estimator(
            lambda *given: estimate(*given, factor=1.01), inputs, objective=objective, fast=fast
        )
    assert right.verdict == "holds"
    assert set(right.mean) == ({"slope"} if fast else {"w", "b"})
    assert wrong.verdict == "refuted"


@pytest.mark.libraries
def test_single_precision_of_jax_is_allowed_for(jax):
    """What people have by default: a right one is not refuted, half a gradient is."""
    inputs, estimate, cost = model(jax, 32)
    assert check_estimator(estimate, inputs, objective=cost).verdict in ("holds", "undecided")
    wrong = check_estimator(lambda *given: estimate(*given, factor=0.5), inputs, objective=cost)
    assert wrong.verdict == "refuted"


@pytest.mark.libraries
@pytest.mark.parametrize("where", ["closure", "default", "jit"])
def test_an_array_that_the_objective_keeps_is_an_error(jax, where):
    """It would not move, and a right estimator would be refuted."""
    inputs, estimate, cost = model(jax, 32)
    weights = inputs[0]
    kept = {
        "closure": lambda _, x, key: cost(weights, x, key),
        "default": lambda _, x, key, old=weights["w"]: cost({**weights, "w": old}, x, key),
        "jit": jax.jit(lambda _, x, key: cost(weights, x, key)),
    }[where]
    with pytest.raises(NotDifferentiable, match=r"the objective is given .* and keeps it as well"):
        check_estimator(estimate, inputs, objective=kept)


@pytest.mark.libraries
def test_one_array_that_is_two_inputs_is_an_error(jax):
    """The second may be a target that stays where it is."""
    theta = jax.numpy.array([0.3, -0.2, 0.5])
    with pytest.raises(NotDifferentiable, match="which is more than one of the inputs"):
        check_estimator(
            lambda theta, old: theta, [theta, theta], objective=lambda *_: 1.0, wrt=theta
        )


@pytest.mark.libraries
def test_a_module_of_equinox_is_an_input(jax, library):
    """Its functions and what is static stay as they are."""
    equinox = library("equinox")
    with jax.enable_x64(True):
        net = equinox.nn.MLP(2, 3, 2, 1, key=jax.random.key(1))
        x, key = jax.numpy.array([0.5, -1.0]), jax.random.key(0)
        costs = jax.numpy.array(COSTS)

        def estimate(net, x, key):
            y = jax.random.categorical(key, net(x))
            return equinox.filter_grad(lambda net: costs[y] * jax.nn.log_softmax(net(x))[y])(net)

        def cost(net, x, key):
            return costs[jax.random.categorical(key, net(x))]

        def wrong(net, x, key):
            return jax.tree.map(lambda leaf: 1.01 * leaf, estimate(net, x, key))

        found = check_estimator(estimate, [net, x, key], objective=cost)
        assert found.verdict == "holds"
        assert "layers.0.weight" in found.mean
        assert check_estimator(wrong, [net, x, key], objective=cost).verdict == "refuted"
