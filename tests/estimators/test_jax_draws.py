"""JAX's draws, walked through: outcomes and chances as JAX has them, and what must be refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.replay import Continuous, Walker, intercepted, walk

pytestmark = pytest.mark.libraries

LOGITS = np.array([0.3, -0.2, 0.5], np.float32)
COST = np.array([1.0, 2.0, 4.0], np.float32)
CHANCE = 1e-6  # several roundings of single precision, in which the logits are
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum()


@pytest.fixture(autouse=True)
def jax(library):
    """JAX."""
    return library("jax")


def paths(run):
    """Value and probability of each path."""
    found = list(walk(run, intercepted(run)))
    assert sum(path.weight for path in found) == pytest.approx(1.0, rel=CHANCE)
    return [(np.asarray(path.value).tolist(), path.weight) for path in found]


def exact(jax):
    """The gradient of the mean cost by the logits."""
    return jax.grad(lambda logits: jax.nn.softmax(logits) @ COST)(LOGITS)


def surrogate(jax, logits, key):
    """Its gradient by the logits is the score-function estimate."""
    drawn = jax.random.categorical(key, logits)
    return jax.numpy.asarray(COST)[drawn] * jax.nn.log_softmax(logits)[drawn]


def score(jax, logits, key):
    """The gradient of a draw: the draw is made inside what is differentiated."""
    return jax.grad(lambda logits: surrogate(jax, logits, key))(logits)


# ------------------------------------------------------------------ outcomes and their chances


def test_categorical(jax):
    """Each label comes with its softmax probability."""
    found = paths(lambda: jax.random.categorical(jax.random.key(0), LOGITS))
    assert [value for value, _ in found] == [0, 1, 2]
    np.testing.assert_allclose([chance for _, chance in found], SHARES, rtol=CHANCE)


@pytest.mark.parametrize("shape", [None, (4,), (2, 4)])
@pytest.mark.parametrize("axis", [0, -1, 1])
def test_categorical_has_the_shape_of_jax(jax, axis, shape):
    """Rows along any axis, and more draws of each in front."""
    logits = np.where(np.eye(4) > 0, 0.0, -np.inf).astype(np.float32)  # one outcome a row
    key = jax.random.key(0)
    expected = jax.random.categorical(key, logits, axis, shape)
    ((value, _),) = paths(lambda: jax.random.categorical(key, logits, axis, shape))
    assert value == expected.tolist()


def test_without_replacement(jax):
    """Two of three labels, one after the other: six orders, and no label twice."""

    def run():
        return jax.random.categorical(jax.random.key(0), LOGITS, shape=(2,), replace=False)

    found = {tuple(value): chance for value, chance in paths(run)}
    assert len(found) == 6
    assert found[0, 2] == pytest.approx(SHARES[0] * SHARES[2] / (1.0 - SHARES[0]), rel=CHANCE)


def test_the_others(jax):
    """How many outcomes each has, what they are, and what the first one's chance is."""
    key = jax.random.key(0)
    cases = [
        (lambda: jax.random.bernoulli(key, 0.25), [False, True], 0.75),
        (lambda: jax.random.bernoulli(key, 0.5, (1,)), [[False], [True]], 0.5),
        (lambda: jax.random.randint(key, (), 3, 5), [3, 4], 0.5),
        (lambda: jax.random.randint(key, (1, 1), -1, 1), [[[-1]], [[0]]], 0.5),
        (lambda: jax.random.choice(key, 2), [0, 1], 0.5),
        (lambda: jax.random.choice(key, COST, p=SHARES), [1.0, 2.0, 4.0], SHARES[0]),
        (lambda: jax.random.choice(key, COST[:2], (2,), False), [[1.0, 2.0], [2.0, 1.0]], 0.5),
        (lambda: jax.random.permutation(key, 2), [[0, 1], [1, 0]], 0.5),
        (lambda: jax.random.permutation(key, COST[:2]), [[1.0, 2.0], [2.0, 1.0]], 0.5),
    ]
    for run, values, first in cases:
        found = paths(run)
        assert [value for value, _ in found] == values
        assert found[0][1] == pytest.approx(first, rel=CHANCE)
        kind = np.asarray(run())  # JAX's own
        ours = next(walk(run, intercepted(run))).value
        assert (ours.dtype, ours.shape) == (kind.dtype, kind.shape)


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
    checked = check_estimator(estimate, [LOGITS], exact=exact(jax))
    assert (checked.verdict, checked.paths) == ("holds", 3)


