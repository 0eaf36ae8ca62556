"""Keys of JAX: each sample has its own, wherever they are, and they are put back."""

import collections
import functools

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.user.jax_keys import FreshKeys
from gradproof.checks.user.sampled import RepeatedSamples, sample

pytestmark = pytest.mark.libraries

Model = collections.namedtuple("Model", "weights, stream")


@pytest.fixture
def jax(library):
    """JAX, or nothing is tested."""
    return library("jax")


def drawn(jax):
    """A number that a key draws."""
    return lambda key: float(jax.random.normal(key))


class Agent:
    """Keeps a key."""

    def __init__(self, jax, stream):
        self._jax, self._stream = jax, stream

    def estimate(self, x):
        """A number."""
        return float(self._jax.random.normal(self._stream))


def kept(jax):
    """Functions, what they are called with, and where their keys are."""
    new, old, normal = jax.random.key(1), jax.random.PRNGKey(1), drawn(jax)

    def default(x, given=new):
        return normal(given)

    return {
        "argument": (normal, [new]),
        "argument of old": (normal, [old]),
        "argument of NumPy": (lambda key: normal(key), [np.array([0, 1], np.uint32)]),
        "several": (lambda two: normal(two[1]), [jax.random.split(new)]),
        "several of old": (lambda keys: normal(keys[1]), [jax.random.split(old, 3)]),
        "default": (default, [1.0]),
        "closure": (lambda x: normal(new), [1.0]),
        "partial": (functools.partial(lambda key, x: normal(key), new), [1.0]),
        "attribute": (Agent(jax, old).estimate, [1.0]),
        "dictionary": (lambda state: normal(state["rng"]), [{"rng": new}]),
        "tuple": (lambda state: normal(state[1]), [(1.0, new)]),
        "tuple with names": (lambda state: normal(state.stream), [Model(1.0, new)]),
        "tuple and list": (
            lambda state: normal(state[0]) + normal(state[1][0]),
            [(old, [new])],
        ),
        "compiled": (jax.jit(lambda key: jax.random.normal(key)), [new]),
    }


WHERE = [
    "argument", "argument of old", "argument of NumPy", "several", "several of old", "default",
    "closure", "partial", "attribute", "dictionary", "tuple", "tuple with names", "tuple and list",
    "compiled",
]  # fmt: skip


@pytest.mark.parametrize("where", WHERE)
def test_each_sample_has_keys_of_its_own(where, jax):
    """The same for the same sample, others for others, and as before afterwards."""
    assert sorted(WHERE) == sorted(kept(jax))
    function, inputs = kept(jax)[where]
    before = float(function(*inputs))
    assert float(function(*inputs)) == before
    numbers = {}
    with FreshKeys(function, inputs) as keys:
        assert keys.count
        for each in (0, 1, 2, 1, 0):
            keys.renew(each)
            numbers.setdefault(each, set()).add(float(function(*inputs)))
    assert [len(each) for each in numbers.values()] == [1, 1, 1]
    assert len(set.union(*numbers.values())) == 3
    assert float(function(*inputs)) == before


def test_a_seed_makes_other_keys(jax):
    """The same for the same seed."""
    normal, inputs = drawn(jax), [jax.random.key(1)]

    def first(seed):
        with FreshKeys(normal, inputs, seed=seed) as keys:
            keys.renew(0)
            return normal(*inputs)

    assert first(3) == first(3)
    assert len({first(None), first(3), first(4)}) == 3


def test_numbers_that_are_no_keys_are_left_alone(jax):
    """Of another type or shape, or of NumPy by another name."""
    numpy = jax.numpy
    inputs = [
        np.array([1, 2], np.uint32), numpy.array([1, 2]), numpy.array([1.0, 2.0]),
        numpy.array([1, 2, 3], numpy.uint32), {"counts": np.array([1, 2], np.uint32)}, 7,
    ]  # fmt: skip
    given = list(inputs)
    with FreshKeys(lambda counts, *others: 0.0, inputs) as keys:
        assert not keys.count
        keys.renew(1)
        assert all(one is other for one, other in zip(inputs, given, strict=True))


def test_an_estimator_with_a_key_is_sampled(jax):
    """It draws a normal number of mean 1; without keys of its own all samples are the same."""
    normal, inputs = drawn(jax), [jax.random.key(0)]

    def estimate(key):
        return np.array([1.0 + normal(key), 1.0])

    options = {"draws": 3000, "alpha": 1e-6, "rarest": 0.05}
    known = {"gradient": np.ones(2)}
    keys = FreshKeys(estimate, inputs)
    found = sample(lambda: estimate(*inputs), known, keys=keys, **options)
    assert not found.test.rejected
    assert found.test.bets > 0
    # A standard error of the variance of 3,000 normal numbers is 0.026; beyond 0.2 is 2 in 10^13.
    assert found.variance["gradient"][0] == pytest.approx(1.0, rel=0.2)
    assert "folded with the number of each sample" in found.notes[0]
    with pytest.raises(RepeatedSamples, match=r"all \d+ samples are equal"):
        sample(lambda: estimate(*inputs), known, **options)


def test_a_key_that_is_made_of_a_counter_gives_no_verdict(jax):
    """The counter is put back before each sample."""

    class Counting:
        def __init__(self):
            self.step = 0

        def estimate(self, key):
            made = jax.random.key(self.step)
            self.step += 1
            coin = jax.random.bernoulli(made)
            return np.array([coin + 0.1 * jax.random.normal(key)])

    inputs = (jax.random.key(1),)
    with pytest.raises(RepeatedSamples, match="a key of JAX is made from the same seed"):
        check_estimator(Counting().estimate, inputs, exact=np.full(1, 0.5), draws=30_000)
