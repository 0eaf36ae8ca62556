"""What every framework promises: gradients by name, held values, and nothing written to."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.backends import load
from gradproof.estimators.note.bench import Bench

each_backend = pytest.mark.parametrize(
    "backend",
    [
        "autograd",
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("theano", marks=pytest.mark.theano),
    ],
)


@functools.lru_cache
def bench(backend):
    """One bench a backend, so that a symbolic framework compiles once for each build."""
    return Bench(load(backend))


class Plain:
    """As much of a subject as a bench looks at."""

    def __init__(self, **parameters):
        self.parameters = parameters


#: Eighths: products and sums of a few of them are exact, and so every comparison here is.
eighths = st.integers(-16, 16).map(lambda number: number / 8)
triples = st.tuples(eighths, eighths, eighths).map(np.array)


def product(ops, p, _):
    """A scalar of all three parameters."""
    return ops.sum(p["x"] * p["y"]) * p["s"]


def held_product(ops, p, _):
    """A scalar in which a product counts as a number; y matters for another reason."""
    return ops.sum(ops.stop_gradient(p["x"] * p["y"]) * p["x"]) + ops.sum(p["y"])


def held_value(ops, p, _):
    """The product that is held."""
    return {"value": ops.stop_gradient(p["x"] * p["y"])}


def of_inputs(ops, p, inputs):
    """A scalar that no parameter is in."""
    return ops.sum(inputs["c"])


def partly(ops, p, inputs):
    """A scalar that y is in."""
    return ops.sum(p["y"] * inputs["c"])


@each_backend
@given(x=triples, y=triples, s=eighths)
def test_a_gradient_is_by_name(backend, x, y, s):
    """Each parameter, a scalar too, gets the derivative by it and not by another."""
    subject = Plain(x=x, y=y, s=np.array(s))
    found = bench(backend).gradient(product, subject, {})
    assert {name: array.shape for name, array in found.items()} == {"x": (3,), "y": (3,), "s": ()}
    np.testing.assert_array_equal(found["x"], y * s)
    np.testing.assert_array_equal(found["y"], x * s)
    np.testing.assert_array_equal(found["s"], np.sum(x * y))


@each_backend
@pytest.mark.parametrize("wrt", [("y",), ("s", "x"), ("x", "y", "s")])
@given(x=triples, y=triples, s=eighths)
def test_a_gradient_is_by_the_parameters_asked_for(backend, wrt, x, y, s):
    """A subset of the gradient has those entries, with the same numbers, and no others."""
    subject = Plain(x=x, y=y, s=np.array(s))
    whole = bench(backend).gradient(product, subject, {})
    found = bench(backend).gradient(product, subject, {}, wrt)
    assert set(found) == set(wrt)
    for name in wrt:
        np.testing.assert_array_equal(found[name], whole[name])


@each_backend
@given(x=triples, y=triples)
def test_a_held_value_is_a_number(backend, x, y):
    """Holding keeps the value and stops the gradient; what else is there is differentiated."""
    subject = Plain(x=x, y=y)
    found = bench(backend).gradient(held_product, subject, {})
    np.testing.assert_array_equal(found["x"], x * y)
    np.testing.assert_array_equal(found["y"], np.ones(3))
    np.testing.assert_array_equal(bench(backend).values(held_value, subject, {})["value"], x * y)


@each_backend
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("build", [of_inputs, partly])
def test_what_is_in_no_part_has_a_gradient_of_zero(backend, build, dtype):
    """A parameter that the scalar does not depend on gets zeros, of its own shape and dtype."""
    x, c = np.ones((2, 3), dtype), np.ones(3, dtype)
    found = bench(backend).gradient(build, Plain(x=x, y=c), {"c": 2 * c})
    np.testing.assert_array_equal(found["x"], np.zeros((2, 3)))
    np.testing.assert_array_equal(found["y"], np.zeros(3) if build is of_inputs else 2 * c)
    assert {array.dtype.name for array in found.values()} == {dtype}


def two_values(ops, p, inputs):
    """One value of x, by way of nothing that x changes, and one of the inputs and a held y."""
    return {
        "one": ops.expand_dims(p["x"] - p["x"], 0),
        "other": ops.sum(inputs["c"]) + ops.stop_gradient(p["y"]),
    }


def joined(ops, p, inputs):
    """A value of y and of s, and one of no parameter."""
    return {"one": p["y"] * p["s"], "other": inputs["c"]}


@each_backend
def test_reach_is_read_off_the_computation(backend):
    """A parameter in a value is found whatever its gradient, one that is held or absent is not."""
    subject = Plain(x=np.ones(3), y=np.ones(3), s=np.array(2.0))
    inputs = {"c": np.ones(3)}
    assert bench(backend).reach(two_values, subject, inputs) == {"x"}
    assert bench(backend).reach(joined, subject, inputs) == {"y", "s"}
    assert bench(backend).reach(held_value, subject, inputs) == frozenset()


def mixture(ops, p, inputs):
    """Values by several functions."""
    rows = ops.take(p["x"], inputs["r"])
    return {
        "rows": ops.where(inputs["c"] > 0.0, rows, 0.0),
        "same": p["x"],
        "input": inputs["c"],
        "softmax": ops.log_softmax(p["x"]),
    }


def mixed(ops, p, inputs):
    """The same as a scalar."""
    values = mixture(ops, p, inputs)
    return ops.sum(ops.square(values["rows"])) + ops.sum(ops.tanh(values["softmax"]))


@each_backend
@given(seed=st.integers(0, 2**32 - 1))
def test_arrays_are_read_and_never_written(backend, seed):
    """Parameters and inputs may be write-protected, and no result shares memory with them."""
    rng = np.random.default_rng(seed)
    x, c, r = rng.standard_normal((4, 2)), rng.standard_normal((3, 2)), rng.integers(0, 4, 3)
    for array in (x, c, r):
        array.setflags(write=False)
    inputs = {"c": c, "r": r}
    values = bench(backend).values(mixture, Plain(x=x), inputs)
    gradient = bench(backend).gradient(mixed, Plain(x=x), inputs)
    for found in (*values.values(), *gradient.values()):
        assert not any(np.shares_memory(found, array) for array in (x, c, r))


class Overwriting:
    """A build that writes into what it is given, as careless code of a framework does."""

    def __call__(self, ops, p, inputs):
        """The sum of what was there, which is then gone."""
        total = ops.sum(p["x"] * inputs["c"])
        inputs["c"][...] = 0.0
        return total


@pytest.mark.parametrize("backend", ["autograd", pytest.param("torch", marks=pytest.mark.torch)])
def test_a_build_that_writes_does_not_reach_the_caller(backend):
    """What an imperative build does to its arrays stays in that build, and in that call."""
    x, c = np.ones(3), np.full(3, 2.0)
    build = Overwriting()
    values = Plain(x=x), {"c": c}
    bench(backend).values(lambda ops, p, i: {"total": build(ops, p, i)}, *values)
    np.testing.assert_array_equal(c, np.full(3, 2.0))
    np.testing.assert_array_equal(x, np.ones(3))


@each_backend
@given(first=triples, second=triples)
def test_a_ready_function_takes_what_it_is_called_with(backend, first, second):
    """A function made ready with some arrays gives the values and gradients of others."""
    backend = load_once(backend)
    x, c = {"x": first}, {"c": first}
    values, gradient = ready(backend)
    assert values(x, c)["value"] @ np.ones(3) == np.sum(first * first)
    np.testing.assert_array_equal(values({"x": second}, c)["value"], second * first)
    np.testing.assert_array_equal(values(x, {"c": second})["value"], second * first)
    np.testing.assert_array_equal(gradient({"x": second}, c)["x"], 2 * second * first)
    np.testing.assert_array_equal(gradient(x, {"c": second})["x"], 2 * first * second)


@functools.lru_cache
def load_once(backend):
    """The backend itself, without a bench."""
    return load(backend)


@functools.lru_cache
def ready(backend):
    """Values and gradient made ready with arrays of which every entry is one."""
    ones = np.ones(3)
    return (
        backend.evaluate(lambda ops, p, i: {"value": p["x"] * i["c"]}, {"x": ones}, {"c": ones}),
        backend.differentiate(
            lambda ops, p, i: ops.sum(ops.square(p["x"]) * i["c"]),
            {"x": ones},
            {"c": ones},
            ("x",),
        ),
    )


@each_backend
def test_one_differentiation_gives_every_parameter(backend):
    """However many parameters there are, the scalar is built once."""
    built = []

    def build(ops, p, _):
        built.append(len(p))
        return functools.reduce(lambda total, x: total + ops.sum(x), p.values(), 0.0)

    parameters = {f"x{number}": np.ones(2) for number in range(7)}
    function = load(backend).differentiate(build, parameters, {}, tuple(parameters))
    assert len(function(parameters, {})) == 7
    assert built == [7]


def affine(ops, p, inputs):
    """A matrix at work on rows."""
    return ops.sum(ops.square(ops.dot(inputs["c"], p["m"])))


@each_backend
@given(seed=st.integers(0, 2**32 - 1))
def test_the_layout_in_memory_does_not_matter(backend, seed):
    """A transposed view, as a matrix that is stored the other way is, gives the same gradient."""
    rng = np.random.default_rng(seed)
    m, c = rng.integers(-8, 8, (3, 2)) / 8, rng.integers(-8, 8, (4, 3)) / 8
    plain = bench(backend).gradient(affine, Plain(m=m), {"c": c})["m"]
    view = bench(backend).gradient(affine, Plain(m=m.T.copy().T), {"c": c[::-1][::-1]})["m"]
    np.testing.assert_array_equal(plain, view)
    np.testing.assert_array_equal(plain, 2 * c.T @ (c @ m))


# ------------------------------------------------------------------ second derivatives


def cubic(ops, p, _):
    """A sum of x^2 y."""
    return ops.sum(ops.square(p["x"]) * p["y"])


def half_held_cubic(ops, p, _):
    """The same, beside a cube in which x^2 counts as a number."""
    held = ops.stop_gradient(ops.square(p["x"]))
    return ops.sum(held * p["x"] * p["y"]) + cubic(ops, p, _)


def boxed(ops, p, _):
    """A number of value one, by a held copy of what it is made of, times x^2."""
    return ops.sum(ops.exp(p["y"] - ops.stop_gradient(p["y"])) * ops.square(p["x"]))


@each_backend
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(x=triples, y=triples, a=triples, b=triples)
def test_a_second_derivative_is_along_a_direction(backend, dtype, x, y, a, b):
    """Of x^2 y along (a, b) it is 2 y a + 2 x b by x and 2 x a by y, in the parameters' dtype."""
    x, y, a, b = (array.astype(dtype) for array in (x, y, a, b))
    found = bench(backend).curvature(cubic, Plain(x=x, y=y), {}, {"x": a, "y": b})
    np.testing.assert_array_equal(found["x"], 2 * y * a + 2 * x * b)
    np.testing.assert_array_equal(found["y"], 2 * x * a)
    assert {array.dtype.name for array in found.values()} == {dtype}


