"""What the smallest visible bias is made of: noise, range, and the exact mean's error."""

import math

import numpy as np
import pytest

from gradproof.checks.sequential.mean_test import MeanTest

DRAWS = 20_000


@pytest.fixture
def coins():
    """Fair coins of ±1, as many of each."""
    return np.random.default_rng(5).permutation(np.repeat([-1.0, 1.0], DRAWS // 2))[:, None]


def found(coins, **known):
    """The report on coins whose exact mean is 0."""
    test = MeanTest([0.0], **known)
    test.feed(coins)
    return test.found()


def test_noise_alone_is_as_many_standard_errors_as_a_normal_bet_takes(coins):
    """By its formula: z + sqrt(z² + 2 log(threshold sqrt(n))) of them, z the quantile of 0.9."""
    result = found(coins, sd=1.0)
    z = 1.2815515655446004
    unit = (z + math.sqrt(z * z + 2.0 * math.log(1e6 * math.sqrt(1.0 + DRAWS)))) / math.sqrt(DRAWS)
    expected = unit / math.sqrt(1.0 - unit**2)
    assert result.visible_by.noise == pytest.approx(expected, rel=1e-12)  # roundings
    assert result.visible_by.reach == 0.0
    assert "That is 5.3e-02 for noise (7.6 standard errors" in result.explain()
    assert "for the range" not in result.explain()


def test_a_wide_range_costs_more_than_noise(coins):
    """The same coins, between bounds a hundred times as far: the rest is the range's."""
    near, far = found(coins, low=-1.0, high=1.0), found(coins, low=-100.0, high=100.0)
    assert near.visible_by.reach == 0.0
    # The variance is estimated as if one draw of 100 had been seen too.
    wider = near.visible_by.noise * math.sqrt(1.0 + 100.0**2 / DRAWS)
    assert far.visible_by.noise == pytest.approx(wider, rel=1.0 / DRAWS)  # one draw more or less
    assert far.visible_by.reach > far.visible_by.noise
    assert "for the range (stakes are so low" in far.explain()


def test_the_error_of_the_exact_mean_is_all_of_the_allowance(coins):
    """What it may be off by is added, and nothing else changes."""
    sure, unsure = found(coins, sd=1.0), found(coins, sd=1.0, exact_error=0.5)
    rounding = sure.visible_by.allowance
    assert rounding < 1e-9  # some roundings of 1
    assert unsure.visible_by.allowance == 0.5 + rounding
    assert unsure.visible_by.noise == sure.visible_by.noise
    assert "5.0e-01 for what rounding and the error of the exact mean may do" in unsure.explain()
    assert "error of the exact mean" not in sure.explain()


@pytest.mark.parametrize("known", [{"sd": 1.0}, {"low": -9.0, "high": 9.0}, {"rarest": 0.01}])
def test_the_parts_are_the_whole(known, coins):
    """They add up to the bias that is stated."""
    result = found(coins, exact_error=0.01, **known)
    assert result.visible_by.whole() == result.detectable[result.worst]


def test_where_nothing_was_bet_nothing_is_made_of_parts(coins):
    """A bias that would never have been seen has none."""
    result = found(coins[:10], rarest=0.01)
    assert math.isinf(result.visible_by.whole())
    assert "That is" not in result.explain()
