"""Bits, hierarchies and masks: a log-probability that is not of what was drawn."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...evidence import PROPORTIONAL
from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    TABLE,
    K,
    N,
    TorchProblem,
    by_framework,
    costs,
    draw,
    pathwise,
    score,
    softmax,
    to_weights,
)

# ------------------------------------------------------------------ bits

#: Of two bits for each sentence, (D, 2), and the cost of each pair of bits, (N, 2, 2).
BIT_WEIGHTS = np.array([[0.4, -0.9], [0.75, 0.35]])
BIT_COSTS = np.array([[[0.7, 2.3], [-0.4, 1.6]], [[1.9, 0.2], [0.9, -1.1]]])


def _log_probability(s: TorchProblem, logits: Any, bits: Any, how: str) -> Any:
    bernoulli = s.torch.distributions.Bernoulli
    if how == "ones only":
        return (bits * logits.sigmoid().log()).sum(dim=-1)
    if how == "sigmoid twice":
        return bernoulli(logits=logits.sigmoid()).log_prob(bits).sum(dim=-1)
    each = bernoulli(logits=logits).log_prob(bits)
    return {"sum": each.sum(-1), "mean": each.mean(-1), "first": each[:, 0]}[how]


def _bits(s: TorchProblem, u: Any, *, how: str) -> Any:
    logits = s.x @ u
    bits = s.torch.distributions.Bernoulli(logits=logits).sample()
    first, second = bits.long().unbind(dim=-1)
    f = s.constant(BIT_COSTS)[s.torch.arange(N), first, second]
    return (f * _log_probability(s, logits, bits, how)).mean()


def _bits_by_hand(rng: Any, u: Any, *, how: str) -> Any:
    p = 1.0 / (1.0 + np.exp(-FEATURES @ u))
    bits = rng.random(p.shape) < p
    f = BIT_COSTS[SENTENCES, bits[:, 0].astype(int), bits[:, 1].astype(int)]
    slope = bits * (1.0 - p) if how == "ones only" else bits - p
    if how == "mean":
        slope = slope / 2.0
    if how == "first":
        slope = slope * np.array([1.0, 0.0])
    return FEATURES.T @ (f[:, None] * slope) / N


def _bits_expected(u: Any) -> Any:
    p = 1.0 / (1.0 + np.exp(-(FEATURES @ u)))
    total = 0.0
    for i, a, b in itertools.product(range(N), range(2), range(2)):
        probability = (1.0 - p[i, 0], p[i, 0])[a] * (1.0 - p[i, 1], p[i, 1])[b]
        total = total + probability * BIT_COSTS[i, a, b] / N
    return total


_bit_rows = functools.partial(
    by_framework, torch=_bits, numpy=_bits_by_hand, inputs=(BIT_WEIGHTS,), mean=_bits_expected
)


# ------------------------------------------------------------------ two stages

#: Logits of a component for each sentence are its features times these, (D, 2); a component's
#: labels are drawn by its own, (2, K), and cost what the table says.
COMPONENT_WEIGHTS = np.array([[0.5, -0.7], [-0.3, 0.8]])
COMPONENT_LOGITS = np.array([[0.2, -0.6, 0.9], [-0.4, 0.7, 0.1]])


def _stages(s: TorchProblem, u: Any, m: Any, *, how: str) -> Any:
    log_z, log_y = (s.x @ u).log_softmax(dim=-1), m.log_softmax(dim=-1)
    z = s.draw(log_z)
    y = s.draw(log_y[z])
    joint = {"both": s.take(log_z, z), "labels": 0.0}
    given = log_y[z, y]
    if how == "marginal":
        log_probability = s.take((log_z.exp() @ log_y.exp()).log(), y)
    elif how == "mean of logs":
        log_probability = s.take(log_z.exp() @ log_y, y)
    else:
        log_probability = joint[how] + given
    return (s.take(s.table, y) * log_probability).mean()


def _stages_expected(u: Any, m: Any) -> Any:
    z, y = softmax(FEATURES @ u), softmax(m)
    total = 0.0
    for i, component, label in itertools.product(range(N), range(2), range(K)):
        total = total + z[i, component] * y[component, label] * TABLE[i, label] / N
    return total


_stage_rows = functools.partial(
    by_framework, _stages, inputs=(COMPONENT_WEIGHTS, COMPONENT_LOGITS), mean=_stages_expected
)


# ------------------------------------------------------------------ labels

#: Labels that may not be drawn are 0, (N, K).
ALLOWED = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])


def _mask(s: TorchProblem, w: Any, v: Any, *, renormalised: bool, by_product: bool = False) -> Any:
    log_q = s.log_q(w)
    allowed = s.constant(ALLOWED)
    # The logarithm of zero is minus infinity either way; its derivative times zero is NaN.
    product = (log_q.exp() * allowed).log() if by_product else None
    filled = log_q.masked_fill(allowed == 0.0, -np.inf) if product is None else product
    masked = filled.log_softmax(dim=-1)
    y = s.torch.multinomial(masked.detach().exp(), 1)[:, 0]
    f = s.cost(v, y)
    return (f.detach() * s.take(masked if renormalised else log_q, y) + f).mean()


def _mask_by_hand(rng: Any, w: Any, v: Any, *, renormalised: bool) -> Any:
    q = softmax(FEATURES @ w)
    masked = q * ALLOWED / (q * ALLOWED).sum(axis=-1, keepdims=True)
    y = draw(rng, masked)
    f = costs(v)[SENTENCES, y]
    slope = score(masked if renormalised else q, y)
    return to_weights(f[:, None] * slope), pathwise(v, y)


def _masked_expected(w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w) * ALLOWED
    return (q / q.sum(axis=-1, keepdims=True) * costs(v)).sum() / N


_mask_rows = functools.partial(by_framework, _mask, _mask_by_hand, mean=_masked_expected)


def _wrong_argument(s: TorchProblem, w: Any, v: Any) -> Any:
    q = s.torch.distributions.Categorical(logits=s.log_q(w).exp())  # probs= was meant
    y = q.sample()
    f = s.cost(v, y)
    return (f.detach() * q.log_prob(y) + f).mean()


def _clamp(s: TorchProblem, w: Any, v: Any) -> Any:
    q = s.log_q(w).exp()
    y = s.draw(q.log())
    f = s.cost(v, y)
    return (f.detach() * s.take(q.clamp(min=0.25).log(), y) + f).mean()


def _by_inversion(found: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Labels by a uniform number and cumulated probabilities, of which ``found`` makes a label."""

    def estimate(rng: Any, w: Any, v: Any) -> Any:
        q = softmax(FEATURES @ w)
        y = np.array([found(rng.random(), np.cumsum(row)) for row in q])
        f = costs(v)[SENTENCES, y]
        return to_weights(f[:, None] * score(q, y)), pathwise(v, y)

    return estimate


