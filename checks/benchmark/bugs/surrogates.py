"""Surrogates, and gradients by hand, that are not quite the score times the cost."""

from __future__ import annotations

import functools
from typing import Any

from ...evidence import PROPORTIONAL
from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    TABLE,
    TARGETS,
    WEIGHTS,
    K,
    N,
    TorchProblem,
    by_framework,
    costs,
    draw,
    of_labels,
    of_labels_by_hand,
    pathwise,
    score,
    score_function,
    softmax,
    to_weights,
)


def _raw_logits(s: TorchProblem, w: Any, v: Any) -> Any:
    logits = s.x @ w
    y = s.draw(logits)
    f = s.cost(v, y)
    return ((f.detach() - 0.8) * s.take(logits, y) + f).mean()


def _over_batch(s: TorchProblem, w: Any, v: Any) -> Any:
    logits = s.x @ w
    y = s.draw(logits)
    f = s.cost(v, y)
    return (f.detach() * s.take(logits.log_softmax(dim=0), y) + f).mean()


def _outer(s: TorchProblem, w: Any, v: Any, *, total: bool) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    each = f.detach()[:, None] * s.take(log_q, y)  # (N, N): every cost by every score
    return (each.sum() / N if total else each.mean()) + f.mean()


def _outer_by_hand(rng: Any, w: Any, v: Any, *, total: bool) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    f = costs(v)[SENTENCES, y].sum() / (1.0 if total else N)
    return to_weights(f * score(q, y)), pathwise(v, y)


def _redraw(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w)
    f = s.cost(v, s.draw(log_q))
    return (f.detach() * s.take(log_q, s.draw(log_q)) + f).mean()


