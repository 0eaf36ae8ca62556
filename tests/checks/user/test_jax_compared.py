"""Estimators in JAX that only compare continuous numbers: verdicts, and what is refused."""

import functools
import math

import numpy as np
import pytest

from gradproof import UnsupportedDraw, check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import Run

pytestmark = pytest.mark.libraries

COSTS = np.array([1.0, 3.0, 2.0])
LOGITS = np.array([0.3, -0.2, 0.5])


@pytest.fixture(autouse=True)
def jax(library):
    """JAX."""
    return library("jax")


def samplers(jax):
    """Code that draws one of three, by name."""
    numpy, random, key = jax.numpy, jax.random, jax.random.key(0)

    def by_tempered_sigmoid(logits):
        """First whether it is the first, then which of the others."""
        shifted = logits[:2] - numpy.stack([jax.nn.logsumexp(logits[1:]), logits[2]])
        noise = random.logistic(key, (2,))
        first, second = jax.nn.sigmoid((shifted + noise) / 0.5) > 0.5
        return numpy.where(first, 0, numpy.where(second, 1, 2))

    def by_the_top(logits):
        """The race, by who is first of all."""
        times = random.exponential(key, (3,)) * numpy.exp(-logits)
        return jax.lax.top_k(-times, 1)[1][0]

    return {
        "gumbel": lambda logits: numpy.argmax(logits + random.gumbel(key, (3,))),
        "race": lambda logits: numpy.argmin(random.exponential(key, (3,)) / jax.nn.softmax(logits)),
        "inverse": lambda logits: numpy.searchsorted(
            numpy.cumsum(jax.nn.softmax(logits))[:-1], random.uniform(key)
        ),
        "counted": lambda logits: (
            random.uniform(key) > numpy.cumsum(jax.nn.softmax(logits))[:-1]
        ).sum(),
        "sigmoid": by_tempered_sigmoid,
        "top": by_the_top,
    }  # fmt: skip


NAMES = ("gumbel", "race", "inverse", "counted", "sigmoid", "top")


def surrogate(jax, sample):
    """The cost of what is drawn, weighed by its logarithmic probability."""

    def weighed(logits):
        y = sample(logits)
        return jax.numpy.asarray(COSTS)[y] * jax.nn.log_softmax(logits)[y]

    return weighed


@pytest.mark.parametrize("name", NAMES)
def test_who_samples_by_comparisons_holds_and_who_is_too_hot_is_refuted(jax, name):
    """With thresholds that are differentiated through, compiled or not."""
    assert tuple(samplers(jax)) == NAMES
    sample = samplers(jax)[name]
    logits = jax.numpy.asarray(LOGITS)
    exact = jax.grad(lambda logits: jax.nn.softmax(logits) @ jax.numpy.asarray(COSTS))
    for wrap in (lambda code: code, jax.jit):
        report = check_estimator(wrap(jax.grad(surrogate(jax, sample))), [logits], exact=exact)
        assert (report.verdict, report.paths) == (HOLDS, 4 if name == "sigmoid" else 3)
    wrong = jax.jit(jax.grad(surrogate(jax, lambda logits: sample(1.1 * logits))))
    assert check_estimator(wrong, [logits], exact=exact).verdict == REFUTED


def test_derivatives_that_nobody_needs(jax):
    """Forwards, all derivatives are computed as the code runs, of the numbers themselves too."""
    logits = jax.numpy.asarray(LOGITS)
    exact = jax.grad(lambda logits: jax.nn.softmax(logits) @ jax.numpy.asarray(COSTS))
    for name in ("sigmoid", "race"):
        forwards = jax.jacfwd(surrogate(jax, samplers(jax)[name]))
        assert check_estimator(forwards, [logits], exact=exact).verdict == HOLDS


