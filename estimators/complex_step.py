"""A derivative without differentiation: the imaginary part of a complex step."""

from __future__ import annotations

import numpy as np

from .backends import Arrays, Build
from .backends.autograd_backend import AutogradOps

#: Its square is below the smallest double, so that the step leaves no truncation error at all.
STEP = 1e-200


def derivative(build: Build, parameters: Arrays, inputs: Arrays, direction: Arrays) -> float:
    """Directional derivative of a scalar ``build``, to rounding and independent of reverse mode.

    Valid when: the build is analytic in its parameters (no absolute value, no comparison of them
    but to find a largest entry), holds nothing constant, and every label has a positive
    probability.

    Reference:
        Squire and Trapp (1998), Using Complex Variables to Estimate Derivatives of Real Functions.
    """
    stepped = {
        name: np.asarray(value, dtype=np.float64) + 1j * STEP * direction[name]
        for name, value in parameters.items()
    }
    return float(np.imag(build(AutogradOps(), stepped, inputs)) / STEP)
