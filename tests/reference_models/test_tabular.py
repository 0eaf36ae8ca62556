"""The tabular model, written out number by number, and what does and does not couple its parts."""

import dataclasses
import math

import autograd
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases
from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.note.builds import all_labels, build, exact_objective
from gradproof.estimators.note.value_bounds import count_roundings, unit_roundoff
from gradproof.reference_models import objective
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import every_label
from gradproof.reference_models.tabular import TabularModel, mean_embedding

OPS = AutogradOps()

#: The largest logit of a drawn case: two entries of 2 times 2, and a bias of 80. Losses are below:
#: half of two squares, of a tanh, a noise up to 2 and a table entry up to 2.
LARGEST = 2 * 2 * 2 + 80


def all_values(subject):
    """log q (N, K) and L (K, N) by one pass over all labels, in the subject's dtype."""
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    return build(all_labels, subject)(OPS, subject.parameters, inputs)


def slack(subject):
    """What the roundings of two such passes come to, at most."""
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    roundings = count_roundings(build(all_labels, subject), subject.parameters, inputs).operations
    return 2 * roundings * unit_roundoff(subject.dtype) * LARGEST


def by_hand(case):
    """log q (N, K) and L (K, N) of a case by plain loops over Python floats."""
    labels, width = range(len(case.bias)), range(len(case.embedding[0]))
    possible = case.support or [True] * len(case.bias)
    log_q, latents = [], []
    for row in case.tokens:
        mean = [math.fsum(case.embedding[token][d] for token in row) / len(row) for d in width]
        logits = [
            case.bias[k] + math.fsum(mean[d] * case.weight[k][d] for d in width) for k in labels
        ]
        most = max(logits[k] for k in labels if possible[k])
        total = math.fsum(math.exp(logits[k] - most) for k in labels if possible[k])
        normaliser = most + math.log(total)
        log_q.append([logits[k] - normaliser if possible[k] else -math.inf for k in labels])
        latents.append([[mean[d] + case.phi[k][d] for d in width] for k in labels])
    losses = []
    for k in labels:
        rows = [latent[k] for latent in latents]
        if case.batch_statistics:
            centre = [math.fsum(row[d] for row in rows) / len(rows) for d in width]
            rows = [[row[d] - centre[d] for d in width] for row in rows]
        losses.append(
            [
                0.5
                * math.fsum((math.tanh(row[d]) + noise[d] - case.theta[k][d]) ** 2 for d in width)
                for row, noise in zip(rows, case.noise, strict=True)
            ]
        )
    return np.array(log_q), np.array(losses)


@given(case=st.one_of(tabular_cases(), tabular_cases(batch_statistics=True)))
def test_values_are_those_written_out(case):
    """log q and L of each label are those of the formulas, with and without batch statistics."""
    subject = case.subject()
    found, bound = all_values(subject), slack(subject)
    log_q, loss = by_hand(case)
    assert found["log_q"].shape == log_q.shape
    assert found["loss"].shape == loss.shape
    np.testing.assert_allclose(found["log_q"], log_q, rtol=0.0, atol=bound)
    np.testing.assert_allclose(found["loss"], loss, rtol=0.0, atol=bound)


@given(case=tabular_cases())
def test_q_is_normalised(case):
    """Probabilities sum to one over the labels, also where some are impossible."""
    subject = case.subject()
    log_q = all_values(subject)["log_q"].astype(float)
    assert np.abs(np.exp(log_q).sum(axis=1) - 1.0).max() <= slack(subject)
    if case.support is not None:
        impossible = np.broadcast_to(~np.array(case.support), log_q.shape)
        np.testing.assert_array_equal(log_q == -np.inf, impossible)


@given(case=st.one_of(tabular_cases(), tabular_cases(batch_statistics=True)))
def test_one_pass_over_all_labels_is_a_pass_for_each(case):
    """Row k of the losses is what a pass with label k alone gives."""
    subject = case.subject()
    whole = all_values(subject)["loss"]
    for k, label in enumerate(every_label(subject.batch.n, subject.model.classes)):
        alone = subject.model.loss(
            OPS, subject.parameters, subject.batch, label[None].astype(subject.dtype)
        )
        assert alone.shape == (1, subject.batch.n)
        np.testing.assert_allclose(alone[0], whole[k], rtol=0.0, atol=slack(subject))