@pytest.mark.parametrize("inside", [False, True], ids=["vmap of grad", "grad of vmap"])
def test_a_batch(jax, inside):
    """With a key for each row, the rows are drawn independently: nine paths for two."""

    def estimate(logits):
        keys = jax.random.split(jax.random.key(0), 2)
        if not inside:
            return jax.vmap(lambda key: score(jax, logits, key))(keys).mean(0)

        def surrogate(logits):
            drawn = jax.vmap(lambda key: jax.random.categorical(key, logits))(keys)
            return (jax.numpy.asarray(COST)[drawn] * jax.nn.log_softmax(logits)[drawn]).mean()

        return jax.grad(surrogate)(logits)

    checked = check_estimator(estimate, [LOGITS], exact=exact(jax))
    assert (checked.verdict, checked.paths) == ("holds", 9)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_scan(jax, checkpoint):
    """A loop of JAX is walked through as well, also where it is traced."""

    def estimate(logits):
        def step(total, key):
            return total + score(jax, logits, key) / 2, None

        keys = jax.random.split(jax.random.key(0), 2)
        return jax.lax.scan(step, jax.numpy.zeros(3), keys)[0]

    run = jax.checkpoint(estimate) if checkpoint else estimate
    checked = check_estimator(run, [LOGITS], exact=exact(jax))
    assert (checked.verdict, checked.paths) == ("holds", 9)


def test_an_error_is_seen(jax):
    """A mean that is 5 % too small."""
    checked = check_estimator(
        lambda logits: 0.95 * score(jax, logits, jax.random.key(0)), [LOGITS], exact=exact(jax)
    )
    assert checked.verdict == "refuted"


# ------------------------------------------------------------------ what is refused


def test_every_other_sampler_is_refused_by_its_name(jax):
    """A key makes a draw a constant, and none may pass for one."""
    names = ("normal", "uniform", "gumbel", "bits", "gamma", "poisson", "binomial", "rademacher")
    for name in names:
        with pytest.raises(Continuous, match=rf"jax\.random\.{name} is not walked through"):
            paths(lambda name=name: getattr(jax.random, name)(jax.random.key(0)))


def test_only_what_draws_is_replaced(jax):
    """Whatever works with keys stays; all other functions of jax.random are replaced."""
    before = {name: value for name, value in vars(jax.random).items() if callable(value)}
    with intercepted()(Walker()):
        same = {name for name, value in before.items() if getattr(jax.random, name) is value}
    assert {name for name in same if name[0] != "_" and not name.endswith("_p")} == {
        *("PRNGKey", "clone", "fold_in", "key", "key_data", "key_dtype", "key_impl", "split"),
        "wrap_key_data",
    } & set(before)
    assert all(getattr(jax.random, name) is value for name, value in before.items())


@pytest.mark.parametrize("name", ["normal", "categorical"])
@pytest.mark.parametrize("used", [False, True], ids=["new", "compiled before"])
def test_functions_imported_by_their_own_name(jax, name, used):
    """These cannot be replaced, and what they draw is caught below."""
    draw = {
        "normal": lambda draw=jax.random.normal: draw(jax.random.key(0)),
        "categorical": lambda draw=jax.random.categorical: draw(jax.random.key(0), LOGITS),
    }[name]
    compiled = jax.jit(draw)
    if used:
        compiled()
    for run in (draw, compiled):
        with pytest.raises(Continuous, match="out of sight"):
            paths(run)


