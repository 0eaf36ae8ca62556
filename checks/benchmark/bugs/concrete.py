"""Relaxed bits and labels: right for the relaxed cost, and not for that of bits and labels.

Reference:
    Maddison, Mnih and Teh (2017), The Concrete distribution: a continuous relaxation of discrete
    random variables. Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .row import right, wrong
from .toy_problem import FEATURES, TorchProblem, integrated

TEMPERATURE = 0.7

#: Of the relaxed bit: its logit is the features times these, (D,). Logits of two labels, (2,).
BIT, LOGITS = np.array([0.8, 0.9]), np.array([0.6, -0.5])

#: What labels are worth.
WORTH = np.array([1.7, -0.4])

#: Log odds of noise, for exact means by the trapezoidal rule, whose error falls exponentially with
#: the step here. Beyond 40 there is less probability than a rounding.
ODDS = np.linspace(-40.0, 40.0, 1601)


def _cost(bit: Any) -> Any:
    """Of a bit, or of what lies between bits: not linear."""
    return 1.4 * bit + 0.9 * (bit - 0.3) ** 2


def _over_odds(value: Any) -> Any:
    """The mean of a function of standard logistic noise."""
    density = np.exp(-np.abs(ODDS)) / (1.0 + np.exp(-np.abs(ODDS))) ** 2
    return (density * value(ODDS)).sum() * (ODDS[1] - ODDS[0])


def _sigmoid(logit: Any) -> Any:
    return 0.5 + 0.5 * np.tanh(0.5 * logit)


# ------------------------------------------------------------------ a bit


def _bits_mean(u: Any) -> Any:
    p = _sigmoid(FEATURES[0] @ u)
    return p * _cost(1.0) + (1.0 - p) * _cost(0.0)


def _relaxed_mean(u: Any) -> Any:
    logit = FEATURES[0] @ u
    return _over_odds(lambda odds: _cost(_sigmoid((logit + odds) / TEMPERATURE)))


def _relaxed(s: TorchProblem, u: Any, *, how: str = "") -> Any:
    logit = s.x[:1] @ u
    odds = s.torch.rand(1, dtype=logit.dtype).logit()
    if how == "straight through":
        share = ((logit + odds) / TEMPERATURE).sigmoid()
        bit = (logit + odds > 0.0).to(logit.dtype)
        return _cost(bit + share - share.detach()).sum()
    if how == "noise not divided":
        return _cost((logit / TEMPERATURE + odds).sigmoid()).sum()
    temperature = s.constant(TEMPERATURE)
    q = s.torch.distributions.RelaxedBernoulli(temperature, logits=logit, validate_args=False)
    return _cost(q.rsample()).sum()


_bits = functools.partial(integrated, _relaxed, (BIT,))


# ------------------------------------------------------------------ labels


def _worth_of(share: Any, worth: Any) -> Any:
    """Of shares of two labels."""
    return (share * worth).sum() + 0.8 * share[0] * share[1] + (share[0] - 0.2) ** 2


def _softmax_mean(logits: Any) -> Any:
    """Two Gumbel numbers differ by a logistic one."""

    def worth(odds: Any) -> Any:
        share = _sigmoid((logits[0] - logits[1] + odds) / TEMPERATURE)
        first, second = share, 1.0 - share
        return first * WORTH[0] + second * WORTH[1] + 0.8 * first * second + (first - 0.2) ** 2

    return _over_odds(worth)


def _gumbel(s: TorchProblem, logits: Any) -> Any:
    noise = -(-s.torch.rand(2, dtype=logits.dtype).log()).log()
    share = ((logits + noise) / TEMPERATURE).softmax(dim=-1)
    return _worth_of(share, s.constant(WORTH))


_CONCRETE = "Maddison, Mnih and Teh (2017), The Concrete distribution"
_GUMBEL = "Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax"

ROWS = (
    *right(
        "relaxed-bernoulli",
        "The gradient of the mean cost of relaxed bits, which is what is wanted.",
        _CONCRETE + "; torch.distributions.RelaxedBernoulli",
        _bits(_relaxed_mean),
    ),
    *right(
        "gumbel-softmax",
        "The gradient of the mean cost of relaxed labels, which is what is wanted.",
        _GUMBEL,
        integrated(_gumbel, (LOGITS,), _softmax_mean),
    ),
    *wrong(
        "relaxed-bernoulli-for-bits",
        "The gradient of relaxed bits in place of that of bits.",
        _CONCRETE + ", where bits are meant",
        _bits(_bits_mean),
        is_intended=True,
    ),
    *wrong(
        "relaxed-noise-not-divided",
        "Only the logit is divided by the temperature, not the noise.",
        _CONCRETE + ", with parentheses left out",
        _bits(_relaxed_mean, how="noise not divided"),
    ),
    *wrong(
        "straight-through-gumbel",
        "A bit forward, a relaxed bit backward: the gradient of neither mean cost.",
        _GUMBEL + "; gumbel_softmax(hard=True)",
        _bits(_bits_mean, how="straight through"),
        is_intended=True,
    ),
)
