"""A function of JAX, compiled once for all its calls.

What is not compiled is run step by step, and a loop (``scan``, ``while_loop``, ``cond``) is traced
and compiled anew in each call, which may take a tenth of a second.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class CompiledFunction:
    """A function that is called with arrays, floats and whatever stands beside them.

    Arrays and floats are traced. What else stands in the arguments is a constant of the program:
    with another one the function is called as it is.

    Valid when: all that it depends on are its arguments, and what it draws JAX draws. Whoever uses
    it has to see that it comes to the same.

    Args:
        function: what is compiled, when it is called first.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._jax: Any = sys.modules["jax"]  # or there would be nothing to compile
        self._function = function
        self._program: Callable[..., Any] | None = None
        self._structure: Any = None
        self._constants: Sequence[Any] = ()

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        leaves, structure = self._jax.tree_util.tree_flatten(arguments)
        traced = [self._is_traced(leaf) for leaf in leaves]
        constants = [None if one else leaf for one, leaf in zip(traced, leaves, strict=True)]
        if self._program is None:
            self._structure, self._constants = structure, constants
            self._program = self._jax.jit(self._from_numbers)
        elif structure != self._structure or not _are_same(constants, self._constants):
            return self._function(*arguments)
        return self._program(
            [leaf if one else None for one, leaf in zip(traced, leaves, strict=True)]
        )

    def _from_numbers(self, numbers: Sequence[Any]) -> Any:
        leaves = [
            constant if number is None else number
            for number, constant in zip(numbers, self._constants, strict=True)
        ]
        return self._function(*self._jax.tree_util.tree_unflatten(self._structure, leaves))

    def _is_traced(self, leaf: Any) -> bool:
        return isinstance(leaf, self._jax.Array | np.ndarray) or type(leaf) is float


def _are_same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(
        one is other for one, other in zip(some, others, strict=True)
    )
