"""Random nets of points: false alarms, and what is seen beside plain draws.

A rate that is as promised breaks a bound once in ten billion runs. `docs/how-to/continuous.md` has
the rates of many more runs.
"""

import numpy as np
import pytest
from scipy.stats import binom, norm

from gradproof import check_estimator
from gradproof.checks.evidence import REFUTED
from gradproof.estimators.enumeration.integration.random_nets import random_net

#: Probability that one of these tests fails though the rates are as promised.
MAY_FAIL = 1e-10

#: Nominal rate of false alarms: so large that it can be measured.
ALPHA = 0.05

rng = np.random.default_rng()


def smooth(cases):
    """Pathwise, of a square of a sum."""
    mean = cases.normal(size=3)

    def estimate(mean):
        return 2.0 * (mean + rng.normal(size=3)).sum() * np.ones(3)

    return mean, estimate, 2.0 * mean.sum() * np.ones(3)


def kinked(cases):
    """Pathwise, of a layer of relus: it jumps in a sum of all numbers."""
    mean, layer = cases.normal(size=3), cases.normal(size=(2, 3))

    def estimate(mean):
        return layer.T @ (layer @ (mean + rng.normal(size=3)) > 0.0)

    return mean, estimate, layer.T @ norm.cdf(layer @ mean / np.linalg.norm(layer, axis=1))


def skewed(cases):
    """Pathwise, of an exponential function: the mean rests on few large estimates."""
    mean, slope = cases.normal(size=3), cases.uniform(0.3, 1.0)

    def estimate(mean):
        return slope * np.exp(slope * (mean + rng.normal(size=3)))

    return mean, estimate, slope * np.exp(slope * mean + slope**2 / 2.0)


def rare(cases):
    """A cost of ten in a twentieth of a law, which few of the first nets meet."""
    mean, end = cases.normal(size=3), norm.isf(0.05)

    def estimate(mean):
        z = 0.0 * mean + rng.normal(size=3)
        return 10.0 * z * (z.sum() > end * 3.0**0.5)

    return mean, estimate, np.full(3, 10.0 * norm.pdf(end) / 3.0**0.5)


NULLS = {"smooth": smooth, "kinked": kinked, "skewed": skewed, "rare": rare}


def check(mean, estimate, exact, **options):
    """The report on one check, by nets of two points: the worst there is."""
    options = {"draws": 90, "paths": 190, "alpha": ALPHA, **options}
    return check_estimator(estimate, [mean], exact=exact, strategy="quasi", **options)


def false_alarms(name, cases, trials):
    """How many of so many right estimators are refuted."""
    return sum(check(*NULLS[name](cases)).verdict == REFUTED for _ in range(trials))


@pytest.mark.parametrize("name", NULLS)
def test_false_alarms_are_as_rare_as_promised(name, pytestconfig, record_property):
    """Of right estimators, each time another one, with other nets."""
    cases = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    trials = 15
    count = false_alarms(name, cases, trials)
    record_property(f"false alarms, quasi, {name}", count / trials)
    assert count <= int(binom.isf(MAY_FAIL, trials, ALPHA))


def test_a_bias_is_seen_in_fewer_paths_than_plain_draws_learn_a_range_from(pytestconfig):
    """Of a twentieth, at the default false-alarm rate, where plain draws need some 20,000."""
    cases = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    mean, estimate, exact = smooth(cases)
    mean = np.abs(mean) + 1.0
    exact = 2.0 * mean.sum() * np.ones(3)
    biased = check(
        mean, lambda mean: 1.05 * estimate(mean), exact, alpha=1e-6, draws=300, paths=9700
    )
    assert biased.verdict == REFUTED
    assert biased.paths < 9700


def autoencoder(cases):
    """The reparameterised ELBO of a model with 16 normal latents and a decoder of relus."""
    w, v = cases.normal(size=(16, 16)) / 4.0, cases.normal(size=(12, 16)) / 4.0
    x, mean = np.round(cases.uniform(size=12)), 0.5 * cases.normal(size=16)

    def gradients(noise):
        z = mean + 0.7 * noise
        hidden = z @ w.T
        logits = np.maximum(hidden, 0.0) @ v.T
        return ((x - 1.0 / (1.0 + np.exp(-logits))) @ v * (hidden > 0.0)) @ w - z

    return mean, gradients


def policy(cases):
    """The score-function estimator of a normal policy of three weights, on a batch of 20 states."""
    weights, states = 0.3 * cases.normal(size=3), cases.normal(size=(20, 3))

    def gradients(noise):
        actions = states @ weights + noise
        rewards = -((actions - np.sin(states[:, 0])) ** 2)
        return (rewards * noise) @ states / 20.0

    return weights, gradients


LARGE = {"autoencoder": (autoencoder, 16), "policy": (policy, 20)}


def paths_until_refuted(name, factor, cases, **options):
    """Paths that a check takes to refute an estimator times a factor; infinite if it does not."""
    make, numbers = LARGE[name]
    at, gradients = make(cases)
    net = norm.ppf(random_net(cases, numbers, 2**17))
    exact = gradients(net).mean(0)
    noise = gradients(norm.ppf(random_net(cases, numbers, 2**17))).mean(0) - exact

    def estimate(at):
        return factor * gradients(0.0 * at[0] + rng.normal(size=numbers))

    report = check_estimator(
        estimate,
        [at],
        exact=exact,
        exact_error=4.0 * np.abs(noise).max() * np.ones_like(at),
        **options,
    )
    return (report.paths or report.draws) if report.verdict == REFUTED else np.inf


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_bias_of_many_numbers_is_seen_before_plain_draws_know_their_range(name, pytestconfig):
    """A range takes them 18,000 draws and more."""
    cases = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    options = {"strategy": "quasi", "draws": 500, "paths": 16_500}
    assert paths_until_refuted(name, 1.15, cases, **options) < 16_500
