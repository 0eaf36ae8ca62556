"""Gaussians: the closed forms are those of SciPy and of quadrature."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.note.value_bounds import count_roundings, unit_roundoff
from gradproof.reference_models import gaussian

OPS = AutogradOps()

#: Three nodes integrate polynomials up to degree five against a Gaussian without error; the
#: logarithm of a ratio of Gaussians has degree two.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(3)

#: Of means and log variances. A log density or a divergence is a sum in which log variances, up to
#: this large, may cancel against the quadratic term.
LARGEST = 8.0

numbers = st.floats(-LARGEST, LARGEST, allow_subnormal=False)


@st.composite
def gaussians(draw):
    """Mean, log variance and a point, and those of another Gaussian, each (M, H)."""
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    return [np.reshape(draw(st.tuples(*[numbers] * (shape[0] * shape[1]))), shape) for _ in "abcde"]


def assert_close(compute, arrays, expected, largest):
    """Equal within the roundings of both sides, each of which passes numbers up to ``largest``."""
    named = dict(enumerate(arrays))
    roundings = count_roundings(
        lambda ops, given, _: compute(ops, *given.values()), named, {}
    ).operations
    found = compute(OPS, *arrays)
    assert found.shape == np.shape(expected)
    bound = 2 * roundings * unit_roundoff(np.float64) * (1.0 + largest)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=bound)


@given(arrays=gaussians())
def test_log_density_is_that_of_scipy(arrays):
    """The log density sums over the last axis, and is that of a variance, not a deviation."""
    x, mean, log_variance, _, _ = arrays
    terms = stats.norm.logpdf(x, mean, np.exp(0.5 * log_variance))
    largest = (np.abs(terms) + LARGEST).sum()
    assert_close(gaussian.log_density, arrays[:3], terms.sum(axis=-1), largest)


@given(arrays=gaussians())
def test_a_sample_is_a_quantile(arrays):
    """The draw at noise z is the quantile of N(mean, variance) where z is that of N(0, 1)."""
    mean, log_variance, z, _, _ = arrays
    sigma = np.exp(0.5 * log_variance)
    # By the tail of |z|: a probability near 1 has no digits left for its distance to 1. An error of
    # the tail moves z by its relative size over the hazard, which is at least 0.79.
    quantile = mean + np.sign(z) * stats.norm.isf(stats.norm.sf(np.abs(z)), 0.0, sigma)
    largest = np.abs(mean) + sigma * (1.0 + np.abs(z))
    assert_close(gaussian.sample, (mean, log_variance, z), quantile, largest.max())


@given(arrays=gaussians())
def test_divergence_to_standard_is_the_integral(arrays):
    """KL to N(0, I) is E_q[log q - log p], summed over the last axis."""
    mean, log_variance, _, _, _ = arrays
    expected, largest = integral(mean, log_variance, np.zeros_like(mean), np.zeros_like(mean))
    assert_close(gaussian.kl_to_standard, (mean, log_variance), expected, largest)


@given(arrays=gaussians())
def test_divergence_between_is_the_integral(arrays):
    """KL of one Gaussian to another is E_q[log q - log p], in this order."""
    expected, largest = integral(*arrays[:4])
    assert_close(gaussian.kl_between, arrays[:4], expected, largest)


def integral(mean, log_variance, other_mean, other_log_variance):
    """E_q[log q - log p] by quadrature, and the largest sum of magnitudes in it."""
    sigma, other_sigma = np.exp(0.5 * log_variance), np.exp(0.5 * other_log_variance)
    at = mean + sigma * NODES[:, None, None]
    logs = stats.norm.logpdf(at, mean, sigma), stats.norm.logpdf(at, other_mean, other_sigma)
    weights = WEIGHTS / np.sqrt(2.0 * np.pi)
    values = np.tensordot(weights, logs[0] - logs[1], axes=1)
    # A node is rounded too, and moves each log density by its slope there.
    slopes = np.abs(at - mean) / sigma**2 + np.abs(at - other_mean) / other_sigma**2
    sizes = np.abs(logs[0]) + np.abs(logs[1]) + np.abs(at) * slopes + 2.0 * LARGEST
    return values.sum(axis=-1), np.tensordot(weights, sizes, axes=1).sum(axis=-1).max()


@given(arrays=gaussians())
def test_divergence_is_zero_at_the_same_gaussian_alone(arrays):
    """KL vanishes where both Gaussians are the same, and nowhere is it negative."""
    mean, log_variance, other_mean, other_log_variance, _ = arrays
    np.testing.assert_array_equal(
        gaussian.kl_between(OPS, mean, log_variance, mean, log_variance), 0.0
    )
    apart = gaussian.kl_between(OPS, mean, log_variance, other_mean, other_log_variance)
    far = np.abs(mean - other_mean).max(axis=-1) > 1.0
    assert (apart[far] > 0.0).all()
