"""Steps in a world that draws too: what a critic may stand for, and where an episode ends.

Reference:
    Konda and Tsitsiklis (2000), Actor-critic algorithms. Pardo et al. (2018), Time limits in
    reinforcement learning. Rows name the sources of the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...evidence import DIFFERS
from .row import Makes, right, wrong
from .toy_problem import TorchProblem, by_framework, softmax

#: Logits of two actions in two states; a third state ends the episode.
POLICY = np.array([[0.3, -0.5], [-0.2, 0.6]])
END = 2

#: The probability of each state after a state and an action, and costs by state and action.
MOVES = np.array([[[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], [[0.1, 0.2, 0.7], [0.4, 0.4, 0.2]]])
COST = np.array([[1.3, -0.4], [0.7, 2.2]])

STEPS, DISCOUNT = 3, 0.8

#: What is to come where an older policy goes on after the last step, by state.
BEYOND = np.array([1.9, 2.6, 0.0])

#: A critic's guess by state; of the end too, which a network has.
CRITIC = np.array([3.4, -1.6, 0.8])


class EpisodeStep(NamedTuple):
    """What happened in a step."""

    state: int
    action: int
    after: int
    cost: float


#: What each step's score is weighed by, of the steps of an episode.
Weights = Callable[[list[EpisodeStep]], list[float]]


def _episode(act: Callable[[int], int], draw: Callable[[np.ndarray], int]) -> list[EpisodeStep]:
    """The steps of an episode.

    Args:
        act: an action, of the state.
        draw: a state, of the probabilities of each.
    """
    steps: list[EpisodeStep] = []
    state = 0
    while state != END and len(steps) < STEPS:
        action = act(state)
        after = draw(MOVES[state, action])
        steps.append(EpisodeStep(state, action, after, float(COST[state, action])))
        state = after
    return steps


def _tensors(s: TorchProblem, policy: Any, *, weigh: Weights) -> Any:
    categorical = s.torch.distributions.Categorical
    q = categorical(logits=policy)

    def act(state: int) -> int:
        return int(categorical(q.probs[state].detach()).sample())

    steps = _episode(act, lambda p: int(categorical(s.constant(p)).sample()))
    weights = weigh(steps)
    return sum(
        weight * q.logits[step.state, step.action]
        for weight, step in zip(weights, steps, strict=True)
    )


def _by_hand(rng: Any, policy: Any, *, weigh: Weights) -> Any:
    q = softmax(policy)
    steps = _episode(lambda state: int(rng.choice(2, p=q[state])), lambda p: rng.choice(3, p=p))
    gradient = np.zeros_like(policy)
    for weight, step in zip(weigh(steps), steps, strict=True):
        gradient[step.state] += weight * (np.eye(2)[step.action] - q[step.state])
    return gradient


# ------------------------------------------------------------------ what is right


def _values(policy: Any, beyond: np.ndarray) -> list[Any]:
    """What is to come by step and state, (3,) each, the end's among them.

    Args:
        beyond: after the last step.
    """
    q, values = softmax(policy), [beyond]
    for _ in range(STEPS):
        here = (q * (COST + DISCOUNT * MOVES @ values[0])).sum(axis=1)
        values.insert(0, np.append(here, 0.0))
    return values


def _expected_cost(policy: Any, *, beyond: np.ndarray) -> Any:
    return _values(policy, beyond)[0][0]


NOTHING = np.zeros(3)

#: The exact critic, by step and state.
EXACT = np.array(_values(POLICY, NOTHING))

#: The same of who forgets that one step less is left.
EARLIER = np.concatenate([EXACT[:1], EXACT[:-1]])

#: The guess, at each step; nothing follows the last one, or the end.
GUESS = np.array([*[CRITIC * (np.arange(3) != END)] * STEPS, NOTHING])

#: The same of who does not ask whether the episode has ended.
UNMASKED = np.array([*[CRITIC] * STEPS, NOTHING])

#: The exact critic that is told of the older policy, and the same of who takes the limit for an
#: end.
WITH_BEYOND = np.array(_values(POLICY, BEYOND))
CUT = np.array([*WITH_BEYOND[:STEPS], NOTHING])


def _bootstrap(steps: list[EpisodeStep], *, critic: np.ndarray, ahead: int) -> list[float]:
    """So many steps' costs and the critic's guess of the rest, less its guess of here.

    Args:
        critic: by step and state, (STEPS + 1, 3).
        ahead: steps whose costs are counted.
    """
    weights = []
    for t, step in enumerate(steps):
        last = min(t + ahead, len(steps))
        costs = sum(DISCOUNT ** (k - t) * steps[k].cost for k in range(t, last))
        rest = DISCOUNT ** (last - t) * critic[last, steps[last - 1].after]
        weights.append(DISCOUNT**t * float(costs + rest - critic[t, step.state]))
    return weights


def _makes(critic: np.ndarray, ahead: int, beyond: np.ndarray = NOTHING) -> Makes:
    """Actor and critic in both frameworks."""
    weigh = functools.partial(_bootstrap, critic=critic, ahead=ahead)
    mean = functools.partial(_expected_cost, beyond=beyond)
    return by_framework(_tensors, _by_hand, (POLICY,), mean, weigh=weigh)


_ACTOR_CRITIC = "Konda and Tsitsiklis (2000), Actor-critic algorithms"
_STEPS = "Mnih et al. (2016), Asynchronous methods for deep reinforcement learning (A3C)"
_LIMITS = "Pardo et al. (2018), Time limits in reinforcement learning"

ROWS = (
    *right(
        "step-critic-exact",
        "A step's cost and the critic's guess of the rest, where the critic is the policy's own "
        "value with so many steps left.",
        _ACTOR_CRITIC,
        _makes(EXACT, ahead=1),
    ),
    *right(
        "two-steps-critic-exact",
        "The costs of two steps, and an exact critic for what follows them.",
        _STEPS + ", with an exact critic",
        _makes(EXACT, ahead=2),
    ),
    *right(
        "limit-bootstrapped",
        "A time limit is no end of the task: the exact value of the last state stands for what "
        "an older policy goes on to do.",
        _LIMITS + ", partial-episode bootstrapping",
        _makes(WITH_BEYOND, STEPS, BEYOND),
    ),
    *wrong(
        "two-steps-bootstrapped",
        "The costs of two steps, and a critic that is wrong for what follows: differs from the "
        "gradient, on purpose, for less variance.",
        _STEPS + ", n-step returns",
        _makes(GUESS, ahead=2),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "critic-of-an-earlier-step",
        "The critic is exact for an episode with one step more left.",
        _LIMITS + ", on critics that are not told the time",
        _makes(EARLIER, ahead=1),
        direction=DIFFERS,
    ),
    *wrong(
        "end-not-masked",
        "The critic's guess of the end is added, where nothing follows.",
        "textbook mistake: the factor (1 - done) is left out",
        _makes(UNMASKED, STEPS),
        direction=DIFFERS,
    ),
    *wrong(
        "limit-as-end",
        "A time limit is taken for an end of the task, after which nothing follows.",
        _LIMITS,
        _makes(CUT, STEPS, BEYOND),
        direction=DIFFERS,
    ),
)
