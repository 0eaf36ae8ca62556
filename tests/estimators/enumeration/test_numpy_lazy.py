"""Continuous draws of NumPy and Python that are only compared: their probabilities."""

import bisect
import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

from gradproof import check_estimator
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction

#: Points of a uniform number, of which a monotone function lies on one side of a bound for as many
#: as its probability says, but for one.
POINTS = 4000
GRID = (np.arange(POINTS) + 0.5) / POINTS

COSTS = np.array([1.0, 3.0, 2.0, 5.0])
LOGITS = np.array([0.3, -0.2, 0.5, 0.1])

#: Probabilities of a few roundings.
ROUNDING = 1e-13

#: Numbers that are really drawn, and standard deviations: a false alarm once in 1e8 comparisons.
SAMPLES, DEVIATIONS = 200_000, 6.0

GENERATOR, LEGACY = np.random.default_rng(), np.random.RandomState()


def law(code):
    """The probability of each thing that code returns."""
    found = Counter()
    with Enumeration(UserFunction(code)) as enumeration:
        for path in enumeration.paths():
            found[path.value] += path.probability
    assert sum(found.values()) == pytest.approx(1.0, abs=ROUNDING)
    return found


def softmax(logits):
    """In NumPy."""
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def numbers(low, high):
    """Such as a user writes."""
    return st.floats(low, high, allow_nan=False).map(lambda x: round(x, 3))


nonzero = numbers(-3.0, 3.0).filter(lambda x: abs(x) > 0.01)

#: Functions of a number, by name, each made of one of a user's.
FUNCTIONS = {
    "plus": lambda a: lambda x: x + a,
    "from": lambda a: lambda x: a - x,
    "minus array": lambda a: lambda x: x - np.array(a),
    "times": lambda a: lambda x: x * a,
    "times array": lambda a: lambda x: np.array(a) * x,
    "over": lambda a: lambda x: x / a,
    "negative": lambda a: lambda x: -x,
    "exp": lambda a: lambda x: np.exp(x),
    "expm1": lambda a: lambda x: np.expm1(x),
    "exp2": lambda a: lambda x: np.exp2(x),
    "expit": lambda a: lambda x: special.expit(x),
    "ndtr": lambda a: lambda x: special.ndtr(x),
    "tanh": lambda a: lambda x: np.tanh(x),
    "log_expit": lambda a: lambda x: special.log_expit(x),
    "maximum": lambda a: lambda x: np.maximum(x, a),
    "minimum": lambda a: lambda x: np.minimum(a, x),
    "clip": lambda a: lambda x: np.clip(x, a, a + 2.0),
    "twice": lambda a: lambda x: x + x,
}

#: What comes first, of numbers between 0 and 1.
FIRST = {
    "number": lambda u: u,
    "log": lambda u: np.log(u),
    "exponential": lambda u: -np.log(u),
    "Gumbel": lambda u: -np.log(-np.log(u)),
    "log1p": lambda u: -np.log1p(-u),
    "logit": lambda u: special.logit(u),
    "logistic": lambda u: np.log(u) - np.log(1 - u),
    "square root": lambda u: np.sqrt(u),
    "square": lambda u: np.square(u),
    "power": lambda u: u**0.3,
    "base": lambda u: 2.0**u,
    "reciprocal": lambda u: 1.0 / u,
    "normal": lambda u: special.ndtri(u),
    "log10": lambda u: np.log10(u),
    "size": lambda u: abs(u - 1.0),
}

COMPARISONS = {
    "<": lambda x, c: x < c,
    ">": lambda x, c: x > c,
    "<= turned": lambda x, c: c >= x,
    "> turned": lambda x, c: np.float64(c) < x,
    "array": lambda x, c: np.less_equal(x, np.array(c)),
}

#: How a uniform number is drawn.
DRAWS = {
    "Generator": lambda: GENERATOR.random(),
    "entry": lambda: GENERATOR.random(2)[1],
    "array": lambda: LEGACY.rand(2)[1:],
    "module": lambda: np.random.uniform(),  # noqa: NPY002 - as people draw
    "Python": lambda: random.random(),
}