@pytest.mark.parametrize("eager", [False, True], ids=["jit", "jit switched off"])
@pytest.mark.parametrize("used", [False, True], ids=["new", "traced before"])
def test_traced_code(jax, used, eager):
    """Under checkpoint a draw is traced first and has values later, in every run anew.

    It is made twice, before and after the cost, with one key: that is one draw.
    """
    with jax.disable_jit(eager):
        mean = jax.checkpoint(lambda logits, key: score(jax, logits, key))
        keep = jax.grad(jax.checkpoint(lambda logits, key: surrogate(jax, logits, key)))
        for estimate in (mean, keep):
            alone = estimate(LOGITS, jax.random.key(0)) if used else None
            run = functools.partial(estimate, key=jax.random.key(0))
            for _ in range(2):
                checked = check_estimator(run, [LOGITS], exact=exact(jax), name="checkpoint")
                assert (checked.verdict, checked.paths) == ("holds", 3)
            if used:
                np.testing.assert_array_equal(estimate(LOGITS, jax.random.key(0)), alone)


def test_shapes_alone(jax):
    """Where nobody asks for values nothing is drawn."""

    def run():
        return jax.eval_shape(lambda: jax.random.bernoulli(jax.random.key(0), LOGITS)).shape

    assert paths(run) == [([3], 1.0)]


def test_compiled_code(jax):
    """Where code is compiled in spite of all, a draw in it cannot be asked."""

    def run():
        return jax.jit(lambda key: jax.random.categorical(key, LOGITS)).lower(jax.random.key(0))

    with pytest.raises(Continuous, match=r"jax\.random\.categorical is compiled"):
        paths(run)


def test_a_trace_that_outlives_its_walk(jax):
    """There is nothing to ask any more, and it does not draw by itself."""
    keep = []

    def run():
        keep.append(jax.make_jaxpr(lambda key: jax.random.categorical(key, LOGITS))(key))

    key = jax.random.key(0)
    with intercepted()(Walker()):
        run()
    with pytest.raises(Continuous, match="traced in a walk"):
        jax.core.eval_jaxpr(keep[0].jaxpr, keep[0].consts, key)


def test_code_compiled_ahead(jax):
    """It is machine code, and draws unseen."""
    ready = jax.jit(lambda key: jax.random.categorical(key, LOGITS))
    ready = ready.lower(jax.random.key(0)).compile()
    with pytest.raises(Continuous, match="ahead of time"):
        paths(lambda: ready(jax.random.key(0)))


def test_a_jax_that_cannot_be_watched(jax, monkeypatch):
    """An older JAX, or a later one that is built otherwise, could draw unseen."""
    monkeypatch.delattr("jax.extend.core.primitives.random_bits_p")
    with pytest.raises(Continuous, match=rf"JAX {jax.__version__} is imported, and might draw"):
        paths(lambda: 0.0)


def test_one_key_for_all_rows(jax):
    """Its rows share their noise: neither one draw nor independent ones."""

    def run():
        key = jax.random.key(0)
        return jax.vmap(lambda row: jax.random.categorical(key, row))(np.stack([LOGITS] * 2))

    with pytest.raises(Continuous, match="one key for all rows"):
        paths(run)


def test_a_key_that_is_used_again(jax):
    """The same draw again is the same outcome; another draw depends on the first unknowably."""
    key = jax.random.key(0)

    def same():
        return [jax.random.categorical(key, LOGITS) for _ in range(2)]

    assert [value for value, _ in paths(same)] == [[0, 0], [1, 1], [2, 2]]
    with pytest.raises(Continuous, match=r"a key that jax\.random\.categorical drew with"):
        paths(lambda: [jax.random.categorical(key, LOGITS), jax.random.bernoulli(key)])


def test_all_is_put_back(jax):
    """After a walk, and after one that was refused, JAX draws as before and compiles."""
    key = jax.random.key(0)
    before = [jax.random.normal(key), jax.random.categorical(key, LOGITS, shape=(5,))]
    paths(lambda: jax.random.bernoulli(key))
    with pytest.raises(Continuous):
        paths(lambda: jax.random.normal(key))
    after = [jax.random.normal(key), jax.random.categorical(key, LOGITS, shape=(5,))]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert not jax.config.jax_disable_jit
