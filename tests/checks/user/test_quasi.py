"""Means over random nets of points, tested as draws are: verdicts, reports, refusals."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.user.rarity import TooFewDraws
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw

rng = np.random.default_rng()
MEAN = np.array([1.3, -0.5, 0.8, 0.9])

#: A layer that mixes all numbers.
LAYER = np.array([[0.5, 0.3, -0.2, 0.4], [-0.3, 0.6, 0.5, 0.2], [0.7, -0.1, 0.3, -0.4]])

#: The false-alarm rate that fast tests ask for: the range is known from 39 nets then.
FAST = {"strategy": "quasi", "draws": 150, "paths": 2500, "alpha": 0.01}


def kinked(mean, factor=1.0):
    """Pathwise, of the mean of a sum of relu(LAYER x): its derivative jumps."""
    hidden = LAYER @ (mean + rng.normal(size=4))
    return factor * LAYER.T @ (hidden > 0.0)


KINKED = LAYER.T @ norm.cdf(LAYER @ MEAN / np.linalg.norm(LAYER, axis=1))


def smooth(mean, factor=1.0):
    """Pathwise, of the mean of (sum of x)²."""
    x = mean + rng.normal(size=4)
    return factor * 2.0 * x.sum() * np.ones(4)


def switched(mean):
    """The same, doubled or left out by a coin."""
    return (2.0 if rng.random() < 0.5 else 0.0) * smooth(mean)


SMOOTH = 2.0 * MEAN.sum() * np.ones(4)


def check(estimate, exact=SMOOTH, **options):
    """The report on an estimator at MEAN."""
    return check_estimator(estimate, [MEAN], exact=exact, **{**FAST, **options})


def test_a_right_estimator_holds_and_the_report_says_how():
    """How many nets of how many points, the false-alarm rate, and what would have been seen."""
    report = check(switched, paths=5000)
    assert (report.verdict, report.method) == (HOLDS, "quasi")
    assert (report.draws, report.paths) == (150, 150 * 16 * 2)  # two outcomes of the coin
    assert 0.0 < report.detectable < 0.1 * SMOOTH[0]
    said = report.explain()
    assert "150 scrambled Sobol nets of 16 points in 4 dimensions" in said
    assert f"(seed={report.seed})" in said
    assert "A right estimator is refuted with a probability of at most 0.01, on that" in said
    assert "would have been seen with probability 0.9" in said
    assert "times less than means of 16 independent draws" in said
    assert report.condition.startswith("no entry's mean over 16 points has a standard deviation")
    facts = dict(report.section().facts)
    assert (facts["method"], facts["paths"], facts["draws"]) == ("quasi", "4,800", "150")
    assert "of probability" not in facts


def test_the_variance_is_that_of_one_estimate():
    """Twice 2 (sum of x), switched by a coin: E is 8 E (sum of x)² - (2 sum of means)²."""
    exact = 8.0 * (MEAN.sum() ** 2 + 4.0) - SMOOTH[0] ** 2
    report = check(switched, paths=5000)
    # Over 2,400 points and a coin: five standard errors of a variance whose kurtosis is below 8.
    assert np.abs(report.variance["gradient"] - exact).max() < 5.0 * exact * (8.0 / 2400.0) ** 0.5


def test_a_bias_is_refuted_before_all_nets_are_taken():
    """Of a fifth; and the entry is named."""
    report = check(lambda mean: smooth(mean, 1.2))
    assert report.verdict == REFUTED
    assert report.draws < 150
    assert "mean of gradient[" in report.explain()


def test_kinks_do_not_matter():
    """Right, and off by a quarter."""
    options = {"draws": 300, "paths": 2500}
    assert check(kinked, KINKED, **options).verdict != REFUTED
    assert check(lambda mean: kinked(mean, 1.25), KINKED, **options).verdict == REFUTED


def test_what_does_not_vary_is_judged_at_once():
    """A pathwise gradient of a linear cost is the same for all numbers."""

    def linear(mean, factor=1.0):
        x = mean + rng.normal(size=4)
        return factor * np.ones(4) + 0.0 * x

    assert check(linear, np.ones(4)).verdict == HOLDS
    assert check(lambda mean: linear(mean, 1.001), np.ones(4)).verdict == REFUTED


def test_paths_that_use_more_numbers_than_the_first_are_drawn_too():
    """Those beyond the net's dimensions are plain random ones."""

    def estimate(mean):
        total = float((0.0 * mean[0] + rng.normal(size=1))[0] ** 2)
        if total > 3.0:  # rarely: most nets have one dimension
            total += float(((0.0 * mean[:3] + rng.normal(size=3)) ** 2).sum())
        return total * np.ones(1)

    exact = 1.0 + 3.0 * chi2(1).sf(3.0)
    options = {**FAST, "draws": 300, "paths": 5000}
    assert check_estimator(estimate, [MEAN], exact=[exact], **options).verdict != REFUTED
    assert check_estimator(estimate, [MEAN], exact=[1.0], **options).verdict == REFUTED


