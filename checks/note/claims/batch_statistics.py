"""Claim batch.one_pass where statistics of the batch couple its sentences: on tables, and on text.

The loss of a sentence then depends on the labels that are drawn for others, and the batch sum
weighs each score with its own sentence's loss alone. What its mean lacks is derived: E[R s] for
each sentence, with R the loss of all others.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping

import numpy as np

from gradproof.estimators.backends.autograd_backend import AutogradBackend, AutogradOps
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.builds import build
from gradproof.estimators.note.exact import jacobian
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.note.value_bounds import PASSES
from gradproof.reference_models import objective
from gradproof.reference_models.batch import Batch
from gradproof.reference_models.layers import LIVE, SMALLEST_VARIANCE
from gradproof.reference_models.model import Model
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import checks_of, on_tabular_cases
from ..study import Study
from .baseline import MOST_JOINT, ONE, ONE_MODEL, joint_draws, jointly

Named = Mapping[str, Array]

#: A difference of two states rounds as they do, and is divided by a spread that may be this small.
SMALLEST_SPREAD = math.sqrt(SMALLEST_VARIANCE)


def with_statistics(study: Study) -> Study:
    """The study of a model that normalises with the batch's own statistics.

    A table has them already. A sequence model gets batch normalisation of each LSTM's states, with
    scales and shifts drawn from the subject's seed.
    """
    subject = study.subject
    if not hasattr(subject.model, "batch_norm"):
        return study
    model: Model = dataclasses.replace(subject.model, batch_norm=LIVE)  # type: ignore[type-var]
    drawn = model.initial(study.rng())
    parameters = {
        name: np.asarray(subject.parameters.get(name, array), subject.dtype)
        for name, array in drawn.items()
    }
    name = f"{subject.name or subject.model.name}, normalised over the batch"
    return Study(study.bench, subject.replace(model=model, parameters=parameters, name=name))


@dataclasses.dataclass(frozen=True)
class JointDraws:
    """All ways to label a batch that have positive probability, and what each costs.

    Shape:
        ``labels`` (M, N); ``probability`` (M,); ``loss`` (M, N), L of each sentence; ``gradient``,
        of the mean of the sum of L + log q over all ways, by parameter; ``pathwise`` (M, N,
        *parameter shape), of L of each sentence.
    """

    labels: np.ndarray
    probability: np.ndarray
    loss: np.ndarray
    gradient: Mapping[str, np.ndarray]
    pathwise: Mapping[str, np.ndarray]


def joint(subject: Subject, probability: np.ndarray) -> JointDraws:
    """Each way to label the batch, and the exact gradient, by autograd in float64.

    Args:
        probability: q, (N, K).
    """
    wide = {name: np.asarray(value, np.float64) for name, value in subject.parameters.items()}
    exact = subject.replace(parameters=wide)
    choices = [np.flatnonzero(row > 0.0) for row in probability]
    labels = np.array(list(itertools.product(*choices)))
    inputs = exact.inputs(np.eye(exact.model.classes)[labels])
    losses = build(_losses, exact)
    loss = AutogradBackend().evaluate(losses, wide, inputs)(wide, inputs)["loss"]
    whole = build(_mean_over_joint_draws, exact)
    return JointDraws(
        labels=labels,
        probability=probability[np.arange(exact.batch.n), labels].prod(axis=1),
        loss=loss,
        gradient=AutogradBackend().differentiate(whole, wide, inputs, tuple(wide))(wide, inputs),
        pathwise=jacobian(
            wide, lambda traced: losses(AutogradOps(), traced, inputs)["loss"], *loss.shape
        ),
    )


def _losses(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    return {"loss": model.loss(ops, parameters, batch, inputs["draw"])}


def _mean_over_joint_draws(
    ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named
) -> Array:
    """The mean of the batch's sum of L + log q, at labels ``draw`` (M, N, K)."""
    log_q = objective.finite(ops, model.log_q(ops, parameters, batch))
    at_draw = ops.sum(inputs["draw"] * ops.expand_dims(log_q, 0), axis=-1)
    losses = model.loss(ops, parameters, batch, inputs["draw"])
    return ops.sum(ops.exp(ops.sum(at_draw, axis=1)) * ops.sum(losses + at_draw, axis=1))


def one_pass_mean(study: Study, *, lacking: bool = False) -> list[Comparison]:
    """The mean of one pass over all ways to label the batch, against the exact gradient.

    Args:
        lacking: add what the derivation says that it lacks.
    """
    study = jointly(study)
    if joint_draws(study) > MOST_JOINT:
        return []
    study = with_statistics(study)
    draws = joint(study.subject, study.reference.probability)
    moments = estimate_moments.joint(
        study.bench,
        FORMS["one-pass"],
        BASELINES["none"],
        study.subject,
        {},
        study.reference.log_q,
    )
    lost, largest = lacking_part(study, draws), bound(study, draws)
    return [
        compare(
            name,
            moments.mean[name] + (lost[name] if lacking else 0.0),
            draws.gradient[name],
            largest,
            study.name,
        )
        for name in study.names()
    ]


def lacking_part(study: Study, draws: JointDraws) -> dict[str, np.ndarray]:
    """sum_n E[R_n s_n] by parameter, R_n the loss of all sentences but n."""
    others = draws.loss.sum(axis=1, keepdims=True) - draws.loss
    rows = np.arange(study.subject.batch.n)
    return {
        name: np.tensordot(
            draws.probability[:, None] * others, study.tables.score[name][draws.labels, rows], 2
        )
        for name in study.names()
    }


def bound(study: Study, draws: JointDraws) -> float:
    """What rounding can do to an entry of any parameter: as :meth:`Reference.bound`, jointly.

    What leaves the normalisation adds up to zero, so that the gradient of a parameter before it may
    cancel and be small, and that of one after it is not: the largest of all parameters counts.
    """
    exact, rows = study.reference, np.arange(study.subject.batch.n)
    log_q = np.where(np.isfinite(exact.log_q), exact.log_q, 0.0)
    weight = np.abs(draws.loss).sum(axis=1).max() + np.abs(log_q).max() + 1.0
    score = max(_largest(array[draws.labels, rows]) for array in study.tables.score.values())
    size = weight * score + max(_largest(array) for array in draws.pathwise.values())
    normalised = getattr(study.subject.model, "batch_norm", None) == LIVE
    divided = 1.0 / SMALLEST_SPREAD if normalised else 1.0
    passed = exact.unit * PASSES * exact.forward.operations * (2.0 + exact.forward_q.largest)
    return float(passed * divided * size)


def _largest(array: np.ndarray) -> float:
    """The largest entry of each sentence, (M, N, ...), over all draws, added up."""
    return float(np.abs(array).reshape(*array.shape[:2], -1).max(axis=(0, 2)).sum())


_row = checks_of(
    "batch.one_pass",
    **on_tabular_cases(sentences=(2, 2), batch_statistics=True),
    models=ONE_MODEL,
    limits=ONE,
    bound_reason="rounding: u 4R (2 + M) times the largest terms of any joint draw, over the "
    "smallest spread",
)

CHECKS = (
    _row(
        "batch-statistics",
        "... with batch statistics in a label-dependent layer, in the mean over all ways to label",
        REFUTED,
        one_pass_mean,
    ),
    _row(
        "batch-statistics-lacks",
        "... whose mean lacks E[R s], R the loss of the other sentences, as is derived",
        HOLDS,
        lambda study: one_pass_mean(study, lacking=True),
    ),
)
