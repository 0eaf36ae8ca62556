"""A bench makes each function ready once, and never takes one for another."""

import dataclasses
import itertools

import numpy as np
import pytest

from gradproof.checks.note.cases import typical_tabular
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.builds import (
    ModelBuild,
    all_labels,
    build,
    exact_objective,
    surrogate,
)
from gradproof.estimators.note.forms import FORMS


class Counting:
    """A backend that makes functions of nothing and remembers what it was asked for."""

    name = "counting"

    def __init__(self):
        self.made = []

    def evaluate(self, build, parameters, inputs):
        """A function that says which it is."""
        return self._make("evaluate")

    def differentiate(self, build, parameters, inputs, wrt):
        """A function that says which it is."""
        return self._make(wrt)

    def reach(self, build, parameters, inputs):
        """Never ready: it is asked anew each time."""
        self.made.append("reach")
        return frozenset(parameters)

    def _make(self, what):
        self.made.append(what)
        number = len(self.made)
        return lambda parameters, inputs: {"number": number, "of": inputs}


class Plain:
    """As much of a subject as a bench looks at."""

    def __init__(self, **parameters):
        self.parameters = parameters


@dataclasses.dataclass(frozen=True)
class Power:
    """A build that is a value."""

    exponent: int

    def __call__(self, ops, parameters, inputs):
        """Never run here."""
        raise AssertionError("the backend above runs no build")


def test_equal_builds_on_equal_shapes_share_a_function():
    """The second run of a build, made anew, with other numbers, makes nothing ready."""
    bench = Bench(Counting())
    first = bench.gradient(Power(2), Plain(x=np.ones(3)), {"c": np.ones(2)})
    again = bench.gradient(Power(2), Plain(x=np.zeros(3)), {"c": np.zeros(2)})
    assert bench.backend.made == [("x",)]
    assert first["number"] == again["number"] == 1
    np.testing.assert_array_equal(again["of"]["c"], np.zeros(2))  # it got what it was called with


KEYS = {
    "build": [Power(1), Power(2)],
    "shape of a parameter": [np.ones(3), np.ones((3, 1))],
    "dtype of a parameter": [np.ones(3), np.ones(3, np.float32)],
    "shape of an input": [np.ones(3), np.ones(4)],
    "dtype of an input": [np.ones(3), np.ones(3, int)],
    "wrt": [("x",), ("x", "y"), ("y",)],
    "name of an input": ["c", "d"],
}


@pytest.mark.parametrize("what", KEYS)
def test_what_differs_is_not_shared(what):
    """Another build, shape, dtype, name or set of parameters is another function."""
    bench = Bench(Counting())
    for value in KEYS[what] * 2:
        x, c, name, power, wrt = np.ones(3), np.ones(2), "c", Power(3), None
        if what == "build":
            power = value
        elif "parameter" in what:
            x = value
        elif what == "wrt":
            wrt = value
        elif what == "name of an input":
            name = value
        else:
            c = value
        bench.gradient(power, Plain(x=x, y=np.ones(2)), {name: c}, wrt)
    assert len(bench.backend.made) == len(KEYS[what])


def test_values_and_gradients_are_apart():
    """A build that is evaluated and differentiated is made ready for each; reach asks anew."""
    bench = Bench(Counting())
    subject = Plain(x=np.ones(3))
    for _ in range(2):
        bench.values(Power(1), subject, {})
        bench.gradient(Power(1), subject, {})
        assert bench.reach(Power(1), subject, {}) == {"x"}
    assert bench.backend.made == ["evaluate", ("x",), "reach", "reach"]
    assert bench.name == "counting"


def test_the_function_longest_unused_goes_first():
    """A bench that keeps two makes the third ready and forgets the one not used for longest."""
    bench = Bench(Counting(), keep=2)
    for exponent in (1, 2, 1, 3, 1, 2):
        bench.gradient(Power(exponent), Plain(x=np.ones(1)), {})
    assert len(bench.backend.made) == 4  # 1, 2, 3, and 2 once more


@dataclasses.dataclass
class Unhashable:
    """A model as a user may write one, equal to its copies, which is why it has no hash."""

    classes: int = 2


def test_a_model_that_cannot_be_hashed_is_known_by_identity():
    """The same object shares a function; a twin, another N or a temporary one does not."""
    bench, mine, twin = Bench(Counting()), Unhashable(), Unhashable()
    for model, n in [(mine, 1), (twin, 1), (mine, 2)] * 2:
        bench.gradient(ModelBuild(all_labels, model, n, 1), Plain(x=np.ones(1)), {})
    assert len(bench.backend.made) == 3
    for number in range(4, 7):  # each is gone at once, and the next may stand in its place
        bench.gradient(ModelBuild(all_labels, Unhashable(), 1, 1), Plain(x=np.ones(1)), {})
        assert len(bench.backend.made) == number


def test_a_build_that_cannot_be_hashed_is_known_by_identity():
    """A callable of any kind is a build."""

    class Callable:
        __hash__ = None

    bench, build = Bench(Counting()), Callable()
    for which in (build, build, Callable()):
        bench.values(which, Plain(x=np.ones(1)), {})
    assert len(bench.backend.made) == 2


def test_builds_are_equal_when_all_of_them_is():
    """Builds of equal parts are one value; any part that differs makes another."""
    subject = typical_tabular(np.random.default_rng(0)).subject()
    other = subject.replace(model=dataclasses.replace(subject.model, batch_statistics=True))
    shorter = subject.replace(batch=subject.batch.rows([0]))
    longer = subject.replace(batch=dataclasses.replace(subject.batch, t=subject.batch.t + 1))
    subjects = [subject, other, shorter, longer]
    parts = list(itertools.product(FORMS.values(), BASELINES.values(), subjects))
    assert len({surrogate(*part) for part in parts * 2}) == len(parts)
    whole = [build(what, at) for what in (all_labels, exact_objective) for at in subjects * 2]
    assert len(set(whole)) == 2 * len(subjects)
