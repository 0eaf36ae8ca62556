"""The formula at the end of a derivation, as a NumPy function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp

from .expressions import k
from .notation import text


class Oracle:
    """A function of arrays that SymPy wrote, and no automatic differentiation.

    Args:
        formula: the result of a derivation.
        arguments: what stands in the formula for each argument. One that depends on the index is an
            array whose first axis is that index.
        index: what the formula sums over, a label if nothing is said.

    Raises:
        ValueError: if anything in the formula is no argument.
    """

    def __init__(
        self, formula: sp.Expr, arguments: Mapping[str, sp.Expr], index: sp.Symbol = k
    ) -> None:
        self.formula, self.arguments = sp.sympify(formula), dict(arguments)
        self.index, self._most = index, sp.Symbol(index.name.upper(), integer=True, positive=True)
        self._letters: dict[str, Any] = {}
        body = self.formula
        # The longest first: log q is an argument of its own where it is asked for.
        for name, node in sorted(
            arguments.items(), key=lambda item: -item[1].count_ops(visual=False)
        ):
            by_label = index in node.free_symbols
            letter = sp.Function(f"a_{name}") if by_label else sp.Symbol(f"a_{name}")
            self._letters[name] = letter
            body = body.xreplace({node: letter(index) if by_label else letter})
        left = body.free_symbols - {index, self._most, *self._letters.values()}
        known = {
            letter(index)
            for letter in self._letters.values()
            if isinstance(letter, type(sp.Function("a")))
        }
        left |= body.atoms(sp.core.function.AppliedUndef) - known
        if left:
            raise ValueError(f"{', '.join(map(str, left))} in {text(formula)} is no argument")
        self._body = body

    @functools.cached_property
    def _function(self) -> Callable[..., Any]:
        return sp.lambdify([*self._letters.values(), self._most], self._body, modules="numpy")

    def __call__(self, **values: Any) -> np.ndarray:
        """The formula's value.

        Args:
            values: an array for each argument; those that depend on the index have it as their
                first axis, and after it whatever broadcasts.

        Raises:
            TypeError: if an argument is missing or unknown.
            ValueError: if two arrays have first axes of different lengths.
        """
        if values.keys() != self.arguments.keys():
            raise TypeError(
                f"this formula takes {', '.join(self.arguments)}, got {', '.join(values) or 'none'}"
            )
        arrays = {name: np.asarray(value) for name, value in values.items()}
        by_label = [name for name in arrays if self.index in self.arguments[name].free_symbols]
        counts = {name: len(arrays[name]) for name in by_label}
        if len(set(counts.values())) > 1:
            raise ValueError(f"first axes have different lengths: {counts}")
        given = [
            (lambda label, array=arrays[name]: array[label - 1])
            if name in by_label
            else arrays[name]
            for name in self._letters
        ]
        return np.asarray(self._function(*given, next(iter(counts.values()), 0)))
