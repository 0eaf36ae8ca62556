"""Dropout and batch normalisation around an LSTM: what they do, and what they leave alone."""

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models import gaussian, layers, lstm, sequence
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import every_label
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA

OPS = AutogradOps()
SIZES = {"width": 2, "hidden": 3, "latent": 2}
KINDS = {
    "seqdgm": functools.partial(SeqDGM, 3, 7, **SIZES),
    "seqdgm-a": functools.partial(SeqDGMA, 3, 7, auxiliary=2, **SIZES),
    "separate": functools.partial(SeqDGMA, 3, 7, auxiliary=2, shared_encoder=False, **SIZES),
}
each_model = pytest.mark.parametrize("kind", KINDS)
seeds = st.integers(0, 2**32 - 1)

#: Some thousand roundings of numbers of some tens.
SLACK = 1e-11


def subject_of(kind, seed, n=3, **options):
    """A model on n sentences of one token to three."""
    rng = np.random.default_rng(seed)
    model = KINDS[kind](**options)
    mask = np.arange(3) < rng.integers(1, 4, (n, 1))
    batch = make_batch(rng.integers(0, 7, (n, 3)), mask, noise=model.noise(rng, n, 3))
    return Subject(model, model.initial(rng), batch)


def values(subject):
    """log q and L at every label."""
    model, given_, n = subject.model, (OPS, subject.parameters, subject.batch), subject.batch.n
    return model.log_q(*given_), model.loss(*given_, every_label(n, model.classes))


def replaced(subject, noise, **options):
    """The subject with other noise and options, at the same parameters."""
    model = dataclasses.replace(subject.model, **options)
    names = model.initial(np.random.default_rng(0))
    parameters = {name: subject.parameters[name] for name in names}
    return Subject(model, parameters, dataclasses.replace(subject.batch, noise=noise))


@each_model
@given(seed=seeds, rate=st.sampled_from([0.1, 0.5, 0.9]))
def test_noise_of_zero_is_no_dropout(kind, seed, rate):
    """So that whoever takes all noise to be zero has the model as it is at evaluation."""
    subject = subject_of(kind, seed, input_dropout=rate, output_dropout=rate)
    quiet = {
        name: 0.0 * array if name.startswith("dropout") else array
        for name, array in subject.batch.noise.items()
    }
    plain = replaced(subject, quiet, input_dropout=0.0, output_dropout=0.0)
    for one, other in zip(values(replaced(subject, quiet)), values(plain), strict=True):
        np.testing.assert_array_equal(one, other)


@given(seed=seeds, rate=st.sampled_from([0.1, 0.5, 0.9]))
def test_dropout_keeps_the_mean_and_drops_its_share(seed, rate):
    """An entry is dropped, or divided by the probability that it is kept."""
    options = KINDS["seqdgm"](input_dropout=rate)
    noise = layers.noise(options, np.random.default_rng(seed), "w", 100, 50, tokens=False)
    factor = 1.0 + noise["dropout.w.input"]
    kept = factor != 0.0
    np.testing.assert_allclose(factor[kept], 1.0 / (1.0 - rate), rtol=1e-15)  # one rounding
    # Six standard errors of a share of 10 000 draws: missed once in 5e8 runs.
    assert abs((1 - kept).mean() - rate) <= 6 * np.sqrt(rate * (1 - rate) / kept.size)


@given(seed=seeds)
def test_the_classifier_is_that_written_out(seed):
    """Dropout of the input, an LSTM, dropout of its state, normalised, scaled and shifted."""
    subject = subject_of(
        "seqdgm", seed, input_dropout=0.3, output_dropout=0.3, batch_norm=layers.FIXED
    )
    noise, parameters, batch = subject.batch.noise, subject.parameters, subject.batch
    inputs = parameters["e.embedding"][batch.tokens] * (1.0 + noise["dropout.w.input"])
    states = lstm.run(OPS, parameters, "w.lstm", inputs, batch.mask, t=3, size=3)[0, :, -1]
    states = states * (1.0 + noise["dropout.w.output"])
    states = (states - noise["norm.w.mean"]) / np.sqrt(np.exp(noise["norm.w.log_variance"]))
    states = states * parameters["w.norm.scale"] + parameters["w.norm.shift"]
    logits = states @ parameters["w.logits.weight"] + parameters["w.logits.bias"]
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(values(subject)[0], expected, rtol=0.0, atol=SLACK)


