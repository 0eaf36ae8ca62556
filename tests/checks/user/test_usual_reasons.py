"""What is said of a mean that is off in a simple way, and that no more is said than is so."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof import check_estimator
from gradproof.checks.user.usual_reasons import usual_reasons

from .policy import COST, THETA, exact, softmax


def samples(count, weigh):
    """A score-function estimator of so many samples; ``weigh`` gives a weight for each."""
    rng = np.random.default_rng()

    def estimate(theta):
        p = softmax(theta)
        y = rng.choice(len(p), size=count, p=p)
        return np.sum(weigh(COST[y])[:, None] * (np.eye(len(p))[y] - p), axis=0)

    return estimate


OWN_BASELINE = "as where each of {n} samples is in its own baseline"

PLANTED = {
    "its own baseline, of two": (
        samples(2, lambda c: (c - c.mean()) / 2),
        [OWN_BASELINE.format(n=2), "1/2: as where a mean over 2 samples stands for their sum"],
    ),
    "its own baseline, of three": (
        samples(3, lambda c: (c - c.mean()) / 3),
        [OWN_BASELINE.format(n=3), "The mean is 0.6667 times"],
    ),
    "a sum for a mean": (samples(3, lambda c: c), ["a sum over 3 samples stands for their mean"]),
    "a mean for a sum": (samples(3, lambda c: c / 9), ["1/3: as where a mean over 3 samples"]),
    "costs in a column": (
        samples(3, lambda c: (c[:, None] * np.ones(3)).mean(axis=0) / 3),
        ["1/3: as where", "costs of shape (3, 1) meet log-probabilities of shape (3,)"],
    ),
    "the wrong sign": (samples(1, lambda c: -c), ["minus the gradient", "The sign is wrong"]),
    "a constant weight": (samples(1, lambda c: 0 * c + 2), ["Gradients cancel over the paths"]),
    "no weight": (samples(1, lambda c: 0 * c), ["There is no gradient on any path"]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_usual_reason_is_told(name):
    """Of the mistakes that everybody makes once."""
    estimate, words = PLANTED[name]
    said = check_estimator(estimate, (THETA,), exact=exact).explain()
    for some in words:
        assert some in said


def test_nothing_is_told_of_a_mean_that_is_no_number():
    """Returns that are divided by their standard deviation, on a path where they are all equal."""

    def estimate(theta):
        gradient = samples(1, lambda c: c)(theta)
        return gradient if gradient[0] > 0.0 else gradient * np.nan

    said = check_estimator(estimate, (THETA,), exact=exact).explain()
    assert "NaN where" in said
    assert "The exact gradient is zero" not in said


def test_nothing_is_told_of_a_right_one():
    """The leave-one-out baseline is right."""
    estimate = samples(3, lambda c: (c - (c.sum() - c) / 2) / 3)
    report = check_estimator(estimate, (THETA,), exact=exact)
    assert report.unbiased
    assert "The mean is" not in report.explain()


def test_one_parameter_of_two():
    """It is named, with what is the matter with it, and the other is said to be right."""
    one = samples(1, lambda c: c)
    report = check_estimator(
        lambda theta: {"policy": (g := one(theta)), "critic": -g},
        (THETA,),
        exact={"policy": exact(THETA), "critic": exact(THETA)},
    )
    said = report.explain()
    assert "Only critic is off; the rest is right." in said
    assert "The mean of critic is minus the gradient." in said
    assert "The exact gradient is zero for" not in said


def test_a_parameter_with_a_loss_of_its_own():
    """The objective of the others has no gradient there: it is said how to give both."""
    one = samples(1, lambda c: c)
    report = check_estimator(
        lambda theta: {"actor": one(theta), "critic": theta},
        (THETA,),
        exact={"actor": exact(THETA), "critic": np.zeros_like(THETA)},
    )
    said = report.explain()
    assert "Only critic is off; the rest is right." in said
    assert "name an objective for each part" in said


def test_parameters_that_are_off_alike_share_a_sentence():
    """However many they are; and the rest is only said to be right if an error would have shown."""
    gradient = {name: np.array([1.0, 2.0, 3.0]) for name in "abcd"}
    bound = {name: np.full(3, 1e-12) for name in "abcd"}
    mean = {name: value if name == "d" else value / 2 for name, value in gradient.items()}
    first, *others = usual_reasons(mean, gradient, bound, gradient, 1)
    assert first == "Only a, b, c are off; the rest is right."
    assert others == ["The mean of each of a, b, c is 0.5000 times the gradient."]
    first, *_ = usual_reasons(mean, gradient, bound, gradient, 1, unseen=["d"])
    assert first == "Only a, b, c are off; the rest is right as far as could be seen."
    first, *_ = usual_reasons(mean, gradient, bound, gradient, 1, unseen=["a"])
    assert first.endswith("the rest is right.")


def test_a_learned_baseline_is_told_of_objectives_for_each_part():
    """Its own loss has a gradient where the gradient of the cost is zero."""
    mean = {"encoder": np.array([1.0, 2.0]), "baseline": np.array([3.0])}
    gradient = mean | {"baseline": np.zeros(1)}
    bound = {name: np.full_like(value, 1e-12) for name, value in mean.items()}
    said = usual_reasons(mean, gradient, bound, mean, 1)
    assert said[0] == "Only baseline is off; the rest is right."
    assert said[1].startswith("The exact gradient is zero for baseline. A learned baseline")
    assert len(said) == 2


@given(
    factor=st.floats(-3.0, 3.0).filter(lambda x: abs(x) > 1e-3 and abs(x - 1.0) > 1e-3),
    draws=st.integers(0, 64),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_reason_is_only_of_a_factor_that_is_its_own(factor, draws, seed):
    """A guess of N names an N for which it is so, and no more samples than are drawn."""
    gradient = {"a": np.random.default_rng(seed).uniform(0.5, 1.0, 3)}
    bound = {"a": np.full(3, 1e-12)}
    said = usual_reasons({"a": factor * gradient["a"]}, gradient, bound, gradient, draws)
    for n in range(2, 100):
        for words, simple in (
            (f"each of {n} samples", 1 - 1 / n),
            (f"a mean over {n} samples", 1 / n),
            (f"a sum over {n} samples", n),
        ):
            if any(words in line for line in said if not line.startswith("(1 - 1/")):
                assert n <= draws
                # NEAR, and what rounds in the factor.
                assert factor == pytest.approx(simple, rel=2e-6)
    for line in said:
        both = re.match(r"\(1 - 1/(\d+)\)/(\d+): ", line)
        if both:
            n, m = map(int, both.groups())
            assert max(n, m) <= draws
            assert factor == pytest.approx((1 - 1 / n) / m, rel=2e-6)  # the same


def test_one_entry_that_is_off_otherwise_takes_the_words_back():
    """A factor in all but one entry is none."""
    gradient = {"a": np.array([1.0, 2.0, 3.0])}
    bound = {"a": np.full(3, 1e-12)}
    mean = {"a": np.array([0.5, 1.0, 1.6])}
    assert usual_reasons(mean, gradient, bound, gradient, 2) == []
