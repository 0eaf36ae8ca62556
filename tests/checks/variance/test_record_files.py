"""Records written as JSON are read back the same, and nothing else is read."""

import dataclasses
import json
import math

import numpy as np
import pytest

from gradproof.checks.variance.record_files import training_from_json, training_to_json
from gradproof.checks.variance.records import BaselineVariance, Stage, Training

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


def test_a_record_is_read_back_the_same():
    """Every field, to the last bit; a share that is NaN is null in between."""
    text = training_to_json(RECORD)
    found = training_from_json(text)
    assert '"share": null' in text
    assert training_to_json(found) == text
    for field in dataclasses.fields(Training):
        if field.name != "stages":
            assert np.array_equal(getattr(found, field.name), getattr(RECORD, field.name))
    (stage,) = found.stages
    assert dataclasses.replace(stage, rows=()) == dataclasses.replace(RECORD.stages[0], rows=())
    assert stage.rows[0] == ROWS[0]
    assert math.isnan(stage.rows[1].share)
    assert stage.rows[1].helped is None
    assert stage.analytic == ROWS[:1]
    assert found.steps.dtype.kind == "i"


def changed(change):
    """The record's JSON after a change."""
    written = json.loads(training_to_json(RECORD))
    change(written)
    return json.dumps(written)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "a Training has the fields model, data,"),
        (changed(lambda w: w.pop("seed")), "missing or unknown: seed"),
        (changed(lambda w: w.pop("fingerprint")), "missing or unknown: fingerprint"),
        (
            changed(lambda w: w.update(fingerprint=1)),
            "fingerprint of a Training is 1",
        ),
        (changed(lambda w: w.update(more=1)), "missing or unknown: more"),
        (changed(lambda w: w.update(seed="1")), "seed of a Training is '1', expected int"),
        (changed(lambda w: w.update(seed=True)), "seed of a Training is True"),
        (changed(lambda w: w.update(loss=[1.0, "x"])), "loss of a Training"),
        (changed(lambda w: w.update(loss=[1.0])), "have lengths .*'loss': 1.*, expected one"),
        (changed(lambda w: w["stages"][0].pop("rows")), "a Stage .* missing or unknown: rows"),
        (changed(lambda w: w["stages"][0]["rows"][0].update(share="a")), "share of a Captured"),
        (changed(lambda w: w["stages"][0]["analytic"][0].update(helped="a")), "helped of a Capt"),
        (changed(lambda w: w["stages"][0]["rows"][0].update(variances=[1])), "variances of a Capt"),
    ],
)
def test_what_is_no_record_is_an_error(text, words):
    """The message names the field."""
    with pytest.raises(ValueError, match=words):
        training_from_json(text)
