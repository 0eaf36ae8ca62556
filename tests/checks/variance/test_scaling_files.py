"""Records of scaling: read back as written, and nothing else is read."""

import dataclasses
import json

import numpy as np
import pytest

from gradproof.checks.variance.records import Scaling
from gradproof.checks.variance.scaling_files import scaling_from_json, scaling_to_json

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
)


def test_what_is_written_is_read_back():
    """Every field, NaN among them, and K as whole numbers."""
    found = scaling_from_json(scaling_to_json(SCALING))
    for field in dataclasses.fields(Scaling):
        np.testing.assert_equal(getattr(found, field.name), getattr(SCALING, field.name))
    assert found.classes.dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": []}, "classes of a Scaling"),
        ({"classes": [10, None]}, "null in it"),
        ({"total": [1.0]}, "total of a Scaling"),
        ({"sampled": [1.0, "fast"]}, "sampled of a Scaling"),
        ({"variances": [1.0, 2.0]}, "variances of a Scaling"),
        ({"variances": {"none": [True, 2.0]}}, "none of a Scaling"),
        ({"steps": []}, "missing or unknown: steps"),
    ],
)
def test_what_is_not_one_is_named(changes, words):
    """The message has the field that is wrong."""
    text = json.dumps(json.loads(scaling_to_json(SCALING)) | changes)
    with pytest.raises(ValueError, match=words):
        scaling_from_json(text)


def test_what_is_no_json_is_an_error():
    """Half a file is no record."""
    with pytest.raises(ValueError, match="no JSON"):
        scaling_from_json(scaling_to_json(SCALING)[:-5])