@each_backend
@given(x=triples, y=triples, s=eighths, a=triples, c=eighths)
def test_a_second_derivative_is_by_the_parameters_of_the_direction(backend, x, y, s, a, c):
    """A parameter that has no direction stays where it is, and gets nothing."""
    subject = Plain(x=x, y=y, s=np.array(s))
    found = bench(backend).curvature(product, subject, {}, {"x": a, "s": np.array(c)})
    assert {name: array.shape for name, array in found.items()} == {"x": (3,), "s": ()}
    np.testing.assert_array_equal(found["x"], y * c)
    np.testing.assert_array_equal(found["s"], np.sum(y * a))


@each_backend
@given(seed=st.integers(0, 2**32 - 1))
def test_second_derivatives_are_symmetric(backend, seed):
    """Along u and then v is along v and then u: no parameter's place is another's."""
    rng = np.random.default_rng(seed)
    shapes = {"x": (3,), "y": (3,), "s": ()}
    point, u, v = (
        {name: np.array(rng.integers(-16, 17, shape) / 8) for name, shape in shapes.items()}
        for _ in range(3)
    )
    by_u, by_v = (bench(backend).curvature(product, Plain(**point), {}, along) for along in (u, v))
    once, again = (
        sum(float(np.sum(found[name] * along[name])) for name in shapes)
        for found, along in ((by_u, v), (by_v, u))
    )
    assert once == again


