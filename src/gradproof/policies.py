"""Policies over sequences of tokens, as language models are: exact goals, and checks of losses.

``policies.autoregressive`` makes a policy of a model; ``policy.expected(reward)`` and its other
goals have exact gradients, to be passed as ``exact=`` to :func:`gradproof.check_estimator`.
"""

from __future__ import annotations

from gradproof.checks.user.policy_loss import check_loss, compare_losses
from gradproof.checks.user.policy_sampler import check_sampler
from gradproof.estimators.policies.autoregressive import Autoregressive, autoregressive
from gradproof.estimators.policies.completions import Completions
from gradproof.estimators.policies.goals import Goal

__all__ = [
    "Autoregressive",
    "Completions",
    "Goal",
    "autoregressive",
    "check_loss",
    "check_sampler",
    "compare_losses",
]
