"""The anytime-valid test of a mean: what it says, of what, and what it refuses."""

import dataclasses
import math

import numpy as np
import pytest

from gradproof.checks.evidence import NothingCompared
from gradproof.checks.sequential.mean_test import BeyondRange, MeanTest

#: Probability of a false alarm, and of a missed bug, of each test here that draws.
RARE = 1e-9

#: Sums of thousands of samples, in blocks and at once; their mean is of the size of a sample.
ROUNDING = 1e-13

SIZE = 5


@pytest.fixture
def rng(pytestconfig):
    """With the run's own seed, which the header names."""
    return np.random.default_rng(int(pytestconfig.option.hypothesis_seed))


def signs(rng, draws, size=SIZE):
    """Samples of -1 and 1, of mean 0 and standard deviation 1."""
    return 2.0 * rng.integers(0, 2, size=(draws, size)) - 1.0


#: Every way to say what is known, with the range wide enough for a shift of 1.
KNOWN = {
    "range": {"low": -2.0, "high": 2.0},
    "sd": {"sd": 1.0},
    "covariance": {"covariance": np.eye(SIZE)},
    "nothing": {"rarest": 0.05},
}


@pytest.fixture(params=KNOWN)
def known(request):
    """One of the four."""
    return KNOWN[request.param]


def found(samples, exact=None, **options):
    """What is found of a block."""
    test = MeanTest(np.zeros(samples.shape[1]) if exact is None else exact, **options)
    test.feed(samples)
    return test.found()


def enough(**options):
    """Draws after which a shift of one standard deviation is missed less than once in a billion.

    On a thousand draws the logarithm of wealth grows by 200 or more on average, give or take 15,
    and 23 are enough, for an alarm of 1e9 and ten bettors. The others are spent on learning.
    """
    return MeanTest(np.zeros(SIZE), alpha=RARE, **options).stretch + 1000


def test_a_right_mean_is_not_rejected(known, rng):
    """By any knowledge, and the record says on what it rests and what it could have seen."""
    one = found(signs(rng, enough(**known)), alpha=RARE, **known)
    assert not one.rejected
    assert one.draws == enough(**known)
    assert one.bets == 1000
    assert 0.0 < one.e_value < 1 / RARE <= one.threshold
    assert not one.joint
    assert np.all(one.detectable > 0.0)
    assert np.all(one.detectable < 1.0)
    assert "nothing found" in one.explain()
    assert one.assumption in one.explain()
    assert f"{one.detectable[one.worst]:.1e}" in one.explain()


def test_it_rejects_at_one_over_alpha(known):
    """Or a little later, where a part of alpha is kept for ranges that were learnt."""
    one = MeanTest(np.zeros(SIZE), alpha=RARE, **known)
    assert 1.0 / RARE <= one.threshold <= 1.25 / RARE  # a tenth of alpha is kept


@pytest.mark.parametrize("precision", [2.0**-52, 2.0**-23])
def test_a_shift_of_roundings_is_no_bias(precision):
    """Samples that are all off one way by a few units in the last place, and hardly vary."""
    rng = np.random.default_rng(0)  # what is tested does not depend on it
    samples = 1.0 + 2.0 * precision + 0.1 * precision * rng.normal(size=(20_000, SIZE))
    known = {"alpha": RARE, "sd": 0.5 * precision}
    assert not found(samples, np.ones(SIZE), precision=precision, **known).rejected
    # The same shift where samples are known to be finer than that.
    assert found(samples, np.ones(SIZE), precision=1e-3 * precision, **known).rejected


def test_a_wrong_coordinate_is_rejected_early_and_named(known, rng):
    """With its mean, and what the mean should be."""
    samples = signs(rng, enough(**known))
    samples[:, 3] += 1.0
    one = found(samples, alpha=RARE, **known)
    assert one.rejected
    assert one.draws < enough(**known)
    assert one.e_value >= one.threshold * (1.0 - 1e-9)  # it is kept as a logarithm
    assert one.worst == 3
    assert one.exact == 0.0
    drawn = samples[: one.draws, 3]
    assert one.mean == pytest.approx(drawn.mean(), rel=ROUNDING, abs=0.0)
    error = drawn.std(ddof=1) / one.draws**0.5
    assert one.standard_error == pytest.approx(error, rel=ROUNDING, abs=0.0)
    assert not one.reason
    assert "coordinate 3" in one.explain()
    assert f"{one.mean:.6e}, should be {one.exact:.6e}" in one.explain()


