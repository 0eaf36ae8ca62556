"""Bounds of a few samples: IWAE, and what lowers the variance of its gradient.

Reference:
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders. Roeder, Wu and
    Duvenaud (2017), Sticking the landing. Tucker et al. (2019), Doubly reparameterized gradient
    estimators for Monte Carlo objectives. Of labels: Mnih and Rezende (2016), Variational inference
    for Monte Carlo objectives.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .row import right, wrong
from .several_samples import bound_expected
from .toy_problem import TorchProblem, by_framework, integrated

SAMPLES = 2

#: The observation, its noise, and the model's parameter; location and log scale of q. (1,) each.
OBSERVED, NOISE = 0.8, 1.1
MODEL, LOCATION, LOG_SCALE = np.array([0.9]), np.array([0.6]), np.array([-0.4])

#: Nodes of a Gauss-Hermite rule for the exact bound: 40 make its gradient the same to 10^-12.
NODES = 60


def _log_joint(a: Any, z: Any) -> Any:
    """Log p(x, z), but for a constant: z is normal, and x is normal around a multiple of z."""
    return -0.5 * z**2 - 0.5 * ((OBSERVED - a * z) / NOISE) ** 2


def _weights(location: Any, log_scale: Any, a: Any) -> tuple[Any, Any]:
    """Importance weights at the nodes of q's noise, and what the nodes weigh."""
    noise, share = np.polynomial.hermite_e.hermegauss(NODES)
    log_q = -0.5 * noise**2 - log_scale
    log_weight = _log_joint(a, location + np.exp(log_scale) * noise) - log_q
    return np.exp(log_weight), share / share.sum()


def _bound(a: Any, location: Any, log_scale: Any) -> Any:
    weight, share = _weights(location, log_scale, a)
    both = np.log((weight[:, None] + weight) / SAMPLES)
    return share @ both @ share


def _single(a: Any, location: Any, log_scale: Any) -> Any:
    weight, share = _weights(location, log_scale, a)
    return share @ np.log(weight)


def _log_weights(
    s: TorchProblem, a: Any, location: Any, log_scale: Any, *, samples: int, q: str
) -> tuple[Any, Any]:
    """Samples (K, 1), and logarithms of their weights; q or its parameters may be detached."""
    noise = s.torch.randn(samples, 1, dtype=a.dtype)
    z = location + log_scale.exp() * noise
    if q == "parameters detached":
        location, log_scale = location.detach(), log_scale.detach()
    log_q = -0.5 * ((z - location) / log_scale.exp()) ** 2 - log_scale
    if q == "detached":
        log_q = log_q.detach()
    return z, _log_joint(a, z) - log_q


# ------------------------------------------------------------------ one sample


def _landing(s: TorchProblem, a: Any, location: Any, log_scale: Any, *, q: str) -> Any:
    return _log_weights(s, a, location, log_scale, samples=1, q=q)[1].sum()


_landings = functools.partial(integrated, _landing, (MODEL, LOCATION, LOG_SCALE), _single)


# ------------------------------------------------------------------ several samples


def _several(s: TorchProblem, a: Any, location: Any, log_scale: Any, *, how: str) -> Any:
    _, log_weight = _log_weights(s, a, location, log_scale, samples=SAMPLES, q="")
    if how == "mean of logarithms":
        return log_weight.mean(dim=0).sum()
    if how == "weights in graph":
        return (log_weight.softmax(dim=0) * log_weight).sum()
    return log_weight.logsumexp(dim=0).sum()


_bounds = functools.partial(integrated, _several, (MODEL, LOCATION, LOG_SCALE), _bound)


def _doubly(
    s: TorchProblem, a: Any, location: Any, log_scale: Any, *, q: int, model: int, held: bool = True
) -> Any:
    """Tucker et al. (2019): weights to these powers, for q's parameters and the model's."""
    which = "parameters detached" if held else ""
    z, for_q = _log_weights(s, a.detach(), location, log_scale, samples=SAMPLES, q=which)
    share = for_q.detach().softmax(dim=0)
    for_model = _log_joint(a, z.detach())
    return (share**q * for_q + share**model * for_model).sum()


_doublies = functools.partial(integrated, _doubly, (MODEL, LOCATION, LOG_SCALE), _bound)


# ------------------------------------------------------------------ labels


def _vimco(s: TorchProblem, w: Any, v: Any) -> Any:
    """VIMCO, but for the mean that stands in for a sample: the sample itself is part of it."""
    log_q = s.log_q(w)
    y = s.draw(log_q, SAMPLES)
    log_weight = -s.cost(v, y)
    bound = log_weight.logsumexp(dim=0) - float(np.log(SAMPLES))
    stand_in = log_weight.mean(dim=0, keepdim=True)
    baseline = s.torch.logaddexp(log_weight.flip(0), stand_in) - float(np.log(SAMPLES))
    score = ((bound - baseline).detach() * s.take(log_q, y)).sum(dim=0)
    return (score + bound).mean()


_IWAE = "Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders"
_STL = "Roeder, Wu and Duvenaud (2017), Sticking the landing"
_DREG = "Tucker et al. (2019), Doubly reparameterized gradient estimators"

ROWS = (
    *right(
        "iwae",
        "The logarithm of the mean weight of reparameterised samples is differentiated.",
        _IWAE,
        _bounds(how=""),
    ),
    *right(
        "sticking-the-landing",
        "The score of q is left out of the bound of one sample: its mean is zero.",
        _STL,
        _landings(q="parameters detached"),
    ),
    *right(
        "dreg",
        "Weights are squared for the parameters of q, whose score is left out.",
        _DREG,
        _doublies(q=2, model=1),
    ),
    *wrong(
        "sticking-the-landing-over-detached",
        "All of log q is detached, the samples in it too, not only its parameters.",
        _STL + ", with a stop-gradient too many",
        _landings(q="detached"),
    ),
    *wrong(
        "iwae-mean-of-logarithms",
        "The mean of the weights' logarithms is differentiated: that is the bound of one sample.",
        _IWAE + ", with sum and logarithm exchanged",
        _bounds(how="mean of logarithms"),
    ),
    *wrong(
        "iwae-weights-in-graph",
        "Normalised weights are not detached where they weigh each sample's gradient.",
        _IWAE + ", without a stop-gradient",
        _bounds(how="weights in graph"),
    ),
    *wrong(
        "dreg-weights-not-squared",
        "Sticking the landing with several samples: weights are not squared.",
        _STL + ", for several samples; " + _DREG + ", who show the bias",
        _doublies(q=1, model=1),
    ),
    *wrong(
        "dreg-score-left-in",
        "Weights are squared, and the parameters of q are not detached in its density.",
        _DREG + ", without its stop-gradient",
        _doublies(q=2, model=1, held=False),
    ),
    *wrong(
        "dreg-model-squared",
        "Weights are squared for the model's parameters too, as by one surrogate for all.",
        _DREG + ", with one surrogate for q and model",
        _doublies(q=2, model=2),
    ),
    *wrong(
        "vimco-own-sample",
        "What stands in for a sample in its baseline is a mean that the sample itself is part of.",
        "Mnih and Rezende (2016), Variational inference for Monte Carlo objectives, with the mean "
        "over all samples",
        by_framework(_vimco, mean=bound_expected),
    ),
)
