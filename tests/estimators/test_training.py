"""Training: its gradient is the one that is verified, and every state can be gone on from."""

import dataclasses
import functools
import importlib.util
import json
import os

import numpy as np
import pytest

from gradproof.checks.variance.training import train
from gradproof.estimators.backends import BackendMissing
from gradproof.estimators.backends.autograd_backend import AutogradBackend
from gradproof.estimators.backends.torch_training import torch_training
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.baselines.constant import Constant
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.builds import ModelBuild
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.training import checkpoint as files
from gradproof.estimators.training.step import (
    TrainingDiverged,
    accuracy,
    advance,
    batch_of,
    cost_of,
    draw_batches,
    draw_labels,
    draw_two_labels,
    initial_state,
    largest_class,
    log_q,
    look,
    step_weights,
)
from gradproof.estimators.training.training_options import (
    FORMER,
    TRAINABLE_FORMS,
    Schedule,
    TrainingOptions,
    check_baseline,
    make_task,
    options_from,
)
from gradproof.estimators.training.unlabelled import ENUMERATION, ESTIMATORS, SAMPLED
from gradproof.reference_models import objective
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import one_hot

WRONG = ("live", "batch-mean", "running-mean-first")

TEXTS = "text,label\n" + "".join(
    f"{first}{second},{first}\n" for first in "ab" for second in ("ab", "ba", "bb", "aa", "b", "a")
)

SMALL = {
    "width": 2,
    "hidden": 2,
    "latent": 2,
    "auxiliary": 2,
    "labelled": 4,
    "held_out": 3,
    "batch": 2,
    "labelled_batch": 2,
    "alpha": 3.0,
    "unit": "character",
}

each_model = pytest.mark.parametrize("model", ["seqdgm", "seqdgm-a"])


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A file of twelve short texts in two classes."""
    path = tmp_path_factory.mktemp("text") / "texts.csv"
    path.write_text(TEXTS, encoding="utf-8")
    return str(path)


@pytest.fixture
def folder(tmp_path):
    """Where a run is to be written."""
    return tmp_path / "run"


def small(text, **changes):
    """A task of few parameters on that file."""
    return make_task(TrainingOptions(data=text, **SMALL | changes))


def same(one, other):
    """Whether arrays by name are the same to the last bit; they must not be none."""
    assert one
    assert set(one) == set(other)
    return all(np.array_equal(one[name], other[name]) for name in one)


class Choosing:
    """A generator whose next uniform numbers make the labels that were chosen."""

    def __init__(self, labels, q):
        self.labels, self.q = labels, q

    def random(self, shape):
        """The middle of each label's part of the unit interval."""
        assert shape == (len(self.labels), 1)
        rows = np.arange(len(self.labels))
        ends = np.cumsum(self.q, axis=1)[rows, self.labels]
        return (ends - self.q[rows, self.labels] / 2.0)[:, None]


@dataclasses.dataclass(frozen=True)
class Batches:
    """What a step is taken on, and what is known exactly of it: the gradient of C, and its bound.

    ``bounds`` takes what else enters the weight of the score, and gives a number by name.
    """

    known: object
    unlabelled: object
    gradient: object
    bounds: object
    unlabelled_weight: float


@functools.lru_cache
def batches_of(text, model):
    """The batches of a step from the initial parameters, which all runs of a model begin with."""
    task = small(text, model=model)
    parameters, alpha = initial_state(task).parameters, task.options.alpha
    known, unlabelled = draw_batches(task, np.random.default_rng(0))
    build = ModelBuild(_supervised, _Weighted(task.model, alpha), known.n, known.t)
    inputs = known.arrays() | {"draw": one_hot(known.labels, task.model.classes)}
    labelled = AutogradBackend().differentiate(build, parameters, inputs, tuple(parameters))
    part = labelled(parameters, inputs)
    exact, other = (
        reference(Subject(task.model, parameters, batch)) for batch in (unlabelled, known)
    )
    # Of twelve texts 4 are labelled, 3 held out and 5 left; a step takes two of either kind.
    known_weight, weight = 4 / 2 / (4 + 5), 5 / 2 / (4 + 5)
    gradient = {name: known_weight * part[name] + weight * exact.gradient[name] for name in part}

    def bounds(extra=0.0):
        # Of the labelled part as of an estimate at that label: the weight of the score is alpha.
        return {
            name: weight * exact.bound(name, extra) + known_weight * other.bound(name, alpha)
            for name in part
        }

    return Batches(known, unlabelled, gradient, bounds, weight)