@each_backend
@given(x=triples, y=triples, a=triples, b=triples)
def test_what_is_held_stays_held_both_times(backend, x, y, a, b):
    """A held square of x is a number in the first derivative, and in the derivative of that."""
    along = {"x": a, "y": b}
    found = bench(backend).curvature(half_held_cubic, Plain(x=x, y=y), {}, along)
    np.testing.assert_array_equal(found["x"], x * x * b + 2 * y * a + 2 * x * b)
    np.testing.assert_array_equal(found["y"], x * x * a + 2 * x * a)


@each_backend
@given(x=triples, y=triples, a=triples, b=triples)
def test_a_box_of_value_one_has_derivatives_of_every_order(backend, x, y, a, b):
    """exp(y - held y) x^2 is differentiated as exp(y) x^2 is, at exp(y) = 1: the rest is held."""
    found = bench(backend).curvature(boxed, Plain(x=x, y=y), {}, {"x": a, "y": b})
    np.testing.assert_array_equal(found["x"], 2 * a + 2 * x * b)
    np.testing.assert_array_equal(found["y"], 2 * x * a + x * x * b)


def beside(ops, p, inputs):
    """A scalar that y is in squared, and no x."""
    return ops.sum(ops.square(p["y"]) * inputs["c"])


@each_backend
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("build", [of_inputs, partly, beside])
def test_what_is_in_no_part_has_a_second_derivative_of_zero(backend, build, dtype):
    """So has what the scalar is linear in: zeros, of the parameter's own shape and dtype."""
    x, c = np.ones((2, 3), dtype), np.ones(3, dtype)
    along = {"x": 3 * x, "y": 5 * c}
    found = bench(backend).curvature(build, Plain(x=x, y=c), {"c": 2 * c}, along)
    np.testing.assert_array_equal(found["x"], np.zeros((2, 3)))
    np.testing.assert_array_equal(found["y"], 20 * c if build is beside else np.zeros(3))
    assert {array.dtype.name for array in found.values()} == {dtype}


