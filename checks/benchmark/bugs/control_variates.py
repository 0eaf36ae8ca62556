"""Functions of the label that are subtracted from the cost, and whose mean is added again.

Reference:
    Paisley, Blei and Jordan (2012), Variational Bayesian inference with stochastic search. Gu et
    al. (2016), MuProp: unbiased backpropagation for stochastic neural networks. Rows name the
    sources of the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    K,
    TorchProblem,
    by_framework,
    costs,
    draw,
    pathwise,
    score,
    softmax,
    to_weights,
)

#: What is guessed of each sentence and label, (N, K).
GUESS = np.array([[1.1, 0.9, 3.0], [2.6, 1.4, 4.9]])

#: How the mean's derivative is added.
ADDED = {"added": 1.0, "missing": 0.0, "sign": -1.0}


def _control_variate(s: TorchProblem, w: Any, v: Any, *, added: str) -> Any:
    log_q, guess = s.log_q(w), s.constant(GUESS)
    y = s.draw(log_q)
    f = s.cost(v, y)
    known = (log_q.exp() * guess).sum(dim=-1)
    return ((f.detach() - s.take(guess, y)) * s.take(log_q, y) + f + ADDED[added] * known).mean()


def _control_variate_by_hand(rng: Any, w: Any, v: Any, *, added: str) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    signal = (costs(v) - GUESS)[SENTENCES, y]
    slope = q * (GUESS - (q * GUESS).sum(axis=-1, keepdims=True))
    return to_weights(signal[:, None] * score(q, y) + ADDED[added] * slope), pathwise(v, y)


def _value_at(s: TorchProblem, v: Any, share: Any) -> Any:
    """The cost at a mixture of labels, (N, K) -> (N,): what it is between them is a choice."""
    return (share * s.table).sum(-1) + (share @ v - s.t) ** 2


def _taylor(s: TorchProblem, w: Any, v: Any, *, adds: bool, leaks: bool = False) -> Any:
    log_q = s.log_q(w)
    q = log_q.exp()
    y = s.draw(log_q)
    f = s.cost(v, y)
    centre = q.detach().requires_grad_()
    held = v if leaks else v.detach()
    value = _value_at(s, held, centre)
    slope = s.torch.autograd.grad(value.sum(), centre, create_graph=leaks)[0]
    onehot = s.torch.nn.functional.one_hot(y, K)
    line = value + (slope * (onehot - q.detach())).sum(-1)
    known = (slope * q).sum(-1) if adds else 0.0
    weight = f.detach() - (line if leaks else line.detach())
    return (weight * s.take(log_q, y) + f + known).mean()


_MUPROP = "Gu et al. (2016), MuProp: unbiased backpropagation for stochastic neural networks"

ROWS = (
    *right(
        "control-variate",
        "A guess by label is subtracted, and the derivative of its mean added.",
        "Paisley, Blei and Jordan (2012), Variational Bayesian inference with stochastic search",
        by_framework(_control_variate, _control_variate_by_hand, added="added"),
    ),
    *right(
        "muprop",
        "A line through the cost at the mean label, whose own mean is known.",
        _MUPROP,
        by_framework(_taylor, adds=True),
    ),
    *wrong(
        "label-dependent-baseline",
        "A baseline that sees the label, whose mean is not added.",
        "Tucker et al. (2018), The mirage of action-dependent baselines",
        by_framework(_control_variate, _control_variate_by_hand, added="missing"),
    ),
    *wrong(
        "control-variate-sign",
        "The mean is subtracted where it should be added.",
        "textbook mistake",
        by_framework(_control_variate, _control_variate_by_hand, added="sign"),
    ),
    *wrong(
        "muprop-mean-missing",
        "The line is subtracted and its mean not added.",
        _MUPROP + ", without its last term",
        by_framework(_taylor, adds=False),
    ),
    *wrong(
        "control-variate-leaks",
        "The control variate is not detached where it is subtracted: the model learns from it.",
        "pydrobert #9",
        by_framework(_taylor, adds=True, leaks=True),
    ),
)
