"""Parts of a model that no gradient reaches, or another one than is meant."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradproof.estimators.enumeration.gradients import NotAGradient

from .row import Makes, right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    VALUES,
    WEIGHTS,
    TorchProblem,
    by_framework,
    costs,
    draw,
    expected_cost,
    pathwise,
    score,
    softmax,
    to_weights,
)

#: Of a head, (D,).
HEAD = np.array([0.9, -0.35])


def _mean_without_head(w: Any, v: Any, _u: Any) -> Any:
    return expected_cost(w, v)


def _mean_and_penalty(w: Any, v: Any, u: Any) -> Any:
    return expected_cost(w, v) + (u**2).sum()


def _with_head(s: TorchProblem, w: Any, v: Any, u: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    padded = 0.0 * (s.x @ u).sum()
    return (f.detach() * s.take(log_q, y) + f).mean() + padded


def _with_head_held(s: TorchProblem, w: Any, v: Any, u: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    return (f.detach() * s.take(log_q, y) + f).mean() + (u.detach() ** 2).sum()


def _with_head_by_hand(rng: Any, w: Any, v: Any, u: Any) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    f = costs(v)[SENTENCES, y]
    return to_weights(f[:, None] * score(q, y)), pathwise(v, y), np.zeros_like(u)


def _heads(mean: Any, estimate: Any) -> Makes:
    return by_framework(estimate, _with_head_by_hand, (WEIGHTS, VALUES, HEAD), mean)


def _critic_loss(w: Any, _v: Any, u: Any) -> Any:
    """What the critic's loss and the surrogate are the gradients of; the cost is no part of it."""
    f = costs(VALUES)
    q = softmax(FEATURES @ WEIGHTS)
    loss = (q * (f - (FEATURES @ u)[:, None]) ** 2).sum() / len(f)
    return expected_cost(w, VALUES) + loss


def _beside_critic(s: TorchProblem, w: Any, v: Any, u: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f, critic = s.cost(v, y), s.x @ u
    ((f.detach() - critic) ** 2).mean().backward()
    return ((f - critic).detach() * s.take(log_q, y)).mean()  # the cost's own gradient is left out


ROWS = (
    *right(
        "head-unused",
        "A head that has no part in the cost, and no gradient.",
        "padded or frozen parts of a model; critics that learn elsewhere, as in NVIL",
        _heads(_mean_without_head, _with_head),
    ),
    *wrong(
        "head-not-reached",
        "A head that has a part in the cost, and no gradient on any path.",
        "textbook mistake: a parameter that is detached",
        _heads(_mean_and_penalty, _with_head_held),
    ),
    *wrong(
        "critic-backward-beside",
        "A surrogate is returned after the critic's loss went backward: two gradients, no sum.",
        "NVIL as in Mnih and Gregor (2014), written with one backward() and one return",
        by_framework(_beside_critic, inputs=(WEIGHTS, VALUES, HEAD), mean=_critic_loss),
        sees="reach",
        raises=NotAGradient,
    ),
)
