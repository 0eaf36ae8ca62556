"""What a completion's reward is compared with: nothing, the greedy completion, or its own group.

Reference:
    Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline for free. Shao et al.
    (2024), DeepSeekMath, has GRPO. Rows name the sources of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...evidence import DIFFERS, PROPORTIONAL
from .row import Makes, right, wrong
from .token_policies import (
    LENGTHS,
    LOGITS,
    REWARD_OF,
    CompletionBatch,
    leave_one_out,
    log_probabilities,
    of_tokens,
    roll_out,
)
from .toy_problem import TorchProblem

#: CompletionBatch of a prompt.
GROUP = 3

#: What TRL adds to a standard deviation.
SMALL = 1e-4

_P = np.exp(log_probabilities(LOGITS))

#: The baseline of least variance where every token's score is as long as any other's.
OPTIMAL = float((_P * LENGTHS) @ REWARD_OF / (_P @ LENGTHS))


def _group(advantage: Callable[[CompletionBatch], Any], size: int = GROUP) -> Makes:
    """Estimators that differ in what they weigh a completion's score by."""

    def estimate(s: TorchProblem, logits: Any) -> Any:
        y = roll_out(s, logits.log_softmax(dim=-1), size)
        return -(advantage(y) * y.log_probability).mean()

    return of_tokens(estimate)


def _over_deviation(y: CompletionBatch) -> Any:
    return (y.rewards - y.rewards.mean()) / (y.rewards.std() + SMALL)


def _whiten(y: CompletionBatch) -> Any:
    """By mean and deviation over the batch's tokens, of which a longer completion has more."""
    share = y.lengths / y.lengths.sum()
    off = y.rewards - (share * y.rewards).sum()
    return off / ((share * off**2).sum().sqrt() + SMALL)


def _greedy(s: TorchProblem, logits: Any) -> Any:
    log_p = logits.log_softmax(dim=-1)
    likeliest = s.torch.full_like(log_p, -np.inf).scatter(1, log_p.argmax(1, keepdim=True), 0.0)
    greedy = roll_out(s, log_p, 1, sampler=likeliest)
    y = roll_out(s, log_p, 1)
    return -((y.rewards - greedy.rewards) * y.log_probability).sum()


_RLOO = (
    "Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline for free; "
    "Ahmadian et al. (2024), Back to basics: revisiting REINFORCE style optimization, on RLHF"
)
_OPO = "Hao et al. (2025), On-policy RL with optimal reward baseline"

ROWS = (
    *right(
        "completion-reinforce",
        "Each completion's score times its reward, with no baseline.",
        "Williams (1992), Simple statistical gradient-following algorithms",
        _group(lambda y: y.rewards, size=2),
    ),
    *right(
        "completion-greedy-baseline",
        "The reward of the greedy completion is subtracted, which no draw enters.",
        "Li et al. (2023), ReMax: a simple, effective, and efficient RL method",
        of_tokens(_greedy),
    ),
    *right(
        "rloo",
        "Each completion's reward less the mean of the others'.",
        _RLOO,
        _group(lambda y: leave_one_out(y.rewards)),
    ),
    *right(
        "completion-optimal-baseline",
        "A constant is subtracted: the mean reward with the lengths as weights, known beforehand.",
        _OPO,
        _group(lambda y: y.rewards - OPTIMAL, size=2),
    ),
    *wrong(
        "group-mean",
        "Less the mean of the whole group, its own reward too: (1 - 1/G) times the gradient.",
        "Shao et al. (2024), DeepSeekMath, without the division; Liu et al. (2025), Understanding "
        "R1-Zero-like training, who leave it out",
        _group(lambda y: y.rewards - y.rewards.mean()),
        direction=PROPORTIONAL,
        factor=1.0 - 1.0 / GROUP,
    ),
    *wrong(
        "grpo",
        "Less the group's mean, over the group's standard deviation: differs from the mean "
        "reward's gradient, on purpose.",
        "Shao et al. (2024), DeepSeekMath: pushing the limits of mathematical reasoning",
        _group(_over_deviation),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "batch-whitened",
        "Less the batch's mean over its tokens, over their standard deviation: differs from the "
        "mean reward's gradient, on purpose.",
        "Hu (2025), REINFORCE++: a simple and efficient approach for aligning LLMs",
        _group(_whiten),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "optimal-baseline-own-group",
        "The mean reward with the lengths as weights is taken over the group, its own reward too.",
        _OPO + ", as estimated from the group",
        _group(lambda y: y.rewards - (y.lengths * y.rewards).sum() / y.lengths.sum()),
        direction=DIFFERS,
    ),
)
