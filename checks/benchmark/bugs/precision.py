"""Probabilities near 0 and 1, small gradients beside large ones, and what cancels."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .row import Makes, Problem, right, wrong
from .toy_problem import (
    FEATURES,
    K,
    TorchProblem,
    by_framework,
    draw,
    score,
    score_function,
    softmax,
)

# ------------------------------------------------------------------ a peaked policy

#: Logits of a policy that has made up its mind, (K,), and what its labels cost.
PEAKED = np.array([12.0, 0.0, -0.7])
PEAKED_COSTS = np.array([0.6, 2.1, 1.7])

#: The part of the scores of rare labels that a bug adds.
EXTRA = 0.01


def _peaked_exact() -> np.ndarray:
    """p_k sum_j p_j (f_k - f_j), in which nothing cancels."""
    p = np.exp(PEAKED - PEAKED.max())
    p /= p.sum()
    return p * ((PEAKED_COSTS[:, None] - PEAKED_COSTS) * p).sum(axis=-1)


def _peaked_policy(extra: float) -> Makes:
    def on_tensors() -> Problem:
        s = TorchProblem()
        f = s.constant(PEAKED_COSTS)

        def surrogate(logits: Any) -> Any:
            q = s.torch.distributions.Categorical(logits=logits)
            y = q.sample()
            return (1.0 + extra * (y > 0)) * f[y] * q.log_prob(y)

        inputs = (s.constant(PEAKED).requires_grad_(),)
        return Problem(surrogate, inputs, exact=_peaked_exact(), surrogate=surrogate)

    def by_hand() -> Problem:
        rng = np.random.default_rng()

        def estimate(logits: Any) -> Any:
            q = np.exp(logits - logits.max())
            q = q / q.sum()
            y = rng.choice(K, p=q)
            return (1.0 + extra * (y > 0)) * PEAKED_COSTS[y] * (np.eye(K)[y] - q)

        return Problem(estimate, (PEAKED.copy(),), exact=_peaked_exact())

    return {"torch": on_tensors, "numpy": by_hand}


# ------------------------------------------------------------------ a saturated unit

#: Logits of two units, one of them saturated, and the cost of each pair of bits.
UNITS = np.array([15.0, 0.4])
UNIT_COSTS = np.array([[0.7, 2.3], [-0.4, 1.6]])


def _units_exact() -> np.ndarray:
    """p (1 - p) times the difference that a bit makes; 1 - p is the sigmoid of minus the logit."""
    one, none = 1.0 / (1.0 + np.exp(-UNITS)), 1.0 / (1.0 + np.exp(UNITS))
    first = (UNIT_COSTS[1] - UNIT_COSTS[0]) @ np.array([none[1], one[1]])
    second = np.array([none[0], one[0]]) @ (UNIT_COSTS[:, 1] - UNIT_COSTS[:, 0])
    return one * none * np.array([first, second])


def _saturated_unit() -> Problem:
    s = TorchProblem()
    table = s.constant(UNIT_COSTS)

    def surrogate(logits: Any) -> Any:
        q = s.torch.distributions.Bernoulli(logits=logits)
        bits = q.sample()
        first, second = bits.long()
        return table[first, second] * q.log_prob(bits).sum()

    inputs = (s.constant(UNITS).requires_grad_(),)
    return Problem(surrogate, inputs, exact=_units_exact(), surrogate=surrogate)


def _saturated_unit_by_hand() -> Problem:
    rng = np.random.default_rng()

    def estimate(logits: Any) -> Any:
        p = 1.0 / (1.0 + np.exp(-logits))
        bits = (rng.random(2) < p).astype(int)
        return UNIT_COSTS[bits[0], bits[1]] * (bits - p)

    return Problem(estimate, (UNITS.copy(),), exact=_units_exact())


# ------------------------------------------------------------------ two heads

#: Logits of two heads in one tensor, (2, K), and what their labels cost: one far less.
HEADS = np.array([[0.3, -0.2, 0.5], [-0.4, 0.1, 0.6]])
HEAD_COSTS = np.array([[7e3, -3e3, 1.2e4], [2e-3, -1e-3, 3e-3]])


def _heads_expected(logits: Any) -> Any:
    return (softmax(logits) * HEAD_COSTS).sum()


def _heads_on_tensors(s: TorchProblem, logits: Any, *, share: float) -> Any:
    """The small head gets a share of its gradient."""
    log_q = logits.log_softmax(dim=-1)
    y = s.draw(log_q)
    shares = s.constant(np.array([1.0, share]))
    return (shares * s.take(s.constant(HEAD_COSTS), y) * s.take(log_q, y)).sum()


def _heads_by_hand(rng: Any, logits: Any, *, share: float) -> Any:
    q = softmax(logits)
    y = draw(rng, q)
    f = np.array([1.0, share]) * HEAD_COSTS[np.arange(2), y]
    return f[:, None] * score(q, y)


_heads = functools.partial(
    by_framework, _heads_on_tensors, _heads_by_hand, (HEADS,), _heads_expected
)


# ------------------------------------------------------------------ attention

#: What two tokens attend with, (D, D) and (D,): a bias of the keys moves all scores of a query
#: alike, and so no weight of attention.
QUERY = np.array([[0.4, -0.7], [0.9, 0.2]])
KEY = np.array([[-0.3, 0.8], [0.5, 0.6]])
KEY_BIAS = np.array([0.35, -0.85])
OUT = np.array([[0.7, -0.4, 0.2], [-0.6, 0.3, 0.9]])
COSTS = np.array([[1.2, 0.3, 2.1], [0.6, 1.9, -0.7]])


def _attention_mean(key: Any, _bias: Any) -> Any:
    weights = softmax(FEATURES @ QUERY @ (FEATURES @ key).T)
    return (softmax(weights @ FEATURES @ OUT) * COSTS).sum()


def _attention(s: TorchProblem, key: Any, bias: Any) -> Any:
    scores = (s.x @ s.constant(QUERY)) @ (s.x @ key + bias).T
    log_q = (scores.softmax(dim=-1) @ s.x @ s.constant(OUT)).log_softmax(dim=-1)
    y = s.draw(log_q)
    return (s.take(s.constant(COSTS), y) * s.take(log_q, y)).sum()


#: What is added to all costs.
FAR_FROM_ZERO = 1e6

_TRAINED = "any policy that is trained for long"

ROWS = (
    *right(
        "peaked-softmax",
        "One label has all but a few millionths of the probability.",
        _TRAINED,
        _peaked_policy(0.0),
    ),
    *right(
        "saturated-unit",
        "One of two bits is on but for one time in three million.",
        _TRAINED,
        {"torch": _saturated_unit, "numpy": _saturated_unit_by_hand},
    ),
    *right(
        "small-head",
        "A head whose costs are thousandths, in one tensor with a head whose costs are thousands.",
        "losses of several heads, added as they are",
        _heads(share=1.0),
    ),
    *right(
        "key-bias",
        "The bias of the keys of attention, whose gradient is zero because it cancels.",
        "attention as in Vaswani et al. (2017), with the biases of torch.nn.MultiheadAttention",
        by_framework(_attention, inputs=(KEY, KEY_BIAS), mean=_attention_mean),
    ),
    *right(
        "cost-far-from-zero",
        "A constant of a million is added to all costs.",
        "rewards with an offset, such as the length of an episode",
        score_function(lambda f, x: f + FAR_FROM_ZERO),
    ),
    *wrong(
        "rare-labels-overweighed",
        "Scores of labels that come a few times in a million are too large by one in a hundred.",
        "importance weights of rare events that are off; textbook mistake",
        _peaked_policy(EXTRA),
    ),
    *wrong(
        "small-head-halved",
        "The small one of two heads in one tensor has half of its gradient.",
        "a factor of one half that is left in one of several losses; textbook mistake",
        _heads(share=0.5),
    ),
)
