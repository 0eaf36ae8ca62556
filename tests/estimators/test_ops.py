"""Every function of the array namespace, in every framework, against NumPy and a complex step."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

from gradproof.estimators.backends import load
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.complex_step import derivative
from gradproof.estimators.note.value_bounds import PASSES, count_roundings, unit_roundoff
from gradproof.reference_models import lstm
from gradproof.reference_models.ops import Ops

each_backend = pytest.mark.parametrize(
    "backend",
    [
        "autograd",
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("theano", marks=pytest.mark.theano),
    ],
)

#: By name: the function at work on x, y and positive p (N, D), matrix m (D, E), condition c (N, D)
#: and rows r (2, 2); and the same by NumPy and SciPy.
FUNCTIONS = {
    "exp": (lambda ops, v: ops.exp(v["x"]), lambda v: np.exp(v["x"])),
    "log": (lambda ops, v: ops.log(v["p"]), lambda v: np.log(v["p"])),
    "tanh": (lambda ops, v: ops.tanh(v["x"]), lambda v: np.tanh(v["x"])),
    "sigmoid": (lambda ops, v: ops.sigmoid(v["x"]), lambda v: special.expit(v["x"])),
    "square": (lambda ops, v: ops.square(v["x"]), lambda v: np.square(v["x"])),
    "where": (
        lambda ops, v: ops.where(v["c"], v["x"], v["y"]),
        lambda v: np.where(v["c"], v["x"], v["y"]),
    ),
    "where number": (
        lambda ops, v: ops.where(v["c"], v["x"], 0.5),
        lambda v: np.where(v["c"], v["x"], v["x"].dtype.type(0.5)),
    ),
    "sum": (lambda ops, v: ops.sum(v["x"]) + v["y"], lambda v: np.sum(v["x"]) + v["y"]),
    "sum axis": (lambda ops, v: ops.sum(v["x"], axis=-1), lambda v: np.sum(v["x"], axis=-1)),
    "sum keepdims": (
        lambda ops, v: v["x"] * ops.sum(v["y"], axis=0, keepdims=True),
        lambda v: v["x"] * np.sum(v["y"], axis=0, keepdims=True),
    ),
    "dot": (lambda ops, v: ops.dot(v["x"], v["m"]), lambda v: v["x"] @ v["m"]),
    "dot of a stack": (
        lambda ops, v: ops.dot(ops.stack([v["x"], v["y"]], axis=0), v["m"]),
        lambda v: np.stack([v["x"], v["y"]]) @ v["m"],
    ),
    "transpose": (lambda ops, v: ops.transpose(v["m"]), lambda v: v["m"].T),
    "expand_dims": (
        lambda ops, v: ops.expand_dims(v["x"], 0) * ops.expand_dims(v["y"], 1),
        lambda v: v["x"][None] * v["y"][:, None],
    ),
    "expand_dims at the end": (
        lambda ops, v: ops.expand_dims(v["x"], -1) * ops.expand_dims(v["m"], -3),
        lambda v: v["x"][:, :, None] * v["m"][None],
    ),
    "concatenate": (
        lambda ops, v: ops.concatenate([v["x"], v["y"]], axis=1),
        lambda v: np.concatenate([v["x"], v["y"]], axis=1),
    ),
    "stack": (
        lambda ops, v: ops.stack([v["x"], v["y"]], axis=2),
        lambda v: np.stack([v["x"], v["y"]], axis=2),
    ),
    "unstack": (
        lambda ops, v: ops.concatenate(
            ops.unstack(ops.stack([v["x"], v["y"]], axis=1), axis=1, count=2)[::-1], axis=0
        ),
        lambda v: np.concatenate([v["y"], v["x"]]),
    ),
    "take": (lambda ops, v: ops.take(v["x"], v["r"]), lambda v: v["x"][v["r"]]),
    "take at constants": (
        lambda ops, v: ops.take(v["x"], np.zeros((3, 1), int)) + ops.expand_dims(v["x"][:1], 0),
        lambda v: v["x"][np.zeros((3, 1), int)] + v["x"][None, :1],
    ),
    "entries": (
        lambda ops, v: v["x"][:, 0] * v["x"][:, -1],
        lambda v: v["x"][:, 0] * v["x"][:, -1],
    ),
    "slices": (lambda ops, v: v["m"][:, 1:] - v["m"][:, :-1], lambda v: np.diff(v["m"], axis=1)),
    "zeros_like": (
        lambda ops, v: v["x"] + ops.zeros_like(v["x"]),
        lambda v: v["x"] + np.zeros_like(v["x"]),
    ),
    "logsumexp": (
        lambda ops, v: ops.logsumexp(v["x"], axis=-1),
        lambda v: special.logsumexp(v["x"], axis=-1),
    ),
    "logsumexp of a stack": (
        lambda ops, v: ops.logsumexp(ops.stack([v["x"], v["y"]], axis=2), axis=1),
        lambda v: special.logsumexp(np.stack([v["x"], v["y"]], axis=2), axis=1),
    ),
    "log_softmax": (
        lambda ops, v: ops.log_softmax(v["x"]),
        lambda v: special.log_softmax(v["x"], axis=-1),
    ),
    "constants": (
        lambda ops, v: (0.1 * v["x"] + 0.3 - v["y"] / 3) * 2 - np.log(3.0).item(),
        lambda v: (0.1 * v["x"] + 0.3 - v["y"] / 3) * 2 - np.log(3.0).item(),
    ),
}


def two_states(ops):
    """A step of a scan: two states that read each other, two sequences and a constant."""
    return lambda x, y, a, b, c: (ops.tanh(x + b), a + y - c)


def scanned(ops, v, axis, names):
    """The first of two states after each step, over as many arrays as are named."""
    sequences = [ops.stack([v[name] for name in order], axis) for order in (names, names[::-1])]
    return ops.scan(
        two_states(ops), sequences, [v["x"], v["y"]], [v["x"]], axis=axis, count=len(names)
    )


def looped(v, axis, names):
    """The same by a loop of NumPy's."""
    a, b, states = v["x"], v["y"], []
    for x, y in zip(names, names[::-1], strict=True):
        a, b = np.tanh(v[x] + b), a + v[y] - v["x"]
        states.append(a)
    return np.stack(states, axis=axis)


