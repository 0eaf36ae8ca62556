"""Derivatives of first and second order by differences of a value, entry by entry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.replay import precision

from .objective import ROUNDINGS

#: Derivatives, by the one name or the two that they are by, with what each entry may be off by.
Known = dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]]

#: What is moved: an array or tensor, and a place in it.
Entry = tuple[Any, tuple[int, ...]]


def derivatives(
    value: Callable[[], float],
    size: float,
    leaves: Mapping[str, Any],
    before: Mapping[str, np.ndarray],
    order: int,
    eps: float,
) -> Known:
    """The derivatives of a value by arrays or tensors, which are moved in place and put back.

    Estimand: the first derivatives and, for ``order`` 2, the second, each entry by each.
    Estimator: central differences of fourth order, in steps that balance rounding.
    Valid when: the value is smooth around where they are.

    Args:
        value: of the leaves as they are when it is called.
        size: what is added up in a value comes to at most this.
        before: the leaves' entries, as NumPy has them.
        eps: the precision of the least precise, as the step from 1 to the next number.
    """
    found: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for each in range(1, order + 1):
        for names in itertools.combinations_with_replacement(leaves, each):
            found[names] = _by(names, value, leaves, before, eps)
        if each == 1:
            # The terms of a value may cancel, and its parameters are rounded: so much is lost.
            size += sum(
                float(np.abs(before[name] * slope).sum())
                for (name,), (slope, _, _) in found.items()
            )
    return {names: (slope, rest + rounds * size) for names, (slope, rest, rounds) in found.items()}


def coarsest(arrays: Mapping[str, np.ndarray]) -> float:
    """The machine epsilon of the least precise."""
    return max(precision(array) for array in arrays.values())


def _by(
    names: tuple[str, ...],
    value: Callable[[], float],
    leaves: Mapping[str, Any],
    before: Mapping[str, np.ndarray],
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What :func:`_difference` says, by the entries of one or two parameters."""
    shape = tuple(each for name in names for each in before[name].shape)
    found = np.zeros((3, *shape))
    data = [_data(leaves[name]) for name in names]
    cuts = np.cumsum([before[name].ndim for name in names])[:-1]
    for index in np.ndindex(shape):
        places = [tuple(map(int, each)) for each in np.split(np.array(index, int), cuts)]
        entries = list(zip(data, places, strict=True))
        found[(slice(None), *index)] = _difference(entries, value, eps)
    return found[0], found[1], found[2]


def _data(leaf: Any) -> Any:
    """What can be written to, entry by entry."""
    return leaf if isinstance(leaf, np.ndarray) else leaf.data


def _difference(
    entries: Sequence[Entry], value: Callable[[], float], eps: float
) -> tuple[float, float, float]:
    """A derivative by each of these entries in turn.

    And what it may be off by: by itself, and for each unit of the size of what is differenced.
    """
    order = len(entries)
    # Where an error of fourth order meets rounding, which is divided by the step for each order.
    share = eps ** (1.0 / (4 + order))
    before = [data[place].item() for data, place in entries]
    # Powers of two, so that moving there and back rounds as little as can be.
    steps = [2.0 ** round(math.log2(share * max(1.0, abs(each)))) for each in before]
    try:
        near, far = (_central(entries, before, steps, part, value) for part in (0.5, 1.0))
    finally:
        _put(entries, before)
    slope = (4.0 * near - far) / 3.0
    # For each order the half step doubles what rounds, and extrapolation adds a third of near.
    rounds = 2.0**order * 2.0 * ROUNDINGS * eps / math.prod(steps)
    # What a half step is off by exceeds what is left after extrapolation by the squared step.
    return slope, abs(slope - near) * share, rounds


def _central(
    entries: Sequence[Entry],
    before: Sequence[float],
    steps: Sequence[float],
    part: float,
    value: Callable[[], float],
) -> float:
    total = 0.0
    for signs in itertools.product((1.0, -1.0), repeat=len(entries)):
        _put(entries, before)
        for (data, place), sign, step in zip(entries, signs, steps, strict=True):
            data[place] += sign * part * step  # twice, where both are the same entry
        total += math.prod(signs) * value()
    return total / math.prod(2.0 * part * step for step in steps)


def _put(entries: Sequence[Entry], values: Sequence[float]) -> None:
    for (data, place), value in zip(entries, values, strict=True):
        data[place] = value
