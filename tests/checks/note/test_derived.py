"""Every formula that was derived is an oracle: some row of its claim calls it."""

import functools

import numpy as np
import pytest

from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.study import Study
from gradproof.derivations.kernel.oracle import Oracle
from gradproof.derivations.registry import DERIVATIONS, derivation
from gradproof.estimators import backends
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.registry import make_model


def rows_of(claim):
    """The rows of a claim that compare with what is derived."""
    return [
        check
        for check in CHECKS.values()
        if check.claim == claim and check.variant.startswith("derived")
    ]


def sequence_subject(name, rng):
    """A sequence model on two sentences of random tokens."""
    model = make_model(name, 3, 9)
    mask = np.array([[1, 1, 1], [1, 1, 0]])
    tokens = rng.integers(4, 9, mask.shape) * mask
    noise = model.noise(rng, *mask.shape)
    batch = make_batch(tokens, mask, np.array([-1, -1]), noise, classes=3)
    return Subject(model, model.initial(rng), batch, name, 0)


def study_of(check, seed):
    """The row's typical case in NumPy, or a sequence model where it has none."""
    rng = np.random.default_rng(seed)
    subject = (
        check.typical(rng).subject() if check.typical else sequence_subject(check.models[0], rng)
    )
    return Study(Bench(backends.load("autograd")), subject)


@functools.cache
def formulas(claim):
    """All that was derived of a claim, by name; the one at the end has none."""
    found = derivation(claim)
    return {"": found.oracle, **found.further}


@pytest.fixture
def called(monkeypatch):
    """The formulas called so far."""
    made, right = [], Oracle.__call__

    def call(self, **values):
        made.append(self)
        return right(self, **values)

    monkeypatch.setattr(Oracle, "__call__", call)
    return made


@pytest.mark.parametrize("claim", DERIVATIONS)
def test_each_formula_of_a_derivation_is_called_by_a_row_of_its_claim(called, claim, pytestconfig):
    """None is derived and then left aside; a row calls what its own claim has, too."""
    for check in rows_of(claim):
        check.compare(study_of(check, int(pytestconfig.option.hypothesis_seed)))
    names = [name for name, oracle in formulas(claim).items() if any(o is oracle for o in called)]
    assert names == list(formulas(claim))


@pytest.mark.parametrize("claim", DERIVATIONS)
def test_rows_that_compare_with_what_is_derived_are_run_in_every_framework(claim):
    """All but those that count operations, which are NumPy's alone."""
    assert rows_of(claim)
    expected = {"autograd"} if claim == "cost.labels" else set(backends.BACKENDS)
    for check in rows_of(claim):
        assert set(check.backends) == expected, check.id
