"""The records that commands write as JSON, each with its name, the schema's version, and versions.

``gradproof schema`` prints the schema. Its version goes up when a field changes its meaning, its
type or its name, or goes; a new field alone does not move it, so that a reader must let fields
pass that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .json_records import to_json
from .versions import versions

#: Of the schema that is published.
SCHEMA_VERSION = 1

#: The names of the records: of one check of an estimator, of a verification, of a session of tests.
CHECK, VERIFY, SESSION = "check", "verify", "session"


def to_record(name: str, fields: Mapping[str, Any]) -> str:
    """A record as JSON."""
    head = {"record": name, "schema_version": SCHEMA_VERSION, "versions": versions()}
    return to_json(head | dict(fields))
