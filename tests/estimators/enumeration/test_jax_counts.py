"""JAX's counts and masks: laws as SciPy has them, samples as JAX draws them, and REINFORCE."""

import math

import numpy as np
import pytest
from scipy import stats

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import paths

pytestmark = pytest.mark.libraries

#: Ratios on some hundred places, against SciPy's logarithms of gamma functions.
ROUNDING = 1e-11

#: A share of samples is farther off than so many deviations once in 10^9 comparisons.
DEVIATIONS, SAMPLES = 6.0, 4000


@pytest.fixture
def jax(library):
    """In double precision."""
    module = library("jax")
    with module.enable_x64(True) if hasattr(module, "enable_x64") else x64(module):
        yield module


def x64(module):
    """The same in older versions."""
    from jax.experimental import enable_x64

    return enable_x64()


def law(code):
    """The probability of each value, as a tuple."""
    found = {}
    with Handling(code) as handling:
        for path in paths(code, handling.perform):
            value = tuple(np.asarray(path.value).reshape(-1).tolist())
            found[value] = found.get(value, 0.0) + path.probability
    return found


#: A sampler, its arguments after the key, and SciPy's law.
NUMBERS = {
    "poisson": ((1.7,), stats.poisson(1.7)),
    "geometric": ((0.6,), stats.geom(0.6)),
    "binomial": ((4.0, 0.3), stats.binom(4, 0.3)),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("compiled", [True, False], ids=["jit", "plain"])
def test_numbers_have_the_law_that_scipy_has(jax, name, compiled):
    """And JAX draws them as often, of the same shape and type."""
    args, known = NUMBERS[name]
    sampler = getattr(jax.random, name)
    draw = lambda: sampler(jax.random.key(0), *args)  # noqa: E731
    found = law(jax.jit(draw) if compiled else draw)
    for (value,), probability in found.items():
        assert probability == pytest.approx(known.pmf(value), rel=ROUNDING)
    real = sampler(jax.random.key(1), *args, shape=(SAMPLES,))
    with Handling() as handling:
        several = lambda: sampler(jax.random.key(0), *args, shape=(2,))  # noqa: E731
        value = next(iter(paths(several, handling.perform))).value
    assert (value.shape, value.dtype) == ((2,), real.dtype)
    drawn = np.asarray(real).tolist()
    assert {(each,) for each in drawn} <= set(found)
    for (value,), probability in found.items():
        # Of rare ones none, or one or two: their shares are no normal numbers.
        deviation = math.sqrt(probability * (1.0 - probability) / SAMPLES) + 1.0 / SAMPLES
        assert abs(drawn.count(value) / SAMPLES - probability) <= DEVIATIONS * deviation


def test_arguments_are_jax_s(jax):
    """Rates of several numbers, a type, and what JAX returns for what is no rate."""
    rates = jax.numpy.array([0.01, 0.0])
    draw = lambda **given: jax.random.poisson(jax.random.key(0), rates, **given)  # noqa: E731
    assert {value[1] for value in law(draw)} == {0}
    whole = law(lambda: draw(shape=(1, 2), dtype=np.int32))
    assert whole == pytest.approx(law(draw), rel=ROUNDING)
    with pytest.raises(ValueError, match="cannot be broadcast"):
        law(lambda: draw(shape=(3,)))
    assert law(lambda: jax.random.poisson(jax.random.key(0), -1.0)) == {(-1,): 1.0}
    with pytest.raises(ValueError, match=r"draws with probability 0\.0"):
        law(lambda: jax.random.geometric(jax.random.key(0), 0.0))


@pytest.mark.parametrize("compiled", [True, False], ids=["jit", "plain"])
def test_reinforce_is_the_derivative_of_the_closed_form(jax, compiled):
    """Of a Poisson and a geometric number; and wrong twins are refuted."""

    def gradient(name, factor=1.0, shift=0.0):
        def surrogate(parameter):
            z = getattr(jax.random, name)(jax.random.key(0), parameter).astype(float) + shift
            cost = jax.lax.stop_gradient(z**2)
            q, law = factor * parameter, getattr(jax.scipy.stats, name_of[name])
            return cost * law.logpmf(z - shift, q)

        found = jax.grad(surrogate)
        return jax.jit(found) if compiled else found

    name_of = {"poisson": "poisson", "geometric": "geom"}
    for name, value, exact in (
        ("poisson", 1.3, 2.0 * 1.3 + 1.0),
        ("geometric", 0.6, -4.0 / 0.6**3 + 1.0 / 0.6**2),  # of 2 / p² - 1 / p
    ):
        inputs = [jax.numpy.float64(value)]
        assert check_estimator(gradient(name), inputs, exact=exact).verdict == HOLDS
        for twin in ({"factor": 1.02}, {"shift": 1.0}):
            report = check_estimator(gradient(name, **twin), inputs, exact=exact)
            assert report.verdict == REFUTED


def test_dropout_by_a_mask_of_coins(jax):
    """As the layers of JAX's libraries do it, against the closed form; unscaled, it is refuted."""
    p, inputs = 0.3, jax.numpy.array([1.0, 2.0, -1.0])

    def estimate(weight, scaled=True):
        def cost(weight):
            kept = jax.random.bernoulli(jax.random.key(0), 1.0 - p, weight.shape)
            hidden = jax.numpy.where(kept, weight * inputs, 0.0)
            return (hidden / (1.0 - p if scaled else 1.0)).sum() ** 2

        return jax.grad(cost)(weight)

    weight = jax.numpy.array([0.4, -0.7, 1.2])
    exact = 2.0 * inputs * (weight @ inputs) + 2.0 * p / (1.0 - p) * inputs**2 * weight
    report = check_estimator(estimate, [weight], exact=exact)
    assert (report.verdict, report.paths) == (HOLDS, 8)
    wrong = lambda weight: estimate(weight, scaled=False)  # noqa: E731
    assert check_estimator(wrong, [weight], exact=exact).verdict == REFUTED


def test_dropout_of_flax(jax, library):
    """Its layer draws by jax.random.bernoulli."""
    linen = library("flax.linen")
    layer, inputs = linen.Dropout(0.5, deterministic=False), jax.numpy.array([1.0, 2.0])
    found = law(lambda: layer.apply({}, inputs, rngs={"dropout": jax.random.key(0)}))
    assert found == {(a, b): 0.25 for a in (0.0, 2.0) for b in (0.0, 4.0)}
