"""JAX's draws: outcomes and probabilities as JAX has them, traced once, and what is refused."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.estimators.enumeration.frameworks import jax_traces
from gradproof.estimators.enumeration.frameworks.jax import separate_traces, without_compiling
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import (
    NotReproducible,
    SampledRun,
    TooManyPaths,
    UnsupportedDraw,
    outside_runs,
    paths,
    repeat,
    run_path,
)

pytestmark = pytest.mark.libraries

LOGITS = np.array([0.3, -0.2, 0.5], np.float32)
COST = np.array([1.0, 2.0, 4.0], np.float32)
CLOSE = 1e-6  # several roundings of single precision, in which the logits are
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum()
MEAN = float(SHARES @ COST)


@pytest.fixture(autouse=True)
def jax(library):
    """JAX."""
    return library("jax")


def found(code, most=10_000):
    """Value and probability of each path."""
    with Handling(code) as handling:
        all_paths = list(paths(code, handling.perform, most=most))
    assert sum(path.probability for path in all_paths) == pytest.approx(1.0, rel=CLOSE)
    return [(np.asarray(path.value).tolist(), path.probability) for path in all_paths]


def mean(code):
    """The mean of what code returns, and of how many paths."""
    each = found(code)
    return sum(np.asarray(value, float) * weight for value, weight in each), len(each)


def exact(jax):
    """The gradient of the mean cost by the logits."""
    return jax.grad(lambda logits: jax.nn.softmax(logits) @ COST)(LOGITS)


def cost(jax, key, logits=LOGITS):
    """Of a label that is drawn."""
    return jax.numpy.asarray(COST)[jax.random.categorical(key, logits)]


def surrogate(jax, logits, key):
    """Its gradient by the logits is the score-function estimate."""
    drawn = jax.random.categorical(key, logits)
    return jax.numpy.asarray(COST)[drawn] * jax.nn.log_softmax(logits)[drawn]


def score(jax, logits, key):
    """The gradient of a draw: the draw is made inside what is differentiated."""
    return jax.grad(lambda logits: surrogate(jax, logits, key))(logits)


def holds(jax, estimate, count):
    """Whether an estimator's mean is the gradient, over so many paths."""
    value, paths_run = mean(estimate)
    assert paths_run == count
    np.testing.assert_allclose(value, exact(jax), rtol=0.0, atol=CLOSE)
    return True


# ------------------------------------------------------------------ outcomes and probabilities


def test_categorical(jax):
    """Each label comes with its softmax probability."""
    each = found(lambda: jax.random.categorical(jax.random.key(0), LOGITS))
    assert [value for value, _ in each] == [0, 1, 2]
    np.testing.assert_allclose([probability for _, probability in each], SHARES, rtol=CLOSE)


@pytest.mark.parametrize("shape", [None, (4,), (2, 4)])
@pytest.mark.parametrize("axis", [0, -1, 1])
def test_categorical_has_the_shape_of_jax(jax, axis, shape):
    """Rows along any axis, and more draws of each in front."""
    logits = np.where(np.eye(4) > 0, 0.0, -np.inf).astype(np.float32)  # one outcome a row
    key = jax.random.key(0)
    expected = jax.random.categorical(key, logits, axis, shape)
    ((value, _),) = found(lambda: jax.random.categorical(key, logits, axis, shape))
    assert value == expected.tolist()


def test_without_replacement(jax):
    """Two of three labels, one after the other: six orders, and no label twice."""

    def run():
        return jax.random.categorical(jax.random.key(0), LOGITS, shape=(2,), replace=False)

    each = {tuple(value): probability for value, probability in found(run)}
    assert len(each) == 6
    assert each[0, 2] == pytest.approx(SHARES[0] * SHARES[2] / (1.0 - SHARES[0]), rel=CLOSE)


