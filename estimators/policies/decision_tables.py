"""The tables of a Markov decision process: transitions, rewards, where it begins and ends."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

#: A tensor of PyTorch.
Tensor = Any


class DecisionTables(NamedTuple):
    """Tables as they are added up, in double precision.

    ``onward`` has the probability of each state that an episode goes on from, 0 of terminal ones;
    ``rewards`` the mean reward of each action, 0 in terminal states.

    Shape:
        ``onward`` (S, A, S); ``rewards`` (S, A); ``start`` (S,), 0 in terminal states.
    """

    onward: Tensor
    rewards: Tensor
    start: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """States and actions."""
        states, actions = self.rewards.shape
        return states, actions


def read_tables(
    transitions: Any, rewards: Any, start: Any, terminal: Collection[int]
) -> DecisionTables:
    """The tables, checked.

    Args:
        transitions, rewards, start, terminal: as of :func:`.decision_process.tabular`.

    Raises:
        ValueError: for tables that do not fit, and for what are no probabilities.
    """
    import torch

    law, precision = _array(transitions, "transitions")
    if law.ndim != 3 or law.shape[0] != law.shape[2] or not law.size:
        raise ValueError(
            f"transitions have shape {law.shape}, expected (S, A, S): a probability of each state "
            "after each state and action"
        )
    states, actions, _ = law.shape
    going = np.ones(states, bool)
    going[_terminal(terminal, states)] = False
    law = np.where(going[:, None, None], law, 0.0)
    _check_sums(law[going], np.flatnonzero(going), precision)
    law[going] /= law[going].sum(axis=2, keepdims=True)
    by_action, _ = _array(rewards, "rewards")
    if by_action.shape == law.shape:
        by_action = (law * by_action).sum(axis=2)
    if by_action.shape != (states, actions):
        raise ValueError(
            f"rewards have shape {by_action.shape}, expected {(states, actions)}, or {law.shape} "
            "with the state after"
        )
    by_action = np.where(going[:, None], by_action, 0.0)
    begin = np.where(going, _start(start, states), 0.0)
    if not begin.any():
        raise ValueError("every episode begins in a terminal state: nothing is ever drawn")
    tables = law * going, by_action, begin
    return DecisionTables(*(torch.from_numpy(np.ascontiguousarray(each)) for each in tables))


def _array(given: Any, name: str) -> tuple[np.ndarray, float]:
    """Numbers in double precision, and the precision that they are given in."""
    numbers = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if numbers.dtype.kind not in "fiub":
        raise ValueError(f"{name} are {type(given).__name__} of {numbers.dtype}, expected numbers")
    if not np.isfinite(numbers).all():
        place = tuple(np.argwhere(~np.isfinite(numbers))[0].tolist())
        raise ValueError(f"{name} have {numbers[place]} at {place}, expected finite numbers")
    kind = numbers.dtype if numbers.dtype.kind == "f" else np.dtype(np.float64)
    return numbers.astype(np.float64), float(np.finfo(kind).eps)


def _terminal(terminal: Collection[int], states: int) -> list[int]:
    numbers = np.asarray(list(terminal) if hasattr(terminal, "__iter__") else terminal)
    if numbers.size and (numbers.dtype.kind not in "iu" or numbers.ndim != 1):
        raise ValueError(f"terminal = {terminal!r:.60}, expected numbers of states, such as [3]")
    for state in numbers.tolist():
        if not 0 <= state < states:
            raise ValueError(f"terminal has {state}, expected a state from 0 to {states - 1}")
    return [int(each) for each in numbers]


def _check_sums(law: np.ndarray, numbers: np.ndarray, precision: float) -> None:
    """Whether they are probabilities, within a rounding of each that is added.

    Args:
        numbers: of the states.
    """
    sums = law.sum(axis=2)
    bad = (np.abs(sums - 1.0) > law.shape[2] * precision) | (law < 0.0).any(axis=2)
    if bad.any():
        row, action = np.argwhere(bad)[0]
        raise ValueError(
            f"transitions from state {numbers[row]} by action {action} are "
            f"{law[row, action].tolist()!s:.80}, with the sum {sums[row, action]:.17g}, expected "
            "probabilities that add up to 1; a state that ends an episode is named by terminal="
        )


def _start(start: Any, states: int) -> np.ndarray:
    """The probability of each state to begin in."""
    numbers, precision = _array(start, "start")
    if numbers.ndim == 0:
        if float(numbers) not in range(states):
            raise ValueError(f"start = {start!r:.60}, expected a state from 0 to {states - 1}")
        return np.eye(states)[int(numbers)]
    off = abs(float(numbers.sum()) - 1.0)
    if numbers.shape != (states,) or (numbers < 0.0).any() or off > states * precision:
        raise ValueError(
            f"start = {start!r:.60}, expected a state, or {states} probabilities that add up to 1"
        )
    return numbers / numbers.sum()