@dataclasses.dataclass(frozen=True)
class _Weighted:
    model: object
    alpha: float


def _supervised(ops, weighted, parameters, batch, inputs):
    model, alpha = weighted.model, weighted.alpha
    return ops.sum(objective.labelled(ops, model, parameters, batch, inputs["draw"], alpha))


def gradient(task, of, rng=None):
    """The gradient that a step takes on given batches, and the values beside it."""
    state = initial_state(task)
    cost, inputs = cost_of(task, state, of.known, of.unlabelled, rng)
    return torch_training().gradient_and_values(cost, state.parameters, inputs)


@pytest.mark.torch
@each_model
def test_an_enumerated_step_has_the_exact_gradient(text, model):
    """C of a batch is differentiated as the reference differentiates its two parts, over N."""
    task, of = small(text, model=model, estimator=ENUMERATION), batches_of(text, model)
    found, values = gradient(task, of)
    bounds = of.bounds()
    assert set(found) == set(of.gradient) == set(task.model.initial(np.random.default_rng(0)))
    for name, value in of.gradient.items():
        assert np.abs(value).max() > 100.0 * bounds[name], f"{name}: an error could not be seen"
        assert np.abs(found[name] - value).max() <= bounds[name], name
    assert np.isfinite(values["value"])


@pytest.mark.torch
def test_a_step_that_weighs_all_alike_divides_by_their_number(text):
    """As the released code does; the value is weighed as the gradient is."""
    task, of = small(text, weights="batch", estimator=ENUMERATION), batches_of(text, "seqdgm")
    other = small(text, estimator=ENUMERATION)
    assert step_weights(task, 2, 2) == (1 / 4, 1 / 4)
    assert step_weights(other, 2, 2) == pytest.approx((2 / 9, 5 / 18))  # of one rounding or two
    alike, weighed = gradient(task, of)[0], gradient(other, of)[0]
    assert any(np.abs(alike[name] - weighed[name]).max() > 1e-3 for name in alike)  # of parts in 10
    with pytest.raises(ValueError, match="weights = 'c2', expected c or batch"):
        TrainingOptions(weights="c2")


@pytest.mark.torch
@pytest.mark.parametrize("baseline", [name for name in BASELINES if name not in WRONG])
@pytest.mark.parametrize("form", TRAINABLE_FORMS)
def test_a_sampled_step_has_that_gradient_in_the_mean(text, baseline, form):
    """Over all ways to draw two labels, weighed: each form with each baseline that is allowed."""
    task = small(text, model="seqdgm-a", estimator=SAMPLED, baseline=baseline, form=form)
    of, state = batches_of(text, "seqdgm-a"), initial_state(task)
    q = np.exp(log_q(task, state.parameters, of.unlabelled))
    largest = 0.0

    def estimate(draw):
        nonlocal largest
        found, values = gradient(task, of, Choosing(draw.argmax(axis=1), q))
        largest = max(largest, np.abs(values["returns"]).max())
        return found

    found = estimate_moments.enumerate_draws(estimate, q)
    assert found.draws == 4
    # B is of the size of returns and of lambda times lengths of at most four; it enters the weight.
    lambda_ = sum(float(np.abs(value).sum()) for value in state.lambda_.values())
    bounds = of.bounds(extra=largest + 4.0 * lambda_)
    for name, value in of.gradient.items():
        assert np.abs(value).max() > 100.0 * bounds[name], f"{name}: an error could not be seen"
        assert np.abs(found.mean[name] - value).max() <= bounds[name], name
    assert max(array.max() for array in found.variance.values()) > 0.0, "nothing was drawn"