def test_a_straight_through_estimator_is_refuted(jax):
    """Its value is that of a comparison, and its derivative another one's."""
    key, theta = jax.random.key(0), jax.numpy.asarray([0.3])

    def through(theta):
        p = jax.nn.sigmoid(theta)
        hard = (jax.random.uniform(key, (1,)) < p).astype(p.dtype)
        return ((p + jax.lax.stop_gradient(hard - p) - 0.3) ** 2).sum()

    def mean(theta):
        p = jax.nn.sigmoid(theta[0])
        return p * 0.49 + (1.0 - p) * 0.09

    report = check_estimator(jax.grad(through), [theta], exact=jax.grad(mean))
    assert (report.verdict, report.paths) == (REFUTED, 2)


def uses(jax):
    """What needs the numbers themselves, by name: code, and what the refusal says."""
    numpy, random, lax, key = jax.numpy, jax.random, jax.lax, jax.random.key(0)

    def number():
        return random.uniform(key)

    def callback(u):
        return jax.pure_callback(
            lambda u: np.float32(u < 0.5), jax.ShapeDtypeStruct((), np.float32), u
        )

    return {
        "itself": (number, "by array"),
        "a product": (lambda: 2.0 * number(), "by array"),
        "a sine": (lambda: numpy.sin(number()), "by jax.lax.sin"),
        "a square": (lambda: random.normal(key) ** 2, "by jax.lax.integer_pow"),
        "a sine, compared": (lambda: numpy.sin(number()) < 0.5, "by jax.lax.sin"),
        "a sum of two": (lambda: random.uniform(key, (2,)).sum() < 0.5, "by jax.lax.reduce_sum"),
        "a softmax": (lambda: jax.nn.softmax(random.gumbel(key, (2,))), "by jax.lax."),
        "equality": (lambda: number() == 0.5, "by jax.lax.eq"),
        "rounding": (lambda: numpy.round(2.0 * number()), "by jax.lax.round"),
        "Python's number": (lambda: float(number()), "by float"),
        "Python's truth": (lambda: 1.0 if number() else 0.0, "by bool"),
        "a list": (lambda: number().tolist(), "by tolist"),
        "NumPy": (lambda: np.sin(number()), "by array"),
        "put into an array": (
            lambda: numpy.zeros(2).at[0].set(number()) < 0.5, "by jax.lax.scatter",
        ),
        "beside a known one": (
            lambda: numpy.stack([number(), numpy.zeros(())]) < 0.5, "by jax.lax.",
        ),
        "beyond the end": (
            lambda: numpy.take(random.uniform(key, (2,)), 5) < 0.5, "by jax.lax.gather",
        ),
        "a callback": (lambda: callback(number()), "by jax.pure_callback"),
        "of a loop": (
            lambda: lax.scan(lambda c, k: (c + random.uniform(k), None), 0.0, key[None])[0],
            "by array",
        ),
        "reparametrized": (
            lambda: jax.grad(lambda x: (x * random.normal(key) - 1.0) ** 2)(0.5), "by jax.lax.",
        ),
        "compared again": (
            lambda: (lambda u: u.argmax() + (u < 0.5).sum())(random.uniform(key, (2,))),
            "compared again after it was compared with others",
        ),
        "too rare": (lambda: number() < 1e-9, "hardly ever comes to"),
    }  # fmt: skip


USES = [
    "itself", "a product", "a sine", "a square", "a sine, compared", "a sum of two", "a softmax",
    "equality", "rounding", "Python's number", "Python's truth", "a list", "NumPy",
    "put into an array", "beside a known one", "beyond the end", "a callback", "of a loop",
    "reparametrized", "compared again", "too rare",
]  # fmt: skip

#: Those that Python does, which JAX itself refuses in code that it compiles.
IN_PYTHON = ("Python's number", "Python's truth", "a list", "NumPy")


