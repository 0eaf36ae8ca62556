"""Where a mean points beside the gradient, and the verdict where a multiple of it will do."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from gradproof.checks.evidence import (
    DIFFERS,
    HOLDS,
    PROPORTIONAL,
    REFUTED,
    UNDECIDED,
    ZERO,
)
from gradproof.checks.user.direction import direction_of
from gradproof.checks.user.estimator import assert_unbiased, check_estimator
from gradproof.checks.user.estimator_report import Biased

LOGITS = np.array([0.3, -0.2, 0.5, 0.1])
COSTS = np.array([1.0, 3.0, 2.0, 5.0])
rng = np.random.default_rng()


def gradient(logits):
    """Of the expected cost."""
    p = softmax(logits)
    return p * (COSTS - p @ COSTS)


def own_sample(logits):
    """Each of three samples is in its own baseline: 2/3 of the gradient."""
    p = softmax(logits)
    y = [rng.choice(4, p=p) for _ in range(3)]
    baseline = COSTS[y].mean()
    return sum((COSTS[one] - baseline) * (np.eye(4)[one] - p) for one in y) / 3


def standardised(logits):
    """Divided by the standard deviation of the group: it points elsewhere."""
    p = softmax(logits)
    y = [rng.choice(4, p=p) for _ in range(3)]
    costs = COSTS[y]
    scaled = (costs - costs.mean()) / (costs.std(ddof=1) + 1e-6)
    return sum(a * (np.eye(4)[one] - p) for a, one in zip(scaled, y, strict=True)) / 3


def score_alone(logits):
    """A score times what does not depend on the draw."""
    p = softmax(logits)
    return 2.5 * (np.eye(4)[rng.choice(4, p=p)] - p)


def one_scaled(logits):
    """Right but in one entry, which is half."""
    return own_sample(logits) * 1.5 * np.array([1.0, 1.0, 0.5, 1.0])


def test_a_multiple_of_the_gradient_is_told_from_another_direction():
    """Each with its numbers; the verdict is that of the mean itself."""
    report = check_estimator(own_sample, [LOGITS], exact=gradient)
    assert report.verdict == REFUTED
    assert report.direction.verdict == PROPORTIONAL
    assert report.direction.factor == pytest.approx(2 / 3, abs=report.direction.factor_error)
    assert report.direction.factor_error < 1e-7  # differences: nobody says what exact= is off by
    assert not report.accepted
    report = check_estimator(standardised, [LOGITS], exact=gradient)
    assert report.direction.verdict == DIFFERS
    mean, exact = report.mean["gradient"], report.exact["gradient"]
    cosine = mean @ exact / np.linalg.norm(mean) / np.linalg.norm(exact)
    assert report.direction.cosine == pytest.approx(cosine, abs=1e-12)  # rounding
    factor = mean @ exact / (exact @ exact)
    assert report.direction.factor == pytest.approx(factor, abs=1e-12)  # rounding
    left = np.linalg.norm(mean - factor * exact) / np.linalg.norm(exact)
    assert report.direction.residual == pytest.approx(left, abs=1e-12)  # rounding
    assert f"{cosine:.4g}" in report.explain()
    report = check_estimator(score_alone, [LOGITS], exact=gradient)
    assert report.direction.verdict == ZERO
    assert math.isnan(report.direction.cosine) or report.direction.residual < 1e-12  # rounding


def test_a_positive_multiple_will_do_where_one_says_so():
    """And nothing else: neither the opposite, nor zero, nor another direction."""
    report = assert_unbiased(own_sample, [LOGITS], exact=gradient, judge="direction")
    assert (report.verdict, report.unbiased, report.accepted) == (PROPORTIONAL, False, True)
    assert report.explain().startswith("own_sample: proportional")
    assert "1 - 1/3" in report.explain()
    for wrong in (standardised, score_alone, one_scaled, lambda logits: -own_sample(logits)):
        with pytest.raises(Biased, match="refuted"):
            assert_unbiased(wrong, [LOGITS], exact=gradient, judge="direction")
    with pytest.raises(Biased):
        assert_unbiased(own_sample, [LOGITS], exact=gradient)


def test_what_holds_needs_no_direction():
    """The gradient itself is accepted either way."""
    for judge in ("equality", "direction"):
        report = check_estimator(
            lambda logits: 1.5 * own_sample(logits), [LOGITS], exact=gradient, judge=judge
        )
        assert report.verdict == HOLDS
        assert report.direction.factor == pytest.approx(1.0, abs=report.direction.factor_error)


def test_one_entry_has_no_direction():
    """Any number is a multiple of another."""
    report = check_estimator(
        lambda x: x * rng.integers(3), [np.array(2.0)], exact=np.array(3.0), judge="direction"
    )
    assert report.verdict == UNDECIDED
    assert "fewer than two entries" in report.explain()


def test_samples_have_no_direction():
    """The mean is not known well enough to be judged by it."""
    report = check_estimator(
        lambda x: x * (1.0 + rng.normal(size=2)) / 2,
        [np.array([1.0, 2.0])],
        exact=np.array([1.0, 2.0]),
        draws=40_000,
        judge="direction",
    )
    assert report.direction is None
    assert report.verdict == UNDECIDED
    assert "over all paths" in report.explain()


def test_a_judge_is_one_of_two():
    """Anything else is named."""
    with pytest.raises(ValueError, match="judge = 'angle', expected 'equality' or 'direction'"):
        check_estimator(own_sample, [LOGITS], exact=gradient, judge="angle")


@given(
    exact=st.lists(st.floats(-2.0, 2.0).filter(lambda x: abs(x) > 0.1), min_size=2, max_size=5),
    factor=st.floats(-3.0, 3.0).filter(lambda x: abs(x) > 0.1 and abs(x - 1.0) > 0.01),
    share=st.sampled_from([0.0, 0.05, 0.5]),
    data=st.data(),
)
def test_a_multiple_is_one_only_if_every_entry_is(exact, factor, share, data):
    """One entry that is moved by a share of itself takes the word back."""
    exact = np.array(exact)
    mean = factor * exact
    place = data.draw(st.integers(0, len(exact) - 1))
    mean[place] *= 1.0 + share
    bound = {"a": np.full_like(exact, 1e-12)}
    found = direction_of(
        REFUTED, {"a": mean}, {"a": exact}, bound, {"a": np.abs(exact)}, {"a": 0.0 * exact}
    )
    assert found.verdict == (DIFFERS if share else PROPORTIONAL)
    if not share:
        assert found.factor == pytest.approx(factor, abs=found.factor_error)
        assert found.residual <= found.residual_error
        assert 1.0 - abs(found.cosine) <= found.cosine_error + 1e-15  # rounding of the cosine


def test_an_entry_that_could_not_be_seen_leaves_the_direction_open():
    """Each entry must be able to show that it is off."""
    exact = {"a": np.array([1.0, 2.0, 1e-3])}
    mean = {"a": 0.5 * exact["a"]}
    bound = {"a": np.array([1e-12, 1e-12, 1e-4])}
    found = direction_of(REFUTED, mean, exact, bound, exact, {"a": np.zeros(3)})
    assert found.verdict == UNDECIDED
    sharp = {"a": np.full(3, 1e-12)}
    assert direction_of(REFUTED, mean, exact, sharp, exact, {"a": np.zeros(3)}).verdict == (
        PROPORTIONAL
    )


def test_errors_of_the_numbers_contain_what_they_should():
    """Moved by no more than the bounds, factor and cosine move by no more than they say."""
    generator = np.random.default_rng()
    for _ in range(200):
        exact, mean = generator.normal(size=(2, 4))
        bound = 10.0 ** generator.uniform(-6, -1) * generator.uniform(size=4)
        there = mean + bound * generator.uniform(-1.0, 1.0, 4)
        one, two = (
            direction_of(
                REFUTED, {"a": m}, {"a": exact}, {"a": bound}, {"a": np.abs(m)}, {"a": np.zeros(4)}
            )
            for m in (mean, there)
        )
        for name in ("factor", "cosine", "residual"):
            off = abs(getattr(one, name) - getattr(two, name))
            assert off <= getattr(one, f"{name}_error") + 1e-12  # rounding
    assert dataclasses.is_dataclass(one)


def test_bounds_that_are_not_known_leave_the_direction_open():
    """Where no error can be bounded, nothing overflows, and nothing is said."""
    exact, far = {"a": np.array([1.0, 2.0])}, {"a": np.full(2, 1e300)}
    found = direction_of(REFUTED, {"a": 3.0 * exact["a"]}, exact, far, exact, {"a": np.zeros(2)})
    assert found.verdict == UNDECIDED
    assert found.factor == pytest.approx(3.0, abs=1e-12)  # rounding
    assert found.cosine_error == pytest.approx(2.0, abs=1e-12)  # rounding


def test_an_entry_that_is_hardly_known_does_not_turn_a_multiple_into_another_direction():
    """The factor is off by what that entry is off by; a third entry that is known shows a bias."""
    exact = {"a": np.array([1.0, 0.5])}
    bound = {"a": np.array([1e-14, 0.1])}
    mean = {"a": np.array([0.5, 0.251])}
    zero = {"a": np.zeros(2)}
    assert direction_of(REFUTED, mean, exact, bound, exact, zero).verdict == UNDECIDED
    opposite = {"a": np.array([0.5, -20.0])}
    assert direction_of(REFUTED, opposite, exact, bound, exact, zero).verdict == DIFFERS


def test_a_mean_of_nothing_is_zero_beside_an_entry_that_is_only_rounding():
    """Such as the bias that all logits share, where the gradient is 1e-16 and not known."""
    exact = {"a": np.array([1.0, -2.0]), "shared": np.array([1e-16])}
    bound = {"a": np.full(2, 1e-11), "shared": np.array([1e-11])}
    own = {"a": np.zeros(2), "shared": np.array([1e-9])}
    nothing = {name: 0.0 * value for name, value in exact.items()}
    assert direction_of(REFUTED, nothing, exact, bound, nothing, own).verdict == ZERO
    blunt = {**bound, "shared": np.array([1e-3])}
    assert direction_of(REFUTED, nothing, exact, blunt, nothing, own).verdict == UNDECIDED


def test_one_entry_that_is_hardly_known_leaves_the_others_as_they_are():
    """Among many that differ; and a multiple is none the less no other direction."""
    exact = {"a": np.array([1.0, 2.0, 3.0, 0.5])}
    bound = {"a": np.array([1e-12, 1e-12, 1e-12, 1.0])}
    bent = {"a": np.array([0.5, 1.0, 1.6, 0.2])}
    found = direction_of(REFUTED, bent, exact, bound, exact, {"a": np.zeros(4)})
    assert found.verdict == DIFFERS
    straight = {"a": np.array([0.5, 1.0, 1.5, 0.9])}
    found = direction_of(REFUTED, straight, exact, bound, exact, {"a": np.zeros(4)})
    assert found.verdict == UNDECIDED