def mean_over_labels(task, of, choosing=Choosing, which=lambda of_step: of_step[0]):
    """The mean over the labels drawn for the sentences without one: of a step's gradient, say."""
    q = np.exp(log_q(task, initial_state(task).parameters, of.unlabelled))
    return estimate_moments.enumerate_draws(
        lambda draw: which(gradient(task, of, choosing(draw.argmax(axis=1), q))), q
    ).mean


def compare_with(found, expected, bounds):
    """Whether two gradients by name differ by rounding alone."""
    return {name: np.abs(found[name] - expected[name]).max() <= bounds[name] for name in expected}


#: What B and L/|x| add to the weight of the score: lambda is below 6, and lengths below 5.
EXTRA = 30.0


@pytest.mark.torch
@pytest.mark.parametrize("estimator", ["s1", "no-baseline"])
def test_released_steps_of_one_label_have_that_gradient_too(text, estimator):
    """S1, and no baseline: the entropy differentiated, and nothing that biases."""
    task, of = small(text, estimator=estimator), batches_of(text, "seqdgm")
    assert all(compare_with(mean_over_labels(task, of), of.gradient, of.bounds(EXTRA)).values())


@pytest.mark.torch
def test_the_released_default_keeps_the_share_of_each_length(text):
    """1/|x| of E[L s] of each sentence, as claim released.reward derives, and no more."""
    task, of = small(text, estimator="s1-normalised"), batches_of(text, "seqdgm")
    found, bounds = mean_over_labels(task, of), of.bounds(EXTRA)
    known = reference(Subject(task.model, initial_state(task).parameters, of.unlabelled))
    lost = known.probability * known.loss
    lost *= (1.0 - 1.0 / of.unlabelled.mask.sum(axis=1))[:, None]
    each = of.unlabelled_weight
    expected = {
        name: value - each * np.tensordot(lost, known.score[name], axes=2)
        for name, value in of.gradient.items()
    }
    assert all(compare_with(found, expected, bounds).values())
    assert not all(compare_with(found, of.gradient, bounds).values()), "nothing was lost"


class Both(Choosing):
    """Of two labels the first as chosen; what is left is sure."""

    def random(self, shape):
        """Once from q; then anything."""
        made = super().random(shape)
        self.q = 1.0 - np.eye(2)[self.labels]
        self.labels = 1 - self.labels
        return made


@pytest.mark.torch
def test_a_step_of_two_labels_is_exact_where_there_are_no_more(text):
    """Both are always drawn, in either order, and their weights are their probabilities."""
    task, of = small(text, estimator="s2"), batches_of(text, "seqdgm")
    bounds = {name: 2.0 * bound for name, bound in of.bounds(EXTRA).items()}  # two labels
    assert all(compare_with(mean_over_labels(task, of, Both), of.gradient, bounds).values())


@pytest.mark.torch
@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize(
    "options",
    [
        {"form": "one-pass"},
        {"form": "analytic-entropy"},
        {"estimator": "s1"},
        {"estimator": "s2"},
        {"estimator": "no-baseline"},
        {"estimator": ENUMERATION},
    ],
    ids=lambda options: "-".join(options.values()),
)
def test_every_estimator_weighs_the_entropy(text, options, weight):
    """In the mean a step's gradient, and its value, are those of E[L + weight log q]."""
    task, of = small(text, entropy_weight=weight, **options), batches_of(text, "seqdgm")
    known = reference(Subject(task.model, initial_state(task).parameters, of.unlabelled))
    slope = known.probability * (known.log_q + 1.0)  # of E[log q], by the score
    left = of.unlabelled_weight * (1.0 - weight)
    expected = {
        name: value - left * np.tensordot(slope, known.score[name], axes=2)
        for name, value in of.gradient.items()
    }
    choosing = Both if options.get("estimator") == "s2" else Choosing
    bounds = {name: 2.0 * bound for name, bound in of.bounds(EXTRA).items()}  # two labels
    found = mean_over_labels(task, of, choosing)
    assert all(compare_with(found, expected, bounds).values())
    assert not all(compare_with(found, of.gradient, bounds).values()), "no weight was seen"
    values = mean_over_labels(task, of, choosing, which=lambda of_step: {"": of_step[1]["value"]})
    whole = gradient(small(text, entropy_weight=weight, estimator=ENUMERATION), of)[1]["value"]
    assert values[""] == pytest.approx(whole, rel=1e-9)  # far above rounding, far below a weight


