"""Claim objective.c in minibatches: the mean of a training step over every minibatch of a batch.

The cost is the one that training differentiates. The batch of the subject is all there is, and its
minibatches are all subsets with half of its labelled and half of its unlabelled sentences.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable

import numpy as np

from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.builds import Named, surrogate
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.training.costs import (
    LABELLED,
    BatchCost,
    SampledSurrogate,
    Weights,
    weights_of_batch,
    weights_of_c,
)
from gradproof.reference_models.batch import UNLABELLED
from gradproof.reference_models.model import one_hot
from gradproof.reference_models.ops import Array, Ops
from gradproof.reference_models.tabular import TabularModel

from ...evidence import HOLDS, REFUTED, Comparison
from ..check import Check, checks_of, on_tabular_cases
from ..study import Study
from .formulas import Arrays
from .objective import ALPHA, check_known, known_labels

#: Weights from the numbers of a step, labelled and unlabelled, and from those of all.
Weigh = Callable[[int, int, int, int], Weights]

#: Sentences of either kind that are taken, where a text has more: six minibatches are enough.
MOST_SENTENCES = 2, 3

#: Gradients of steps that are enumerated, minibatches times the ways to label them: all of 61
#: labels.
MOST_STEPS = 400


@dataclasses.dataclass(frozen=True)
class StepCost:
    """What a training step differentiates, as a scalar."""

    cost: BatchCost

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> Array:
        """Run on framework arrays."""
        return self.cost(ops, parameters, inputs)["cost"]


def alike(labelled: int, unlabelled: int, all_labelled: int, all_unlabelled: int) -> Weights:
    """The same weight for both kinds, as the released code has it."""
    return weights_of_batch(labelled, unlabelled)


def rows_by_kind(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """The sentences with a label, and those without."""
    known = study.subject.batch.labels != UNLABELLED
    return np.flatnonzero(known), np.flatnonzero(~known)


def few_sentences(study: Study) -> Study:
    """The study of the first few sentences of either kind, where there are more on text."""
    rows = [
        row
        for kind, most in zip(rows_by_kind(study), MOST_SENTENCES, strict=True)
        for row in kind[:most].tolist()
    ]
    subject = study.subject
    if len(rows) == subject.batch.n or isinstance(subject.model, TabularModel):
        return study
    return Study(study.bench, subject.replace(batch=subject.batch.rows(rows)))


def minibatches(study: Study) -> list[tuple[list[int], list[int]]]:
    """Every choice of half of the labelled sentences, and half of the others; one at least."""
    choices = [
        [list(rows) for rows in itertools.combinations(kind, max(1, len(kind) // 2))]
        for kind in map(np.ndarray.tolist, rows_by_kind(study))
    ]
    return list(itertools.product(*choices))


def mean_step(study: Study, weigh: Weigh) -> Arrays:
    """The mean gradient of a step, over minibatches and the labels drawn for them."""
    steps = [_mean_at(study, *rows, weigh) for rows in minibatches(study)]
    return {name: np.mean([step[name] for step in steps], axis=0) for name in study.names()}


def _mean_at(study: Study, known: list[int], unknown: list[int], weigh: Weigh) -> Arrays:
    """The mean gradient of a step on one minibatch, over the labels drawn."""
    subject = study.subject
    with_label, without = (
        subject.replace(batch=subject.batch.rows(rows)) for rows in (known, unknown)
    )
    every = map(len, rows_by_kind(study))
    cost = BatchCost(
        SampledSurrogate(surrogate(FORMS["one-pass"], BASELINES["none"], without)),
        subject.model,
        with_label.batch.n,
        with_label.batch.t,
        ALPHA,
        weigh(len(known), len(unknown), *every),
    )
    labels = one_hot(with_label.batch.labels, subject.model.classes)
    of_known = {f"{LABELLED}{name}": array for name, array in with_label.inputs(labels).items()}
    return dict(
        estimate_moments.enumerate_draws(
            lambda draw: study.bench.gradient(
                StepCost(cost), subject, without.inputs(draw) | of_known
            ),
            study.reference.probability[unknown],
        ).mean
    )


def weighted_gradient(study: Study, weights: Weights) -> Arrays:
    """The gradient of the sum over all sentences, each kind with its weight.

    Put together from scores s and pathwise gradients d: d - alpha s at a known label, and
    sum_k q_k [(L + log q + 1) s + d] where there is none.
    """
    exact, known = study.reference, known_labels(study)
    unknown = np.where(known.sum(axis=1)[:, None] > 0.0, 0.0, exact.probability)
    log_q = np.where(unknown > 0.0, exact.log_q, 0.0)
    of_score = weights.unlabelled * unknown * (exact.loss + log_q + 1.0)
    of_score = of_score - weights.labelled * ALPHA * known
    of_path = weights.unlabelled * unknown + weights.labelled * known
    return {
        name: np.tensordot(of_score, exact.score[name], axes=2)
        + np.tensordot(of_path, exact.pathwise[name], axes=2)
        for name in study.names()
    }


def of_every_minibatch(
    study: Study, weigh: Weigh, expected: Callable[[Study], Weights]
) -> list[Comparison]:
    """The mean step against the gradient in which all sentences have the weights expected."""
    known, unknown = map(len, rows_by_kind(study))
    if not known or not unknown:
        return []  # C has no two kinds to weigh
    study = few_sentences(study)
    known, unknown = map(len, rows_by_kind(study))
    draws = study.subject.model.classes ** max(1, unknown // 2)
    if draws * len(minibatches(study)) > MOST_STEPS:
        return []
    check_known(study)
    gradient = weighted_gradient(study, expected(study))
    return study.compare_gradient(mean_step(study, weigh), gradient, study.names())


def weights_in_c(study: Study) -> Weights:
    """1/(N_l + N_u) for every sentence."""
    return weights_of_batch(*map(len, rows_by_kind(study)))


def weights_alike(study: Study) -> Weights:
    """What the same weight for both kinds comes to: n/N of each kind, over the step's sentences."""
    counts = [len(rows) for rows in rows_by_kind(study)]
    taken = [max(1, count // 2) for count in counts]
    return Weights(*(part / count / sum(taken) for part, count in zip(taken, counts, strict=True)))


def _row(variant: str, statement: str, expected: str, weigh: Weigh,
         weights: Callable[[Study], Weights]) -> Check:  # fmt: skip
    """The mean step with the weights of a step, against all sentences with weights of their own."""
    compare = functools.partial(of_every_minibatch, weigh=weigh, expected=weights)
    cases = on_tabular_cases(labelled=True, supports=False, sentences=(2, 4))
    return checks_of("objective.c")(variant, statement, expected, compare, **cases)


CHECKS = (
    _row(
        "minibatch",
        "a step with weights N_l/n_l and N_u/n_u, over every minibatch, is the gradient of C",
        HOLDS,
        weights_of_c,
        weights_in_c,
    ),
    _row(
        "minibatch-alike",
        "a step that weighs both kinds alike, over every minibatch, is the gradient of C",
        REFUTED,
        alike,
        weights_in_c,
    ),
    _row(
        "minibatch-alike-derived",
        "... is that of a cost in which a labelled sentence counts (n_l/N_l)/(n_u/N_u) times",
        HOLDS,
        alike,
        weights_alike,
    ),
)
