"""Each baseline's value, written out, and how much of the score part it leaves."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.backends import load
from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.baselines.batch_mean import RunningMean
from gradproof.estimators.baselines.learned import LearnedBaseline
from gradproof.estimators.baselines.protocol import BaselineBatch, BaselineInput
from gradproof.estimators.baselines.running import AveragingBaseline
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import from_arrays, make_batch
from gradproof.reference_models.tabular import TabularModel

each_backend = pytest.mark.parametrize(
    "backend",
    [
        "autograd",
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("theano", marks=pytest.mark.theano),
    ],
)
each_baseline = pytest.mark.parametrize("name", BASELINES)
seeds = st.integers(0, 2**32 - 1)
EPSILON = np.finfo(float).eps
MODEL = TabularModel(2, 4, 2)


@functools.lru_cache
def bench(backend):
    """One bench a backend, so that a symbolic framework compiles once for each baseline."""
    return Bench(load(backend))


def subject_of(seed, n):
    """Some sentences of a tabular model with two labels."""
    rng = np.random.default_rng(seed)
    model = MODEL
    mask = np.arange(2) < rng.integers(1, 3, (n, 1))
    batch = make_batch(rng.integers(0, 4, (n, 2)), mask, noise=model.noise(rng, n, 2))
    return Subject(model, model.initial(rng), batch)


@dataclasses.dataclass(frozen=True)
class Value:
    """A baseline's value as a build; the losses are an input."""

    name: str
    n: int

    def __call__(self, ops, parameters, inputs):
        """B of each sentence."""
        batch = from_arrays(self.n, 2, inputs)
        seen = BaselineInput(ops, MODEL, parameters, batch, inputs, inputs["loss"])
        return {"value": BASELINES[self.name].value(seen)}


def mean_embedding(subject, n):
    """The mean embedding of sentence n, entry by entry."""
    tokens = subject.batch.tokens[n, : int(subject.batch.mask[n].sum())]
    columns = subject.parameters["e.embedding"][tokens].T
    return [math.fsum(column) / len(tokens) for column in columns]


def mean(numbers):
    """The arithmetic mean."""
    return math.fsum(numbers) / len(numbers)


def affine(known, subject, n):
    """Bias and weights of the length and the mean embedding, where there are any."""
    length = [float(subject.batch.mask[n].sum())]
    parts = zip(
        known.get("length", []) + known.get("weight", []),
        ("length" in known) * length + ("weight" in known) * mean_embedding(subject, n),
        strict=True,
    )
    return math.fsum([known.get("bias", 0.0), *(w * x for w, x in parts)])


def network(known, subject, n):
    """The affine form, and a hidden layer."""
    embedded = mean_embedding(subject, n)
    units = [
        math.tanh(math.fsum([shift, *(w * x for w, x in zip(column, embedded, strict=True))]))
        for shift, column in zip(known["shift"], zip(*known["hidden"], strict=True), strict=True)
    ]
    return math.fsum(
        [affine(known, subject, n), *(w * x for w, x in zip(known["out"], units, strict=True))]
    )


def expected_return(subject, n):
    """The mean of L + log q + 1 over the labels."""
    known = reference(subject)
    return math.fsum(known.probability[n] * (known.loss[n] + known.log_q[n] + 1.0))


#: By baseline: B of sentence n, from lambda, the losses and the subject.
VALUES = {
    "none": lambda known, losses, n, subject: 0.0,
    "constant": lambda known, losses, n, subject: known["bias"],
    "per-token": lambda known, losses, n, subject: affine(known, subject, n),
    "mean-loss": lambda known, losses, n, subject: known["bias"],
    "affine-length": lambda known, losses, n, subject: affine(known, subject, n),
    "affine-embedding": lambda known, losses, n, subject: affine(known, subject, n),
    "affine-both": lambda known, losses, n, subject: affine(known, subject, n),
    "mlp": lambda known, losses, n, subject: network(known, subject, n),
    "expected-return": lambda known, losses, n, subject: expected_return(subject, n),
    "batch-mean": lambda known, losses, n, subject: mean(losses),
    "leave-one-out": lambda known, losses, n, subject: mean([*losses[:n], *losses[n + 1 :]] or [0]),
    "running-mean": lambda known, losses, n, subject: known["mean"],
    "running-mean-first": lambda known, losses, n, subject: (
        0.75 * known["mean"] + 0.25 * mean(losses)
    ),
}
VALUES["live"] = VALUES["affine-embedding"]


