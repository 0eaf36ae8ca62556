"""One run of the table of estimators: trained for some seconds, measured at three stages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.estimators.backends import load
from gradproof.estimators.backends.torch_backend import TorchOps
from gradproof.estimators.backends.torch_training import threads
from gradproof.estimators.baselines.protocol import BaselineInput
from gradproof.estimators.engine.label_jacobian import label_jacobian
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.training.step import (
    TrainingState,
    accuracy,
    advance,
    batch_of,
    initial_state,
    pick,
)
from gradproof.estimators.training.training_options import TrainingTask
from gradproof.estimators.training.unlabelled import ESTIMATORS
from gradproof.reference_models.batch import from_arrays
from gradproof.reference_models.model import group_of

from .draw_moments import draw_weights, exact_weights
from .records import EstimatorRun, EstimatorStage

#: Told of steps, seconds and accuracy at each look.
Looked = Callable[[int, float, float], None]


def run_estimator(
    task: TrainingTask,
    *,
    seconds: float,
    most_steps: int,
    sentences: int,
    looked: Looked = lambda steps, seconds, accuracy: None,
) -> EstimatorRun:
    """Train until the seconds are spent or the steps are taken.

    Looked at after 1, 2, 5, 10, 20, 50, ... steps and at the end; measured at the start, at the end
    and where half of either is spent.

    Args:
        seconds: of one processor, of the steps alone.
        sentences: held-out ones that the moments are of, the same at each stage.
    """
    state, spent, half_way = initial_state(task), 0.0, False
    steps, times, accuracies = [0], [0.0], [accuracy(task, state.parameters)]
    with threads(1):
        stages = [measure(task, state, sentences)]
        while spent < seconds and state.step < most_steps:
            began = time.process_time()
            state = advance(task, state)
            spent += time.process_time() - began
            last = spent >= seconds or state.step >= most_steps
            if _is_look(state.step) or last:
                steps.append(state.step)
                times.append(spent)
                accuracies.append(accuracy(task, state.parameters))
                looked(state.step, spent, accuracies[-1])
            if last or (not half_way and _is_half(state.step, most_steps, spent, seconds)):
                half_way = True
                stages.append(measure(task, state, sentences))
    row = task.options.row
    return EstimatorRun(
        data=task.prepared.corpus.name,
        classes=task.model.classes,
        estimator=row.name,
        baseline=row.baseline or "none",
        seed=task.options.seed,
        steps=np.array(steps, np.int64),
        seconds=np.array(times, np.float64),
        accuracy=np.array(accuracies, np.float64),
        stages=tuple(stages),
    )


def _is_look(step: int) -> bool:
    return str(step).rstrip("0") in ("1", "2", "5")


def _is_half(step: int, most_steps: int, spent: float, seconds: float) -> bool:
    return 2 * step >= most_steps or 2.0 * spent >= seconds


def measure(task: TrainingTask, state: TrainingState, sentences: int) -> EstimatorStage:
    """The exact moments of a run's estimator at its parameters and its lambda."""
    rng = np.random.default_rng(task.options.seed)
    rows = pick(rng, task.prepared.split.held_out, sentences)
    subject = Subject(task.model, state.parameters, batch_of(task, rows, rng))
    plain = ESTIMATORS["no-baseline"]
    variance = without = 0.0
    exact: Any = 0.0
    mean: Any = 0.0
    sizes: dict[str, int] = {}
    for row in range(subject.batch.n):
        example = subject.example(row)
        jacobian = label_jacobian(example)
        products = jacobian.rows @ jacobian.rows.T
        values, length = (jacobian.log_q, jacobian.loss), float(example.batch.mask.sum())
        own = baseline_value(task, state, example)
        drawn = draw_weights(task.options.row, *values, baseline=own, length=length)
        bare = draw_weights(plain, *values, baseline=0.0, length=length)
        variance += drawn.variance(products)
        without += bare.variance(products)
        exact = exact + exact_weights(*values) @ jacobian.rows
        mean = mean + drawn.mean() @ jacobian.rows
        sizes = jacobian.sizes
    of_w = np.concatenate([np.full(size, group_of(name) == "w") for name, size in sizes.items()])
    return EstimatorStage(
        step=state.step,
        variance=variance,
        without=without,
        signal=float(exact @ exact),
        cosine=cosine(mean, exact),
        cosine_w=cosine(mean[of_w], exact[of_w]),
    )


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The cosine of the angle between two vectors; NaN where one of them is zero."""
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size > 0.0 else float("nan")


def baseline_value(task: TrainingTask, state: TrainingState, example: Subject) -> float:
    """B of the only sentence of a subject, at the lambda of a run."""
    backend: Any = load("torch")
    torch = backend.torch

    def tensors(arrays: dict[str, Any]) -> dict[str, Any]:
        return {name: torch.as_tensor(value) for name, value in arrays.items()}

    arrays = tensors(example.batch.arrays())
    with torch.no_grad():
        seen = BaselineInput(
            ops=TorchOps(torch),
            model=task.model,
            parameters=tensors(dict(example.parameters)),
            batch=from_arrays(1, example.batch.t, arrays),
            inputs=arrays | tensors(dict(state.lambda_)),
            loss=torch.zeros(1, dtype=torch.float64),
        )
        return float(task.baseline.value(seen)[0])
