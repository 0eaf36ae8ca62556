"""Continuous draws of JAX that are only compared: their probabilities."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy import special, stats

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction

pytestmark = pytest.mark.libraries

LOGITS = np.array([0.3, -0.2, 0.5, 0.1])
P = special.softmax(LOGITS)

#: Probabilities of a few roundings; some are integrals, whose rule is refined to as much.
ROUNDING = 1e-12

#: Numbers that are really drawn, and standard deviations: a false alarm once in 1e8 comparisons.
SAMPLES, DEVIATIONS = 20_000, 6.0


@pytest.fixture(autouse=True)
def jax(library):
    """JAX, in double precision."""
    jax = library("jax")
    with jax.enable_x64(True):
        yield jax


def law(jax, code):
    """The probability of each number that code returns."""
    key, found = jax.random.key(0), Counter()
    with Enumeration(UserFunction(lambda: np.asarray(code(key)).item())) as enumeration:
        for path in enumeration.paths():
            found[path.value] += path.probability
    assert sum(found.values()) == pytest.approx(1.0, abs=ROUNDING)
    return found


def compiled(jax, code):
    """A function that is compiled."""
    return jax.jit(code)


def mapped(jax, code):
    """A function that is mapped over one key."""
    return lambda key: jax.vmap(code)(key[None])[0]


def differentiated(jax, code):
    """A function by which something is differentiated, that it has no part in."""

    def run(key):
        def weighed(x):
            result = code(key)
            return x * result, result

        return jax.grad(weighed, has_aux=True)(1.5)[1]

    return run


def rematerialized(jax, code):
    """A function whose steps are done again for a derivative."""
    return lambda key: differentiated(jax, jax.checkpoint(code))(key)


WRAPPERS = [lambda jax, code: code, compiled, mapped, differentiated, rematerialized]

#: Standard normal numbers, in closed form.
PHI = stats.norm.cdf


def counted(jax, *flags):
    """How many are true."""
    return sum(flag.astype(int).sum() for flag in flags)


def comparisons(jax):
    """By name: code that compares, and the probability of each whole number that comes out."""
    numpy, random, lax, n, scipy = jax.numpy, jax.random, jax.lax, jax.nn, jax.scipy
    sums = np.cumsum(P)[:-1]
    softplus = np.log1p(np.exp(0.4))
    return {
        "below": (lambda key: random.uniform(key) < 0.3, [0.7, 0.3]),
        "at most": (lambda key: random.uniform(key) <= 0.3, [0.7, 0.3]),
        "a bound below": (lambda key: numpy.greater(0.3, random.uniform(key)), [0.7, 0.3]),
        "above": (lambda key: random.uniform(key) > 0.3, [0.3, 0.7]),
        "not decided twice": (
            lambda key: (lambda u: (u < 0.3).astype(int) + (u < 0.6))(random.uniform(key)),
            [0.4, 0.3, 0.3],
        ),
        "of a shape": (
            lambda key: counted(jax, random.uniform(key, (2, 2)) < numpy.array([0.5, 0.25])),
            np.convolve(*(np.convolve([1 - p, p], [1 - p, p]) for p in (0.5, 0.25))),
        ),
        "between others": (
            lambda key: random.uniform(key, minval=-1.0, maxval=3.0) < 0.0, [0.75, 0.25],
        ),
        "from": (lambda key: 1.0 - random.uniform(key) < 0.3, [0.7, 0.3]),
        "where": (
            lambda key: numpy.where(random.uniform(key) < 0.3, 2, numpy.where(True, 1, 0)),
            [0.0, 0.7, 0.3],
        ),
        "select a drawn one": (
            lambda key: (lambda u: numpy.where(u < 0.5, u, 1.0 - u) < 0.2)(random.uniform(key)),
            [0.6, 0.4],
        ),
        "select a known one": (
            lambda key: counted(
                jax, numpy.where(np.array([True, False]), random.uniform(key, (2,)), 0.1) < 0.3
            ),
            [0.0, 0.7, 0.3],
        ),
        "floor": (lambda key: numpy.floor(random.uniform(key) * 4), [0.25] * 4),
        "to whole": (lambda key: (random.uniform(key) * 4).astype(int), [0.25] * 4),
        "to Python's": (lambda key: int(random.uniform(key) * 4), [0.25] * 4),
        "searchsorted": (
            lambda key: numpy.searchsorted(
                numpy.cumsum(n.softmax(LOGITS))[:-1], random.uniform(key)
            ),
            P,
        ),
        "searchsorted, right": (
            lambda key: numpy.searchsorted(sums, random.uniform(key), side="right"), P,
        ),
        "searchsorted, all at once": (
            lambda key: numpy.searchsorted(sums, random.uniform(key), method="compare_all"), P,
        ),
        "digitize": (lambda key: numpy.digitize(random.uniform(key), sums), P),
        "counted": (lambda key: (random.uniform(key) > sums).sum(), P),
        "first": (
            lambda key: numpy.argmax(random.uniform(key) < np.array([*sums, 2.0])), P,
        ),
        "taken": (
            lambda key: counted(jax, numpy.take(random.uniform(key, (3,)), np.array([2, 0])) < 0.3),
            binomial(2, 0.3),
        ),
        "taken along": (
            lambda key: counted(
                jax,
                numpy.take_along_axis(random.uniform(key, (2, 3)), np.array([[2], [0]]), 1) < 0.3,
            ),
            binomial(2, 0.3),
        ),
        "gumbel": (lambda key: numpy.argmax(LOGITS + random.gumbel(key, (4,))), P),
        "gumbel, written out": (
            lambda key: numpy.argmax(
                LOGITS - numpy.log(-numpy.log(random.uniform(key, (4,), minval=1e-300)))
            ),
            P,
        ),
        "race": (lambda key: numpy.argmin(random.exponential(key, (4,)) / n.softmax(LOGITS)), P),
        "race, the other way": (
            lambda key: numpy.argmax(n.softmax(LOGITS) / random.exponential(key, (4,))), P,
        ),
        "with a mask": (
            lambda key: numpy.argmax(
                numpy.where(np.arange(4) == 1, -numpy.inf, LOGITS + random.gumbel(key, (4,)))
            ),
            np.where(np.arange(4) == 1, 0.0, P) / (1.0 - P[1]),
        ),
        "second": (
            lambda key: lax.top_k(LOGITS[:3] + random.gumbel(key, (3,)), 2)[1][1], second(P[:3]),
        ),
        "sorted": (
            lambda key: numpy.argsort(-(LOGITS[:3] + random.gumbel(key, (3,))))[1], second(P[:3]),
        ),
        "largest": (lambda key: random.uniform(key, (3,)).argmax(), [1 / 3] * 3),
        "largest, and which": (
            lambda key: (lambda x: (x.max(), x.argmax())[1])(random.exponential(key, (3,))),
            [1 / 3] * 3,
        ),
        "normal": (lambda key: random.normal(key) < 0.4, [1 - PHI(0.4), PHI(0.4)]),
        "probit": (
            lambda key: 0.4 + 2.0 * random.normal(key) > 0.0, [1 - PHI(0.2), PHI(0.2)],
        ),
        "normal share": (
            lambda key: scipy.special.erf(random.normal(key) / math.sqrt(2.0)) < 0.2, [0.4, 0.6],
        ),
        "normal quantile": (
            lambda key: scipy.special.erfinv(random.uniform(key, minval=-1.0)) < math.sqrt(0.08),
            [1 - PHI(0.4), PHI(0.4)],
        ),
        "truncated normal": (
            lambda key: random.truncated_normal(key, -1.0, 2.0) < 0.4,
            both((PHI(0.4) - PHI(-1.0)) / (PHI(2.0) - PHI(-1.0))),
        ),
        "logistic": (
            lambda key: 0.4 + random.logistic(key) > 0.0, both(special.expit(0.4)),
        ),
        "logit": (
            lambda key: (lambda u: 0.4 + numpy.log(u) - numpy.log1p(-u) > 0.0)(random.uniform(key)),
            both(special.expit(0.4)),
        ),
        "sigmoid": (lambda key: n.sigmoid(random.logistic(key)) < 0.3, both(0.3)),
        "laplace": (lambda key: random.laplace(key) < 0.4, both(stats.laplace.cdf(0.4))),
        "cauchy": (lambda key: random.cauchy(key) < 0.4, both(stats.cauchy.cdf(0.4))),
        "exponential": (lambda key: random.exponential(key) < 0.4, both(-math.expm1(-0.4))),
        "lognormal": (lambda key: random.lognormal(key) < 1.5, both(PHI(math.log(1.5)))),
        "pareto": (lambda key: random.pareto(key, 2.0) < 1.5, both(1.0 - 1.5**-2.0)),
        "rayleigh": (lambda key: random.rayleigh(key, 1.0) < 1.5, both(-math.expm1(-1.125))),
        "weibull": (
            lambda key: random.weibull_min(key, 1.0, 2.0) < 0.7, both(-math.expm1(-0.49)),
        ),
        "softplus": (
            lambda key: numpy.log1p(numpy.exp(random.normal(key))) < softplus, both(PHI(0.4)),
        ),
        "power": (lambda key: random.uniform(key) ** 2 < 0.25, both(0.5)),
        "root": (lambda key: lax.rsqrt(random.uniform(key)) > 2.0, both(0.25)),
        "absolute": (
            lambda key: abs(random.normal(key)) < 0.4, both(2.0 * PHI(0.4) - 1.0),
        ),
        "clipped": (
            lambda key: numpy.clip(random.normal(key), -0.2, 0.5) >= 0.5, both(1.0 - PHI(0.5)),
        ),
        "clamped": (
            lambda key: lax.clamp(-0.2, random.normal(key), 0.5) <= -0.2, both(PHI(-0.2)),
        ),
        "sign": (lambda key: numpy.sign(random.normal(key) - 0.4) > 0.0, both(1.0 - PHI(0.4))),
        "two of one law": (
            lambda key: random.uniform(key, (2,))[0] < random.uniform(key, (2,))[1], [0.5, 0.5],
        ),
        "of two keys": (
            lambda key: numpy.less(*map(random.exponential, random.split(key))), [0.5, 0.5],
        ),
        "scan": (lambda key: walk(jax, key)[0], binomial(3, 0.3)),
        "scan, backwards": (lambda key: walk(jax, key, reverse=True)[0], binomial(3, 0.3)),
        "loop": (
            lambda key: lax.fori_loop(
                0, 3, lambda i, k: k + (random.uniform(random.fold_in(key, i)) < 0.3), 0
            ),
            binomial(3, 0.3),
        ),
        "while": (
            lambda key: lax.while_loop(
                lambda s: (s < 3) & (random.uniform(random.fold_in(key, s)) < 0.5),
                lambda s: s + 1, 0,
            ),
            [0.5, 0.25, 0.125, 0.125],
        ),
        "branch": (
            lambda key: lax.cond(
                random.uniform(key) < 0.3,
                lambda: (random.uniform(random.fold_in(key, 1)) < 0.5).astype(int),
                lambda: 2,
            ),
            [0.15, 0.15, 0.7],
        ),
        "a number from outside of a compiled function": (
            lambda key: (lambda u: jax.jit(lambda p: u < p)(0.3))(random.uniform(key)), both(0.3),
        ),
        "given to a compiled function": (
            lambda key: jax.jit(lambda u, p: u < p)(random.uniform(key), 0.3), both(0.3),
        ),
        "mapped over numbers": (
            lambda key: counted(jax, jax.vmap(lambda u: u < 0.3)(random.uniform(key, (3,)))),
            binomial(3, 0.3),
        ),
        "mapped over keys": (
            lambda key: counted(
                jax, jax.vmap(lambda key: random.uniform(key) < 0.3)(random.split(key, 3))
            ),
            binomial(3, 0.3),
        ),
        "mapped over bounds": (
            lambda key: jax.vmap(lambda p: random.uniform(key) < p)(numpy.array([0.3, 0.6])).sum(),
            [0.4, 0.3, 0.3],
        ),
        "beside a discrete draw": (
            lambda key: random.bernoulli(key, 0.25).astype(int)
            + (random.uniform(random.fold_in(key, 1)) < 0.3),
            np.convolve([0.75, 0.25], [0.7, 0.3]),
        ),
    }  # fmt: skip


def both(p):
    """Of a coin."""
    return [1.0 - p, p]


def binomial(count, p):
    """Probabilities of a number of successes."""
    return stats.binom.pmf(np.arange(count + 1), count, p)


def second(weights):
    """Which is drawn second without replacement (Plackett 1975)."""
    p = weights / weights.sum()
    return [sum(p[i] * p[j] / (1.0 - p[i]) for i in range(len(p)) if i != j) for j in range(len(p))]


def walk(jax, key, reverse=False):
    """How many of three numbers are below a bound, in a loop that keeps each of them."""

    def body(count, key):
        u = jax.random.uniform(key)
        return count + (u < 0.3), u

    return jax.lax.scan(body, 0, jax.random.split(key, 3), reverse=reverse)


NAMES = [
    "below", "at most", "a bound below", "above", "not decided twice", "of a shape",
    "between others", "from", "where", "select a drawn one", "select a known one", "floor",
    "to whole", "to Python's", "searchsorted", "searchsorted, right", "searchsorted, all at once",
    "digitize", "counted", "first", "taken", "taken along",
    "gumbel", "gumbel, written out", "race", "race, the other way",
    "with a mask", "second", "sorted", "largest", "largest, and which", "normal", "probit",
    "normal share", "normal quantile", "truncated normal", "logistic", "logit", "sigmoid",
    "laplace", "cauchy", "exponential", "lognormal", "pareto", "rayleigh", "weibull", "softplus",
    "power", "root", "absolute", "clipped", "clamped", "sign", "two of one law", "of two keys",
    "scan", "scan, backwards", "loop", "while", "branch",
    "a number from outside of a compiled function",
    "given to a compiled function", "mapped over numbers", "mapped over keys",
    "mapped over bounds", "beside a discrete draw",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_law_is_the_one_in_closed_form(jax, name):
    """To rounding, however the code is run."""
    code, known = comparisons(jax)[name]
    for wrap in WRAPPERS:
        if name == "to Python's" and wrap is not WRAPPERS[0]:
            continue  # which JAX itself refuses where it traces
        found = law(jax, wrap(jax, code))
        for outcome, probability in enumerate(known):
            assert found.pop(outcome, 0.0) == pytest.approx(probability, abs=ROUNDING), wrap
        assert not found


@pytest.mark.parametrize("name", NAMES)
def test_the_law_is_the_one_that_is_drawn_by(jax, name):
    """By JAX's own numbers."""
    code, known = comparisons(jax)[name]
    keys = jax.random.split(jax.random.key(3), SAMPLES)
    if name == "to Python's":
        drawn = [code(key) for key in keys[:200]]
    else:
        drawn = np.asarray(jax.vmap(code)(keys)).astype(int)
    seen = np.bincount(drawn, minlength=len(known)) / len(drawn)
    known = np.array(known)
    assert (abs(seen - known) <= DEVIATIONS * np.sqrt(known * (1.0 - known) / len(drawn))).all()


def test_each_comparison_is_tested(jax):
    """None was forgotten."""
    assert list(comparisons(jax)) == NAMES