FUNCTIONS |= {
    f"scan of {len(names)} along {axis}": (
        functools.partial(scanned, axis=axis, names=names),
        functools.partial(looped, axis=axis, names=names),
    )
    for names, axis in (("yxy", 0), ("xy", 2), ("y", 1))
}


def layer(ops, v):
    """An LSTM of one unit over x, y, x and y; the second token is there where ``c`` begins so."""
    parameters = {"a.input": v["m"], "a.recurrent": v["m"][:1], "a.bias": v["m"][0]}
    tokens = ops.stack([v["x"], v["y"], v["x"], v["y"]], axis=1)
    missing = ops.zeros_like(v["x"][:, :1])
    there = missing + 1
    second = ops.where(v["c"][:, :1], there, missing)
    mask = ops.concatenate([there, second, there, there], axis=1)
    return lstm.run(ops, parameters, "a", tokens, mask, t=4, size=1)


def layer_of_numpy(v):
    """The same by the equations, in NumPy."""
    state = cell = np.zeros_like(v["x"][:, :1])
    states = []
    for token, x in enumerate([v["x"], v["y"], v["x"], v["y"]]):
        gates = x @ v["m"] + state @ v["m"][:1] + v["m"][0]
        enter, forget, leave = np.split(special.expit(gates[:, :3]), 3, axis=1)
        new_cell = forget * cell + enter * np.tanh(gates[:, 3:])
        there = v["c"][:, :1] | (token != 1)
        state = np.where(there, leave * np.tanh(new_cell), state)
        cell = np.where(there, new_cell, cell)
        states.append(state)
    return np.stack(states, axis=1)[None]


FUNCTIONS["scan of an LSTM"] = (layer, layer_of_numpy)

each_function = pytest.mark.parametrize("name", FUNCTIONS)


@functools.lru_cache
def bench(backend):
    """One bench a backend, so that a symbolic framework compiles once for each shape."""
    return Bench(load(backend))


def arguments(seed, sizes, scale, dtype):
    """Parameters x, y, p and m, and inputs c and r."""
    rng = np.random.default_rng(seed)
    n, d, e = sizes
    parameters = {
        "x": scale * rng.standard_normal((n, d)),
        "y": scale * rng.standard_normal((n, d)),
        "p": np.exp(scale * rng.standard_normal((n, d))),
        "m": scale * rng.standard_normal((d, e)),
    }
    inputs = {"c": rng.random((n, d)) < 0.5, "r": rng.integers(0, n, (2, 2))}
    return {name: array.astype(dtype) for name, array in parameters.items()}, inputs


