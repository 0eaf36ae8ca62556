"""A user's ``reset=`` that leaves the parameters where they stand.

A reset puts back what an optimizer's step moved, as a rule. Where parameters are moved on purpose,
by differences or along a segment, it would undo that, and every slope would be zero.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class ResetAtPoint:
    """A reset after which parameters have the values that they had before it.

    Args:
        reset: puts back what runs have left.
        leaves: the parameters, by name, as they were given; they may be moved later.
    """

    def __init__(self, reset: Callable[[], object], leaves: Mapping[str, Any]) -> None:
        self._reset, self._leaves = reset, dict(leaves)
        self._given = {name: _copy(leaf) for name, leaf in self._leaves.items()}

    def __call__(self) -> None:
        """Reset all but the parameters.

        Raises:
            ValueError: if it gives a parameter another value than it was given with.
        """
        before = {name: _copy(leaf) for name, leaf in self._leaves.items()}
        self._reset()
        for name, leaf in self._leaves.items():
            now = _values(leaf)
            if _same(now, before[name]):
                continue
            if not _same(now, self._given[name]):
                raise ValueError(
                    f"reset= gives the parameter {name} other values than it had when the check "
                    f"began, {now.tolist()!r:.60} for {self._given[name].tolist()!r:.60}, and so a "
                    "gradient here would be compared with one there: call it once before the "
                    "check, or leave parameters out of it, which are put back anyway"
                )
            _put(leaf, before[name])


def _values(leaf: Any) -> Any:
    """What is in a parameter now, in the same memory.

    A tensor's by the base class: what a surrogate or an objective calls to stop gradients is
    replaced while it runs, and the reset is a part of that run.
    """
    if isinstance(leaf, np.ndarray):
        return leaf
    torch: Any = sys.modules["torch"]  # or there would be no tensor
    return torch._C.TensorBase.data.__get__(leaf)


def _copy(leaf: Any) -> Any:
    values = _values(leaf)
    return values.copy() if isinstance(leaf, np.ndarray) else values.clone()


def _same(one: Any, other: Any) -> bool:
    """Whether two have the same values; NaN is the same as NaN."""
    if one.shape != other.shape:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _put(leaf: Any, values: Any) -> None:
    """Give a parameter these values: a tensor in memory of their own, which nothing else shares."""
    if isinstance(leaf, np.ndarray):
        leaf[...] = values
    else:
        leaf.data = values


def reset_at_point(
    reset: Callable[[], object] | None, leaves: Mapping[str, Any]
) -> Callable[[], object] | None:
    """The reset that leaves these parameters where they stand; None if there is none."""
    return None if reset is None else ResetAtPoint(reset, leaves)
