"""Counts: laws without an end, cut where an outcome is too rare, and draws of few things."""

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.estimators.enumeration.counts import (
    BEYOND_COUNT,
    Count,
    count_ways,
    geometric,
    hypergeometric,
    least_product,
    logarithmic,
    negative_binomial,
    poisson,
)
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.outcomes import EPS
from gradproof.estimators.enumeration.run import (
    Choice,
    TooManyPaths,
    UnsupportedDraw,
    paths,
)

#: Products of ratios on some hundred places, against SciPy's logarithms of gamma functions.
ROUNDING = 1e-11

#: A share of samples is farther off than so many deviations once in 10^9 comparisons.
DEVIATIONS, SAMPLES = 6.0, 4000


def listed(outcomes):
    """The outcomes that are kept, as an enumeration asks for them."""
    found, last = [], outcomes.next_possible(-1)
    while last is not None:
        found.append(last)
        last = outcomes.next_possible(last)
    return found


def law(code, most=10_000):
    """The probability of each value, as an array in a tuple."""
    found = {}
    with Handling(code) as handling:
        for path in paths(code, handling.perform, most=most):
            value = tuple(np.asarray(path.value).reshape(-1).tolist())
            found[value] = found.get(value, 0.0) + path.probability
    return found


# ------------------------------------------------------------------ laws

RATES = st.floats(1e-6, 300.0)
ONES = st.floats(0.05, 0.999)


def check_law(outcomes, pmf):
    """Kept outcomes are those that are likely enough, with SciPy's probabilities."""
    kept = listed(outcomes)
    expected = pmf(np.arange(outcomes.count + 50))
    for place in kept:
        assert outcomes.probability(place) == pytest.approx(expected[place], rel=ROUNDING)
    assert outcomes.possible == len(kept)
    assert kept == list(range(kept[0], kept[-1] + 1))
    others = np.delete(expected, kept)
    assert others.max() < least_product(1) * (1.0 + ROUNDING)
    tail = 1e-6  # what lies beyond the table is a rounding of it, and 50 more is not all of it
    assert outcomes.left_out == pytest.approx(others.sum(), rel=tail)
    assert [outcomes.rank(place) for place in kept] == list(range(len(kept)))


@given(RATES)
def test_poisson_numbers(rate):
    """As SciPy has them."""
    check_law(poisson("draw", rate), stats.poisson(rate).pmf)


@given(ONES)
def test_geometric_numbers(one):
    """Failures before a success."""
    check_law(geometric("draw", one), stats.geom(one, loc=-1).pmf)


@given(st.floats(0.05, 50.0), ONES)
def test_negative_binomial_numbers(successes, one):
    """Also of a number of successes that is no whole number."""
    outcomes = negative_binomial("draw", successes, one)
    check_law(outcomes, stats.nbinom(successes, one).pmf)


@given(st.floats(1e-3, 0.95))
def test_logarithmic_numbers(again):
    """From one on."""
    check_law(logarithmic("draw", again), stats.logser(again, loc=-1).pmf)


@given(st.integers(0, 30), st.integers(1, 30), st.data())
def test_hypergeometric_numbers(good, bad, data):
    """All of them: there is an end."""
    draws = data.draw(st.integers(0, good + bad))
    outcomes = hypergeometric("draw", good, bad, draws)
    expected = stats.hypergeom(good + bad, good, draws)
    kept = listed(outcomes)
    assert sum(outcomes.probability(place) for place in kept) == pytest.approx(1.0, rel=ROUNDING)
    for place in kept:
        assert outcomes.probability(place) == pytest.approx(expected.pmf(place), rel=ROUNDING)
    assert kept == [k for k in range(draws + 1) if expected.pmf(k) > 0.0]