#: All axes of length one, which a symbolic framework broadcasts, or none of them.
SIZES = [(2, 3, 4), (1, 1, 4)]

drawn = st.builds(
    arguments,
    st.integers(0, 2**32 - 1),
    st.sampled_from(SIZES),
    st.sampled_from([0.0, 2.0**-20, 1.0, 6.0]),
    st.sampled_from([np.float64, np.float32]),
)


class Values:
    """The function ``name`` as a build of arrays by name."""

    def __init__(self, name):
        self.name = name

    def __call__(self, ops, parameters, inputs):
        """The value, under one name."""
        return {"value": FUNCTIONS[self.name][0](ops, {**parameters, **inputs})}


class Weighted(Values):
    """The function ``name`` as a build of a scalar: its entries, weighted by the input ``w``."""

    def __call__(self, ops, parameters, inputs):
        """The weighted sum."""
        return ops.sum(super().__call__(ops, parameters, inputs)["value"] * inputs["w"])


#: Builds are values: each is made once, so that a bench knows it again.
VALUES = {name: Values(name) for name in FUNCTIONS}
WEIGHTED = {name: Weighted(name) for name in FUNCTIONS}


class Plain:
    """As much of a subject as a bench looks at."""

    def __init__(self, parameters):
        self.parameters = parameters


def largest(*values):
    """The largest finite magnitude, at least 1."""
    return max(1.0, *(np.abs(v, where=np.isfinite(v), out=np.zeros_like(v)).max() for v in values))


def bound(name, parameters, inputs, size):
    """What rounding comes to: nothing where no operation rounds.

    Elementary functions are good to one unit in the last place, two roundings, on each side: 4.
    """
    roundings = count_roundings(
        lambda ops, p, i: VALUES[name](ops, p, i)["value"], parameters, inputs
    ).operations
    return 4 * roundings * unit_roundoff(parameters["x"].dtype) * size


def test_every_function_has_a_row():
    """No function of the namespace goes untested; hold has tests of its own."""
    known = {name for name in vars(Ops) if not name.startswith("_")} - {"stop_gradient"}
    assert known <= {name.split()[0] for name in FUNCTIONS}


@each_backend
@each_function
@given(given=drawn)
def test_values_are_those_of_numpy(backend, name, given):
    """Each function gives NumPy's value, shape and dtype, exactly where nothing is rounded."""
    parameters, inputs = given
    expected = FUNCTIONS[name][1]({**parameters, **inputs})
    found = bench(backend).values(VALUES[name], Plain(parameters), inputs)["value"]
    assert found.shape == expected.shape
    assert found.dtype == parameters["x"].dtype
    slack = bound(name, parameters, inputs, largest(expected, *parameters.values()) ** 2)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=slack)


@each_backend
@each_function
@given(given=drawn, seed=st.integers(0, 2**32 - 1))
def test_gradients_are_those_of_a_complex_step(backend, name, given, seed):
    """Each function's derivative, in any direction, is the one found without differentiation."""
    parameters, inputs = given
    rng = np.random.default_rng(seed)
    dtype = parameters["x"].dtype
    shape = FUNCTIONS[name][1]({**parameters, **inputs}).shape
    inputs = {**inputs, "w": (rng.integers(-8, 9, shape) / 8).astype(dtype)}  # exact in float32
    found = bench(backend).gradient(WEIGHTED[name], Plain(parameters), inputs)
    assert {n: (g.shape, g.dtype) for n, g in found.items()} == {
        n: (p.shape, dtype) for n, p in parameters.items()
    }
    direction = {n: rng.choice([-1.0, 0.0, 1.0], p.shape) for n, p in parameters.items()}
    along = math.fsum((found[n] * direction[n]).sum(dtype=float) for n in parameters)
    wide = {**inputs, "w": inputs["w"].astype(float)}
    expected = derivative(WEIGHTED[name], parameters, wide, direction)
    # A sum over all entries, each of which passes numbers up to the square of the largest.
    entries = sum(array.size for array in parameters.values())
    size = entries * largest(*found.values(), *parameters.values()) ** 2
    slack = PASSES * bound(name, parameters, inputs, size)
    if slack == 0.0:  # nothing rounds forwards, and backwards the weights are added up
        slack = inputs["w"].size * unit_roundoff(dtype) * size
    assert abs(along - expected) <= slack


