"""Weighted sums over paths: exact to rounding, flat in memory, and honest where numbers end."""

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.moments import REMEMBERED, CompensatedSum, Moments
from gradproof.estimators.enumeration.outcomes import Uniform, table
from gradproof.estimators.enumeration.run import Choice, NotReproducible, Path

EPSILON = np.finfo(float).eps
ONE = GradientLayout({"gradient": np.zeros(2)})


def path(outcomes, taken, value):
    """A path of one draw."""
    return Path((Choice(outcomes, taken),), {"gradient": np.asarray(value)})


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=200),
    st.sampled_from([0, 10**3, 10**9, -(10**12)]),
    st.randoms(use_true_random=False),
)
def test_mean_and_variance_are_those_of_rational_numbers(weights, offset, random):
    """However far the gradients are from zero: nothing is subtracted from a sum of squares."""
    values = [(random.randint(-50, 50) + offset, random.randint(-50, 50)) for _ in weights]
    outcomes = table("draw", np.array(weights) / sum(weights))
    moments = Moments(ONE)
    for place, value in enumerate(values):
        moments.add(path(outcomes, place, np.array(value, float)))
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    for entry in range(2):
        mean = sum(s * value[entry] for s, value in zip(shares, values, strict=True))
        variance = sum(
            s * (value[entry] - mean) ** 2 for s, value in zip(shares, values, strict=True)
        )
        # Roundings of the probabilities, times what they are multiplied with.
        rounding = 4.0 * EPSILON * max(abs(value[entry]) for value in values)
        assert moments.mean()[entry] == pytest.approx(float(mean), abs=rounding)
        # A sum of what is not negative; the mean's rounding enters squared.
        within = pytest.approx(float(variance), rel=1e-13, abs=rounding**2)
        assert moments.variance()[entry] == within
    assert moments.mass == pytest.approx(1.0, abs=4.0 * EPSILON)  # of the probabilities
    moments.check_mass()


def test_equal_weights_add_up_to_one_exactly_enough():
    """Ten thousand weights of 0.1 ** 4: a plain sum is off by more than rounding of each."""
    moments, tenth = Moments(ONE), Uniform("draw", 10)
    four = tuple(Choice(tenth, 0) for _ in range(4))
    for _ in range(10_000):
        moments.add(Path(four, {"gradient": np.ones(2)}))
    moments.check_mass()
    # 0.1 and its products are rounded once each, and alike on all paths.
    assert moments.mean() == pytest.approx([1.0, 1.0], abs=4.0 * EPSILON)


def test_memory_does_not_grow_with_the_number_of_paths():
    """Of a block of paths, and the likeliest."""
    outcomes = Uniform("draw", 10**6)

    def peak(count):
        tracemalloc.start()
        moments = Moments(ONE)
        for place in range(count):
            moments.add(path(outcomes, place, np.ones(2)))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found, moments

    (few, _), (many, moments) = peak(1_000), peak(10_000)
    assert many < few + 2**15  # nine thousand paths more, of two numbers each, are four times that
    assert len(moments.likeliest()) == REMEMBERED


def test_the_likeliest_paths_are_remembered():
    """With their probabilities, in order."""
    weights = np.arange(1.0, 401.0)
    outcomes, moments = table("draw", weights / weights.sum()), Moments(ONE)
    for place in range(400):
        moments.add(path(outcomes, place, np.ones(2)))
    found = [choices[0].taken for _, choices in moments.likeliest()]
    assert found == list(range(399, 399 - REMEMBERED, -1))


def test_paths_that_are_too_unlikely_for_a_number_count_for_nothing():
    """The first may be one of them."""
    rare, moments = table("draw", [1e-200, 1.0 - 1e-200]), Moments(ONE)
    moments.add(Path((Choice(rare, 0), Choice(rare, 0)), {"gradient": np.ones(2)}))
    moments.add(Path((Choice(rare, 1), Choice(rare, 1)), {"gradient": np.full(2, 3.0)}))
    assert moments.mean().tolist() == [3.0, 3.0]
    assert moments.variance().tolist() == [0.0, 0.0]


def test_a_probability_has_a_logarithm_however_small_it_is():
    """Of a thousand coins."""
    coins = Path(tuple(Choice(Uniform("coin", 2), 0) for _ in range(2000)), None)
    assert coins.probability == 0.0
    assert coins.log_probability == -2000.0 * math.log(2.0)


def test_what_is_beyond_numbers_is_infinite_and_named():
    """A variance of 1e320 is; a gradient that is no number is bad on its path."""
    moments, coin = Moments(ONE), Uniform("coin", 2)
    for side in range(2):
        moments.add(path(coin, side, np.array([1e160 * side, np.nan if side else 1.0])))
    assert moments.variance()[0] == np.inf
    assert moments.mean()[0] == 5e159
    assert "gradient is NaN where coin -> 1 (probability 0.5)" in moments.note("gradient")


def test_paths_that_are_missing_are_noticed():
    """A half is no whole."""
    moments = Moments(ONE)
    moments.add(path(Uniform("coin", 2), 0, np.ones(2)))
    with pytest.raises(NotReproducible, match=r"1 paths add up to 0\.5, expected 1"):
        moments.check_mass()


@given(st.lists(st.floats(-1e30, 1e30), max_size=50))
def test_a_total_is_rounded_once_or_twice(values):
    """As math.fsum has it."""
    total = CompensatedSum()
    for value in values:
        total.add(value)
    size = sum(map(abs, values))
    # Neumaier's: what is lost is lost of the second order, for each number.
    assert total.value == pytest.approx(math.fsum(values), rel=4e-16, abs=1e-30 * size)


def test_gradients_that_do_not_fit_are_errors():
    """A name that there is not, a shape that is another; None is no gradient."""
    layout = GradientLayout({"a": np.zeros(2), "b": np.zeros(())})
    row = layout.row({"a": np.array([1.0, 2.0]), "c": None})
    assert row.tolist() == [1.0, 2.0, 0.0]
    with pytest.raises(ValueError, match="returns c, which the exact gradient lacks; it has a, b"):
        layout.row({"c": np.zeros(2)})
    with pytest.raises(ValueError, match=r"a has shape \(3,\), and its exact gradient \(2,\)"):
        layout.row({"a": np.zeros(3)})


def test_every_enumeration_asks_whether_all_paths_are_there(monkeypatch):
    """A sum of probabilities that nobody looks at would be no check."""
    seen = []
    monkeypatch.setattr(Moments, "check_mass", lambda moments: seen.append(moments.mass))
    rng = np.random.default_rng()
    estimator = Estimator(lambda x: rng.integers(2) * x, [np.ones(1)])
    with Enumeration(estimator) as enumeration:
        enumeration.moments()
    assert seen == [1.0]
