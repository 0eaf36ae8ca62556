"""Stop-gradients: what is detached, and what must not be."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    TABLE,
    TARGETS,
    VALUES,
    WEIGHTS,
    N,
    TorchProblem,
    by_framework,
    costs,
    draw,
    expected_cost,
    of_labels,
    of_labels_by_hand,
    score,
    softmax,
    to_weights,
)

#: Of a critic, (D,).
CRITIC = np.array([0.9, -0.35])


def _no_pathwise_by_hand(rng: Any, w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    f = costs(v)[SENTENCES, y]
    return to_weights(f[:, None] * score(q, y)), np.zeros_like(v)


def _logits_detached(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w.detach())
    y = s.draw(log_q)
    f = s.cost(v, y)
    return (f.detach() * s.take(log_q, y) + f).mean()


def _shared_parameters(s: TorchProblem, w: Any, *, holds: bool) -> Any:
    # The cost looks at the logits too, as a loss of an encoder that q shares.
    logits = s.x @ w
    y = s.draw(logits)
    f = s.take(s.table, y) + (s.take(logits, y) - s.t) ** 2
    surrogate = f.detach() * s.take(logits.log_softmax(dim=-1), y)
    return (surrogate + (f.detach() if holds else f)).mean()


def _shared_expected(w: Any) -> Any:
    logits = FEATURES @ w
    return (softmax(logits) * (TABLE + (logits - TARGETS[:, None]) ** 2)).sum() / N


def _encoder_detached(s: TorchProblem, u: Any, w: Any, *, holds: bool) -> Any:
    hidden = (s.x @ u).tanh()
    log_q = ((hidden.detach() if holds else hidden) @ w).log_softmax(dim=-1)
    y = s.draw(log_q)
    return (s.take(s.table, y) * s.take(log_q, y)).mean()


def _encoder_expected(u: Any, w: Any) -> Any:
    return (softmax(np.tanh(FEATURES @ u) @ w) * TABLE).sum() / N


_ENCODER = np.array([[0.6, -0.8], [0.35, 0.9]])
_encoders = functools.partial(
    by_framework, _encoder_detached, inputs=(_ENCODER, WEIGHTS), mean=_encoder_expected
)


def _critic(
    s: TorchProblem, w: Any, v: Any, b: Any, *, as_number: bool = False, held: bool = True
) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    baseline = s.x @ b
    if as_number:
        baseline = s.constant(baseline.tolist())
    error = (f.detach() - baseline) ** 2
    signal = f.detach() - (baseline.detach() if held else baseline)
    return (signal * s.take(log_q, y) + f + error).mean()


def _loss_lost(s: TorchProblem, w: Any, v: Any, b: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    return ((f - s.x @ b).detach() * s.take(log_q, y) + f).mean()


def _with_critic(w: Any, v: Any, b: Any) -> Any:
    # Its loss teaches the critic only.
    error = softmax(FEATURES @ WEIGHTS) * (costs(VALUES) - (FEATURES @ b)[:, None]) ** 2
    return expected_cost(w, v) + error.sum() / N


def _unseen_critic(s: TorchProblem, w: Any, v: Any) -> Any:
    # The same critic is no input, so that nobody asks for its gradient.
    return _critic(s, w, v, s.constant(CRITIC).requires_grad_(), as_number=True)


_THREE = (WEIGHTS, VALUES, CRITIC)
_critics = functools.partial(by_framework, _critic, inputs=_THREE, mean=_with_critic)

ROWS = (
    *right(
        "magic-box",
        "exp(log q - detached log q) is 1, and its derivative is the score.",
        "Foerster et al. (2018), DiCE: the infinitely differentiable Monte Carlo estimator",
        by_framework(of_labels(lambda f, log_q: (log_q - log_q.detach()).exp() * f)),
    ),
    *right(
        "shared-parameters",
        "The cost looks at what q is made of: a score and a pathwise part for one parameter.",
        "Schulman et al. (2015), Gradient estimation using stochastic computation graphs",
        by_framework(_shared_parameters, inputs=(WEIGHTS,), mean=_shared_expected, holds=False),
    ),
    *right(
        "encoder-score",
        "The score reaches every layer of q.",
        "Williams (1992), Simple statistical gradient-following algorithms",
        _encoders(holds=False),
    ),
    *right(
        "critic-trained",
        "A critic that is detached where it is subtracted, and learns by squared error.",
        "Mnih and Gregor (2014), Neural variational inference and learning",
        _critics(),
    ),
    *wrong(
        "reward-not-detached",
        "log q f with f not detached: its own derivative is weighted by log q.",
        "textbook mistake",
        by_framework(of_labels(lambda f, log_q: f * log_q)),
    ),
    *wrong(
        "cost-differentiated-twice",
        "log q f + f, f not detached: its own derivative is weighted by 1 + log q.",
        "textbook mistake",
        by_framework(of_labels(lambda f, log_q: f * log_q + f)),
    ),
    *wrong(
        "pathwise-missing",
        "The score alone, though the cost has parameters.",
        "textbook mistake",
        by_framework(of_labels(lambda f, log_q: f.detach() * log_q), _no_pathwise_by_hand),
    ),
    *wrong(
        "score-without-cost",
        "The cost is left out of the score's part, whose mean is then zero.",
        "relax 5f78ddd",
        by_framework(
            of_labels(lambda f, log_q: log_q + f), of_labels_by_hand(lambda f, q, y: score(q, y))
        ),
    ),
    *wrong(
        "logits-detached",
        "q is built on detached logits: its parameters get no gradient.",
        "relax #6",
        by_framework(_logits_detached),
    ),
    *wrong(
        "shared-pathwise-missing",
        "The cost reads what q is made of, and is detached everywhere.",
        "Schulman et al. (2015), Gradient estimation using stochastic computation graphs",
        by_framework(_shared_parameters, inputs=(WEIGHTS,), mean=_shared_expected, holds=True),
    ),
    *wrong(
        "encoder-detached",
        "What q is made of is detached: the score reaches its last layer only.",
        "relax #6",
        _encoders(holds=True),
    ),
    *wrong(
        "critic-not-detached",
        "A critic gets the score's gradient besides that of its own loss.",
        "textbook mistake",
        _critics(held=False),
    ),
    *wrong(
        "critic-as-number",
        "The critic is turned into numbers before its loss: it never learns.",
        "textbook mistake: .item() on a critic",
        _critics(as_number=True),
    ),
    *wrong(
        "critic-loss-lost",
        "The critic's loss is not among what is differentiated.",
        "Pyro #1891, under jit",
        by_framework(_loss_lost, inputs=_THREE, mean=_with_critic),
    ),
    *wrong(
        "critic-never-trained",
        "As critic-as-number, where the critic is not among the parameters checked.",
        "textbook mistake: .item() on a critic",
        by_framework(_unseen_critic),
        sees="reach",
    ),
)