def test_a_seed_repeats_the_verdict_and_none_is_fixed():
    """To the last bit; without one the report says which was drawn."""
    first = check(smooth)
    again = check(smooth, seed=first.seed)
    assert np.array_equal(first.mean["gradient"], again.mean["gradient"])
    assert f"seed={first.seed}" in first.snippet
    assert not np.array_equal(first.mean["gradient"], check(smooth).mean["gradient"])


def test_means_that_spread_farther_than_the_first_ones_end_undecided(monkeypatch):
    """What is said to be the largest spread is a tenth of what it is."""
    from gradproof.checks.user import quasi

    monkeypatch.setattr(quasi._QuasiCheck, "_largest_sd", lambda self: np.full(4, 0.1))
    report = check(smooth)
    assert report.verdict == UNDECIDED
    assert "something rare matters" in report.explain()


def test_bounds_that_are_known_spare_the_condition():
    """No spread is learnt, and no net is lost to that."""
    options = {"bounds": (-2.0, 2.0), "draws": 200, "paths": 2000}
    report = check(kinked, KINKED, **options)
    assert (report.condition, report.draws) == ("", 200)
    assert report.verdict != REFUTED
    assert check(lambda mean: kinked(mean, 1.4), KINKED, **options).verdict == REFUTED


def test_where_all_paths_can_be_run_the_verdict_is_exact():
    """Nothing continuous is used."""

    def coin(mean):
        return 2.0 * (rng.random() < 0.5) * np.ones(4)

    report = check(coin, np.ones(4))
    assert (report.verdict, report.method, report.paths) == (HOLDS, "enumerated", 2)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"draws": 0}, TypeError, "takes means over random nets of points: pass draws="),
        ({"integrate": 1e-6}, TypeError, "integrate= does not go with strategy='quasi'"),
        ({"sd": 1.0}, TypeError, "sd= does not go with strategy='quasi'"),
        ({"rarest": 0.1}, TypeError, "rarest= does not go with strategy='quasi'"),
        ({"jobs": 2}, TypeError, "jobs= does not go with"),
        ({"strategy": "random"}, ValueError, "expected 'all', 'heaviest', 'quasi'"),
        ({"draws": 20}, TooFewDraws, "nets are needed to know how far their means spread"),
        ({"draws": 2000}, TooManyPaths, "leave no two points for a net"),
    ],
)
def test_what_does_not_go_with_it_is_refused(options, error, words):
    """With what to do about it."""
    with pytest.raises(error, match=words):
        check(smooth, **options)


def test_what_cannot_be_integrated_is_refused_by_name():
    """A number that is used after it was put in order with others, and one without an end."""

    def ordered(mean):
        x = mean + rng.normal(size=4)
        return np.argmax(x) * x

    def endless(mean):
        return rng.poisson(1.0) * (mean + rng.normal(size=4))

    with pytest.raises(UnsupportedDraw, match=r"compared with others.*strategy='quasi' needs"):
        check(ordered)
    with pytest.raises(UnsupportedDraw, match=r"a draw without an end .*beside continuous"):
        check(endless, MEAN)
