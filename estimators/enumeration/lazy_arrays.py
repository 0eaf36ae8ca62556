"""NumPy's arrays, and Python's numbers, that are not decided before they are compared.

Such an array answers NumPy's functions that keep it a monotone function of what was drawn, entry by
entry, and those that compare it; see :mod:`.lazy_numbers`. All others are refused by their names.
It has no memory, so that code in C which reads an array's memory finds none; to Python it is an
array, or a float if it has no axes. Where numbers are integrated, functions are given plain ones
instead; see :mod:`.needed_numbers`.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from . import lazy_ufuncs
from .cells import LAST, refuse_writing
from .drawn_numbers import DrawnNumbers, NumbersNeeded, numbers_can_be_had
from .integrated_numbers import values_of
from .lazy_answers import answer_function, answer_ufunc, answer_ufunc_lazily
from .lazy_functions import NoLaw, truncate
from .lazy_numbers import LazyNumbers
from .monotone import Chain, Known, shape_of, spread
from .needed_numbers import (
    NEEDING,
    OPERATORS,
    WRITING,
    PlainArrays,
    what_drew,
    with_numbers,
)
from .run import Run, UnsupportedDraw

DOUBLE = np.dtype(np.float64)


class LazyArray:
    """Numbers that are not decided yet.

    Args:
        dtype: of floats.
        is_python: whether it is a number of Python's, and what it is compared into is, too.
    """

    __slots__ = ("_lazy", "dtype", "is_python", "is_shared", "plain")

    def __init__(self, lazy: LazyNumbers, dtype: Any = DOUBLE, is_python: bool = False) -> None:
        self._lazy, self.dtype, self.is_python = lazy, np.dtype(dtype), is_python
        #: Whether another array is made of the same memory, as NumPy would have it.
        self.is_shared = False
        #: Plain arrays that were made of it, or of what it is a view of, which may be written to.
        self.plain = PlainArrays()

    @property
    def lazy(self) -> LazyNumbers:
        """Its numbers.

        Raises:
            UnsupportedDraw: if somebody wrote to a plain array of these.
        """
        if self.plain.were_written_to():
            refuse_writing(self._lazy.drawn.what(self._lazy.places))
        return self._lazy

    def like(self, lazy: LazyNumbers, dtype: Any, is_python: bool = False) -> LazyArray:
        """A new array."""
        return LazyArray(lazy, dtype, is_python)

    def view(self, lazy: LazyNumbers, dtype: Any = None) -> LazyArray:
        """Another array of the same memory, as NumPy would have it."""
        found = LazyArray(lazy, self.dtype if dtype is None else dtype)
        found.plain = self.plain
        self.is_shared = found.is_shared = True
        return found

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What ``isinstance`` asks for."""
        if self.shape:
            return np.ndarray
        return float if self.is_python else self.dtype.type

    def refuse(self, how: str) -> NoReturn:
        """See :func:`.cells.refuse`."""
        self.lazy.refuse(how)

    def numbers(self, how: str) -> Any:
        """The numbers themselves, where they are integrated; an array of them is not written to.

        Raises:
            UnsupportedDraw: where they are not; see :func:`.cells.refuse`.
        """
        if not self.lazy.drawn.is_integrated:
            self.refuse(how)
        found = values_of(self.lazy).astype(self.dtype)
        found.flags.writeable = False
        if found.shape:
            return found
        return float(found) if self.is_python else found[()]

    @property
    def precision(self) -> float:
        """The step from 1 to the next number of its type."""
        return float(np.finfo(self.dtype).eps)

    shape = property(lambda self: self.lazy.shape, doc="As of an array.")
    ndim = property(lambda self: len(self.lazy.shape), doc="As of an array.")
    size = property(lambda self: self.lazy.places.size, doc="As of an array.")
    itemsize = property(lambda self: self.dtype.itemsize, doc="As of an array.")
    nbytes = property(lambda self: self.dtype.itemsize * self.size, doc="As of an array.")
    T = property(lambda self: self.transpose(), doc="As of an array.")

    def item(self, *place: Any) -> LazyArray:
        """One number of Python's, that is as undecided."""
        alone = np.arange(self.size).reshape(self.shape).item(*place)
        return LazyArray(self.lazy.rearrange(np.array(alone)), DOUBLE, True)

    def tolist(self) -> Any:
        """Numbers of Python's in lists."""
        return [each.tolist() for each in self] if self.shape else self.item()

    def astype(self, dtype: Any, *_: Any, copy: bool = True, **__: Any) -> Any:
        """In another type of floats; whole numbers are decided."""
        kind = np.dtype(dtype)
        if kind.kind == "f":
            is_view = not copy and kind == self.dtype
            return self.view(self.lazy) if is_view else LazyArray(self.lazy, kind)
        if kind.kind in "iu":
            return self._truncate(f"astype({kind})").astype(kind)[()]
        return np.asarray(self.numbers(f"by astype({kind})")).astype(kind)[()]

    def _truncate(self, name: str) -> np.ndarray:
        with contextlib.suppress(NoLaw), numbers_can_be_had():
            return truncate(self.lazy)
        return np.trunc(self.numbers(f"by {name}"))

    def __int__(self) -> int:
        if self.size != 1:
            raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
        return int(np.reshape(self._truncate("int"), -1)[0])

    __trunc__ = __int__

    def __floor__(self) -> int:
        return int(np.floor(self))

    def __ceil__(self) -> int:
        return int(np.ceil(self))

    def __getitem__(self, place: Any) -> LazyArray:
        place = place.numbers("as an index") if hasattr(place, "lazy") else place
        places = np.arange(self.size).reshape(self.shape)[place]
        return self.view(self.lazy.rearrange(np.asarray(places)))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"object of type {type(self).__name__!r} has no len()")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[LazyArray]:
        if not self.shape:
            raise TypeError(f"{type(self).__name__!r} object is not iterable")
        return (self[place] for place in range(len(self)))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.lazy.drawn.is_integrated:
            plain = np.array(self.numbers("as a plain array"), dtype)
            if self.shape and not copy and plain.dtype == self.dtype:  # it has the same memory
                self.plain.add(plain)
            return plain
        if self.shape or (dtype is not None and np.dtype(dtype) != object):
            self.refuse("as a plain array")
        # As of any other object: its comparisons are its own, such as those of bounds.searchsorted.
        found = np.empty((), object)
        found[()] = self
        return found

    def __jax_array__(self) -> Unknown:
        """What JAX asks of what is no array of its own, before it compares."""
        return Unknown(self)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **given: Any) -> Any:
        """What NumPy asks of an array in its functions of entries."""
        return answer_ufunc(self, function, method, inputs, given)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """What NumPy asks of an array in all its others."""
        return answer_function(self, function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """Whatever else a number or an array of NumPy has."""
        if name[:2] != "__":
            function = getattr(np, name, None)
            if isinstance(function, np.ufunc):  # as those of arrays of objects ask for it
                return lambda: function(self)
            if hasattr(np.ndarray, name) or hasattr(float, name):
                return getattr(self.numbers(f"by .{name}"), name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __repr__(self) -> str:
        what = self.lazy.drawn.what(self.lazy.places) if self.size else "nothing"
        kind = f"array of shape {self.shape}" if self.shape else "number"
        return f"{kind}, drawn by {what} and not decided"

    __str__ = __repr__

    def __format__(self, form: str) -> str:
        return format(self.numbers("in a text"), form) if form else repr(self)

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous")
        alone = self.lazy.rearrange(np.array(0))
        with numbers_can_be_had():
            return any(
                lazy_ufuncs.answer(name, [alone, np.zeros(())], 0.0) for name in ("greater", "less")
            )
        return bool(self.numbers("by bool"))


class Unknown:
    """No number that JAX knows, so that it leaves a comparison to the number itself."""

    def __init__(self, numbers: Any) -> None:
        self._numbers = numbers

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self._numbers.numbers("as an array of JAX"), dtype)


def _operation(name: str, function: np.ufunc, turned: bool) -> Callable[[Any, Any], Any]:
    def operation(self: Any, other: Any) -> Any:
        both = (other, self) if turned else (self, other)
        try:
            return answer_ufunc_lazily(self, function, "__call__", both, {})
        except NumbersNeeded as needed:
            needed.take_back()
            # Whatever the other is, its own operation may be asked for.
            return OPERATORS[name](*map(with_numbers, both))

    return operation


def _in_place(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def change(self: LazyArray, other: Any) -> LazyArray:
        found = operation(self, other)
        if not self.shape:  # numbers are not written to
            return found
        if not hasattr(found, "lazy"):
            refuse_writing(what_drew(self))
        if self.is_shared:
            _refuse_writing(self, "in place, of which a view sees nothing here")
        if found.shape != self.shape or found.dtype != self.dtype:
            _refuse_writing(self, "in place, with another type or shape")
        if not self.plain.are_none:
            refuse_writing(what_drew(self))
        self._lazy = found.lazy
        return self

    return change


def _refuse_writing(array: LazyArray, how: str) -> NoReturn:
    if array.lazy.drawn.is_integrated:
        refuse_writing(what_drew(array))
    array.refuse(how)


#: Python's operations that NumPy has a ufunc for: with another; from the right; in place.
OPERATIONS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power,
}  # fmt: skip

COMPARISONS = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}

