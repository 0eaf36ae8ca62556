"""Sampled verdicts: where draws cannot be enumerated, with what could have been seen."""

import random

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.sampled import sample
from gradproof.estimators.replay import Continuous, TooManyPaths


def estimator(scale=1.0):
    """Of the gradient of E[(m + u)^2], u uniform on (-1, 1), by the sample itself: 2 (m + u)."""
    rng = np.random.default_rng()
    return lambda m: scale * 2.0 * (m + rng.uniform(-1.0, 1.0, np.shape(m)))


M = np.array([3.0, -2.0])


def test_what_cannot_be_enumerated_is_sampled_if_that_is_asked_for():
    """The verdict says how, why, on what it rests and what it could have seen."""
    found = check_estimator(estimator(), (M,), exact=2.0 * M, draws=40_000)
    assert (found.verdict, found.method, found.paths) == (HOLDS, "sampled", 0)
    assert found.draws == 40_000
    assert 0.0 < found.detectable < 0.6
    told = found.explain()
    assert "estimator.<locals>.<lambda>: unbiased as far as could be seen." in told
    assert "It was sampled, for Generator.uniform draws what has no outcomes to count." in told
    assert "Valid if draws are independent" in told
    assert "would have been seen with probability 0.9" in told
    with pytest.raises(Continuous, match="pass draws= to sample it instead"):
        check_estimator(estimator(), (M,), exact=2.0 * M)


def test_a_bias_is_found_and_sampling_stops():
    """A fifth too large: long before the last draw that there may be."""
    found = check_estimator(estimator(1.2), (M,), exact=2.0 * M, draws=200_000)
    assert found.verdict == REFUTED
    assert found.draws < 100_000
    assert found.worst.parameter == "gradient"


def test_too_few_samples_decide_nothing():
    """Before the ranges are known nothing is bet, and that is said before it takes long."""
    with pytest.raises(ValueError, match=r"draws is 100, and 17,\d+ are needed to know the range"):
        check_estimator(estimator(), (M,), exact=2.0 * M, draws=100)
    found = check_estimator(estimator(), (M,), exact=2.0 * M, draws=18_000)
    assert found.verdict == UNDECIDED
    assert "Take more draws to tell" in found.explain()


def test_too_many_paths_are_sampled_too():
    """The mean of forty coins."""
    rng = np.random.default_rng()

    def estimate():
        return float((rng.random(40) < 0.25).mean())

    with pytest.raises(TooManyPaths):
        check_estimator(estimate, exact=0.25, paths=100)
    found = check_estimator(estimate, exact=0.25, paths=100, draws=40_000)
    assert found.method == "sampled"
    assert found.verdict == HOLDS
    # Some of the variance of a mean of coins: within what a tenth of the draws would allow.
    assert float(found.variance["gradient"]) == pytest.approx(0.25 * 0.75 / 40, rel=0.2)


def test_a_seed_is_kept_and_undone():
    """The generators that NumPy and Python have of their own are as before."""

    def run():
        return np.array([np.random.rand() + random.random()])  # noqa: NPY002 - people draw so

    known = {"gradient": np.ones(1)}
    before = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002 - it is watched
    options = {"draws": 50, "alpha": 1e-6, "rarest": 0.5}
    first, again = (sample(run, known, seed=5, **options).mean["gradient"] for _ in range(2))
    assert np.array_equal(first, again)
    assert before[0] == random.getstate()
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002 - it is watched
    assert not np.array_equal(sample(run, known, seed=6, **options).mean["gradient"], first)
    with pytest.raises(ValueError, match="draws is 0, expected at least 1"):
        sample(run, known, draws=0, alpha=1e-6, rarest=1e-3)


def test_nan_in_a_sample_is_refuted():
    """With the draw at which it came."""
    rng = np.random.default_rng()

    def estimate():
        return np.array([1.0 + rng.uniform(-0.1, 0.1), np.nan])

    found = check_estimator(estimate, exact=np.ones(2), draws=40_000)
    assert found.verdict == REFUTED
    assert found.worst.index == (1,)
    assert "draw 1 of coordinate 1 is NaN, and so is the mean" in found.explain()