def linear_in_one(ops, p, inputs):
    """x squared and a scalar s as it is."""
    return ops.sum(ops.square(p["x"])) + p["s"]


@each_backend
def test_a_linear_part_beside_another_has_a_second_derivative_of_zero(backend):
    """A scalar parameter gets a zero with no axes."""
    along = {"x": np.ones(3), "s": np.array(1.0)}
    found = bench(backend).curvature(linear_in_one, Plain(x=np.ones(3), s=np.array(2.0)), {}, along)
    np.testing.assert_array_equal(found["x"], np.full(3, 2.0))
    assert found["s"].shape == ()
    assert found["s"] == 0.0


@each_backend
@given(first=triples, second=triples, a=triples)
def test_a_ready_second_derivative_takes_what_it_is_called_with(backend, first, second, a):
    """Made ready once, it takes another point, other inputs and another direction."""
    function = ready_twice(load_once(backend))
    given_now = {"c": first, "along.x": a}
    np.testing.assert_array_equal(function({"x": second}, given_now)["x"], 6 * second * first * a)
    given_now = {"c": second, "along.x": first}
    np.testing.assert_array_equal(function({"x": a}, given_now)["x"], 6 * a * second * first)


@functools.lru_cache
def ready_twice(backend):
    """A second derivative of x^3 c made ready with arrays of which every entry is one."""
    ones = np.ones(3)
    return backend.differentiate_twice(
        lambda ops, p, i: ops.sum(ops.square(p["x"]) * p["x"] * i["c"]),
        {"x": ones},
        {"c": ones, "along.x": ones},
        ("x",),
    )


@each_backend
@given(seed=st.integers(0, 2**32 - 1))
def test_differentiating_twice_reads_arrays_and_never_writes(backend, seed):
    """Parameters, inputs and direction may be write-protected; no result shares their memory."""
    rng = np.random.default_rng(seed)
    x, c, r = rng.standard_normal((4, 2)), rng.standard_normal((3, 2)), rng.integers(0, 4, 3)
    along = rng.standard_normal((4, 2))
    for array in (x, c, r, along):
        array.setflags(write=False)
    found = bench(backend).curvature(mixed, Plain(x=x), {"c": c, "r": r}, {"x": along})["x"]
    assert found.shape == (4, 2)
    assert not any(np.shares_memory(found, array) for array in (x, c, r, along))


@each_backend
@given(seed=st.integers(0, 2**32 - 1))
def test_second_derivatives_are_those_of_complex_steps(backend, seed):
    """Through softmax, gathering and tanh: what a gradient changes by along a direction.

    The gradient is written out, and a complex step differentiates it, which knows no second pass.
    """
    rng = np.random.default_rng(seed)
    x, r, along = rng.standard_normal((4, 2)), rng.integers(0, 4, 3), rng.standard_normal((4, 2))
    found = bench(backend).curvature(curved, Plain(x=x), {"r": r}, {"x": along})["x"]
    step = 1e-200
    expected = np.imag(slope_of_curved(x + 1j * step * along, r)) / step
    # Some forty roundings on each side, of terms below a hundred.
    assert np.abs(found - expected).max() <= 80 * np.finfo(float).eps * 100


def curved(ops, p, inputs):
    """The tanh of log probabilities, of rows that are gathered, some of them twice."""
    return ops.sum(ops.tanh(ops.log_softmax(ops.take(p["x"], inputs["r"]))))


def slope_of_curved(x, r):
    """Its gradient, by hand."""
    rows = x[r]
    log_q = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    outer = 1.0 - np.tanh(log_q) ** 2
    inner = outer - np.exp(log_q) * outer.sum(axis=1, keepdims=True)
    slope = np.zeros_like(x)
    np.add.at(slope, r, inner)
    return slope
