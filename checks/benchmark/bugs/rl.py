"""Episodes of a few steps, and what each step's score is weighted by.

Reference:
    Sutton et al. (2000), Policy gradient methods for reinforcement learning with function
    approximation. Schulman et al. (2016), High-dimensional continuous control using generalized
    advantage estimation (GAE). Rows name the sources of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...evidence import DIFFERS
from .row import Makes, right, wrong
from .toy_problem import TorchProblem, by_framework, softmax

#: Logits of two actions in two states.
POLICY = np.array([[0.3, -0.5], [-0.2, 0.6]])

#: Costs by state and action, and the state that follows; None ends the episode.
COST = ((1.3, -0.4), (0.7, 2.2))
FOLLOWS: tuple[tuple[int | None, ...], ...] = ((1, 0), (0, None))

STEPS, DISCOUNT = 3, 0.8

#: A critic's guess of what is to come in each state.
CRITIC = (0.9, 1.6)

#: How far the critic is left out of a mixture of guesses.
MIXED = 0.6

Weights = Callable[[Sequence[int], Sequence[int], Sequence[float]], Sequence[float]]


def _episode(act: Callable[[int], int]) -> tuple[list[int], list[int], list[float]]:
    """States, actions and costs."""
    states: list[int] = []
    actions: list[int] = []
    found: list[float] = []
    state: int | None = 0
    while state is not None and len(states) < STEPS:
        action = act(state)
        states.append(state)
        actions.append(action)
        found.append(COST[state][action])
        state = FOLLOWS[state][action]
    return states, actions, found


def _tensors(weigh: Weights) -> Callable[..., Any]:
    def estimate(s: TorchProblem, policy: Any) -> Any:
        q = s.torch.distributions.Categorical(logits=policy)
        probabilities = q.probs.detach()

        def act(state: int) -> int:
            return int(s.torch.multinomial(probabilities[state], 1))

        states, actions, found = _episode(act)
        weights = s.constant(weigh(states, actions, found))
        return (weights * q.logits[states, actions]).sum()

    return estimate


def _by_hand(weigh: Weights) -> Callable[..., Any]:
    def estimate(rng: Any, policy: Any) -> Any:
        q = softmax(policy)
        states, actions, found = _episode(lambda state: int(rng.random() < q[state, 1]))
        gradient = np.zeros_like(policy)
        for state, action, weight in zip(
            states, actions, weigh(states, actions, found), strict=True
        ):
            gradient[state] += weight * (np.eye(2)[action] - q[state])
        return gradient

    return estimate


def _expected_return(policy: Any) -> Any:
    """By recursion over states, as nothing is drawn."""
    q = softmax(policy)

    def value(state: int | None, left: int) -> Any:
        if state is None or not left:
            return 0.0
        return sum(
            q[state, action]
            * (COST[state][action] + DISCOUNT * value(FOLLOWS[state][action], left - 1))
            for action in range(2)
        )

    return value(0, STEPS)


def _makes(weigh: Weights) -> Makes:
    return by_framework(_tensors(weigh), _by_hand(weigh), (POLICY,), _expected_return)


# ------------------------------------------------------------------ weights


def _to_go(found: Sequence[float]) -> list[float]:
    """Discounted to each step from there on."""
    left: list[float] = []
    for cost in reversed(found):
        left.insert(0, cost + DISCOUNT * (left[0] if left else 0.0))
    return left


def _discount(values: Sequence[float]) -> list[float]:
    return [DISCOUNT**step * value for step, value in enumerate(values)]


def _full_return(states: Any, actions: Any, found: Any) -> list[float]:
    return [_to_go(found)[0]] * len(found)


def _rewards_to_go(states: Any, actions: Any, found: Any) -> list[float]:
    return _discount(_to_go(found))


def _advantages(states: Any, actions: Any, found: Any) -> list[float]:
    pairs = zip(_to_go(found), states, strict=True)
    return _discount([value - CRITIC[state] for value, state in pairs])


def _discount_dropped(states: Any, actions: Any, found: Any) -> list[float]:
    return _to_go(found)


def _not_discounted(states: Any, actions: Any, found: Any) -> list[float]:
    return np.cumsum(found[::-1])[::-1].tolist()


def _immediate_costs(states: Any, actions: Any, found: Any) -> list[float]:
    return _discount(found)


def _costs_so_far(states: Any, actions: Any, found: Any) -> list[float]:
    return np.cumsum(_discount(found)).tolist()


def _off_by_one(states: Any, actions: Any, found: Any) -> list[float]:
    return _discount([*_to_go(found)[1:], 0.0])


def _whiten(states: Any, actions: Any, found: Any) -> list[float]:
    left = np.array(_to_go(found))
    return _discount((left - left.mean()) / (left.std() + 0.1))


def _critic_after(states: Any, step: int) -> float:
    return CRITIC[states[step + 1]] if step + 1 < len(states) else 0.0


def _errors(states: Any, found: Any) -> list[float]:
    """What each step shows of the critic's error."""
    return [
        cost + DISCOUNT * _critic_after(states, step) - CRITIC[states[step]]
        for step, cost in enumerate(found)
    ]


