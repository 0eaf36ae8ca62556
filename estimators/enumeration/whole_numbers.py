"""Whole numbers as options give them: Python's, NumPy's, and tensors and arrays of one number."""

from __future__ import annotations

import operator
from typing import Any


def whole_number(value: Any) -> int | None:
    """The whole number that a value is, as a list would take it for an index; None if it is none.

    True and False are none, of whatever library they are.
    """
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def whole_from(value: Any, least: int, otherwise: str) -> int:
    """The whole number that a value is, if it is no smaller than ``least``.

    Args:
        otherwise: what to say of any other value.

    Raises:
        ValueError: for any other value.
    """
    number = whole_number(value)
    if number is None or number < least:
        raise ValueError(otherwise)
    return number
