"""NumPy's arrays, and Python's numbers, that are not decided before they are compared.

Such an array answers NumPy's functions that keep it a monotone function of what was drawn, entry by
entry, and those that compare it; see :mod:`.lazy_numbers`. All others are refused by their names.
It has no memory, so that code in C which reads an array's memory finds none; to Python it is an
array, or a float if it has no axes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from . import lazy_array_functions, lazy_ufuncs
from .cells import LAST
from .drawn_numbers import DrawnNumbers
from .gradients import array_of
from .lazy_functions import NoLaw, truncate
from .lazy_numbers import LazyNumbers
from .monotone import Chain, shape_of, spread
from .outcomes import precision_of
from .run import Run, UnsupportedDraw

DOUBLE = np.dtype(np.float64)


class LazyArray:
    """Numbers that are not decided yet.

    Args:
        dtype: of floats.
        is_python: whether it is a number of Python's, and what it is compared into is, too.
    """

    __slots__ = ("dtype", "is_python", "is_shared", "lazy")

    def __init__(self, lazy: LazyNumbers, dtype: Any = DOUBLE, is_python: bool = False) -> None:
        self.lazy, self.dtype, self.is_python = lazy, np.dtype(dtype), is_python
        #: Whether another array is made of the same memory, as NumPy would have it.
        self.is_shared = False

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What ``isinstance`` asks for."""
        if self.shape:
            return np.ndarray
        return float if self.is_python else self.dtype.type

    def refuse(self, how: str) -> NoReturn:
        """See :func:`.cells.refuse`."""
        self.lazy.refuse(how)

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
            found = LazyArray(self.lazy, kind)
            if not copy:
                self.is_shared = found.is_shared = True
            return found
        if kind.kind not in "iu":
            self.refuse(f"by astype({kind})")
        return self._truncate(f"astype({kind})").astype(kind)[()]

    def _truncate(self, name: str) -> np.ndarray:
        try:
            return truncate(self.lazy)
        except NoLaw:
            self.refuse(f"by {name}")

    def __int__(self) -> int:
        if self.size != 1:
            raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
        return int(self._truncate("int").reshape(-1)[0])

    __trunc__ = __int__

    def __floor__(self) -> int:
        return int(np.floor(self))

    def __ceil__(self) -> int:
        return int(np.ceil(self))

    def __getitem__(self, place: Any) -> LazyArray:
        if hasattr(place, "lazy"):
            self.refuse("as an index")
        places = np.arange(self.size).reshape(self.shape)[place]
        found = LazyArray(self.lazy.rearrange(np.asarray(places)), self.dtype)
        self.is_shared = found.is_shared = True
        return found

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"object of type {type(self).__name__!r} has no len()")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[LazyArray]:
        if not self.shape:
            raise TypeError(f"{type(self).__name__!r} object is not iterable")
        return (self[place] for place in range(len(self)))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
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
                self.refuse(f"by .{name}")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __repr__(self) -> str:
        what = self.lazy.drawn.what(self.lazy.places) if self.size else "nothing"
        kind = f"array of shape {self.shape}" if self.shape else "number"
        return f"{kind}, drawn by {what} and not decided"

    __str__ = __repr__

    def __format__(self, form: str) -> str:
        if form:
            self.refuse("in a text")
        return repr(self)

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous")
        alone = self.lazy.rearrange(np.array(0))
        return any(
            lazy_ufuncs.answer(name, [alone, np.zeros(())], 0.0) for name in ("greater", "less")
        )


class Unknown:
    """No number that JAX knows, so that it leaves a comparison to the number itself."""

    def __init__(self, numbers: Any) -> None:
        self._numbers = numbers

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self._numbers.refuse("as an array of JAX")


def answer_ufunc(
    first: Any, function: Any, method: str, inputs: Sequence[Any], given: dict[str, Any]
) -> Any:
    """What a ufunc of NumPy or SciPy gives for arrays of which one at least is not decided.

    Args:
        first: one of them.

    Raises:
        UnsupportedDraw: if it is no comparison, and no monotone function.
    """
    name = function.__name__
    out = output_array(first, name, given)
    lazies = [each for each in inputs if hasattr(each, "lazy")]
    try:
        if method != "__call__" or not lazies:
            raise NoLaw
        found, kind = _of_entries(function, inputs)
    except NoLaw:
        first.refuse(f"by np.{name}" + ("" if method == "__call__" else f".{method}"))
    tensor = next((each for each in inputs if hasattr(each, "detach")), None)
    if tensor is not None and isinstance(found, np.ndarray) and found.dtype == bool:
        return tensor.detach().new_tensor(found).bool()
    is_python = all(type(each) in PYTHON or getattr(each, "is_python", False) for each in inputs)
    if isinstance(found, LazyNumbers):
        if out is not None or tensor is not None:  # there is nothing to be written
            first.refuse(f"by np.{name}")
        return LazyArray(found, kind, is_python and not found.shape)
    found = found if found.dtype == bool else found.astype(kind)
    if out is None:
        return found.item() if is_python and not found.shape else found[()]
    np.copyto(out, found, casting="same_kind")
    return out