def test_two_labels_are_drawn_without_replacement():
    """The second is another, also where the first is all but sure; each in its proportion."""
    rng = np.random.default_rng(0)
    q = np.array([0.5, 0.3, 0.2])
    first, second = draw_two_labels(rng, np.log(np.tile(q, (20_000, 1))))
    assert (first != second).all()
    pair = np.mean((first == 0) & (second == 1))
    expected = q[0] * q[1] / (1.0 - q[0])
    # Six standard errors: wrong by chance once in 500 million seeds, and the seed is fixed.
    assert abs(pair - expected) <= 6.0 * np.sqrt(expected * (1.0 - expected) / 20_000)
    sure = np.tile([0.0, -800.0, -801.0], (1000, 1))
    first, second = draw_two_labels(rng, sure)
    assert (first == 0).all()
    assert set(second) == {1, 2}


@pytest.mark.torch
def test_a_baseline_learns_from_the_returns_at_the_labels_drawn(text):
    """``updated`` gets the sentences and L + log q + 1, after the gradient was taken."""
    seen = []

    @dataclasses.dataclass(frozen=True)
    class Recording(Constant):
        def updated(self, lambda_, x, returns):
            seen.append((x, returns))
            return {name: value + 1.0 for name, value in lambda_.items()}

    task = dataclasses.replace(small(text), baseline=Recording())
    state = initial_state(task)
    _, unlabelled = draw_batches(task, _generator(state.batches))
    exact = reference(Subject(task.model, state.parameters, unlabelled))
    labels = draw_labels(_generator(state.draws), exact.log_q)
    after = advance(task, state)
    ((x, returns),) = seen
    rows = np.arange(len(labels))
    expected = (exact.loss + exact.log_q + 1.0)[rows, labels]
    assert np.abs(returns - expected).max() <= 2.0 * exact.value_bound()
    assert np.array_equal(x.tokens, unlabelled.tokens)
    assert np.array_equal(x.lengths, unlabelled.mask.sum(axis=1))
    assert x.embedded.shape == (len(labels), task.options.width)
    assert after.lambda_["lambda.bias"] == state.lambda_["lambda.bias"] + 1.0


def _generator(state):
    rng = np.random.default_rng(0)
    rng.bit_generator.state = state
    return rng


def test_labels_are_drawn_in_proportion_and_none_of_probability_zero():
    """Equally spaced uniform numbers, zero among them, give each label its share."""
    q = np.array([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])

    class Grid:
        def random(self, shape):
            return np.arange(shape[0])[:, None] / shape[0]

    with np.errstate(divide="ignore"):
        drawn = draw_labels(Grid(), np.log(np.tile(q, (400, 1))))
    assert np.bincount(drawn, minlength=6).tolist() == [0, 100, 0, 200, 100, 0]


@pytest.mark.torch
@each_model
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_same_seed_gives_the_same_bits_and_a_look_changes_none(text, model, estimator):
    """Another seed does not."""

    def trained(seed, looking=False):
        baseline = "affine-both" if estimator == SAMPLED else None
        task = small(text, model=model, estimator=estimator, seed=seed, baseline=baseline)
        state = initial_state(task)
        for _ in range(3):
            if looking:
                look(task, state)
            state = advance(task, state)
        return state

    once = trained(1)
    assert same(once.parameters, trained(1, looking=True).parameters)
    if estimator == SAMPLED:  # not all of the others have a lambda
        assert same(once.lambda_, trained(1).lambda_)
    assert not same(once.parameters, trained(2).parameters)