@given(
    st.sampled_from(sorted(DRAWS)),
    st.sampled_from(sorted(FIRST)),
    st.lists(st.tuples(st.sampled_from(sorted(FUNCTIONS)), nonzero), max_size=4),
    st.sampled_from(sorted(COMPARISONS)),
    # No value that a function comes to by rounding alone, as a sigmoid to 0 and to 1.
    numbers(-4.0, 4.0).map(lambda x: x + 3.14159e-4),
)
def test_a_comparison_has_the_probability_that_numbers_have(draw, first, steps, comparison, bound):
    """Whatever monotone functions a number goes through: counted on a grid of it."""

    def value(u):
        x = FIRST[first](u)
        for name, a in steps:
            x = FUNCTIONS[name](a)(x)
        return x

    with np.errstate(all="ignore"):
        values = value(GRID)
    assume(np.isfinite(values).all())  # what overflows is refused
    found = law(lambda: bool(COMPARISONS[comparison](value(DRAWS[draw]()), bound)))
    counted = COMPARISONS[comparison](values, bound).mean()
    # A point of the grid that lies on the edge itself may fall to either side.
    assert found[True] == pytest.approx(counted, abs=1.5 / POINTS)


#: Laws by NumPy's names for them: parameters, and SciPy's distribution function.
LAWS = {
    "uniform": ((-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    "normal": ((0.5, 2.0), stats.norm(0.5, 2.0)),
    "standard_normal": ((), stats.norm()),
    "lognormal": ((0.5, 0.7), stats.lognorm(0.7, scale=math.exp(0.5))),
    "exponential": ((2.0,), stats.expon(scale=2.0)),
    "standard_exponential": ((), stats.expon()),
    "gumbel": ((0.5, 2.0), stats.gumbel_r(0.5, 2.0)),
    "logistic": ((0.5, 2.0), stats.logistic(0.5, 2.0)),
    "laplace": ((0.5, 2.0), stats.laplace(0.5, 2.0)),
    "rayleigh": ((2.0,), stats.rayleigh(scale=2.0)),
    "weibull": ((1.5,), stats.weibull_min(1.5)),
    "power": ((1.5,), stats.powerlaw(1.5)),
    "pareto": ((3.0,), stats.lomax(3.0)),
}

BOUNDS = (0.2, 0.7, 1.6)


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_those_of_scipy_and_of_numbers_that_are_drawn(name):
    """Of a generator, an old one and the module; below each of three bounds, and between."""
    parameters, expected = LAWS[name]
    below = [float(expected.cdf(bound)) for bound in BOUNDS]
    for owner in (GENERATOR, LEGACY, np.random):
        draw = getattr(owner, name)
        found = law(lambda draw=draw: int(np.searchsorted(BOUNDS, draw(*parameters))))
        steps = np.diff([0.0, *below, 1.0])
        assert [found[k] for k in range(4)] == pytest.approx(steps.tolist(), abs=ROUNDING)
        many = draw(*parameters, size=SAMPLES)
        for bound, share in zip(BOUNDS, below, strict=True):
            allowed = DEVIATIONS * (share * (1.0 - share) / SAMPLES) ** 0.5
            assert (many < bound).mean() == pytest.approx(share, abs=allowed)


#: The same of Python's.
PYTHON_LAWS = {
    "uniform": ((-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    "gauss": ((0.5, 2.0), stats.norm(0.5, 2.0)),
    "normalvariate": ((0.5, 2.0), stats.norm(0.5, 2.0)),
    "lognormvariate": ((0.5, 0.7), stats.lognorm(0.7, scale=math.exp(0.5))),
    "expovariate": ((0.5,), stats.expon(scale=2.0)),
    "weibullvariate": ((2.0, 1.5), stats.weibull_min(1.5, scale=2.0)),
    "paretovariate": ((3.0,), stats.pareto(3.0)),
}


@pytest.mark.parametrize("name", PYTHON_LAWS)
def test_laws_of_python(name):
    """Likewise; what comes out of a comparison is a bool."""
    parameters, expected = PYTHON_LAWS[name]
    draw = getattr(random, name)
    for bound in BOUNDS:
        found = law(lambda bound=bound: draw(*parameters) < bound)
        share = float(expected.cdf(bound))
        assert found[True] == pytest.approx(share, abs=ROUNDING)
        assert {type(key) for key in found} == {bool}
        real = sum(draw(*parameters) < bound for _ in range(SAMPLES // 10)) / (SAMPLES // 10)
        allowed = DEVIATIONS * (share * (1.0 - share) / (SAMPLES // 10)) ** 0.5
        assert real == pytest.approx(share, abs=allowed)


#: Samplers of one of four outcomes of logits.
SAMPLERS = {
    "Gumbel-max": lambda x: np.argmax(x + GENERATOR.gumbel(size=4)),
    "Gumbel-max of the module": lambda x: (x + np.random.gumbel(size=x.shape)).argmax(),  # noqa: NPY002
    "Gumbel-max written out": lambda x: (x - np.log(-np.log(LEGACY.rand(4)))).argmax(-1),
    "Gumbel-max of a temperature": lambda x: ((x + GENERATOR.gumbel(0.0, 1.0, 4)) / 0.7).argmax(),
    "Gumbel-max in place": lambda x: in_place(x).argmax(),
    "Gumbel-max one by one": lambda x: np.stack([a + GENERATOR.gumbel() for a in x]).argmax(),
    "locations": lambda x: GENERATOR.gumbel(x).argmax(),
    "the first in order": lambda x: np.argsort(-(x + GENERATOR.gumbel(size=4)))[0],
    "the last in a partition": lambda x: np.argpartition(x + GENERATOR.gumbel(size=4), 3)[3],
    "exponential race": lambda x: np.argmin(GENERATOR.exponential(size=4) / softmax(x)),
    "race of scales": lambda x: GENERATOR.exponential(1.0 / softmax(x)).argmin(),
    "power of a number": lambda x: (GENERATOR.random(4) ** (1.0 / softmax(x))).argmax(),
    "searchsorted": lambda x: np.searchsorted(np.cumsum(softmax(x))[:-1], GENERATOR.random()),
    "searchsorted, method": lambda x: np.cumsum(softmax(x))[:-1].searchsorted(GENERATOR.random()),
    "searchsorted, right": lambda x: (
        softmax(x)[:-1].cumsum().searchsorted(random.random(), "right")
    ),
    "searchsorted of an array": lambda x: np.searchsorted(
        np.cumsum(softmax(x))[:-1], GENERATOR.random(1)
    )[0],
    "digitize": lambda x: np.digitize(GENERATOR.random(), np.cumsum(softmax(x))[:-1]),
    "bisect": lambda x: bisect.bisect(np.cumsum(softmax(x))[:-1].tolist(), random.random()),
    # Whose last sum is 1, which rounding may leave it below.
    "first above": lambda x: (
        np.append(np.cumsum(softmax(x))[:-1], 1.0) > GENERATOR.random()
    ).argmax(),
    "the last few in a partition": lambda x: np.argpartition(x + GENERATOR.gumbel(size=4), -1)[-1],
    "count": lambda x: (np.cumsum(softmax(x))[:-1] < GENERATOR.random()).sum(),
    "count of one number in an array": lambda x: (
        np.cumsum(softmax(x))[:-1] < GENERATOR.random((1,))
    ).sum(),
    "normal thresholds": lambda x: (
        GENERATOR.normal() > special.ndtri(np.cumsum(softmax(x))[:-1])
    ).sum(),
    "loop": lambda x: loop(softmax(x)),
}


def in_place(logits):
    """As code does that saves memory."""
    noise = GENERATOR.standard_exponential(4)
    noise = -np.log(noise)
    noise += logits
    noise *= 2.0
    return noise


def loop(p):
    """Subtracts probabilities until the number is below one."""
    u = random.random()
    for k, each in enumerate(p[:-1]):
        if u < each:
            return k
        u -= each
    return len(p) - 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_from_the_softmax(name):
    """However they are written."""
    found = law(lambda: int(SAMPLERS[name](LOGITS)))
    assert [found[k] for k in range(4)] == pytest.approx(softmax(LOGITS).tolist(), abs=ROUNDING)


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_estimator_holds_and_a_wrong_one_is_refuted(name):
    """The score of what was drawn; and of logits that are another's."""
    p = softmax(LOGITS)
    exact = p * (COSTS - p @ COSTS)

    def estimate(logits, wrong=1.0):
        y = SAMPLERS[name](wrong * logits)
        return [COSTS[y] * (np.eye(4)[y] - softmax(logits))]

    assert check_estimator(estimate, [LOGITS], exact=[exact]).verdict == "holds"
    wrong = check_estimator(lambda x: estimate(x, 1.001), [LOGITS], exact=[exact])
    assert wrong.verdict == "refuted"


def test_discrete_laws_of_scipy():
    """Which compare with sums of probabilities; here these end at 1 to the last bit."""
    p, other = np.array([0.125, 0.5, 0.25, 0.125]), np.full(4, 0.25)
    found = law(lambda: int(stats.rv_discrete(values=(range(4), p)).rvs()))
    assert [found[k] for k in range(4)] == p.tolist()

    def estimate(drawn_by):
        y = stats.rv_discrete(values=(range(4), drawn_by)).rvs()
        return [COSTS[y] * (np.eye(4)[y] - p)]

    exact = [p * (COSTS - p @ COSTS)]
    assert check_estimator(lambda: estimate(p), exact=exact).verdict == "holds"
    assert check_estimator(lambda: estimate(other), exact=exact).verdict == "refuted"


def test_numbers_in_order():
    """Without replacement: Plackett's law for Gumbel numbers, all orders alike for equal ones."""
    weights = softmax(LOGITS)
    for code in (
        lambda: tuple(np.argsort(-(LOGITS + GENERATOR.gumbel(size=4)))[:2].tolist()),
        lambda: tuple((LOGITS + GENERATOR.gumbel(size=4)).argsort()[::-1][:2].tolist()),
        lambda: tuple((GENERATOR.exponential(size=4) / weights).argsort(kind="stable")[:2]),
    ):
        found = law(code)
        for one, other in itertools.permutations(range(4), 2):
            expected = weights[one] * weights[other] / (1.0 - weights[one])
            assert found[one, other] == pytest.approx(expected, abs=ROUNDING)
    for draw in (GENERATOR.random, GENERATOR.standard_normal):
        found = law(lambda draw=draw: tuple(draw(3).argsort().tolist()))
        assert list(found.values()) == pytest.approx([1 / 6] * 6, abs=ROUNDING)


def test_the_largest_few_whatever_their_order():
    """A partition gives the set of them, and none of their order."""
    weights = softmax(LOGITS)
    found = law(lambda: tuple(np.argpartition(-LOGITS - GENERATOR.gumbel(size=4), 2)[:2].tolist()))
    for pair in itertools.combinations(range(4), 2):
        expected = sum(
            weights[one] * weights[other] / (1.0 - weights[one])
            for one, other in (pair, pair[::-1])
        )
        assert found[pair] == pytest.approx(expected, abs=ROUNDING)


def test_numbers_of_other_laws_are_compared_by_an_integral():
    """The largest of three normal numbers with different means and scales; of two of a kind."""
    mean, scale = np.array([0.5, 0.0, -1.0]), np.array([1.0, 0.5, 2.0])
    found = law(lambda: int(GENERATOR.normal(mean, scale).argmax()))
    counted = np.bincount(GENERATOR.normal(mean, scale, (SAMPLES, 3)).argmax(axis=1)) / SAMPLES
    allowed = DEVIATIONS * (0.25 / SAMPLES) ** 0.5
    assert [found[k] for k in range(3)] == pytest.approx(counted.tolist(), abs=allowed)
    pair = law(lambda: 2.0 * random.random() < random.random())
    assert pair[True] == pytest.approx(0.25, abs=ROUNDING)
    late = law(lambda: (bool((u := GENERATOR.random(2))[0] < 0.5), int(u.argmax())))
    assert late[True, 0] == pytest.approx(0.125, abs=ROUNDING)
    assert late[False, 0] == pytest.approx(0.375, abs=ROUNDING)


#: Whole numbers below four, each as likely.
WHOLE = {
    "int": lambda: int(GENERATOR.random() * 4),
    "int of Python's": lambda: int(4 * random.random()),
    "floor of Python's": lambda: math.floor(random.uniform(0, 4)),
    "trunc": lambda: math.trunc(GENERATOR.uniform(0.0, 4.0)),
    "ceil": lambda: math.ceil(4 * random.random()) - 1,
    "floor": lambda: int(np.floor(4 * GENERATOR.random(2))[1]),
    "astype": lambda: int((GENERATOR.random((2, 2)) * 4).astype(np.int32)[0, 1]),
    "by an index": lambda: [3, 1, 0, 2][int(LEGACY.rand() * 4)],
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers(name):
    """By rounding down, and up."""
    found = law(WHOLE[name])
    assert [found[k] for k in range(4)] == pytest.approx([0.25] * 4, abs=ROUNDING)


def test_epsilon_greedy_and_dropout():
    """Coins of a loop over an array, of a mask, and before another draw."""
    greedy = law(lambda: np.random.randint(2) if np.random.rand() < 0.2 else 0)  # noqa: NPY002
    assert greedy[1] == pytest.approx(0.1, abs=ROUNDING)
    mask = law(lambda: tuple(((GENERATOR.random(2) < 0.3) * np.ones(2)).tolist()))
    assert mask[1.0, 1.0] == pytest.approx(0.09, abs=ROUNDING)
    listed = law(lambda: tuple((np.array([random.random() for _ in range(2)]) < 0.3).tolist()))
    assert listed[True, True] == pytest.approx(0.09, abs=ROUNDING)
    single = law(lambda: tuple((GENERATOR.random(2, dtype=np.float32) < 0.3).tolist()))
    assert single[True, True] == pytest.approx(0.09, abs=1e-7)  # a step of single precision
