"""Records written as JSON are read back the same, and nothing else is read."""

import dataclasses
import json

import numpy as np
import pytest

from gradproof.checks.json_records import from_json, plain, to_json
from gradproof.checks.variance.records import BaselineVariance, Scaling, Stage, Training

ROWS = (
    BaselineVariance("none", "", {"e": 2.0, "w": 1.5}, 0.0, 0.0),
    BaselineVariance("best", "per sentence", {"e": 1.0, "w": 0.5}, float("nan")),
)

RECORD = Training(
    model="seqdgm",
    data="Námes",
    source="Námes.csv",
    fingerprint="0123456789abcdef",
    estimator="sampled",
    baseline="none",
    seed=2**63,
    steps=np.array([0, 10]),
    seconds=np.array([0.0, 0.1]),
    loss=np.array([3.0, 1.0 / 3.0]),
    accuracy=np.array([0.5, 1.0]),
    stages=(Stage("seqdgm", "Námes", 10, 4, 2, ROWS, ROWS[:1]),),
)

SCALING = Scaling(
    model="seqdgm",
    machine="two cores",
    sentences=32,
    parameters=400_000,
    classes=np.array([10, 50]),
    enumerated=np.array([0.1, 0.5]),
    total=np.array([0.11, 0.55]),
    per_parameter=np.array([0.14, np.nan]),
    sampled=np.array([np.nan, np.nan]),
    variances={"none": np.array([5.0, np.nan])},
    others={"general": np.array([0.6, np.nan])},
    extrapolated=("general",),
)


@pytest.mark.parametrize("record", [RECORD, SCALING], ids=["training", "scaling"])
def test_a_record_is_read_back_the_same(record):
    """Every field, to the last bit, NaN among them, and whole numbers as such."""
    text = to_json(record)
    found = from_json(type(record), text)
    np.testing.assert_equal(dataclasses.asdict(found), dataclasses.asdict(record))
    assert type(found) is type(record)
    assert to_json(found) == text
    assert "NaN" not in text


def test_kinds_are_kept():
    """Of arrays, and of what may be None or no number."""
    (stage,) = from_json(Training, to_json(RECORD)).stages
    assert stage == dataclasses.replace(RECORD.stages[0], rows=stage.rows)
    assert stage.rows[0] == ROWS[0]
    assert np.isnan(stage.rows[1].share)
    assert stage.rows[1].helped is None
    assert from_json(Training, to_json(RECORD)).steps.dtype == np.int64
    assert from_json(Scaling, to_json(SCALING)).classes.dtype == np.int64


def test_numbers_that_are_not_finite_are_texts():
    """JSON has none, and readers of other languages refuse what Python writes for them."""
    found = plain({"a": (np.inf, -np.inf, np.float32("nan")), "b": np.array([[1.0, np.nan]])})
    assert found == {"a": ["inf", "-inf", "nan"], "b": [[1.0, "nan"]]}


def changed(record, change):
    """The record's JSON after a change."""
    written = json.loads(to_json(record))
    change(written)
    return json.dumps(written)


def row(written, name="rows"):
    """The first of the first stage."""
    return written["stages"][0][name][0]


def of_training(change):
    """The training run's."""
    return changed(RECORD, change)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "a Training has the fields model, data,"),
        (of_training(lambda w: w.pop("seed")), "missing or unknown: seed"),
        (of_training(lambda w: w.update(more=1)), "missing or unknown: more"),
        (of_training(lambda w: w.update(seed="1")), "seed of a Training is '1', expected int"),
        (of_training(lambda w: w.update(seed=True)), "seed of a Training is True"),
        (of_training(lambda w: w.update(loss=[1.0, "x"])), "loss of a Training"),
        (
            of_training(lambda w: w.update(loss=[1.0])),
            "have lengths .*'loss': 1.*, expected one",
        ),
        (
            of_training(lambda w: w["stages"][0].pop("rows")),
            "a Stage .* missing or unknown: rows",
        ),
        (
            of_training(lambda w: row(w).update(share="a")),
            "share of a Base",
        ),
        (
            of_training(lambda w: row(w, "analytic").update(helped="a")),
            "helped of a Base",
        ),
        (
            of_training(lambda w: row(w).update(variances=[1])),
            "variances of a Base",
        ),
    ],
)
def test_what_is_no_record_is_an_error(text, words):
    """The message names the field."""
    with pytest.raises(ValueError, match=words):
        from_json(Training, text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": []}, "classes of a Scaling"),
        ({"classes": [10, None]}, "classes of a Scaling is None, expected a number"),
        ({"classes": [10, "nan"]}, "classes of a Scaling"),
        ({"total": [1.0]}, "total of a Scaling"),
        ({"sampled": [1.0, "fast"]}, "sampled of a Scaling"),
        ({"variances": [1.0, 2.0]}, "variances of a Scaling"),
        ({"variances": {"none": [True, 2.0]}}, "none in variances of a Scaling is True"),
        ({"variances": {"none": [1.0]}}, "none of a Scaling has shape"),
        ({"steps": []}, "missing or unknown: steps"),
    ],
)
def test_what_is_not_one_is_named(changes, words):
    """The message has the field that is wrong."""
    with pytest.raises(ValueError, match=words):
        from_json(Scaling, changed(SCALING, lambda written: written.update(changes)))
