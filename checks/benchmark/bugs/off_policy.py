"""Labels drawn from another distribution than the one that is learned.

Reference:
    Precup, Sutton and Singh (2000), Eligibility traces for off-policy policy evaluation. Schulman
    et al. (2017), Proximal policy optimization algorithms (PPO). Rows name the sources of the
    others.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    K,
    N,
    TorchProblem,
    by_framework,
    costs,
    draw,
    pathwise,
    score,
    score_function,
    softmax,
    to_weights,
)

#: What draws, (N, K).
BEHAVIOUR = np.array([[0.55, 0.15, 0.3], [0.2, 0.45, 0.35]])

#: How far from 1 a ratio may be before it is clipped.
CLIP = 0.2

#: Of a sampler that explores.
TEMPERATURE, EXPLORED = 1.7, 0.25


def _weight(ratio: Any, how: str) -> Any:
    """What each sample counts, from q over the probability by which it was drawn; (S, N)."""
    if how == "ratio":
        return ratio
    if how == "inverted":
        return 1.0 / ratio
    if how == "clipped":
        return ratio.clip(1.0 - CLIP, 1.0 + CLIP)
    if how == "self-normalised":
        return ratio * len(ratio) / ratio.sum(0)
    return ratio * 0.0 + 1.0


def _drawn_elsewhere(s: TorchProblem, w: Any, v: Any, *, how: str, samples: int = 1) -> Any:
    log_q, others = s.log_q(w), s.constant(BEHAVIOUR)
    y = s.draw(others.log(), samples)
    f = s.cost(v, y)
    weight = _weight(s.take(log_q.detach().exp() / others, y), how)
    return (weight * (f.detach() * s.take(log_q, y) + f)).mean()


def _drawn_elsewhere_by_hand(rng: Any, w: Any, v: Any, *, how: str, samples: int = 1) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, BEHAVIOUR, samples)
    weight = _weight((q / BEHAVIOUR)[SENTENCES, y], how)
    signal = weight * costs(v)[SENTENCES, y]
    return to_weights(signal[..., None] * score(q, y)), pathwise(v, y, weight)


_off_policy = functools.partial(by_framework, _drawn_elsewhere, _drawn_elsewhere_by_hand)


def _proximal(s: TorchProblem, w: Any, v: Any, *, clips: bool) -> Any:
    # The ratio itself is differentiated, and there is no logarithm.
    others = s.constant(BEHAVIOUR)
    y = s.draw(others.log())
    f = s.cost(v, y)
    ratio = s.take(s.log_q(w).exp() / others, y)
    if clips:
        return s.torch.maximum(ratio * f, ratio.clip(1.0 - CLIP, 1.0 + CLIP) * f).mean()
    return (ratio * f).mean()


def _score_only(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q, others = s.log_q(w), s.constant(BEHAVIOUR)
    y = s.draw(others.log())
    f = s.cost(v, y)
    ratio = s.take(log_q.detach().exp() / others, y)
    return (ratio * f.detach() * s.take(log_q, y) + f).mean()


def _explore(s: TorchProblem, log_q: Any) -> Any:
    explores = s.torch.bernoulli(s.t * 0.0 + EXPLORED) > 0.0
    return s.torch.where(explores, s.torch.randint(K, (N,)), s.draw(log_q))


def _explore_by_hand(rng: Any, q: np.ndarray) -> np.ndarray:
    explores = rng.random(N) < EXPLORED
    return np.where(explores, rng.integers(K, size=N), draw(rng, q))


_IMPORTANCE = "Precup, Sutton and Singh (2000), Eligibility traces for off-policy policy evaluation"
_PPO = "Schulman et al. (2017), Proximal policy optimization algorithms"

ROWS = (
    *right(
        "off-policy-ratio",
        "What is drawn elsewhere is weighted by q over the probability it was drawn by.",
        _IMPORTANCE,
        _off_policy(how="ratio"),
    ),
    *right(
        "ratio-differentiated",
        "The ratio's own derivative is the ratio times the score.",
        _PPO + ", without its clipping",
        by_framework(_proximal, clips=False),
    ),
    *wrong(
        "off-policy-no-ratio",
        "Old draws are used as if q had made them.",
        "textbook mistake",
        _off_policy(how="none"),
    ),
    *wrong(
        "ratio-inverted",
        "Draws are weighted by the probability they were drawn by over q.",
        "textbook mistake",
        _off_policy(how="inverted"),
    ),
    *wrong(
        "ratio-clipped",
        "Ratios far from one are cut: less variance, for a bias.",
        "Ionides (2008), Truncated importance sampling",
        _off_policy(how="clipped"),
        is_intended=True,
    ),
    *wrong(
        "ratio-self-normalised",
        "Ratios over their own mean: right in the limit of many samples only.",
        "textbook: self-normalised importance sampling is biased at any number of samples",
        _off_policy(how="self-normalised", samples=2),
    ),
    *wrong(
        "ratio-clipped-differentiated",
        "The worse of the ratio and its clipped self: where it is clipped the score is nothing.",
        _PPO,
        by_framework(_proximal, clips=True),
        is_intended=True,
    ),
    *wrong(
        "ratio-on-score-only",
        "The score's part is weighted by the ratio, the pathwise part is not.",
        "textbook mistake",
        by_framework(_score_only),
    ),
    *wrong(
        "sampler-tempered",
        "Labels are drawn at a temperature that log q knows nothing of.",
        "textbook mistake",
        score_function(
            lambda f, x: f,
            torch=lambda s, log_q: s.draw(log_q / TEMPERATURE),
            numpy=lambda rng, q: draw(rng, softmax(np.log(q) / TEMPERATURE)),
        ),
    ),
    *wrong(
        "sampler-explores",
        "Some labels are drawn at random, and their score is that of q.",
        "textbook mistake",
        score_function(lambda f, x: f, torch=_explore, numpy=_explore_by_hand),
    ),
)