for _name, _function in OPERATIONS.items():
    _own = _operation(_name, _function, False)
    setattr(LazyArray, f"__{_name}__", _own)
    setattr(LazyArray, f"__r{_name}__", _operation(_name, _function, True))
    setattr(LazyArray, f"__i{_name}__", _in_place(_own))
for _name, _function in COMPARISONS.items():
    setattr(LazyArray, f"__{_name}__", _operation(_name, _function, False))
for _name, _of_one in {"neg": np.negative, "pos": np.positive, "abs": np.absolute}.items():
    setattr(LazyArray, f"__{_name}__", lambda self, function=_of_one: function(self))


#: Methods that NumPy has a function for.
METHODS = (
    "reshape", "ravel", "squeeze", "transpose", "swapaxes", "repeat", "take", "diagonal",
    "compress", "argmax", "argmin", "max", "min", "argsort", "argpartition", "clip", "copy",
)  # fmt: skip


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Of a shape that is given number by number.
        if name in ("reshape", "transpose") and args and not isinstance(args[0], tuple | list):
            args = (args,) if args[0] is not None else args
        return answer_function(self, function, (self, *args), kwargs)

    return method


for _name in METHODS:
    setattr(LazyArray, _name, _method(_name))
setattr(LazyArray, "flatten", _method("ravel"))  # noqa: B010 - as those above


