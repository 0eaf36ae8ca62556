"""``gradproof schema``: the JSON schema of the records that commands write."""

from __future__ import annotations

import json
from typing import Any

import click

from gradproof.checks.evidence import Evidence
from gradproof.checks.json_schema import DIALECT, SchemaWriter, object_of
from gradproof.checks.note.verification import Verification
from gradproof.checks.published_records import CHECK, SCHEMA_VERSION, SESSION, VERIFY
from gradproof.checks.user.estimator_report import EstimatorReport
from gradproof.checks.user.session import SessionRecord

#: Each record by its name: the class, and what is written beside its fields.
RECORDS: dict[str, tuple[type, dict[str, type]]] = {
    CHECK: (EstimatorReport, {"target": str, "unbiased": bool}),
    VERIFY: (Verification, {"as_expected": bool}),
    SESSION: (SessionRecord, {}),
}


@click.command("schema")
def command() -> None:
    """Print the JSON schema of what --json and --gradproof-json write.

    A record says in `record` which command wrote it, and in `schema_version` by which version of
    the schema. A number that is not finite is written as a text: "nan", "inf" or "-inf".
    """
    click.echo(json.dumps(schema(), indent=2))


def schema() -> dict[str, Any]:
    """One schema for all records."""
    writer = SchemaWriter({Evidence: {"as_expected": bool}})
    records = [_record(writer, name, *row) for name, row in RECORDS.items()]
    return {
        "$schema": DIALECT,
        "title": "Records of gradproof",
        "oneOf": records,
        "$defs": writer.definitions,
    }


def _record(writer: SchemaWriter, name: str, kind: type, more: dict[str, type]) -> dict[str, Any]:
    head = {
        "record": {"const": name},
        "schema_version": {"const": SCHEMA_VERSION},
        "versions": writer.schema(dict[str, str]),
    }
    beside = {field: writer.schema(type_of) for field, type_of in more.items()}
    return {"title": kind.__name__} | object_of(head | beside | writer.fields(kind))