@each_backend
@each_baseline
@given(seed=seeds, n=st.integers(1, 3))
def test_values_are_those_written_out(backend, name, seed, n):
    """B of each sentence is what its formula says, one number a sentence, in every framework."""
    subject = subject_of(seed, n)
    rng = np.random.default_rng(seed)
    known, losses = BASELINES[name].initial(rng, 2), rng.standard_normal(n)
    inputs = subject.batch.arrays() | known | {"loss": losses}
    found = bench(backend).values(Value(name, n), subject, inputs)["value"]
    assert found.shape == (n,)
    plain = {key.removeprefix("lambda."): value.tolist() for key, value in known.items()}
    expected = [VALUES[name](plain, losses.tolist(), row, subject) for row in range(n)]
    size = 1.0 + sum(np.abs(value).sum() for value in (*known.values(), losses))
    size *= 2.0 + np.abs(subject.parameters["e.embedding"]).max()  # lengths are 1 or 2
    # At most some sixty operations: a mean, eight units of five and a tanh, and sums of these.
    bound = 64 * EPSILON * size
    if name == "expected-return":  # all that the model does, for each label
        bound = 8.0 * reference(subject).value_bound()
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=bound)


@each_baseline
def test_a_baseline_is_known_by_its_name(name):
    """Rows have names of their own; lambda goes by names that are no parameter of a model."""
    baseline = BASELINES[name]
    assert baseline.name == name
    known = baseline.initial(np.random.default_rng(0), 3)
    assert all(key.startswith("lambda.") for key in known)
    assert name in VALUES
    assert len(set(BASELINES.values())) == len(BASELINES)


def test_one_baseline_is_live():
    """All but the one that is wrong on purpose are held."""
    assert [name for name, baseline in BASELINES.items() if not baseline.held] == ["live"]


@each_baseline
@given(seed=seeds)
def test_only_coupled_baselines_read_the_losses(name, seed):
    """A baseline that does not couple sentences is the same whatever labels are drawn."""
    subject = subject_of(seed, 3)
    rng = np.random.default_rng(seed)
    known, losses = BASELINES[name].initial(rng, 2), rng.standard_normal(3)
    ops = AutogradOps()

    def value(losses):
        inputs = subject.batch.arrays() | known
        seen = BaselineInput(ops, MODEL, subject.parameters, subject.batch, inputs, losses)
        return BASELINES[name].value(seen)

    before = value(losses)
    for n in range(3):
        changed = value(losses + np.eye(3)[n])
        if not BASELINES[name].coupled:
            np.testing.assert_array_equal(changed, before)
        if name == "leave-one-out":  # never the sentence's own; the others' by half
            assert abs(changed[n] - before[n]) <= 8 * EPSILON * (1.0 + np.abs(losses).sum())
            assert (np.delete(changed - before, n) > 0.25).all()


#: The share of the score part that is left, by N.
KEPT = {
    "batch-mean": lambda n: 1 - 1 / n,
    "leave-one-out": lambda n: 1.0,
    "running-mean": lambda n: 1.0,
    "running-mean-first": lambda n: 1 - 0.25 / n,
}


@pytest.mark.parametrize("name", KEPT)
@given(seed=seeds, n=st.integers(1, 3))
def test_the_share_that_is_kept_is_the_share_that_is_left(name, seed, n):
    """E[(L - B) score], enumerated, is the stated share of E[L score]: 1 where B is unbiased."""
    baseline = BASELINES[name]
    assert baseline.kept_share(n) == pytest.approx(
        KEPT[name](n), rel=EPSILON
    )  # the same two operations
    subject = subject_of(seed, n)
    known = reference(subject)
    extra = baseline.initial(np.random.default_rng(seed), 2)
    found = estimate_moments.joint(
        bench("autograd"), FORMS["score-of-loss"], baseline, subject, extra, known.log_q
    )
    assert found.draws == 2**n
    largest = np.abs(known.loss).max() + sum(np.abs(value) for value in extra.values())
    for parameter, score in known.score.items():
        whole = np.tensordot(known.probability * known.loss, score, axes=2)
        apart = np.abs(found.mean[parameter] - baseline.kept_share(n) * whole).max()
        assert apart <= known.bound(parameter, extra=largest), parameter


@given(decay=st.integers(0, 8).map(lambda eighths: eighths / 8), n=st.integers(1, 4), seed=seeds)
def test_a_running_mean_forgets_by_its_decay(decay, n, seed):
    """At decay 0 a mean that is updated first is the batch's, at decay 1 it never learns."""
    rng = np.random.default_rng(seed)
    baseline = RunningMean(decay=decay, update_first=True)
    losses, old = rng.standard_normal(n), np.array(rng.standard_normal())
    subject = subject_of(seed, n)
    seen = BaselineInput(AutogradOps(), MODEL, {}, subject.batch, {"lambda.mean": old}, losses)
    found = baseline.value(seen)
    expected = decay * old + (1 - decay) * mean(losses)
    size = 1.0 + np.abs(old) + np.abs(losses).sum()
    assert np.abs(found - expected).max() <= 8 * EPSILON * size  # two products, a mean, a sum
    assert baseline.kept_share(n) == pytest.approx(
        1 - (1 - decay) / n, rel=EPSILON
    )  # the same again


# ------------------------------------------------------------------ learning

LEARNED = [name for name, of in BASELINES.items() if isinstance(of, LearnedBaseline)]
NETS = [name for name in LEARNED if not isinstance(BASELINES[name], AveragingBaseline)]