SAMPLERS = {
    "bernoulli": (lambda random, key: random.bernoulli(key, 0.25), [False, True], 0.75),
    "bernoulli of a shape": (
        lambda random, key: random.bernoulli(key, 0.5, (1,)),
        [[False], [True]],
        0.5,
    ),
    "rademacher": (lambda random, key: random.rademacher(key, (1,)), [[-1], [1]], 0.5),
    "randint": (lambda random, key: random.randint(key, (), 3, 5), [3, 4], 0.5),
    "randint of a shape": (
        lambda random, key: random.randint(key, (1, 1), -1, 1),
        [[[-1]], [[0]]],
        0.5,
    ),
    "randint with arrays": (
        lambda random, key: random.randint(key, (2,), np.array([0, 5]), np.array([1, 7])),
        [[0, 5], [0, 6]],
        0.5,
    ),
    "randint up to the largest": (
        lambda random, key: random.randint(key, (), 254, 256, np.uint8),
        [254, 255],
        0.5,
    ),
    "randint of nothing": (lambda random, key: random.randint(key, (), 5, 5), [5], 1.0),
    "choice": (lambda random, key: random.choice(key, 2), [0, 1], 0.5),
    "choice by weights": (
        lambda random, key: random.choice(key, COST, p=SHARES),
        [1.0, 2.0, 4.0],
        SHARES[0],
    ),
    "choice along an axis": (
        lambda random, key: random.choice(key, np.array([[1.0, 2.0]]), (1,), axis=1),
        [[[1.0]], [[2.0]]],
        0.5,
    ),
    "choice without replacement": (
        lambda random, key: random.choice(key, COST[:2], (2,), False),
        [[1.0, 2.0], [2.0, 1.0]],
        0.5,
    ),
    "choice without replacement by weights": (
        lambda random, key: random.choice(key, 2, (1, 2), False, np.array([0.25, 0.75])),
        [[[0, 1]], [[1, 0]]],
        0.25,
    ),
    "permutation": (lambda random, key: random.permutation(key, 2), [[0, 1], [1, 0]], 0.5),
    "permutation of values": (
        lambda random, key: random.permutation(key, COST[:2]),
        [[1.0, 2.0], [2.0, 1.0]],
        0.5,
    ),
    "permutation of each column": (
        lambda random, key: random.permutation(key, np.array([[1], [2]]), independent=True),
        [[[1], [2]], [[2], [1]]],
        0.5,
    ),
    "binomial": (lambda random, key: random.binomial(key, 2, 0.25), [0.0, 1.0, 2.0], 0.5625),
    "binomial of nothing": (lambda random, key: random.binomial(key, 0, 0.25), [0.0], 1.0),
    "multinomial": (
        lambda random, key: random.multinomial(key, 1.0, np.array([0.25, 0.75])),
        [[1.0, 0.0], [0.0, 1.0]],
        0.25,
    ),
    "multinomial of several": (
        lambda random, key: random.multinomial(key, 2.0, np.array([0.5, 0.5])),
        [[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]],
        0.25,
    ),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "jit"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_others(jax, name, compiled):
    """Which outcomes each has, how likely the first is, and JAX's own type and shape."""
    draw, values, first = SAMPLERS[name]
    if not hasattr(jax.random, name.split()[0]):
        pytest.skip(f"this JAX has no {name.split()[0]}")

    def run(key):
        return draw(jax.random, key)

    code = functools.partial(jax.jit(run) if compiled else run, jax.random.key(0))
    each = found(code)
    assert [value for value, _ in each] == values
    assert each[0][1] == pytest.approx(first, rel=CLOSE)
    kind = np.asarray(code())  # JAX's own
    with Handling(code) as handling:
        ours = next(paths(code, handling.perform)).value
    assert isinstance(ours, jax.Array)
    assert (ours.dtype, ours.shape) == (kind.dtype, kind.shape)


@settings(max_examples=25)
@given(data=st.data())
def test_what_jax_draws_is_an_outcome(data):
    """With any rows, axis and shape: what JAX draws by itself is on a path that is possible."""
    import jax

    count = data.draw(st.integers(1, 3), label="labels")
    rows = data.draw(st.sampled_from([(), (1,), (2,)]), label="rows")
    axis = data.draw(st.integers(-len(rows) - 1, len(rows)), label="axis")
    front = data.draw(st.sampled_from([None, (), (1,), (2,)]), label="in front")
    replace = data.draw(st.booleans(), label="replace")
    weights = st.floats(-3.0, 3.0, width=32)
    size = count * math.prod(rows)
    flat = data.draw(st.lists(weights, min_size=size, max_size=size), label="logits")
    logits = np.moveaxis(np.reshape(np.array(flat, np.float32), (*rows, count)), -1, axis)
    shape = None if front is None else (*front, *rows)
    if not replace and math.prod(front or ()) > count:
        replace = True
    key = jax.random.key(data.draw(st.integers(0, 99), label="seed"))

    def run():
        return jax.random.categorical(key, logits, axis, shape, replace)

    theirs = np.asarray(run()).tolist()
    assert sum(weight for value, weight in found(run) if value == theirs) > 0.0


def test_a_uniform_draw_of_many_is_not_listed(jax):
    """Too many outcomes are known before any is laid out, also in compiled code."""
    key = jax.random.key(0)
    for code in (
        lambda: jax.random.randint(key, (), 0, 2**31 - 1),
        jax.jit(lambda: jax.random.randint(key, (), 0, 2**31 - 1)),
        lambda: jax.random.choice(key, 10**9),
    ):
        with pytest.raises(TooManyPaths, match="more than 10,000 paths"):
            found(code)


# ------------------------------------------------------------------ estimators


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("old", [False, True], ids=["typed key", "raw key"])
def test_score_function(jax, compiled, old):
    """A draw inside grad has values and no derivative; jit that was used before hides nothing."""
    key = jax.random.PRNGKey(0) if old else jax.random.key(0)

    def plain(logits):
        return score(jax, logits, key)

    estimate = jax.jit(plain) if compiled else plain
    estimate(LOGITS)
    assert holds(jax, lambda: estimate(LOGITS), 3)


@pytest.mark.parametrize("inside", [False, True], ids=["vmap of grad", "grad of vmap"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_batch(jax, inside, compiled):
    """With a key for each row, the rows are drawn independently: nine paths for two."""

    def estimate(logits):
        keys = jax.random.split(jax.random.key(0), 2)
        if not inside:
            return jax.vmap(lambda key: score(jax, logits, key))(keys).mean(0)

        def mean_surrogate(logits):
            drawn = jax.vmap(lambda key: jax.random.categorical(key, logits))(keys)
            return (jax.numpy.asarray(COST)[drawn] * jax.nn.log_softmax(logits)[drawn]).mean()

        return jax.grad(mean_surrogate)(logits)

    run = jax.jit(estimate) if compiled else estimate
    assert holds(jax, lambda: run(LOGITS), 9)


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_scan(jax, checkpoint, compiled):
    """A loop of JAX is compiled with its draws, also where it is traced for a checkpoint."""

    def estimate(logits):
        def step(total, key):
            return total + score(jax, logits, key) / 2, None

        keys = jax.random.split(jax.random.key(0), 2)
        return jax.lax.scan(step, jax.numpy.zeros(3), keys)[0]

    run = jax.checkpoint(estimate) if checkpoint else estimate
    run = jax.jit(run) if compiled else run
    assert holds(jax, lambda: run(LOGITS), 9)


def custom_vjp(jax):
    """A function whose derivative somebody wrote, with a draw in its forward pass."""

    @jax.custom_vjp
    def drawn(logits, key):
        return cost(jax, key, logits)

    def forward(logits, key):
        label = jax.random.categorical(key, logits)
        return jax.numpy.asarray(COST)[label], (logits, label)

    def backward(kept, slope):
        logits, label = kept
        found = jax.nn.one_hot(label, 3) - jax.nn.softmax(logits)
        return slope * jax.numpy.asarray(COST)[label] * found, None

    drawn.defvjp(forward, backward)
    return drawn


TRANSFORMS = {
    "jvp": lambda jax, key: (
        jax.jvp(lambda x: surrogate(jax, x, key), (LOGITS,), (np.ones(3, np.float32),))[1]
        + score(jax, LOGITS, key)  # the first is 0
    ),
    "jacfwd": lambda jax, key: jax.jacfwd(lambda x: surrogate(jax, x, key))(LOGITS),
    "jacrev": lambda jax, key: jax.jacrev(lambda x: surrogate(jax, x, key))(LOGITS),
    "linearize": lambda jax, key: jax.vmap(
        jax.linearize(lambda x: surrogate(jax, x, key), jax.numpy.asarray(LOGITS))[1]
    )(jax.numpy.eye(3)),
    "checkpoint": lambda jax, key: jax.grad(jax.checkpoint(lambda x: surrogate(jax, x, key)))(
        LOGITS
    ),
    "custom_vjp": lambda jax, key: jax.grad(custom_vjp(jax))(LOGITS, key),
    "jit in jit": lambda jax, key: jax.jit(functools.partial(score, jax))(LOGITS, key),
    "cond": lambda jax, key: jax.lax.cond(
        jax.numpy.asarray(True),
        lambda: score(jax, LOGITS, key),
        lambda: jax.random.normal(key, (3,)),
    ),
    "while": lambda jax, key: jax.lax.while_loop(
        lambda state: state[0] < 1,
        lambda state: (state[0] + 1, score(jax, LOGITS, jax.random.fold_in(key, state[0]))),
        (0, jax.numpy.zeros(3)),
    )[1],
    "fori_loop": lambda jax, key: jax.lax.fori_loop(
        0, 1, lambda each, found: found + score(jax, LOGITS, key), jax.numpy.zeros(3)
    ),
    "map": lambda jax, key: jax.lax.map(functools.partial(score, jax, LOGITS), key[None])[0],
    "vmap": lambda jax, key: jax.vmap(functools.partial(score, jax, LOGITS))(key[None])[0],
}


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "jit"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(jax, name, compiled):
    """A draw under any transformation of JAX is the same draw."""

    def estimate(key):
        return TRANSFORMS[name](jax, key)

    run = jax.jit(estimate) if compiled else estimate
    assert holds(jax, lambda: run(jax.random.key(0)), 3)


def test_a_loop_that_ends_by_a_draw(jax):
    """Rows under vmap may end at different times: each has its own draws."""

    def until(key):
        def body(state):
            key, count, _ = state
            key, own = jax.random.split(key)
            return key, count + 1, jax.random.categorical(own, LOGITS)

        start = key, 0, jax.numpy.asarray(0)
        _, _, label = jax.lax.while_loop(lambda each: (each[2] == 0) & (each[1] < 2), body, start)
        return jax.numpy.asarray(COST)[label]

    key = jax.random.key(0)
    expected = SHARES[0] * MEAN + SHARES[1:] @ COST[1:]
    value, count = mean(jax.jit(lambda: until(key)))
    assert count == 5
    assert value == pytest.approx(expected, rel=CLOSE)
    value, _ = mean(jax.jit(lambda: jax.vmap(until)(jax.random.split(key, 2)).mean()))
    assert value == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize("compiled", [False, True])
def test_an_error_is_seen(jax, compiled):
    """A mean that is 5 % too small, and one that has lost one of its draws."""

    def small(logits):
        return 0.95 * score(jax, logits, jax.random.key(0))

    def lost(logits):  # the baseline is the very draw that it is to be compared with
        key = jax.random.key(0)
        drawn, again = (jax.random.categorical(key, logits) for _ in range(2))
        costs = jax.numpy.asarray(COST)
        return (costs[drawn] - costs[again]) * jax.grad(lambda x: jax.nn.log_softmax(x)[drawn])(
            logits
        )

    for estimate in (small, lost):
        run = jax.jit(estimate) if compiled else estimate
        value, _ = mean(lambda run=run: run(LOGITS))
        assert np.abs(value - exact(jax)).max() > 0.02  # 5 % of the least component is 0.026


# ------------------------------------------------------------------ traced once


class Counted:
    """Counts how often a function is traced."""

    def __init__(self, function):
        self.function, self.count = function, 0

    def __call__(self, *args):
        """Calls it."""
        self.count += 1
        return self.function(*args)


def test_nothing_is_traced_again(jax):
    """A function under jit is traced once for all enumerations, and once more outside of them."""
    traced = Counted(lambda logits, key: surrogate(jax, logits, key))
    estimate, key = jax.jit(jax.grad(traced)), jax.random.key(0)
    for _ in range(2):
        assert holds(jax, lambda: estimate(LOGITS, key), 3)
        assert traced.count == 1
    estimate(LOGITS, key)
    assert traced.count == 2
    assert holds(jax, lambda: estimate(LOGITS, key), 3)
    estimate(LOGITS, key)
    assert traced.count == 2


def test_a_body_of_a_loop_is_traced_once(jax):
    """As JAX keeps the trace of a body that is the same function each time."""
    body = Counted(lambda total, key: (total + cost(jax, key), None))
    keys = jax.random.split(jax.random.key(0), 3)
    value, count = mean(lambda: jax.lax.scan(body, 0.0, keys)[0])
    assert (body.count, count) == (1, 27)
    assert value == pytest.approx(3.0 * MEAN, rel=CLOSE)


def test_the_same_program_is_compiled_once(jax):
    """A function that is written where it is used is traced anew each time, and not compiled."""
    if not jax_traces._programs:
        mean(jax.jit(lambda: cost(jax, jax.random.key(0))))
    if not jax_traces._programs:
        pytest.skip("this JAX compiles out of sight")
    keys = jax.random.split(jax.random.key(1), 2)

    def estimate():
        return jax.lax.scan(lambda sum, key: (sum + cost(jax, key), None), 0.0, keys)[0]

    with Handling(estimate) as handling:
        all_paths = paths(estimate, handling.perform)
        next(all_paths)
        programs = list(jax_traces._programs)
        assert len(list(all_paths)) == 8
        assert list(jax_traces._programs) == programs


def test_code_compiled_before_is_not_used(jax):
    """It would draw a constant. Nor is code of an enumeration used after it."""
    compiled, keys = jax.jit(lambda key: cost(jax, key)), jax.random.split(jax.random.key(0), 50)
    before = [float(compiled(key)) for key in keys]
    value, count = mean(lambda: compiled(keys[0]))
    assert count == 3
    assert value == pytest.approx(MEAN, rel=CLOSE)
    assert [float(compiled(key)) for key in keys] == before


def test_code_that_is_compiled_first_in_an_enumeration(jax):
    """Outside it draws by itself."""
    compiled, keys = jax.jit(lambda key: cost(jax, key)), jax.random.split(jax.random.key(0), 50)
    mean(lambda: compiled(keys[0]))
    expected = [float(cost(jax, key)) for key in keys]
    assert [float(compiled(key)) for key in keys] == expected


def test_an_enumeration_inside_of_another(jax):
    """The same compiled code asks whichever run is innermost."""
    compiled = jax.jit(lambda key: cost(jax, key))
    keys = jax.random.split(jax.random.key(0), 2)

    def estimate():
        inner, count = mean(lambda: compiled(keys[0]))
        assert count == 3
        return compiled(keys[1]) - inner

    value, count = mean(estimate)
    assert count == 3
    assert value == pytest.approx(0.0, abs=CLOSE)


def test_runs_that_are_kept_apart(jax):
    """Who replaces functions that are traced has code traced anew, and again as before."""
    traced = Counted(lambda key: cost(jax, key))
    compiled, key = jax.jit(traced), jax.random.key(0)
    mean(lambda: compiled(key))
    with separate_traces(jax, "somebody"):
        mean(lambda: compiled(key))
        assert traced.count == 2
        mean(lambda: compiled(key))
    mean(lambda: compiled(key))
    assert traced.count == 2


def test_runs_in_which_nothing_is_compiled(jax):
    """Everything has a value there, and what was compiled before is not used."""
    seen = []

    def step(total, key):
        drawn = cost(jax, key)
        seen.append(isinstance(drawn, jax.core.Tracer))
        return total + drawn, None

    compiled = jax.jit(lambda keys: jax.lax.scan(step, 0.0, keys)[0])
    keys = jax.random.split(jax.random.key(0), 2)
    mean(lambda: compiled(keys))
    assert seen == [True]
    with without_compiling(jax):
        value, count = mean(lambda: compiled(keys))
    assert value == pytest.approx(2.0 * MEAN, rel=CLOSE)
    assert (count, seen[1:]) == (9, [False] * 18)


def test_a_draw_of_another_framework_that_is_traced(jax):
    """It is a constant of compiled code: no path with another outcome can be run, nor later one."""
    generator = np.random.default_rng(0)
    compiled = jax.jit(lambda x: x + generator.integers(2))
    for _ in range(2):
        with pytest.raises(NotReproducible):
            found(lambda: compiled(1.0))


# ------------------------------------------------------------------ in any order


@pytest.mark.parametrize("others", [False, True], ids=["keys alone", "beside NumPy"])
def test_draws_in_another_order(jax, others):
    """Draws by keys may come in any order, another in each run; no path is left out."""
    one, two = jax.random.split(jax.random.key(0))
    runs, generator = [], np.random.default_rng(0)

    def estimate():
        runs.append(None)
        draws = [lambda: cost(jax, one), lambda: 1.0 + jax.random.bernoulli(two, 0.25)]
        if others:
            draws.append(lambda: generator.integers(2))
        places = (0, 1) if len(runs) % 2 else (1, 0)
        made = {place: draws[place]() for place in places}
        return made[0] * made[1] * (draws[2]() if others else 1.0)

    value, count = mean(estimate)
    assert count == (12 if others else 6)
    assert value == pytest.approx(1.25 * MEAN * (0.5 if others else 1.0), rel=CLOSE)


def slow(jax):
    """A zero that is not computed yet when it is returned."""
    size = 700
    matrix = jax.numpy.ones((size, size))
    return jax.jit(lambda matrix: (matrix @ matrix @ matrix).sum() * 0.0)(matrix)


def test_a_call_that_comes_late(jax):
    """Code that waits for what it is given asks from a thread of XLA's, and maybe for nobody."""
    compiled, key = jax.jit(lambda key, logits: cost(jax, key, logits)), jax.random.key(0)
    value, count = mean(lambda: compiled(key, LOGITS + slow(jax)))
    assert count == 3
    assert value == pytest.approx(MEAN, rel=CLOSE)

    def nobody_waits():
        compiled(key, LOGITS + slow(jax))
        return 1.0

    assert mean(nobody_waits) == (pytest.approx(1.0, rel=CLOSE), 3)
    with pytest.raises(UnsupportedDraw, match=r"jax\.random\.normal"):
        found(lambda: jax.jit(lambda zero: zero + jax.random.normal(key))(slow(jax)))


# ------------------------------------------------------------------ what is refused


def test_every_other_sampler_is_refused_by_its_name(jax):
    """A key makes a draw a constant, and none may pass for one."""
    compared = ("normal", "uniform", "gumbel", "exponential", "cauchy")
    others = {"bits": (), "orthogonal": (2,), **dict.fromkeys(compared, ())}
    others |= {"gamma": (2.0,), "beta": (2.0, 3.0)}
    others |= {"t": (2.0,), "dirichlet": (np.ones(2, np.float32),)}
    for name, args in others.items():
        for wrap in (lambda code: code, jax.jit):

            def code(name=name, args=args):
                return getattr(jax.random, name)(jax.random.key(0), *args)

            why = " is an unsupported draw"
            if name in compared or name == "orthogonal":  # of normal numbers
                why = r"\(\) is used other than compared"
            with pytest.raises(UnsupportedDraw, match=rf"^jax\.random\.{name}{why}"):
                found(wrap(code))


def test_all_of_jax_random_is_handled_but_keys(jax):
    """Whatever works with keys stays; all other functions of jax.random call a handler."""
    functions = {
        name: value
        for name, value in vars(jax.random).items()
        if callable(value) and name[0] != "_" and not name.endswith("_p")
    }
    before = {name: (value.__code__, value.__kwdefaults__) for name, value in functions.items()}
    with Handling():
        same = {name for name, value in functions.items() if value.__code__ is before[name][0]}
        assert inspect.signature(jax.random.randint).parameters["minval"]
    assert same == {
        *("PRNGKey", "clone", "fold_in", "key", "key_data", "key_dtype", "key_impl", "split"),
        "wrap_key_data",
    } & set(functions)
    for name, value in functions.items():
        assert (value.__code__, value.__kwdefaults__) == before[name]


def test_what_is_not_evaluated_is_not_drawn(jax):
    """Shapes alone, a branch that is not taken, and what nothing follows from."""
    key = jax.random.key(0)
    code = [
        lambda: jax.eval_shape(lambda: jax.random.bernoulli(key, LOGITS)).shape,
        lambda: jax.eval_shape(lambda: jax.random.normal(key, (3,))).shape,
        lambda: jax.jit(lambda key: jax.random.normal(key)).lower(key).as_text()[:0] or [3],
    ]
    for each in code:
        assert found(each) == [([3], 1.0)]

    @jax.jit
    def branch(taken):
        return jax.lax.cond(taken, lambda: jax.random.normal(key), lambda: cost(jax, key))

    assert mean(lambda: branch(False)) == (pytest.approx(MEAN, rel=CLOSE), 3)
    with pytest.raises(UnsupportedDraw, match=r"jax\.random\.normal"):
        found(lambda: branch(True))
    unused = jax.jit(lambda key: (jax.random.normal(key), cost(jax, key))[1])
    assert mean(lambda: unused(key)) == (pytest.approx(MEAN, rel=CLOSE), 3)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_layer_that_asks_for_the_shape_of_its_initial_values(jax, compiled, library):
    """It draws nothing when it is applied; when it is made, it does."""
    layer = library("flax.linen").Dense(3, use_bias=False)
    known = layer.init(jax.random.key(0), jax.numpy.zeros(3))
    apply = jax.jit(layer.apply) if compiled else layer.apply

    def slope():
        return jax.grad(lambda x: apply(known, x).sum())(jax.numpy.asarray(LOGITS))

    ((value, weight),) = found(slope)
    np.testing.assert_allclose(value, known["params"]["kernel"].sum(1), rtol=CLOSE)
    assert weight == 1.0
    with pytest.raises(UnsupportedDraw, match=r"jax\.random\.truncated_normal"):
        found(lambda: layer.init(jax.random.key(0), jax.numpy.zeros(3))["params"]["kernel"])


@pytest.mark.parametrize("used", [False, True], ids=["new", "compiled before"])
def test_functions_that_are_kept(jax, used):
    """Under another name, in a partial, a default, or under vmap or jit: they are handled."""
    key = jax.random.key(0)
    kept = {
        "default": lambda draw=jax.random.categorical: draw(key, LOGITS),
        "partial": functools.partial(jax.random.categorical, key, LOGITS),
        "jit": functools.partial(jax.jit(jax.random.categorical), key, LOGITS),
        "vmap": functools.partial(jax.vmap(jax.random.categorical), key[None], LOGITS[None]),
    }
    for run in kept.values():
        if used:
            run()
        each = found(lambda run=run: run().sum())
        np.testing.assert_allclose([weight for _, weight in each], SHARES, rtol=CLOSE)
    with pytest.raises(UnsupportedDraw, match=r"jax\.random\.normal"):
        found(jax.jit(functools.partial(jax.random.normal, key)))


def test_draws_below_all_samplers(jax):
    """Of jax.lax, and in code that was traced before."""
    key = jax.random.key(0)
    words = jax.numpy.zeros(4, np.uint32)
    for code in (
        lambda: jax.lax.rng_uniform(0.0, 1.0, (2,)),
        lambda: jax.lax.rng_bit_generator(words, (2,))[1],
    ):
        for run in (code, jax.jit(code)):
            with pytest.raises(UnsupportedDraw, match=r"no sampler of jax\.random"):
                found(run)
    draw = jax.jit(lambda key: jax.random.categorical(key, LOGITS))
    traced = [jax.make_jaxpr(draw)(key), jax.make_jaxpr(lambda key: jax.random.normal(key))(key)]
    for each in traced:
        with pytest.raises(UnsupportedDraw, match=r"traced before|no sampler"):
            found(lambda each=each: jax.core.eval_jaxpr(each.jaxpr, each.consts, key))


def test_code_compiled_ahead(jax):
    """It is machine code, and draws unseen."""
    key = jax.random.key(0)
    draw = jax.jit(lambda key: jax.random.categorical(key, LOGITS))
    ready = draw.lower(key).compile()
    with pytest.raises(UnsupportedDraw, match="ahead of time"):
        found(lambda: ready(key))
    assert ready(key) == draw(key)


def test_a_trace_that_outlives_its_run(jax):
    """There is nothing to ask any more, and it does not draw by itself."""
    keep, key = [], jax.random.key(0)

    def run():
        keep.append(jax.make_jaxpr(lambda key: jax.random.categorical(key, LOGITS))(key))
        keep.append(jax.jit(lambda key: jax.random.categorical(key, LOGITS)).lower(key).compile())

    with Handling(run) as handling:
        run_path(run, handling.perform, [])
    with pytest.raises(UnsupportedDraw, match="called outside of it"):
        jax.core.eval_jaxpr(keep[0].jaxpr, keep[0].consts, key)
    with pytest.raises(Exception, match="called outside of it"):
        keep[1](key)


def test_code_that_is_traced_where_no_run_is(jax):
    """It would draw by itself, and be used by later runs."""
    traced, key = jax.jit(lambda key: jax.random.categorical(key, LOGITS)), jax.random.key(0)

    def run():
        with outside_runs():
            plain = jax.random.categorical(key, LOGITS)
            assert plain == expected
            return traced(key)

    expected = jax.random.categorical(key, LOGITS)
    with pytest.raises(UnsupportedDraw, match="traced where no run is under way"):
        found(run)


def test_a_jax_that_cannot_be_watched(jax, monkeypatch):
    """An older JAX, or a later one that is built otherwise, could draw unseen."""
    monkeypatch.delattr("jax.extend.core.primitives.random_bits_p")
    with pytest.raises(
        UnsupportedDraw, match=rf"JAX {jax.__version__} is imported, and might draw"
    ):
        found(lambda: 0.0)


@pytest.mark.parametrize("name", ["xla_profile_version", "make_user_context"])
def test_what_keeps_traces_apart(jax, name, monkeypatch):
    """There are two ways; where neither is there, JAX is refused."""
    ways = {"xla_profile_version": "_version_of_profile", "make_user_context": "_context"}
    other = next(each for each in ways if each != name)

    def missing(_):
        raise AttributeError

    if not hasattr(jax, "make_user_context") and name == "make_user_context":
        pytest.skip("this JAX has no make_user_context")
    if name == "make_user_context":
        # A new context would be one more in what all later tests are kept by.
        context = jax_traces._context
        monkeypatch.setattr(jax_traces, "_context", lambda jax: context(jax))
    monkeypatch.setattr(jax_traces, ways[other], missing)
    assert jax_traces._keeps_apart(jax, jax_traces._setting(jax))
    monkeypatch.setattr(jax_traces, ways[name], missing)
    with pytest.raises(UnsupportedDraw, match="might draw unseen"):
        jax_traces._setting(jax)


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize("compiled", [False, True])
def test_one_key_for_all_rows(jax, compiled):
    """Rows that differ share their noise: neither one draw nor independent. Equal rows do not."""
    key = jax.random.key(0)

    def rows(logits):
        return jax.vmap(lambda row: cost(jax, key, row))(logits)

    run = jax.jit(rows) if compiled else rows
    with pytest.raises(UnsupportedDraw, match="one key for all rows"):
        found(lambda: run(np.stack([LOGITS, 2 * LOGITS])))
    assert [value for value, _ in found(lambda: run(np.stack([LOGITS] * 2)))] == [
        [each, each] for each in COST
    ]


def test_a_key_that_is_used_again(jax):
    """The same draw again is the same outcome; another draw depends on the first unknowably."""
    key = jax.random.key(0)

    def same():
        return [jax.random.categorical(key, LOGITS) for _ in range(2)]

    assert [value for value, _ in found(same)] == [[0, 0], [1, 1], [2, 2]]
    for other in (
        lambda: jax.random.bernoulli(key),
        lambda: jax.random.categorical(key, LOGITS, shape=(2,)),
        lambda: jax.random.categorical(key, 2 * LOGITS),
        lambda: jax.random.categorical(jax.random.PRNGKey(0), 2 * LOGITS),
    ):
        for wrap in (lambda code: code, jax.jit):
            both = wrap(lambda other=other: [jax.random.categorical(key, LOGITS), other()][0])
            if wrap is jax.jit:  # or the second is never made
                both = wrap(lambda other=other: jax.random.categorical(key, LOGITS) + other().sum())
            with pytest.raises(UnsupportedDraw, match="in an unknown way"):
                found(both)


def test_probabilities_that_were_computed_twice(jax):
    """A difference of rounding, as after a checkpoint, is none; one that somebody made is."""
    key = jax.random.key(0)
    probability = np.float32(0.25)

    def twice(other):
        return [jax.random.bernoulli(key, probability), jax.random.bernoulli(key, other)]

    rounded = np.nextafter(probability, np.float32(1.0))
    assert [value for value, _ in found(lambda: twice(rounded))] == [[False] * 2, [True] * 2]
    with pytest.raises(UnsupportedDraw, match="with other probabilities"):
        found(lambda: twice(probability + np.float32(1e-4)))  # as differences take


def test_the_same_words_of_another_generator(jax):
    """They draw independently, but for two generators that differ only in how they split keys."""
    words = np.zeros(4, np.uint32)
    keys = {name: jax.random.wrap_key_data(words, impl=name) for name in ("rbg", "unsafe_rbg")}
    pairs = [
        (jax.random.key(0), jax.random.PRNGKey(0), 3),
        (keys["rbg"], keys["unsafe_rbg"], 3),
        (keys["rbg"], jax.random.key(0), 9),
        (jax.random.key(0), jax.random.split(jax.random.key(0))[0], 9),
    ]
    for one, other, count in pairs:
        both = found(lambda one=one, other=other: [cost(jax, one), cost(jax, other)])
        assert len(both) == count


@pytest.mark.parametrize("generator", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("compiled", [False, True])
def test_keys_of_keys(jax, generator, compiled):
    """To split a key and to fold a number in draws nothing, by whatever means it is done."""

    def estimate(key):
        return cost(jax, jax.random.split(jax.random.fold_in(key, 3))[1])

    run = jax.jit(estimate) if compiled else estimate
    key = jax.random.key(0, impl=generator)
    assert mean(lambda: run(key)) == (pytest.approx(MEAN, rel=CLOSE), 3)


def test_several_keys_at_once(jax):
    """JAX says that they are to be mapped over, and so do we."""
    keys = jax.random.split(jax.random.key(0), 2)
    with pytest.raises(ValueError, match="accepts a single key"):
        found(lambda: jax.random.bernoulli(keys))
    with pytest.raises(TypeError, match="unexpected PRNG key"):
        found(lambda: jax.random.bernoulli(0))


def test_keys_that_are_others_in_each_run(jax):
    """Draws of one run are not found in the next."""
    keep = [jax.random.key(0)]

    def estimate():
        keep[0], own = jax.random.split(keep[0])
        return cost(jax, own)

    with pytest.raises(NotReproducible):
        found(estimate)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize("caught", [False, True])
def test_what_is_refused_in_compiled_code(jax, caught):
    """The error comes out as it is, also if the code catches all errors and goes on."""
    key = jax.random.key(0)
    refused = jax.jit(lambda key: jax.random.normal(key))

    def run():
        try:
            return refused(key)
        except Exception:
            if not caught:
                raise
            return 0.0

    with pytest.raises(UnsupportedDraw, match=r"^jax\.random\.normal"):
        found(run)


def test_code_that_draws_without_end(jax):
    """It is stopped in the midst of a compiled loop."""

    def body(state):
        key, own = jax.random.split(state[0])
        return key, jax.random.categorical(own, LOGITS)

    def run(key):
        start = key, jax.numpy.asarray(0)
        return jax.lax.while_loop(lambda state: state[1] == 0, body, start)[1]

    with pytest.raises(TooManyPaths, match="draws until something comes out"):
        found(functools.partial(jax.jit(run), jax.random.key(0)))


@pytest.mark.parametrize("compiled", [False, True])
def test_probabilities_that_are_none(jax, compiled):
    """The error says what draws by them."""
    key = jax.random.key(0)
    for weights, match in (([1.0, -1.0], "choice"), ([0.0, 0.0], "choice")):

        def draw(weights):
            return jax.random.choice(key, 2, p=weights)

        run = functools.partial(jax.jit(draw) if compiled else draw, np.array(weights))
        with pytest.raises(ValueError, match=rf"jax\.random\.{match} draws with probabilities"):
            found(run)


def test_an_interrupt_in_a_call(jax, monkeypatch):
    """Whoever interrupts is not told of an error of XLA's, and everything is put back."""
    compiled, key = jax.jit(lambda key: cost(jax, key)), jax.random.key(0)
    mean(lambda: compiled(key))
    code = jax.random.categorical.__code__
    real = jax_samplers_draw = sys.modules[
        "gradproof.estimators.enumeration.frameworks.jax_keyed_draws"
    ].KeyedDraws.draw

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[real.__module__].KeyedDraws, "draw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        found(lambda: compiled(key))
    monkeypatch.setattr(sys.modules[real.__module__].KeyedDraws, "draw", jax_samplers_draw)
    assert jax.random.categorical.__code__ is code
    assert mean(lambda: compiled(key)) == (pytest.approx(MEAN, rel=CLOSE), 3)


def test_all_is_put_back(jax):
    """After an enumeration, and after one that was refused, JAX draws as before and compiles."""
    key = jax.random.key(0)
    primitives = sys.modules["jax.extend.core.primitives"]
    setting = jax.config.jax_default_matmul_precision, jax.config.jax_disable_jit
    bound = primitives.random_bits_p.bind
    before = [jax.random.normal(key), jax.random.categorical(key, LOGITS, shape=(5,))]
    found(lambda: jax.random.bernoulli(key))
    with pytest.raises(UnsupportedDraw):
        found(lambda: jax.random.normal(key))
    after = [jax.random.normal(key), jax.random.categorical(key, LOGITS, shape=(5,))]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert setting == (jax.config.jax_default_matmul_precision, jax.config.jax_disable_jit)
    assert "bind" not in vars(primitives.random_bits_p)
    assert primitives.random_bits_p.bind == bound
    assert not hasattr(jax.random.normal, "__signature__")


# ------------------------------------------------------------------ jit switched off, callbacks


@pytest.mark.parametrize("eager", [False, True], ids=["jit", "jit switched off"])
@pytest.mark.parametrize("used", [False, True], ids=["new", "traced before"])
def test_traced_code(jax, used, eager):
    """Under checkpoint a draw is traced first and has values later, in every run anew.

    It is made twice, before and after the cost, with one key: that is one draw.
    """
    with jax.disable_jit(eager):
        whole = jax.checkpoint(lambda logits, key: score(jax, logits, key))
        part = jax.grad(jax.checkpoint(lambda logits, key: surrogate(jax, logits, key)))
        for estimate in (whole, part):
            alone = estimate(LOGITS, jax.random.key(0)) if used else None
            run = functools.partial(estimate, LOGITS, jax.random.key(0))
            for _ in range(2):
                assert holds(jax, run, 3)
            if used:
                np.testing.assert_array_equal(estimate(LOGITS, jax.random.key(0)), alone)


@pytest.mark.parametrize("late", [False, True])
def test_functions_that_compiled_code_calls(jax, late):
    """They draw by other frameworks, and are refused by these, in whatever thread they run."""
    generator = np.random.default_rng(0)
    kind = jax.ShapeDtypeStruct((), np.float32)

    def draw(_):
        return np.float32(generator.choice(2, p=[0.25, 0.75]))

    def noise(_):
        return np.float32(generator.normal())

    @jax.jit
    def calls(zero):
        return jax.pure_callback(draw, kind, zero)

    @jax.jit
    def refused(zero):
        return jax.pure_callback(noise, kind, zero)

    start = (lambda: slow(jax)) if late else (lambda: jax.numpy.zeros(()))
    assert mean(lambda: np.asarray(calls(start()))) == (pytest.approx(0.75, rel=CLOSE), 2)
    with pytest.raises(UnsupportedDraw, match=r"Generator\.normal"):
        found(lambda: np.asarray(refused(start())))


# ------------------------------------------------------------------ threads


def test_another_thread_draws_as_ever(jax):
    """While an estimator is enumerated, by functions that it uses as well."""
    compiled, keys = jax.jit(lambda key: cost(jax, key)), jax.random.split(jax.random.key(0), 20)
    draws = [lambda key: float(compiled(key)), lambda key: float(jax.random.normal(key))]
    expected = [[draw(key) for key in keys] for draw in draws]
    seen, stop = [], threading.Event()

    def other():
        while not stop.is_set() or not seen:
            seen.append([[draw(key) for key in keys] for draw in draws])

    thread = threading.Thread(target=other)
    thread.start()
    try:
        while len(seen) < 2 and thread.is_alive():
            assert mean(lambda: compiled(keys[0])) == (pytest.approx(MEAN, rel=CLOSE), 3)
    finally:
        stop.set()
        thread.join()
    assert all(each == expected for each in seen)


def test_two_threads_enumerate(jax):
    """Each is answered by its own runs, in code that both have."""
    compiled, key = jax.jit(lambda key, shift: shift + cost(jax, key)), jax.random.key(0)
    results = {}

    def enumerate_with(shift):
        results[shift] = [mean(lambda: compiled(key, shift)) for _ in range(3)]

    threads = [threading.Thread(target=enumerate_with, args=(shift,)) for shift in (0.0, 10.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for shift in (0.0, 10.0):
        assert results[shift] == [(pytest.approx(MEAN + shift, rel=CLOSE), 3)] * 3


def test_a_thread_that_is_given_the_context_of_a_run(jax):
    """What it traces would be used outside: it is refused."""
    compiled, key = jax.jit(lambda key: jax.random.categorical(key, LOGITS)), jax.random.key(0)

    async def elsewhere():
        return await asyncio.to_thread(compiled, key)

    with pytest.raises(UnsupportedDraw, match="in another thread"):
        found(lambda: asyncio.run(elsewhere()))
    assert compiled(key) == jax.random.categorical(key, LOGITS)


# ------------------------------------------------------------------ other runs


def sampled(jax, code, count):
    """What code returns with as many keys, while a run looks on; and that run."""
    run, keys = SampledRun(), jax.random.split(jax.random.key(0), count)
    with Handling(code) as handling:
        values = [np.asarray(handling.perform(lambda key=key: code(key), run)) for key in keys]
    assert [each.tolist() for each in values] == [np.asarray(code(key)).tolist() for key in keys]
    return run


@pytest.mark.parametrize("compiled", [False, True])
def test_samples(jax, compiled):
    """They are drawn as ever, and it is seen how rare an outcome could have been."""
    cases = [
        (lambda key: cost(jax, key), SHARES.min()),
        (lambda key: jax.random.bernoulli(key, 0.01), 0.01),
        (lambda key: jax.vmap(lambda key: cost(jax, key))(jax.random.split(key, 3)), SHARES.min()),
        (lambda key: score(jax, LOGITS, key), SHARES.min()),
        (lambda key: jax.random.choice(key, COST, (2,)), 1.0 / 3.0),
        (
            lambda key: jax.lax.scan(
                lambda sum, key: (sum + cost(jax, key), None), 0.0, jax.random.split(key, 2)
            )[0],
            SHARES.min(),
        ),
    ]
    for code, rarest in cases:
        run = sampled(jax, jax.jit(code) if compiled else code, 3)
        assert run.rarest == pytest.approx(rarest, rel=CLOSE)
        assert not run.unknown


@pytest.mark.parametrize("compiled", [False, True])
def test_samples_of_what_cannot_be_counted(jax, compiled):
    """It is drawn, and said not to be known, in each run anew."""
    for draw in (jax.random.normal, jax.random.uniform):
        code = jax.jit(lambda key, draw=draw: draw(key)) if compiled else draw
        for _ in range(2):
            run = sampled(jax, code, 2)
            assert [each.split()[0] for each in run.unknown] == [f"jax.random.{draw.__name__}"]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_path_repeated_at_other_parameters(jax, compiled):
    """The same outcomes, with the probabilities that they have there."""

    def draw(logits):
        return cost(jax, jax.random.key(0), logits)

    run = jax.jit(draw) if compiled else draw
    moved = LOGITS + np.array([0.5, 0.0, 0.0], np.float32)
    shares = np.exp(moved) / np.exp(moved).sum()
    code = functools.partial(run, LOGITS)
    with Handling(code) as handling:
        for number, path in enumerate(list(paths(code, handling.perform))):
            again = repeat(functools.partial(run, moved), handling.perform, path.choices)
            assert float(again.value) == COST[number]
            assert again.probability == pytest.approx(shares[number], rel=CLOSE)
