"""NumPy arrays and scalars whose arithmetic can be moved.

NumPy has no one place where all its arithmetic passes, but asks the types of what it is given. So
what goes into a computation is observed, and with it all that is computed from it: arrays are views
of a subclass, and their elements are subclasses of NumPy's scalars, so that they remain floats.
While nothing is moved, both compute what NumPy computes, and return what NumPy returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import numpy as np


class Arithmetic(Protocol):
    """What answers NumPy's calls while results are moved; arguments and results are plain."""

    def ufunc(
        self, ufunc: np.ufunc, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The moved result of a method of a ufunc."""

    def function(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The moved result of any other function."""

    def lose(self, name: str) -> None:
        """Note that a number is made one of Python's own, by this function."""


ACTIVE: ContextVar[Arithmetic | None] = ContextVar("ACTIVE", default=None)


@contextmanager
def without_observing() -> Iterator[None]:
    """Nothing is moved until this is left."""
    token = ACTIVE.set(None)
    try:
        yield
    finally:
        ACTIVE.reset(token)


def observed(value: Any) -> Any:
    """The same numbers, observed: a view of an array, a scalar, or lists of these.

    Arrays share their memory with what was given, and remain writeable if it was. Anything else is
    returned as it is.
    """
    if is_observed(value):
        return value
    if type(value) is list:
        return [observed(item) for item in value]
    if isinstance(value, np.ndarray):
        if type(value) is not np.ndarray or value.dtype.kind not in "fc":
            return value
        return value.view(ObservedArray) if value.ndim else observed(value[()])
    if type(value) in (float, complex):
        return SCALARS[np.dtype(type(value)).name](value)
    if isinstance(value, np.generic) and value.dtype.name in SCALARS:
        return SCALARS[value.dtype.name](value)
    return value


def is_observed(value: Any) -> bool:
    """Whether the arithmetic that led to this value could be moved to its end."""
    return isinstance(value, _TYPES)


def plain(value: Any) -> Any:
    """The same numbers as NumPy has them, also within lists, tuples and dictionaries."""
    if isinstance(value, ObservedArray):
        return value.view(np.ndarray)
    if isinstance(value, _TYPES):
        base: Any = type(value).__base__
        number = base.__complex__ if value.dtype.kind == "c" else base.__float__
        return base(number(value))  # not our own, which would count it as lost
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if type(value) is dict:
        return {key: plain(item) for key, item in value.items()}
    return value


def _method(function: Any) -> Any:
    """A method that computes what a function of NumPy computes of the array."""

    def method(self: ObservedArray, *args: Any, **kwargs: Any) -> Any:
        arithmetic = ACTIVE.get()
        if arithmetic is None:
            return function(*plain((self, *args)), **plain(kwargs))
        return arithmetic.function(function, (self, *args), kwargs)

    return method


class ObservedArray(np.ndarray):
    """An array that hands what NumPy does with it to the arithmetic that is active."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        return _call_ufunc(ufunc, method, args, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        arithmetic = ACTIVE.get()
        if arithmetic is None:
            return func(*plain(args), **plain(kwargs))
        return arithmetic.function(func, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        return _observe_result(super().__getitem__(plain(key)))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(plain(key), plain(value))

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def __float__(self) -> float:
        return _note_lost(float(self.view(np.ndarray)), "float()")

    def __complex__(self) -> complex:
        return _note_lost(complex(self.view(np.ndarray)), "complex()")

    def item(self, *args: Any) -> Any:
        """As NumPy's, still observed."""
        return _observe_result(super().item(*args))

    def tolist(self) -> Any:
        """As NumPy's, still observed."""
        return [part.tolist() if isinstance(part, np.ndarray) else part for part in self]

    astype = _method(np.ndarray.astype)
    dot = _method(np.dot)
    mean = _method(np.ndarray.mean)
    var = _method(np.ndarray.var)
    std = _method(np.ndarray.std)

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """As NumPy's."""
        return np.diagonal(self, *args, **kwargs).sum(-1)


def _call_ufunc(ufunc: np.ufunc, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    arithmetic = ACTIVE.get()
    values = tuple(plain(value) for value in args)
    given = {key: plain(value) for key, value in kwargs.items()}
    if arithmetic is None:
        return getattr(ufunc, method)(*values, **given)
    result = arithmetic.ufunc(ufunc, method, values, given)
    if kwargs.get("out") is not None:
        outs = kwargs["out"]
        return outs if len(outs) > 1 else outs[0]
    return _observe_result(result)


def _observe_result(result: Any) -> Any:
    return tuple(map(_observe_result, result)) if type(result) is tuple else observed(result)


def _note_lost(value: Any, name: str) -> Any:
    arithmetic = ACTIVE.get()
    if arithmetic is not None:
        arithmetic.lose(name)
    return value


def _operator_method(ufunc: np.ufunc, reflected: bool = False) -> Any:
    def operate(self: Any, *other: Any) -> Any:
        if other and not isinstance(other[0], (int, float, complex, np.ndarray, np.generic)):
            return NotImplemented
        args = (*other, self) if reflected else (self, *other)
        return _call_ufunc(ufunc, "__call__", args, {})

    return operate


def _scalar_type(base: type[Any]) -> type[Any]:
    def array_ufunc(self: Any, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        return _call_ufunc(ufunc, method, args, kwargs)

    members: dict[str, Any] = {
        "__doc__": f"A {base.__name__} that hands its arithmetic to the one that is active.",
        "__module__": __name__,
        "__slots__": (),
        "__array_ufunc__": array_ufunc,
        "__hash__": base.__hash__,
        "__float__": lambda self: _note_lost(base.__float__(self), "float()"),
        "__complex__": lambda self: _note_lost(base.__complex__(self), "complex()"),
        "__neg__": _operator_method(np.negative),
        "__abs__": _operator_method(np.absolute),
        "item": lambda self: self,
    }
    for name, ufunc in _BINARY.items():
        members[f"__{name}__"] = _operator_method(ufunc)
        members[f"__r{name}__"] = _operator_method(ufunc, reflected=True)
    return type(f"Observed{base.__name__.capitalize()}", (base,), members)


_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide,
    "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power,
}  # fmt: skip

#: By the name of its format, the scalar that is observed.
SCALARS: dict[str, type[Any]] = {
    base().dtype.name: _scalar_type(base)
    for base in (np.float16, np.float32, np.float64, np.complex64, np.complex128)
}
_TYPES: tuple[type[Any], ...] = (ObservedArray, *SCALARS.values())
