"""Variances add up over sentences that are apart, and nothing else is claimed of others."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases, typical_tabular
from gradproof.estimators.backends import load
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.engine import entry_moments, moments_table
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.independence import MOST_SENTENCES, check_independent
from gradproof.estimators.note.label_table import of_reference
from gradproof.estimators.note.parabola import quadratics
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA
from gradproof.reference_models.tabular import TabularModel


def previous(ops, losses, n):
    """Those of the sentence before, (M, N); nothing for the first one."""
    nothing = ops.zeros_like(losses[:, :1])
    return ops.concatenate([nothing, losses[:, : n - 1]], axis=1)


class PaysForThePrevious(TabularModel):
    """Sentence n pays for sentence n - 1."""

    def loss(self, ops, parameters, batch, labels):
        """A tenth of what that one pays."""
        own = super().loss(ops, parameters, batch, labels)
        return own + 0.1 * previous(ops, own, batch.n)


class PaysForTheNext(TabularModel):
    """Sentence n pays for sentence n + 1: the first two alone are not the first alone."""

    def loss(self, ops, parameters, batch, labels):
        """A thousandth of what that one pays."""
        own = super().loss(ops, parameters, batch, labels)
        nothing = ops.zeros_like(own[:, :1])
        return own + 1e-3 * ops.concatenate([own[:, 1:], nothing], axis=1)


class PaysForTheThird(TabularModel):
    """All pay for the third sentence, if there is one."""

    def loss(self, ops, parameters, batch, labels):
        """Two sentences are as they should be."""
        own = super().loss(ops, parameters, batch, labels)
        return own + own[:, 2:3] if batch.n > 2 else own


class OnlyForwards(TabularModel):
    """The value of L has the neighbour's in it, and no gradient has."""

    def loss(self, ops, parameters, batch, labels):
        """Held constant."""
        own = super().loss(ops, parameters, batch, labels)
        return own + ops.stop_gradient(previous(ops, own, batch.n))


class OnlyBackwards(TabularModel):
    """No value has anything of a neighbour's, and the gradient has."""

    def loss(self, ops, parameters, batch, labels):
        """A difference that is zero."""
        own = super().loss(ops, parameters, batch, labels)
        leak = 0.1 * previous(ops, own, batch.n)
        return own + leak - ops.stop_gradient(leak)


class OneLabelOnly(TabularModel):
    """Sentence n pays if the one before has the last label."""

    def loss(self, ops, parameters, batch, labels):
        """Whatever it has itself."""
        own = super().loss(ops, parameters, batch, labels)
        return own + previous(ops, labels[:, :, self.classes - 1], batch.n)


class AnotherLabelOnly(TabularModel):
    """Sentence n pays if the one before has another label."""

    def loss(self, ops, parameters, batch, labels):
        """The mean embedding is not read: labels alone couple."""
        own = super().loss(ops, parameters, batch, labels)
        before = ops.concatenate([labels[:, :1], labels[:, : batch.n - 1]], axis=1)
        return own + 1.0 - ops.sum(labels * before, axis=-1)


class TwoLabelsOnly(TabularModel):
    """Sentence n pays if it has the last label and the one before has the first."""

    def loss(self, ops, parameters, batch, labels):
        """No way to label two sentences alike, or one further each, shows it."""
        own = super().loss(ops, parameters, batch, labels)
        last, first = labels[:, :, self.classes - 1], labels[:, :, 0]
        return own + last * previous(ops, first, batch.n)


class ThroughLogQ(TabularModel):
    """The classifier's logits are centred over the batch."""

    def log_q(self, ops, parameters, batch):
        """By a mean of all sentences' log probabilities."""
        own = super().log_q(ops, parameters, batch)
        return ops.log_softmax(own - ops.sum(own, axis=0, keepdims=True) / batch.n)


class ThroughLogQBackwards(TabularModel):
    """log q has the values that it should have, and another gradient."""

    def log_q(self, ops, parameters, batch):
        """A difference that is zero."""
        own = super().log_q(ops, parameters, batch)
        leak = 0.1 * ops.sum(own, axis=0, keepdims=True)
        return own + leak - ops.stop_gradient(leak)