def test_a_bias_in_a_direction_is_said_to_be_one(rng):
    """Coordinates that vary together, a bias that does not: none is off by much."""
    noise = rng.normal(size=(4000, 1))
    bias = np.array([0.1, -0.1, 0.1, -0.1])
    samples = noise + 0.1 * rng.normal(size=(4000, 4)) + bias
    covariance = 1.0 + 0.01 * np.eye(4)
    one = found(samples, alpha=RARE, covariance=covariance)
    assert one.rejected
    assert one.joint
    assert "direction" in one.explain()
    # The same without knowing how they vary together: a tenth of a standard deviation each.
    assert not found(samples[: one.draws], alpha=RARE**2, sd=np.sqrt(1.01)).rejected


def test_how_samples_are_cut_into_blocks_changes_nothing(known, rng):
    """One by one, in blocks, or all at once."""
    samples = signs(rng, enough(**known)) + 0.3
    once, ragged = (MeanTest(np.zeros(SIZE), alpha=RARE, **known) for _ in range(2))
    once.feed(samples)
    place = 0
    while place < len(samples) and not ragged.rejected:
        size = int(rng.integers(0, 70))
        ragged.feed(samples[place] if size == 1 else samples[place : place + size])
        place += size
    one, other = once.found(), ragged.found()
    assert (one.rejected, one.draws) == (other.rejected, other.draws)
    # Two coordinates may be as bad as each other to the last digit: then either is the worst.
    assert one.mean == pytest.approx(other.mean, rel=ROUNDING, abs=0.0)
    # Wealth is a product of as many factors, of which each comes from a mean.
    assert math.log(one.e_value) == pytest.approx(math.log(other.e_value), rel=10 * ROUNDING)


def test_samples_after_a_rejection_are_ignored(known, rng):
    """The evidence is that of the draw that decided."""
    test = MeanTest(np.zeros(SIZE), alpha=RARE, **known)
    assert test.feed(signs(rng, enough(**known)) + 1.0)
    before = test.found()
    assert test.feed(signs(rng, 10))
    assert test.found().draws == before.draws
    assert test.found().e_value == before.e_value


