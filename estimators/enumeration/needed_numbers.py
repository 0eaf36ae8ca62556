"""What NumPy and Python give for drawn numbers whose values are needed, where they are integrated.

They become nodes of rules, and NumPy is given plain arrays of these. The arrays are new ones: what
is written to them is not seen in what was drawn, so that it is refused.
"""

from __future__ import annotations

import copy
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .cells import refuse_writing


class PlainArrays:
    """Plain arrays that were made of one of drawn numbers, and would have its memory."""

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []

    @property
    def are_none(self) -> bool:
        """Whether none were."""
        return not self._pairs

    def add(self, array: np.ndarray) -> None:
        """One more."""
        self._pairs.append((array, array.copy()))

    def were_written_to(self) -> bool:
        """Whether one has other numbers by now."""
        return any(not np.array_equal(*pair, equal_nan=True) for pair in self._pairs)


def with_numbers(value: Any, use: str = "with others") -> Any:
    """The value, with plain numbers in place of what was drawn, in lists and mappings too.

    Args:
        use: what they are needed for, in words.

    Raises:
        UnsupportedDraw: for numbers that cannot be had.
    """
    if hasattr(value, "lazy"):
        return value.numbers(use)
    if type(value) in (list, tuple):
        return type(value)(with_numbers(each, use) for each in value)
    if type(value) is dict:
        return {key: with_numbers(each, use) for key, each in value.items()}
    return value


def call_on_numbers(
    first: Any, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """What a function gives for plain numbers.

    Args:
        first: what was drawn, for messages.

    Raises:
        UnsupportedDraw: if it writes to them.
    """
    given = [with_numbers(each) for each in args]
    named = {key: with_numbers(each) for key, each in kwargs.items()}
    if any(hasattr(each, "lazy") for each in _outputs(kwargs)):
        refuse_writing(what_drew(first))
    try:
        return function(*given, **named)
    except ValueError as error:
        if "read-only" in str(error):
            refuse_writing(what_drew(first))
        raise


def _outputs(kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    out = kwargs.get("out")
    return out if isinstance(out, tuple) else (out,)


def what_drew(first: Any) -> str:
    """What drew the numbers of an array."""
    lazy = first.lazy
    return str(lazy.drawn.what(lazy.places))


def is_differentiated(values: Sequence[Any]) -> bool:
    """Whether what is put together with drawn numbers is differentiated, which needs the numbers.

    So it is by autograd, whose boxes NumPy is given, or which calls NumPy itself with what is in
    them.
    """
    if any(hasattr(each, "_value") for each in values):
        return True
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("gradproof."):
        frame = frame.f_back
    return bool(frame.f_globals.get("__name__") == "autograd.tracer")


def _turned(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda one, other: function(other, one)


#: Python's operations that need the numbers themselves, by names, and what does them.
NEEDING: dict[str, Callable[..., Any]] = {
    "__float__": float,
    "__index__": operator.index,
    "__complex__": complex,
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__hash__": hash,
    "__floordiv__": operator.floordiv,
    "__rfloordiv__": _turned(operator.floordiv),
    "__mod__": operator.mod,
    "__rmod__": _turned(operator.mod),
    "__divmod__": divmod,
    "__rdivmod__": _turned(divmod),
    "__round__": round,
    "__matmul__": operator.matmul,
    "__rmatmul__": _turned(operator.matmul),
    "__contains__": operator.contains,
    "__reduce__": lambda numbers: numbers.__reduce__(),
    "__reduce_ex__": lambda numbers, protocol: numbers.__reduce_ex__(protocol),
    "__copy__": copy.copy,
    "__deepcopy__": lambda numbers, *_: copy.copy(numbers),
}

#: What writes to them.
WRITING = "__setitem__"

#: Python's operators by the names of their methods, without underscores.
OPERATORS: dict[str, Callable[..., Any]] = {
    name: getattr(operator, name)
    for name in ("add", "sub", "mul", "truediv", "pow", "lt", "le", "gt", "ge")
}
