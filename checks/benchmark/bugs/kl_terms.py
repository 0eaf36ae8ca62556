"""Divergences from a reference policy, and entropies, in the reward or in the loss.

With d the logarithm of the policy's probability over the reference's, k1 is d, k2 is d squared over
two, and k3 is exp(-d) - 1 + d. As values all three estimate a divergence, k2 roughly; what their
derivatives estimate is another matter.

Reference:
    Schulman (2020), Approximating KL divergence. Rows name the sources of the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...evidence import DIFFERS, ZERO
from .row import Makes, right, wrong
from .token_policies import (
    COMPLETIONS,
    END,
    LOGITS,
    REFERENCE,
    expected_loss,
    leave_one_out,
    log_probabilities,
    of_tokens,
    roll_out,
)
from .toy_problem import TorchProblem, softmax

#: Of the divergence beside the reward.
WEIGHT = 0.3

_REFERENCE = log_probabilities(REFERENCE)


# ------------------------------------------------------------------ what is wanted


def _divergence(logits: Any) -> Any:
    """From the policy's completions to the reference's."""
    log_p = log_probabilities(logits)
    return np.exp(log_p) @ (log_p - _REFERENCE)


def _forward_divergence(logits: Any) -> Any:
    """From the reference's completions to the policy's."""
    return np.exp(_REFERENCE) @ (_REFERENCE - log_probabilities(logits))


def regularised_loss(logits: Any) -> Any:
    """Minus the mean reward, and the divergence."""
    return expected_loss(logits) + WEIGHT * _divergence(logits)


def _visits() -> np.ndarray:
    """How often a token is written after each token, on average: (3,)."""
    visits = np.zeros(len(LOGITS))
    for y, p in zip(COMPLETIONS, np.exp(log_probabilities(LOGITS)), strict=True):
        for before, _ in itertools.pairwise((END, *y)):
            visits[before] += p
    return visits


def _divergence_of_tokens(logits: Any) -> Any:
    """Summed over the tokens of a completion, whose prefixes are drawn and not differentiated."""
    p, reference = softmax(logits), softmax(REFERENCE)
    return _visits() @ (p * np.log(p / reference)).sum(axis=1)


def _lost_entropy(logits: Any) -> Any:
    """Minus the entropy of completions."""
    log_p = log_probabilities(logits)
    return np.exp(log_p) @ log_p


# ------------------------------------------------------------------ estimators


def _k3(d: Any) -> Any:
    """An estimate of the divergence that is never negative."""
    return (-d).exp() - 1.0 + d


def _term_of_draw(
    s: TorchProblem, logits: Any, *, term: Callable[[Any, Any], Any], by_token: bool
) -> Any:
    """A term of log ratios and log-probabilities: of each token, or of the whole completion."""
    y = roll_out(s, logits.log_softmax(dim=-1), 1)
    log_p = y.log_p * y.mask
    d = log_p - y.look_up(s.constant(REFERENCE).log_softmax(dim=-1)) * y.mask
    if not by_token:
        d, log_p = d.sum(dim=1), log_p.sum(dim=1)
    return term(d, log_p).sum()


def _of_completion(term: Callable[[Any, Any], Any], mean: Any = _divergence) -> Makes:
    return of_tokens(_term_of_draw, mean, term=term, by_token=False)


def _of_tokens(term: Callable[[Any, Any], Any], mean: Any = _divergence_of_tokens) -> Makes:
    return of_tokens(_term_of_draw, mean, term=term, by_token=True)


def _unbiased(d: Any, log_p: Any) -> Any:
    """k3 times the ratio to the policy that drew, which is one, and whose derivative is not."""
    return (log_p - log_p.detach()).exp() * _k3(d)


def _straight_through(d: Any, _: Any) -> Any:
    """The value of k3 with the derivative of k2."""
    return _k3(d).detach() + d**2 / 2.0 - d.detach() ** 2 / 2.0


def _with_reward(s: TorchProblem, logits: Any, *, in_reward: bool) -> Any:
    """The divergence k1 is taken from the reward, or added to the loss."""
    y = roll_out(s, logits.log_softmax(dim=-1), 2)
    reference = y.look_up(s.constant(REFERENCE).log_softmax(dim=-1))
    d = ((y.log_p - reference) * y.mask).sum(dim=1)
    rewards = y.rewards - WEIGHT * d.detach() if in_reward else y.rewards
    beside = 0.0 if in_reward else WEIGHT * d
    return (beside - leave_one_out(rewards) * y.log_probability).mean()


def _entropy(s: TorchProblem, logits: Any, *, scores: bool) -> Any:
    """Each token's exact entropy, with or without the score of what was written before it."""
    log_p = logits.log_softmax(dim=-1)
    y = roll_out(s, log_p, 1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)[y.previous] * y.mask
    before = (y.log_p * y.mask).cumsum(dim=1) - y.log_p * y.mask
    scored = (entropy.detach() * before).sum() if scores else 0.0
    return -(entropy.sum() + scored)


