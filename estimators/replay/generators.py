"""Generators of NumPy that a function reaches by itself, replaced for a while."""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .numpy_draws import Walked
from .walk import Walker


class _Place(NamedTuple):
    """Where a generator is kept, and how another one is put there."""

    value: np.random.Generator
    put: Callable[[Any], object]


@contextlib.contextmanager
def walked_generators(function: object, walker: Walker) -> Iterator[None]:
    """Generators that a function keeps ask the walker meanwhile.

    They are looked for in its closure, its defaults, the globals it names, its object, and in the
    functions of its closure.
    """
    with contextlib.ExitStack() as stack:
        for place in _places(function, set()):
            stack.callback(place.put, place.value)
            place.put(Walked(walker))
        yield


def _places(function: object, seen: set[int]) -> Iterator[_Place]:
    if id(function) in seen:  # functions may know of each other
        return
    seen.add(id(function))
    for each in (function, getattr(function, "__self__", None)):
        if not isinstance(each, type | types.ModuleType | None):
            yield from _of_object(each)
    plain = getattr(function, "__func__", function)
    if not isinstance(plain, types.FunctionType):
        plain = vars(type(plain)).get("__call__")
    if isinstance(plain, types.FunctionType):
        yield from _of_function(plain, seen)


def _of_function(function: types.FunctionType, seen: set[int]) -> Iterator[_Place]:
    for place, value in enumerate(function.__defaults__ or ()):
        if isinstance(value, np.random.Generator):
            yield _Place(value, functools.partial(_put_default, function, place))
    named = dict.fromkeys(function.__code__.co_names)
    for where, names in ((function.__globals__, named), (function.__kwdefaults__ or {}, None)):
        for name in where if names is None else names:
            value = where.get(name)
            if isinstance(value, np.random.Generator):
                yield _Place(value, functools.partial(where.__setitem__, name))
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty cell
            value = cell.cell_contents
            if isinstance(value, np.random.Generator):
                yield _Place(value, functools.partial(setattr, cell, "cell_contents"))
            elif isinstance(value, types.FunctionType | types.MethodType):
                yield from _places(value, seen)


def _of_object(owner: object) -> Iterator[_Place]:
    for name, value in list(getattr(owner, "__dict__", {}).items()):
        if isinstance(value, np.random.Generator):
            yield _Place(value, functools.partial(setattr, owner, name))


def _put_default(function: types.FunctionType, place: int, value: Any) -> None:
    given = list(function.__defaults__ or ())
    given[place] = value
    function.__defaults__ = tuple(given)