@pytest.mark.parametrize("name", USES)
def test_what_needs_the_numbers_is_refused_by_its_name(jax, name):
    """Compiled or not."""
    assert list(uses(jax)) == USES
    code, why = uses(jax)[name]
    for wrap in (lambda code: code,) if name in IN_PYTHON else (lambda code: code, jax.jit):
        with pytest.raises(
            UnsupportedDraw, match=r"^jax\.random\.\w+\(\) is used other"
        ) as refused:
            check_estimator(lambda: np.asarray(wrap(code)(), float), [], exact=0.5)  # noqa: B023
        assert why in str(refused.value)


def test_a_refusal_that_is_caught_is_one(jax):
    """By code that goes on with something else."""

    def estimate():
        try:
            return float(jax.random.uniform(jax.random.key(0)))
        except Exception:  # noqa: BLE001 - as some code does
            return 0.5

    with pytest.raises(UnsupportedDraw, match=r"jax\.random\.uniform"):
        check_estimator(estimate, [], exact=0.5)


def test_one_key_draws_the_same_numbers(jax):
    """Again by the same sampler, and by no other, whichever comes first."""
    key = jax.random.key(0)
    coin, number = (getattr(jax.random, name) for name in ("bernoulli", "uniform"))

    def twice():
        return 1.0 * (number(key) < 0.5) * (number(key) < 0.25)

    report = check_estimator(twice, [], exact=0.25)
    assert (report.verdict, report.paths) == (HOLDS, 3)
    others = [
        lambda: 1.0 * (number(key) < 0.5) * coin(key),
        lambda: 1.0 * coin(key) * (number(key) < 0.5),
        lambda: 1.0 * (number(key) < 0.5) * (number(key, (2,)) < 0.5).all(),
        lambda: 1.0 * (number(key) < 0.5) * (jax.random.normal(key) < 0.0),
    ]
    for code in others:
        for wrap in (code, jax.jit(code)):
            with pytest.raises(UnsupportedDraw, match="split the key"):
                check_estimator(wrap, [], exact=0.25)


def test_numbers_of_a_run_that_has_ended(jax):
    """They are no draws of the next run."""
    kept, key = [], jax.random.key(0)
    uniform = functools.partial(jax.random.uniform, key)
    gumbel = functools.partial(jax.random.gumbel, key, (2,))
    uses = [(uniform, lambda: kept[0] < 0.5), (gumbel, lambda: kept[0].argmax())]
    for draw, use in uses:
        kept.clear()
        with Handling(draw) as handling:
            handling.perform(lambda: kept.append(draw()), Run())  # noqa: B023 - done at once
            with pytest.raises(UnsupportedDraw, match="after it has ended"):
                handling.perform(use, Run())


def test_what_is_integrated_is_as_before(jax):
    """Where numbers are integrated they are nodes at once, compiled before or after."""
    key, theta = jax.random.key(0), jax.numpy.asarray([0.3])

    @jax.jit
    def squared(theta):
        return ((theta + jax.random.normal(key, (1,))) ** 2).sum()

    @jax.jit
    def compared(theta):
        return (theta * (jax.random.uniform(key, (1,)) < 0.5)).sum()

    for _ in range(2):
        report = check_estimator(jax.grad(squared), [theta], exact=2.0 * theta, integrate=1e-6)
        assert report.verdict == HOLDS
        report = check_estimator(jax.grad(compared), [theta], exact=np.array([0.5]))
        assert (report.verdict, report.paths) == (HOLDS, 2)
        with pytest.raises(UnsupportedDraw):
            check_estimator(jax.grad(squared), [theta], exact=2.0 * theta)


def test_single_precision_is_said(jax):
    """The probability is that of the threshold as JAX has it, to its precision."""
    key = jax.random.key(0)
    share = 0.5 * math.erfc(-0.3 / math.sqrt(2.0))
    report = check_estimator(lambda: 1.0 * (jax.random.normal(key) < 0.3), [], exact=share)
    assert report.verdict == HOLDS
    report = check_estimator(lambda: 1.0 * (jax.random.normal(key) < 0.31), [], exact=share)
    assert report.verdict == REFUTED