@pytest.mark.parametrize(
    ("value", "word"), [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")]
)
@pytest.mark.parametrize("at", [0, 7])
def test_what_is_no_number_has_no_mean(known, at, value, word, rng):
    """Rejected at that draw, and the place is named."""
    samples = signs(rng, 20)
    samples[at, 2] = value
    one = found(samples, alpha=RARE, **known)
    assert one.rejected
    assert one.draws == at + 1
    assert one.e_value == math.inf
    assert one.worst == 2
    assert not math.isfinite(one.mean)
    assert f"draw {at + 1} of coordinate 2 is {word}" in one.explain()
    assert one.condition == ""  # whatever is rare


def test_no_samples_are_no_evidence():
    """Nor are those of an empty block."""
    test = MeanTest(np.zeros(SIZE), sd=1.0)
    test.feed(np.zeros((0, SIZE)))
    with pytest.raises(NothingCompared, match="zero samples"):
        test.found()


def test_a_coordinate_that_never_varies_and_is_right_is_fine(known, rng):
    """Also if it is right but for rounding, or 0."""
    exact = np.array([0.0, 1 / 3, 0.0, 0.0, 0.0])
    samples = signs(rng, enough(**known))
    samples[:, 1:3] = exact[1] * (1.0 + 1e-15), 0.0
    one = found(samples, exact, alpha=RARE, **known)
    assert not one.rejected
    assert np.all(one.detectable[1:3] < 1.0)


def test_a_coordinate_that_never_varies_and_is_wrong_is_rejected_by_its_first_draw():
    """Where it is known that it never varies, nothing need be bet."""
    exact, samples = np.array([0.0, 2.0]), np.array([[0.0, 2.1]])
    for options, words in (
        ({"low": [-1.0, 2.1], "high": [1.0, 2.1]}, "lies between 2.100000e+00 and 2.100000e+00"),
        ({"sd": [1.0, 0.0]}, "its sd is given as 0"),
    ):
        one = found(samples, exact, **options)
        assert one.rejected
        assert (one.draws, one.worst, one.e_value) == (1, 1, math.inf)
        assert words in one.explain()


def test_a_range_that_was_learnt_is_a_reason_to_bet_and_none_to_be_certain(rng):
    """No draw was anywhere near the exact mean: it takes bets nevertheless, and a condition."""
    samples = signs(rng, enough(rarest=0.05) + 1000)
    samples[:, 4] = 0.1
    one = found(samples, alpha=RARE, rarest=0.05)
    assert one.rejected
    assert one.draws > MeanTest(np.zeros(SIZE), alpha=RARE, rarest=0.05).stretch
    assert one.bets > 0
    assert one.threshold <= one.e_value < math.inf
    assert (one.worst, one.reason) == (4, "")
    assert one.condition == "no outcome rarer than 0.05 lies far beyond all others"
    assert f"the mean is not the exact one, if {one.condition}: " in one.explain()


def test_an_entry_whose_label_never_came_has_the_scale_of_the_others(rng):
    """A right mean, of which a label of 1e-5 makes all there is in one entry."""
    p, cost = np.array([0.6, 0.39999, 0.00001]), np.array([1.0, 2.0, 5.0])
    exact = p * (cost - p @ cost)
    labels = rng.choice(2, size=6000, p=[0.6, 0.4])  # the third does not come
    samples = cost[labels, None] * (np.eye(3)[labels] - p)
    options = {"alpha": RARE, "rarest": 0.01}
    assert not found(samples, exact, **options).rejected
    # Had that entry no scale but its own, what never came would be taken for impossible.
    alone = found(samples, exact, groups=[0, 0, 1], **options)
    assert alone.rejected
    assert alone.worst == 2
    assert alone.condition


def test_a_group_in_which_nothing_varies_has_the_scale_of_the_largest(rng):
    """A whole parameter may belong to a label that did not come."""
    samples = np.column_stack([signs(rng, enough(rarest=0.05), 4), np.zeros(enough(rarest=0.05))])
    exact = np.array([0.0, 0.0, 0.0, 0.0, 1e-5])
    options = {"alpha": RARE, "rarest": 0.05}
    assert not found(samples, exact, groups=[0, 0, 0, 0, 1], **options).rejected


@pytest.mark.parametrize("knowledge", [{"low": -2.0, "high": 2.0}, {"sd": 1.0}])
def test_what_is_given_is_no_condition(knowledge, rng):
    """Whoever gives it knows it; the record says that all rests on it."""
    one = found(signs(rng, 100), alpha=RARE, **knowledge)
    assert one.condition == ""
    assert "that was given" in one.assumption


def test_outcomes_whose_probabilities_were_seen_are_no_condition(rng):
    """So many draws that all outcomes are among them, but for a tenth of alpha."""
    test = MeanTest(np.zeros(SIZE), alpha=RARE)
    test.expect(0.5, depth=1)
    assert test.stretch == math.ceil(math.log(2 * SIZE * 2 / (RARE / 10)) / 0.5)
    test.expect(0.25, depth=2)
    assert test.stretch == math.ceil(math.log(2 * SIZE * 6 / (RARE / 10)) / 0.25)
    assert test.feed(signs(rng, test.stretch + 1000) + 1.0)
    one = test.found()
    assert one.condition == ""
    assert "the mean is not the exact one: e-value" in one.explain()
    assert "by which no path is less likely than 0.25" in one.assumption
    with pytest.raises(ValueError, match="the range is known"):
        test.expect(0.1)


def test_rarer_outcomes_may_be_expected_while_the_range_is_learnt(rng):
    """Then nothing is bet before as many draws as they take."""
    test = MeanTest(np.zeros(SIZE), alpha=RARE, rarest=0.05)
    before = test.stretch
    test.feed(signs(rng, before - 1))
    test.expect(0.01)
    assert 5 * (before - 1) < test.stretch <= 5 * before  # both are rounded up
    test.feed(signs(rng, test.stretch - before + 1))
    assert test.found().bets == 0
    test.feed(signs(rng, 10))
    assert test.found().bets == 10
    for probability in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match=f"rarest is {probability}"):
            MeanTest([0.0]).expect(probability)