@pytest.mark.torch
def test_sampled_and_enumerated_runs_see_the_same_batches(text):
    """So that what differs between them is the estimator alone."""
    tasks = [small(text, estimator=estimator) for estimator in ESTIMATORS]
    states = {task.options.estimator: advance(task, initial_state(task)) for task in tasks}
    assert len(states) == len(ESTIMATORS)
    enumerated = states.pop(ENUMERATION)
    for state in states.values():
        assert state.batches == enumerated.batches
        assert state.draws != enumerated.draws


@pytest.mark.torch
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(text, folder, tmp_path):
    """Parameters, moments, lambda and generators are the same to the last bit."""
    task = small(text, baseline="mlp")
    schedule = Schedule(steps=5, every=2)
    whole = train(task, folder, schedule)
    short = train(task, tmp_path / "other", Schedule(steps=3, every=2))
    resumed = train(task, tmp_path / "other", schedule, resume=True)
    one, other = (files.read(files.path_of(at, 5)).state for at in (folder, tmp_path / "other"))
    for field in ("parameters", "moments", "lambda_"):
        assert same(getattr(one, field), getattr(other, field))
    assert (one.batches, one.draws, one.step) == (other.batches, other.draws, 5)
    assert whole.steps.tolist() == [0, 2, 4, 5]
    assert short.steps.tolist() == [0, 1, 2, 3]
    # The middle of three steps was a stage, and the end was looked at: both stay in the record.
    assert resumed.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert whole.loss[-1] == resumed.loss[-1]


@pytest.mark.torch
def test_a_write_that_is_interrupted_leaves_the_old_file(text, folder, monkeypatch):
    """Whether it is a full disk or Ctrl-C that ends it."""
    task = small(text)
    train(task, folder, Schedule(steps=1, every=1))
    path = files.path_of(folder, 1)
    before, point = path.read_bytes(), files.read(path)
    for error, expected in (
        (OSError(28, "No space left on device"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):

        def stop(descriptor, error=error):
            raise error

        monkeypatch.setattr(os, "fsync", stop)
        with pytest.raises(expected):
            files.write(folder, dataclasses.replace(point, seconds=7.0))
        assert path.read_bytes() == before
    assert not list(folder.glob(".*")), "a draft was left behind"
    assert files.steps_in(folder) == [0, 1]


def _changed(point, **changes):
    return dataclasses.replace(point, state=dataclasses.replace(point.state, **changes))


def _damaged(path, point, how):
    """Write a checkpoint that cannot be gone on from, or a file that is none."""
    parameters = dict(point.state.parameters)
    name = "w.logits.bias"
    match how:
        case "truncated":
            path.write_bytes(path.read_bytes()[:-100])
        case "empty":
            path.write_bytes(b"")
        case "no zip":
            path.write_bytes(b"hello")
        case "pickle":
            np.savez(path, about=np.array([{}], dtype=object))
        case "other arrays":
            np.savez(path, about=np.array("{}"), x=np.zeros(2))
        case "NaN":
            parameters[name] = np.full_like(parameters[name], np.nan)
            files.write(path.parent, _changed(point, parameters=parameters))
        case "NaN moment":
            moments = dict(point.state.moments)
            moments[f"mean.{name}"] = np.full_like(moments[f"mean.{name}"], np.nan)
            files.write(path.parent, _changed(point, moments=moments))
        case "shape":
            parameters[name] = np.zeros(9)
            files.write(path.parent, _changed(point, parameters=parameters))
        case "no moments":
            files.write(path.parent, _changed(point, moments={}))
        case "no lambda":
            files.write(path.parent, _changed(point, lambda_={}))
        case "lambda":
            files.write(path.parent, _changed(point, lambda_={"lambda.length": np.zeros(3)}))
        case "generator":
            files.write(path.parent, _changed(point, draws={"bit_generator": "dice"}))
        case "text":
            files.write(path.parent, dataclasses.replace(point, fingerprint="0" * 16))


@pytest.mark.torch
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("truncated", "is no checkpoint, or not whole"),
        ("empty", "is no checkpoint, or not whole"),
        ("no zip", "is no checkpoint, or not whole"),
        ("pickle", "is no checkpoint, or not whole .*allow_pickle"),
        ("other arrays", "is no checkpoint, or not whole"),
        ("NaN", r"'w.logits.bias' is nan at \(0,\)"),
        ("NaN moment", "'mean.w.logits.bias' is not finite"),
        ("shape", r"has parameters/w.logits.bias of shape \(9,\), expected \(2,\)"),
        ("no moments", "has moments/mean.e.embedding of shape None"),
        ("no lambda", r"has lambda/lambda.length of shape None, expected \(1,\)"),
        ("lambda", r"has lambda/lambda.length of shape \(3,\), expected \(1,\)"),
        ("generator", "is no checkpoint, or not whole .*PCG64"),
        ("text", "was made with other texts than 'texts' has here"),
    ],
)
def test_a_bad_checkpoint_is_an_error_that_says_what_to_do(text, folder, how, words):
    """Nothing is trained on it, and no file is touched."""
    task, schedule = small(text), Schedule(steps=1, every=1)
    train(task, folder, schedule)
    path = files.path_of(folder, 1)
    _damaged(path, files.read(path), how)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint-1.npz .*{words}") as found:
        train(task, folder, Schedule(steps=2, every=1), resume=True)
    assert any(word in str(found.value) for word in ("delete it", "another"))
    assert path.read_bytes() == before
    assert files.steps_in(folder) == [0, 1]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "seqdgm-a"), ("learning_rate", 0.5), ("seed", 9), ("baseline", "none")],
)
def test_a_checkpoint_of_another_run_is_an_error(text, folder, name, value):
    """The option that differs is named, with both values."""
    train(small(text), folder, Schedule(steps=1, every=1))
    with pytest.raises(ValueError, match=rf"is of a run with {name} = .*, not {value!r}"):
        train(small(text, **{name: value}), folder, Schedule(steps=2, every=1), resume=True)


