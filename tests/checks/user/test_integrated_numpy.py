"""Means over NumPy's, Python's and JAX's continuous draws, where their numbers are used."""

import math
import random

import numpy as np
import pytest
from scipy import special, stats

from gradproof import UnsupportedDraw, check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED

rng, legacy = np.random.default_rng(0), np.random.RandomState(0)

THETA = np.array([0.4])
SHAPE, OTHER = np.array([1.7]), 2.2
M = float(THETA[0])

#: What is wrong is this much too large.
WRONG = 1.01


def verdict(estimate, exact, inputs, **options):
    """Of an estimator, which is integrated."""
    report = check_estimator(estimate, inputs, exact=exact, integrate=1e-6, **options)
    assert report.method == "integrated"
    return report.verdict


def beta_score(x, a):
    """By the first parameter, of the number itself."""
    return x * (np.log(x) - special.digamma(a) + special.digamma(a + OTHER))


def score_of_gamma(x, a):
    """By the shape, of the number's square."""
    return x**2 * (np.log(x) - special.digamma(a))


def path_of_normal(t):
    """By NumPy's own generator, in place of a mean."""
    return 2.0 * (t + rng.normal(size=1))


def score_of_normal(t):
    """Of the number's square."""
    x = rng.normal(t[0], 1.0)
    return np.array([x**2 * (x - t[0])])


def half_of_normal(t):
    """It is compared, and what is left of its law is used."""
    x = t[0] + rng.normal()
    return np.array([x**2 if x > 0.0 else 0.0])


GAMMA, BETA = 2.0 * SHAPE + 1.0, OTHER / (SHAPE + OTHER) ** 2
HALF = np.array([(M**2 + 1.0) * stats.norm.cdf(M) + M * stats.norm.pdf(M)])