def test_an_exact_mean_may_be_off_by_what_is_said(known, rng):
    """As much is no reason to reject it, ten times as much is; also by coordinate."""
    samples = signs(rng, enough(**known) + 4000) + 0.05
    options = {"alpha": RARE, **known}
    assert not found(samples, exact_error=0.05, **options).rejected
    assert not found(samples, exact_error=np.full(SIZE, 0.06), **options).rejected
    samples[:, 1] += 0.45
    for error in (0.05, [0.05, 0.05, 0.05, 0.05, 0.05], [1.0, 0.05, 1.0, 1.0, 1.0]):
        one = found(samples, exact_error=error, **options)
        assert one.rejected
        assert one.worst == 1


def test_what_never_varies_may_be_off_as_the_exact_mean_is():
    """By a range of no length, or a standard deviation of 0; one sample is enough beyond that."""
    for options in ({"low": 1.001, "high": 1.001}, {"sd": 0.0}):
        samples = np.full((50, 1), 1.001)
        assert found(samples, [1.0], **options).rejected
        assert not found(samples, [1.0], exact_error=0.0011, **options).rejected
        assert found(samples, [1.0], exact_error=0.0009, **options).rejected


def test_before_the_range_was_learnt_nothing_is_decided(rng):
    """However wrong the mean is, and the words are not those of a test that was passed."""
    test = MeanTest(np.zeros(SIZE))
    assert test.stretch == math.ceil(math.log(2 * SIZE / 1e-7) / 1e-4)
    assert not test.feed(signs(rng, 1000) + 1.0)
    one = test.found()
    assert one.bets == 0
    assert one.e_value == 1.0
    assert np.all(one.detectable == np.inf)
    assert "undecided" in one.explain()
    assert one.worst in range(SIZE)


def test_an_outcome_that_was_not_to_be_expected_drops_the_evidence(rng):
    """The record says that its assumption is false, and begins anew."""
    options = {"alpha": RARE, "rarest": 0.05}
    test = MeanTest(np.zeros(SIZE), **options)
    test.feed(signs(rng, test.stretch + 50))
    surprise = np.zeros(SIZE)
    surprise[1] = 100.0
    assert test.found().bets == 50
    before, rarest = test.stretch, test.rarest
    assert not test.feed(surprise)
    one = test.found()
    assert one.bets == 0
    assert one.e_value <= 1.0
    assert test.rarest == rarest / 2.0
    assert 2 * (before - 1) < test.stretch <= 2 * before  # both are rounded up
    assert one.condition == "no outcome rarer than 0.025 lies far beyond all others"
    assert "coordinate 1 is 1.000000e+02" in one.explain()
    assert "assumption is false" in one.explain()
    assert not test.feed(signs(rng, test.stretch))
    assert test.found().bets == 0
    test.feed(signs(rng, 50))
    assert test.found().bets == 50


def test_a_sample_beyond_a_range_that_was_given_is_an_error(rng):
    """Neither verdict would mean anything; it is named."""
    samples = signs(rng, 20)
    samples[9, 1] = 2.5
    test = MeanTest(np.zeros(SIZE), alpha=RARE, low=-2.0, high=2.0)
    with pytest.raises(BeyondRange, match=r"draw 10 of coordinate 1 is 2\.500000e\+00, beyond"):
        test.feed(samples)
    assert test.found().draws == 9


def test_rounding_in_single_precision_is_not_bet_on():
    """The precision is that of the samples; told another, the test believes it."""
    exact = np.full(SIZE, 1.0)
    off = np.float32(1.0 + 1e-5)
    samples = np.tile(off, (2000, SIZE)).astype(np.float32)
    options = {"alpha": RARE, "low": 1.0 - 2e-5, "high": 1.0 + 2e-5}
    assert not found(samples, exact, **options).rejected
    assert found(samples, exact, precision=1e-16, **options).rejected


def test_one_coordinate_and_many_have_no_direction(rng):
    """One is its own; the scatter of many would cost too much."""
    for size in (1, 300):
        one = found(signs(rng, 500, size) + 1.0, alpha=RARE, low=-2.0, high=2.0)
        assert one.rejected
        assert not one.joint
        assert one.detectable.shape == (size,)