@pytest.mark.parametrize(
    ("make", "value"),
    [(poisson, each) for each in (-1.0, math.nan, math.inf)]
    + [(geometric, each) for each in (0.0, -0.1, 1.1, math.nan)]
    + [(logarithmic, each) for each in (1.0, -0.1, math.nan)],
)
def test_what_is_no_parameter_is_refused_with_its_value(make, value):
    """By the name of what draws."""
    with pytest.raises(ValueError, match=rf"^draw draws with .* {value!r}, expected"):
        make("draw", value)
    with pytest.raises(ValueError, match="expected numbers that are not negative"):
        hypergeometric("draw", 2, 3, 6)


def test_a_law_of_one_outcome():
    """At a rate of zero, of a success that is certain."""
    for outcomes in (poisson("d", 0.0), geometric("d", 1.0), negative_binomial("d", 0.0, 0.3)):
        assert listed(outcomes) == [0]
        assert not outcomes.is_cut


def test_outcomes_that_are_not_formed_are_beyond_count():
    """No table is longer than a million, and none passes for all there is."""
    outcomes = geometric("draw", 1e-9)
    assert outcomes.possible == BEYOND_COUNT
    rng = np.random.default_rng()
    with pytest.raises(TooManyPaths, match=r"one of a million or more outcomes.* are rarer"):
        law(lambda: rng.geometric(1e-9))


def test_what_is_kept_depends_on_the_draws_before():
    """The product of all decides, and the likeliest is kept in any case."""
    outcomes = poisson("draw", 3.0)
    alone = outcomes.after([])
    assert listed(alone) == listed(outcomes)
    late = outcomes.after([Choice(alone, listed(alone)[-1])])
    assert listed(late) == [3]
    assert late.is_same(outcomes)
    assert late.is_like(poisson("draw", 5.0))
    assert not late.is_like(poisson("other", 3.0))
    other = outcomes.after([Choice(alone, 3)])
    product = alone.probability(3)
    assert all(product * outcomes.probability(k) >= least_product(2) for k in listed(other))
    assert outcomes.probability(10**4) == 0.0


def test_ways_are_counted_from_below():
    """As many as are kept at least, and not much less."""
    many = [poisson("draw", 1.0), geometric("draw", 0.5)]
    rng = np.random.default_rng()
    kept = len(law(lambda: (rng.poisson(1.0), rng.geometric(0.5))))
    assert 0.7 * kept <= count_ways(many, [], 10**6) <= kept  # each cost is rounded up
    with pytest.raises(TooManyPaths, match="30 draws in one call"):
        law(lambda: rng.poisson(np.ones(30)))


# ------------------------------------------------------------------ NumPy

NUMPY = {
    "poisson": ((1.7,), {}),
    "poisson of several": (([0.3, 0.0],), {"size": (1, 2)}),
    "geometric": ((0.6,), {}),
    "negative_binomial": ((2, 0.7), {}),
    "logseries": ((0.4,), {}),
    "hypergeometric": ((3, 4, 2), {}),
    "hypergeometric of several": (([3, 1], 4, [2, 5]), {}),
    "binomial": ((3, 0.4), {"size": 2}),
    "multinomial": ((3, [0.2, 0.5, 0.3]), {}),
}


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("source", ["Generator", "RandomState", "function"])
def test_numpy_draws_as_it_does(name, source):
    """Shape, type and shares are those of NumPy's own function."""
    args, kwargs = NUMPY[name]
    owner = {
        "Generator": np.random.default_rng(1),
        "RandomState": np.random.RandomState(1),
        "function": np.random,
    }[source]
    draw = lambda: getattr(owner, name.partition(" ")[0])(*args, **kwargs)  # noqa: E731
    if source == "function":  # whose generator is everybody's
        with legacy_state():
            compare_with_samples(draw)
    else:
        compare_with_samples(draw)


@contextlib.contextmanager
def legacy_state():
    """NumPy's own generator is seeded, and put back."""
    state = np.random.get_state()  # noqa: NPY002 - it is what is tested
    np.random.seed(1)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def test_numpy_draws_several_kinds():
    """As multisets, each once."""
    rng = np.random.default_rng(1)
    draw = lambda: rng.multivariate_hypergeometric([2, 3, 1], 3)  # noqa: E731
    compare_with_samples(draw)
    expected = stats.multivariate_hypergeom([2, 3, 1], 3)
    for value, probability in law(draw).items():
        assert probability == pytest.approx(expected.pmf(value), rel=ROUNDING)


