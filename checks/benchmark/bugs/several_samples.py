"""Several draws of each sentence, and bounds that are made of them.

Reference:
    Mnih and Rezende (2016), Variational inference for Monte Carlo objectives (VIMCO). Burda, Grosse
    and Salakhutdinov (2016), Importance weighted autoencoders. Rows name the sources of the others.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from ...evidence import PROPORTIONAL
from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    K,
    N,
    TorchProblem,
    by_framework,
    costs,
    draw,
    pathwise,
    score,
    score_function,
    softmax,
    to_weights,
)

SAMPLES = 2


def _sum(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q, SAMPLES)
    f = s.cost(v, y)
    return (f.detach() * s.take(log_q, y) + f).sum(dim=0).mean()


def _sum_by_hand(rng: Any, w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q, SAMPLES)
    f = costs(v)[SENTENCES, y]
    return SAMPLES * to_weights(f[..., None] * score(q, y)), SAMPLES * pathwise(v, y)


def _best(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q, SAMPLES)
    f = s.cost(v, y)
    kept = f.argmin(dim=0)
    f, log_probability = (each[kept, s.torch.arange(N)] for each in (f, s.take(log_q, y)))
    return (f.detach() * log_probability + f).mean()


def _best_by_hand(rng: Any, w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q, SAMPLES)
    y = y[costs(v)[SENTENCES, y].argmin(axis=0), SENTENCES]
    f = costs(v)[SENTENCES, y]
    return to_weights(f[:, None] * score(q, y)), pathwise(v, y)


def _same_key(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    other = y.clone()  # drawn by the same key
    f = s.cost(v, y)
    return ((f - s.cost(v, other)).detach() * s.take(log_q, y) + f).mean()


def _same_key_by_hand(rng: Any, w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    other = y.copy()  # drawn by the same key
    f = costs(v)
    signal = f[SENTENCES, y] - f[SENTENCES, other]
    return to_weights(signal[:, None] * score(q, y)), pathwise(v, y)


# ------------------------------------------------------------------ a bound of several samples


def _bound(s: TorchProblem, f: Any) -> Any:
    """What each sentence's samples make together, as log of a mean of weights."""
    return (-f).logsumexp(dim=0) - float(np.log(SAMPLES))


def _multi(s: TorchProblem, w: Any, v: Any, *, signal: str) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q, SAMPLES)
    f = s.cost(v, y)
    bound = _bound(s, f)
    whole = bound.expand(SAMPLES, N)
    weights = {
        "bound": whole,
        "others": whole + f.flip(0),  # less the bound of the other sample alone, which is -f
        "own": -f,
        "none": 0.0 * f,
        "all": whole - whole.mean(),  # a mean that holds the sample's own
    }[signal]
    return ((weights.detach() * s.take(log_q, y)).sum(dim=0) + bound).mean()


def bound_expected(w: Any, v: Any) -> Any:
    """The mean bound of two samples of each sentence."""
    q, f = softmax(FEATURES @ w), costs(v)
    total = 0.0
    for i, a, b in itertools.product(range(N), range(K), range(K)):
        total = total + q[i, a] * q[i, b] * np.log((np.exp(-f[i, a]) + np.exp(-f[i, b])) / 2.0)
    return total / N


_multi_rows = functools.partial(by_framework, _multi, mean=bound_expected)


_VIMCO = "Mnih and Rezende (2016), Variational inference for Monte Carlo objectives"
_IWAE = "Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders"

ROWS = (
    *right(
        "samples-averaged",
        "The mean of several estimates.",
        "Williams (1992), Simple statistical gradient-following algorithms",
        score_function(lambda f, x: f, SAMPLES),
    ),
    *right(
        "bound-of-samples",
        "Every sample's score is weighted by the bound that all make together.",
        _IWAE,
        _multi_rows(signal="bound"),
    ),
    *right(
        "vimco",
        "The same, less the bound of the other samples.",
        _VIMCO,
        _multi_rows(signal="others"),
    ),
    *wrong(
        "samples-summed",
        "The sum over samples in place of their mean.",
        "textbook mistake",
        by_framework(_sum, _sum_by_hand),
        direction=PROPORTIONAL,
        factor=float(SAMPLES),
    ),
    *wrong(
        "best-of-samples",
        "Only the sample of the lowest cost is learned from, as if it had been drawn alone.",
        "textbook mistake",
        by_framework(_best, _best_by_hand),
    ),
    *wrong(
        "key-reused-for-baseline",
        "The other sample that serves as baseline is drawn by the same key: it is the same.",
        "reused random keys, as in JAX",
        by_framework(_same_key, _same_key_by_hand),
    ),
    *wrong(
        "samples-repeated",
        "All samples are drawn by one key: the mean is right, the variance that of one sample.",
        "reused random keys, as in JAX",
        score_function(
            lambda f, x: f,
            torch=lambda s, log_q: s.draw(log_q).expand(SAMPLES, N),
            numpy=lambda rng, q: np.broadcast_to(draw(rng, q), (SAMPLES, N)),
        ),
        sees="variance",
    ),
    *wrong(
        "samples-reshaped",
        "Samples are reshaped where a transpose is meant: labels change sentences.",
        "textbook mistake",
        score_function(
            lambda f, x: f,
            torch=lambda s, log_q: s.draw(log_q, SAMPLES).reshape(N, SAMPLES).T,
            numpy=lambda rng, q: draw(rng, q, SAMPLES).reshape(N, SAMPLES).T,
        ),
    ),
    *wrong(
        "bound-own-weight",
        "Each score is weighted by its own sample's term, not by the bound.",
        _VIMCO + ", on what goes wrong",
        _multi_rows(signal="own"),
    ),
    *wrong(
        "bound-without-score",
        "The bound is differentiated through the costs only, as with reparameterised draws.",
        _IWAE + ", whose draws are continuous",
        _multi_rows(signal="none"),
    ),
    *wrong(
        "bound-mean-of-batch",
        "The baseline is the mean bound of the batch, the sentence's own in it.",
        "AdvancedVI ScoreGradELBO, there over samples",
        _multi_rows(signal="all"),
    ),
)
