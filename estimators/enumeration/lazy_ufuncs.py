"""NumPy's ufuncs of numbers that are not decided yet, by their names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .lazy_functions import (
    NoLaw,
    absolute,
    add,
    clip,
    compare,
    compare_numbers,
    divide,
    elementwise,
    negate,
    power,
    round_down,
    scale,
    shift,
    sign,
    truncate,
)
from .lazy_numbers import LazyNumbers

#: What a ufunc is given, and what it gives: known numbers, or some that are not decided.
Operand = LazyNumbers | np.ndarray

#: Functions by NumPy's and SciPy's names for them.
ELEMENTWISE = {
    **{name: name for name in (
        "exp", "log", "log1p", "expm1", "sqrt", "tanh", "reciprocal", "square", "logit", "ndtr",
        "ndtri",
    )},
    "expit": "sigmoid", "log_expit": "logsigmoid",
}  # fmt: skip

#: Comparisons, by whether equal numbers do not count and whether the first is the larger.
COMPARISONS = {
    "less": (True, False),
    "less_equal": (False, False),
    "greater": (True, True),
    "greater_equal": (False, True),
}


def answer(name: str, operands: list[Operand], precision: float) -> Operand:
    """What a ufunc gives.

    Args:
        precision: of a comparison, as the step from 1 to the next number.

    Raises:
        NoLaw: if it is no monotone function of what was drawn, or not known.
        UnsupportedDraw: for a comparison that has no known law.
    """
    if len(operands) == 1 and isinstance(operands[0], LazyNumbers):
        if name in ELEMENTWISE:
            return elementwise(operands[0], ELEMENTWISE[name])
        if name in OF_ONE:
            return OF_ONE[name](operands[0])
    if len(operands) == 2 and name in COMPARISONS:
        strict, above = COMPARISONS[name]
        one, other = operands
        return _compare(one, other, precision, strict=strict, above=above)
    if len(operands) == 2 and name in OF_TWO:
        return OF_TWO[name](*operands)
    raise NoLaw


def _compare(
    one: Operand, other: Operand, precision: float, *, strict: bool, above: bool
) -> np.ndarray:
    if isinstance(one, LazyNumbers):
        if isinstance(other, LazyNumbers):
            return compare_numbers(one, other, precision, strict=strict, above=above)
        return compare(one, other, precision, strict=strict, above=above)
    # c < x is x > c.
    return compare(_lazy(other), one, precision, strict=strict, above=not above)


def _add(one: Operand, other: Operand) -> LazyNumbers:
    if isinstance(one, LazyNumbers):
        return add(one, other) if isinstance(other, LazyNumbers) else shift(one, other)
    return shift(_lazy(other), one)


def _subtract(one: Operand, other: Operand) -> LazyNumbers:
    return _add(one, negate(other) if isinstance(other, LazyNumbers) else -other)


def _multiply(one: Operand, other: Operand) -> LazyNumbers:
    numbers, by = _one_known(one, other)
    return scale(numbers, by)


def _divide(one: Operand, other: Operand) -> LazyNumbers:
    if isinstance(one, LazyNumbers):
        with np.errstate(all="ignore"):
            return scale(one, 1.0 / _known(other))
    return divide(one, _lazy(other))


def _power(one: Operand, other: Operand) -> LazyNumbers:
    if isinstance(one, LazyNumbers):
        return power(one, _known(other))
    with np.errstate(all="ignore"):
        return elementwise(scale(_lazy(other), np.log(one)), "exp")


def _minimum(one: Operand, other: Operand) -> LazyNumbers:
    numbers, high = _one_known(one, other)
    return clip(numbers, np.array(-np.inf), high)


def _maximum(one: Operand, other: Operand) -> LazyNumbers:
    numbers, low = _one_known(one, other)
    return clip(numbers, low, np.array(np.inf))


def _one_known(one: Operand, other: Operand) -> tuple[LazyNumbers, np.ndarray]:
    """The one that is not decided, and the one that is known."""
    if isinstance(one, LazyNumbers):
        return one, _known(other)
    return _lazy(other), one


def _lazy(operand: Operand) -> LazyNumbers:
    if not isinstance(operand, LazyNumbers):
        raise NoLaw
    return operand


def _known(operand: Operand) -> np.ndarray:
    if isinstance(operand, LazyNumbers):
        raise NoLaw
    return operand


#: By names; of one that is not decided.
OF_ONE: dict[str, Callable[[LazyNumbers], Operand]] = {
    "log2": lambda x: scale(elementwise(x, "log"), np.array(1.0 / math.log(2.0))),
    "log10": lambda x: scale(elementwise(x, "log"), np.array(1.0 / math.log(10.0))),
    "exp2": lambda x: elementwise(scale(x, np.array(math.log(2.0))), "exp"),
    "negative": negate,
    "positive": lambda x: x,
    "absolute": absolute,
    "fabs": absolute,
    "floor": round_down,
    "ceil": lambda x: -round_down(negate(x)),
    "trunc": truncate,
    "sign": sign,
}

#: Of two, of which one at least is not decided.
OF_TWO: dict[str, Callable[[Any, Any], Operand]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
    "float_power": _power,
    "minimum": _minimum,
    "maximum": _maximum,
    "fmin": _minimum,
    "fmax": _maximum,
}
