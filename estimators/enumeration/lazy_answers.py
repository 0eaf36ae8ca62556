"""What NumPy's functions give for arrays that are not decided, and where numbers are integrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import lazy_array_functions, lazy_ufuncs
from .drawn_numbers import NumbersNeeded
from .gradients import array_of
from .lazy_functions import NoLaw
from .lazy_numbers import LazyNumbers
from .needed_numbers import call_on_numbers, is_differentiated
from .outcomes import precision_of
from .run import UnsupportedDraw


def answer_ufunc(
    first: Any, function: Any, method: str, inputs: Sequence[Any], given: dict[str, Any]
) -> Any:
    """What a ufunc of NumPy or SciPy gives for arrays of which one at least is not decided.

    Args:
        first: one of them.

    Raises:
        UnsupportedDraw: if it is no comparison, and no monotone function, of numbers that cannot be
            had.
    """
    try:
        return answer_ufunc_lazily(first, function, method, inputs, given)
    except NumbersNeeded as needed:
        needed.take_back()
        return call_on_numbers(first, getattr(function, method), inputs, given)


def answer_ufunc_lazily(
    first: Any, function: Any, method: str, inputs: Sequence[Any], given: dict[str, Any]
) -> Any:
    """The same.

    Raises:
        NumbersNeeded: if it needs the numbers, which can be had.
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
        if found.drawn.is_integrated and is_differentiated(inputs):
            first.refuse("by what is differentiated")
        return first.like(found, kind, is_python and not found.shape)
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
    try:
        return _answer_function(first, function, args, kwargs)
    except NumbersNeeded as needed:
        needed.take_back()
        return call_on_numbers(first, function, args, kwargs)


def _answer_function(first: Any, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    name = function.__name__
    try:
        found = lazy_array_functions.answer(name, function, args, kwargs)
    except NoLaw:
        first.refuse(f"by np.{name}")
    if not isinstance(found, LazyNumbers):
        return found[()] if isinstance(found, np.ndarray) else found
    if found.drawn.is_integrated and is_differentiated(args):
        first.refuse("by what is differentiated")
    several = args[0] if name in lazy_array_functions.JOINING else args[:1]
    kinds = [each.dtype for each in several if hasattr(each, "dtype")] or [first.dtype]
    kind = np.result_type(*kinds)
    if name in lazy_array_functions.PLACING and name != "copy":
        return several[0].view(found, kind)
    return first.like(found, kind)


def output_array(first: Any, name: str, given: dict[str, Any]) -> np.ndarray | None:
    """Where a result is to be written, of the keywords that a function of NumPy was given.

    Raises:
        UnsupportedDraw: for other keywords, which would mean something else.
    """
    (out,) = given.get("out") or (None,)
    others = [key for key in given if key != "out" and not _is_default(key, given[key])]
    if others or hasattr(out, "lazy"):
        if first.lazy.drawn.is_integrated:
            first.refuse(f"by np.{name}")
        what = first.lazy.drawn.what(first.lazy.places)
        raise UnsupportedDraw(
            f"{what}() is given to np.{name} with {others[0] if others else 'out'}=, "
            "whose effect on a comparison is not known: compare it with <, <=, > or "
            ">=, and go on from what comes out"
        )
    return out


def _is_default(key: str, value: object) -> bool:
    return value is True if key in ("where", "subok") else value is None
