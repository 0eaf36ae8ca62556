"""A weight on the entropy is one of the objective, and the estimator that goes with it."""

import dataclasses

import autograd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases
from gradproof.estimators.backends import load
from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.estimate_moments import per_example
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.weighted_entropy import weighted_entropy
from gradproof.reference_models import objective
from gradproof.reference_models.model import every_label

OPS = AutogradOps()
WEIGHTS = st.sampled_from([0.0, 0.25, 1.0, 3.0])


def wide(case):
    """A case's subject in double precision."""
    return dataclasses.replace(case, dtype="float64").subject()


def mean_of(form, subject, known):
    """The exact mean of a form's estimate."""
    bench = Bench(load("autograd"))
    return per_example(bench, form, BASELINES["none"], subject, {}, known.log_q).mean


def weighted_gradient(subject, weight):
    """The gradient of the sum of U, its entropy weighted."""
    labels = every_label(subject.batch.n, subject.model.classes)

    def u(parameters):
        log_q = subject.model.log_q(OPS, parameters, subject.batch)
        losses = subject.model.loss(OPS, parameters, subject.batch, labels)
        return OPS.sum(objective.unlabelled(OPS, log_q, losses, weight))

    return autograd.grad(u)(dict(subject.parameters))


@given(case=tabular_cases(), weight=WEIGHTS)
def test_the_weighted_form_is_unbiased_for_the_weighted_objective(case, weight):
    """By enumeration of the estimator's own code."""
    subject = wide(case)
    known = reference(subject)
    found, expected = (
        mean_of(weighted_entropy(weight), subject, known),
        weighted_gradient(subject, weight),
    )
    for name, gradient in expected.items():
        # A weight w multiplies what log q + 1 adds to the score's weight, and its rounding.
        bound = (2.0 + weight) * known.bound(name)
        assert np.abs(found[name] - gradient).max() <= bound, name


@given(case=tabular_cases(supports=False))
def test_another_weight_is_another_estimand(case):
    """The note's form is biased for the objective without entropy, by the gradient of -H."""
    subject = wide(case)
    known = reference(subject)
    without, whole = weighted_gradient(subject, 0.0), mean_of(FORMS["one-pass"], subject, known)
    weights = known.probability * (known.log_q + 1.0)
    for name, gradient in without.items():
        lost = np.tensordot(weights, known.score[name], axes=2)
        assert np.abs(whole[name] - gradient - lost).max() <= 3.0 * known.bound(name), name


@given(case=tabular_cases(), weight=WEIGHTS)
def test_c_has_the_weight_too(case, weight):
    """C of a batch without labels is the mean of its weighted U."""
    subject = wide(case)
    n, k = subject.batch.n, subject.model.classes
    log_q = subject.model.log_q(OPS, subject.parameters, subject.batch)
    losses = subject.model.loss(OPS, subject.parameters, subject.batch, every_label(n, k))
    found = objective.cost(OPS, log_q, losses, np.zeros((n, k)), 1.0, n, weight)
    expected = objective.unlabelled(OPS, log_q, losses, weight).sum() / n
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)  # some roundings of the same sum


def test_one_weight_is_one_form():
    """So that it is compiled once; and a weight that is none is an error."""
    assert weighted_entropy(0.5) is weighted_entropy(0.5)
    with pytest.raises(ValueError, match=r"entropy weight = -1\.0, expected 0 or a positive"):
        weighted_entropy(-1.0)
