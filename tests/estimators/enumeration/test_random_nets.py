"""Nets of points that are scrambled: each point uniform, nets independent, means unbiased."""

import numpy as np
import pytest
from scipy.stats import chi2, kstest, norm, qmc

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.integration.laws import law_of_chain
from gradproof.estimators.enumeration.integration.quadrature import PartOfLaw
from gradproof.estimators.enumeration.integration.random_nets import (
    RandomNets,
    RandomPoint,
    random_net,
)

#: Probability that a test of randomness fails though all is as it should be.
MAY_FAIL = 1e-9

NETS = 1500


@pytest.fixture
def rng(pytestconfig):
    """Another one in each session."""
    return np.random.default_rng(int(pytestconfig.option.hypothesis_seed))


def is_uniform(points):
    """Whether coordinates (N, D) look uniform and independent of each other."""
    each = min(kstest(column, "uniform").pvalue for column in points.T)
    cells = np.histogram2d(points[:, 0], points[:, 1], bins=4, range=[[0, 1], [0, 1]])[0]
    expected = len(points) / 16.0
    pairs = chi2(15).sf(((cells - expected) ** 2 / expected).sum())
    return min(each, pairs) > MAY_FAIL


@pytest.mark.parametrize("place", [0, 1, 5, 7])
def test_each_point_of_a_net_is_uniform(place, rng):
    """By itself, over nets; a net that is not scrambled is not."""
    assert is_uniform(np.array([random_net(rng, 3, 8)[place] for _ in range(NETS)]))
    plain = qmc.Sobol(3, scramble=False).random_base2(3)[place]
    assert not is_uniform(np.array([plain] * NETS))
    # Shifted by a quarter of the cube at most: each point stays near its place.
    near = np.array([(plain + 0.25 * rng.random(3)) % 1.0 for _ in range(NETS)])
    assert not is_uniform(near)


def test_a_net_fills_the_cube_evenly_and_never_reaches_its_ends(rng):
    """One point in each eighth of every axis, of eight."""
    for _ in range(20):
        net = random_net(rng, 5, 8)
        assert ((net > 0.0) & (net <= 1.0)).all()
        assert (
            np.sort(np.floor(np.minimum(net, 0.999) * 8.0), axis=0) == np.arange(8)[:, None]
        ).all()
    assert random_net(rng, 0, 4).shape == (4, 0)


def test_two_nets_are_independent(rng):
    """Of the same generator; pairs of their first points look uniform in the square."""
    pairs = [np.append(random_net(rng, 1, 4)[0], random_net(rng, 1, 4)[0]) for _ in range(NETS)]
    assert is_uniform(np.array(pairs))


def test_coordinates_beyond_a_point_are_drawn_once():
    """A number that is asked for again, as when a path is repeated, is the same."""
    further = iter((0.25, 0.5, 0.75))
    point = RandomPoint(np.array([0.125]), lambda: next(further))
    part = PartOfLaw(law_of_chain(()), 2.0**-52, 0.0, 1.0)
    taken = [point.nodes(None, place, part).values[0] for place in (0, 2, 1, 2)]
    assert taken == [0.125, 0.5, 0.25, 0.5]


def test_a_share_is_below_one_in_the_arithmetic_of_the_draw():
    """In single precision the next number below one, where a double would be rounded to one."""
    point = RandomPoint(np.array([1.0 - 2.0**-53]), lambda: 0.5)
    single = float(np.finfo(np.float32).eps)
    value = point.nodes(None, 0, PartOfLaw(law_of_chain(()), single, 0.0, 1.0)).values[0]
    assert np.float32(value) == np.nextafter(np.float32(1.0), np.float32(0.0))


def test_means_over_nets_are_unbiased_with_discrete_draws_and_a_branch(rng):
    """A number that is compared first, and used on one side; against closed forms."""
    draws = np.random.default_rng()

    def estimate(theta):
        z = draws.normal(size=2)
        if z[0] > theta[0]:  # a draw of two outcomes; then z lies beyond
            return np.array([float((0.0 * theta + z[:1])[0]), 0.0])
        coin = draws.random() < 0.25
        return np.array([0.0, coin * float((0.0 * theta + z[1:])[0] ** 2)])

    theta = np.array([0.3])
    exact = np.array([norm.pdf(0.3), 0.25 * norm.cdf(0.3)])
    layout = GradientLayout({"gradient": np.zeros(2)})
    with Enumeration(Estimator(estimate, [theta]), 1000, batch=False) as enumeration:
        nets = RandomNets(enumeration, layout, rng)
        nets.look()
        means = np.array([nets.mean(4) for _ in range(150)])
    assert (nets.per_node, nets.numbers) == (3, 1)
    error = means.std(0, ddof=1) / 150.0**0.5
    # Seven standard errors: once in 1e11 of a normal mean.
    assert (np.abs(means.mean(0) - exact) < 7.0 * error).all()
    assert not (np.abs(means.mean(0) - 2.0 * exact) < 7.0 * error).any()
