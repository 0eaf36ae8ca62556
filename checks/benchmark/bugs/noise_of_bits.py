"""Estimators for bits that use the noise a bit is made of: ARM, and the control variates of REBAR.

Reference:
    Yin and Zhou (2019), ARM: augment-REINFORCE-merge gradient for stochastic binary networks.
    Tucker et al. (2017), REBAR: low-variance, unbiased gradient estimates for discrete latent
    variable models. Grathwohl et al. (2018), Backpropagation through the void (RELAX).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...evidence import PROPORTIONAL
from .row import right, wrong
from .toy_problem import FEATURES, TorchProblem, integrated

#: One bit: its logit is the features times these, (D,).
BIT = np.array([0.8, 0.9])

#: Of the control variate, and another that is used by mistake.
TEMPERATURE, ANOTHER = 0.5, 1.0


def _cost(bit: Any) -> Any:
    """Of a bit, or of what lies between bits: not linear."""
    return 1.4 * bit + 0.9 * (bit - 0.3) ** 2


def _mean(u: Any) -> Any:
    p = 1.0 / (1.0 + np.exp(-FEATURES[0] @ u))
    return p * _cost(1.0) + (1.0 - p) * _cost(0.0)


# ------------------------------------------------------------------ ARM


def _arm(s: TorchProblem, u: Any, *, how: str) -> Any:
    """Yin and Zhou (2019): both bits are made of one uniform number, which is a factor too."""
    logit = s.x[:1] @ u
    p = logit.detach().sigmoid()
    noise = s.torch.rand(1, dtype=logit.dtype)
    first = (noise > 1.0 - p).to(logit.dtype)
    second = (noise < p).to(logit.dtype)
    difference = _cost(first) - _cost(second)
    if how == "swapped":
        difference = -difference
    centred = 2.0 * noise - 1.0 if how == "doubled" else noise - 0.5
    return (difference * centred * logit).sum()


_arms = functools.partial(integrated, _arm, (BIT,), _mean)


# ------------------------------------------------------------------ REBAR and RELAX


def _noisy(s: TorchProblem, u: Any, *, same: bool = False) -> tuple[Any, Any, Any]:
    """A bit's log-probability and the bit, what it is made of, and the same drawn anew given it."""
    logit = s.x[:1] @ u
    p = logit.sigmoid()
    noise = s.torch.rand(1, dtype=logit.dtype)
    z = logit + noise.logit()
    bit = (z > 0.0).to(logit.dtype)
    log_probability = bit * p.log() + (1.0 - bit) * (1.0 - p).log()
    if same:
        return (bit, log_probability), z, z
    again = s.torch.rand(1, dtype=logit.dtype)
    # Noise below 1 - p makes a zero, and noise above it a one.
    given = bit * (1.0 - p) + (bit * p + (1.0 - bit) * (1.0 - p)) * again
    return (bit, log_probability), z, logit + given.logit()


def _rebar(s: TorchProblem, u: Any, *, how: str = "") -> Any:
    (bit, log_probability), z, given = _noisy(s, u, same=how == "same noise")
    if how == "conditional detached":
        given = given.detach()
    other = ANOTHER if how == "temperatures" else TEMPERATURE
    relaxed, held = _cost((z / TEMPERATURE).sigmoid()), _cost((given / other).sigmoid())
    weight = _cost(bit) - (held if how == "in graph" else held.detach())
    coupled = (relaxed - held) * (-1.0 if how == "sign" else 1.0)
    return (weight * log_probability + coupled).sum()


_rebars = functools.partial(integrated, _rebar, (BIT,), _mean)


def _free(z: Any) -> Any:
    """A control variate that is no relaxed cost, as a network would be."""
    return 1.3 * z.tanh() - 0.4 * (0.6 * z + 0.5).tanh()


def _relax(s: TorchProblem, u: Any, *, pathwise: bool) -> Any:
    (bit, log_probability), z, given = _noisy(s, u)
    held = _free(given)
    coupled = _free(z) - held if pathwise else 0.0
    return ((_cost(bit) - held.detach()) * log_probability + coupled).sum()


_relaxes = functools.partial(integrated, _relax, (BIT,), _mean)


_ARM = "Yin and Zhou (2019), ARM: augment-REINFORCE-merge gradient"
_REBAR = "Tucker et al. (2017), REBAR: low-variance, unbiased gradient estimates"
_RELAX = "Grathwohl et al. (2018), Backpropagation through the void"

ROWS = (
    *right(
        "arm",
        "The costs of two bits of one uniform number, apart, times that number less one half.",
        _ARM,
        _arms(how=""),
    ),
    *right(
        "rebar",
        "The relaxed cost, given the bit, is a control variate; its mean comes back pathwise.",
        _REBAR,
        _rebars(),
    ),
    *right(
        "relax",
        "The same of any function of the noise, which need not be the relaxed cost.",
        _RELAX,
        _relaxes(pathwise=True),
    ),
    *wrong(
        "arm-swapped",
        "The two costs are swapped: the gradient has the other sign.",
        _ARM + ", with its costs swapped",
        _arms(how="swapped"),
        direction=PROPORTIONAL,
        factor=-1.0,
    ),
    *wrong(
        "arm-half-missing",
        "The difference is multiplied by twice the number less one, and by no half.",
        _ARM + ", as DisARM's authors write it, without their factor of one half",
        _arms(how="doubled"),
        direction=PROPORTIONAL,
        factor=2.0,
    ),
    *wrong(
        "rebar-pathwise-sign",
        "What comes back pathwise is subtracted where it should be added.",
        _REBAR + ", with two terms swapped",
        _rebars(how="sign"),
    ),
    *wrong(
        "rebar-same-noise",
        "The control variate is made of the bit's own noise, not of noise drawn anew given it.",
        _REBAR + ", without its conditional noise",
        _rebars(how="same noise"),
    ),
    *wrong(
        "rebar-conditional-detached",
        "The conditional noise is detached, as if it did not depend on the parameters.",
        _REBAR + ", with a stop-gradient too many",
        _rebars(how="conditional detached"),
    ),
    *wrong(
        "rebar-two-temperatures",
        "The control variate has another temperature where its mean is added again.",
        _REBAR + ", with two temperatures",
        _rebars(how="temperatures"),
    ),
    *wrong(
        "rebar-control-in-graph",
        "The control variate is not detached where it is subtracted from the cost.",
        _REBAR + ", without its stop-gradient",
        _rebars(how="in graph"),
    ),
    *wrong(
        "relax-pathwise-missing",
        "A control variate that depends on the bit, whose mean is not added again.",
        _RELAX + ", without its pathwise terms",
        _relaxes(pathwise=False),
    ),
)
