"""The published schema: what is written fits it, and what is not a record does not."""

import dataclasses
import json
import math

import jsonschema
import numpy as np
import pytest

from gradproof.checks.evidence import Comparison, Evidence
from gradproof.checks.json_schema import SchemaWriter
from gradproof.checks.note.verification import Verification
from gradproof.checks.published_records import SCHEMA_VERSION, to_record
from gradproof.checks.user.estimator_report import Bias, EstimatorReport
from gradproof.checks.user.session import SessionCheck, SessionRecord
from gradproof.cli.check_run import record_of
from gradproof.cli.schema import schema

NAN, INF = math.nan, math.inf

COMPARISON = Comparison("a", 2, INF, 1e-12, 1.0, "b", coarsest=1e-9, unseen=("a[0]",), index=(1,))

REPORT = EstimatorReport(
    name="<b>",
    verdict="refuted",
    method="enumerated",
    comparisons=(COMPARISON,),
    worst=Bias("a", (1,), NAN, 1.0),
    mean={"a": np.array([1.0, NAN]), "b": np.array(2.0), "c": np.ones((2, 0))},
    variance={"a": np.array([1.0, INF]), "b": np.array(0.0), "c": np.ones((2, 0))},
    exact={"a": np.array([1.0, 1.0]), "b": np.array(2.0), "c": np.ones((2, 0))},
    paths=3,
    draws=1,
    seconds=0.5,
    seed=2**63,
)

EVIDENCE = Evidence(
    "gradient.e", "printed", "autograd", "s", "holds", "undecided", 0, NAN, NAN, NAN, "", "", INF,
    "", ("a",), 1, 0.5, crash="ValueError: no",
)  # fmt: skip

SESSION = SessionRecord(7, (SessionCheck("t", True, "e", off=INF), SessionCheck("t", False, "e")))

WRITTEN = {
    "check": record_of(REPORT, "mine.py:f"),
    "verify": Verification((EVIDENCE,), "d", "s", "f", 1, {"torch": "no"}, {"kl": "no"}).to_json(),
    "session": to_record("session", dataclasses.asdict(SESSION)),
}


def faults(record):
    """What the schema says is wrong."""
    jsonschema.Draft202012Validator.check_schema(schema())
    found = jsonschema.Draft202012Validator(schema()).iter_errors(record)
    return [error.message for error in found]


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_fits(name):
    """Also with numbers that are not finite, arrays of no axes, and checks that crashed."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    record = json.loads(WRITTEN[name], parse_constant=refuse)
    assert faults(record) == []
    assert record["record"] == name
    assert record["schema_version"] == SCHEMA_VERSION
    assert {"gradproof", "Python", "numpy"} <= record["versions"].keys()


def without(name):
    """A change that leaves a field out."""
    return lambda record: record.pop(name)


CHANGES = {
    "a field is missing": ("check", without("verdict")),
    "no version": ("check", without("schema_version")),
    "another record": ("check", lambda record: record.update(record="verify")),
    "another version": ("check", lambda record: record.update(schema_version=SCHEMA_VERSION + 1)),
    "null in an array": ("check", lambda record: record["mean"].update(a=[1.0, None])),
    "NaN as Python writes it": ("check", lambda record: record["worst"].update(mean="NaN")),
    "null for infinity": ("check", lambda record: record["comparisons"][0].update(error=None)),
    "a text for a truth": ("check", lambda record: record.update(unbiased="no")),
    "evidence lacks a field": ("verify", lambda record: record["evidence"][0].pop("as_expected")),
    "no list": ("verify", lambda record: record["evidence"][0].update(subjects="a")),
    "infinity in words": ("session", lambda record: record["checks"][0].update(off="infinity")),
    "no whole number": ("session", lambda record: record.update(seed=1.5)),
}


@pytest.mark.parametrize(("name", "change"), CHANGES.values(), ids=CHANGES)
def test_what_is_no_record_does_not_fit(name, change):
    """A field that is missing or of another kind, NaN in another way, another version."""
    record = json.loads(WRITTEN[name])
    change(record)
    assert faults(record)


def test_a_field_that_a_later_release_adds_fits():
    """Readers are told to let it pass."""
    record = json.loads(WRITTEN["check"])
    assert faults(record | {"colour": "red"}) == []


def test_a_kind_that_no_record_has_is_an_error():
    """It would be written in some way, and no schema would say in which."""
    with pytest.raises(TypeError, match="is no type that a record has"):
        SchemaWriter({}).schema(set[int])
