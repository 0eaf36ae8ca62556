"""The records that commands write as JSON, each with its name, the schema's version, and versions.

``gradproof schema`` prints the schema. Its version goes up when a field changes its meaning, its
type or its name, or goes; a new field alone does not move it, so that a reader must let fields
pass that it does not know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .json_records import to_json
from .versions import versions

#: Of the schema that is published.
SCHEMA_VERSION = 1

#: The names of the records: of one check of an estimator, of a verification, of a session of tests.
CHECK, VERIFY, SESSION = "check", "verify", "session"

#: Of a field that no record has, such as all paths: there are too many to be read.
UNPUBLISHED = {"published": False}


def published_fields(kind: Any) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a dataclass, or of one of its kind, that its record has, by name."""
    fields = dataclasses.fields(kind)
    return {field.name: field for field in fields if field.metadata.get("published", True)}


def to_record(name: str, fields: Mapping[str, Any]) -> str:
    """A record as JSON."""
    head = {"record": name, "schema_version": SCHEMA_VERSION, "versions": versions()}
    return to_json(head | dict(fields))
