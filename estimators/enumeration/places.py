"""Where a user's code keeps functions that draw under names of its own.

``from torch import multinomial``, ``draw = rng.choice``: what is called then is not looked up where
its handler stands. It is looked for in arguments of a partial, closures, defaults, globals that are
named, modules of the user, and in objects, lists and mappings on the way, and replaced for a while.
"""

from __future__ import annotations

import contextlib
import functools
import random
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .patches import Patches

#: How far objects are looked into: an estimator's sampler's function is three away.
DEPTH = 4

#: Objects of these packages are not looked into: they are large, and keep nothing of the kind.
CLOSED = ("torch", "numpy", "jax", "jaxlib", "theano", "pytensor", "autograd", "scipy")

#: Whose methods may be kept.
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


class KeptFunctions:
    """What some code keeps.

    Args:
        roots: functions, objects, and collections of them.
        handlers: by identity, a function and its handler.
    """

    def __init__(self, roots: tuple[object, ...], handlers: Mapping[int, tuple[Any, Any]]) -> None:
        self._roots, self._handlers = roots, handlers

    def replace(self, patches: Patches) -> None:
        """Put handlers where the functions are."""
        seen: set[int] = set()
        for value, put in self._find_all(seen):
            handler = self._handler(value)
            if handler is not None:
                # It may stand in a tuple or be an argument of something that is written in C: then
                # it draws unseen, and the generator that moves is noticed.
                with contextlib.suppress(TypeError, AttributeError):
                    patches.call(put, handler, value)

    def _find_all(self, seen: set[int]) -> Iterator[tuple[Any, Callable[[Any], object]]]:
        for root in self._roots:
            yield from _find_kept(root, seen, DEPTH)
        for module in list(sys.modules.values()):
            known = getattr(module, "__dict__", None)
            if known and _is_users(module):
                for name, each in list(known.items()):
                    yield each, functools.partial(known.__setitem__, name)

    def _handler(self, value: Any) -> Any:
        real, handler = self._handlers.get(id(value), (None, None))
        if handler is not None and real is value:
            return handler
        # A method that was looked up before: the class gives its handler by now.
        owner = getattr(value, "__self__", None)
        if isinstance(owner, GENERATORS) and callable(value):
            name = getattr(value, "__name__", "")
            found = getattr(owner, name, None)
            return found if found is not None and found != value else None
        return None


def kept_values(*roots: object) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    """What some code keeps, and how another thing is put there."""
    seen: set[int] = set()
    for root in roots:
        yield from _find_kept(root, seen, DEPTH)


@functools.cache
def _library_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [Path(sysconfig.get_path(name)) for name in names]
    # As they are written in the files of modules, and as they are once links are followed.
    return tuple({str(each) for path in found for each in (path, path.resolve())})


def _is_users(module: Any) -> bool:
    """Whether a module is neither Python's nor installed: of this process's own scripts."""
    file, name = getattr(module, "__file__", None), getattr(module, "__name__", "")
    if name == "__main__":
        return True
    if type(file) is str and _is_installed(file):  # as most are
        return False
    if name.partition(".")[0] == __name__.partition(".")[0]:
        return False  # our own, also where they are installed as a checkout
    return isinstance(file, str)


@functools.lru_cache(maxsize=1 << 14)
def _is_installed(file: str) -> bool:
    return file.startswith(_library_folders())


def _find_kept(
    value: Any, seen: set[int], depth: int
) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    """In a function or an object, as far as it is looked into."""
    if id(value) in seen or depth == 0 or isinstance(value, type | types.ModuleType):
        return
    seen.add(id(value))
    for each, put in held_values(value):
        yield each, put
        yield from _find_kept(each, seen, depth - 1)


def held_values(value: Any) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    """What something holds, and how another thing is put there."""
    if isinstance(value, types.FunctionType):
        yield from _function_values(value)
    elif isinstance(value, types.MethodType):
        yield value.__self__, _refuse
        yield value.__func__, _refuse
    elif isinstance(value, functools.partial):
        yield value.func, functools.partial(_put_function, value)
        for place, held in enumerate(value.args):
            yield held, functools.partial(_put_argument, value, place)
        yield from _mapping_values(value.keywords)
    elif isinstance(value, dict):
        yield from _mapping_values(value)
    elif isinstance(value, list):
        for place, held in enumerate(value):
            yield held, functools.partial(value.__setitem__, place)
    elif isinstance(value, tuple):
        for held in value:
            yield held, _refuse
    elif type(value).__module__.split(".")[0] not in CLOSED:
        known = getattr(value, "__dict__", None)
        for name, held in list(known.items()) if isinstance(known, dict) else ():
            # Past a frozen dataclass's own.
            yield held, functools.partial(object.__setattr__, value, name)
        for name in _slots(type(value)):
            with contextlib.suppress(AttributeError):  # nothing is in it
                yield (
                    object.__getattribute__(value, name),
                    functools.partial(object.__setattr__, value, name),
                )
        call = vars(type(value)).get("__call__")
        if isinstance(call, types.FunctionType):
            yield call, _refuse


def _slots(kind: type) -> Iterator[str]:
    for each in kind.__mro__:
        names = vars(each).get("__slots__", ())
        yield from ([names] if isinstance(names, str) else names)


def _function_values(function: types.FunctionType) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    for place, each in enumerate(function.__defaults__ or ()):
        yield each, functools.partial(_put_default, function, place)
    yield from _mapping_values(function.__kwdefaults__ or {})
    for name in _code_names(function.__code__):
        if name in function.__globals__:
            put = functools.partial(function.__globals__.__setitem__, name)
            yield function.__globals__[name], put
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty cell
            yield cell.cell_contents, functools.partial(setattr, cell, "cell_contents")


def _code_names(code: types.CodeType) -> Iterator[str]:
    """Of globals and attributes, also those of comprehensions and functions within."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _code_names(each)


def _mapping_values(mapping: dict[Any, Any]) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    for key, each in list(mapping.items()):
        yield each, functools.partial(mapping.__setitem__, key)


def _put_default(function: types.FunctionType, place: int, value: Any) -> None:
    given = list(function.__defaults__ or ())
    given[place] = value
    function.__defaults__ = tuple(given)


def _put_argument(call: functools.partial[Any], place: int, value: Any) -> None:
    given = list(call.args)
    given[place] = value
    call.__setstate__((call.func, tuple(given), call.keywords, vars(call)))  # type: ignore[attr-defined]


def _put_function(call: functools.partial[Any], value: Any) -> None:
    call.__setstate__((value, call.args, call.keywords, vars(call)))  # type: ignore[attr-defined]


def _refuse(value: Any) -> None:
    raise TypeError(f"{value!r:.60} cannot be put there")
