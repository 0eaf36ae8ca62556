"""Generators of NumPy that a function reaches by itself: replaced for a while, or watched."""

from __future__ import annotations

import contextlib
import functools
import gc
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .numpy_draws import Generator, Walked
from .walk import Continuous, Walker

#: How far objects are looked into: an estimator's sampler's generator is three away.
DEPTH = 4

#: Objects of these packages are not looked into: they are large, and keep no generator of NumPy.
CLOSED = ("torch", "numpy", "jax", "jaxlib", "theano", "pytensor", "autograd", "scipy")


#: NumPy's functions and classes that draw or make what draws, by id, with their names.
_BY_NAME = {
    id(getattr(np.random, name)): name
    for name in np.random.__all__
    if callable(getattr(np.random, name))
}


class Place(NamedTuple):
    """Where a generator is kept, and how another one is put there.

    With a name it is a function of ``numpy.random`` that was imported by that.
    """

    value: Any
    put: Callable[[Any], object]
    name: str = ""


class Kept:
    """The generators that some functions keep, found once.

    They are looked for in arguments of a partial, closures, defaults, globals that are named, the
    functions among these, and in objects, lists, tuples and mappings on the way. Any other that
    there is when this is made is watched: if it moves, something was drawn that was not seen.
    """

    def __init__(self, *functions: object) -> None:
        seen: set[int] = set()
        self._places = [place for function in functions for place in _places(function, seen, DEPTH)]
        # Also those that were found: what was copied from a place draws on.
        self._watched = [each for each in gc.get_objects() if _moves(type(each))]

    @contextlib.contextmanager
    def walked(self, walker: Walker) -> Iterator[None]:
        """They ask the walker until this is left.

        Raises:
            Continuous: if one that is watched has moved.
        """
        before = [_state(each) for each in self._watched]
        with contextlib.ExitStack() as stack:
            for place in self._places:
                stack.callback(place.put, place.value)
                # What stands in NumPy's module by now asks the walker.
                place.put(getattr(np.random, place.name) if place.name else Walked(walker))
            yield
        left = {place: state for place, (_, state) in walker.moved.items()}
        if any(
            not _same(left.get(id(each), state), _state(each))
            for state, each in zip(before, self._watched, strict=True)
        ):
            raise Continuous(
                "a generator of NumPy or of Python's random moved that is not walked through: a "
                "RandomState, a Random, or one that could not be found where the estimator keeps "
                "it; pass a numpy.random.Generator among the inputs, or keep it in an attribute, a "
                "closure or a global"
            )


#: Whatever has a state that moves when it is drawn from.
_KINDS = (Generator, np.random.RandomState, random.Random)


def _moves(kind: type) -> bool:
    # What asks the operating system has no state to be watched, and what asks a walker none.
    if not issubclass(kind, _KINDS) or issubclass(kind, (random.SystemRandom, Walked)):
        return False
    # Theano's random variables move states of this kind also while their draws ask the walker.
    return not (issubclass(kind, np.random.RandomState) and "theano" in sys.modules)


def _state(generator: Any) -> Any:
    if isinstance(generator, Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.getstate()


def _same(first: Any, second: Any) -> bool:
    """Whether two states are the same: mappings of numbers and arrays."""
    if isinstance(first, dict):
        return all(_same(value, second[key]) for key, value in first.items())
    return first == second if isinstance(first, tuple) else bool(np.array_equal(first, second))


def _places(value: Any, seen: set[int], depth: int) -> Iterator[Place]:
    """In a function or an object, as far as it is looked into."""
    if id(value) in seen or depth == 0 or isinstance(value, type | types.ModuleType):
        return
    seen.add(id(value))
    for each, put in _held(value):
        if isinstance(each, Generator):
            yield Place(each, put)
        elif id(each) in _BY_NAME and put is not _refuse:
            yield Place(each, put, _BY_NAME[id(each)])
        else:
            yield from _places(each, seen, depth - 1)


def _held(value: Any) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    """What something holds, and how another thing is put there."""
    if isinstance(value, types.FunctionType):
        yield from _of_function(value)
    elif isinstance(value, types.MethodType):
        yield value.__self__, _refuse
        yield value.__func__, _refuse
    elif isinstance(value, functools.partial):
        yield value.func, _refuse
        for place, each in enumerate(value.args):
            yield each, functools.partial(_put_argument, value, place)
        yield from _of_mapping(value.keywords)
    elif isinstance(value, dict):
        yield from _of_mapping(value)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield each, functools.partial(value.__setitem__, place)
    elif isinstance(value, tuple):
        for each in value:
            if not isinstance(each, Generator):  # a tuple is watched: it cannot change
                yield each, _refuse
    elif type(value).__module__.split(".")[0] not in CLOSED:
        for name, each in list(getattr(value, "__dict__", {}).items()):
            # Past a frozen dataclass's own.
            yield each, functools.partial(object.__setattr__, value, name)
        call = vars(type(value)).get("__call__")
        if isinstance(call, types.FunctionType):
            yield call, _refuse


def _of_function(function: types.FunctionType) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    for place, each in enumerate(function.__defaults__ or ()):
        yield each, functools.partial(_put_default, function, place)
    yield from _of_mapping(function.__kwdefaults__ or {})
    for name in _names(function.__code__):
        if name in function.__globals__:
            put = functools.partial(function.__globals__.__setitem__, name)
            yield function.__globals__[name], put
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty cell
            yield cell.cell_contents, functools.partial(setattr, cell, "cell_contents")


def _names(code: types.CodeType) -> Iterator[str]:
    """Of globals and attributes, also those of comprehensions and functions within."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _names(each)


def _of_mapping(mapping: dict[Any, Any]) -> Iterator[tuple[Any, Callable[[Any], object]]]:
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


def _refuse(value: Any) -> None:
    raise TypeError(f"{value!r:.60} cannot be put there")  # nothing that holds no generator is
