"""Estimators that keep something, change what they are given, or draw the same each time."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradproof.estimators.replay import Restless

from ..gradients import Mutates
from .row import Problem, wrong
from .scene import (
    FEATURES,
    SENTENCES,
    VALUES,
    WEIGHTS,
    Tensors,
    by_hand,
    costs,
    draw,
    exact,
    expected,
    pathwise,
    score,
    softmax,
    tensors,
    to_weights,
)


def _keeps_mean() -> Problem:
    """A running mean without a way to forget it."""
    kept = [0.9]

    def estimate(s: Tensors, w: Any, v: Any) -> Any:
        log_q = s.log_q(w)
        y = s.draw(log_q)
        f = s.cost(v, y)
        signal = f.detach() - kept[0]
        kept[0] = 0.8 * kept[0] + 0.2 * float(f.detach().mean())
        return (signal * s.at(log_q, y) + f).mean()

    return tensors(estimate)()


def _adds_up() -> Problem:
    """Gradients that are added to what was there, as by backward() without zero_grad()."""
    buffer = np.zeros_like(WEIGHTS)

    def estimate(rng: Any, w: Any, v: Any) -> Any:
        nonlocal buffer
        q = softmax(FEATURES @ w)
        y = draw(rng, q)
        f = costs(v)[SENTENCES, y]
        buffer = buffer + to_weights(f[:, None] * score(q, y))
        return buffer, pathwise(v, y)

    return by_hand(estimate)()


def _centres_in_place(rng: Any, w: Any, v: Any) -> Any:
    w -= w.mean(axis=1, keepdims=True)  # it makes no difference to q
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    f = costs(v)[SENTENCES, y]
    return to_weights(f[:, None] * score(q, y)), pathwise(v, y)


def _centres_tensor_in_place(s: Tensors, w: Any, v: Any) -> Any:
    w.data -= w.data.mean(dim=1, keepdim=True)
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    return (f.detach() * s.at(log_q, y) + f).mean()


def _seeds() -> Problem:
    """A generator that is seeded at each call: enumerated it is right, run it draws no chance."""

    def estimate(w: Any, v: Any) -> Any:
        q = softmax(FEATURES @ w)
        y = draw(np.random.default_rng(7), q)
        f = costs(v)[SENTENCES, y]
        return to_weights(f[:, None] * score(q, y)), pathwise(v, y)

    inputs = WEIGHTS.copy(), VALUES.copy()
    return Problem(estimate, inputs, exact=exact(expected, inputs))


ROWS = (
    *wrong(
        "mean-kept",
        "A running mean that is kept from run to run, and no way to reset it.",
        "the kind of state that Storchastic MovingAverageBaseline keeps",
        {"torch": _keeps_mean},
        sees="state",
        raises=Restless,
    ),
    *wrong(
        "gradients-add-up",
        "Gradients are added to those of the run before.",
        "textbook mistake: backward() without zero_grad()",
        {"numpy": _adds_up},
        sees="state",
        raises=Restless,
    ),
    *wrong(
        "parameters-changed",
        "The parameters are another vector after an estimate than before it.",
        "textbook mistake",
        {"torch": tensors(_centres_tensor_in_place), "numpy": by_hand(_centres_in_place)},
        sees="state",
        raises=Mutates,
    ),
    *wrong(
        "seeded-each-time",
        "The generator is seeded in each call: every estimate is of the same draw.",
        "reused random keys, as in JAX; a sampler that does not draw from q",
        {"numpy": _seeds},
        sees="sampler",
    ),
)
