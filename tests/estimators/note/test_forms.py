"""Each form's derivative at a draw, put together from scores and pathwise gradients."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.backends import load
from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.builds import surrogate
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS, FormTerms
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import one_hot
from gradproof.reference_models.tabular import TabularModel

each_backend = pytest.mark.parametrize(
    "backend",
    [
        "autograd",
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("theano", marks=pytest.mark.theano),
    ],
)
each_form = pytest.mark.parametrize("name", FORMS)

#: By form: the derivative, from L and log q at the draw, B, the score and the pathwise gradient
#: there, and the gradient of H.
DERIVATIVES = {
    "one-pass": lambda c, q, b, s, d, h: (c + q + 1 - b) * s + d,
    "analytic-entropy": lambda c, q, b, s, d, h: (c - b) * s - h + d,
    "no-entropy": lambda c, q, b, s, d, h: (c - b) * s + d,
    "printed-entropy": lambda c, q, b, s, d, h: (c - b) * s + h + d,
    "not-held": lambda c, q, b, s, d, h: (d + s) * q + (c + q + 1 - b) * s + d,
    "score-line": lambda c, q, b, s, d, h: (c + q + 1 - b) * s,
    "pathwise": lambda c, q, b, s, d, h: d,
    "plus-one": lambda c, q, b, s, d, h: (q + 1) * s,
    "score": lambda c, q, b, s, d, h: s,
    "score-of-loss": lambda c, q, b, s, d, h: (c - b) * s,
    "magic-box": lambda c, q, b, s, d, h: (c + q + 1) * s + d,
}

#: Forms whose score term has the loss per token, in place of the loss.
PER_TOKEN = {"reward-per-token": DERIVATIVES["analytic-entropy"]}
DERIVATIVES |= PER_TOKEN

#: Forms in which the loss is held, and nowhere else: parameters of L alone are cut off, which is
#: zero in one framework and an error in another. They are differentiated by e and w.
CUT = ("score-line", "score-of-loss")


@functools.lru_cache
def bench(backend):
    """One bench a backend, so that a symbolic framework compiles once for each form."""
    return Bench(load(backend))


def subject_of(seed):
    """Two sentences of a tabular model in which one of three labels is impossible."""
    rng = np.random.default_rng(seed)
    model = TabularModel(3, 4, 2, support=(True, False, True))
    mask = np.arange(2) < rng.integers(1, 3, (2, 1))
    batch = make_batch(rng.integers(0, 4, (2, 2)), mask, noise=model.noise(rng, 2, 2))
    return Subject(model, model.initial(rng), batch)


def weighted(row, score):
    """The sum over labels of a row (K,) times scores (K, ...)."""
    return np.tensordot(row, score, axes=1)


@each_backend
@each_form
@given(
    seed=st.integers(0, 2**32 - 1),
    labels=st.tuples(*[st.sampled_from([0, 2])] * 2),
    baseline=st.integers(-16, 16).map(lambda quarters: quarters / 4),
)
def test_the_derivative_is_that_of_the_formula(backend, name, seed, labels, baseline):
    """What a form holds constant is a number, and everything else is differentiated."""
    subject = subject_of(seed)
    known = reference(subject)
    names = tuple(p for p in subject.parameters if name not in CUT or p.startswith(("e.", "w.")))
    inputs = subject.inputs(one_hot(np.array(labels), 3)) | {"lambda.bias": np.array(baseline)}
    build = surrogate(FORMS[name], BASELINES["constant"], subject)
    found = bench(backend).gradient(build, subject, inputs, names)
    finite = np.where(known.log_q > -np.inf, known.log_q, 0.0)
    for parameter in names:
        expected = np.zeros_like(subject.parameters[parameter])
        for n, y in enumerate(labels):
            score, pathwise = known.score[parameter][n], known.pathwise[parameter][n, y]
            entropy = -weighted(known.probability[n] * (finite[n] + 1.0), score)
            tokens = subject.batch.mask[n].sum() if name in PER_TOKEN else 1.0
            expected += DERIVATIVES[name](
                known.loss[n, y] / tokens, known.log_q[n, y], baseline, score[y], pathwise, entropy
            )
        slack = known.bound(parameter, extra=baseline)
        if name == "not-held":  # log q once more as a factor, of score and pathwise gradient
            slack *= 2.0 + np.abs(finite).max()
        assert np.abs(found[parameter] - expected).max() <= slack, parameter


@each_form
def test_a_form_is_known_by_its_name_and_formula(name):
    """Rows have names and formulas of their own, and a derivative written out here."""
    form = FORMS[name]
    assert form.name == name
    assert form.formula
    assert name in DERIVATIVES
    assert len({row.formula for row in FORMS.values()}) == len(FORMS)
    assert len({row.cost for row in FORMS.values()}) == len(FORMS)


@each_form
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 4))
def test_a_form_costs_each_sentence_by_itself(name, seed, n):
    """The cost is one number a sentence, the same whatever other sentences there are."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((n, 3))
    ops = AutogradOps()
    log_q = ops.log_softmax(logits)
    lengths = rng.integers(1, 4, n).astype(float)
    terms = FormTerms(log_q, log_q[:, 1], *rng.standard_normal((2, n)), lengths)
    found = FORMS[name].cost(ops, terms)
    assert found.shape == (n,)
    for row in range(n):
        single = FORMS[name].cost(ops, FormTerms(*(term[[row]] for term in terms)))
        assert (
            abs(single[0] - found[row])
            <= 16 * np.finfo(float).eps * (1.0 + sum(np.abs(term).max() for term in terms)) ** 2
        )  # at most 16 operations, of products of two terms


@each_backend
@given(seed=st.integers(0, 2**32 - 1))
def test_a_baseline_that_is_not_held_is_differentiated(backend, seed):
    """A live baseline adds -log q grad B to the estimate, and one that is held does not."""
    subject = subject_of(seed)
    known = reference(subject)
    rng = np.random.default_rng(seed)
    extra = BASELINES["affine-embedding"].initial(rng, 2)
    inputs = subject.inputs(one_hot(np.array([0, 2]), 3)) | extra
    held, live = (
        bench(backend).gradient(
            surrogate(FORMS["one-pass"], BASELINES[name], subject), subject, inputs
        )
        for name in ("affine-embedding", "live")
    )
    # grad B by a row of the embedding: the share of the sentence's tokens that it is, times lambda.
    expected = np.zeros_like(subject.parameters["e.embedding"])
    for n, y in enumerate((0, 2)):
        tokens = subject.batch.tokens[n, : int(subject.batch.mask[n].sum())]
        for token in tokens:
            expected[token] -= known.log_q[n, y] * extra["lambda.weight"] / len(tokens)
    size = np.abs(extra["lambda.bias"]) + np.abs(extra["lambda.weight"]).sum() * (
        1.0 + np.abs(subject.parameters["e.embedding"]).max()
    )
    # The bound is relative to scores; that of the bias, with entries next to one, stands for
    # log q grad B, which is no larger than its product with the size of B.
    for name in subject.parameters:
        slack = 2 * (known.bound(name, extra=size) + known.bound("w.bias", extra=size) * size)
        change = live[name] - held[name]
        wanted = expected if name == "e.embedding" else 0.0
        assert np.abs(change - wanted).max() <= slack, name
