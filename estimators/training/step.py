"""One step of training, from state to state: nothing else is remembered, so any state resumes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.backends import Arrays
from gradproof.estimators.backends.torch_training import torch_training
from gradproof.estimators.baselines import Baseline
from gradproof.estimators.baselines.protocol import BaselineBatch
from gradproof.estimators.note.builds import ModelBuild, Named, SurrogateBuild
from gradproof.estimators.note.pairs import PairBuild, pair_inputs, renormalised
from gradproof.estimators.note.weighted_entropy import reweighted
from gradproof.reference_models.batch import UNLABELLED, Batch, make_batch
from gradproof.reference_models.model import Model, every_label, one_hot
from gradproof.reference_models.ops import Ops

from .costs import (
    LABELLED,
    BatchCost,
    EnumeratedObjective,
    PairSurrogate,
    SampledSurrogate,
    Weights,
    weights_of_batch,
    weights_of_c,
)
from .training_options import OF_BATCH, TrainingTask
from .unlabelled import ENUMERATION, TWO_LABELS

#: Embeddings begin this much smaller than those that checks draw: theirs are large so that every
#: gradient can be seen, and with them a classifier of rare tokens has much to unlearn.
EMBEDDING_SCALE = 0.3


class TrainingDiverged(GradproofError, ValueError):
    """A loss or a gradient that is not finite; the state before the step is still good."""


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """All that a run has come to.

    ``moments`` are Adam's; ``lambda_`` the baseline's; ``batches`` and ``draws`` the states of two
    generators, of rows and noise and of labels, so that a sampled run and an enumerated one see the
    same sentences with the same noise.
    """

    step: int
    parameters: Arrays
    moments: Arrays
    lambda_: Arrays
    batches: Mapping[str, Any]
    draws: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A state seen from outside: C, or its estimate, on one batch, and held-out accuracy."""

    loss: float
    accuracy: float


def initial_state(task: TrainingTask) -> TrainingState:
    """Where a run begins, from its seed alone."""
    seeds = np.random.SeedSequence(task.options.seed).spawn(4)
    model, rows, labels, baseline = (np.random.default_rng(seed) for seed in seeds)
    parameters = task.model.initial(model)
    parameters["e.embedding"] = EMBEDDING_SCALE * parameters["e.embedding"]
    return TrainingState(
        step=0,
        parameters=parameters,
        moments={},
        lambda_=task.baseline.initial(baseline, task.options.width),
        batches=rows.bit_generator.state,
        draws=labels.bit_generator.state,
    )


def advance(task: TrainingTask, state: TrainingState) -> TrainingState:
    """One step: a batch, the gradient of C, Adam, and what the baseline learns from the draw.

    Raises:
        TrainingDiverged: if C or its gradient is not finite.
        BackendMissing: if PyTorch is not installed.
    """
    rows, labels = _generator(state.batches), _generator(state.draws)
    gradients, values, unlabelled = differentiate(task, state, rows, labels)
    _check_finite(task, state, values, gradients)
    parameters, moments = torch_training().adam(
        state.parameters,
        gradients,
        state.moments,
        taken=state.step,
        learning_rate=task.options.learning_rate,
    )
    return TrainingState(
        step=state.step + 1,
        parameters=parameters,
        moments=moments,
        lambda_=_learn(task.baseline, state.lambda_, unlabelled, values),
        batches=rows.bit_generator.state,
        draws=labels.bit_generator.state,
    )


def differentiate(
    task: TrainingTask, state: TrainingState, rows: np.random.Generator, labels: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Batch]:
    """The gradient of C of a batch, or its estimate; the values beside it; who had no label.

    Args:
        rows: draws the sentences and their noise.
        labels: draws a label for each sentence without one, where U is sampled.
    """
    labelled, unlabelled = draw_batches(task, rows)
    cost, inputs = cost_of(task, state, labelled, unlabelled, labels)
    gradients, values = torch_training().gradient_and_values(cost, state.parameters, inputs)
    return gradients, values, unlabelled