class DividedByN(TabularModel):
    """L is divided by the number of sentences."""

    def loss(self, ops, parameters, batch, labels):
        """Right as a batch's mean, and not as a sentence's L."""
        return super().loss(ops, parameters, batch, labels) / batch.n


class BatchStatistics(TabularModel):
    """The label-dependent layer is centred over the batch."""

    def __init__(self, **fields):
        super().__init__(**fields | {"batch_statistics": True})


#: model, what the message says has moved.
COUPLED = [
    (PaysForThePrevious, "L of sentence"),
    (PaysForTheNext, "L of sentence"),
    (PaysForTheThird, "L of sentence"),
    (OnlyForwards, "L of sentence"),
    (OnlyBackwards, "the gradient of log q and L by"),
    (OneLabelOnly, "L of sentence"),
    (AnotherLabelOnly, "L of sentence"),
    (TwoLabelsOnly, "L of sentence"),
    (ThroughLogQ, "log q of sentence"),
    (ThroughLogQBackwards, "the gradient of log q and L by"),
    (DividedByN, "L of sentence"),
    (BatchStatistics, "L of sentence"),
]


def subject_of(kind, seed, n=3):
    """A model of the kind on n sentences."""
    case = typical_tabular(np.random.default_rng(seed), sentences=(n, n), supports=False)
    made = case.subject()
    return made.replace(model=kind(**vars(made.model)))


def one_by_one(subject):
    """Moments of the note's estimate, enumerated a sentence at a time."""
    return _enumerated(subject, estimate_moments.per_example)


def _enumerated(subject, enumerate_moments):
    bench = Bench(load("autograd"))
    given = FORMS["one-pass"], BASELINES["none"], subject, {}, reference(subject).log_q
    return enumerate_moments(bench, *given)


#: All that adds up over sentences.
WAYS = {
    "one by one": one_by_one,
    "parabola": lambda subject: quadratics(reference(subject)),
    "table of the reference": lambda subject: of_reference(reference(subject)),
    "witness": lambda subject: moments_table(subject, path="witness"),
}
ENGINE = {
    "table": moments_table,
    "table, general": lambda subject: moments_table(subject, path="general"),
    "entries": entry_moments,
    "entries, general": lambda subject: entry_moments(subject, path="general"),
}
EACH_WAY = [*WAYS, *(pytest.param(way, marks=pytest.mark.torch) for way in ENGINE)]


@pytest.mark.parametrize("way", EACH_WAY)
@pytest.mark.parametrize(("kind", "what"), COUPLED, ids=[kind.__name__ for kind, _ in COUPLED])
def test_a_coupled_model_is_refused(kind, what, way):
    """Whichever way moments are had, and however sentences enter each other's cost."""
    message = rf"sentences enter each other's cost: {what} .* is off by .* enumerate .* jointly"
    with pytest.raises(ValueError, match=message):
        (WAYS | ENGINE)[way](subject_of(kind, seed=1))


@pytest.mark.parametrize("n", [2, 3])
def test_all_ways_to_label_a_few_sentences_are_tried(n):
    """What two of them need for it to show: the first label before the last one."""
    with pytest.raises(ValueError, match="sentences enter each other's cost: L of sentence"):
        check_independent(subject_of(TwoLabelsOnly, seed=1, n=n))


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 9),
    kind=st.sampled_from([kind for kind, _ in COUPLED]),
)
def test_it_is_refused_whatever_the_parameters_and_the_batch(seed, n, kind):
    """But for what needs three sentences, and has two."""
    subject = subject_of(kind, seed, n)
    if kind is PaysForTheThird and n == 2:
        check_independent(subject)
        return
    with pytest.raises(ValueError, match="sentences enter each other's cost"):
        check_independent(subject)


def test_a_coupled_model_is_enumerated_jointly():
    """No refusal there, and the mean is that of the definition: the gradient of E[sum of L]."""
    subject = subject_of(PaysForThePrevious, seed=2)
    found = _enumerated(subject, estimate_moments.joint)
    assert found.draws == subject.model.classes**3
    assert all(np.isfinite(value).all() for value in found.variance.values())


