"""The objectives, written out label by label."""

import math

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.note.value_bounds import count_roundings, unit_roundoff
from gradproof.reference_models import objective
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import one_hot
from gradproof.reference_models.tabular import TabularModel

OPS = AutogradOps()
IMPOSSIBLE = -math.inf


@st.composite
def tables(draw):
    """log q (N, K), normalised, some labels impossible, and losses (K, N)."""
    n, k = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    entries = st.one_of(st.floats(-30, 30), st.just(IMPOSSIBLE))
    logits = np.array([[0.0, *draw(st.tuples(*[entries] * (k - 1)))] for _ in range(n)])
    losses = np.reshape(draw(st.tuples(*[st.floats(-50, 50)] * (n * k))), (k, n))
    return np.array([normalised(row) for row in logits.tolist()]), losses


def normalised(logits):
    """Log probabilities, by a plain loop."""
    total = math.log(math.fsum(math.exp(x - max(logits)) for x in logits)) + max(logits)
    return [x - total for x in logits]


def assert_close(compute, arrays, expected, largest):
    """Equal within the roundings of both sides, each of which passes numbers up to ``largest``."""
    named = dict(enumerate(arrays))
    passed = count_roundings(lambda ops, given, _: compute(ops, *given.values()), named, {})
    bound = 2 * passed.operations * unit_roundoff(np.float64) * (1.0 + largest)
    np.testing.assert_allclose(compute(OPS, *arrays), expected, rtol=0.0, atol=bound)


def terms(log_q, losses, n):
    """q (L + log q) of each label that sentence n can have."""
    return [math.exp(lq) * (losses[k, n] + lq) for k, lq in enumerate(log_q[n]) if lq > IMPOSSIBLE]


@given(tables=tables())
def test_entropy_is_the_sum_over_possible_labels(tables):
    """H is in nats, and 0 log 0 is 0."""
    log_q, _ = tables
    expected = [-math.fsum(math.exp(x) * x for x in row if x > IMPOSSIBLE) for row in log_q]
    assert_close(objective.entropy, [log_q], expected, math.log(log_q.shape[1]))


@given(tables=tables())
def test_unlabelled_is_the_expectation(tables):
    """U sums L + log q over the labels that a sentence can have, and no others."""
    log_q, losses = tables
    rows = [terms(log_q, losses, n) for n in range(len(log_q))]
    expected = [math.fsum(row) for row in rows]
    assert_close(objective.unlabelled, [log_q, losses], expected, np.abs(losses).max() + 60.0)


@given(tables=tables(), data=st.data())
def test_at_label_reads_one_entry(tables, data):
    """Log q at the label is copied, to the last bit, past labels that are impossible."""
    log_q, _ = tables
    n, k = log_q.shape
    labels = data.draw(st.tuples(*[st.integers(0, k - 1)] * n))
    found = objective.at_label(OPS, log_q, one_hot(np.array(labels), k))
    np.testing.assert_array_equal(found, [log_q[i, y] for i, y in enumerate(labels)])


@given(tables=tables(), alpha=st.floats(0, 4), data=st.data())
def test_cost_is_the_mean_over_sentences_of_both_kinds(tables, alpha, data):
    """C adds L - alpha log q where the label is known and U where not, and divides by all."""
    log_q, losses = tables
    n, k = log_q.shape
    known = [
        data.draw(st.sampled_from([-1, *np.flatnonzero(row > IMPOSSIBLE)]), label="label")
        for row in log_q
    ]
    labels = np.array([np.zeros(k) if y < 0 else np.eye(k)[y] for y in known])
    parts = [
        math.fsum(terms(log_q, losses, i)) if y < 0 else losses[y, i] - alpha * log_q[i, y]
        for i, y in enumerate(known)
    ]
    assert_close(
        lambda ops, log_q, losses: objective.cost(ops, log_q, losses, labels, alpha, n),
        [log_q, losses],
        math.fsum(parts) / n,
        (1.0 + alpha) * (np.abs(losses).max() + 60.0),  # 60: log q is at least -60 - log K
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    alpha=st.floats(0, 4),
    known=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_labelled_is_loss_and_classifier_at_the_label(seed, alpha, known):
    """A labelled sentence costs L at its own label minus alpha log q of that label."""
    rng = np.random.default_rng(seed)
    model = TabularModel(3, 4, 2)
    tokens = rng.integers(0, 4, (2, 3))
    batch = make_batch(tokens, np.ones((2, 3)), np.array(known), model.noise(rng, 2, 3))
    parameters = model.initial(rng)
    found = objective.labelled(OPS, model, parameters, batch, one_hot(np.array(known), 3), alpha)
    log_q = model.log_q(OPS, parameters, batch)
    for n, y in enumerate(known):
        single = np.broadcast_to(np.eye(3)[y], (1, 2, 3))
        loss = model.loss(OPS, parameters, batch, single)[0, n]
        assert found[n] == loss - alpha * log_q[n, y]  # the same operations on the same numbers


@pytest.mark.parametrize("what", ["entropy", "unlabelled", "at_label"])
def test_impossible_labels_have_no_gradient(what):
    """A label of probability zero leaves every gradient finite, its own zero."""
    losses = np.array([[1.0], [2.0], [3.0]])
    compute = {
        "entropy": lambda log_q: objective.entropy(OPS, log_q),
        "unlabelled": lambda log_q: objective.unlabelled(OPS, log_q, losses),
        "at_label": lambda log_q: objective.at_label(OPS, log_q, np.eye(3)[[0]]),
    }[what]
    log_q = np.array([[math.log(0.25), math.log(0.75), IMPOSSIBLE]])
    gradient = autograd.grad(lambda x: anp.sum(compute(x)))(log_q)
    assert np.isfinite(gradient).all()
    assert gradient[0, 2] == 0.0
    assert gradient[0, 0] != 0.0