#: Estimators, the parameter, and the closed form.
CASES = {
    "normal, score": (score_of_normal, THETA, 2.0 * THETA),
    "normal, path": (path_of_normal, THETA, 2.0 * THETA),
    "normal, compared first": (half_of_normal, THETA, HALF),
    "Python's gauss": (
        lambda t: [2.0 * math.sin(random.gauss(t[0], 1.0))],
        THETA,
        2.0 * np.sin(THETA) * math.exp(-0.5),
    ),
    "lognormal": (
        lambda t: 0.5 * np.sqrt(rng.lognormal(t, 1.0)),
        THETA,
        0.5 * np.exp(THETA / 2.0 + 0.125),
    ),
    "exponential": (lambda t: 2.0 * t * rng.exponential() ** 2, THETA, 4.0 * THETA),
    "gumbel": (lambda t: np.exp(-t * np.exp(-rng.gumbel())), THETA, 1.0 / (1.0 + THETA)),
    "uniform": (lambda t: np.cos(t * rng.random()), THETA, np.sin(THETA) / THETA),
    "laplace": (lambda t: t * rng.laplace(size=1) ** 2, THETA, 2.0 * THETA),
    "gamma": (lambda a: score_of_gamma(rng.gamma(a[0]), a), SHAPE, GAMMA),
    "a RandomState's gamma": (
        lambda a: score_of_gamma(legacy.standard_gamma(a[0]), a),
        SHAPE,
        GAMMA,
    ),
    "Python's gamma": (lambda a: score_of_gamma(random.gammavariate(a[0], 1.0), a), SHAPE, GAMMA),
    "beta": (lambda a: beta_score(rng.beta(a[0], OTHER), a), SHAPE, BETA),
    "Python's beta": (lambda a: beta_score(random.betavariate(a[0], OTHER), a), SHAPE, BETA),
    "chisquare": (lambda a: rng.chisquare(a) ** 2, SHAPE, 2.0 * SHAPE + SHAPE**2),
    "triangular": (
        lambda t: np.exp(t * rng.triangular(0.0, 1.0, 1.5)),
        THETA,
        np.array([stats.triang(2 / 3, 0, 1.5).expect(lambda x: math.exp(M * x))]),
    ),
    "t": (
        lambda t: t / (1.0 + rng.standard_t(5.0) ** 2),
        THETA,
        THETA * stats.t(5.0).expect(lambda x: 1.0 / (1.0 + x**2)),
    ),
    "F": (
        lambda t: t / (1.0 + rng.f(4.0, 6.0)),
        THETA,
        THETA * stats.f(4.0, 6.0).expect(lambda x: 1.0 / (1.0 + x)),
    ),
    "multivariate_normal": (
        lambda t: np.prod(t + rng.multivariate_normal([0.0, 0.0], [[2.0, 0.6], [0.6, 1.0]])),
        THETA,
        THETA**2 + 0.6,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_means_in_closed_form(name):
    """What is 1 % too large is refuted."""
    estimate, at, exact = CASES[name]
    assert verdict(lambda t: [np.reshape(estimate(t), 1)], [exact], [at]) == HOLDS
    assert verdict(lambda t: [WRONG * np.reshape(estimate(t), 1)], [exact], [at]) == REFUTED


@pytest.mark.parametrize(("factor", "wanted"), [(1.0, HOLDS), (WRONG, REFUTED)])
def test_a_mixture_of_discrete_and_continuous(factor, wanted):
    """A number is compared alone, and decides by which mean another is drawn."""
    means = np.array([0.4, -0.3])

    def estimate(t):
        z = int(rng.random() < 0.3)
        x = rng.normal(t[1 - z], 1.0)
        return [factor * x**2 * (x - t[1 - z]) * np.eye(2)[1 - z]]

    exact = [2.0 * means * np.array([0.3, 0.7])]
    assert verdict(estimate, exact, [means]) == wanted


def test_numbers_that_were_used_are_compared_as_they_are():
    """Of an array of which one is used, the others are only compared."""

    def estimate(t):
        u = rng.random(2)
        square = u[0] ** 2
        return [square * (u < 0.5)]

    assert verdict(estimate, [np.array([1 / 24, 1 / 6])], [np.zeros(2)]) == HOLDS


@pytest.mark.parametrize(("factor", "wanted"), [(1.0, HOLDS), (WRONG, REFUTED)])
def test_a_gaussian_policy_by_autograd(factor, wanted):
    """Its path's derivative is that of a mean by 40 Gauss nodes; noise is drawn within."""
    autograd = pytest.importorskip("autograd")
    anp = autograd.numpy
    weights, at = np.array([0.5, -1.0]), np.array([0.4, -0.3])

    def cost(t, noise):
        return anp.sin(anp.tanh(anp.dot(weights, t)) + 0.5 * noise)

    nodes, shares = special.roots_hermitenorm(40)
    exact = sum(
        share * autograd.grad(cost)(at, node) for node, share in zip(nodes, shares, strict=True)
    )
    exact = exact / shares.sum()

    def estimate(t):
        return [factor * autograd.grad(lambda t: anp.sum(cost(t, rng.normal())))(t)]

    assert verdict(estimate, [exact], [at]) == wanted


@pytest.mark.torch
@pytest.mark.parametrize("name", ["tensor", "as_tensor", "from_numpy"])
def test_tensors_of_numpy_numbers(name):
    """PyTorch reads the memory of an array, of which there is one where it is integrated."""
    torch = pytest.importorskip("torch")
    t = torch.tensor([0.4], dtype=torch.float64, requires_grad=True)

    def loss(t):
        return ((t + getattr(torch, name)(rng.normal(size=1))) ** 2).sum()

    assert verdict(loss, [2.0 * t.detach()], [t]) == HOLDS
    assert verdict(lambda t: WRONG * loss(t), [2.0 * t.detach()], [t]) == REFUTED


def writes_to_an_item(x):
    """See the test."""
    x[0] = 1.0


def writes_to_the_memory(x):
    """By a plain array of the same memory, and then reads the first."""
    plain = np.asarray(x)
    plain[0] = 1.0
    float(x[0])


@pytest.mark.parametrize(
    "write",
    [
        writes_to_an_item,
        writes_to_the_memory,
        lambda x: x.sort(),
        lambda x: np.multiply(x, x, out=x),
        lambda x: rng.shuffle(x),
    ],
    ids=["item", "memory", "sort", "out", "shuffle"],
)
def test_what_writes_to_drawn_numbers_is_refused(write):
    """What else is made of them would not see it."""

    def estimate(t):
        x = rng.normal(size=2)
        write(x)
        return [t * np.sin(x)]

    with pytest.raises(UnsupportedDraw, match="written to in place"):
        verdict(estimate, [np.zeros(2)], [np.zeros(2)])


def test_numbers_that_were_put_in_order_are_refused():
    """The law of the largest is not known here."""

    def estimate(t):
        x = t + rng.normal(size=2)
        return [t * x[np.argmax(x)] ** 2]

    with pytest.raises(UnsupportedDraw, match="compared with others"):
        verdict(estimate, [np.zeros(2)], [np.zeros(2)])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: rng.vonmises(0.0, 1.0), "vonmises is an unsupported draw"),
        (lambda: rng.gamma(0.0), "expected finite numbers above zero"),
        (lambda: random.vonmisesvariate(0.0, 1.0), "vonmisesvariate is an unsupported draw"),
    ],
    ids=["vonmises", "gamma of shape zero", "vonmisesvariate"],
)
def test_laws_that_are_left_out(draw, message):
    """By name."""
    with pytest.raises(UnsupportedDraw, match=message):
        verdict(lambda t: [t * draw()], [THETA], [THETA])