@given(case=tabular_cases(), token=st.integers(0, 1))
def test_padding_is_not_read(case, token):
    """What stands under the mask, and how much of it, changes no value."""
    subject = case.subject()
    batch = subject.batch
    tokens = np.pad(batch.tokens, ((0, 0), (0, 2)))
    mask = np.pad(batch.mask, ((0, 0), (0, 2)))
    tokens[mask == 0] = token
    longer = subject.replace(batch=make_batch(tokens, mask, noise=dict(batch.noise)))
    for name, values in all_values(subject).items():
        np.testing.assert_allclose(
            all_values(longer)[name], values, rtol=0.0, atol=slack(longer), err_msg=name
        )


@given(case=tabular_cases(sentences=(2, 2)))
def test_sentences_are_apart(case):
    """A sentence's values are the same alone as in a batch."""
    subject = case.subject()
    whole = all_values(subject)
    for n in range(2):
        alone = all_values(subject.example(n))
        bound = slack(subject)
        np.testing.assert_allclose(alone["log_q"][0], whole["log_q"][n], rtol=0.0, atol=bound)
        np.testing.assert_allclose(alone["loss"][:, 0], whole["loss"][:, n], rtol=0.0, atol=bound)


@given(case=tabular_cases(sentences=(2, 2), batch_statistics=True))
def test_batch_statistics_couple_sentences(case):
    """With batch statistics another label of one sentence changes the loss of the other."""
    phi = np.array(case.phi)
    assume((np.abs(phi[0] - phi[1]) > 0).any())
    subject = dataclasses.replace(case, dtype="float64").subject()
    k, same = subject.model.classes, [0] * subject.batch.n
    other = [*same[1:], 1]

    def latent(labels):
        one_hot = np.eye(k)[None, labels]
        return subject.model.latents(OPS, subject.parameters, subject.batch, one_hot)["h"][0, 0]

    assert (latent(same) != latent(other)).any()
    plain = dataclasses.replace(subject.model, batch_statistics=False)
    subject = subject.replace(model=plain)
    np.testing.assert_array_equal(latent(same), latent(other))


@given(case=tabular_cases(classes=(3, 4)))
def test_an_impossible_label_leaves_everything_finite(case):
    """U, H and their gradients are finite, and the impossible label has none."""
    support = (True, False) + (True,) * (len(case.bias) - 2)
    subject = dataclasses.replace(case, support=support).subject()
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    parameters = dict(subject.parameters)
    whole = build(exact_objective, subject)

    def entropy(parameters):
        log_q = subject.model.log_q(OPS, parameters, subject.batch)
        return OPS.sum(objective.entropy(OPS, log_q))

    for value in (lambda p: whole(OPS, p, inputs), entropy):
        assert np.isfinite(value(parameters))
        gradient = autograd.grad(value)(parameters)
        assert all(np.isfinite(array).all() for array in gradient.values())
        assert gradient["w.bias"][1] == 0.0
        for name in ("w.weight", "phi.table", "theta.table"):
            np.testing.assert_array_equal(gradient[name][1], 0.0, err_msg=name)


@given(seed=st.integers(0, 2**32 - 1))
def test_many_labels(seed):
    """K = 200 labels go through in one pass, and q is normalised over them."""
    rng = np.random.default_rng(seed)
    model = TabularModel(200, 5, 2)
    batch = make_batch(np.array([[1, 2], [3, 0]]), [[1, 1], [1, 0]], noise=model.noise(rng, 2, 2))
    parameters = model.initial(rng)
    losses = model.loss(OPS, parameters, batch, every_label(2, 200))
    log_q = model.log_q(OPS, parameters, batch)
    assert losses.shape == (200, 2)
    assert log_q.shape == (2, 200)
    assert np.isfinite(losses).all()
    # 200 exponentials, 200 additions and 200 in the normaliser, of numbers whose sum is 1.
    assert np.abs(np.exp(log_q).sum(axis=1) - 1.0).max() <= 600 * np.finfo(float).eps


def test_mean_embedding_is_over_the_tokens_alone():
    """The divisor is the number of tokens, not the length of the batch."""
    batch = make_batch(np.array([[1, 2, 0], [2, 0, 0]]), [[1, 1, 0], [1, 0, 0]])
    table = {"e.embedding": np.array([[9.0], [1.0], [4.0]])}
    np.testing.assert_array_equal(mean_embedding(OPS, table, batch), [[2.5], [4.0]])


@pytest.mark.parametrize("support", [(True, False), (True, False, True, True), (False,) * 3])
def test_support_must_fit(support):
    """A support of another length, or without a label in it, is refused."""
    with pytest.raises(ValueError, match=r"support is \(.*\), expected 3 booleans with a true one"):
        TabularModel(3, 4, 2, support=support)


def test_initial_parameters_are_random_but_repeatable():
    """The generator given decides; there is no other source of randomness."""
    model = TabularModel(3, 4, 2)
    first, again, other = (model.initial(np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert (array != other[name]).all()
