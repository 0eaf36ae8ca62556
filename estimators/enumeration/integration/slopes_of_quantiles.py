"""Derivatives of gamma and beta numbers by their parameters, at a fixed share of their law.

Reference:
    Figurnov, Mohamed and Mnih (2018), Implicit reparameterization gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

#: Relative steps of differences of the fourth order: the fifth root of a rounding is best.
STEP = float(np.finfo(np.float64).eps) ** 0.2


def _slope(function: Callable[[float], float], at: float) -> float:
    step = STEP * at
    near = function(at + step) - function(at - step)
    far = function(at + 2.0 * step) - function(at - 2.0 * step)
    return (8.0 * near - far) / (12.0 * step)


def gamma_slope(shape: float, value: float) -> float:
    """Of a gamma number of scale one, by its shape."""
    if special.gammainc(shape, value) < 0.5:
        share = special.gammainc(shape, value)
        return _slope(lambda a: float(special.gammaincinv(a, share)), shape)
    share = special.gammaincc(shape, value)
    return _slope(lambda a: float(special.gammainccinv(a, share)), shape)


def beta_slopes(one: float, other: float, value: float) -> tuple[float, float]:
    """Of a beta number, by each of its two parameters."""
    share = special.betainc(one, other, value)
    if share < 0.5:
        return (
            _slope(lambda a: float(special.betaincinv(a, other, share)), one),
            _slope(lambda b: float(special.betaincinv(one, b, share)), other),
        )
    # Of one minus the number, where the share of what is above is known better.
    share = special.betainc(other, one, 1.0 - value)
    return (
        -_slope(lambda a: float(special.betaincinv(other, a, share)), one),
        -_slope(lambda b: float(special.betaincinv(b, one, share)), other),
    )