def draw_batches(task: TrainingTask, rng: np.random.Generator) -> tuple[Batch, Batch]:
    """Sentences with a label and sentences without, and fresh noise for them."""
    split, options = task.prepared.split, task.options
    labelled = pick(rng, split.labelled, options.labelled_batch)
    unlabelled = pick(rng, split.unlabelled, options.batch)
    return batch_of(task, labelled, rng), _drop_labels(batch_of(task, unlabelled, rng))


def pick(rng: np.random.Generator, rows: np.ndarray, count: int) -> np.ndarray:
    """Some of the rows, each once at most; all of them, in any order, if there are too few."""
    return rng.choice(rows, size=min(count, len(rows)), replace=False)


def batch_of(task: TrainingTask, rows: np.ndarray, rng: np.random.Generator) -> Batch:
    """Rows of the text as a batch, with their labels and fresh noise."""
    tokens, mask, labels = task.prepared.rows(rows)
    return make_batch(tokens, mask, labels, task.model.noise(rng, *tokens.shape))


def _drop_labels(batch: Batch) -> Batch:
    return dataclasses.replace(batch, labels=np.full(batch.n, UNLABELLED))


def cost_of(
    task: TrainingTask,
    state: TrainingState,
    labelled: Batch,
    unlabelled: Batch,
    labels: np.random.Generator,
) -> tuple[BatchCost, dict[str, np.ndarray]]:
    """C of two batches as a build, and its inputs, with labels drawn where U is sampled."""
    part, drawn = _unlabelled_part(task, state, unlabelled, labels)
    inputs = unlabelled.arrays() | drawn | dict(state.lambda_)
    of_labelled = labelled.arrays() | {"draw": one_hot(labelled.labels, task.model.classes)}
    inputs |= {f"{LABELLED}{name}": array for name, array in of_labelled.items()}
    cost = BatchCost(
        part,
        task.model,
        labelled.n,
        labelled.t,
        task.options.alpha,
        step_weights(task, labelled.n, unlabelled.n),
    )
    return cost, inputs


def step_weights(task: TrainingTask, labelled: int, unlabelled: int) -> Weights:
    """The weights of a step of so many sentences of each kind, as the run's options have them."""
    if task.options.weights == OF_BATCH:
        return weights_of_batch(labelled, unlabelled)
    split = task.prepared.split
    return weights_of_c(labelled, unlabelled, len(split.labelled), len(split.unlabelled))


def _unlabelled_part(
    task: TrainingTask, state: TrainingState, batch: Batch, rng: np.random.Generator
) -> tuple[SampledSurrogate | PairSurrogate | EnumeratedObjective, dict[str, np.ndarray]]:
    """U of a batch by the estimator of a run, and the labels at which it is taken."""
    model, row, k = task.model, task.options.row, task.model.classes
    weight = task.options.entropy_weight
    if row.name == ENUMERATION:
        whole = EnumeratedObjective(model, batch.n, batch.t, weight)
        return whole, {"draw": every_label(batch.n, k)}
    if row.name == TWO_LABELS:
        pairs = PairBuild(renormalised, model, batch.n, batch.t, with_entropy=True)
        first, second = draw_two_labels(rng, log_q(task, state.parameters, batch))
        return PairSurrogate(pairs, weight), pair_inputs(first[None], second[None], k)
    form = reweighted(row.form or "", weight)
    surrogate = SurrogateBuild(form, task.baseline, model, batch.n, batch.t)
    labels = draw_labels(rng, log_q(task, state.parameters, batch))
    return SampledSurrogate(surrogate, weight), {"draw": one_hot(labels, k)}


