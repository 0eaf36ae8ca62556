"""What a completion's reward is: the best of several, or a number of a model that shares weights.

Reference:
    Walder and Karkhanis (2025), Pass@K policy optimization. Rows name the sources of the others.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ...evidence import DIFFERS
from .row import right, wrong
from .token_policies import (
    COMPLETIONS,
    END,
    LOGITS,
    REWARD_OF,
    leave_one_out,
    log_probabilities,
    of_tokens,
    roll_out,
)
from .toy_problem import TorchProblem

#: How much of a reward is read from the policy's own logits, as by a head on its trunk.
SHARED = 0.5


def _best_of_two(logits: Any) -> Any:
    """Minus the mean of the better reward of two completions."""
    p = np.exp(log_probabilities(logits))
    return -(p @ np.maximum(REWARD_OF[:, None], REWARD_OF) @ p)


def _pass_at_two(s: TorchProblem, logits: Any, *, gains: bool) -> Any:
    """Each score times what its completion adds to the other's reward, or times its own reward."""
    y = roll_out(s, logits.log_softmax(dim=-1), 2)
    weights = y.rewards.max() - y.rewards.flip(0) if gains else y.rewards
    return -(weights * y.log_probability).sum()


def _loss_by_model(logits: Any) -> Any:
    """Minus the mean reward by a model that stays as it is."""
    pairs = [itertools.pairwise((END, *y)) for y in COMPLETIONS]
    read = [sum(np.tanh(LOGITS[pair]) for pair in each) for each in pairs]
    return -(np.exp(log_probabilities(logits)) @ (REWARD_OF + SHARED * np.array(read)))


def _reward_model(s: TorchProblem, logits: Any, *, detached: bool) -> Any:
    y = roll_out(s, logits.log_softmax(dim=-1), 2)
    rewards = y.rewards + SHARED * (y.look_up(logits).tanh() * y.mask).sum(dim=1)
    advantages = leave_one_out(rewards.detach() if detached else rewards)
    return -(advantages * y.log_probability).mean()


_PASS = "Walder and Karkhanis (2025), Pass@K policy optimization"
_DETACHED = "Schulman et al. (2015), Gradient estimation using stochastic computation graphs"

ROWS = (
    *right(
        "pass-at-two",
        "Each score times what its completion adds to the better reward of the two.",
        _PASS,
        of_tokens(_pass_at_two, _best_of_two, gains=True),
    ),
    *right(
        "reward-model-detached",
        "A reward model that reads the policy's own weights is detached where it weighs scores.",
        _DETACHED,
        of_tokens(_reward_model, _loss_by_model, detached=True),
    ),
    *wrong(
        "pass-at-two-by-own-reward",
        "Each score times its completion's own reward, which raises the mean of one completion: "
        "meant to differ from the gradient of the best of two.",
        _PASS + ", on what pass@1 training raises",
        of_tokens(_pass_at_two, _best_of_two, gains=False),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "reward-model-leaks",
        "A reward model that reads the policy's own weights is differentiated through them.",
        _DETACHED + ", without its stop-gradient",
        of_tokens(_reward_model, _loss_by_model, detached=False),
        direction=DIFFERS,
    ),
)
