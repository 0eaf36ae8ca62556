"""Numbers for tokens and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.reference_models.corpora import BOS, EOS, PAD, UNK, CorpusError, Vocabulary
from gradproof.reference_models.corpora.units import UNITS, join, tokenise

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
TEXTS = st.lists(st.text(max_size=20), min_size=1, max_size=6)


def test_specials_stand_where_their_numbers_say():
    """PAD, UNK, BOS and EOS are 0 to 3 in every vocabulary."""
    assert (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
    assert Vocabulary.build(["a"], "word").tokens == (*SPECIALS, "a")


def test_frequent_tokens_first_then_by_code_point():
    """c occurs three times, a and b twice, d once."""
    vocabulary = Vocabulary.build(["b a c", "c b a", "d c"], "word")
    assert vocabulary.tokens[4:] == ("c", "a", "b", "d")


@pytest.mark.parametrize("unit", UNITS)
@given(texts=TEXTS, data=st.data())
def test_order_of_texts_does_not_matter(unit, texts, data):
    """The same texts in any order give the same vocabulary."""
    shuffled = data.draw(st.permutations(texts))
    assert Vocabulary.build(shuffled, unit) == Vocabulary.build(texts, unit)


@given(texts=TEXTS, size=st.integers(5, 12))
def test_size_keeps_the_front(texts, size):
    """A size cuts the full vocabulary after so many tokens, specials included."""
    full = Vocabulary.build(texts, "character")
    assert Vocabulary.build(texts, "character", size).tokens == full.tokens[:size]
    assert len(full) == len(full.tokens)


@pytest.mark.parametrize("unit", UNITS)
@given(texts=TEXTS)
def test_round_trip(unit, texts):
    """What was encoded at full length decodes to the same tokens."""
    vocabulary = Vocabulary.build(texts, unit)
    tokens, _ = vocabulary.encode(texts, length=100)
    decoded = [vocabulary.decode(row) for row in tokens]
    assert decoded == [join(tokenise(text, unit), unit) for text in texts]


@given(texts=TEXTS, length=st.integers(1, 30))
def test_rows_are_tokens_then_eos_then_padding(texts, length):
    """Shape, types, mask and the place of EOS, for any length."""
    vocabulary = Vocabulary.build(texts, "character", size=8)
    tokens, mask = vocabulary.encode(texts, length)
    wanted = [len(tokenise(text, "character")) + 1 for text in texts]
    kept = np.minimum(wanted, length)
    assert tokens.shape == mask.shape == (len(texts), kept.max())
    assert tokens.dtype == np.int64
    assert mask.dtype == np.float64
    np.testing.assert_array_equal(mask, np.arange(kept.max()) < kept[:, None])
    np.testing.assert_array_equal(tokens == PAD, mask == 0)
    whole = np.array(wanted) <= length
    np.testing.assert_array_equal((tokens == EOS).sum(axis=1), whole)
    np.testing.assert_array_equal(tokens[np.arange(len(texts)), kept - 1] == EOS, whole)


def test_example_with_an_unknown_token_and_a_cut():
    """The longest row sets T; a text that is cut has no EOS."""
    vocabulary = Vocabulary.build(["b a b"], "word")
    tokens, mask = vocabulary.encode(["a x", "b", "b b b b"], length=3)
    np.testing.assert_array_equal(tokens, [[5, UNK, EOS], [4, EOS, PAD], [4, 4, 4]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 1, 0], [1, 1, 1]])
    assert [vocabulary.decode(row) for row in tokens] == ["a <unk>", "b", "b b b"]


@pytest.mark.parametrize("stop", [EOS, PAD])
def test_decoding_stops(stop):
    """What stands behind EOS or PAD is not read, whichever comes first."""
    assert Vocabulary.build(["a b"], "word").decode([5, stop, 4]) == "b"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda v: Vocabulary.build(["a"], "word", size=4),
            "size is 4, expected more than 4, which <pad>, <unk>, <bos>, <eos> take; raise it",
        ),
        (lambda v: Vocabulary.build(["a"], "letter"), "unit is 'letter', expected"),
        (lambda v: Vocabulary(("a",), "word"), r"begins with \('a',\), expected \('<pad>'"),
        (
            lambda v: Vocabulary((*SPECIALS, "a", "b", "b"), "word"),
            "holds 'b' 2 times, expected each token once",
        ),
        (lambda v: v.encode([], 3), "0 texts to encode, expected 1 or more"),
        (lambda v: v.encode(["a"], 0), "length is 0, expected 1 or more; raise it"),
        (lambda v: v.decode([5]), "number 5 is not in the vocabulary, expected 0 to 4"),
        (lambda v: v.decode([-1]), "number -1 is not in the vocabulary, expected 0 to 4"),
    ],
)
def test_refuses(call, message):
    """Each misuse is an error that names the value and what was expected."""
    with pytest.raises(CorpusError, match=message):
        call(Vocabulary.build(["a"], "word"))