def test_numbers_are_refused_where_they_are_not_integrated():
    """And it is said what can be done."""
    with pytest.raises(UnsupportedDraw, match=r"gamma is an unsupported draw.*integrate=1e-6"):
        check_estimator(lambda t: [t * rng.gamma(2.0)], [THETA], exact=[THETA])


@pytest.fixture
def jax():
    """In double precision."""
    found = pytest.importorskip("jax")
    with (
        found.enable_x64(True) if hasattr(found, "enable_x64") else found.experimental.enable_x64()
    ):
        yield found


@pytest.mark.libraries
@pytest.mark.parametrize(("factor", "wanted"), [(1.0, HOLDS), (WRONG, REFUTED)])
@pytest.mark.parametrize("law", ["normal", "uniform", "lognormal", "laplace", "mixture"])
def test_jax(jax, law, factor, wanted):
    """Numbers are drawn by keys, and what is made of them is differentiated by JAX."""
    draw, at = jax.random, jax.numpy.array([0.4])
    losses = {
        "normal": (lambda t, key: (t + draw.normal(key, (1,))) ** 2, 2.0 * at),
        "uniform": (lambda t, key: draw.uniform(key, (1,), maxval=t) ** 2, 2.0 * at / 3.0),
        "lognormal": (lambda t, key: draw.lognormal(key, t), at * np.exp(at**2 / 2.0)),
        "laplace": (lambda t, key: t * draw.laplace(key, (1,)) ** 2, 2.0 + 0.0 * at),
        "mixture": (
            lambda t, key: (
                draw.bernoulli(draw.fold_in(key, 1), 0.3) * (t + draw.normal(key, (1,))) ** 2
            ),
            0.6 * at,
        ),
    }
    loss, exact = losses[law]

    def estimate(t):
        return factor * jax.grad(lambda t: loss(t, draw.key(0)).sum())(t)

    assert verdict(estimate, [exact], [at]) == wanted


@pytest.mark.libraries
def test_jax_numbers_with_derivatives_by_parameters_are_refused(jax):
    """Gamma numbers have some, which would be lost."""

    def estimate(t):
        return jax.grad(lambda t: jax.random.gamma(jax.random.key(0), t).sum())(t)

    at = jax.numpy.array([1.4])
    with pytest.raises(UnsupportedDraw, match=r"jax\.random\.gamma"):
        verdict(estimate, [at], [at])


def test_numbers_that_are_returned_as_they_were_drawn():
    """A product of which one factor alone was needed is not decided before the run ends."""

    def estimate(t):
        a = t + rng.normal(size=1)
        return [(np.sin(a) + 1.0) * (a - t)]

    exact = [np.cos(0.4) * np.exp(-0.5)]
    for factor, verdict in ((1.0, "holds"), (1.02, "refuted")):
        wanted = [factor * each for each in exact]
        report = check_estimator(
            estimate, [np.array([0.4])], exact=wanted, exact_error=0.0, integrate=1e-6
        )
        assert report.verdict == verdict, report.explain()


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "holds"), (1.01, "refuted")])
def test_a_kink_at_the_end_of_a_law_refutes_no_right_estimator(factor, verdict):
    """All nodes lie beyond it: rules agree to the last digit, and are two millionths off."""
    kink = 0.0015

    def estimate(t):
        return [t * np.sqrt((rng.exponential(size=1) - kink) ** 2)]

    exact = [np.array([factor * (2.0 * math.exp(-kink) + kink - 1.0)])]
    report = check_estimator(
        estimate, [np.array([1.0])], exact=exact, exact_error=0.0, integrate=1e-6
    )
    assert report.verdict == verdict, report.explain()