#: Python's operations that need the numbers themselves, or write to them.
REFUSED = (*NEEDING, WRITING)


def _needing(name: str) -> Callable[..., Any]:
    def operation(self: Any, *others: Any) -> Any:
        numbers = self.numbers(f"by {name.strip('_')}")
        return NEEDING[name](numbers, *map(with_numbers, others))

    return operation


def _set_item(self: Any, *_: Any) -> NoReturn:
    _refuse_writing(self, f"by {WRITING.strip('_')}")


for _name in NEEDING:
    setattr(LazyArray, _name, _needing(_name))
setattr(LazyArray, WRITING, _set_item)


def draw(run: Run, what: str, chain: Chain, size: Any, dtype: Any = DOUBLE) -> LazyArray:
    """New numbers.

    Args:
        chain: functions of uniform numbers, whose numbers may be arrays that broadcast.
        size: None: the shape of these.

    Raises:
        UnsupportedDraw: in a run that samples.
    """
    if run.is_sampling:
        raise UnsupportedDraw(f"{what} draws numbers whose use is not known")
    kind = np.dtype(dtype)
    shape = shape_of(chain)
    if size is not None:
        shape = (size,) if np.ndim(size) == 0 else tuple(size)
        shape = tuple(operator.index(length) for length in shape)
    drawn, run.memory[LAST] = DrawnNumbers.of(run), what
    law = tuple(link for link in chain[:1] if isinstance(link, Known))
    places = drawn.draw(what, math.prod(shape), float(np.finfo(kind).eps), law).reshape(shape)
    is_python = size is None and not shape and kind == DOUBLE
    return LazyArray(LazyNumbers(drawn, places, spread(chain, shape)), kind, is_python)
