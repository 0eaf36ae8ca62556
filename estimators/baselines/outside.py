"""State that a user's baseline keeps outside of its object, so that no copy has it for its own.

In the default of an argument, a closure, a global or a class it stays from call to call, and the
first call may be another than all others: a memory that the sentence's own loss goes into, say.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .noise import is_generator

#: What a call gives no other value.
SHARED = (types.ModuleType, types.BuiltinFunctionType, type, staticmethod, classmethod, property)


class Place(NamedTuple):
    """A value outside, a copy of it as it was, and how to give the place another."""

    name: str
    value: Any
    write: Callable[[Any], object]
    copied: Any = None


def taken(function: Any) -> list[Place]:
    """All that a function could change outside of its object, with copies to compare it with."""
    made = []
    for place in _places(function):
        if isinstance(place.value, SHARED) or is_generator(place.value):
            continue
        try:
            made.append(place._replace(copied=copy.deepcopy(place.value)))
        except Exception:  # noqa: BLE001 - what cannot be copied is not followed
            continue
    return made


def changed(function: Any, before: list[Place]) -> tuple[Place, ...]:
    """Those of the copies that the values are no longer equal to."""
    values = {place.name: place.value for place in _places(function)}
    return tuple(place for place in before if not same(place.copied, values.get(place.name)))


def put_back(before: tuple[Place, ...]) -> None:
    """Give each place what was there: the same object where it can be filled again."""
    for place in before:
        place.write(_refilled(place.value, copy.deepcopy(place.copied)))


def _refilled(value: Any, content: Any) -> Any:
    """A container with other content, itself if it is of a kind that can be emptied."""
    if type(value) in (dict, set):
        value.clear()
        value.update(content)
    elif type(value) is list:
        value[:] = content
    elif type(value) is tuple:
        return tuple(_refilled(*pair) for pair in zip(value, content, strict=True))
    elif hasattr(value, "__dict__"):
        _refilled(vars(value), vars(content))
    else:
        return content
    return value


@contextlib.contextmanager
def kept_outside(function: Any) -> Iterator[None]:
    """What a function changes outside of its object is put back afterwards."""
    before = taken(function)
    try:
        yield
    finally:
        put_back(changed(function, before))


def same(before: Any, after: Any) -> bool:
    """Whether two values are equal; True where they can be neither compared nor stored.

    A list of arrays cannot be compared: whether two arrays are equal is not one answer. What it is
    stored as can.
    """
    with contextlib.suppress(Exception):
        if bool(_all(before == after)):
            return True
    try:
        return pickle.dumps(before) == pickle.dumps(after)
    except Exception:  # noqa: BLE001 - what can be neither compared nor pickled is not followed
        return True


def _all(equal: Any) -> Any:
    return equal.all() if hasattr(equal, "all") else equal


def _places(function: Any) -> Iterator[Place]:
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    if isinstance(function, types.FunctionType):
        yield from _of_function(function, {id(function)})
        return
    done: set[int] = set()
    for owner in type(function).__mro__:
        if _package(owner) == _package(type(function)):
            yield from _of_class(owner, done)


def _package(of: Any) -> str:
    """Where something is from: what a library keeps is its own business."""
    return str(of.__module__).partition(".")[0]


def _of_class(owner: type, done: set[int]) -> Iterator[Place]:
    names = frozenset(vars(owner))
    yield Place(f"names in {owner.__name__}", names, functools.partial(_leave, owner))
    for name, value in list(vars(owner).items()):
        if isinstance(value, types.FunctionType):
            yield from _of_function(value, done)
        elif not name.startswith("__"):
            yield Place(f"{owner.__name__}.{name}", value, functools.partial(setattr, owner, name))


def _leave(owner: type, names: frozenset[str]) -> None:
    for name in [name for name in vars(owner) if name not in names]:
        delattr(owner, name)


def _of_function(function: types.FunctionType, done: set[int]) -> Iterator[Place]:
    """The defaults, closure and globals of a function, and of functions of the user's in these."""
    done.add(id(function))
    for name in ("__defaults__", "__kwdefaults__"):
        write = functools.partial(setattr, function, name)
        yield Place(f"{function.__qualname__}.{name}", getattr(function, name), write)
    name = f"attributes of {function.__qualname__}"
    yield Place(name, vars(function), functools.partial(setattr, function, "__dict__"))
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known = function.__globals__
    inside = [
        (name, cell, functools.partial(setattr, cell, "cell_contents")) for name, cell in cells
    ]
    for name, cell, write in inside:
        try:
            yield from _of_value(Place(name, cell.cell_contents, write), function, done)
        except ValueError:  # an empty cell: the name was not bound yet
            continue
    for name in function.__code__.co_names:
        if name in known:
            write = functools.partial(known.__setitem__, name)
            yield from _of_value(Place(name, known[name], write), function, done)


def _of_value(place: Place, function: types.FunctionType, done: set[int]) -> Iterator[Place]:
    value = place.value
    if not isinstance(value, types.FunctionType):
        yield place
    elif _package(value) == _package(function) and id(value) not in done:
        yield from _of_function(value, done)
