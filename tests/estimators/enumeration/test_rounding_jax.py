"""JAX's arithmetic moved: every primitive both ways, what is compiled too, and all is as before."""

import mpmath
import numpy as np
import pytest

from gradproof.estimators.enumeration.rounding import (
    FACTOR,
    RUNS,
    Steps,
    largest_deviation,
    measured,
    perturbation,
)

pytestmark = pytest.mark.libraries


@pytest.fixture
def jax(library):
    """The library, in double precision where that is asked for, or a test less."""
    jax = library("jax")
    with jax.enable_x64(True):
        yield jax


def moving():
    """Arithmetic that is moved."""
    return perturbation(np.random.default_rng())


def test_results_move_forward_and_backward_also_of_what_is_compiled(jax):
    """And not outside of it; what was compiled remains so, and right."""
    x = jax.numpy.asarray([0.3, -0.2, 0.5], "float64")
    gradient = jax.jit(jax.grad(lambda x: jax.numpy.log1p(jax.numpy.exp(x)).prod()))
    base = np.asarray(gradient(x))
    with moving() as moved:
        others = np.stack([np.asarray(gradient(x)) for _ in range(12)])
    assert moved.operations["jax"] >= 12 * 5
    assert not moved.unseen
    assert (others != base).any(0).all()
    # A dozen operations, each moved by a unit or two.
    np.testing.assert_allclose(others, np.broadcast_to(base, others.shape), rtol=2e-14)
    np.testing.assert_array_equal(gradient(x), base)


@pytest.mark.parametrize("form", ["float64", "float32", "bfloat16", "float16"])
def test_each_format_moves_by_its_own_units(jax, form):
    """One rounding, one or two units; and types that are weak stay weak."""
    x = jax.numpy.full(200, 1.2, form)
    base = np.asarray(x * 1.1, "float64")
    with moving() as moved:
        other = x * 1.1
        weak = jax.numpy.asarray(1.2) * 1.1
    assert other.dtype == x.dtype
    assert weak.weak_type
    unit = float(jax.numpy.finfo(form).eps)
    off = np.abs(np.asarray(other, "float64") - base) / unit
    assert set(np.round(off).astype(int).tolist()) == {1, 2}
    assert form in moved.formats


def test_keys_draws_integers_choices_and_comparisons_stay(jax):
    """To the bit."""

    def draws():
        keys = jax.random.split(jax.random.key(3))
        bits = jax.random.bits(keys[0], (4,))
        label = jax.random.randint(keys[1], (3,), 0, 5)
        x = jax.numpy.asarray([0.3, 0.1, 0.7])
        chosen = jax.numpy.where(x > 0.2, x, -x)
        largest = jax.grad(lambda x: x.max())(x)
        one_hot = jax.nn.one_hot(label, 5).sum(0) * 2
        return [bits, label, chosen, x == x.max(), largest, one_hot, jax.numpy.exp(x - x)]

    base = draws()
    with moving():
        other = draws()
    for first, second in zip(base, other, strict=True):
        np.testing.assert_array_equal(first, second)


def test_loops_branches_maps_and_recomputation_are_moved(jax):
    """With compilation off they run as they are written."""
    jnp = jax.numpy
    x = jnp.asarray([[0.3, -0.2], [1.0, 2.0]], "float64")

    def loss(row):
        last, _ = jax.lax.scan(lambda h, v: (jnp.tanh(h + v), None), row[0] * 0, row)
        branch = jax.lax.cond(last > 0, lambda v: v * 1.1, lambda v: v * 0.7, last)
        return jax.checkpoint(lambda v: jnp.sin(v) ** 2)(branch) + jax.nn.logsumexp(row)

    gradient = jax.vmap(jax.grad(loss))
    base = np.asarray(gradient(x))
    with moving() as moved:
        other = np.asarray(gradient(x))
    assert moved.operations["jax"] > 20
    assert not moved.unseen
    assert (other != base).any()
    # Some dozen operations, each moved by a unit or two.
    np.testing.assert_allclose(other, base, rtol=5e-14)


