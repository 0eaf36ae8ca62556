"""Sums over some labels, draws without replacement, and part of the data.

Reference:
    Kool, van Hoof and Welling (2020), Estimating gradients for discrete random variables by
    sampling without replacement. Rows name the sources of the others.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    VALUES,
    WEIGHTS,
    K,
    N,
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

PAIR = 2


# ------------------------------------------------------------------ some labels summed, some drawn


def _enumerate(s: TorchProblem, w: Any, v: Any) -> Any:
    f = s.table + (v - s.t[:, None]) ** 2
    return (s.log_q(w).exp() * f).sum(dim=-1).mean()


def _partial(s: TorchProblem, w: Any, v: Any, *, tail: str) -> Any:
    # The likeliest label is summed over, and one of the others drawn for what is left.
    log_q = s.log_q(w)
    top = log_q.argmax(dim=-1)
    left = log_q.detach().exp().scatter(1, top[:, None], 0.0)
    y = s.draw(log_q) if tail == "of all" else s.torch.multinomial(left, 1)[:, 0]
    first = s.take(log_q, top).detach().exp() * _term(s, log_q, v, top)
    rest = {"weighed": left.sum(-1), "of all": left.sum(-1), "whole": 1.0, "dropped": 0.0}[tail]
    return (first + rest * _term(s, log_q, v, y)).mean()


def _partial_by_hand(rng: Any, w: Any, v: Any, *, tail: str) -> Any:
    q = softmax(FEATURES @ w)
    top = q.argmax(axis=-1)
    left = q.copy()
    left[SENTENCES, top] = 0.0
    y = draw(rng, left / left.sum(axis=-1, keepdims=True))
    rest = {"weighed": left.sum(axis=-1), "whole": np.ones(N), "dropped": np.zeros(N)}[tail]
    pairs = ((q[SENTENCES, top], top), (rest, y))
    return _weighed_sum(q, v, pairs)


def _term(s: TorchProblem, log_q: Any, v: Any, y: Any) -> Any:
    f = s.cost(v, y)
    return f.detach() * s.take(log_q, y) + f


def _weighed_sum(q: np.ndarray, v: np.ndarray, pairs: Any) -> Any:
    """Sum of estimates for labels, each weighed: pairs of weights and labels (N,)."""
    by_w, by_v = np.zeros_like(WEIGHTS), np.zeros_like(VALUES)
    for weight, y in pairs:
        signal = weight * costs(v)[SENTENCES, y]
        by_w += to_weights(signal[:, None] * score(q, y))
        by_v += pathwise(v, y, weight)
    return by_w, by_v


# ------------------------------------------------------------------ without replacement


def _shares(p: Any, y: Any, how: str) -> Any:
    """Weights of two labels drawn without replacement, from their probabilities; (N, 2) each."""
    first, second = p[:, 0], p[:, 1]
    if how == "sum and sample":
        return first, 1.0 - first
    if how == "renormalised":
        return first / (first + second), second / (first + second)
    if how == "as if replaced":
        return 0.5 + 0.0 * first, 0.5 + 0.0 * first
    if how == "not weighed":
        return first, second
    # Of the set, in either order; each weighted by the probability of the set if it came first.
    both = first * second / (1.0 - first) + first * second / (1.0 - second)
    return (
        first * (second / (1.0 - first)) / both,
        second * (first / (1.0 - second)) / both,
    )


def _pair(s: TorchProblem, w: Any, v: Any, *, how: str) -> Any:
    log_q = s.log_q(w)
    q = log_q.detach().exp()
    y = s.torch.multinomial(q, PAIR, replacement=False)
    weights = _shares(q.gather(1, y), y, how)
    terms = (_term(s, log_q, v, label) for label in y.unbind(1))
    return sum(weight * term for weight, term in zip(weights, terms, strict=True)).mean()


def _pair_by_hand(rng: Any, w: Any, v: Any, *, how: str) -> Any:
    q = softmax(FEATURES @ w)
    y = np.array([rng.choice(K, size=PAIR, replace=False, p=row) for row in q])
    weights = _shares(np.take_along_axis(q, y, axis=1), y, how)
    return _weighed_sum(q, v, zip(weights, y.T, strict=True))


# ------------------------------------------------------------------ part of the data

#: Of a penalty on the weights, which is no part of what is subsampled.
PENALTY = 0.4


def _part(s: TorchProblem, w: Any, v: Any, *, scale: float, penalty: float) -> Any:
    kept = s.torch.randperm(N)[:1]
    log_q = s.log_q(w)[kept]
    y = s.torch.multinomial(log_q.exp(), 1)[:, 0]
    f = s.table[kept, y] + (v[y] - s.t[kept]) ** 2
    data = (f.detach() * log_q[0, y] + f).sum()
    return scale * data + penalty * (w * w).sum()


def _part_by_hand(rng: Any, w: Any, v: Any, *, scale: float, penalty: float) -> Any:
    kept = rng.integers(N)
    q = softmax(FEATURES @ w)
    y = np.full(N, rng.choice(K, p=q[kept]))
    only = np.where(kept == SENTENCES, 1.0, 0.0)
    by_w, by_v = _weighed_sum(q, v, [(only * N * scale, y)])
    return by_w + 2.0 * penalty * w, by_v


def _sum_and_penalty(w: Any, v: Any) -> Any:
    return N * expected_cost(w, v) + PENALTY * (w * w).sum()


_parts = functools.partial(by_framework, _part, _part_by_hand, mean=_sum_and_penalty)


_KOOL = "Kool, van Hoof and Welling (2020), Estimating gradients for discrete random variables"
_LIU = "Liu et al. (2019), Rao-Blackwellized stochastic gradients for discrete distributions"

ROWS = (
    *right(
        "enumerated",
        "The sum over all labels; nothing is drawn.",
        "Titsias and Lazaro-Gredilla (2015), Local expectation gradients",
        by_framework(_enumerate),
    ),
    *right(
        "partial-sum",
        "The likeliest label is summed, the others are drawn with the remaining probability.",
        _LIU,
        by_framework(_partial, _partial_by_hand, tail="weighed"),
    ),
    *right(
        "sum-and-sample",
        "Two draws without replacement, weighted by q of the first and by 1 minus that.",
        _KOOL,
        by_framework(_pair, _pair_by_hand, how="sum and sample"),
    ),
    *right(
        "unordered-set",
        "Two draws without replacement, weighted as the set that they are.",
        _KOOL,
        by_framework(_pair, _pair_by_hand, how="unordered"),
    ),
    *right(
        "subsample-scaled",
        "One of two sentences, counted twice; the penalty counted once.",
        "Pyro #533, on the scale of subsamples",
        _parts(scale=float(N), penalty=PENALTY),
    ),
    *wrong(
        "tail-dropped",
        "The likeliest labels are summed over and the others left out.",
        "textbook mistake; of the kind of torx #9, zero for what was not sampled",
        by_framework(_partial, _partial_by_hand, tail="dropped"),
    ),
    *wrong(
        "tail-not-weighed",
        "What is drawn for the rest counts whole.",
        _LIU + ", without its weight",
        by_framework(_partial, _partial_by_hand, tail="whole"),
    ),
    *wrong(
        "tail-drawn-from-all",
        "What is drawn for the rest may be the label that is summed over already.",
        _LIU + ", drawn from q itself",
        by_framework(_partial, tail="of all"),
    ),
    *wrong(
        "without-replacement-renormalised",
        "Probabilities of labels drawn without replacement, made to sum to one, as weights.",
        "textbook mistake; 0.61-0.66 of the gradient at 2 draws of 4 labels",
        by_framework(_pair, _pair_by_hand, how="renormalised"),
    ),
    *wrong(
        "without-replacement-averaged",
        "Draws without replacement are averaged as if each were by itself.",
        "textbook mistake",
        by_framework(_pair, _pair_by_hand, how="as if replaced"),
    ),
    *wrong(
        "without-replacement-not-weighed",
        "Labels drawn without replacement are summed by their probabilities, as if these were all.",
        "textbook mistake; of the kind of torx #9, zero for what was not sampled",
        by_framework(_pair, _pair_by_hand, how="not weighed"),
    ),
    *wrong(
        "subsample-not-scaled",
        "One of two sentences counts once.",
        "Pyro #533",
        _parts(scale=1.0, penalty=PENALTY),
    ),
    *wrong(
        "subsample-scales-penalty",
        "What does not depend on the sentence is scaled as if it did.",
        "Pyro #533, the other way round",
        _parts(scale=float(N), penalty=N * PENALTY),
    ),
)
