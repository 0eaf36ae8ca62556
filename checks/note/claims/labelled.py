"""Claim labelled: the labelled part is differentiated as it stands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.note import complex_step
from gradproof.estimators.note.builds import build
from gradproof.reference_models import objective
from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model, one_hot
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import checks_of, on_tabular_cases
from ..study import Study
from .formulas import derived_row
from .objective import ALPHA

Named = Mapping[str, Array]


def labelled_cost(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Array:
    """The sum of L - alpha log q at given labels, a scalar."""
    return ops.sum(objective.labelled(ops, model, parameters, batch, inputs["draw"], ALPHA))


def no_score_term(study: Study, *, score_term: bool = False) -> list[Comparison]:
    """The gradient of the labelled part against pathwise - alpha score, and a complex step.

    Args:
        score_term: expect L times the score on top, as if the label had been drawn.
    """
    exact, labels, rows = study.reference, study.draw(), np.arange(study.subject.batch.n)
    inputs = study.subject.inputs(one_hot(labels, study.subject.model.classes))
    weight = (exact.loss[rows, labels] if score_term else 0.0) - ALPHA
    expected = {
        name: exact.pathwise[name][rows, labels].sum(axis=0)
        + np.tensordot(weight * np.ones(len(rows)), exact.score[name][rows, labels], axes=1)
        for name in study.names()
    }
    return [*compare_labelled(study, labels, expected), _along_direction(study, inputs, expected)]


def compare_labelled(study: Study, labels: np.ndarray, expected: Named) -> list[Comparison]:
    """The framework's gradient of the labelled part at labels (N,), against what it should be."""
    subject = study.subject
    inputs = subject.inputs(one_hot(labels, subject.model.classes))
    gradient = study.bench.gradient(build(labelled_cost, subject), subject, inputs)
    return study.compare_gradient(gradient, expected, study.names())


def _along_direction(study: Study, inputs: Named, expected: Named) -> Comparison:
    rng = study.rng()
    direction = {name: rng.choice([-1.0, 1.0], size=np.shape(g)) for name, g in expected.items()}
    stepped = complex_step.derivative(
        build(labelled_cost, study.subject), study.subject.parameters, inputs, direction
    )
    slope = sum(float((expected[name] * direction[name]).sum()) for name in expected)
    bound = sum(study.reference.bound(name) * np.size(expected[name]) for name in expected)
    signal = sum(float(np.abs(gradient).sum()) for gradient in expected.values())
    return compare("all, along a direction", slope, stepped, bound, study.name, signal=signal)


def given_labels(study: Study) -> list[Comparison]:
    """The gradient of the labelled part at labels that are given."""
    tables, oracle = study.tables, derivation("labelled").oracle
    labels, rows = study.draw(), np.arange(study.subject.batch.n)
    expected = {
        name: oracle(
            pathwise=tables.pathwise[name][labels, rows],
            score=tables.score[name][labels, rows],
            alpha=ALPHA,
        ).sum(axis=0)
        for name in study.names()
    }
    return compare_labelled(study, labels, expected)


_row = checks_of("labelled", **on_tabular_cases(supports=False))

CHECKS = (
    _row(
        "as-it-stands", "d[L - alpha log q] at the known label, no score term", HOLDS, no_score_term
    ),
    _row(
        "score-term",
        "... with L ds added, as for a drawn label",
        REFUTED,
        lambda study: no_score_term(study, score_term=True),
    ),
    derived_row("labelled", "the gradient at given labels is the derived one", given_labels),
)
