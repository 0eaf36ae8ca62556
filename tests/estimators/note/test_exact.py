"""The reference: its parts fit together, and all frameworks agree with it."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases, typical_tabular
from gradproof.estimators.backends import load
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.builds import all_labels, build, exact_objective
from gradproof.estimators.note.complex_step import derivative
from gradproof.estimators.note.exact import one_at_a_time, reference
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.note.value_bounds import unit_roundoff
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import every_label
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA
from gradproof.reference_models.tabular import TabularModel

each_backend = pytest.mark.parametrize(
    "backend",
    [
        "autograd",
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("theano", marks=pytest.mark.theano),
    ],
)

#: All with V = 4 tokens. None with batch statistics: where gradients cancel in there they are zero,
#: and so is their bound, which is relative to what is left.
MODELS = {
    "tabular": TabularModel(3, 4, 2),
    "impossible label": TabularModel(3, 4, 2, support=(True, False, True)),
    "seqdgm": SeqDGM(2, 4, width=2, hidden=2, latent=1),
    "seqdgm-a": SeqDGMA(2, 4, width=2, hidden=2, latent=1, auxiliary=1),
}

each_model = pytest.mark.parametrize("name", MODELS)
few = settings(max_examples=20)  # the reference of a sequence model takes 0.1 s
seeds = st.integers(0, 2**32 - 1)


@functools.lru_cache
def bench(backend):
    """One bench a backend, so that a symbolic framework compiles once for each model."""
    return Bench(load(backend))


def subject_of(name, seed, dtype=np.float64):
    """Two sentences of up to two tokens, for a model at random parameters."""
    rng = np.random.default_rng(seed)
    model = MODELS[name]
    mask = np.arange(2) < rng.integers(1, 3, (2, 1))
    batch = make_batch(rng.integers(0, 4, (2, 2)), mask, noise=model.noise(rng, 2, 2))
    parameters = {name: array.astype(dtype) for name, array in model.initial(rng).items()}
    return Subject(model, parameters, batch, name=name)


def labels_of(subject):
    """The inputs of a pass over all labels."""
    return subject.inputs(every_label(subject.batch.n, subject.model.classes))


def combined(weights, rows):
    """The sum over n and k of weights (N, K) times rows (N, K, ...)."""
    return np.tensordot(weights, rows, axes=2)


@given(case=tabular_cases())
def test_the_score_has_mean_zero(case):
    """Under q the score of each sentence is zero on average, as that of any density is."""
    known = reference(case.subject())
    for name, score in known.score.items():
        for n, row in enumerate(score):
            mean = np.tensordot(known.probability[n], row, axes=1)
            assert np.abs(mean).max() <= known.bound(name), name


@given(case=tabular_cases())
def test_the_gradient_is_made_of_scores_and_pathwise_parts(case):
    """grad U is E_q[(L + log q + 1) score + pathwise], entry by entry."""
    known = reference(case.subject())
    log_q = np.where(known.log_q > -np.inf, known.log_q, 0.0)
    for name, gradient in known.gradient.items():
        parts = combined(known.probability * (known.loss + log_q + 1.0), known.score[name])
        parts = parts + combined(known.probability, known.pathwise[name])
        assert gradient.shape == parts.shape
        assert np.abs(gradient - parts).max() <= known.bound(name), name


@each_model
@few
@given(seed=seeds)
def test_the_gradient_is_that_of_a_complex_step(name, seed):
    """Along a random direction U changes as the gradient says, in the sequence models too."""
    if name == "impossible label":
        name = "tabular"  # a complex step needs every label to be possible
    subject = subject_of(name, seed)
    known = reference(subject)
    rng = np.random.default_rng(seed)
    direction = {n: rng.choice([-1.0, 1.0], p.shape) for n, p in subject.parameters.items()}
    whole, inputs = build(exact_objective, subject), labels_of(subject)
    expected = derivative(whole, subject.parameters, inputs, direction)
    along = math.fsum((known.gradient[n] * direction[n]).sum() for n in direction)
    bound = math.fsum(known.bound(n) * direction[n].size for n in direction)
    assert abs(along - expected) <= bound


@given(case=tabular_cases())
def test_scores_and_pathwise_parts_are_of_their_own_sentence_and_label(case):
    """Row (n, k) is the gradient of log q_k(x_n), and of L(x_n, k), and of nothing else."""
    subject = case.subject()
    known = reference(subject)
    n, k = known.log_q.shape
    assert known.loss.shape == (n, k)
    for name, array in subject.parameters.items():
        assert known.score[name].shape == known.pathwise[name].shape == (n, k, *array.shape)
    # L of label j reads row j of the two tables, so that every other row has no gradient; log q
    # reads neither table.
    for name in ("phi.table", "theta.table"):
        assert not known.score[name].any()
        for j in range(k):
            assert not np.delete(known.pathwise[name][:, j], j, axis=1).any()
    for name in ("w.weight", "w.bias"):
        assert not known.pathwise[name].any()
    # The score of the bias is one minus q at the label, and minus q elsewhere.
    unseen = np.where(known.log_q > -np.inf, 1.0, 0.0)[:, :, None]
    expected = (np.eye(k)[None] - known.probability[:, None]) * unseen
    assert np.abs(known.score["w.bias"] - expected).max() <= known.bound("w.bias")


@each_model
@few
@given(seed=seeds)
def test_a_sentence_alone_has_the_score_and_path_that_it_has_in_its_batch(name, seed):
    """The models couple no sentences: one at a time they add up to the rows of the tables."""
    subject = subject_of(name, seed)
    known, rng = reference(subject), np.random.default_rng(seed)
    labels = np.array([rng.choice(np.flatnonzero(row)) for row in known.probability])
    rows = np.arange(len(labels))
    weight = known.loss[rows, labels] + known.log_q[rows, labels] + 1.0
    for parameter, found in one_at_a_time(subject, labels).items():
        score, path = (table[parameter][rows, labels] for table in (known.score, known.pathwise))
        expected = np.tensordot(weight, score, axes=1) + path.sum(axis=0)
        assert np.abs(found - expected).max() <= known.bound(parameter), parameter


@given(case=tabular_cases())
def test_the_reference_is_double_whatever_the_subject(case):
    """The reference of a float32 subject is that of the same numbers in float64."""
    narrow = dataclasses.replace(case, dtype="float32").subject()
    parameters = {name: array.astype(float) for name, array in narrow.parameters.items()}
    found, expected = reference(narrow), reference(narrow.replace(parameters=parameters))
    np.testing.assert_array_equal(found.log_q, expected.log_q)
    for name, gradient in expected.gradient.items():
        assert found.gradient[name].dtype == np.float64
        np.testing.assert_array_equal(found.gradient[name], gradient)
    assert (found.forward, found.forward_q) == (expected.forward, expected.forward_q)
    assert (found.unit, expected.unit) == tuple(map(unit_roundoff, (np.float32, np.float64)))


@each_backend
@each_model
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@few
@given(seed=seeds)
def test_every_framework_has_the_same_values_and_gradient(backend, name, dtype, seed):
    """log q, L and grad U are those of the reference within rounding, in the subject's dtype."""
    subject = subject_of(name, seed, dtype)
    known = reference(subject)
    values = bench(backend).values(build(all_labels, subject), subject, labels_of(subject))
    assert {array.dtype for array in values.values()} == {np.dtype(dtype)}
    bound = known.value_bound()
    np.testing.assert_allclose(values["log_q"], known.log_q, rtol=0.0, atol=bound)
    np.testing.assert_allclose(values["loss"].T, known.loss, rtol=0.0, atol=bound)
    whole = build(exact_objective, subject)
    gradient = bench(backend).gradient(whole, subject, labels_of(subject))
    assert gradient.keys() == known.gradient.keys()
    for parameter, array in gradient.items():
        assert array.dtype == dtype
        assert np.abs(array - known.gradient[parameter]).max() <= known.bound(parameter), parameter