def _bootstrap(states: Any, actions: Any, found: Any) -> list[float]:
    return _discount(_errors(states, found))


def _generalised_advantage(mixed: float) -> Weights:
    def weigh(states: Any, actions: Any, found: Any) -> list[float]:
        left: list[float] = []
        for error in reversed(_errors(states, found)):
            left.insert(0, error + DISCOUNT * mixed * (left[0] if left else 0.0))
        return _discount(left)

    return weigh


def _sees_action(states: Any, actions: Any, found: Any) -> list[float]:
    triples = zip(_to_go(found), states, actions, strict=True)
    return _discount([value - COST[state][action] for value, state, action in triples])


def _by_length(states: Any, actions: Any, found: Any) -> list[float]:
    return [2.0 * weight / len(found) for weight in _rewards_to_go(states, actions, found)]


def _over_limit(states: Any, actions: Any, found: Any) -> list[float]:
    # What would follow the last step counts, though the episode is over and the estimand ends.
    last = FOLLOWS[states[-1]][actions[-1]]
    beyond = 0.0 if last is None else CRITIC[last]
    return _discount(_to_go([*found, beyond])[:-1])


_REINFORCE = "Williams (1992), Simple statistical gradient-following algorithms"
_SUTTON = "Sutton et al. (2000), Policy gradient methods with function approximation"
_GAE = "Schulman et al. (2016), High-dimensional continuous control using GAE"

ROWS = (
    *right("full-return", "Each score times the whole return.", _REINFORCE, _makes(_full_return)),
    *right(
        "rewards-to-go",
        "Each score times what comes from there on, discounted to the start.",
        _SUTTON,
        _makes(_rewards_to_go),
    ),
    *right(
        "state-baseline",
        "Less what depends on the state alone.",
        _SUTTON,
        _makes(_advantages),
    ),
    *right(
        "generalised-advantage-of-one",
        "The critic's errors sum to the return less the critic, however wrong it is.",
        _GAE + ", lambda = 1",
        _makes(_generalised_advantage(1.0)),
    ),
    *wrong(
        "discount-dropped",
        "Returns are discounted to their step, and the step itself is not.",
        "Thomas (2014), Bias in natural actor-critic algorithms",
        _makes(_discount_dropped),
        direction=DIFFERS,
    ),
    *wrong(
        "return-not-discounted",
        "The sum of costs where the estimand discounts them.",
        "textbook mistake",
        _makes(_not_discounted),
        direction=DIFFERS,
    ),
    *wrong(
        "immediate-cost",
        "Each score times its own step's cost: what follows from an action is lost.",
        "textbook mistake",
        _makes(_immediate_costs),
        direction=DIFFERS,
    ),
    *wrong(
        "costs-of-the-past",
        "Each score times what came until there: summed from the wrong end.",
        "textbook mistake",
        _makes(_costs_so_far),
        direction=DIFFERS,
    ),
    *wrong(
        "return-off-by-one",
        "Each score times what comes after the step, without its own cost.",
        "textbook mistake",
        _makes(_off_by_one),
        direction=DIFFERS,
    ),
    *wrong(
        "return-whitened",
        "Returns of an episode less their mean, over their standard deviation.",
        "textbook mistake, in many tutorials",
        _makes(_whiten),
        direction=DIFFERS,
    ),
    *wrong(
        "critic-bootstraps",
        "A step's cost and the critic's guess of the rest, which is wrong.",
        "Konda and Tsitsiklis (2000), Actor-critic algorithms, on which critics are right",
        _makes(_bootstrap),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "generalised-advantage",
        "A mixture of returns and guesses of a critic that is wrong.",
        _GAE + ", lambda < 1",
        _makes(_generalised_advantage(MIXED)),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "action-baseline",
        "A baseline that sees the action, whose mean is not added.",
        "Tucker et al. (2018), The mirage of action-dependent baselines",
        _makes(_sees_action),
        direction=DIFFERS,
    ),
    *wrong(
        "divided-by-length",
        "An episode's scores are averaged over its length, which depends on its actions.",
        "Liu et al. (2025), Understanding R1-Zero-like training, on GRPO",
        _makes(_by_length),
        direction=DIFFERS,
    ),
    *wrong(
        "guess-beyond-the-limit",
        "A guess of what would follow the last step, which the estimand does not count.",
        "Pardo et al. (2018), Time limits in reinforcement learning, the other way round",
        _makes(_over_limit),
        direction=DIFFERS,
    ),
)
