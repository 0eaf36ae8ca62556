"""Policies over sequences of tokens or in decision processes: exact goals, and checks of losses.

``policies.autoregressive`` makes a policy of a model of tokens, and ``policies.tabular`` one in a
Markov decision process; ``policy.expected(...)`` and their other goals have exact gradients, to be
passed as ``exact=`` to :func:`gradproof.check_estimator`.
"""

from __future__ import annotations

from gradproof.checks.user.policy_loss import check_loss, compare_losses
from gradproof.checks.user.policy_sampler import check_sampler
from gradproof.estimators.policies.autoregressive import Autoregressive, autoregressive
from gradproof.estimators.policies.completions import Completions
from gradproof.estimators.policies.decision_law import ActionValues
from gradproof.estimators.policies.decision_process import DecisionProcess, tabular
from gradproof.estimators.policies.environment_tables import EnvironmentTables, transitions_of
from gradproof.estimators.policies.goal import Goal

__all__ = [
    "ActionValues",
    "Autoregressive",
    "Completions",
    "DecisionProcess",
    "EnvironmentTables",
    "Goal",
    "autoregressive",
    "check_loss",
    "check_sampler",
    "compare_losses",
    "tabular",
    "transitions_of",
]