def test_multisets_are_one_path_each():
    """Ways that differ in their order alone are one."""
    rng, p = np.random.default_rng(), [0.2, 0.5, 0.3]
    found = law(lambda: rng.multinomial(4, p))
    assert len(found) == math.comb(4 + 2, 2)
    for value, probability in found.items():
        assert probability == pytest.approx(stats.multinomial(4, p).pmf(value), rel=ROUNDING)
    with Handling() as handling:
        count = sum(1 for _ in paths(lambda: rng.multinomial(4, p), handling.perform))
    assert count == len(found)


def compare_with_samples(draw):
    """An enumerated law, with what the real function draws."""
    found, real = law(draw), draw()
    with Handling(draw) as handling:
        value = next(iter(paths(draw, handling.perform))).value
    assert type(value) is type(real)
    assert np.shape(value) == np.shape(real)
    assert np.asarray(value).dtype == np.asarray(real).dtype
    drawn = [tuple(np.asarray(draw()).reshape(-1).tolist()) for _ in range(SAMPLES)]
    assert set(drawn) <= set(found)
    for value, probability in found.items():
        # Of rare ones none, or one or two: their shares are no normal numbers.
        deviation = math.sqrt(probability * (1.0 - probability) / SAMPLES) + 1.0 / SAMPLES
        assert abs(drawn.count(value) / SAMPLES - probability) <= DEVIATIONS * deviation


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.poisson(-1.0),
        lambda rng: rng.poisson(math.nan),
        lambda rng: rng.geometric(0.0),
        lambda rng: rng.negative_binomial(1, 1.5),
        lambda rng: rng.logseries(1.0),
        lambda rng: rng.hypergeometric(3, 4, 9),
        lambda rng: rng.poisson([1.0, 2.0], 3),
        lambda rng: rng.multivariate_hypergeometric([1, 2], 4),
    ],
    ids=["rate", "NaN", "never", "above 1", "p of 1", "too many", "shape", "too many kinds"],
)
def test_what_numpy_refuses_is_refused_in_its_words(draw):
    """In a run as outside."""
    rng = np.random.default_rng()
    with pytest.raises(ValueError, match=r".") as real:
        draw(rng)
    with pytest.raises(ValueError, match=r".") as found:
        law(lambda: draw(rng))
    assert str(found.value) == str(real.value)


def test_zipf_is_refused_with_the_reason():
    """There is no place to cut it at."""
    for owner in (np.random.default_rng(), np.random.RandomState(), np.random):
        with pytest.raises(
            UnsupportedDraw, match=r"\.zipf is an unsupported draw.* fall so slowly"
        ):
            law(lambda owner=owner: owner.zipf(2.0))


# ------------------------------------------------------------------ what is left out


def estimate_poisson(cost, factor=1.0):
    """REINFORCE by the rate."""
    rng = np.random.default_rng()

    def estimate(rate):
        z = rng.poisson(rate)
        return factor * cost(float(z)) * (z / rate - 1.0)

    return estimate


#: Costs of a Poisson number, and d/dλ of their means.
COSTS = {
    "z²": (lambda z: z**2, lambda rate: 2.0 * rate + 1.0),
    "1.5^z": (lambda z: 1.5**z, lambda rate: 0.5 * math.exp(0.5 * rate)),
    "4^z": (lambda z: 4.0**z, lambda rate: 3.0 * math.exp(3.0 * rate)),
    "z > 9": (lambda z: float(z > 9), lambda rate: stats.poisson(rate).pmf(9)),
    "z > 20": (lambda z: float(z > 20), lambda rate: stats.poisson(rate).pmf(20)),
}


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("rate", [0.01, 0.8, 3.0, 20.0])
def test_a_tail_refutes_no_right_estimator(name, rate):
    """However far out its cost is; and one that is off by a fiftieth is refuted, or undecided."""
    cost, slope = COSTS[name]
    inputs, exact = [np.array(rate)], slope(rate)
    right = check_estimator(estimate_poisson(cost), inputs, exact=exact)
    assert right.verdict != REFUTED
    wrong = check_estimator(estimate_poisson(cost, 1.02), inputs, exact=exact)
    assert wrong.verdict != HOLDS
    if (name, rate) not in {("z > 20", 0.01), ("z > 20", 0.8), ("4^z", 20.0), ("z > 9", 0.01)}:
        assert (right.verdict, wrong.verdict) == (HOLDS, REFUTED)