@pytest.mark.parametrize("n", [MOST_SENTENCES + 1, 3 * MOST_SENTENCES])
def test_a_large_batch_is_looked_at_from_both_ends(n):
    """Neighbours that pay for each other are found, and those that do not are left alone."""
    with pytest.raises(ValueError, match="sentences enter each other's cost"):
        check_independent(subject_of(PaysForThePrevious, 3, n))
    check_independent(subject_of(TabularModel, 3, n))


@pytest.mark.torch
def test_a_subject_is_looked_at_once():
    """What was found apart stays so, and another subject is another one."""
    subject = subject_of(TabularModel, 4)
    check_independent(subject)
    asked = []

    class Counting:
        def __getattr__(self, name):
            asked.append(name)
            return getattr(load("torch"), name)

    check_independent(subject, Counting())
    assert not asked
    check_independent(subject.replace(name="another"), Counting())
    assert asked


def small(kind, seed):
    """A small sequence model on three sentences."""
    rng = np.random.default_rng(seed)
    more = {"auxiliary": 2} if kind is SeqDGMA else {}
    model = kind(3, 9, width=2, hidden=2, latent=2, **more)
    mask = np.arange(3) < rng.integers(1, 4, (3, 1))
    batch = make_batch(rng.integers(0, 9, (3, 3)), mask, noise=model.noise(rng, 3, 3))
    return Subject(model, model.initial(rng), batch)


SUBJECTS = st.one_of(
    tabular_cases().map(lambda case: dataclasses.replace(case, dtype="float64").subject()),
    st.builds(small, st.sampled_from([SeqDGM, SeqDGMA]), st.integers(0, 2**32 - 1)),
)


def variances(subject):
    """The variance of each entry without a baseline, by the way that it was had."""
    known = reference(subject)
    nothing = np.zeros(subject.batch.n)
    found = {
        "one by one": one_by_one(subject).variance,
        "parabola": quadratics(known).variance(nothing),
    }
    if subject.model.classes**subject.batch.n <= 81:  # so that a drawn case takes no second
        found["jointly"] = _enumerated(subject, estimate_moments.joint).variance
    return known, found


def size_of(known, name):
    """What the variance of an entry is made of: the largest second moment of a sentence, summed."""
    log_q = np.where(known.probability > 0.0, known.log_q, 0.0)
    weight = (np.abs(known.loss) + np.abs(log_q) + 1.0).reshape(
        *known.loss.shape, *[1] * (known.score[name].ndim - 2)
    )
    largest = (weight * np.abs(known.score[name]) + np.abs(known.pathwise[name])) ** 2
    return float(largest.max(axis=1).sum(axis=0).max()) + 1.0


#: A hundred roundings or so, relative to what is added up and not to what is left of it.
SAME = 1e-14


@given(subject=SUBJECTS)
@settings(max_examples=25)
def test_ordinary_models_have_one_variance_on_all_ways(subject):
    """Jointly, one by one and as a parabola, in NumPy: to rounding of what they are made of."""
    known, found = variances(subject)
    for way, variance in found.items():
        for name, expected in found["parabola"].items():
            error = np.abs(variance[name] - expected).max()
            assert error <= SAME * size_of(known, name), (way, name)


@pytest.mark.torch
@given(subject=SUBJECTS, path=st.sampled_from(["auto", "general"]))
@settings(max_examples=25)
def test_the_fast_ways_have_it_too(subject, path):
    """Each entry's, and the total of a table's groups."""
    known, found = variances(subject)
    expected = found["parabola"]
    entries = entry_moments(subject, {"none": np.zeros(subject.batch.n)}, path=path).at["none"]
    for name, variance in entries.items():
        assert np.abs(variance - expected[name]).max() <= SAME * size_of(known, name), name
    table = moments_table(subject, path=path).quadratics().variance(np.zeros(subject.batch.n))
    for group, variance in table.items():
        names = [name for name in expected if name.split(".")[0] == group]
        total = sum(expected[name].sum() for name in names)
        size = sum(size_of(known, name) * expected[name].size for name in names)
        assert abs(variance.sum() - total) <= SAME * size, group
