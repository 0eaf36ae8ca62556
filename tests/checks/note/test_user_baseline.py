"""A baseline of one's own: right ones pass, and each way to be wrong has a verdict of its own."""

import dataclasses
import itertools
import threading

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.checks.note.user_baseline import ADVICE, examine
from gradproof.estimators.backends import load
from gradproof.estimators.baselines.custom import BaselineError
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.tabular import TabularModel


def subject(sentences=2, classes=3):
    """A tabular model on some sentences of different lengths."""
    rng = np.random.default_rng(7)
    model = TabularModel(classes, 4, 2)
    mask = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]])[:sentences]
    batch = make_batch(
        rng.integers(0, 4, mask.shape) * mask,
        mask,
        np.full(sentences, -1),
        model.noise(rng, *mask.shape),
        classes=classes,
    )
    return Subject(model, model.initial(rng), batch, "tabular", 3)


def look(function, *, torch=False, of=None):
    """What is found of a baseline."""
    bench = Bench(load("torch" if torch else "autograd"))
    return examine(function, of or subject(), bench, name="mine", torch=torch, seed=0)


def verdicts(finding):
    """Verdicts by variant; a crash is none."""
    assert not any(found.crash for found in finding.evidence), finding.evidence
    return {found.variant: found.verdict for found in finding.evidence}


#: State that no copy of a function has for itself.
COUNT = itertools.count()


class Running:
    """A running mean of the loss, used before it is updated, or after."""

    def __init__(self, first=False):
        self.first, self.mean = first, 0.5

    def __call__(self, x):
        """The mean, for each sentence."""
        if self.first:
            self.update(x, x.losses)
        return np.full(len(x.losses), self.mean)

    def update(self, x, losses):
        """Learn from a step."""
        self.mean = 0.9 * self.mean + 0.1 * np.mean(losses)


class Fitted:
    """A least-squares line of the return in the length."""

    def __init__(self):
        self.line = np.zeros(2)

    def __call__(self, x):
        """The line, at each sentence."""
        return np.polyval(self.line, x.lengths)

    def fit(self, x, returns):
        """Fit the line."""
        self.line = np.polyfit(x.lengths, returns, 1)


@dataclasses.dataclass
class Unhashable:
    """Compared by its fields, as dataclasses are."""

    level: float = 1.0

    def __call__(self, x):
        """The level, and a scribble over what was read."""
        x.losses[:], x.tokens[:], x.mask[:] = 0.0, 0, 0
        return np.full(len(x.lengths), self.level)


class Later:
    """One thing before it has learned, another after."""

    def __init__(self, then):
        self.then, self.steps = then, 0

    def __call__(self, x):
        """Zeros at first."""
        return self.then(x) if self.steps else 0.0 * self.then(x)

    def update(self, x, losses):
        """Count, and nothing else."""
        self.steps += 1


class Outside:
    """A running mean that its class keeps, so that no copy is one."""

    mean = 0.0

    def __call__(self, x):
        """The mean, for each sentence."""
        return np.full(len(x.losses), self.mean)

    def update(self, x, losses):
        """Learn from a step."""
        type(self).mean = 0.9 * self.mean + 0.1 * np.mean(losses)


class Raises:
    """Right, until it is told of a step."""

    def __call__(self, x):
        """Zeros."""
        return np.zeros(len(x.losses))

    def update(self, x, losses):
        """Look for what is not there."""
        return {}["mean"]


