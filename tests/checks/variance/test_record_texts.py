"""A record of training says where its corpus has other texts here."""

import dataclasses

import numpy as np
import pytest

from gradproof.checks.variance.record_texts import other_texts
from gradproof.checks.variance.records import Training
from gradproof.reference_models.corpora import Corpus, CorpusError, CorpusMissing, registry

HERE = Corpus("tiny", ("a", "b"), (0, 1), ("x", "y"), "word", "none", "letters 2.0")

RECORD = Training(
    model="seqdgm",
    data="tiny",
    source="letters 1.0",
    fingerprint=HERE.fingerprint,
    estimator="sampled",
    baseline="none",
    seed=1,
    steps=np.array([0]),
    seconds=np.array([0.0]),
    loss=np.array([1.0]),
    accuracy=np.array([0.5]),
    stages=(),
)

OTHER = dataclasses.replace(RECORD, fingerprint="0" * 16)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A corpus that is known by name, and a way to let its loading fail."""

    def known(load):
        row = registry.CorpusEntry("two letters", "none", load, lambda: True)
        monkeypatch.setitem(registry.CORPORA, "tiny", row)

    known(lambda: HERE)
    return known


def test_the_same_texts_of_another_version_need_no_notice():
    """The version alone is no difference."""
    assert other_texts(RECORD, "record.json") is None


def test_other_texts_are_said():
    """What the record was made with, what is here, and what to do."""
    said = other_texts(OTHER, "record.json")
    for words in (
        "record.json was made with other texts than 'tiny' has here",
        "with letters 1.0 (checksum 0000000000000000)",
        f"here it is letters 2.0 (checksum {HERE.fingerprint})",
        "install that version, or make the record anew with `gradproof train`",
    ):
        assert words in said


@pytest.mark.parametrize("changes", [{"data": "mine"}, {"source": "folder/tiny.csv"}])
def test_a_file_of_ones_own_is_not_looked_for(changes):
    """Also where it is called as a known corpus is."""
    assert other_texts(dataclasses.replace(OTHER, **changes), "record.json") is None


def failing(error):
    """What loads no corpus."""

    def load():
        raise error

    return load


def test_texts_that_are_not_here_cannot_be_compared(tiny):
    """A record can be drawn without them, and nothing has to be said."""
    tiny(failing(CorpusMissing("run `pip install letters`.")))
    assert other_texts(OTHER, "record.json") is None


def test_texts_that_cannot_be_made_here_are_said(tiny):
    """As where the version that is here has fewer lists."""
    tiny(failing(CorpusError("letters 0.1 has no b; take a newer one.")))
    assert other_texts(OTHER, "record.json") == (
        "record.json was made with letters 1.0 (checksum 0000000000000000), which cannot be "
        "compared with what is here: letters 0.1 has no b; take a newer one."
    )
