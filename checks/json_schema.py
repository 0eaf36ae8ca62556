"""The JSON schema of records, read off the types of their fields.

It says of a record what :mod:`.json_records` writes of it. That module and this one walk the same
few kinds of types. A library that does it for dataclasses (msgspec was tried) knows no NumPy arrays
and writes a number that is not finite as null, so that it would want a hook for each of the kinds.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from .json_records import NOT_FINITE
from .published_records import published_fields

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: A number, or the text that stands for one that is not finite.
NUMBER = {"anyOf": [{"type": "number"}, {"enum": list(NOT_FINITE)}]}

#: Numbers, nested as deep as an array has axes; an array without axes is one number.
ARRAY = {
    "anyOf": [
        {"$ref": "#/$defs/number"},
        {"type": "array", "items": {"$ref": "#/$defs/array"}},
    ]
}

#: Kinds that JSON has, or nearly.
PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"$ref": "#/$defs/number"},
    np.ndarray: {"$ref": "#/$defs/array"},
}


class SchemaWriter:
    """Schemas of kinds of values; each record is defined once, by the name of its class.

    Args:
        more: fields that a record has beside those of its class, by class.
    """

    def __init__(self, more: Mapping[type, Mapping[str, Any]]) -> None:
        self.definitions: dict[str, Any] = {"number": NUMBER, "array": ARRAY}
        self._more = more

    def schema(self, kind: Any) -> dict[str, Any]:
        """The schema of a type.

        Raises:
            TypeError: for a type that no record has.
        """
        origin, inside = typing.get_origin(kind), typing.get_args(kind)
        if kind in PLAIN:
            return PLAIN[kind]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return self._reference(kind)
        if origin in (types.UnionType, typing.Union):
            return {"anyOf": [self.schema(each) for each in inside]}
        if kind is type(None):
            return {"type": "null"}
        if origin is tuple and inside[-1] is Ellipsis:
            return {"type": "array", "items": self.schema(inside[0])}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.schema(inside[1])}
        raise TypeError(f"{kind} is no type that a record has; add its kind here, as it is written")

    def fields(self, kind: type) -> dict[str, Any]:
        """The schema of each field of a record, by name."""
        hints = typing.get_type_hints(kind)
        rows = {name: hints[name] for name in published_fields(kind)} | dict(
            self._more.get(kind, {})
        )
        return {name: self.schema(type_of) for name, type_of in rows.items()}

    def _reference(self, kind: type) -> dict[str, Any]:
        if kind.__name__ not in self.definitions:
            self.definitions[kind.__name__] = {}  # it may hold itself
            self.definitions[kind.__name__] = object_of(self.fields(kind))
        return {"$ref": f"#/$defs/{kind.__name__}"}


def object_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object that has all of these fields; more may come in a later release."""
    return {"type": "object", "properties": dict(fields), "required": list(fields)}
