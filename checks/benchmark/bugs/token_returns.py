"""Rewards of single tokens: what is yet to come, critics, and traces of an older policy's tokens.

Reference:
    Schulman et al. (2016), High-dimensional continuous control using generalized advantage
    estimation (GAE). Espeholt et al. (2018), IMPALA, has V-trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...evidence import DIFFERS
from .row import right, wrong
from .token_policies import END, LOGITS, LONGEST, OLD, VOCABULARY, of_tokens, roll_out
from .toy_problem import TorchProblem, softmax

#: Of a token, by the one before it; and what a reward loses with each position.
STEP_REWARDS = np.array([[0.4, 1.3, -0.7], [2.1, -0.5, 0.9], [-1.2, 0.6, 1.7]])
DISCOUNT = 0.8

#: Guesses of what is to come, by position and the token before; nothing comes after the last.
CRITIC = np.array([[0.5, 0.0, 0.0], [0.0, 1.4, -0.3], [0.0, 0.0, 0.0]])

#: How far the critic is left out of a mixture of guesses.
MIXED = 0.6


def _values(logits: Any) -> list[Any]:
    """What is to come, by position and then by the token before, (3,) each."""
    p, goes_on = softmax(logits), np.arange(VOCABULARY) != END
    values = [np.zeros(VOCABULARY)]
    for _ in range(LONGEST):
        values.insert(0, (p * (STEP_REWARDS + DISCOUNT * goes_on * values[0])).sum(axis=1))
    return values


def _expected_loss(logits: Any) -> Any:
    """Minus the mean discounted reward."""
    return -_values(logits)[0][END]


#: The policy's own values, where it is differentiated.
EXACT = np.array(_values(LOGITS))


def _from_there_on(terms: Any, factors: Any) -> list[Any]:
    """Sums of the terms from each position on, each times the factors on the way to it."""
    sums: list[Any] = []
    for term, factor in zip(reversed(terms), reversed(factors), strict=True):
        sums.insert(0, term + factor * (sums[0] if sums else 0.0))
    return sums


def _advantage(s: TorchProblem, logits: Any, *, critic: np.ndarray, mixed: float) -> Any:
    """Generalised advantages: with ``mixed`` = 1 what comes, less the critic."""
    y = roll_out(s, logits.log_softmax(dim=-1), 1)
    guesses, places = s.constant(critic), s.torch.arange(LONGEST)
    after = guesses[places + 1, y.tokens] * (y.tokens != END)
    surprise = y.look_up(s.constant(STEP_REWARDS)) + DISCOUNT * after
    errors = (surprise - guesses[places, y.previous]) * y.mask
    weights = _from_there_on(list(errors[0]), [DISCOUNT * mixed] * LONGEST)
    return -sum(
        DISCOUNT**t * weight * y.log_p[0, t] * y.mask[0, t] for t, weight in enumerate(weights)
    )


def _trace(s: TorchProblem, logits: Any, *, largest: float = np.inf, prefixes: bool = True) -> Any:
    """V-trace of an older policy's tokens: its targets, and the ratios of a token's prefix.

    Args:
        largest: where ratios are cut.
        prefixes: whether a score is weighed by the ratios of the tokens before it too.
    """
    old = s.constant(OLD).log_softmax(dim=-1)
    y = roll_out(s, logits.log_softmax(dim=-1), 1, sampler=old)
    guesses, places = s.constant(CRITIC), s.torch.arange(LONGEST)
    mask, here = y.mask[0], (guesses[places, y.previous] * y.mask)[0]
    ratios = (y.log_p - y.look_up(old)).detach().exp().clamp(max=largest)[0]
    after = (guesses[places + 1, y.tokens] * (y.tokens != END) * y.mask)[0]
    rewards = y.look_up(s.constant(STEP_REWARDS))[0] * mask
    errors = ratios * (rewards + DISCOUNT * after - here)
    corrections = _from_there_on(list(errors), list(DISCOUNT * ratios))
    loss, weight = 0.0, 1.0
    for t in range(LONGEST):
        beyond = after[t] + corrections[t + 1] if t + 1 < LONGEST else after[t]
        advantage = rewards[t] + DISCOUNT * beyond - here[t]
        loss = loss - DISCOUNT**t * weight * ratios[t] * advantage * y.log_p[0, t] * mask[t]
        weight = weight * ratios[t] if prefixes else 1.0
    return loss


_GAE = "Schulman et al. (2016), High-dimensional continuous control using GAE"
_IMPALA = "Espeholt et al. (2018), IMPALA: scalable distributed deep-RL"

ROWS = (
    *right(
        "token-rewards-to-go",
        "Each token's score times the rewards from there on, discounted to the start.",
        "Sutton et al. (2000), Policy gradient methods with function approximation",
        of_tokens(_advantage, _expected_loss, critic=np.zeros_like(CRITIC), mixed=1.0),
    ),
    *right(
        "token-advantage-of-one",
        "With lambda = 1 a critic of the tokens before is a baseline, however wrong it is.",
        _GAE + ", lambda = 1",
        of_tokens(_advantage, _expected_loss, critic=CRITIC, mixed=1.0),
    ),
    *right(
        "token-critic-exact",
        "A token's reward and the critic's guess of the rest, where the critic is the policy's own "
        "value.",
        "Konda and Tsitsiklis (2000), Actor-critic algorithms",
        of_tokens(_advantage, _expected_loss, critic=EXACT, mixed=0.0),
    ),
    *right(
        "token-trace",
        "V-trace with ratios that are not cut, and a score weighed by its prefix's ratios too.",
        _IMPALA + ", without cutting; Precup, Sutton and Singh (2000), Eligibility traces",
        of_tokens(_trace, _expected_loss),
    ),
    *wrong(
        "token-advantage-mixed",
        "With lambda below 1, guesses of a critic that is wrong enter: differs from the gradient, "
        "on purpose, for less variance.",
        _GAE + ", lambda < 1",
        of_tokens(_advantage, _expected_loss, critic=CRITIC, mixed=MIXED),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "token-trace-cut",
        "V-trace with ratios cut at one: differs from the gradient, on purpose.",
        _IMPALA,
        of_tokens(_trace, _expected_loss, largest=1.0),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "token-trace-without-prefixes",
        "V-trace as it is used: a token's prefix is as often there as the older policy wrote it.",
        _IMPALA + "; Degris, White and Sutton (2012), Off-policy actor-critic, on the prefixes",
        of_tokens(_trace, _expected_loss, prefixes=False),
        direction=DIFFERS,
        is_intended=True,
    ),
)
