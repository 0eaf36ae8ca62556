"""Generators of NumPy that a function reaches by itself, replaced for a while."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .numpy_draws import Walked
from .walk import Walker


class _Place(NamedTuple):
    """Where a generator is kept, and how another one is put there."""

    value: np.random.Generator
    put: Callable[[Any], None]


@contextlib.contextmanager
def walked_generators(function: object, walker: Walker) -> Iterator[None]:
    """Generators in a function's closure, its globals or its object ask the walker meanwhile."""
    with contextlib.ExitStack() as stack:
        for place in _places(function):
            stack.callback(place.put, place.value)
            place.put(Walked(walker))
        yield


def _places(function: object) -> Iterator[_Place]:
    owner = getattr(function, "__self__", None)
    for each in (function, owner):
        if not isinstance(each, type | types.ModuleType | None):
            yield from _of_object(each)
    plain = getattr(function, "__func__", function)
    if not isinstance(plain, types.FunctionType):
        plain = vars(type(plain)).get("__call__")
    if not isinstance(plain, types.FunctionType):
        return
    yield from _of_defaults(plain)
    for cell in plain.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty cell
            value = cell.cell_contents
            if isinstance(value, np.random.Generator):
                yield _Place(value, lambda new, cell=cell: setattr(cell, "cell_contents", new))
            elif isinstance(value, types.FunctionType | types.MethodType):
                yield from _places(value)
    for name in plain.__code__.co_names:
        value = plain.__globals__.get(name)
        if isinstance(value, np.random.Generator):
            yield _Place(
                value, lambda new, at=plain.__globals__, name=name: at.__setitem__(name, new)
            )


def _of_defaults(function: types.FunctionType) -> Iterator[_Place]:
    for place, value in enumerate(function.__defaults__ or ()):
        if isinstance(value, np.random.Generator):

            def put(new: Any, place: int = place) -> None:
                given = list(function.__defaults__ or ())
                given[place] = new
                function.__defaults__ = tuple(given)

            yield _Place(value, put)
    for name, value in list((function.__kwdefaults__ or {}).items()):
        if isinstance(value, np.random.Generator):
            at = function.__kwdefaults__
            yield _Place(value, lambda new, at=at, name=name: at.__setitem__(name, new))


def _of_object(owner: object) -> Iterator[_Place]:
    for name, value in list(getattr(owner, "__dict__", {}).items()):
        if isinstance(value, np.random.Generator):
            yield _Place(value, lambda new, name=name: setattr(owner, name, new))
