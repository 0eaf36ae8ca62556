"""A subject is a model that fits its parameters and its batch, in one precision."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.tabular import TabularModel

MODEL = TabularModel(classes=3, vocabulary=4, width=2)


def batch(labels=(2, -1)):
    """Two sentences, of three tokens and of one."""
    noise = MODEL.noise(np.random.default_rng(0), 2, 3)
    return make_batch(np.array([[1, 2, 3], [3, 0, 0]]), [[1, 1, 1], [1, 0, 0]], labels, noise)


def parameters(dtype=float, **changes):
    """The model's own, some of them replaced by the part after the dot, or left out by None."""
    found = MODEL.initial(np.random.default_rng(0))
    found = {name: array.astype(dtype) for name, array in found.items()}
    found |= {name.replace("_", ".", 1): value for name, value in changes.items()}
    return {name: value for name, value in found.items() if value is not None}


REFUSED = {
    "missing": (
        {"w_bias": None},
        r"'w\.bias' has shape None, expected \(3,\) for model 'tabular' \(None: not there\)",
    ),
    "extra": ({"phi_more": np.ones(2)}, r"parameter 'phi\.more' has shape \(2,\), expected None"),
    "wrong shape": (
        {"theta_table": np.ones((2, 3))},
        r"parameter 'theta\.table' has shape \(2, 3\), expected \(3, 2\) for model 'tabular'",
    ),
    "transposed vector": ({"w_bias": np.ones((3, 1))}, r"has shape \(3, 1\), expected \(3,\)"),
    "not finite": (
        {"w_bias": np.array([0.0, np.nan, 0.0])},
        r"parameter 'w\.bias' is nan at \(1,\), expected a finite value",
    ),
    "mixed": ({"w_bias": np.ones(3, np.float32)}, "expected all float64 or all float32"),
    "unknown group": ({"psi_table": np.ones(2)}, "parameter 'psi.table' is in no group"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_parameters_that_do_not_fit_are_named(changes, message):
    """Parameters of another model, or none of a model at all, are refused by name."""
    with pytest.raises(ValueError, match=message):
        Subject(MODEL, parameters(**changes), batch())


def test_a_label_must_be_one_of_the_model():
    """A label that the model does not have is refused, before it is taken for another."""
    with pytest.raises(ValueError, match=r"label 3 is outside 0\.\.2 of model 'tabular'"):
        Subject(MODEL, parameters(), batch(labels=(3, 0)))


@pytest.mark.parametrize("token", [4, -1])
def test_a_token_must_be_one_of_the_model(token):
    """A token without a row of its own is refused, before -1 is taken for the last one."""
    made = batch()
    tokens = np.where(made.tokens == 2, token, made.tokens)
    message = rf"token {token} at \(0, 1\) is outside 0\.\.3; number the tokens with the vocabulary"
    with pytest.raises(ValueError, match=message):
        Subject(MODEL, parameters(), made.with_arrays(made.arrays() | {"tokens": tokens}))


@pytest.mark.parametrize(("noise", "shape"), [({}, "None"), ({"eps_h": np.ones((2, 1))}, "(2, 1)")])
def test_noise_must_be_what_the_model_needs(noise, shape):
    """Noise that is missing, or would be stretched to fit, is refused by name."""
    short = make_batch(np.array([[1, 2], [3, 0]]), [[1, 1], [1, 0]], noise=noise)
    message = f"noise 'eps_h' has shape {shape}, expected (2, 2) for model 'tabular'"
    with pytest.raises(ValueError, match=re.escape(message)):
        Subject(MODEL, parameters(), short)


@given(dtype=st.sampled_from([np.float32, np.float64]))
def test_constants_take_the_precision_of_the_parameters(dtype):
    """Mask, noise and draws in another precision would decide the precision of the whole."""
    subject = Subject(MODEL, parameters(dtype), batch())
    assert subject.dtype == dtype
    inputs = subject.inputs(np.eye(3)[[0, 1]])
    floating = {name for name, array in inputs.items() if array.dtype.kind == "f"}
    assert floating == {"mask", "noise.eps_h", "draw"}
    assert {inputs[name].dtype for name in floating} == {np.dtype(dtype)}
    assert inputs.keys() == {*batch().arrays(), "draw"}


@given(row=st.integers(0, 1))
def test_an_example_is_one_sentence(row):
    """An example keeps the parameters and one sentence, padded as it was."""
    subject = Subject(MODEL, parameters(), batch(), name="mine", seed=3)
    example = subject.example(row)
    assert (example.batch.n, example.batch.t) == (1, 3)
    assert (example.name, example.seed, example.parameters) == ("mine", 3, subject.parameters)
    for name, array in subject.batch.arrays().items():
        np.testing.assert_array_equal(example.batch.arrays()[name], array[[row]], err_msg=name)


@pytest.mark.parametrize("latent", [3, 5, 6])
def test_the_first_tokens_are_a_subject_of_their_own(latent):
    """All with an axis of time is cut, and nothing else, though its second axis be as long."""
    model, rng = (
        SeqDGM(3, 9, width=2, hidden=latent, latent=latent, input_dropout=0.5),
        np.random.default_rng(),
    )
    tokens, mask = rng.integers(4, 9, (2, 5)), np.array([[1.0] * 5, [1.0] * 2 + [0.0] * 3])
    batch = make_batch(tokens, mask, None, model.noise(rng, 2, 5))
    whole = Subject(model, model.initial(rng), batch)
    cut = whole.first_tokens(3)
    assert (cut.batch.n, cut.batch.t) == (2, 3)
    fresh = model.noise(rng, 2, 3)
    for name, array in cut.batch.noise.items():
        assert array.shape == fresh[name].shape
        np.testing.assert_array_equal(
            array, whole.batch.noise[name][tuple(map(slice, array.shape))]
        )
    np.testing.assert_array_equal(cut.batch.tokens, tokens[:, :3])
    np.testing.assert_array_equal(cut.batch.mask, mask[:, :3])
    assert whole.first_tokens(5) is whole


def test_a_replaced_subject_is_checked_anew():
    """No change makes a subject that could not have been made."""
    subject = Subject(MODEL, parameters(), batch())
    with pytest.raises(ValueError, match="no parameters given"):
        subject.replace(parameters={})
    single = subject.replace(parameters=parameters(np.float32))
    assert single.batch.mask.dtype == np.float32


def test_a_description_says_sizes_and_dtype():
    """A subject is known by its name, K, N, T, the number of parameters and the dtype."""
    subject = Subject(MODEL, parameters(), batch())
    assert subject.describe() == "tabular: K=3 N=2 T=3 P=29 float64"
    assert subject.replace(name="mine").describe() == "mine: K=3 N=2 T=3 P=29 float64"
