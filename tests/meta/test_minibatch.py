"""Steps whose weights are not those of C, and costs that are not the step's, are refuted."""

import dataclasses
import functools

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note.claims import minibatch
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.study import Study
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.training.costs import BatchCost, Weights, weights_of_c

from .plant import kinds_of

ROW = "objective.c/minibatch"


def four(scene, kind):
    """A study of four sentences, one of them labelled: halves of three are no halves."""
    study = scene.study(CHECKS[ROW], kind)
    batch = study.subject.batch
    rows = batch.rows([0, 1, 1, 0])
    labels = np.array([0, -1, -1, -1])
    subject = study.subject.replace(batch=dataclasses.replace(rows, labels=labels))
    return Study(Bench(scene.backend), subject)


def swapped(labelled, unlabelled, all_labelled, all_unlabelled):
    """Each kind with the other's weight."""
    return Weights(*weights_of_c(labelled, unlabelled, all_labelled, all_unlabelled)[::-1])


def by_batch(labelled, unlabelled, all_labelled, all_unlabelled):
    """Divided by the sentences of the step, in place of all."""
    right = weights_of_c(labelled, unlabelled, all_labelled, all_unlabelled)
    times = (all_labelled + all_unlabelled) / (labelled + unlabelled)
    return Weights(*(times * weight for weight in right))


def worst(comparisons):
    """The largest error in units of its bound."""
    return max(one.error / one.bound for one in comparisons)


@pytest.mark.parametrize("kind", kinds_of(ROW))
def test_other_weights_are_not_those_of_c(scene, kind):
    """On tables and on LSTMs; with the right ones the error is rounding."""
    study = four(scene, kind)
    look = functools.partial(minibatch.of_every_minibatch, study, expected=minibatch.weights_in_c)
    assert worst(look(weights_of_c)) <= 1.0
    for wrong in (swapped, by_batch, minibatch.alike):
        assert worst(look(wrong)) > 1000.0, wrong


class NoAlpha(BatchCost):
    """Whose classifier's loss has weight 1."""

    def __call__(self, ops, parameters, inputs):
        """That cost."""
        return BatchCost(**vars(self) | {"alpha": 1.0})(ops, parameters, inputs)


class LabelledLeftOut(BatchCost):
    """Whose labelled sentences do not count."""

    def __call__(self, ops, parameters, inputs):
        """That cost."""
        weights = Weights(0.0, self.weights.unlabelled)
        return BatchCost(**vars(self) | {"weights": weights})(ops, parameters, inputs)


@pytest.mark.parametrize("cost", [NoAlpha, LabelledLeftOut])
@pytest.mark.parametrize("kind", kinds_of(ROW))
@pytest.mark.parametrize("check", [ROW, f"{ROW}-alike-derived"])
def test_another_cost_than_that_of_a_step_is_refuted(scene, check, kind, cost):
    """What is enumerated is the cost that training differentiates."""
    scene.replace(minibatch, "BatchCost", cost)
    found = scene.run(check, kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


def test_as_large_a_share_of_either_kind_makes_both_ways_one(scene):
    """Where n_l/N_l is n_u/N_u the row that refutes would hold: it says what it says, no more."""
    study = scene.study(CHECKS[ROW], "seqdgm")  # one sentence of either kind, and both taken
    assert worst(CHECKS[f"{ROW}-alike"].compare(study)) <= 1.0
    assert scene.run(f"{ROW}-alike").verdict == REFUTED
    assert scene.run(ROW).verdict == HOLDS


def test_too_many_steps_are_not_enumerated(scene):
    """Nothing is compared, and that is said."""
    scene.replace(minibatch, "MOST_STEPS", 1)
    found = scene.run(ROW, "seqdgm")
    assert found.verdict == UNDECIDED
    assert "zero comparisons" in found.crash