def sentences(rng, n=5, width=2):
    """Sentences as a trainer hands them over, with what the step returned."""
    lengths = rng.integers(1, 9, n).astype(float)
    losses = 10.0 * rng.standard_normal(n)
    tokens = np.zeros((n, 8), int)
    return BaselineBatch(tokens, tokens + 1.0, lengths, rng.standard_normal((n, width)), losses)


@each_baseline
@given(seed=seeds)
def test_learning_keeps_the_names_and_shapes(name, seed):
    """Lambda after a step can stand where it stood before, in a checkpoint say; the old is left."""
    rng = np.random.default_rng(seed)
    baseline, x = BASELINES[name], sentences(rng)
    before = baseline.initial(rng, 2)
    copies = {key: value.copy() for key, value in before.items()}
    after = baseline.updated(before, x, x.losses + 1.0)
    assert {key: np.shape(value) for key, value in after.items()} == {
        key: np.shape(value) for key, value in before.items()
    }
    for key, value in before.items():
        np.testing.assert_array_equal(value, copies[key])
    unlearned = {"none", "expected-return", "batch-mean", "leave-one-out"}
    moved = any((after[key] != value).any() for key, value in before.items())
    assert moved == (name not in unlearned)


@pytest.mark.parametrize("name", NETS)
@given(seed=seeds, scale=st.integers(-3, 6), rate=st.sampled_from([0.1, 1.0, 1.9]))
def test_a_step_never_makes_the_error_larger(name, seed, scale, rate):
    """On its own batch, whatever the size of the returns and the features, and at any rate."""
    rng = np.random.default_rng(seed)
    baseline, x = dataclasses.replace(BASELINES[name], rate=rate), sentences(rng)
    x = dataclasses.replace(x, embedded=10.0**scale * x.embedded)
    returns, lam = 10.0**scale * rng.standard_normal(5), baseline.initial(rng, 2)
    errors = []
    for _ in range(5):
        errors.append(np.sum((returns - baseline.value_of(AutogradOps(), lam, x.features)) ** 2))
        lam = baseline.updated(lam, x, returns)
    assert np.isfinite(errors).all()
    assert (np.diff(errors) <= 0.0).all()


@given(seed=seeds)
def test_learning_comes_closer_to_what_there_is_to_learn(seed):
    """Where the returns are affine, lambda is never further from the truth after a step."""
    rng = np.random.default_rng(seed)
    baseline = BASELINES["affine-both"]
    truth, lam = baseline.initial(rng, 2), baseline.initial(rng, 2)
    distances = []
    for _ in range(20):
        distances.append(sum(float(np.sum((lam[key] - truth[key]) ** 2)) for key in truth))
        x = sentences(rng)
        lam = baseline.updated(lam, x, baseline.value_of(AutogradOps(), truth, x.features))
    assert (np.diff(distances) <= 64 * EPSILON * distances[0]).all()  # rounding of some sums
    assert distances[-1] < distances[0]


@given(seed=seeds)
def test_running_means_learn_by_their_decay(seed):
    """d b + (1 - d) new, of the mean loss, or of all losses over all tokens."""
    rng = np.random.default_rng(seed)
    x = sentences(rng)
    by_hand = {
        "running-mean": ("lambda.mean", 0.75, mean(x.losses)),
        "running-mean-first": ("lambda.mean", 0.75, mean(x.losses)),
        "mean-loss": ("lambda.bias", 0.9, mean(x.losses)),
        "per-token": ("lambda.length", 0.99, math.fsum(x.losses) / math.fsum(x.lengths)),
    }
    for name, (key, decay, new) in by_hand.items():
        before = BASELINES[name].initial(rng, 2)
        after = BASELINES[name].updated(before, x, x.losses)
        expected = decay * before[key] + (1.0 - decay) * new
        size = 1.0 + np.abs(before[key]).max() + np.abs(x.losses).sum()
        assert np.abs(after[key] - expected).max() <= 16 * EPSILON * size  # two sums of five


@pytest.mark.parametrize("name", [*LEARNED, "running-mean"])
def test_a_step_without_numbers_is_an_error(name):
    """NaN learned would be NaN for good; the message says where it is."""
    x = sentences(np.random.default_rng(0))
    wrong = dataclasses.replace(x, losses=np.array([1.0, np.nan, 1.0, 1.0, 1.0]))
    lam = BASELINES[name].initial(np.random.default_rng(0), 2)
    with pytest.raises(ValueError, match=r"(returns|losses) is nan at \(1,\), expected a finite"):
        BASELINES[name].updated(lam, wrong, wrong.losses)
    short = dataclasses.replace(x, losses=np.ones(4))
    with pytest.raises(ValueError, match=r"has shape \(4,\), expected \(5,\): one row for each"):
        BASELINES[name].updated(lam, short, short.losses)


@pytest.mark.parametrize("rate", [0.0, 2.0, -1.0, math.nan])
def test_a_rate_that_learns_nothing_or_too_much_is_an_error(rate):
    """Between 0 and 2, where a step makes the error smaller."""
    with pytest.raises(ValueError, match="expected a number between 0 and 2"):
        dataclasses.replace(BASELINES["mlp"], rate=rate)