_SCHULMAN = "Schulman (2020), Approximating KL divergence"
_COMEDY = "A comedy of estimators: on KL regularization in RL training of LLMs (2025)"
_TANG = "Tang and Munos (2025), On a few pitfalls in KL divergence gradient estimation for RL"
_DEEPSEEK = "DeepSeek-AI (2025), DeepSeek-V3.2; github.com/huggingface/trl/pull/4638"
_SOFT = "Schulman, Chen and Abbeel (2017), Equivalence between policy gradients and soft Q-learning"
_GRPO = "Shao et al. (2024), DeepSeekMath, on GRPO; github.com/verl-project/verl/pull/2953"

ROWS = (
    *right(
        "rloo-divergence-in-reward",
        "The log ratio to the reference, detached, is taken from each reward.",
        "Ziegler et al. (2019), Fine-tuning language models from human preferences; "
        "github.com/huggingface/trl/issues/4967",
        of_tokens(_with_reward, regularised_loss, in_reward=True),
    ),
    *right(
        "k1-in-reward",
        "The completion's log ratio, detached, times its score.",
        _COMEDY,
        _of_completion(lambda d, log_p: d.detach() * log_p),
    ),
    *right(
        "k2-of-completions",
        "Half the squared log ratio of the whole completion: its derivative is d times the score.",
        _TANG,
        _of_completion(lambda d, _: d**2 / 2.0),
    ),
    *right(
        "k3-times-ratio",
        "k3 of the completion times the ratio to the policy that drew it, differentiated.",
        _DEEPSEEK,
        _of_completion(_unbiased),
    ),
    *right(
        "k3-straight-through",
        "The value of k3 with the derivative of k2, of the whole completion.",
        "github.com/OpenRLHF/OpenRLHF/pull/1309",
        _of_completion(_straight_through),
    ),
    *right(
        "k3-for-forward-divergence",
        "The derivative of k3 is that of the divergence from the reference to the policy, where "
        "that is wanted.",
        _TANG,
        _of_completion(lambda d, _: _k3(d), _forward_divergence),
    ),
    *right(
        "k2-of-tokens",
        "Half the squared log ratio of each token, where each token's divergence is wanted and the "
        "prefixes are not differentiated.",
        _TANG,
        _of_tokens(lambda d, _: d**2 / 2.0),
    ),
    *right(
        "k3-of-tokens-times-ratio",
        "k3 of each token times its ratio, differentiated, where each token's divergence is "
        "wanted and the prefixes are not differentiated.",
        _DEEPSEEK,
        _of_tokens(_unbiased),
    ),
    *right(
        "entropy-with-prefixes",
        "Each token's exact entropy, and the score of what was written before it.",
        _SOFT,
        of_tokens(_entropy, _lost_entropy, scores=True),
    ),
    *wrong(
        "k1-in-loss",
        "The log ratio itself is differentiated, which is the score: its mean is zero.",
        _COMEDY,
        _of_completion(lambda d, _: d),
        direction=ZERO,
    ),
    *wrong(
        "rloo-divergence-in-loss",
        "The log ratio is added to the loss, where it does nothing on average.",
        _COMEDY,
        of_tokens(_with_reward, regularised_loss, in_reward=False),
        direction=DIFFERS,
    ),
    *wrong(
        "k3-in-loss",
        "k3 is differentiated, whose mean is the gradient of the other divergence.",
        _GRPO,
        _of_completion(lambda d, _: _k3(d)),
        direction=DIFFERS,
    ),
    *wrong(
        "k2-of-tokens-for-completions",
        "Half the squared log ratio of each token, where the divergence of completions is wanted.",
        _TANG,
        _of_tokens(lambda d, _: d**2 / 2.0, _divergence),
        direction=DIFFERS,
    ),
    *wrong(
        "entropy-without-prefixes",
        "Each token's entropy, and no score of what was written before it, where the entropy of "
        "completions is wanted.",
        "Mnih et al. (2016), Asynchronous methods for deep reinforcement learning; " + _SOFT,
        of_tokens(_entropy, _lost_entropy, scores=False),
        direction=DIFFERS,
    ),
)