_WILLIAMS = "Williams (1992), Simple statistical gradient-following algorithms"

ROWS = (
    *right("bits", "Log-probabilities of bits are summed.", _WILLIAMS, _bit_rows(how="sum")),
    *right(
        "two-stages",
        "The scores of a component and of the label drawn from it.",
        _WILLIAMS,
        _stage_rows(how="both"),
    ),
    *right(
        "marginal-score",
        "The cost sees the label only: the score of its marginal does, with less variance.",
        "Liu et al. (2019), Rao-Blackwellized stochastic gradients for discrete distributions",
        _stage_rows(how="marginal"),
    ),
    *right(
        "masked-renormalised",
        "Labels that may not be drawn are masked, and log q is of what is left.",
        "Huang and Ontanon (2022), A closer look at invalid action masking",
        _mask_rows(renormalised=True),
    ),
    *right(
        "by-inversion",
        "A label is the number of cumulated probabilities below a uniform number.",
        _WILLIAMS,
        by_framework(numpy=_by_inversion(lambda u, edges: int((u > edges[:-1]).sum()))),
    ),
    *wrong(
        "bits-ones-only",
        "b log p, without (1 - b) log(1 - p).",
        "textbook mistake",
        _bit_rows(how="ones only"),
    ),
    *wrong(
        "bits-averaged",
        "Log-probabilities of bits are averaged, not summed.",
        "textbook mistake",
        _bit_rows(how="mean"),
        direction=PROPORTIONAL,
        factor=0.5,
    ),
    *wrong(
        "bits-first-only",
        "The log-probability of the first bit stands for all.",
        "textbook mistake",
        _bit_rows(how="first"),
    ),
    *wrong(
        "sigmoid-twice",
        "Probabilities are given where logits are expected, in the log-probability only.",
        "textbook mistake",
        _bit_rows(how="sigmoid twice", numpy=None),
    ),
    *wrong(
        "component-score-missing",
        "The label's score given its component, without the component's.",
        "textbook mistake",
        _stage_rows(how="labels"),
    ),
    *wrong(
        "mixture-mean-of-logs",
        "The mean of the components' logarithms in place of the logarithm of their mean.",
        "textbook mistake",
        _stage_rows(how="mean of logs"),
    ),
    *wrong(
        "masked-not-renormalised",
        "Labels are masked when drawn, and log q is that of all labels.",
        "Huang and Ontanon (2022), A closer look at invalid action masking",
        _mask_rows(renormalised=False),
    ),
    *wrong(
        "masked-by-product",
        "Probabilities are multiplied by the mask before their logarithm: gradients are NaN.",
        "textbook mistake",
        by_framework(_mask, mean=_masked_expected, renormalised=True, by_product=True),
    ),
    *wrong(
        "probabilities-as-logits",
        "Probabilities are given where logits are expected: another q, consistently.",
        "textbook mistake",
        by_framework(_wrong_argument),
    ),
    *wrong(
        "probabilities-clamped",
        "Small probabilities are raised before their logarithm is taken: no derivative is left.",
        "textbook mistake, here with a large limit",
        by_framework(_clamp),
    ),
    *wrong(
        "inversion-shifted",
        "The uniform number is compared with cumulated probabilities that begin at zero.",
        "textbook mistake: a sampler that does not draw from q",
        by_framework(
            numpy=_by_inversion(lambda u, edges: min(int((u < edges).sum()), len(edges) - 1))
        ),
    ),
)
