"""The tables of an environment of Gymnasium that says where each action may lead."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class EnvironmentTables(NamedTuple):
    """Tables of an environment, in the order in which :func:`.decision_process.tabular` takes them.

    Shape:
        ``transitions`` (S, A, S); ``rewards`` (S, A, S); ``start`` (S,); ``terminal`` numbers of
        states.
    """

    transitions: np.ndarray
    rewards: np.ndarray
    start: np.ndarray
    terminal: tuple[int, ...]


def transitions_of(environment: Any) -> EnvironmentTables:
    """The tables of an environment, by its ``unwrapped.P``: FrozenLake, CliffWalking, Taxi.

    How many steps an episode may have (``max_episode_steps=``) is not in them: pass it as
    ``horizon=``.

    Args:
        environment: of Gymnasium; its wrappers are not looked at.

    Raises:
        TypeError: for an environment without such a table.
        ValueError: for a state that ends an episode, or not, by how it was reached.
    """
    inner = getattr(environment, "unwrapped", environment)
    table, start = getattr(inner, "P", None), getattr(inner, "initial_state_distrib", None)
    if table is None or start is None:
        raise TypeError(
            f"{environment!s:.60} has no unwrapped.P and initial_state_distrib, which FrozenLake, "
            "CliffWalking and Taxi have: write its transitions and rewards as arrays"
        )
    states, actions = len(table), len(table[0])
    law, rewards = np.zeros((2, states, actions, states))
    for state, by_action in table.items():
        for action, outcomes in by_action.items():
            for probability, after, reward, _ in outcomes:
                law[state, action, after] += probability
                rewards[state, action, after] += probability * reward
    np.divide(rewards, law, out=rewards, where=law > 0.0)
    begin = np.asarray(start, np.float64)
    return EnvironmentTables(law, rewards, begin, _terminal(table, begin))


def _terminal(table: Any, start: np.ndarray) -> tuple[int, ...]:
    """The states that end an episode, by the ways that lead there in an episode.

    Raises:
        ValueError: for one that ends it by some of these ways only.
    """
    waiting = np.flatnonzero(start).tolist()
    going, ending = set(waiting), set()
    while waiting:
        for outcomes in table[waiting.pop()].values():
            for probability, after, _, over in outcomes:
                if not probability > 0.0:
                    continue
                if over:
                    ending.add(int(after))
                elif after not in going:
                    going.add(int(after))
                    waiting.append(int(after))
    mixed = sorted(going & ending)
    if mixed:
        raise ValueError(
            f"state {mixed[0]} ends an episode by some of the ways that lead there, and not by "
            "others: write the transitions as arrays, with a state of its own for the end"
        )
    return tuple(sorted(ending))