@each_backend
@pytest.mark.parametrize("name", ["logsumexp", "log_softmax"])
@given(given=drawn, data=st.data())
def test_minus_infinity_is_an_impossible_entry(backend, name, given, data):
    """Entries of minus infinity add nothing, and no gradient, beside one that is finite."""
    parameters, inputs = given
    n, d = parameters["x"].shape
    gone = data.draw(arrays(bool, (n, d)), label="gone")
    gone[:, 0] = False
    parameters = parameters | {"x": np.where(gone, -np.inf, parameters["x"]).astype(np.float64)}
    expected = FUNCTIONS[name][1](parameters)
    slack = bound(name, parameters, inputs, largest(*parameters.values()))
    found = bench(backend).values(VALUES[name], Plain(parameters), inputs)["value"]
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=slack)
    gradient = bench(backend).gradient(POSSIBLE[name], Plain(parameters), inputs)["x"]
    q = special.softmax(parameters["x"], axis=-1)
    expected = q if name == "logsumexp" else np.eye(1, d) - q
    np.testing.assert_allclose(gradient, expected, rtol=0.0, atol=PASSES * slack)
    np.testing.assert_array_equal(gradient[gone], 0.0)


#: Scalars that read no entry of minus infinity, as a model that never draws such a label.
POSSIBLE = {
    "logsumexp": lambda ops, p, _: ops.sum(ops.logsumexp(p["x"], axis=-1)),
    "log_softmax": lambda ops, p, _: ops.sum(ops.log_softmax(p["x"])[:, 0]),
}


@each_backend
def test_sigmoid_is_not_cut(backend):
    """Far out sigmoid does not overflow, and neither its value nor its gradient is cut to 0 and 1.

    Theano's own is cut at 30, where 1 - sigmoid is still 9e-14 and not 0.
    """
    half = np.array([0.0, 1e-300, 29.0, 31.0, 36.0, 100.0, 700.0])
    x = np.concatenate([-half, half])[None]
    parameters, inputs = {"x": x}, {"w": np.ones_like(x)}
    # As in bound(), for the four operations of a sigmoid by tanh, none of them above 1.
    slack = 4 * 4 * unit_roundoff(np.float64)
    found = bench(backend).values(VALUES["sigmoid"], Plain(parameters), inputs)["value"]
    np.testing.assert_allclose(found, special.expit(x), rtol=0.0, atol=slack)
    gradient = bench(backend).gradient(WEIGHTED["sigmoid"], Plain(parameters), inputs)["x"]
    expected = special.expit(x) * special.expit(-x)
    np.testing.assert_allclose(gradient, expected, rtol=0.0, atol=PASSES * slack)
    assert (gradient[np.abs(x) < 32.0] > 0.0).all()


@each_backend
@pytest.mark.parametrize("name", ["logsumexp", "log_softmax"])
def test_large_logits_do_not_overflow(backend, name):
    """Logits of which no exponential exists have a finite log-sum, in both precisions."""
    for dtype in (np.float64, np.float32):
        x = np.array([[1e4, 1e4 - 2, -1e4]], dtype)
        parameters = {"x": x}
        found = bench(backend).values(VALUES[name], Plain(parameters), {})["value"]
        slack = bound(name, parameters, {}, 2e4)
        np.testing.assert_allclose(found, FUNCTIONS[name][1](parameters), rtol=0.0, atol=slack)


@each_function
def test_counting_goes_on_after_every_function(name):
    """What is done to a result is counted too: no function lets an array out of the count."""
    x = np.ones((2, 3))
    parameters = {"x": x, "y": x, "p": x, "m": np.ones((3, 4))}
    inputs = {"c": np.ones((2, 3), bool), "r": np.zeros((2, 2), int)}
    value = FUNCTIONS[name][0]

    def count(after):
        return count_roundings(
            lambda ops, p, i: after(ops, value(ops, {**p, **i})), parameters, inputs
        ).operations

    assert count(lambda ops, x: ops.exp(x)) == count(lambda ops, x: x) + 1
