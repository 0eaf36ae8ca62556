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
        arguments: what stands in the formula for each argument. One that depends on an index is an
            array whose first axis is that index.
        index: what the formula sums over, a label if nothing is said; of several, an argument's
            first axes are those that it depends on, in this order.
        counts: how many places an index has, where it is not called by the index's capital.

    Raises:
        ValueError: if anything in the formula is no argument.
    """

    def __init__(
        self,
        formula: sp.Expr,
        arguments: Mapping[str, sp.Expr],
        index: sp.Symbol | tuple[sp.Symbol, ...] = k,
        counts: Mapping[sp.Symbol, sp.Symbol] | None = None,
    ) -> None:
        self.formula, self.arguments = sp.sympify(formula), dict(arguments)
        self.indices = index if isinstance(index, tuple) else (index,)
        self.counts = {
            one: sp.Symbol(one.name.upper(), integer=True, positive=True) for one in self.indices
        } | dict(counts or {})
        self._letters: dict[str, sp.Expr] = {}
        body, letters = self.formula, set[sp.Expr]()
        # The longest first: log q is an argument of its own where it is asked for.
        for name, node in sorted(
            arguments.items(), key=lambda item: -item[1].count_ops(visual=False)
        ):
            axes = self._axes(name)
            letter = sp.Function(f"a_{name}")(*axes) if axes else sp.Symbol(f"a_{name}")
            self._letters[name] = letter
            letters |= {letter}
            body = body.xreplace({node: letter})
            # In a double sum over the labels one argument stands at two labels.
            for other in self._other_indices(axes):
                at_other = {axes[0]: other}
                letters |= {letter.xreplace(at_other)}
                body = body.xreplace({node.xreplace(at_other): letter.xreplace(at_other)})
        unknown = body.free_symbols - {*self.indices, *self.counts.values(), *letters}
        unknown |= body.atoms(sp.core.function.AppliedUndef) - letters
        if unknown:
            raise ValueError(f"{', '.join(map(str, unknown))} in {text(formula)} is no argument")
        self._body = body

    def _axes(self, name: str) -> tuple[sp.Symbol, ...]:
        """The indices that an argument depends on."""
        free = self.arguments[name].free_symbols
        return tuple(index for index in self.indices if index in free)

    def _other_indices(self, axes: tuple[sp.Symbol, ...]) -> list[sp.Symbol]:
        """The indices of sums over the same places as the one that an argument depends on."""
        most = self.counts[axes[0]] if len(axes) == 1 else None
        limits = [limit for node in self.formula.atoms(sp.Sum) for limit in node.limits]
        return [index for index, _, last in limits if last == most and index not in axes]

    @functools.cached_property
    def _function(self) -> Callable[..., Any]:
        letters = [
            letter.func if self._axes(name) else letter for name, letter in self._letters.items()
        ]
        return sp.lambdify([*letters, *self.counts.values()], self._body, modules="numpy")

    def __call__(self, **values: Any) -> np.ndarray:
        """The formula's value.

        Args:
            values: an array for each argument; those that depend on an index have it as their
                first axis, and after it whatever broadcasts.

        Raises:
            TypeError: if an argument is missing or unknown.
            ValueError: if two arrays have axes of different lengths for one index.
        """
        if values.keys() != self.arguments.keys():
            raise TypeError(
                f"this formula takes {', '.join(self.arguments)}, got {', '.join(values) or 'none'}"
            )
        arrays = {name: np.asarray(value) for name, value in values.items()}
        lengths = [self._length(index, arrays) for index in self.indices]
        in_order = [
            (lambda *places, array=arrays[name]: array[tuple(place - 1 for place in places)])
            if self._axes(name)
            else arrays[name]
            for name in self._letters
        ]
        return np.asarray(self._function(*in_order, *lengths))

    def _length(self, index: sp.Symbol, arrays: Mapping[str, np.ndarray]) -> int:
        """How many places an index has, by every array that depends on it."""
        by_array = {
            name: array.shape[self._axes(name).index(index)]
            for name, array in arrays.items()
            if index in self._axes(name)
        }
        if len(set(by_array.values())) > 1:
            raise ValueError(
                f"axes for one index, {text(index)}, have different lengths: {by_array}"
            )
        return next(iter(by_array.values()), 0)