def draw_labels(rng: np.random.Generator, log_q: np.ndarray) -> np.ndarray:
    """One label (N,) for each row of log q (N, K); one of probability zero is never drawn."""
    cumulated = np.cumsum(np.exp(log_q), axis=1)
    cumulated /= cumulated[:, -1:]  # then exactly 1 from the last label of positive probability on
    return (cumulated <= rng.random((len(log_q), 1))).sum(axis=1)


def draw_two_labels(rng: np.random.Generator, log_q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two different labels (N,) for each row of log q (N, K), drawn without replacement."""
    first = draw_labels(rng, log_q)
    left = np.where(np.eye(log_q.shape[1], dtype=bool)[first], -np.inf, log_q)
    # Where the first is all but sure the others' probabilities are too small to be added up as they
    # are; only their ratios count.
    return first, draw_labels(rng, left - left.max(axis=1, keepdims=True))


def log_q(task: TrainingTask, parameters: Arrays, batch: Batch) -> np.ndarray:
    """Log q(y|x) of each sentence, (N, K)."""
    build, inputs = ModelBuild(_log_q, task.model, batch.n, batch.t), batch.arrays()
    return torch_training().evaluate(build, parameters, inputs)(parameters, inputs)["log_q"]


def _log_q(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    return {"log_q": model.log_q(ops, parameters, batch)}


def look(task: TrainingTask, state: TrainingState) -> Evaluation:
    """C on a batch and accuracy on all held-out sentences, with generators of its own.

    A run that is looked at is thus the same as one that is not.

    Raises:
        TrainingDiverged: if C is not finite.
    """
    rng = np.random.default_rng([task.options.seed, state.step])
    labelled, unlabelled = draw_batches(task, rng)
    cost, inputs = cost_of(task, state, labelled, unlabelled, rng)
    parameters = state.parameters
    values = torch_training().evaluate(cost, parameters, inputs)(parameters, inputs)
    _check_finite(task, state, values, {})
    return Evaluation(loss=float(values["value"]), accuracy=accuracy(task, parameters))


def accuracy(task: TrainingTask, parameters: Arrays) -> float:
    """The share of held-out sentences whose label is the likeliest, with all noise at zero."""
    tokens, mask, labels = task.prepared.rows(task.prepared.split.held_out)
    noise = task.model.noise(np.random.default_rng(0), *tokens.shape)
    quiet = {name: np.zeros_like(array) for name, array in noise.items()}
    likeliest = log_q(task, parameters, make_batch(tokens, mask, labels, quiet)).argmax(axis=1)
    return float(np.mean(likeliest == labels))


def largest_class(task: TrainingTask) -> float:
    """The accuracy of who always says the class that has most of the held-out sentences."""
    labels = task.prepared.labels[task.prepared.split.held_out]
    return float(np.bincount(labels).max() / len(labels))


def _check_finite(
    task: TrainingTask, state: TrainingState, values: Arrays, gradients: Arrays
) -> None:
    wrong = [name for name, slope in gradients.items() if not np.isfinite(slope).all()]
    loss = float(values["value"])
    if wrong or not math.isfinite(loss):
        what = f"the loss is {loss}" if not wrong else f"the gradient of {wrong[0]} is not finite"
        raise TrainingDiverged(
            f"training diverged: {what} after {state.step} steps; begin again with a learning rate "
            f"below {task.options.learning_rate:g}, or a baseline that lowers the variance; the "
            "checkpoint before this step stays"
        )


def _learn(baseline: Baseline, lambda_: Arrays, batch: Batch, values: Arrays) -> Arrays:
    """Lambda after a step; as it was where all labels were enumerated, and none drawn."""
    if "returns" not in values:
        return lambda_
    x = BaselineBatch(
        tokens=batch.tokens,
        mask=batch.mask,
        lengths=batch.mask.sum(axis=1),
        embedded=values["embedded"],
        losses=values["loss"],
    )
    return baseline.updated(lambda_, x, values["returns"])


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    rng = np.random.default_rng()
    rng.bit_generator.state = dict(state)
    return rng
