"""Stochastic arithmetic: what rounding inside a user's code can do to its result, measured.

Every floating-point result inside is moved at random by as much as rounding could have moved it,
and a little more; what the final result then spreads over is what rounding can have done to it.

Reference:
    Vignes (1993), A stochastic arithmetic for reliable scientific computation (CESTAC). Parker
    (1997), Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic.
"""

from .arithmetic import perturbation
from .deviations import (
    FACTOR,
    ROUNDINGS,
    RUNS,
    Deviations,
    largest_deviation,
    measured,
    moved_runs,
)
from .observed import is_observed, observed
from .perturbation import Perturbation
from .ulps import Steps

__all__ = [
    "FACTOR",
    "ROUNDINGS",
    "RUNS",
    "Deviations",
    "Perturbation",
    "Steps",
    "is_observed",
    "largest_deviation",
    "measured",
    "moved_runs",
    "observed",
    "perturbation",
]
