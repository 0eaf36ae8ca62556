"""Ratios of the policy's probabilities to those that completions were drawn with.

Reference:
    Schulman et al. (2017), Proximal policy optimization algorithms. Zheng et al. (2025), Group
    sequence policy optimization (GSPO). Rows name the sources of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...evidence import DIFFERS, PROPORTIONAL, ZERO
from .kl_terms import WEIGHT, regularised_loss
from .row import Makes, right, wrong
from .token_policies import (
    LOGITS,
    OLD,
    REFERENCE,
    CompletionBatch,
    leave_one_out,
    of_tokens,
    roll_out,
)
from .toy_problem import TorchProblem

#: CompletionBatch of a prompt.
GROUP = 2

#: How far from one a ratio may be, by default.
CLIP = 0.2

#: Where CISPO cuts a token's ratio, as is recommended.
LARGEST = 5.0

#: The largest ratio of a completion that is not cut.
TRUNCATED = 1.0


def _drawn_with(by: np.ndarray, objective: Callable[[Any, Any, CompletionBatch], Any]) -> Makes:
    """Estimators that differ in their objective, and in what draws the completions.

    Args:
        by: logits of what draws.
        objective: of logarithms of the ratios (G, T), zero beyond the end, of advantages (G, 1)
            and of the completions, in numbers that are summed along the last axis.
    """

    def estimate(s: TorchProblem, logits: Any) -> Any:
        old = s.constant(by).log_softmax(dim=-1)
        y = roll_out(s, logits.log_softmax(dim=-1), GROUP, sampler=old)
        log_ratio = (y.log_p - y.look_up(old)) * y.mask
        advantage = leave_one_out(y.rewards)[:, None]
        return -objective(log_ratio, advantage, y).sum(dim=1).mean()

    return of_tokens(estimate)


def _of_tokens(log_ratio: Any, advantage: Any, y: CompletionBatch) -> Any:
    return log_ratio.exp() * advantage * y.mask


def _clip_by_token(log_ratio: Any, advantage: Any, y: CompletionBatch) -> Any:
    ratio = log_ratio.exp()
    cut = ratio.clamp(1.0 - CLIP, 1.0 + CLIP)
    return (ratio * advantage).minimum(cut * advantage) * y.mask


def _of_completion(log_ratio: Any, advantage: Any, y: CompletionBatch) -> Any:
    return log_ratio.sum(dim=1, keepdim=True).exp() * advantage


def _weigh_by_ratio(largest: float) -> Callable[..., Any]:
    """The completion's ratio, cut at a number, weighs its score."""

    def objective(log_ratio: Any, advantage: Any, y: CompletionBatch) -> Any:
        ratio = log_ratio.sum(dim=1, keepdim=True).exp().detach()
        return ratio.clamp(max=largest) * advantage * y.log_p * y.mask

    return objective


def _cispo(largest: float) -> Callable[..., Any]:
    """Each token's ratio, cut at a number, weighs its score."""

    def objective(log_ratio: Any, advantage: Any, y: CompletionBatch) -> Any:
        return log_ratio.exp().detach().clamp(max=largest) * advantage * y.log_p * y.mask

    return objective


def _mean_log_ratio(log_ratio: Any, y: CompletionBatch) -> Any:
    return log_ratio.sum(dim=1, keepdim=True) / y.lengths[:, None]


def _gspo_of_tokens(log_ratio: Any, advantage: Any, y: CompletionBatch) -> Any:
    log_weight = _mean_log_ratio(log_ratio, y).detach() + y.log_p - y.log_p.detach()
    return log_weight.exp() * advantage * y.mask


def _gspo(log_ratio: Any, advantage: Any, y: CompletionBatch) -> Any:
    return _mean_log_ratio(log_ratio, y).exp() * advantage


def _until_token(log_ratio: Any, advantage: Any, y: CompletionBatch) -> Any:
    return log_ratio.cumsum(dim=1).exp().detach() * advantage * y.log_p * y.mask


def _with_penalty(s: TorchProblem, logits: Any, *, detached: bool) -> Any:
    """Ratios of tokens that the policy drew, and a divergence from the reference beside them."""
    log_p = logits.log_softmax(dim=-1)
    y = roll_out(s, log_p, GROUP)
    reference = y.look_up(s.constant(REFERENCE).log_softmax(dim=-1))
    d = ((y.log_p - reference) * y.mask).sum(dim=1)
    ratio = (y.log_p - y.log_p.detach()).exp()
    terms = (ratio.detach() if detached else ratio) * leave_one_out(y.rewards)[:, None] * y.mask
    return (WEIGHT * d**2 / 2.0 - terms.sum(dim=1)).mean()