@pytest.mark.torch
def test_a_folder_with_a_run_is_not_overwritten(text, folder):
    """And one without is not resumed."""
    task, schedule = small(text), Schedule(steps=1, every=1)
    with pytest.raises(ValueError, match="holds no checkpoint to resume from"):
        train(task, folder, schedule, resume=True)
    train(task, folder, schedule)
    with pytest.raises(ValueError, match="holds a run of 1 steps already; --resume"):
        train(task, folder, schedule)


@pytest.mark.torch
def test_fewer_steps_than_were_gone_is_an_error(text, folder):
    """Nothing could be done, and nothing is."""
    train(small(text), folder, Schedule(steps=2, every=1))
    with pytest.raises(ValueError, match="a run of 2 steps, and --steps asks for 1 in all"):
        train(small(text), folder, Schedule(steps=1, every=1), resume=True)


@pytest.mark.torch
def test_training_that_diverges_stops_and_keeps_the_last_checkpoint(text, folder):
    """The message says after which step, and what to change."""
    task = small(text, learning_rate=1e4)
    with pytest.raises(
        TrainingDiverged, match=r"diverged: .* after \d+ steps; .*learning rate below"
    ):
        train(task, folder, Schedule(steps=50, every=1))
    last = files.path_of(folder, files.steps_in(folder)[-1])
    files.check(files.read(last), task, last)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_that_biases_is_refused(name):
    """Those that are wrong on purpose, with the reason; all others may be trained with."""
    if name not in WRONG:
        assert check_baseline(name) is BASELINES[name]
        return
    reason = "reads the shared embeddings live" if name == "live" else "biases the gradient"
    with pytest.raises(ValueError, match=f"baseline '{name}' .*{reason}.* wrong on purpose"):
        TrainingOptions(baseline=name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"baseline": "nope"},
            r"no baseline is called 'nope'; known: none, constant, .* leave-one-out, running-mean$",
        ),
        ({"estimator": "guessed"}, "estimator = 'guessed', expected sampled or s1 or"),
        (
            {"estimator": "s1", "baseline": "mlp"},
            "baseline = 'mlp' with estimator 's1', whose baseline is per-token: leave it out",
        ),
        (
            {"estimator": "s2", "form": "one-pass"},
            "form = 'one-pass' with estimator 's2', whose form is none: leave it out",
        ),
        ({"form": "printed-entropy"}, "expected one-pass or analytic-entropy"),
        ({"batch": 0}, "batch = 0, expected 1 or more"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"alpha": -1.0}, "alpha = -1.0"),
        ({"entropy_weight": -1.0}, "entropy_weight = -1.0, expected 0 or a positive number"),
        ({"entropy_weight": float("nan")}, "entropy_weight = nan, expected 0 or a positive"),
        ({"batch_norm": "live"}, "'live' couples the sentences: .* Take fixed or none"),
        ({"batch_norm": "layer"}, "batch_norm = 'layer', expected none or fixed"),
        ({"dropout": 1.5}, "dropout = 1.5, expected a probability"),
    ],
)
def test_what_cannot_be_trained_with_is_an_error(changes, words):
    """The option, its value and what is expected."""
    with pytest.raises(ValueError, match=words):
        TrainingOptions(**changes)


