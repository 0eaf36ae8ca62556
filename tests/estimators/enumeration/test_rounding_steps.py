"""What moves a number, what moves a sum, and what is made of runs that were moved."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.moments import Moments
from gradproof.estimators.enumeration.rounding import (
    FACTOR,
    ROUNDINGS,
    RUNS,
    Steps,
    largest_deviation,
    measured,
    observed,
)
from gradproof.estimators.enumeration.rounding.partial_sums import (
    drift_of_product,
    drift_of_sum,
)
from gradproof.estimators.enumeration.rounding.ulps import FORMATS, all_whole, move, moved_copy
from gradproof.estimators.enumeration.run import Path
from gradproof.estimators.enumeration.spread import supposed_bound

FORMS = {"float64": np.float64, "float32": np.float32, "float16": np.float16}


def units(values, other):
    """How many units in the last place are between numbers of one sign, counted by their bits."""
    form = FORMATS[values.dtype.name]
    return values.view(form.integer).astype(np.int64) - other.view(form.integer).astype(np.int64)


@given(st.sampled_from(sorted(FORMS)), st.data(), st.integers(0, 2**32))
def test_every_finite_number_moves_by_one_or_two_units_in_the_last_place(form, data, seed):
    """In every binade and among the denormals, and never past 1 from below."""
    width = {"float64": 64, "float32": 32, "float16": 16}[form]
    numbers = st.floats(width=width, allow_nan=False, allow_infinity=False)
    values = np.array(data.draw(st.lists(numbers, min_size=1, max_size=30)), FORMS[form])
    other = moved_copy(values, Steps(np.random.default_rng(seed)))
    off = np.abs(units(values, other))
    least, largest = np.finfo(values.dtype).smallest_subnormal, np.finfo(values.dtype).max
    inside = (np.abs(values) > 2 * least) & (np.abs(values) < np.nextafter(largest, 0))
    assert np.isin(off[inside], (1, 2)).all()
    assert (off[np.abs(values) <= 2 * least] == 0).all()
    assert np.isfinite(other).all()
    assert (np.abs(other)[np.abs(values) <= 1] <= 1).all()
    assert (np.sign(values) == np.sign(other)).all()


@pytest.mark.parametrize("form", sorted(FORMS))
def test_what_no_rounding_moves_stays(form):
    """Zero, infinity, NaN, integers and booleans."""
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], FORMS[form])
    other = moved_copy(values, Steps(np.random.default_rng()))
    np.testing.assert_array_equal(other, values)
    np.testing.assert_array_equal(np.signbit(other), np.signbit(values))
    for whole in (np.arange(5), np.array([True, False])):
        np.testing.assert_array_equal(moved_copy(whole, Steps(np.random.default_rng())), whole)


def test_all_four_steps_come_equally_often():
    """Also in complex numbers, of which both parts move."""
    ones = np.full(40_000, 1.5 + 1.5j)
    other = moved_copy(ones, Steps(np.random.default_rng()))
    for part in (other.real, other.imag):
        off = np.round((part - 1.5) / np.spacing(1.5))
        counts = [int((off == step).sum()) for step in (-2, -1, 1, 2)]
        assert sum(counts) == ones.size
        # Each is binomial, of standard deviation 87; 7 of these are exceeded in 1 of 4e11 cases.
        assert all(abs(count - 10_000) < 7 * 87 for count in counts)


def test_a_step_is_larger_where_arithmetic_is_coarser_than_storage():
    """As for products of matrices that keep 10 binary digits of 23."""
    other = moved_copy(np.full(100, 1.5, np.float32), Steps(np.random.default_rng()), grain=1 << 13)
    off = np.abs(other.astype(float) - 1.5) / (np.spacing(np.float32(1.5)) * 2**13)
    assert np.isin(off, (1.0, 2.0)).all()


def test_moving_in_place_reaches_views_and_single_numbers():
    """Whatever their strides."""
    array = np.full((4, 4), 1.5)
    move(array[::2, 1:3].T, Steps(np.random.default_rng()))
    assert (array != 1.5).sum() == 4
    single = np.array(1.5)
    move(single, Steps(np.random.default_rng()))
    assert single != 1.5


def test_whole_numbers_are_those_that_a_format_counts_exactly():
    """Beyond its digits they may have been rounded to what they are."""
    assert all_whole(np.array([1.0, -3.0, 0.0]), 53)
    assert not all_whole(np.array([1.0, 2.5]), 53)
    assert not all_whole(np.array([1.0, np.inf]), 53)
    assert all_whole(np.array([2.0**24]), 24)
    assert not all_whole(np.array([2.0**24 + 2]), 24)


@pytest.mark.parametrize("pairwise", [True, False])
def test_partial_sums_show_what_terms_and_total_do_not(pairwise):
    """Halves that pull opposite ways: the partial sums in between are 5,000 times the terms."""
    terms = np.concatenate([np.ones(5_000), -np.ones(5_000)])[None, :]
    steps = Steps(np.random.default_rng())
    drifts = [abs(float(drift_of_sum(terms, (1,), steps, pairwise)[0])) for _ in range(20)]
    assert max(drifts) > np.spacing(2_500.0)
    assert max(drifts) < 1e6 * np.spacing(5_000.0)


def test_the_drift_of_a_product_is_like_the_error_of_a_naive_one():
    """In single precision against double: no entry is off by more than the factor allows for."""
    rng = np.random.default_rng()
    left, right = rng.random((6, 400), np.float32), rng.random((400, 5), np.float32)
    naive = np.zeros((6, 5), np.float32)
    for k in range(400):
        naive += np.outer(left[:, k], right[k])
    error = np.abs(naive - left.astype(float) @ right.astype(float))
    steps = Steps(rng)
    drift = np.max([np.abs(drift_of_product(left, right, steps)) for _ in range(RUNS)], axis=0)
    assert (error <= FACTOR * (drift + np.spacing(naive))).all()
    assert (drift < 400 * np.spacing(naive)).all()


def test_few_terms_have_no_partial_sums_of_their_own():
    """Moved terms show all of it."""
    assert drift_of_sum(np.ones((2, 3)), (1,), Steps(np.random.default_rng()), True) is None
    assert (
        drift_of_product(np.ones((2, 3)), np.ones((3, 2)), Steps(np.random.default_rng())) is None
    )


def test_infinite_partial_sums_do_not_become_nan():
    """An infinite sum stays infinite."""
    steps = Steps(np.random.default_rng())
    drift = drift_of_sum(np.array([[np.inf, 1.0, 1.0, 1.0, 1.0]]), (1,), steps, True)
    assert np.isfinite(drift).all()


def test_the_spread_is_the_largest_deviation_and_infinite_where_a_run_is_not_finite():
    """Of each entry; what is infinite or NaN in the same way in all runs deviates by nothing."""
    base = np.array([1.0, 2.0, np.inf, np.nan, 3.0, np.inf])
    runs = [
        np.array([1.5, 2.0, np.inf, np.nan, np.nan, 4.0]),
        np.array([0.0, 2.25, np.inf, np.nan, 3.0, np.inf]),
    ]
    np.testing.assert_array_equal(
        largest_deviation(runs, base), [1.0, 0.25, 0.0, 0.0, np.inf, np.inf]
    )


@given(st.floats(-30, 40), st.integers(0, 2**32))
def test_a_result_is_measured_by_the_rounding_of_what_cancels_in_it(logit, seed):
    """1 - p: its own size is p's complement, its rounding that of 1."""
    x = observed(logit)

    def complement():
        return {"a": np.asarray(1.0 - 1.0 / (1.0 + math.exp(-x)))}

    found = measured(complement, complement(), np.random.default_rng(seed))
    assert found.measured
    assert found.operations["numpy"] >= RUNS
    error = abs(float(complement()["a"]) - 1.0 / (1.0 + math.exp(logit)))
    assert error <= FACTOR * float(found.largest["a"])
    assert float(found.largest["a"]) <= 20 * np.spacing(1.0)