_PPO = "Schulman et al. (2017), Proximal policy optimization algorithms"
_PRECUP = "Precup, Sutton and Singh (2000), Eligibility traces for off-policy policy evaluation"
_CISPO = "MiniMax (2025), MiniMax-M1, on CISPO"
_GSPO = "Zheng et al. (2025), Group sequence policy optimization"
_TRUNCATED = "Ionides (2008), Truncated importance sampling"

ROWS = (
    *right(
        "token-ratio-on-policy",
        "Each token's ratio is one where the policy drew it, and its derivative is the score.",
        _PPO + ", without its clipping",
        _drawn_with(LOGITS, _of_tokens),
    ),
    *right(
        "token-ratio-clipped-on-policy",
        "At the policy that drew the tokens every ratio is one, and nothing is clipped.",
        _PPO,
        _drawn_with(LOGITS, _clip_by_token),
    ),
    *right(
        "ratio-and-divergence",
        "Each token's ratio, and half the squared log ratio to a reference beside it.",
        _PPO
        + ", with a penalty; Tang and Munos (2025), On a few pitfalls in KL divergence gradient "
        "estimation for RL",
        of_tokens(_with_penalty, regularised_loss, detached=False),
    ),
    *right(
        "gspo-by-tokens-on-policy",
        "The completion's ratio weighs each token's term, and terms are summed over tokens.",
        _GSPO + ", GSPO-token, with sums over tokens",
        _drawn_with(LOGITS, _gspo_of_tokens),
    ),
    *right(
        "cispo-on-policy",
        "Ratios are cut at 5, as is recommended, which leaves ratios of one alone.",
        _CISPO + "; Khatri et al. (2025), The art of scaling RL compute, on the bound",
        _drawn_with(LOGITS, _cispo(LARGEST)),
    ),
    *right(
        "completion-ratio",
        "The product of a completion's ratios, differentiated, where an older policy drew it.",
        _PRECUP,
        _drawn_with(OLD, _of_completion),
    ),
    *right(
        "completion-ratio-detached",
        "The product of a completion's ratios weighs its score.",
        _PRECUP,
        _drawn_with(OLD, _weigh_by_ratio(np.inf)),
    ),
    *wrong(
        "token-ratio-off-policy",
        "Each token's own ratio, where the older policy drew the rest of the completion too.",
        "Zheng et al. (2025), Group sequence policy optimization, on GRPO's ratios",
        _drawn_with(OLD, _of_tokens),
        direction=DIFFERS,
    ),
    *wrong(
        "token-ratio-clipped",
        "Ratios of an older policy's tokens are clipped: differs from the gradient, on purpose.",
        _PPO,
        _drawn_with(OLD, _clip_by_token),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "ratio-of-prefixes",
        "A token's score is weighed by the ratios until there, and the reward hangs on later ones.",
        _PRECUP + ", with the ratios of one step for the reward of another",
        _drawn_with(OLD, _until_token),
        direction=DIFFERS,
    ),
    *wrong(
        "second-epoch-without-ratio",
        "The second step on a batch, whose completions the older policy drew, takes no ratio.",
        "Schulman et al. (2017), Proximal policy optimization algorithms, on why steps need it",
        _drawn_with(OLD, lambda log_ratio, advantage, y: advantage * y.log_p * y.mask),
        direction=DIFFERS,
    ),
    *wrong(
        "ratio-of-itself",
        "The old log-probability is computed anew and not detached: the ratio is one at any "
        "parameters, and its gradient zero.",
        _PPO + ", without its stop-gradient",
        _drawn_with(LOGITS, lambda _, advantage, y: (y.log_p - y.log_p).exp() * advantage * y.mask),
        direction=ZERO,
    ),
    *wrong(
        "ratio-detached",
        "The ratio is detached, and only the divergence beside it is differentiated.",
        _PPO + ", with a stop-gradient too many",
        of_tokens(_with_penalty, regularised_loss, detached=True),
        direction=DIFFERS,
    ),
    *wrong(
        "completion-ratio-truncated",
        "Ratios of completions are cut at a number: differs from the gradient, on purpose.",
        _TRUNCATED + "; github.com/huggingface/trl/pull/3867",
        _drawn_with(OLD, _weigh_by_ratio(TRUNCATED)),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "cispo-cut-at-default",
        "Ratios are cut at 0.2, the default of the clipped loss, and not at 5: on policy the mean "
        "is 0.2 times the gradient.",
        _CISPO + "; github.com/huggingface/trl/pull/4499, whose upper bound is the number itself",
        _drawn_with(LOGITS, _cispo(CLIP)),
        direction=PROPORTIONAL,
        factor=CLIP,
    ),
    *wrong(
        "gspo-on-policy",
        "The root of the completion's ratio by its length, whose derivative is the mean of the "
        "scores: differs from the mean reward's gradient, on purpose.",
        _GSPO,
        _drawn_with(LOGITS, _gspo),
        direction=DIFFERS,
        is_intended=True,
    ),
)
