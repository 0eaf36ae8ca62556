"""Splits keep texts together; prepared corpora keep held-out texts out of sight."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.reference_models.corpora import (
    EOS,
    UNK,
    Corpus,
    CorpusError,
    Vocabulary,
    prepare,
    split,
)
from gradproof.reference_models.corpora.units import tokenise

PARTS = ("labelled", "unlabelled", "held_out")


def corpus_of(rows, unit="character"):
    """A corpus of (text, label) rows."""
    texts, labels = zip(*rows, strict=True)
    names = tuple(f"class {k}" for k in range(max(labels) + 1))
    return Corpus("small", texts, labels, names, unit, "none", "a test")


@st.composite
def corpora(draw):
    """Corpora with repeated texts, in several classes and spellings, each class in use."""
    classes = draw(st.integers(2, 4))
    row = st.tuples(st.text("aAbB", min_size=1, max_size=3), st.integers(0, classes - 1))
    some = [(f"t{k}", k) for k in range(classes)]
    return corpus_of(draw(st.permutations(some + draw(st.lists(row, max_size=30)))))


def keys(corpus, rows):
    """The distinct texts in some rows, as a vocabulary tells them apart."""
    return {tuple(tokenise(corpus.texts[row], corpus.unit)) for row in rows}


@st.composite
def splits(draw):
    """A corpus with sizes that it allows and a seed."""
    corpus = draw(corpora())
    texts = len(keys(corpus, range(len(corpus))))
    labelled = draw(st.integers(corpus.classes, texts))
    held_out = draw(st.integers(0, texts - labelled))
    return corpus, {"labelled": labelled, "held_out": held_out, "seed": draw(st.integers(0, 99))}


@given(case=splits())
def test_parts_are_disjoint_and_cover_the_rows(case):
    """Each row is in one part, and the parts are sorted."""
    corpus, sizes = case
    parts = split(corpus, **sizes)
    rows = np.concatenate([getattr(parts, part) for part in PARTS])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(corpus)))
    assert rows.dtype == np.int64
    for part in PARTS:
        assert (np.diff(getattr(parts, part)) > 0).all()


@given(case=splits())
def test_no_text_is_in_two_parts(case):
    """Rows of one text go together, and the sizes count texts."""
    corpus, sizes = case
    parts = split(corpus, **sizes)
    texts = {part: keys(corpus, getattr(parts, part)) for part in PARTS}
    assert len(texts["labelled"]) == sizes["labelled"]
    assert len(texts["held_out"]) == sizes["held_out"]
    assert sum(map(len, texts.values())) == len(set().union(*texts.values()))


@given(case=splits())
def test_each_class_is_labelled(case):
    """With at least K labelled texts each class has one."""
    corpus, sizes = case
    labelled = split(corpus, **sizes).labelled
    assert {corpus.labels[row] for row in labelled} == set(range(corpus.classes))


@given(case=splits())
def test_same_seed_same_split(case):
    """A split is a function of corpus, sizes and seed."""
    corpus, sizes = case
    once, again = split(corpus, **sizes), split(corpus, **sizes)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(once, part), getattr(again, part))


def test_seeds_differ():
    """Two seeds deal 100 texts unlike: that all 50 agree has probability 1e-29."""
    corpus = corpus_of([(f"{n}", n % 2) for n in range(100)])
    one, two = (split(corpus, labelled=50, held_out=0, seed=seed).labelled for seed in (0, 1))
    assert one.tolist() != two.tolist()


def test_the_order_of_dealing_is_not_the_order_of_rows():
    """Held-out rows come from all over: that none of 50 is past row 500 has probability 1e-15."""
    corpus = corpus_of([(f"{n}", n % 2) for n in range(1000)])
    held_out = split(corpus, labelled=2, held_out=50, seed=0).held_out
    assert held_out.min() < 500 < held_out.max()


def test_parts_are_read_only():
    """Nobody moves a row from one part to another by accident."""
    parts = split(corpus_of([("a", 0), ("b", 1)]), labelled=2, held_out=0, seed=0)
    with pytest.raises(ValueError, match="read-only"):
        parts.labelled[0] = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labelled": 1}, r"labelled is 1, expected .* at least 2 \(one text for each class\)"),
        ({"labelled": 2.5}, "labelled is 2.5, expected a whole number of at least 2"),
        ({"labelled": "3"}, "labelled is '3', expected a whole number of at least 2"),
        ({"held_out": -1}, "held_out is -1, expected a whole number of at least 0"),
        ({"held_out": 0.1}, "held_out is 0.1, expected a whole number"),
        ({"seed": -1}, r"seed is -1, expected a whole number of at least 0 \(which split"),
        ({"seed": None}, "seed is None, expected a whole number"),
        (
            {"held_out": 2},
            r"corpus 'small' has 3 distinct texts, expected at least 4: labelled \+ held_out is "
            r"2 \+ 2; add texts, or lower one of them",
        ),
    ],
)
def test_refuses(changes, message):
    """Sizes that cannot be are errors; 'a' and 'A' are one text."""
    corpus = corpus_of([("a", 0), ("A", 1), ("b", 1), ("c", 0)])
    with pytest.raises(CorpusError, match=message):
        split(corpus, **{"labelled": 2, "held_out": 0, "seed": 0} | changes)


@given(case=splits(), length=st.integers(1, 5), size=st.sampled_from([None, 5, 7]))
def test_prepared_arrays(case, length, size):
    """All rows are there, encoded with a vocabulary of the texts that may be seen."""
    corpus, sizes = case
    prepared = prepare(corpus, length=length, vocabulary_size=size, **sizes)
    parts = split(corpus, **sizes)
    visible = [corpus.texts[row] for part in PARTS[:2] for row in getattr(parts, part)]
    assert prepared.vocabulary == Vocabulary.build(visible, corpus.unit, size)
    tokens, mask = prepared.vocabulary.encode(corpus.texts, length)
    np.testing.assert_array_equal(prepared.tokens, tokens)
    np.testing.assert_array_equal(prepared.mask, mask)
    np.testing.assert_array_equal(prepared.labels, corpus.labels)
    assert prepared.labels.dtype == np.int64
    for part in PARTS:
        np.testing.assert_array_equal(getattr(prepared.split, part), getattr(parts, part))


def test_held_out_texts_do_not_reach_the_vocabulary():
    """Each text has a character of its own; those of held-out texts are unknown."""
    corpus = corpus_of([(character, n % 2) for n, character in enumerate("abcdefgh")])
    prepared = prepare(corpus, length=9, vocabulary_size=None, labelled=2, held_out=3, seed=0)
    tokens, _, _ = prepared.rows(prepared.split.held_out)
    np.testing.assert_array_equal(tokens, [[UNK, EOS]] * 3)
    assert len(prepared.vocabulary) == 4 + 5


SMALL = [("a", 0), ("bbb", 1), ("cc", 0), ("dddddd", 1)]


def small():
    """Four rows of 2, 4, 3 and 5 (cut) numbers."""
    return prepare(corpus_of(SMALL), length=5, vocabulary_size=None, labelled=2, held_out=1, seed=0)


@pytest.mark.parametrize(("indices", "longest"), [([0], 2), ([2, 0, 2], 3), ([1, 3], 5)])
def test_rows_are_trimmed_to_the_longest(indices, longest):
    """Rows come in the order asked for, with no column that is all padding."""
    prepared = small()
    tokens, mask, labels = prepared.rows(indices)
    np.testing.assert_array_equal(tokens, prepared.tokens[indices, :longest])
    np.testing.assert_array_equal(mask, prepared.mask[indices, :longest])
    np.testing.assert_array_equal(labels, prepared.labels[indices])
    assert mask[:, -1].any()
    assert not prepared.mask[indices, longest:].any()


def test_rows_are_copies():
    """A batch may be changed in place and the prepared corpus not."""
    prepared = small()
    tokens, mask, labels = prepared.rows([0, 1])
    for array, kept in (
        (tokens, prepared.tokens),
        (mask, prepared.mask),
        (labels, prepared.labels),
    ):
        array[...] = 7
        assert not (kept == 7).any()
        with pytest.raises(ValueError, match="read-only"):
            kept[...] = 7


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([], r"indices have shape \(0,\), expected \(n,\) with n of at least 1"),
        ([[0]], r"indices have shape \(1, 1\), expected \(n,\)"),
        ([0.0], "indices are of type float64, expected whole numbers"),
        ([True, False, True, False], "of type bool, .* for a mask those of np.flatnonzero"),
        ([0, 4], "row 4 is not in corpus 'small', expected 0 to 3"),
        ([-1], "row -1 is not in corpus 'small', expected 0 to 3"),
    ],
)
def test_rows_refuses(indices, message):
    """What is no row of the corpus is an error that names it."""
    with pytest.raises(CorpusError, match=message):
        small().rows(indices)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 9])
def test_texts_that_are_cut_are_counted(length):
    """Those with more tokens than fit, their end marker among them; nothing is said of none."""
    texts = ("one", "one two", "one two three", "two one two", "one two one two")
    corpus = Corpus(
        name="texts",
        texts=texts,
        labels=(0, 1, 0, 1, 0),
        label_names=("a", "b"),
        unit="word",
        licence="none",
        source="here",
    )
    prepared = prepare(corpus, length=length, vocabulary_size=None, labelled=2, held_out=1, seed=0)
    cut = sum(len(text.split()) + 1 > length for text in texts)
    has, was = ("has", "its .* was") if cut == 1 else ("have", "their .* were")
    tokens = "1 token" if length == 1 else f"{length} tokens"
    expected = f"{cut} of 5 texts {has} more than {tokens}, {was} cut; a greater length cuts fewer"
    assert re.fullmatch(expected if cut else "", prepared.describe_cut(range(5)))
    assert prepared.describe_cut([4]).startswith("1 of 1" if length < 5 else "")
