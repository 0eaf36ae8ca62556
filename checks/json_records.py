"""Records as JSON: what was written is read back the same, and nothing else is read.

A record is a frozen dataclass of numbers, texts, arrays, tuples, mappings by name, and records. A
number that is not finite, which JSON does not have, is written as a string: "nan", "inf", "-inf".
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

Record = TypeVar("Record")

#: What stands for a number that is not finite.
NOT_FINITE = ("nan", "inf", "-inf")


def to_json(value: Any) -> str:
    """A record, or a mapping of records and of what they are made of."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """The same of what JSON has: dicts, lists, texts and finite numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(kind: type[Record], text: str) -> Record:
    """The inverse of :func:`to_json`.

    Raises:
        ValueError: if it is no JSON, a field is missing, unknown or of another type, or the record
            itself refuses what it is given; the message names it.
    """
    try:
        written = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"a record is no JSON: {error}; write it anew") from error
    found: Record = _record(kind, written)
    return found


def _record(kind: Any, written: Any) -> Any:
    """A record of a class, of its fields and no others."""
    types_of = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    given = set(written) if isinstance(written, dict) else set()
    if given != set(names):
        raise ValueError(
            f"a {kind.__name__} has the fields {', '.join(names)}; missing or unknown: "
            f"{', '.join(sorted(given ^ set(names)))}"
        )
    return kind(
        **{
            name: _field(types_of[name], written[name], f"{name} of a {kind.__name__}")
            for name in names
        }
    )


def _field(kind: Any, written: Any, name: str) -> Any:
    """What one field holds.

    Args:
        name: of the field, for messages.
    """
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind, written)
    if origin in (types.UnionType, typing.Union):  # of something and None
        (other,) = (each for each in inside if each is not type(None))
        return None if written is None else _field(other, written, name)
    if origin is tuple and isinstance(written, list):
        return tuple(_field(inside[0], each, name) for each in written)
    if origin is Mapping and isinstance(written, dict):
        return {key: _field(inside[1], each, f"{key} in {name}") for key, each in written.items()}
    if kind is np.ndarray and isinstance(written, list):
        return np.array([_number(each, name) for each in written])
    if kind is float:
        return float(_number(written, name))
    if kind in (str, int, bool) and type(written) is kind:
        return written
    raise ValueError(f"{name} is {written!r:.60}, expected {getattr(kind, '__name__', kind)}")


def _number(written: Any, name: str) -> float:
    if written in NOT_FINITE:
        return float(written)
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise ValueError(f"{name} is {written!r:.60}, expected a number, or one of {NOT_FINITE}")
    return written
