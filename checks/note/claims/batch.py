"""Claims batch.one_pass and batch.plus_one."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.builds import build
from gradproof.estimators.note.exact import one_at_a_time

from ...evidence import HOLDS, Comparison
from ..check import Check, on_tabular_cases
from ..study import Study
from .formulas import derived_mean, derived_row
from .gradient import BY_SCORE, negative_entropy


def one_pass(study: Study) -> list[Comparison]:
    """One differentiation of the batch sum against the derived gradient of each sentence alone."""
    labels = study.draw()
    gradient = study.one_pass_gradient(labels, BASELINES["none"])
    return study.compare_gradient(gradient, one_at_a_time(study.subject, labels), study.names())


def plus_one(study: Study) -> list[Comparison]:
    """E[(CQ + 1) s], and this framework's gradient of -H, against what scores say it is."""
    subject, exact = study.subject, study.reference
    inputs = subject.inputs(np.zeros((subject.batch.n, subject.model.classes)))
    slope = study.bench.gradient(build(negative_entropy, subject), subject, inputs)
    names = study.names(*BY_SCORE)
    weights = exact.probability * np.where(exact.probability > 0.0, exact.log_q + 1.0, 0.0)
    expected = {name: np.tensordot(weights, exact.score[name], axes=2) for name in names}
    enumerated = study.compare_gradient(slope, expected, names)
    return [
        *study.compare_gradient(study.moments("plus-one", groups=BY_SCORE).mean, expected, names),
        *(dataclasses.replace(one, what=f"{one.what} of -H") for one in enumerated),
    ]


def zero_mean_score(study: Study) -> list[Comparison]:
    """E[1 s] against zero: the 1 is a constant baseline."""
    moments = study.moments("score", groups=BY_SCORE)
    zero = {name: np.zeros_like(mean) for name, mean in moments.mean.items()}
    return study.compare_gradient(
        moments.mean, zero, study.names(*BY_SCORE), signal=moments.largest
    )


def batch_at_a_draw(study: Study) -> list[Comparison]:
    """One differentiation of the batch against a sum of which each term is one sentence's."""
    tables, names = study.tables, study.names()
    labels, rows = study.draw(), np.arange(study.subject.batch.n)
    weight = tables.loss[labels, rows] + tables.log_q[labels, rows] + 1.0
    oracle = derivation("batch.one_pass").oracle
    expected = {
        name: oracle(
            weight=weight,
            score=tables.score[name][labels, rows],
            pathwise=tables.pathwise[name][labels, rows],
        )
        for name in names
    }
    return study.compare_gradient(
        study.one_pass_gradient(labels, BASELINES["none"]), expected, names
    )


CHECKS = (
    Check(
        "batch.one_pass",
        "sum",
        "the gradient of the sum is the sum of each sentence's (L + log q + 1) s + d",
        HOLDS,
        one_pass,
        **on_tabular_cases(),
    ),
    Check("batch.plus_one", "mean", "E[(CQ + 1) s] = -dH", HOLDS, plus_one, **on_tabular_cases()),
    Check(
        "batch.plus_one",
        "constant",
        "E[s] = 0, so the 1 changes no mean",
        HOLDS,
        zero_mean_score,
        **on_tabular_cases(),
    ),
    derived_row("batch.one_pass", "the batch's gradient is the derived sum", batch_at_a_draw),
    derived_mean(
        "batch.plus_one", "E[(CQ + 1) s] is the derived -dH", "plus-one", *BY_SCORE, by=BY_SCORE
    ),
)