@dataclasses.dataclass(frozen=True)
class Broken(TabularModel):
    """A model with a value that is not a number at sentence 1 and label 2."""

    what: str = "loss"
    value: float = math.nan

    def log_q(self, ops, parameters, batch):
        """The value among the others."""
        found = TabularModel.log_q(self, ops, parameters, batch)
        return self.spoil(ops, found) if self.what == "log_q" else found

    def loss(self, ops, parameters, batch, labels):
        """The value among the others."""
        found = TabularModel.loss(self, ops, parameters, batch, labels)
        return (
            ops.transpose(self.spoil(ops, ops.transpose(found))) if self.what == "loss" else found
        )

    def spoil(self, ops, table):
        """A table (N, K) with the value in it."""
        place = np.zeros((2, 3), dtype=bool)
        place[1, 2] = True
        return ops.where(place, self.value, table)


@pytest.mark.parametrize(
    ("what", "value", "message"),
    [
        ("loss", math.nan, "L is nan for sentence 1 and label 2 of mine: K=3 N=2"),
        ("loss", math.inf, "L is inf for sentence 1 and label 2"),
        ("loss", -math.inf, "L is -inf for sentence 1 and label 2"),
        ("log_q", math.nan, "log q is nan for sentence 1 and label 2"),
        ("log_q", math.inf, "log q is inf for sentence 1 and label 2"),
    ],
)
@pytest.mark.parametrize("possible", [True, False])
def test_a_value_that_is_no_number_is_named(what, value, message, possible):
    """NaN and infinity end the enumeration at their sentence and label, with what to do.

    Also where the label is impossible: the gradient of zero times infinity is no number either.
    """
    subject = typical_tabular(np.random.default_rng(0), supports=False).subject()
    support = None if possible else (True, True, False)
    model = Broken(
        3, subject.model.vocabulary, subject.model.width, support, False, "", what, value
    )
    with pytest.raises(ValueError, match=f"{message}.*expected a finite float64 number. Scale the"):
        reference(subject.replace(model=model, name="mine"))


@pytest.mark.parametrize("size", [400.0, 1e6])
def test_a_saturated_tanh_is_no_news_to_numpy(size):
    """Beyond 355 its derivative is 0, without a warning, which would be an error here."""
    subject = typical_tabular(np.random.default_rng(0)).subject()
    phi = np.full_like(subject.parameters["phi.table"], size)
    known = reference(subject.replace(parameters={**subject.parameters, "phi.table": phi}))
    np.testing.assert_array_equal(known.gradient["phi.table"], np.zeros_like(phi))


def test_an_impossible_label_is_no_error():
    """Log q of minus infinity is an answer: its row of scores is zero, and the rest is finite."""
    known = reference(subject_of("impossible label", 0))
    assert (known.log_q[:, 1] == -np.inf).all()
    assert (known.probability[:, 1] == 0.0).all()
    for name, score in known.score.items():
        assert not score[:, 1].any()
        assert np.isfinite(known.gradient[name]).all()
        assert math.isfinite(known.bound(name))
    assert math.isfinite(known.value_bound())
