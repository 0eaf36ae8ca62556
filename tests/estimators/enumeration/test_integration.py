"""Rules that integrate over continuous numbers, and what is estimated of their errors."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from gradproof.estimators.enumeration.integration.boxes import agree, integrate_by_boxes, is_blind
from gradproof.estimators.enumeration.integration.laws import (
    beta_law,
    gamma_law,
    is_light,
    law_of_chain,
    nodes_of,
    nodes_of_parts,
)
from gradproof.estimators.enumeration.integration.quadrature import Quadrature
from gradproof.estimators.enumeration.integration.slopes_of_quantiles import (
    beta_slopes,
    gamma_slope,
)
from gradproof.estimators.enumeration.integration.sparse_grid import integrate_smooth
from gradproof.estimators.enumeration.monotone import CAUCHY, NORMAL, Known

from ...power.integrands import moments_of

#: Roundings of a rule of some dozen nodes, relative to what it gives.
ROUNDING = 1e-12

#: What SciPy's integrals are good for.
SCIPY = 1e-8

LAWS = {
    "normal": (law_of_chain((NORMAL,)), stats.norm()),
    "uniform": (law_of_chain(()), stats.uniform()),
    "exponential": (law_of_chain((Known("log"),)), None),  # of minus such numbers
    "gamma": (gamma_law(2.3), stats.gamma(2.3)),
    "gamma of a small shape": (gamma_law(0.3), stats.gamma(0.3)),
    "gamma of a large shape": (gamma_law(150.0), stats.gamma(150.0)),
    "beta": (beta_law(0.7, 2.0), stats.beta(0.7, 2.0)),
}


@pytest.mark.parametrize("name", [name for name, (_, known) in LAWS.items() if known is not None])
def test_gauss_rules_have_the_moments_of_their_laws(name):
    """Of eight nodes, all moments below the sixteenth: the first six are compared."""
    law, known = LAWS[name]
    nodes = nodes_of(law, 0.0, 1.0, 8)
    assert math.fsum(nodes.weights) == pytest.approx(1.0, abs=ROUNDING)
    for power in range(1, 7):
        exact = known.moment(power)
        size = float(nodes.weights @ np.abs(nodes.values) ** power)
        # SciPy integrates most of these numerically.
        assert float(nodes.weights @ nodes.values**power) == pytest.approx(exact, abs=SCIPY * size)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.3), (0.3, 0.6), (0.9, 1.0)])
def test_parts_of_a_law_have_rules_of_their_own(low, high):
    """Of a normal number between two quantiles; the parts make up the whole."""
    nodes = nodes_of(LAWS["normal"][0], low, high, 8)
    ends = stats.norm.ppf([low, high])
    exact = stats.norm.expect(np.sin, lb=ends[0], ub=ends[1], conditional=True)
    assert float(nodes.weights @ np.sin(nodes.values)) == pytest.approx(exact, abs=SCIPY)
    assert (nodes.values > ends[0]).all()
    assert (nodes.values < ends[1]).all()


def test_a_rule_of_two_parts_is_one_of_the_whole():
    """Polynomials of low degree are exact; and it has no symmetry."""
    nodes = nodes_of_parts(LAWS["normal"][0], 0.0, 1.0, 8)
    for power, exact in enumerate((1.0, 0.0, 1.0, 0.0, 3.0)):
        # The tails of a part are cut off where nothing is left of them in double precision.
        assert float(nodes.weights @ nodes.values**power) == pytest.approx(exact, abs=SCIPY)
    assert abs(float(nodes.weights[nodes.values > 0.0].sum()) - 0.5) > SCIPY


def test_laws_whose_tails_rule_their_moments_are_known():
    """A log-normal or Cauchy number is no polynomial's friend; Gumbel and logistic ones are."""
    one = np.ones(1)
    gumbel = (Known("log"), *_times(-one), Known("log"), *_times(-one))
    assert is_light(law_of_chain(gumbel))
    assert not is_light(law_of_chain((CAUCHY,)))
    assert not is_light(law_of_chain((NORMAL, *_times(2.0 * one), Known("exp"))))


def _times(by):
    from gradproof.estimators.enumeration.monotone import Factor

    return (Factor(by),)


@pytest.mark.parametrize("shape", [0.3, 1.0, 4.0, 60.0])
def test_slopes_of_gamma_numbers(shape):
    """The mean of a gamma number is its shape: its slope by it is one."""
    nodes = nodes_of(gamma_law(shape), 0.0, 1.0, 24)
    slopes = np.array([gamma_slope(shape, value) for value in nodes.values])
    good = np.isfinite(slopes)
    # Far out differences of quantiles are no numbers, where a rule of 24 nodes has no weight.
    assert nodes.weights[~good].sum() < 1e-12
    # Slopes are no polynomials: so good are the rules, measured.
    assert float(nodes.weights[good] @ slopes[good]) == pytest.approx(1.0, rel=2e-2)


def test_slopes_of_beta_numbers():
    """Of the mean a / (a + b), on both sides of the median."""
    one, other = 1.5, 2.5
    nodes = nodes_of(beta_law(one, other), 0.0, 1.0, 32)
    slopes = np.array([beta_slopes(one, other, value) for value in nodes.values])
    found = nodes.weights @ slopes
    total = (one + other) ** 2
    assert found[0] == pytest.approx(other / total, rel=1e-3)  # slopes are no polynomials
    assert found[1] == pytest.approx(-one / total, rel=1e-3)