@given(seed=seeds, tokens=st.booleans())
def test_live_statistics_are_those_of_the_batch(seed, tokens):
    """Mean 0 and variance 1 over sentences, or over the tokens that are there."""
    subject = subject_of("seqdgm", seed, n=5, batch_norm=layers.LIVE)
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((2, 5, 3, 3) if tokens else (2, 5, 3))
    group = "theta" if tokens else "w"
    plain = {f"{group}.norm.scale": np.ones(3), f"{group}.norm.shift": np.zeros(3)}
    found = layers.leave(OPS, subject.model, plain, subject.batch, group, states, tokens=tokens)
    there = subject.batch.mask.astype(bool) if tokens else np.ones(5, dtype=bool)
    for label in range(2):
        chosen, before = found[label][there], states[label][there]
        np.testing.assert_allclose(chosen.mean(axis=0), 0.0, rtol=0.0, atol=SLACK)
        variance = before.var(axis=0)
        expected = variance / (variance + layers.SMALLEST_VARIANCE)
        np.testing.assert_allclose(chosen.var(axis=0), expected, rtol=0.0, atol=SLACK)


@each_model
@given(seed=seeds)
def test_with_statistics_held_fixed_sentences_are_apart(kind, seed):
    """A sentence's values are the same alone as in a batch; with live ones they are not."""
    for batch_norm in (layers.FIXED, layers.LIVE):
        subject = subject_of(kind, seed, output_dropout=0.2, batch_norm=batch_norm)
        log_q, loss = values(subject)
        alone = [values(subject.example(n)) for n in range(3)]
        same = np.allclose([one[0] for one, _ in alone], log_q, rtol=0.0, atol=SLACK)
        same &= np.allclose([one[:, 0] for _, one in alone], loss.T, rtol=0.0, atol=SLACK)
        assert same == (batch_norm == layers.FIXED)


@each_model
def test_padding_is_not_normalised_with(kind):
    """What stands under the mask is in no statistic."""
    subject = subject_of(kind, 3, batch_norm=layers.LIVE)
    batch = subject.batch
    other = {"tokens": np.where(batch.mask > 0, batch.tokens, 5)}
    filled = subject.replace(batch=batch.with_arrays(batch.arrays() | other))
    for one, two in zip(values(subject), values(filled), strict=True):
        np.testing.assert_array_equal(one, two)


@given(seed=seeds, weight=st.sampled_from([0.0, 0.5, 2.0]))
def test_the_divergence_is_weighted(seed, weight):
    """And with weight 0 nothing but the reconstruction, and the prior of the label, is left."""
    subject = subject_of("seqdgm", seed)
    weighted = replaced(subject, subject.batch.noise, kl_weight=weight)
    labels = every_label(3, 3)
    moments = subject.model._posterior(OPS, subject.parameters, subject.batch, labels)
    kl = gaussian.kl_to_standard(OPS, *moments)
    expected = values(subject)[1] + (weight - 1.0) * kl
    slack = SLACK * (1.0 + np.abs(kl).max())
    np.testing.assert_allclose(values(weighted)[1], expected, rtol=0.0, atol=slack)


@given(seed=seeds)
def test_with_weight_zero_only_draws_tell_of_q_of_a(seed):
    """All three divergence terms of SeqDGM-A have the weight: theta.a_mean is then in nothing."""
    subject = subject_of("seqdgm-a", seed, kl_weight=0.0)
    name = "theta.a_mean.bias"
    moved = subject.replace(parameters=subject.parameters | {name: subject.parameters[name] + 1.0})
    for one, other in zip(values(subject), values(moved), strict=True):
        np.testing.assert_array_equal(one, other)


@each_model
def test_the_prior_of_the_label_may_be_left_out(kind):
    """A constant, log K, is then not in L."""
    subject = subject_of(kind, 1)
    without = replaced(subject, subject.batch.noise, label_prior=False)
    log_q, loss = values(without)
    np.testing.assert_array_equal(log_q, values(subject)[0])
    np.testing.assert_allclose(loss, values(subject)[1] - np.log(3.0), rtol=0.0, atol=SLACK)
    assert sequence.prior_cost(3, counted=False) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_dropout": 1.0}, r"input_dropout = 1\.0, expected a probability below 1"),
        ({"output_dropout": -0.1}, r"output_dropout = -0\.1, expected a probability below 1"),
        ({"input_dropout": float("nan")}, r"input_dropout = nan, expected a probability"),
        ({"batch_norm": "frozen"}, r"batch_norm = 'frozen', expected 'none', 'fixed' or 'live'"),
        ({"kl_weight": -1.0}, r"kl_weight = -1\.0, expected 0 or a positive number"),
        ({"kl_weight": float("inf")}, r"kl_weight = inf, expected 0 or a positive number"),
    ],
)
@each_model
def test_options_that_cannot_be_are_an_error(kind, options, message):
    """The value is named, and what was expected."""
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**options)
