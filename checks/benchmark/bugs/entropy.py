"""Costs that contain log q itself: entropies, and divergences from a prior."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...evidence import ZERO
from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    WEIGHTS,
    N,
    TorchProblem,
    by_framework,
    costs,
    draw,
    expected_cost,
    of_labels,
    pathwise,
    score,
    softmax,
    to_weights,
)

#: What log q counts beside the cost.
SHARE = 0.7

#: What q is not to be far from, (K,).
PRIOR = np.array([0.5, 0.2, 0.3])

#: Weights of the score as a function of cost and log q, and the share that the entropy's own
#: derivative is added with.
Signal = tuple[Any, float]

SIGNALS: dict[str, Signal] = {
    "in the signal": (lambda f, log_q: f + SHARE * log_q, 0.0),
    "and one": (lambda f, log_q: f + SHARE * (log_q + 1.0), 0.0),
    "analytic": (lambda f, log_q: f, SHARE),
    "sign": (lambda f, log_q: f, -SHARE),
    "twice": (lambda f, log_q: f + SHARE * log_q, SHARE),
    "left out": (lambda f, log_q: f, 0.0),
    "share": (lambda f, log_q: f + log_q, 0.0),
}


def _entropy(s: TorchProblem, w: Any, v: Any, *, how: str) -> Any:
    signal, analytic = SIGNALS[how]
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f, log_probability = s.cost(v, y), s.take(log_q, y)
    negative = (log_q.exp() * log_q).sum(dim=-1)
    return (signal(f, log_probability).detach() * log_probability + f + analytic * negative).mean()


def _entropy_by_hand(rng: Any, w: Any, v: Any, *, how: str) -> Any:
    signal, analytic = SIGNALS[how]
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    weight = signal(costs(v)[SENTENCES, y], np.log(q)[SENTENCES, y])
    negative = (q * np.log(q)).sum(axis=-1, keepdims=True)
    slope = q * (np.log(q) - negative)
    return to_weights(weight[:, None] * score(q, y) + analytic * slope), pathwise(v, y)


def _with_entropy(w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    return expected_cost(w, v) + SHARE * (q * np.log(q)).sum() / N


_entropies = functools.partial(by_framework, _entropy, _entropy_by_hand, mean=_with_entropy)


def _not_held(f: Any, log_q: Any) -> Any:
    # log q (f + log q), the logarithm in the cost not detached: its part is differentiated twice.
    return (f.detach() + SHARE * log_q) * log_q + f


def _of_the_mean(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f, mean = s.cost(v, y), log_q.exp().mean(dim=0)
    return (f.detach() * s.take(log_q, y) + f).mean() + SHARE * (mean * mean.log()).sum()


# ------------------------------------------------------------------ divergences

#: What is differentiated on a sample, from log(q / prior); and whether a score is added.
DIVERGENCES: dict[str, Any] = {
    "scored": lambda s, away: away.detach() * away,
    "squared": lambda s, away: 0.5 * away**2,
    "as it is": lambda s, away: away,
    "positive": lambda s, away: (-away).exp() - 1.0 + away,
}


def _divergence(s: TorchProblem, w: Any, *, how: str) -> Any:
    away = s.log_q(w) - s.constant(PRIOR).log()
    return DIVERGENCES[how](s, s.take(away, s.draw(s.log_q(w)))).mean()


def _divergence_by_hand(rng: Any, w: Any, *, how: str) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    away = np.log(q / PRIOR)[SENTENCES, y]
    slopes = {"scored": away, "as it is": np.ones(N), "positive": 1.0 - np.exp(-away)}
    return to_weights(slopes[how][:, None] * score(q, y))


def _from_prior(w: Any) -> Any:
    q = softmax(FEATURES @ w)
    return (q * np.log(q / PRIOR)).sum() / N


_divergences = functools.partial(
    by_framework,
    torch=_divergence,
    numpy=_divergence_by_hand,
    inputs=(WEIGHTS,),
    mean=_from_prior,
)


def _other_divergence(s: TorchProblem, w: Any) -> Any:
    prior = s.constant(PRIOR)
    return (prior * (prior.log() - s.log_q(w))).sum(dim=-1).mean()


_K3 = "Schulman (2020), Approximating KL divergence: values, which are no losses"
_ELBO = "Ranganath, Gerrish and Blei (2014), Black box variational inference"

ROWS = (
    *right(
        "entropy-in-signal", "log q is part of the cost.", _ELBO, _entropies(how="in the signal")
    ),
    *right(
        "log-q-plus-one",
        "The derivative of q log q is (log q + 1) times that of q; the one makes no difference.",
        _ELBO,
        _entropies(how="and one"),
    ),
    *right(
        "entropy-analytic",
        "The entropy is summed over labels, and no part of the signal.",
        "Mnih et al. (2016), Asynchronous methods for deep reinforcement learning",
        _entropies(how="analytic"),
    ),
    *right(
        "divergence-scored",
        "log(q / prior) on a sample weights the score.",
        _ELBO,
        _divergences(how="scored"),
    ),
    *right(
        "divergence-squared",
        "Half the square of log(q / prior): its value is not the divergence, its derivative is.",
        _K3,
        _divergences(how="squared", numpy=None),
    ),
    *wrong("entropy-sign", "The entropy is lowered.", "textbook mistake", _entropies(how="sign")),
    *wrong(
        "entropy-twice",
        "The entropy is part of the signal and is summed over labels too.",
        "textbook mistake",
        _entropies(how="twice"),
    ),
    *wrong(
        "entropy-left-out",
        "log q in the cost is differentiated only, and that has mean zero.",
        "textbook mistake",
        _entropies(how="left out"),
    ),
    *wrong(
        "entropy-share-lost",
        "The entropy counts whole where it should count its share.",
        "textbook mistake",
        _entropies(how="share"),
    ),
    *wrong(
        "entropy-not-held",
        "log q in the signal is not detached.",
        "textbook mistake",
        by_framework(of_labels(_not_held), mean=_with_entropy),
    ),
    *wrong(
        "entropy-of-mean",
        "The entropy of the batch's mean q in place of the mean entropy.",
        "textbook mistake",
        by_framework(_of_the_mean, mean=_with_entropy),
    ),
    *wrong(
        "divergence-as-loss",
        "log(q / prior) on a sample is differentiated, which has mean zero.",
        _K3,
        _divergences(how="as it is"),
        direction=ZERO,
    ),
    *wrong(
        "divergence-positive-as-loss",
        "The estimate that is never negative is differentiated: the divergence the other way.",
        _K3,
        _divergences(how="positive"),
    ),
    *wrong(
        "divergence-reversed",
        "KL(prior, q) in place of KL(q, prior).",
        "textbook mistake",
        by_framework(_other_divergence, inputs=(WEIGHTS,), mean=_from_prior),
    ),
)
