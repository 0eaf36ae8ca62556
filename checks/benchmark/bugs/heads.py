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
    by_hand,
    costs,
    draw,
    expected,
    pathwise,
    score,
    softmax,
    tensors,
    to_weights,
)

#: Of a head, (D,).
HEAD = np.array([0.9, -0.35])


def _ignoring(w: Any, v: Any, _u: Any) -> Any:
    return expected(w, v)


def _penalised(w: Any, v: Any, u: Any) -> Any:
    return expected(w, v) + (u**2).sum()


def _with_head(s: TorchProblem, w: Any, v: Any, u: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    padded = 0.0 * (s.x @ u).sum()
    return (f.detach() * s.at(log_q, y) + f).mean() + padded


def _with_head_held(s: TorchProblem, w: Any, v: Any, u: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    return (f.detach() * s.at(log_q, y) + f).mean() + (u.detach() ** 2).sum()


def _with_head_by_hand(rng: Any, w: Any, v: Any, u: Any) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    f = costs(v)[SENTENCES, y]
    return to_weights(f[:, None] * score(q, y)), pathwise(v, y), np.zeros_like(u)


def _heads(mean: Any, estimate: Any) -> Makes:
    given = (WEIGHTS, VALUES, HEAD), mean
    return {"torch": tensors(estimate, *given), "numpy": by_hand(_with_head_by_hand, *given)}


def _fitted(w: Any, _v: Any, u: Any) -> Any:
    """What the critic's loss and the surrogate are the gradients of; the cost is no part of it."""
    f = costs(VALUES)
    q = softmax(FEATURES @ WEIGHTS)
    loss = (q * (f - (FEATURES @ u)[:, None]) ** 2).sum() / len(f)
    return expected(w, VALUES) + loss


def _beside_critic(s: TorchProblem, w: Any, v: Any, u: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f, critic = s.cost(v, y), s.x @ u
    ((f.detach() - critic) ** 2).mean().backward()
    return ((f - critic).detach() * s.at(log_q, y)).mean()  # the cost's own gradient is left out


ROWS = (
    *right(
        "head-unused",
        "A head that has no part in the cost, and no gradient.",
        "padded or frozen parts of a model; critics that learn elsewhere, as in NVIL",
        _heads(_ignoring, _with_head),
    ),
    *wrong(
        "head-not-reached",
        "A head that has a part in the cost, and no gradient on any path.",
        "textbook mistake: a parameter that is detached",
        _heads(_penalised, _with_head_held),
    ),
    *wrong(
        "critic-backward-beside",
        "A surrogate is returned after the critic's loss went backward: two gradients, no sum.",
        "NVIL as in Mnih and Gregor (2014), written with one backward() and one return",
        {"torch": tensors(_beside_critic, (WEIGHTS, VALUES, HEAD), _fitted)},
        sees="reach",
        raises=NotAGradient,
    ),
)
