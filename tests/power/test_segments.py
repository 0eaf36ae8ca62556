"""Estimators against objectives, both sampled along segments: false alarms, and what is seen.

A rate that is as promised breaks a bound once in ten billion runs. `docs/how-to/sampling.md` has
the rates of many more runs.
"""

import numpy as np
import pytest
from scipy.stats import binom

from gradproof import check_estimator
from gradproof.checks.evidence import REFUTED

#: Probability that one of these tests fails though the rates are as promised.
MAY_FAIL = 1e-10

#: Nominal rate of false alarms: so large that it can be measured.
ALPHA = 0.05

#: Outcomes of a probability of a twentieth are learnt from, on some hundred draws.
OPTIONS = {"alpha": ALPHA, "rarest": 0.05, "draws": 400}


def gaussian(rng):
    """REINFORCE with normal draws: the product of a cost and a score, of heavy tails."""

    def draw(theta):
        noise = rng.standard_normal(2)
        return noise, ((theta + noise - 1.0) ** 2).sum()

    return np.array([-0.5, 0.8]), lambda t: draw(t)[1], lambda t: np.multiply(*draw(t))


def exponential(rng):
    """REINFORCE with exponential draws of rate theta, and their squares as the cost: skewed."""

    def draw(theta):
        x = rng.standard_exponential(1) / theta
        return 1.0 / theta - x, float(x[0] ** 2)

    return np.array([1.5]), lambda t: draw(t)[1], lambda t: np.multiply(*draw(t))


def students(rng):
    """Pathwise, with Student's noise of three degrees of freedom: of infinite fourth moment."""

    def objective(theta):
        return float((np.sin(theta) + theta * rng.standard_t(3, 2)).sum())

    return np.array([0.4, -1.0]), objective, lambda t: np.cos(t) + rng.standard_t(3, 2)


def rare(rng):
    """A coin of probability 0.05 decides about a cost of twenty, and normal noise is added."""

    def objective(theta):
        p = 0.05 / (1.0 + np.exp(-theta[0]))
        return float(20.0 * (rng.random() < p) + rng.standard_normal())

    def estimate(theta):
        odds = 1.0 / (1.0 + np.exp(-theta))
        p = 0.05 * odds
        slope = p * (1.0 - odds)
        hit = rng.random() < p[0]
        cost = 20.0 * hit + rng.standard_normal()
        return cost * (slope / p if hit else -slope / (1.0 - p))

    return np.array([1.0]), objective, estimate


NULLS = {"gaussian": gaussian, "exponential": exponential, "students": students, "rare": rare}


def refuted(make, rng, factor=1.0, **options):
    """Whether one check refutes an estimator, scaled."""
    theta, objective, estimate = make(rng)
    found = check_estimator(
        lambda t: factor * estimate(t), [theta], objective=objective, **{**OPTIONS, **options}
    )
    return found.verdict == REFUTED


@pytest.mark.parametrize("name", NULLS)
def test_false_alarms_are_as_rare_as_promised(name, pytestconfig, record_property):
    """Of right estimators, whose samples have heavy tails, are skewed, or rarely large."""
    rng = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    trials = 25
    count = sum(refuted(NULLS[name], rng) for _ in range(trials))
    record_property(f"false alarms, segments, {name}", count / trials)
    assert count <= int(binom.isf(MAY_FAIL, trials, ALPHA))


@pytest.mark.parametrize("factor", [-1.0, 0.5])
def test_what_is_off_by_much_is_seen(factor, pytestconfig):
    """A sign, or a half: within 8,000 draws in three checks of four, within 40,000 in 24 of 24."""
    rng = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    assert refuted(students, rng, factor, alpha=1e-6, rarest=0.02, draws=100_000)