RIGHT = {
    "zero": lambda x: np.zeros(len(x.lengths)),
    "of the length": lambda x: 0.3 * x.lengths,
    "of the embedding": lambda x: x.embedded.sum(axis=1),
    "of the others": lambda x: (x.losses.sum() - x.losses) / max(1, len(x.losses) - 1),
    "of the others, squared": lambda x: (99.0 * (x.losses.sum() - x.losses)) ** 2,
    "unhashable": Unhashable(),
    "running": Running(),
    "fitted": Fitted(),
    "a list": lambda x: [1.0] * len(x.lengths),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_baselines_may_be_used(name):
    """Of the sentence, of the others' draws, and learned before the step."""
    finding = look(RIGHT[name])
    assert finding.usable, verdicts(finding)
    assert set(verdicts(finding).values()) == {HOLDS}
    assert (
        ("own-mean-later" in verdicts(finding))
        == finding.learned
        == (name in ("running", "fitted"))
    )


def test_roundings_of_a_large_baseline_are_no_dependence():
    """Leave-one-out in every unit of measure: its rounding grows with it."""
    for unit in (1e-3, 1e3, 1e6):
        found = look(lambda x, unit=unit: unit * (x.losses.sum() - x.losses))
        assert verdicts(found)["own-draw"] == HOLDS, unit
        own = look(lambda x, unit=unit: unit * x.losses.sum() + 0.0 * x.losses)
        assert verdicts(own)["own-draw"] == REFUTED, unit


MEANS = {"own-mean", "own-mean-shifted"}

#: A baseline, and the verdicts that must be ``refuted`` (all others hold).
WRONG = {
    "the batch's mean": (
        lambda x: np.full(len(x.losses), x.losses.mean()),
        {"own-draw", *MEANS, "own-mean-alone"},
    ),
    "its own loss": (lambda x: x.losses, {"own-draw", *MEANS, "own-mean-alone"}),
    "a thousandth of its own loss": (
        lambda x: 1e-3 * x.losses,
        {"own-draw", *MEANS, "own-mean-alone"},
    ),
    "updated first": (
        Running(first=True),
        {"own-draw", *MEANS, "own-mean-alone", "own-draw-later", "own-mean-later"},
    ),
    "its own loss, once it has learned": (
        Later(lambda x: x.losses),
        {"own-draw-later", "own-mean-later"},
    ),
    "only with one sentence": (
        lambda x: x.losses if len(x.losses) == 1 else np.ones(len(x.losses)),
        {"own-mean-alone"},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_baselines_may_not(name):
    """Each is refuted where it is wrong, and nowhere else."""
    function, wrong = WRONG[name]
    finding = look(function)
    assert not finding.usable
    assert {
        variant for variant, verdict in verdicts(finding).items() if verdict == REFUTED
    } == wrong


@pytest.mark.torch
def test_a_gradient_that_leaks_is_named():
    """In PyTorch a baseline that reads the embeddings live is told by the parameter."""
    finding = look(lambda x: x.embedded.sum(dim=1), torch=True)
    found = {each.variant: each for each in finding.evidence}
    assert found["own-gradient"].verdict == REFUTED
    assert found["own-gradient"].worst.startswith("gradient of B by e.embedding of ")
    assert found["own-mean"].verdict == REFUTED
    assert found["own-draw"].verdict == HOLDS
    assert look(lambda x: x.embedded.detach().sum(dim=1), torch=True).usable


@pytest.mark.torch
def test_a_leak_that_is_learned_is_named():
    """A weight of zero lets no gradient through until it is none."""
    finding = look(Later(lambda x: x.embedded.sum(dim=1)), torch=True)
    found = {each.variant: each for each in finding.evidence}
    assert found["own-gradient"].verdict == HOLDS
    assert found["own-mean"].verdict == HOLDS
    assert found["own-gradient-later"].verdict == REFUTED
    assert found["own-gradient-later"].worst.startswith("gradient of B by e.embedding of ")
    assert found["own-mean-later"].verdict == REFUTED


@pytest.mark.torch
def test_in_torch_all_that_is_read_is_a_tensor():
    """At a call and after a step alike; what comes back may be an array or a list."""
    seen = set()

    class Net:
        def __init__(self):
            self.weight = 0.0

        def __call__(self, x):
            return list((self.weight * x.embedded.detach()).sum(dim=1))

        def update(self, x, losses):
            seen.update({type(x.embedded).__name__, type(losses).__name__})
            self.weight += float(losses.mean() * x.embedded.mean())

        def fit(self, x, returns):
            seen.add(type(returns).__name__)

    assert look(Net(), torch=True).usable
    assert look(lambda x: x.embedded.detach().numpy().sum(axis=1), torch=True).usable
    assert seen == {"Tensor"}


@pytest.mark.torch
def test_a_loss_that_leaks_is_named():
    """A batch mean that is not detached lets the gradient into phi and theta too."""
    finding = look(lambda x: x.losses.mean() + 0.0 * x.losses, torch=True)
    found = {each.variant: each for each in finding.evidence}
    assert found["own-gradient"].verdict == REFUTED
    assert not finding.usable


def test_the_function_comes_back_as_it_was():
    """What it learned while it was looked at is not kept."""
    running = Running(first=True)
    look(running)
    assert running.mean == 0.5


def test_variances_are_those_of_the_parabola():
    """No baseline leaves the variance alone, and the best is no worse than one's own."""
    finding = look(lambda x: 0.3 * x.lengths)
    nothing = look(lambda x: 0.0 * x.lengths)
    for mine, none in zip(finding.variances, nothing.variances, strict=True):
        assert none.own == pytest.approx(none.none, rel=1e-12)  # two orders of one sum
        assert mine.none == none.none
        assert mine.best == none.best
    assert sum(each.best for each in finding.variances) <= sum(
        each.own for each in finding.variances
    )
    at_best = look(lambda x: finding.best[: len(x.lengths)])
    assert at_best.helps
    assert not nothing.helps
    total = sum(each.own for each in at_best.variances)
    # Two orders of one sum again.
    assert total == pytest.approx(sum(each.best for each in finding.variances), rel=1e-12, abs=0.0)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: 1.0, r"returned an array of shape \(\), expected \(2,\)"),
        (lambda x: np.ones((2, 1)), r"returned an array of shape \(2, 1\), expected \(2,\)"),
        (lambda x: [1.0, np.nan], "returned nan for sentence 1, expected a finite number"),
        (lambda x: [np.inf, 1.0], "returned inf for sentence 0"),
        (lambda x: "ab", "returned 'ab', expected 2 real numbers"),
        (lambda x: None, "returned None, expected 2 real numbers"),
        (lambda x: [1.0, 1j], "expected 2 real numbers"),
        (lambda x: x.nothing, r"raised AttributeError at test_user_baseline\.py:\d+: .*'nothing'"),
        (Raises(), r"update of baseline 'mine' raised KeyError at test_user_baseline\.py:\d+"),
        (lambda x: next(COUNT) * np.ones(2), "gave .* at a second call, expected the same"),
        (Outside(), r"gave 0 for sentence 0, and .* once a copy had learned, .* a class"),
        (iter([]).__next__, "raised TypeError"),
        (Later(threading.Lock()), r"cannot be copied \(TypeError.*keep locks"),
    ],
)
def test_what_is_no_baseline_is_an_error(function, words):
    """One finite number for each sentence, or a message that says what came."""
    with pytest.raises(BaselineError, match=words):
        look(function)


def test_many_labels_are_enumerated_for_one_sentence():
    """Where K^2 draws are too many, the first sentence is looked at alone."""
    finding = look(lambda x: 0.3 * x.lengths, of=subject(classes=17))
    assert finding.usable
    assert finding.values.shape == (1,)
    assert not look(lambda x: x.losses, of=subject(classes=17)).usable


def test_each_verdict_has_advice():
    """What is wrong comes with what to do."""
    assert {found.variant for found in look(Running()).evidence} == set(ADVICE)
