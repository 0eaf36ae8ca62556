"""How rare outcomes can be, and how many draws the range of an estimate is learnt from."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.sequential.mean_test import MeanTest
from gradproof.checks.user.rarity import RAREST, Rarity, TooFewDraws
from gradproof.estimators.enumeration.outcomes import Coin, Uniform, table
from gradproof.estimators.enumeration.run import SampledRun, UnsupportedDraw

ALPHA = 1e-6


def seen(*runs, given=None):
    """What is known after runs that drew from these."""
    rarity = Rarity(given)
    for draws in runs:
        run = SampledRun()
        for each in draws:
            run.observe(lambda each=each, run=run: refuse() if each is None else run.choose(each))
        rarity.see(run)
    return rarity


def refuse():
    """A draw that has no outcomes to count."""
    raise UnsupportedDraw("something is an unsupported draw: its outcomes cannot be enumerated")


def planned(rarity, draws, size=3):
    """A test whose range is learnt as was planned."""
    test = MeanTest(np.zeros(size), alpha=ALPHA)
    rarity.plan(test, draws)
    return test


def test_a_path_is_as_rare_as_the_rarest_outcomes_of_its_draws_together():
    """Of the run that has the least, and one outcome as rare as the rarest of one draw."""
    rarity = seen(
        [Uniform("label", 5), Coin("bit", 0.1)],
        [Uniform("label", 5), Coin("bit", 0.25), table("word", [0.5, 0.5, 0.0])],
        [],
    )
    assert rarity.outcome == 0.1
    # By the sum of two logarithms.
    assert rarity.path == pytest.approx(0.02, rel=1e-14, abs=0.0)
    assert rarity.depth == 3
    assert not rarity.unknown


@pytest.mark.parametrize(("labels", "rarest"), [(100, RAREST), (4000, 1 / 4000)])
def test_all_that_was_seen_makes_a_verdict_without_a_condition(labels, rarest):
    """The stretch is as long as the rarest path takes, and no shorter than if nothing was seen."""
    test = planned(seen([Uniform("label", labels)]), 200_000)
    assert test.condition == ""
    assert test.rarest == rarest
    assert test.stretch == math.ceil(math.log(2 * 3 * 2 / (ALPHA / 10)) / rarest)


@pytest.mark.parametrize("runs", [[[None]], [[Uniform("label", 4), None]], [[]], []])
def test_what_was_not_seen_makes_a_condition(runs):
    """A draw without outcomes, beside one that has some or not; no draw at all."""
    test = planned(seen(*runs), 100_000)
    assert test.condition == f"no outcome rarer than {RAREST:g} lies far beyond all others"
    assert test.stretch == math.ceil(math.log(2 * 3 / (ALPHA / 10)) / RAREST)


def test_a_draw_that_is_unknown_once_is_unknown():
    """Whatever was seen before and after."""
    label = [Uniform("label", 100)]
    assert planned(seen(label, label), 100_000).condition == ""
    assert planned(seen(label, [None], label), 100_000).condition


def test_rare_outcomes_are_waited_for():
    """A label of 1e-4, and whatever else is drawn: ten times as many draws, or an error."""
    label = table("label", [0.5, 0.4999, 0.0001])
    test = planned(seen([label, None]), 1_000_000)
    assert test.rarest == 0.0001
    assert test.stretch == math.ceil(math.log(2 * 3 / (ALPHA / 10)) / 0.0001) == 179_099
    words = r"draws is 60,000, and 17\d,\d+ are needed to know the range.*probability is 0\.0001"
    with pytest.raises(TooFewDraws, match=words):
        planned(seen([label, None]), 60_000)


def test_whoever_leaves_out_rare_outcomes_has_a_verdict_that_says_so():
    """Unless as many draws show all of them anyway."""
    rare, common = table("label", [0.5, 0.4999, 0.0001]), table("label", [0.5, 0.48, 0.02])
    test = planned(seen([rare], given=1e-3), 60_000)
    assert test.condition == "no outcome rarer than 0.001 lies far beyond all others"
    assert planned(seen([common], given=1e-3), 60_000).condition == ""


def test_many_paths_are_not_waited_for():
    """Twenty coins: what one of them does is common, what all do is not."""
    test = planned(seen([Coin("bit", 0.5)] * 20), 60_000)
    assert test.condition
    assert test.rarest == RAREST
    # Where most of the draws would be spent on learning, a condition is the better part.
    assert planned(seen([Coin("bit", 0.5)] * 12), 150_000).condition
    assert not planned(seen([Coin("bit", 0.5)] * 12), 300_000).condition


def test_too_few_draws_are_an_error_that_says_how_many_it_takes():
    """And by what they are fewer."""
    words = r"draws is 100, and 17,910 are needed to know the range.*larger rarest= than 0\.001"
    with pytest.raises(TooFewDraws, match=words):
        planned(seen([None]), 100)
    with pytest.raises(TooFewDraws, match=r"larger rarest= than 0\.01"):
        planned(seen([None], given=0.01), 100)


@given(
    st.lists(
        st.lists(st.floats(min_value=0.0, max_value=1.0, exclude_max=True), max_size=6), max_size=4
    ),
    st.integers(1, 10**7),
)
def test_a_stretch_is_never_too_short(runs, draws):
    """For whatever coins: nothing is certain that has not been waited for long enough."""
    rarity = seen(*([Coin("bit", one) for one in run] for run in runs))
    try:
        test = planned(rarity, draws)
    except TooFewDraws:
        return
    assert test.stretch < draws
    rarest = min((math.prod(min(p, 1 - p) or 1.0 for p in run) for run in runs if run), default=1.0)
    if not test.condition:
        # A product on one side, a sum of at most six logarithms on the other.
        assert test.rarest <= rarest * (1 + 1e-13)
        # A rounding of 1 - p is one of each of up to 10^7 factors.
        assert (1 - rarest) ** test.stretch <= ALPHA / 10 / (2 * 3) * (1 + 1e-8)
