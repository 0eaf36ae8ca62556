"""Arrays of real numbers among the inputs of a function, and copies of them that can be moved.

Differences move arrays of NumPy where they are. What cannot be written to (arrays of JAX, views
that are read-only, numbers of Python) is given to the function as a copy, made anew for each run.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .places import kept_values
from .trees import children, dotted, leaves, replaced


@dataclasses.dataclass(frozen=True)
class InputArray:
    """An array of real numbers: in which input, under which keys, and what that is called."""

    place: int
    keys: tuple[Any, ...]
    argument: str
    array: Any

    @property
    def name(self) -> str:
        """Within its input."""
        return self._dotted("") or "gradient"

    @property
    def name_by_place(self) -> str:
        """Beginning with the input's number."""
        return self._dotted(str(self.place))

    @property
    def name_by_argument(self) -> str:
        """Beginning with what the function calls the input."""
        return self._dotted(self.argument or str(self.place))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array; () of a number."""
        return tuple(np.shape(self.array))

    def _dotted(self, name: str) -> str:
        return functools.reduce(dotted, self.keys, name)


def input_arrays(function: Callable[..., Any], inputs: Sequence[Any]) -> list[InputArray]:
    """Arrays of NumPy and JAX among the inputs, also in collections; numbers if there is none."""
    names = argument_names(function, len(inputs))
    found = [
        InputArray(place, keys, name, leaf)
        for place, (name, value) in enumerate(zip(names, inputs, strict=True))
        for keys, leaf in leaves(value)
        if is_real_array(leaf) or type(leaf) is float
    ]
    arrays = [each for each in found if type(each.array) is not float]
    return arrays or found


def is_real_array(value: Any) -> bool:
    """Whether it is an array of NumPy or JAX with numbers that have a fraction."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f"
    jax: Any = sys.modules.get("jax")
    if jax is None or not isinstance(value, jax.Array):
        return False
    return bool(jax.numpy.issubdtype(value.dtype, jax.numpy.floating))


def wrt_arrays(wrt: Any) -> dict[str, Any]:
    """Arrays of real numbers in what gradients are by, under dotted names."""
    found = [(keys, leaf) for keys, leaf in leaves(wrt) if is_real_array(leaf)]
    names = [functools.reduce(dotted, keys, "") for keys, _ in found]
    if len(found) == 1 and isinstance(wrt, list | tuple):  # as of tensors: a list of one is that
        names = [functools.reduce(dotted, found[0][0][1:], "")]
    return {name or "gradient": leaf for name, (_, leaf) in zip(names, found, strict=True)}


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """What a function calls the first of its arguments; empty where that cannot be asked."""
    names: list[str] = []
    with contextlib.suppress(TypeError, ValueError):
        for each in inspect.signature(function).parameters.values():
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD):
                names.append(each.name)
    return (names + [""] * count)[:count]


class MovableInputs:
    """Inputs that a function is called with, in which chosen arrays can be moved.

    Args:
        inputs: as they are.
        chosen: arrays among them, by name.

    ``leaves`` are the chosen arrays by name: themselves, or copies that stand for them; ``inputs``
    is a list of the others as well, as they are.
    """

    def __init__(self, inputs: Sequence[Any], chosen: Mapping[str, InputArray]) -> None:
        self.inputs = list(inputs)
        self.leaves: dict[str, Any] = {}
        self._copies: dict[str, InputArray] = {}
        places = collections.Counter(id(leaf) for value in self.inputs for _, leaf in leaves(value))
        for name, each in chosen.items():
            # What stands in two places moves in one of them.
            if _is_written_to(each.array) and places[id(each.array)] == 1:
                self.leaves[name] = each.array
            else:
                self.leaves[name] = np.array(each.array, order="C")
                self._copies[name] = each

    def __call__(self) -> list[Any]:
        """The inputs of the next run, with the copies as they are now."""
        inputs = list(self.inputs)
        for place in {each.place for each in self._copies.values()}:
            others = {
                each.keys: _like(each.array, self.leaves[name])
                for name, each in self._copies.items()
                if each.place == place
            }
            inputs[place] = replaced(inputs[place], others)
        return inputs

    @property
    def has_copies(self) -> bool:
        """Whether a copy stands for one of them at least."""
        return bool(self._copies)

    def kept_in(self, function: Callable[..., Any]) -> tuple[str, ...]:
        """Names of arrays that a function keeps itself, and that would not move with the copies."""
        roots = {id(each): each for each in (function, _unwrapped(function))}
        kept = [value for value, _ in kept_values(*roots.values())]
        return tuple(
            name
            for name, each in self._copies.items()
            if type(each.array) is not float and self._is_kept(each, kept)
        )

    def _is_kept(self, one: InputArray, kept: Sequence[Any]) -> bool:
        """Whether an array, or a collection that it stands in, is among what is kept."""
        way = {id(each) for each in _way(self.inputs[one.place], one.keys)}
        return any(id(value) in way or _share_memory(value, one.array) for value in kept)


def _is_written_to(array: Any) -> bool:
    """Whether an array is one of NumPy that can be moved where it is."""
    return isinstance(array, np.ndarray) and array.flags.writeable


def _like(array: Any, values: np.ndarray) -> Any:
    """Values as an array of another's kind, in memory of their own."""
    if type(array) is float:
        return float(values)
    if isinstance(array, np.ndarray):
        return values.copy()
    if isinstance(array, list | tuple):
        raise TypeError(
            f"an input is the {type(array).__name__} {array!r:.60}, expected an array or a tensor: "
            "numpy.array(...), say"
        )
    jax: Any = sys.modules["jax"]  # or there would be no array of its
    placed = array.sharding if getattr(array, "committed", False) else None
    made = jax.device_put(values.copy(), placed)
    if made.dtype != array.dtype:
        raise TypeError(
            f"an input is an array of JAX in {array.dtype}, and JAX makes arrays in {made.dtype} "
            "now: enable double precision for the whole check (jax_enable_x64)"
        )
    return made


def like_input(given: Any, array: np.ndarray) -> Any:
    """An array in the place of an input: a tensor, an array or a number, as that is."""
    if hasattr(given, "new_tensor"):
        made = given.new_tensor(array)
        return made.requires_grad_(given.requires_grad)
    return _like(given, array.astype(getattr(given, "dtype", float)))


def _unwrapped(function: Callable[..., Any]) -> Any:
    """What ``jax.jit`` and decorators were given."""
    with contextlib.suppress(ValueError):  # a ring of them
        return inspect.unwrap(function)
    return function


def _way(value: Any, keys: Sequence[Any]) -> Iterator[Any]:
    """An array in collections, and each of these that it stands in."""
    yield value
    for key in keys:
        value = dict(children(value) or ())[key]
        yield value


def _share_memory(one: Any, other: Any) -> bool:
    both = is_real_array(one) and is_real_array(other)
    return both and bool(np.shares_memory(np.asarray(one), np.asarray(other)))