def test_text_without_sentences_to_learn_from_is_an_error(text):
    """All labelled, or nothing to measure accuracy on."""
    with pytest.raises(ValueError, match="has none unlabelled, expected 1 or more; label fewer"):
        small(text, labelled=9, held_out=3)
    with pytest.raises(ValueError, match="has none held out"):
        small(text, labelled=9, held_out=0)


@pytest.mark.parametrize("changes", [{"steps": 0}, {"every": 0}, {"stages": ("late",)}])
def test_a_schedule_that_is_none_is_an_error(changes):
    """Steps that are too few, and stages that are no steps of the run."""
    with pytest.raises(ValueError, match=r"expected 1 or more|is none of initial, middle, end"):
        Schedule(**changes)


def test_a_schedule_names_its_stages():
    """By word or by step, once each."""
    assert Schedule(steps=10, every=4).measured_steps() == (0, 5, 10)
    assert sorted(Schedule(steps=10, every=4).looks()) == [0, 4, 5, 8, 10]
    assert Schedule(steps=10, stages=("end", "3", "10")).measured_steps() == (3, 10)


def test_options_go_through_json():
    """Written and read back the same; an option more or less is an error."""
    options = TrainingOptions(seed=5, labelled=7)
    written = json.loads(json.dumps(options.as_dict()))
    assert options_from(written) == options
    with pytest.raises(ValueError, match="another version of gradproof"):
        options_from(written | {"more": 1})


def test_options_of_before_there_were_layers_are_read():
    """A checkpoint of SeqDGM-A from then has an LSTM for each of a, y and h, and no layers."""
    written = TrainingOptions(model="seqdgm-a").as_dict()
    for name in FORMER:
        del written[name]
    found = options_from(written)
    assert not found.shared_encoder
    assert (found.input_dropout, found.output_dropout, found.kl_weight) == (0.0, 0.0, 1.0)
    assert (found.batch_norm, found.label_prior, found.entropy_weight) == ("none", True, 1.0)
    with pytest.raises(ValueError, match="another version of gradproof"):
        options_from({name: value for name, value in written.items() if name != "alpha"})


@pytest.mark.torch
def test_a_checkpoint_of_encoders_apart_is_gone_on_from(text, folder):
    """With the option, and not without: one LSTM has other parameters than three."""
    task = small(text, model="seqdgm-a", shared_encoder=False)
    train(task, folder, Schedule(steps=1, every=1))
    assert "w.lstm.bias" in files.read(files.path_of(folder, 1)).state.parameters
    with pytest.raises(ValueError, match="is of a run with shared_encoder = False, not True"):
        train(small(text, model="seqdgm-a"), folder, Schedule(steps=2, every=1), resume=True)
    train(task, folder, Schedule(steps=2, every=1), resume=True)
    assert files.steps_in(folder)[-1] == 2


