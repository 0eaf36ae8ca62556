"""A categorical policy with its exact gradient: what estimators of these tests are about."""

import numpy as np

THETA = np.array([0.3, -1.0, 0.5])
COST = np.array([1.0, 2.0, -3.0])


def softmax(theta):
    """Probabilities."""
    weights = np.exp(theta - theta.max())
    return weights / weights.sum()


def exact(theta):
    """The gradient of the expected cost."""
    p = softmax(theta)
    return p * (COST - p @ COST)
