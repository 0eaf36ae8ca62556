"""What a corpus accepts and refuses."""

import dataclasses

import pytest

from gradproof.reference_models.corpora import Corpus, CorpusError


def make(**changes):
    """A small sound corpus, with some fields replaced."""
    sound = Corpus(
        name="small",
        texts=("one", "two", "three"),
        labels=(0, 1, 0),
        label_names=("odd", "even"),
        unit="word",
        licence="none",
        source="a test",
    )
    return dataclasses.replace(sound, **changes)


def test_counts_rows_and_classes():
    """N is the number of texts, K that of the names of classes."""
    corpus = make()
    assert len(corpus) == 3
    assert corpus.classes == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": (), "labels": ()}, "has no texts, expected one for each class at least"),
        ({"labels": (0, 1)}, "has 3 texts and 2 labels, expected as many"),
        ({"texts": ("one", " \t\n", "three")}, r"an empty text in row 1: ' \\t\\n', expected"),
        ({"texts": ("", "two", "three")}, "an empty text in row 0: ''"),
        (
            {"labels": (0, 0, 0), "label_names": ("odd",)},
            r"has the classes \['odd'\], expected 2 or more: with one there is nothing to infer; "
            "add texts of another class",
        ),
        ({"label_names": ()}, r"has the classes \[\], expected 2 or more"),
        ({"labels": (0, 2, 0)}, "has label 2 in row 1, expected 0 to 1; number the classes"),
        ({"labels": (0, 1, -1)}, "has label -1 in row 2, expected 0 to 1"),
        ({"labels": (1, 1, 1)}, r"has no text of class 'odd' \(label 0\), expected one at least"),
        ({"label_names": ("odd", "odd")}, "names two classes alike among .*; rename one"),
        ({"unit": "letter"}, "unit is 'letter', expected 'character' or 'word'; pass one"),
    ],
)
def test_refuses(changes, message):
    """Each broken promise is an error that names the value and what was expected."""
    with pytest.raises(CorpusError, match=message):
        make(**changes)


def test_errors_say_which_corpus_and_are_value_errors():
    """A message begins with the corpus's name and source, for there may be several."""
    with pytest.raises(ValueError, match=r"^corpus 'small' \(a test\) has no texts"):
        make(texts=(), labels=())


def test_is_frozen():
    """A corpus cannot change under a split or a vocabulary made from it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().texts = ("four",)


@pytest.mark.parametrize(
    "changes",
    [
        {"texts": ("one", "two", "four")},
        {"texts": ("two", "one", "three")},
        {"labels": (0, 1, 1)},
        {"label_names": ("even", "odd")},
        {"unit": "character"},
    ],
)
def test_fingerprint_tells_contents_apart(changes):
    """Any change of what is estimated on changes the fingerprint."""
    assert make(**changes).fingerprint != make().fingerprint


def test_fingerprint_is_the_one_that_records_hold():
    """Computed in another way, all records would seem to be of other texts."""
    assert make().fingerprint == "e93ba892cc2f9492"


def test_fingerprint_is_of_the_contents_only():
    """The same texts read from elsewhere have the same fingerprint."""
    assert make(name="other", source="elsewhere").fingerprint == make().fingerprint