def test_everything_is_as_before_also_after_an_error(jax):
    """The place where primitives are evaluated, and whether they are compiled."""
    from jax._src.core import EvalTrace

    def failing():
        with moving():
            assert EvalTrace.process_primitive is not before
            assert jax.config.jax_disable_jit
            raise ZeroDivisionError

    before = EvalTrace.process_primitive
    with pytest.raises(ZeroDivisionError):
        failing()
    assert EvalTrace.process_primitive is before
    assert not jax.config.jax_disable_jit


@pytest.mark.parametrize("gap", [0.0, 12.0, 30.0, 45.0])
def test_a_peaked_softmax_is_explained_and_no_more_than_that(jax, gap):
    """REINFORCE by loop over all outcomes against 60 digits."""
    jnp = jax.numpy
    x, costs = jnp.asarray([0.25, gap, -0.5], "float64"), [1.0, 3.0, 2.0]
    score = jax.jit(jax.value_and_grad(lambda x, y: jax.nn.log_softmax(x)[y]))
    mean, bound = np.zeros(3), np.zeros(3)
    for y in range(3):

        def weighed(y=y):
            log, gradient = score(x, y)
            return {"x": np.asarray(jnp.exp(log)) * costs[y] * np.asarray(gradient)}

        base = weighed()
        found = measured(weighed, base, np.random.default_rng())
        assert found.measured
        mean += base["x"]
        bound += FACTOR * found.largest["x"] + found.underflow
    with mpmath.workdps(60):
        powers = [mpmath.e ** mpmath.mpf(float(v)) for v in x]
        shares = [power / sum(powers) for power in powers]
        expected = sum(p * c for p, c in zip(shares, costs, strict=True))
        truth = [p * (c - expected) for p, c in zip(shares, costs, strict=True)]
        error = [abs(float(mpmath.mpf(m) - t)) for m, t in zip(mean, truth, strict=True)]
    assert (error <= bound).all()
    assert bound.max() < 1_000 * np.spacing(3.0)  # units in the last place of the costs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["products", "sums", "convolution", "cumulative", "attention"])
def test_single_precision_is_explained_against_double(jax, name):
    """Sums that drift, convolutions and their gradients, attention."""
    jnp = jax.numpy
    rng = np.random.default_rng()
    signs = np.repeat([1.0, -1.0], 500)[:, None]
    x = (rng.normal(size=(1_000, 4)) + signs).astype(np.float32)
    functions = {
        "products": ((4, 3), lambda w, x: jnp.tanh(x @ w).sum()),
        "sums": ((4,), lambda w, x: jnp.square((x * w).sum(0)).sum()),
        "cumulative": ((4,), lambda w, x: jnp.square(jnp.cumsum(x * w, 0)).mean()),
        "convolution": (
            (3, 4, 2),
            lambda w, x: jax.nn.silu(
                jax.lax.conv_general_dilated(
                    x.reshape(100, 10, 4),
                    w,
                    (1,),
                    "SAME",
                    dimension_numbers=("NWC", "WIO", "NWC"),
                )
            ).mean(),
        ),
        "attention": (
            (4, 4),
            lambda w, x: (jax.nn.softmax(x[:40] @ w @ x[:40].T) @ x[:40]).sum(),
        ),
    }
    shape, function = functions[name]
    start = rng.normal(size=shape).astype(np.float32)
    gradient = jax.jit(jax.grad(function))

    def result(form):
        return np.asarray(gradient(jnp.asarray(start, form), jnp.asarray(x, form)), "float64")

    base, steps, found = result("float32"), Steps(np.random.default_rng()), []
    for _ in range(RUNS):
        with perturbation(steps):
            found.append(result("float32"))
    error = np.abs(base - result("float64"))
    assert (error <= FACTOR * largest_deviation(found, base)).all()