def test_coordinates_that_are_copies_of_each_other_are_no_trouble(rng):
    """Their scatter has no inverse."""
    right = np.repeat(signs(rng, 2000, 1), 4, axis=1)
    wrong = right + np.array([0.0, 0.0, 0.01, 0.0])
    options = {"alpha": RARE, "covariance": np.ones((4, 4))}
    assert not found(right, **options).rejected
    assert not found(right, alpha=RARE, low=-2.0, high=2.0).rejected
    one = found(wrong, **options)
    assert one.rejected  # of a hundredth of a standard deviation, as the others do not have it
    assert one.joint


def test_the_exact_mean_is_kept_as_it_was(rng):
    """Whatever is done to the caller's array afterwards."""
    exact = np.zeros(SIZE)
    test = MeanTest(exact, alpha=RARE, low=-2.0, high=2.0)
    exact += 1.0
    assert not test.feed(signs(rng, 1000))


def test_a_record_is_frozen(rng):
    """Asserts and tables read the same."""
    one = found(signs(rng, 10), sd=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.rejected = True


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ([[]], {}, ValueError, "exact has shape"),
        ([[[0.0]]], {}, ValueError, "exact has shape"),
        ([[0.0, math.nan]], {}, ValueError, "exact is not finite in coordinate 1"),
        ([[0.0]], {"alpha": 0.0}, ValueError, "alpha is 0.0"),
        ([[0.0]], {"alpha": math.nan}, ValueError, "alpha is nan"),
        ([[0.0]], {"power": 1.0}, ValueError, "power is 1.0"),
        ([[0.0]], {"rarest": -1.0}, ValueError, "rarest is -1.0"),
        ([[0.0]], {"precision": -1.0}, ValueError, "precision is -1.0"),
        ([[0.0]], {"widen": 0.5}, ValueError, "widen is 0.5"),
        ([[0.0]], {"exact_error": -1.0}, ValueError, "exact_error is -1.0"),
        ([[0.0]], {"exact_error": math.inf}, ValueError, "exact_error is not finite"),
        ([[0.0]], {"exact_error": [1.0, 1.0]}, ValueError, "exact_error has shape"),
        ([[0.0]], {"groups": [0, 1]}, ValueError, "groups has shape"),
        ([[0.0]], {"groups": [0.5]}, ValueError, "groups has shape"),
        ([[0.0]], {"groups": [-1]}, ValueError, "groups has shape"),
        ([[0.0]], {"low": 0.0}, TypeError, "both low= and high="),
        ([[0.0]], {"low": 0.0, "high": 1.0, "sd": 1.0}, TypeError, "at most one of"),
        ([[0.0]], {"low": 1.0, "high": 0.0}, ValueError, "low exceeds high in coordinate 0"),
        ([[0.0]], {"low": -math.inf, "high": 0.0}, ValueError, "low is not finite"),
        ([[0.0]], {"sd": [1.0, 1.0]}, ValueError, "sd has shape"),
        ([[0.0]], {"sd": -1.0}, ValueError, "negative"),
        ([[0.0]], {"covariance": 1.0}, ValueError, "covariance has shape"),
        ([[0.0]], {"covariance": [[-1.0]]}, ValueError, "covariance is not positive semidefinite"),
    ],
)
def test_arguments_that_do_not_fit(arguments, options, error, words):
    """Each is an error in words."""
    with pytest.raises(error, match=words):
        MeanTest(*arguments, **options)


@pytest.mark.parametrize(
    ("samples", "error", "words"),
    [
        (np.zeros(2), ValueError, r"samples have shape \(2,\), should be \(5,\) or \(B, 5\)"),
        (np.zeros((1, 1, SIZE)), ValueError, "samples have shape"),
        (0.0, ValueError, "samples have shape"),
        (np.zeros(SIZE, dtype=complex), TypeError, "complex128, should be real"),
        (np.zeros(SIZE, dtype=bool), TypeError, "bool, should be real"),
        (["a"] * SIZE, TypeError, "should be real"),
    ],
)
def test_samples_that_do_not_fit(samples, error, words):
    """Each is an error in words."""
    with pytest.raises(error, match=words):
        MeanTest(np.zeros(SIZE), sd=1.0).feed(samples)
