"""A batch is checked once, where it is made, and carried unchanged from there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.reference_models.batch import UNLABELLED, from_arrays, make_batch


def good():
    """Arguments that are in order, two sentences of three and two tokens."""
    return {
        "tokens": np.array([[4, 5, 3], [6, 3, 0]]),
        "mask": np.array([[1, 1, 1], [1, 1, 0]]),
        "labels": np.array([2, UNLABELLED]),
        "noise": {"eps": np.ones((2, 2))},
        "classes": 3,
    }


@st.composite
def batches(draw):
    """Batches of a few sentences, some of them labelled, with two kinds of noise."""
    n, t = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = rng.integers(1, t + 1, n)
    return make_batch(
        rng.integers(0, 9, (n, t)),
        np.arange(t) < lengths[:, None],
        rng.integers(UNLABELLED, 3, n),
        {"eps": rng.standard_normal((n, 2)), "keep": rng.integers(0, 2, (n, t))},
        classes=3,
    )


def assert_same(one, other):
    """Two batches hold the same arrays under the same names, in the same shapes and dtypes."""
    assert (one.n, one.t) == (other.n, other.t)
    assert one.arrays().keys() == other.arrays().keys()
    for name, array in one.arrays().items():
        twin = other.arrays()[name]
        assert (array.shape, array.dtype) == (twin.shape, twin.dtype)
        np.testing.assert_array_equal(array, twin, err_msg=name)


NOT_EMPTY = r"expected \(N, T\) with N >= 1 and T >= 1"


REFUSED = {
    "no sentences": (
        {"tokens": np.zeros((0, 3), int)},
        rf"empty batch: tokens have shape \(0, 3\), {NOT_EMPTY}",
    ),
    "no tokens": ({"tokens": np.zeros((2, 0), int)}, rf"shape \(2, 0\), {NOT_EMPTY}"),
    "one sentence": ({"tokens": np.array([4, 5, 3])}, rf"shape \(3,\), {NOT_EMPTY}"),
    "floating tokens": (
        {"tokens": np.ones((2, 3))},
        "tokens have dtype float64, expected integers",
    ),
    "negative token": (
        {"tokens": np.array([[4, 5, 3], [6, -7, 0]])},
        r"token -7 at \(1, 1\) is outside 0\.\.V-1; number the tokens with the vocabulary that",
    ),
    "token beyond the vocabulary": (
        {"vocabulary": 6},
        r"token 6 at \(1, 0\) is outside 0\.\.5; number the tokens with the vocabulary that",
    ),
    "mask too long": (
        {"mask": np.ones((2, 4))},
        r"mask has shape \(2, 4\) but tokens .* \(2, 3\); they must be the same \(N, T\)",
    ),
    "half a token": (
        {"mask": np.array([[1, 1, 1], [1, 0.5, 0]])},
        r"mask is 0\.5 at \(1, 1\); use 1 for a token, 0 for padding",
    ),
    "mask of NaN": (
        {"mask": np.array([[1, 1, 1], [1, np.nan, 0]])},
        r"mask is nan at \(1, 1\); use 1",
    ),
    "token right of padding": (
        {"mask": np.array([[1, 1, 1], [1, 0, 1]])},
        "right of padding in sentence 1; pad every sentence on the right",
    ),
    "all padding": (
        {"mask": np.array([[1, 1, 1], [0, 0, 0]])},
        "sentence 1 is all padding; drop sentences without tokens",
    ),
    "too many labels": (
        {"labels": np.array([0, 1, 2])},
        r"shape \(3,\) and dtype int64, expected 2 integers",
    ),
    "floating labels": ({"labels": np.array([0.0, 1.0])}, "dtype float64, expected 2 integers"),
    "label too large": (
        {"labels": np.array([0, 3])},
        r"label 3 of sentence 1 is outside 0\.\.2 \(use -1 for a sentence without",
    ),
    "label too small": ({"labels": np.array([-2, 0])}, r"label -2 of sentence 0 is outside 0\.\.2"),
    "K not given": (
        {"labels": np.array([0, -2]), "classes": None},
        r"label -2 of sentence 1 is outside 0\.\.K-1",
    ),
    "noise of NaN": (
        {"noise": {"eps": np.array([[0.0, 1.0], [np.nan, 0.0]])}},
        r"noise 'eps' is nan at \(1, 0\), expected a finite value; draw it again",
    ),
    "infinite noise": (
        {"noise": {"eps": np.array([1.0, np.inf])}},
        r"noise 'eps' is inf at \(1,\), expected a finite value",
    ),
    "too much noise": (
        {"noise": {"eps": np.ones((3, 2))}},
        r"noise 'eps' has shape \(3, 2\), expected its first axis to be the 2 sentences",
    ),
    "one number of noise": (
        {"noise": {"eps": 1.0}},
        r"noise 'eps' has shape \(\), expected its first axis",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_out_of_order_is_named(change, message):
    """An array that no model can run on is refused, with the value, the place and what to do."""
    with pytest.raises(ValueError, match=message):
        make_batch(**(good() | change))


def test_labels_are_unknown_unless_given():
    """A batch without labels is an unlabelled batch, and needs no noise."""
    batch = make_batch(good()["tokens"], good()["mask"])
    np.testing.assert_array_equal(batch.labels, [UNLABELLED, UNLABELLED])
    assert batch.noise == {}


def test_numbers_of_any_width_are_taken():
    """Booleans for a mask and short integers for ids become what a framework indexes with."""
    batch = make_batch(
        good()["tokens"].astype(np.uint8),
        good()["mask"].astype(bool),
        good()["labels"].astype(np.int8),
        {"keep": np.ones((2, 3), bool)},
    )
    kinds = {name: array.dtype.name for name, array in batch.arrays().items()}
    assert kinds == {
        "tokens": "int64",
        "mask": "float64",
        "labels": "int64",
        "noise.keep": "float64",
    }


def test_noise_that_is_not_there_is_named():
    """A model that wants noise which the batch has not says what makes it."""
    batch = make_batch(**good())
    for one in (batch, batch.rows([0]), batch.astype(np.float32)):
        message = r"no noise 'keep', only \['eps'\]; give make_batch what the model's noise\("
        with pytest.raises(KeyError, match=message):
            one.noise["keep"]
        assert one.noise.get("keep") is None


@given(batch=batches())
def test_arrays_and_back(batch):
    """What a framework takes as inputs holds the whole batch, under names that come back."""
    assert_same(from_arrays(batch.n, batch.t, batch.arrays()), batch)
    assert_same(batch.with_arrays(batch.arrays() | {"draw": np.ones(3), "lambda.b": 1}), batch)


@given(batch=batches())
def test_with_arrays_holds_the_arrays_given(batch):
    """A framework's arrays stand in for the batch's own, each in its place."""
    tags = {name: object() for name in batch.arrays()}
    assert batch.with_arrays(tags).arrays() == tags


@given(batch=batches(), data=st.data())
def test_rows_are_the_sentences_asked_for(batch, data):
    """Picked sentences keep their tokens, labels and noise, in the order asked for."""
    rows = data.draw(st.lists(st.integers(0, batch.n - 1), min_size=1, max_size=3))
    picked = batch.rows(rows)
    assert (picked.n, picked.t) == (len(rows), batch.t)
    for name, array in batch.arrays().items():
        np.testing.assert_array_equal(picked.arrays()[name], array[rows], err_msg=name)
    assert_same(batch.rows(slice(None)), batch)
    assert_same(batch.rows(slice(1)), batch.rows([0]))


@given(batch=batches(), dtype=st.sampled_from([np.float32, np.float64]))
def test_astype_changes_what_is_not_a_number_of_something(batch, dtype):
    """Mask and noise take the precision asked for; ids and labels stay integers."""
    cast = batch.astype(dtype)
    for name, array in batch.arrays().items():
        expected = array.dtype if name in ("tokens", "labels") else np.dtype(dtype)
        assert cast.arrays()[name].dtype == expected
        np.testing.assert_array_equal(cast.arrays()[name], array.astype(expected))
    assert_same(batch.astype(np.float64), batch)