@pytest.mark.torch
@each_model
def test_dropout_layers_are_drawn_for_each_batch_and_off_where_accuracy_is_measured(text, model):
    """Two batches have different noise; the likeliest labels are those without any."""
    layers = {"input_dropout": 0.5, "output_dropout": 0.5, "batch_norm": "fixed"}
    task = small(text, model=model, kl_weight=0.5, label_prior=False, **layers)
    assert not task.model.label_prior
    state = advance(task, initial_state(task))
    rows, rng = task.prepared.split.unlabelled[:2], np.random.default_rng(0)
    one, other = (batch_of(task, rows, rng).noise for _ in range(2))
    for name in ("dropout.theta.input", "norm.theta.mean"):
        assert (one[name] != other[name]).any()
    without = dataclasses.replace(task.model, input_dropout=0.0, output_dropout=0.0)
    plain = dataclasses.replace(task, model=without)
    assert accuracy(task, state.parameters) == accuracy(plain, state.parameters)


@pytest.mark.torch
def test_a_weight_and_layers_are_kept_by_a_checkpoint(text, folder, tmp_path):
    """A run that was stopped ends where the other does; variances of the weight are refused."""
    options = {"entropy_weight": 0.5, "batch_norm": "fixed", "label_prior": False}
    task = small(text, **options)
    for steps, resume in ((1, False), (2, True)):
        train(task, folder, Schedule(steps=steps, every=1), resume=resume)
    train(task, tmp_path / "whole", Schedule(steps=2, every=2))
    stopped, whole = (files.read(files.path_of(of, 2)) for of in (folder, tmp_path / "whole"))
    assert options.items() <= stopped.options.as_dict().items()
    assert "theta.norm.scale" in stopped.state.parameters
    for name, array in whole.state.parameters.items():
        assert (stopped.state.parameters[name] == array).all(), name
    for name, value in options.items():
        other = small(text, **{key: of for key, of in options.items() if key != name})
        with pytest.raises(ValueError, match=f"is of a run with {name} = {value!r}, not"):
            train(other, folder, Schedule(steps=3, every=1), resume=True)
    with pytest.raises(
        ValueError, match=r"entropy_weight = 0\.5, and exact variances .* of U with"
    ):
        train(task, tmp_path / "stages", Schedule(steps=1), measure=lambda step, parameters: None)
    assert not (tmp_path / "stages").exists()


def test_without_torch_the_message_says_what_installs_it(text, monkeypatch):
    """Before a step is taken."""
    task = small(text)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(BackendMissing, match=r"pip install 'gradproof\[torch\]'"):
        advance(task, initial_state(task))


@pytest.mark.torch
def test_accuracy_is_that_of_the_likeliest_label_without_noise(text):
    """SeqDGM-A is asked at eps_a = 0, so that accuracy is no matter of luck."""
    task = small(text, model="seqdgm-a")
    state = initial_state(task)
    tokens, mask, labels = task.prepared.rows(task.prepared.split.held_out)
    noise = {"eps_a": np.zeros((3, 2)), "eps_h": np.zeros((3, 2)), "keep": np.ones(tokens.shape)}
    exact = reference(Subject(task.model, state.parameters, make_batch(tokens, mask, None, noise)))
    expected = np.mean(exact.log_q.argmax(axis=1) == labels)
    assert accuracy(task, state.parameters) == expected


@pytest.mark.torch
@each_model
def test_names_are_learned(model):
    """After a few steps on real text, far more than the largest class's share are right."""
    sizes = {"hidden": 12, "width": 8, "labelled": 400, "held_out": 500}
    task = make_task(TrainingOptions(model=model, learning_rate=0.01, alpha=300.0, **sizes))
    state = initial_state(task)
    # One encoder for a, y and h takes longer to serve the classifier.
    for _ in range(40 if model == "seqdgm" else 150):
        state = advance(task, state)
    share = largest_class(task)
    # Five standard errors of a share of 500: what learned nothing is there once in three million.
    assert accuracy(task, state.parameters) > share + 5.0 * np.sqrt(share * (1 - share) / 500)
