"""How texts are cut into characters and words."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradproof.reference_models.corpora import CorpusError
from gradproof.reference_models.corpora.units import UNITS, join, tokenise


@pytest.mark.parametrize(
    ("text", "unit", "tokens"),
    [
        ("Ab c", "character", ["a", "b", " ", "c"]),
        ("Cafe\u0301", "character", ["c", "a", "f", "é"]),
        ("  The cat,  the CAT.\n", "word", ["the", "cat", ",", "the", "cat", "."]),
        ("don't", "word", ["don", "'", "t"]),
        ("«Où?»", "word", ["«", "où", "?", "»"]),
        ("हिन्दी भाषा।", "word", ["हिन्दी", "भाषा।"]),
        ("मल्\u200dल—मल्", "word", ["मल्\u200dल", "—", "मल्"]),
        ("<pad>", "word", ["<", "pad", ">"]),
        (" ", "word", []),
    ],
)
def test_examples(text, unit, tokens):
    """Lower case, NFC, punctuation apart; neither a vowel sign nor a joiner cuts a word in two."""
    assert tokenise(text, unit) == tokens


@pytest.mark.parametrize("unit", UNITS)
@given(text=st.text())
def test_joined_tokens_are_cut_alike(unit, text):
    """`tokenise` undoes `join`."""
    tokens = tokenise(text, unit)
    assert tokenise(join(tokens, unit), unit) == tokens


@pytest.mark.parametrize("unit", UNITS)
@given(text=st.text().filter(str.strip))
def test_a_text_that_is_not_blank_has_a_token(unit, text):
    """So no row that a corpus accepts is empty to a model."""
    assert tokenise(text, unit)


@given(text=st.text())
@example(text="a\u2028b\u2029c\u202fd")
def test_words_lose_white_space_only(text):
    """The words of a text, run together, are its characters without white space."""
    kept = [token for token in tokenise(text, "character") if not token.isspace()]
    assert "".join(tokenise(text, "word")) == "".join(kept)


@pytest.mark.parametrize("call", [tokenise, join])
def test_refuses_another_unit(call):
    """A unit that is none is named, with the two that are."""
    with pytest.raises(CorpusError, match="unit is 'byte', expected 'character' or 'word'"):
        call("text", "byte")