def _redraw_by_hand(rng: Any, w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    f = costs(v)[SENTENCES, y]
    return to_weights(f[:, None] * score(q, draw(rng, q))), pathwise(v, y)


def _likeliest(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w)
    f = s.cost(v, s.draw(log_q))
    return (f.detach() * log_q.max(dim=-1).values + f).mean()


#: An auxiliary variable of two values, by sentence: its probability, and what it adds to logits
#: (through the parameters) and to the cost of each label.
PROBABILITIES = (0.35, 0.8)
SHIFT = (-0.6, 1.3)
EXTRA = (0.5, -0.9, 1.6)


def _auxiliary(s: TorchProblem, w: Any, *, redrawn: bool) -> Any:
    probabilities = s.constant(PROBABILITIES)
    shift = s.constant(SHIFT)
    a = s.torch.bernoulli(probabilities).long()
    log_q = ((s.x * shift[a][:, None]) @ w).log_softmax(dim=-1)
    y = s.draw(log_q)
    if redrawn:
        a = s.torch.bernoulli(probabilities).long()
    f = s.take(s.table, y) * (s.constant(EXTRA)[y] * a + 1.0)
    return (f * s.take(log_q, y)).mean()


def _auxiliary_by_hand(rng: Any, w: Any, *, redrawn: bool) -> Any:
    by_logits = []
    for x, probability, table in zip(FEATURES, PROBABILITIES, TABLE, strict=True):
        a = rng.binomial(1, probability)
        shift = SHIFT[a]
        q = softmax(shift * x @ w)
        y = rng.choice(len(q), p=q)
        if redrawn:
            a = rng.binomial(1, probability)
        f = table[y] * (EXTRA[y] * a + 1.0)
        onehot = [float(y == k) for k in range(len(q))]
        by_logits.append([shift * f * (one - each) for one, each in zip(onehot, q, strict=True)])
    return FEATURES.T @ by_logits / N


def _auxiliary_expected(w: Any) -> Any:
    total = 0.0
    for x, probability, table in zip(FEATURES, PROBABILITIES, TABLE, strict=True):
        for a, share in enumerate((1.0 - probability, probability)):
            q = softmax(SHIFT[a] * x @ w)
            total = total + share * sum(q[k] * table[k] * (EXTRA[k] * a + 1.0) for k in range(K))
    return total / N


_auxiliaries = functools.partial(
    by_framework, _auxiliary, _auxiliary_by_hand, (WEIGHTS,), _auxiliary_expected
)


def _couple(s: TorchProblem, w: Any, v: Any, *, own: bool) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.take(s.table, y) + (v[y] - v[y].mean()) ** 2 + s.t * v[y].mean()
    signal = f if own else f.sum()
    return (signal.detach() * s.take(log_q, y) + f).mean()


def _couple_expected(w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    total = 0.0
    for first in range(len(v)):
        for second in range(len(v)):
            mean = (v[first] + v[second]) / 2.0
            costs_ = (
                TABLE[0, first] + (v[first] - mean) ** 2 + TARGETS[0] * mean,
                TABLE[1, second] + (v[second] - mean) ** 2 + TARGETS[1] * mean,
            )
            total = total + q[0, first] * q[1, second] * sum(costs_) / N
    return total


_PLANTED = "planted, as a test of the checker: of a size that sampling does not see"

ROWS = (
    *right(
        "auxiliary-kept",
        "An auxiliary draw enters q and the cost as the same draw.",
        "Maaloe et al. (2016), Auxiliary deep generative models",
        _auxiliaries(redrawn=False),
    ),
    *right(
        "coupled-total",
        "Labels of a batch enter each other's costs: each score is weighted by the sum of all.",
        "Schulman et al. (2015), Gradient estimation using stochastic computation graphs",
        by_framework(_couple, mean=_couple_expected, own=False),
    ),
    *wrong(
        "score-sign",
        "The score's part has the wrong sign.",
        "NumPyro #1044; Pyro #1988",
        score_function(lambda f, x: -f),
    ),
    *wrong(
        "surrogate-sign",
        "The whole surrogate is negated: a bound to be raised is given to what lowers.",
        "NumPyro #1044; Pyro #1988",
        by_framework(of_labels(lambda f, log_q: -(f.detach() * log_q + f))),
        direction=PROPORTIONAL,
        factor=-1.0,
    ),
    *wrong(
        "probability-for-log",
        "The probability is differentiated in place of its logarithm.",
        "textbook mistake",
        by_framework(
            of_labels(lambda f, log_q: f.detach() * log_q.exp() + f),
            of_labels_by_hand(lambda f, q, y: f * (q[SENTENCES, y][:, None] * score(q, y))),
        ),
    ),
    *wrong(
        "raw-logits",
        "Logits in place of log-probabilities: right at one baseline only, the expected cost.",
        "textbook mistake; a sweep of the baseline shows it",
        by_framework(_raw_logits, of_labels_by_hand(lambda f, q, y: (f - 0.8) * (score(q, y) + q))),
    ),
    *wrong(
        "softmax-over-batch",
        "Log-probabilities are normalised over the sentences, not over the labels.",
        "textbook mistake",
        by_framework(_over_batch),
    ),
    *wrong(
        "outer-product-mean",
        "Shapes (N, 1) and (N,) multiply to all pairs, whose mean is 1/N of the score.",
        "textbook mistake",
        by_framework(_outer, _outer_by_hand, total=False),
    ),
    *wrong(
        "outer-product-sum",
        "The same, summed: the mean is right, and the variance that of every cost by every score.",
        "textbook mistake",
        by_framework(_outer, _outer_by_hand, total=True),
        sees="variance",
    ),
    *wrong(
        "label-redrawn",
        "The score is that of a second draw, of which the cost knows nothing.",
        "textbook mistake",
        by_framework(_redraw, _redraw_by_hand),
    ),
    *wrong(
        "score-of-likeliest",
        "The score is that of the likeliest label, the cost that of the one drawn.",
        "textbook mistake",
        by_framework(_likeliest),
    ),
    *wrong(
        "auxiliary-redrawn",
        "An auxiliary variable is drawn again between q(y|a,x) and the cost.",
        "textbook mistake",
        _auxiliaries(redrawn=True),
    ),
    *wrong(
        "coupled-own",
        "Batch statistics see all labels, and each score is weighted by its own cost alone.",
        "batch statistics in label-dependent layers",
        by_framework(_couple, mean=_couple_expected, own=True),
    ),
    *wrong(
        "scale-three-percent",
        "The score's part is three percent too large.",
        _PLANTED,
        score_function(lambda f, x: 1.03 * f),
    ),
    *wrong(
        "cancels-over-sentences",
        "One sentence's score counts more and the other's less: norms and sums hardly change.",
        _PLANTED,
        score_function(lambda f, x: f * (1.0 + 0.3 * x[:, 1])),
    ),
)