def test_nothing_measured_is_said():
    """Numbers of Python's own are moved by nobody."""
    found = measured(lambda: {"a": np.ones(2)}, {"a": np.ones(2)}, np.random.default_rng())
    assert not found.measured
    assert found.largest["a"].tolist() == [0.0, 0.0]


def test_code_that_refuses_moved_numbers_is_tried_again_and_given_up():
    """Other steps may be taken; if none is, its own error comes out."""
    x = observed(1.5)
    calls = []

    def picky():
        calls.append(1)
        if 2 * x + 0.3 > 3.3:
            raise ValueError("too large")
        return {"a": np.asarray(x * 0.3)}

    assert measured(picky, {"a": np.asarray(0.45)}, np.random.default_rng(3)).measured
    assert len(calls) > RUNS

    def never():
        raise ValueError("never")

    with pytest.raises(ValueError, match="never"):
        measured(never, {"a": np.ones(1)}, np.random.default_rng())


def test_what_nobody_sees_is_compared_to_the_largest_gradient():
    """A parameter whose gradient cancels to nothing has the bound of the others."""
    moments = Moments(GradientLayout({"a": np.zeros(2), "b": np.zeros(1)}))
    moments.add(Path((), {"a": np.array([2.0, 1e-17]), "b": np.array([1e-17])}))
    assert supposed_bound(moments, 2.0**-52).tolist() == [ROUNDINGS * 2.0**-51] * 3
    assert supposed_bound(Moments(GradientLayout({})), 1.0).size == 0