def test_costs_that_grow_as_probabilities_fall_are_undecided():
    """Of a geometric number, where the mean exists, and where it does not."""
    rng, one = np.random.default_rng(), 0.4

    def estimate(base):
        def estimate(p):
            z = rng.geometric(p) - 1
            return base**z * (1.0 / p - z / (1.0 - p))

        return estimate

    def exact(base):  # of p / (1 - (1 - p) s)
        return (1.0 - base) / (1.0 - (1.0 - one) * base) ** 2

    for base, verdict in ((1.2, HOLDS), (1.5, HOLDS), (1.66, UNDECIDED), (2.0, UNDECIDED)):
        report = check_estimator(estimate(base), [np.array(one)], exact=exact(base))
        assert report.verdict == verdict
    assert "what is left out may matter" in report.explain()
    assert "The variance lacks more" in report.explain()


def test_the_report_says_what_is_left_out():
    """And that the bound is of it too."""
    report = check_estimator(estimate_poisson(COSTS["z²"][0]), [np.array(3.0)], exact=7.0)
    assert "is rounding and left out" in report.explain()
    assert "what outcomes that are left out may add" in report.bound_reason
    (note,) = (note for note in report.notes if "without an end" in note)
    assert "has the probability" in note
    assert "variance" not in note
    variance = stats.poisson(3.0).expect(lambda z: (z**2 * (z / 3.0 - 1.0) - 7.0) ** 2)
    tolerance = 1e-9  # SciPy ends such a sum where terms are below 10^-10
    assert report.total_variance == pytest.approx(variance, rel=tolerance)


@pytest.mark.parametrize("draws", [2, 3, 4])
def test_several_draws_are_bounded_together(draws):
    """Fewer outcomes of each are kept, and the bound is of what is left out."""
    rng, rate = np.random.default_rng(), 0.4

    def estimate(rates):
        z = rng.poisson(rates)
        return (z.sum() ** 2) * (z / rates - 1.0)

    exact = np.full(draws, 2.0 * draws * rate + 1.0)
    report = check_estimator(estimate, [np.full(draws, rate)], exact=exact)
    assert report.verdict == HOLDS
    off = np.abs(report.mean["gradient"] - exact).max()
    assert off <= report.bounds["gradient"].min()
    wrong = lambda rates: estimate(rates) * 1.01  # noqa: E731
    assert check_estimator(wrong, [np.full(draws, rate)], exact=exact).verdict == REFUTED


def test_objectives_are_cut_too():
    """By differences, whose error has what is left out in it."""
    rng = np.random.default_rng()
    objective = lambda rate: float(rng.poisson(rate)) ** 2  # noqa: E731
    estimate = estimate_poisson(COSTS["z²"][0])
    inputs = [np.array(1.5)]
    assert check_estimator(estimate, inputs, objective=objective).verdict == HOLDS
    wrong = estimate_poisson(COSTS["z²"][0], 1.02)
    assert check_estimator(wrong, inputs, objective=objective).verdict == REFUTED


def test_the_largest_law_that_is_kept_is_whole():
    """What lies beyond the table is nothing of what is left out."""
    for outcomes in (poisson("d", 3.0), geometric("d", 0.05), negative_binomial("d", 0.1, 0.2)):
        assert isinstance(outcomes, Count)
        beyond = outcomes.probability(outcomes.count)
        assert beyond <= 2.0 * EPS * least_product(1)
