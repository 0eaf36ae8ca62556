"""Distributions over numbered outcomes: none is a list that is longer than it need be."""

import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gradproof.estimators.enumeration.outcomes import (
    Certain,
    Coin,
    Uniform,
    binomial,
    draw_without_replacement,
    table,
    tables,
    weighted_rows,
    weighted_table,
)


def listed(outcomes):
    """The outcomes that are possible, as an enumeration asks for them."""
    found, last = [], outcomes.next_possible(-1)
    while last is not None:
        found.append(last)
        last = outcomes.next_possible(last)
    return found


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]), min_size=1, max_size=6).filter(any))
def test_each_possible_outcome_is_named_once(weights):
    """In order, those of weight zero left out; together they are certain."""
    outcomes = weighted_table("draw", weights)
    assert listed(outcomes) == [place for place, each in enumerate(weights) if each > 0.0]
    assert outcomes.possible == len(listed(outcomes))
    total = math.fsum(outcomes.probability(each) for each in listed(outcomes))
    assert total == pytest.approx(1.0, abs=1e-15)  # a few roundings
    assert outcomes.rarest == min(outcomes.probability(each) for each in listed(outcomes))


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0, exclude_max=True))
def test_a_coin_comes_out_by_its_share(one, share):
    """The upper part of a unit is heads; a side that cannot be never comes out."""
    coin = Coin("coin", one)
    assert coin.probability(coin.quantile(share)) > 0.0
    assert coin.quantile(share) == (share >= 1.0 - one if one else 0)
    assert listed(coin) == [each for each in (0, 1) if coin.probability(each) > 0.0]


def test_a_uniform_draw_of_any_size_takes_no_memory():
    """Of more outcomes than a machine word counts."""
    outcomes = Uniform("seed", 2**80)
    assert outcomes.possible == outcomes.count == 2**80
    assert outcomes.next_possible(2**80 - 1) is None
    assert outcomes.next_possible(5) == 6
    assert outcomes.quantile(0.5) == 2**79
    assert sys.getsizeof(outcomes) < 200


@given(st.integers(2, 300), st.floats(1e-6, 1.0 - 1e-6))
def test_binomial_probabilities_are_scipys(trials, one):
    """To rounding: each ratio is off by a few, and there are as many as trials."""
    outcomes = binomial("binomial", trials, one)
    expected = stats.binom.pmf(np.arange(trials + 1), trials, one)
    found = [outcomes.probability(each) for each in range(trials + 1)]
    assert outcomes.count == trials + 1
    # Some hundred ratios, a few roundings each; below 1e-300 numbers have fewer digits.
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-300)


def test_a_binomial_that_is_certain_has_one_outcome():
    """And one of one trial is a coin."""
    assert listed(binomial("binomial", 5, 1.0)) == [5]
    assert listed(binomial("binomial", 0, 0.5)) == [0]
    assert isinstance(binomial("binomial", 5, 0.0), Certain)
    assert isinstance(binomial("binomial", 1, 0.3), Coin)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: table("draw", [0.5, 0.6]), r"sum to 1.1, expected 1"),
        (lambda: table("draw", [np.nan, 1.0]), "expected finite numbers"),
        (lambda: table("draw", [-0.5, 1.5]), "expected finite numbers"),
        (lambda: table("draw", []), "one of no outcomes"),
        (lambda: table("draw", [[1.0]]), "expected one a outcome"),
        (lambda: weighted_table("draw", [0.0, 0.0]), "not all zero"),
        (lambda: weighted_rows("draw", np.array([[1.0], [-1.0]]), 1e-16), "expected finite"),
        (lambda: Coin("coin", 1.5), "coin draws with probability 1.5"),
        (lambda: Uniform("number", 0), "one of 0 outcomes"),
        (lambda: binomial("binomial", -1, 0.5), "of -1 trials"),
    ],
    ids="sum nan negative empty rows zero row coin none trials".split(),  # noqa: SIM905
)
def test_what_is_no_distribution_is_an_error(make, message):
    """It names what draws, and what was given."""
    with pytest.raises(ValueError, match=message):
        make()


def test_probabilities_of_low_precision_may_be_off_by_it():
    """Those of half precision add up to 1 within its rounding, and are normalised."""
    given = np.array([0.1, 0.2, 0.7], np.float16)
    (found,) = tables("draw", given[None])
    total = math.fsum(found.probability(each) for each in range(3))
    assert total == pytest.approx(1.0, abs=1e-15)  # three roundings
    assert found.precision == np.finfo(np.float16).eps


def test_equal_draws_are_the_same_and_others_are_not():
    """By kind, by what draws, and to the last digit."""
    assert table("a", [0.5, 0.5]).is_same(table("a", [0.5, 0.5]))
    assert not table("a", [0.5, 0.5]).is_same(table("b", [0.5, 0.5]))
    assert not table("a", [0.5, 0.5]).is_same(table("a", [0.5 + 2**-53, 0.5 - 2**-53]))
    assert not Coin("a", 0.5).is_same(table("a", [0.5, 0.5]))
    assert not Uniform("a", 2).is_same(Uniform("a", 3))


ROWS = np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 1.0]])


def test_the_same_weights_are_formed_once():
    """What an earlier run made of the same bits is taken again, as the objects they are."""
    made = weighted_rows("draw", ROWS, 1e-16)
    again = weighted_rows("draw", ROWS.copy(), 1e-16, made[0])
    assert [id(each) for each in again] == [id(each) for each in made]
    alone = weighted_table("draw", ROWS[0], 1e-16)
    assert weighted_table("draw", list(ROWS[0]), 1e-16, alone) is alone


@pytest.mark.parametrize(
    ("what", "rows", "step", "place"),
    [
        pytest.param("other", ROWS, 1e-16, 0, id="another-draw"),
        pytest.param("draw", ROWS, 1e-7, 0, id="of-another-precision"),
        pytest.param("draw", ROWS.reshape(2, 3), 1e-16, 0, id="of-another-shape"),
        pytest.param("draw", np.nextafter(ROWS, 9.0), 1e-16, 0, id="one-bit-away"),
        pytest.param("draw", ROWS[:2], 1e-16, 0, id="fewer"),
        pytest.param("draw", ROWS, 1e-16, 1, id="where-another-row-was-drawn"),
    ],
)
def test_other_weights_are_formed_anew(what, rows, step, place):
    """Whatever differs; they are as if nothing had been there."""
    before = weighted_rows("draw", ROWS, 1e-16)[place]
    found = weighted_rows(what, rows, step, before)
    assert all(each is not before for each in found)
    fresh = weighted_rows(what, rows, step)
    assert [each.key() for each in found] == [each.key() for each in fresh]


def test_bad_weights_are_refused_beside_good_ones_of_before():
    """What was formed before answers for itself alone."""
    before = weighted_table("draw", [1.0, 1.0])
    with pytest.raises(ValueError, match="not all zero"):
        weighted_table("draw", [0.0, 0.0], None, before)


@pytest.mark.parametrize("draws", range(5))
def test_places_without_replacement_come_in_every_order(draws):
    """Each sequence once, by the numbers that the draws come out as."""
    ways = itertools.product(*(range(4 - draw) for draw in range(draws)))

    def places(numbers):
        return tuple(draw_without_replacement(lambda _: next(numbers), "draws", 4, draws))

    orders = sorted(places(iter(way)) for way in ways)
    assert orders == list(itertools.permutations(range(4), draws))
