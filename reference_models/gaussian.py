"""Diagonal Gaussians: sampling by a fixed noise, log density, closed-form divergences (nats)."""

from __future__ import annotations

import math

from .ops import Array, Ops

LOG_TWO_PI = math.log(2.0 * math.pi)


def sample(ops: Ops, mean: Array, log_variance: Array, noise: Array) -> Array:
    """``mean + sigma * noise``, the reparameterised draw; all of shape (..., H).

    Reference:
        Kingma and Welling (2014), Auto-encoding variational Bayes.
    """
    return mean + ops.exp(0.5 * log_variance) * noise


def log_density(ops: Ops, x: Array, mean: Array, log_variance: Array) -> Array:
    """Log N(x; mean, exp(log_variance)), summed over the last axis: shape (...)."""
    quadratic = ops.square(x - mean) * ops.exp(-log_variance)
    return -0.5 * ops.sum(quadratic + log_variance + LOG_TWO_PI, axis=-1)


def kl_to_standard(ops: Ops, mean: Array, log_variance: Array) -> Array:
    """KL( N(mean, exp(log_variance)) || N(0, I) ), summed over the last axis: shape (...).

    Reference:
        Kingma and Welling (2014), appendix B; claim ``kl.closed_form``.
    """
    return 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance, axis=-1)


def kl_between(
    ops: Ops, mean: Array, log_variance: Array, other_mean: Array, other_log_variance: Array
) -> Array:
    """KL of one diagonal Gaussian to another, summed over the last axis: shape (...)."""
    ratio = ops.exp(log_variance - other_log_variance)
    shift = ops.square(mean - other_mean) * ops.exp(-other_log_variance)
    return 0.5 * ops.sum(ratio + shift - 1.0 - log_variance + other_log_variance, axis=-1)