@pytest.mark.parametrize(
    ("count", "tolerance"), [(1, 1e-6), (2, 1e-6), (3, 1e-6), (4, 1e-3), (6, 0.1)]
)
def test_smooth_means_of_several_numbers(count, tolerance):
    """Known in closed form: the mean of the exponential of a sum of normal numbers.

    So well as 20,000 paths allow.
    """
    laws = [LAWS["normal"][0]] * count
    moments_by = moments_of(lambda x: np.exp(0.4 * x.sum(axis=1))[:, None], laws)
    found = integrate_smooth(moments_by, count, 1e-6, 20_000, by_function=False)
    exact = math.exp(0.08 * count)
    assert found.is_within(tolerance)
    assert abs(found.sums.mean[0] - exact) <= found.error[0]
    assert found.paths <= 20_000


def test_a_jump_is_found_by_halving():
    """Where no rule of the whole law converges."""
    moments_by = moments_of(lambda x: (x > 0.7).astype(float), [LAWS["normal"][0]])
    smooth = integrate_smooth(moments_by, 1, 1e-6, 5_000, by_function=False)
    assert not smooth.is_within(1e-3)
    found = integrate_by_boxes(moments_by, 1, 1e-6, 5_000)
    exact = stats.norm.sf(0.7)
    assert abs(found.sums.mean[0] - exact) <= found.error[0]
    assert found.error[0] < 1e-4  # what may be unseen, as a share of the mean


def test_a_jump_that_symmetry_hides_is_no_small_error():
    """Even rules of a symmetrical law give a half for each threshold near its middle."""
    moments_by = moments_of(lambda x: (x > -0.05).astype(float), [LAWS["normal"][0]])
    found = integrate_smooth(moments_by, 1, 1e-6, 5_000, by_function=False)
    exact = stats.norm.sf(-0.05)
    assert abs(found.sums.mean[0] - exact) <= found.error[0]


def _with_spike(x):
    """Ten and a bell of width 0.01, of which two grids see nothing."""
    return 10.0 + np.exp(-0.5 * ((x - WHERE) / SPIKE) ** 2) / SPIKE


#: Where a bell is.
WHERE = 0.613

#: The width of a bell that hardly ever happens.
SPIKE = 0.01


def test_what_happens_between_the_nodes_of_a_rule_is_looked_for():
    """Larger rules agree on the mean without it, which is 8 % less; boxes lie closer."""
    moments_by = moments_of(_with_spike, [LAWS["normal"][0]])
    width = math.hypot(1.0, SPIKE)
    exact = 10.0 + math.sqrt(2.0 * math.pi) * stats.norm.pdf(WHERE, scale=width)
    smooth = integrate_smooth(moments_by, 1, 1e-6, 5_000, by_function=False)
    assert smooth.is_within(1e-6)
    assert abs(smooth.sums.mean[0] - exact) > 1e-2 * exact
    assert is_blind(moments_by, smooth, 5_000)
    found = integrate_by_boxes(moments_by, 1, 1e-6, 5_000)
    assert not agree(found, smooth)
    assert abs(found.sums.mean[0] - exact) <= found.error[0]


def test_smooth_functions_hide_nothing():
    """The look agrees with rules that are right."""
    moments_by = moments_of(lambda x: np.exp(0.4 * x), [LAWS["normal"][0]])
    found = integrate_smooth(moments_by, 1, 1e-6, 5_000, by_function=False)
    assert not is_blind(moments_by, found, 5_000)


@pytest.mark.parametrize(("rate", "is_known"), [(0.2, True), (0.4, True), (0.62, False)])
def test_squares_that_have_no_mean_are_not_known(rate, is_known):
    """Of exp(rate x² / 2), normal x: the mean is finite below a rate of 1, its square of 1/2."""
    moments_by = moments_of(lambda x: np.exp(0.5 * rate * x**2), [LAWS["normal"][0]])
    found = integrate_smooth(moments_by, 1, 1e-3, 5_000, by_function=False)
    assert found.knows_squares(1e-2) is is_known


def test_a_kink_of_two_numbers():
    """The largest of two normal numbers has the mean 1 over the root of pi."""
    laws = [LAWS["normal"][0]] * 2
    moments_by = moments_of(lambda x: x.max(axis=1)[:, None], laws)
    found = integrate_by_boxes(moments_by, 2, 1e-6, 8_000)
    assert abs(found.sums.mean[0] - 1.0 / math.sqrt(math.pi)) <= found.error[0]


def test_what_has_no_mean_has_a_large_error():
    """Sums over more and more nodes go on growing."""
    moments_by = moments_of(np.abs, [law_of_chain((CAUCHY,))])
    found = integrate_smooth(moments_by, 1, 1e-6, 5_000, by_function=False)
    assert not found.is_within(1e-2)


def test_rules_of_a_uniform_number_may_suit_what_is_made_of_it():
    """Its logarithm has few nodes then; SciPy's integral is the witness."""
    quadrature = Quadrature((4,), by_function=True)
    assert quadrature.by_function
    law = law_of_chain((Known("log"),))
    nodes = nodes_of(law, 0.0, 1.0, 4)
    exact, _ = integrate.quad(lambda u: math.log(u) ** 3, 0.0, 1.0)
    assert float(nodes.weights @ nodes.values**3) == pytest.approx(exact, rel=SCIPY)
