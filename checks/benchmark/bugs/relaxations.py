"""Bits and noise that are differentiated through: straight through, reparameterised, in pairs.

Reference:
    Bengio, Léonard and Courville (2013), Estimating or propagating gradients through stochastic
    neurons for conditional computation (straight-through). Jang, Gu and Poole (2017), Categorical
    reparameterization with Gumbel-softmax. Maddison, Mnih and Teh (2017), The Concrete
    distribution. Tucker et al. (2017), REBAR. Rows name the sources of the others.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.run import UnsupportedDraw

from .row import Makes, right, wrong
from .toy_problem import FEATURES, TARGETS, N, TorchProblem, by_framework

#: One bit for each sentence: its logit is the features times these, (D,); what it costs, of value
#: b, is slope * b + curve * (b - centre)^2, (N,).
BIT = np.array([0.8, 0.9])  # one logit is negative
SLOPE = np.array([1.4, -0.6])
CURVE = np.array([0.9, 1.7])
CENTRE = np.array([0.3, -0.2])


def _sigmoid(logits: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-logits))


def _value(bits: Any, curve: Any) -> Any:
    return SLOPE * bits + curve * (bits - CENTRE) ** 2


def _mean(curve: Any) -> Any:
    def mean_cost(u: Any) -> Any:
        p = _sigmoid(FEATURES @ u)
        return (p * _value(1.0, curve) + (1.0 - p) * _value(0.0, curve)).sum() / N

    return mean_cost


def _on_tensors(s: TorchProblem, bits: Any, curve: Any) -> Any:
    slope, curve, centre = (s.constant(each) for each in (SLOPE, curve, CENTRE))
    return slope * bits + curve * (bits - centre) ** 2


# ------------------------------------------------------------------ straight through


def _straight(s: TorchProblem, u: Any, *, curve: Any) -> Any:
    p = (s.x @ u).sigmoid()
    bits = s.torch.bernoulli(p.detach())
    return _on_tensors(s, bits + p - p.detach(), curve).mean()


def _straight_by_hand(rng: Any, u: Any, *, curve: Any) -> Any:
    p = _sigmoid(FEATURES @ u)
    bits = rng.binomial(1, p)
    slope = SLOPE + 2.0 * curve * (bits - CENTRE)
    return FEATURES.T @ (slope * p * (1.0 - p)) / N


def _straights(curve: Any) -> Makes:
    return by_framework(_straight, _straight_by_hand, (BIT,), _mean(curve), curve=curve)


def _identity(s: TorchProblem, u: Any) -> Any:
    # As if the bit were the logit itself.
    logits = s.x @ u
    bits = s.torch.bernoulli(logits.detach().sigmoid())
    return _on_tensors(s, bits + logits - logits.detach(), 0.0 * CURVE).mean()


def _at_the_mean(s: TorchProblem, u: Any) -> Any:
    return _on_tensors(s, (s.x @ u).sigmoid(), CURVE).mean()


# ------------------------------------------------------------------ the branch that was not taken


def _branches_by_hand(rng: Any, u: Any, *, weighed: bool) -> Any:
    """p (1 - p) (f(1) - f(0)), of which one is seen."""
    p = _sigmoid(FEATURES @ u)
    bits = rng.random(N) < p
    seen = np.where(bits, _value(1.0, CURVE), -_value(0.0, CURVE))
    probability = np.where(bits, p, 1.0 - p) if weighed else 1.0
    return FEATURES.T @ (p * (1.0 - p) * seen / probability) / N


def _branches(s: TorchProblem, u: Any, *, weighed: bool) -> Any:
    p = (s.x @ u).sigmoid()
    bits = s.torch.bernoulli(p.detach())
    branch = bits * p + (1.0 - bits) * (1.0 - p)
    f = _on_tensors(s, bits, CURVE)
    return (f * branch / (branch.detach() if weighed else 1.0)).mean()


_branch_rows = functools.partial(by_framework, _branches, _branches_by_hand, (BIT,), _mean(CURVE))


# ------------------------------------------------------------------ pairs


def _pair_by_hand(rng: Any, u: Any, *, how: str) -> Any:
    """Two bits of one uniform number: below p, and above 1 - p."""
    logits = FEATURES @ u
    p = _sigmoid(logits)
    found = []
    for place in range(N):
        number = rng.random()
        found.append((number < p[place], number > 1.0 - p[place]))
    first, second = np.array(found, float).T
    return FEATURES.T @ _of_pair(first, second, p, logits, how) / N


def _of_pair(first: Any, second: Any, p: Any, logits: Any, how: str) -> Any:
    """The derivative by the logits."""
    difference = 0.5 * (_value(first, CURVE) - _value(second, CURVE))
    if how == "as independent":
        return difference * ((first - p) - (second - p))
    away = np.where(first == second, 0.0, first - second)
    return difference * away * _sigmoid(np.abs(logits) if how == "pair" else logits)


def _pair_tensors(s: TorchProblem, u: Any, *, how: str) -> Any:
    # What a uniform number makes of both: likely, different one way or the other, or unlikely.
    logits = s.x @ u
    p = logits.detach().sigmoid().numpy()
    apart = np.minimum(p, 1.0 - p)
    probabilities = s.constant(np.stack((apart, apart, 1.0 - 2.0 * apart), axis=-1))
    kind = s.torch.multinomial(probabilities, 1)[:, 0].numpy()
    same = (p > 0.5).astype(float)
    first = np.choose(kind, (np.ones(N), np.zeros(N), same))
    second = np.choose(kind, (np.zeros(N), np.ones(N), same))
    held = s.constant(_of_pair(first, second, p, logits.detach().numpy(), how))
    return (held * logits).mean()


_pairs = functools.partial(by_framework, _pair_tensors, _pair_by_hand, (BIT,), _mean(CURVE))


# ------------------------------------------------------------------ noise of few values

#: A latent of each sentence is location + exp(log scale) * noise, of one of these values.
NOISE = np.array([-1.3, -0.2, 0.5, 1.7])
LOCATION, LOG_SCALE = np.array([0.4, -0.9]), np.array([-0.3, 0.2])


def _latent(s: TorchProblem, location: Any, log_scale: Any, *, how: str) -> Any:
    noise = s.constant(NOISE)[s.torch.randint(len(NOISE), (N,))]
    scale = log_scale.exp()
    if how == "scale held":
        scale = scale.detach()
    if how == "log scale":
        scale = log_scale
    z = location + scale * noise
    if how == "sample":
        z = z.detach()
    return (z**2 * s.t + z.tanh() + 0.2 * location**2).mean()


def _latent_by_hand(rng: Any, location: Any, log_scale: Any, *, how: str) -> Any:
    noise = NOISE[rng.integers(len(NOISE), size=N)]
    scale = np.exp(log_scale)
    z = location + scale * noise
    slope = 2.0 * z * TARGETS + 1.0 - np.tanh(z) ** 2
    held = how == "scale held"
    inner = 0.4 * location / N
    if how == "sample":
        return inner, 0.0 * log_scale
    return slope / N + inner, (0.0 if held else 1.0) * slope * scale * noise / N


def _latent_expected(location: Any, log_scale: Any) -> Any:
    total = 0.0
    for noise in NOISE:
        z = location + np.exp(log_scale) * noise
        total = total + (z**2 * TARGETS + np.tanh(z)).sum() / len(NOISE)
    return (total + 0.2 * (location**2).sum()) / N


_latents = functools.partial(
    by_framework,
    torch=_latent,
    numpy=_latent_by_hand,
    inputs=(LOCATION, LOG_SCALE),
    mean=_latent_expected,
)


def _rebar(s: TorchProblem, u: Any) -> Any:
    """A relaxed control variate, whose second noise should make the same bit, and does not."""
    logits = s.x @ u
    p = logits.sigmoid()
    noise, again = s.torch.rand(N, dtype=logits.dtype), s.torch.rand(N, dtype=logits.dtype)
    bits = (noise > 1.0 - p).to(logits.dtype)
    # Uniform as it should be, but a one is made by noise above 1 - p, not below p.
    given = s.torch.where(bits > 0.0, again * p, p + again * (1.0 - p))
    soft, softer = (((logits + each.logit()) / 0.5).sigmoid() for each in (noise, given))
    f, relaxed, held = (_on_tensors(s, each, CURVE) for each in (bits, soft, softer))
    log_probability = bits * p.log() + (1.0 - bits) * (1.0 - p).log()
    return ((f - held).detach() * log_probability + relaxed - held).mean()


_BENGIO = "Bengio, Leonard and Courville (2013), Estimating or propagating gradients"
_DISARM = "Dong, Mnih and Tucker (2020), DisARM: an antithetic gradient estimator"
_KINGMA = "Kingma and Welling (2014), Auto-encoding variational Bayes"

ROWS = (
    *right(
        "straight-through-linear",
        "Straight through is exact where the cost is linear in the bit.",
        _BENGIO,
        _straights(0.0 * CURVE),
    ),
    *right(
        "one-branch-weighed",
        "The branch that was drawn, over its probability.",
        "Horvitz and Thompson (1952), A generalization of sampling without replacement",
        _branch_rows(weighed=True),
    ),
    *right(
        "antithetic-pair",
        "Two bits of one uniform number, weighted by how likely it is that they differ.",
        _DISARM,
        _pairs(how="pair"),
    ),
    *right(
        "reparameterised",
        "The noise is drawn, and the latent is a function of it and the parameters.",
        _KINGMA,
        _latents(how="right"),
    ),
    *wrong(
        "straight-through",
        "As if a bit were its probability, in a cost that is not linear.",
        _BENGIO,
        _straights(CURVE),
        is_intended=True,
    ),
    *wrong(
        "straight-through-identity",
        "As if a bit were its logit: the sigmoid's slope is lost, even where the cost is linear.",
        _BENGIO,
        by_framework(_identity, inputs=(BIT,), mean=_mean(0.0 * CURVE)),
    ),
    *wrong(
        "cost-of-the-mean",
        "The cost of the mean bit in place of the mean cost.",
        "textbook mistake",
        by_framework(_at_the_mean, inputs=(BIT,), mean=_mean(CURVE)),
    ),
    *wrong(
        "zero-for-other-branch",
        "The branch that was not drawn counts as zero, and nothing makes up for it.",
        "torx #9",
        _branch_rows(weighed=False),
    ),
    *wrong(
        "pair-as-independent",
        "Two bits of one uniform number, each the other's baseline as if they were independent.",
        _DISARM + ", on why pairs need weights",
        _pairs(how="as independent"),
    ),
    *wrong(
        "pair-weight-signed",
        "The weight is the sigmoid of the logit, not of its size: right for positive logits.",
        _DISARM + ", without its absolute value",
        _pairs(how="signed"),
    ),
    *wrong(
        "sampled-not-reparameterised",
        "The latent is detached, as by sample() for rsample(): the pathwise part is lost.",
        "relax #6, over-detached z",
        _latents(how="sample"),
    ),
    *wrong(
        "scale-detached",
        "The scale of the noise is detached.",
        "textbook mistake",
        _latents(how="scale held"),
    ),
    *wrong(
        "log-scale-as-scale",
        "The logarithm of the scale is used as the scale.",
        "textbook mistake",
        _latents(how="log scale", numpy=None),
    ),
    *wrong(
        "rebar-wrong-tail",
        "The second noise makes another bit: the mean is right, what it was drawn for is lost.",
        "Tucker et al. (2017), REBAR, with its conditional noise turned round",
        by_framework(_rebar, inputs=(BIT,), mean=_mean(CURVE)),
        sees="identity",
        raises=UnsupportedDraw,
    ),
)