#: Numbers that take the type of what they are put together with.
PYTHON = (int, float, bool)


def _of_entries(function: Any, inputs: Sequence[Any]) -> tuple[lazy_ufuncs.Operand, np.dtype]:
    """What a ufunc gives, and the type of numbers that it would give or compare."""
    operands: list[lazy_ufuncs.Operand] = []
    kinds, precision = [], 0.0
    for each in inputs:
        if hasattr(each, "lazy"):
            operands.append(each.lazy)
            kinds.append(1.0 if each.is_python else each.dtype)
        else:
            operands.append(lazy_array_functions.known(each))
            is_python = type(each) in PYTHON
            kinds.append(each if is_python else array_of(each).dtype)
            if not is_python:
                precision = max(precision, precision_of(array_of(each)))
    kind = np.result_type(*kinds)
    precision = max(precision, float(np.finfo(kind).eps))
    return lazy_ufuncs.answer(function.__name__, operands, precision), kind


def answer_function(first: Any, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What another function of NumPy gives; see :func:`answer_ufunc`."""
    name = function.__name__
    try:
        found = lazy_array_functions.answer(name, function, args, kwargs)
    except NoLaw:
        first.refuse(f"by np.{name}")
    if not isinstance(found, LazyNumbers):
        return found[()] if isinstance(found, np.ndarray) else found
    several = args[0] if name in lazy_array_functions.JOINING else args[:1]
    kinds = [each.dtype for each in several if hasattr(each, "dtype")] or [first.dtype]
    result = LazyArray(found, np.result_type(*kinds))
    if name in lazy_array_functions.PLACING and name != "copy":
        result.is_shared = True
        for each in several:
            if isinstance(each, LazyArray):
                each.is_shared = True
    return result


def output_array(first: Any, name: str, given: dict[str, Any]) -> np.ndarray | None:
    """Where a result is to be written, of the keywords that a function of NumPy was given.

    Raises:
        UnsupportedDraw: for other keywords, which would mean something else.
    """
    (out,) = given.get("out") or (None,)
    others = [key for key in given if key != "out" and not _is_default(key, given[key])]
    if others or hasattr(out, "lazy"):
        what = first.lazy.drawn.what(first.lazy.places)
        raise UnsupportedDraw(
            f"{what}() is given to np.{name} with {others[0] if others else 'out'}=, "
            "whose effect on a comparison is not known: compare it with <, <=, > or "
            ">=, and go on from what comes out"
        )
    return out


def _is_default(key: str, value: object) -> bool:
    return value is True if key in ("where", "subok") else value is None


def _operation(function: np.ufunc, turned: bool) -> Callable[[Any, Any], Any]:
    def operation(self: Any, other: Any) -> Any:
        return answer_ufunc(
            self, function, "__call__", (other, self) if turned else (self, other), {}
        )

    return operation


def _in_place(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def change(self: LazyArray, other: Any) -> LazyArray:
        found = operation(self, other)
        if not self.shape:  # numbers are not written to
            return found
        if self.is_shared:
            self.refuse("in place, of which a view sees nothing here")
        if found.shape != self.shape or found.dtype != self.dtype:
            self.refuse("in place, with another type or shape")
        self.lazy = found.lazy
        return self

    return change


#: Python's operations that NumPy has a ufunc for: with another; from the right; in place.
OPERATIONS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power,
}  # fmt: skip

COMPARISONS = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}

for _name, _function in OPERATIONS.items():
    _own = _operation(_function, False)
    setattr(LazyArray, f"__{_name}__", _own)
    setattr(LazyArray, f"__r{_name}__", _operation(_function, True))
    setattr(LazyArray, f"__i{_name}__", _in_place(_own))
for _name, _function in COMPARISONS.items():
    setattr(LazyArray, f"__{_name}__", _operation(_function, False))
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


#: Python's operations that need the numbers themselves.
REFUSED = (
    "__float__", "__index__", "__complex__", "__eq__", "__ne__", "__hash__", "__floordiv__",
    "__rfloordiv__", "__mod__", "__rmod__", "__divmod__", "__rdivmod__", "__round__",
    "__matmul__", "__rmatmul__", "__setitem__", "__contains__", "__reduce__", "__reduce_ex__",
    "__copy__", "__deepcopy__",
)  # fmt: skip


def _refusal(name: str) -> Callable[..., Any]:
    def operation(self: Any, *_: Any, **__: Any) -> Any:
        self.refuse(f"by {name.strip('_')}")

    return operation


for _name in REFUSED:
    setattr(LazyArray, _name, _refusal(_name))


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
    places = drawn.draw(what, math.prod(shape), float(np.finfo(kind).eps)).reshape(shape)
    is_python = size is None and not shape and kind == DOUBLE
    return LazyArray(LazyNumbers(drawn, places, spread(chain, shape)), kind, is_python)
