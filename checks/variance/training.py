"""A training run in a folder: steps, looks, checkpoints, and the variance at chosen stages."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gradproof.estimators.backends import Arrays
from gradproof.estimators.backends.torch_training import threads
from gradproof.estimators.training import checkpoint as files
from gradproof.estimators.training.checkpoint import Checkpoint, History
from gradproof.estimators.training.step import advance, initial_state, look
from gradproof.estimators.training.training_options import Schedule, TrainingTask
from gradproof.reference_models.corpora import difference

from ..json_records import from_json, to_json
from .records import Stage, Training

#: Measures the variance under every baseline at the parameters of a step.
Measure = Callable[[int, Arrays], Stage]

#: Told of each step: how many are taken, of how many, and what was seen last.
Progress = Callable[[int, int, str], None]

#: The record's name in the folder.
RECORD = "record.json"


def train(
    task: TrainingTask,
    folder: Path,
    schedule: Schedule,
    *,
    resume: bool = False,
    measure: Measure | None = None,
    progress: Progress | None = None,
    processors: int = 1,
) -> Training:
    """Train, and leave checkpoints and ``record.json`` in a folder.

    A checkpoint is written at every look; those of stages stay, of the others the last. Stopped at
    any time, a run resumes from it, and ends where it would have ended.

    Args:
        measure: called with the step and its parameters at each stage; None: no stage is measured.
        progress: called after each step.
        processors: to compute on. The matrices of a small model are too small to share out: on a
            busy machine, two took twenty times as long as one.

    Raises:
        ValueError: if the folder holds a run and ``resume`` is false, or none and it is true; or
            for a checkpoint that is not one of this task; or if the entropy has a weight, of which
            no variances can be measured.
        TrainingDiverged: if the loss or the gradient is not finite; the last checkpoint stays.
        OSError: if a file cannot be written.
    """
    if measure is not None and schedule.stages:
        task.options.check_measurable("measure no stage (--stages none), or leave the weight out")
    point = begin(task, folder, schedule, resume=resume)
    stages = _stages_so_far(task, folder, point.state.step) if resume else ()
    with threads(processors):
        while True:
            if _is_due(point):
                point = _add_look(task, point)
                files.write(folder, point)
                _tidy(folder, point)
            if point.state.step in schedule.looks():
                if progress is not None and measure is not None:
                    progress(point.state.step, schedule.steps, "measuring the variance")
                stages = _measure_stages(folder, point, stages, measure)
                _write_record(task, folder, point.history, stages)
            if point.state.step >= schedule.steps:
                return _record(task, point.history, stages)
            point = _advance(task, point)
            if progress is not None:
                progress(point.state.step, schedule.steps, _describe_last_look(point.history))


def begin(task: TrainingTask, folder: Path, schedule: Schedule, *, resume: bool) -> Checkpoint:
    """The initial state of a run, or the last one that its folder has a checkpoint of.

    Raises:
        ValueError: as :func:`train`.
    """
    steps = files.steps_in(folder)
    if steps and not resume:
        raise ValueError(
            f"{folder} holds a run of {steps[-1]} steps already; --resume goes on with it, or "
            "choose another folder"
        )
    if resume:
        path = last_checkpoint(folder)
        point = files.read(path)
        files.check(point, task, path)
        if schedule.steps < point.state.step:
            raise ValueError(
                f"{folder} holds a run of {point.state.step} steps, and --steps asks for "
                f"{schedule.steps} in all: ask for more, or leave it out"
            )
        return dataclasses.replace(point, schedule=schedule, source=task.prepared.corpus.source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"cannot make the folder {folder}: {error.strerror}; choose another place"
        ) from error
    return Checkpoint(
        state=initial_state(task),
        history=History(),
        options=task.options,
        schedule=schedule,
        source=task.prepared.corpus.source,
        fingerprint=task.prepared.corpus.fingerprint,
        seconds=0.0,
    )


def last_checkpoint(folder: Path) -> Path:
    """The last checkpoint of a folder.

    Raises:
        ValueError: if there is none.
    """
    steps = files.steps_in(folder)
    if not steps:
        raise ValueError(f"{folder} holds no checkpoint to resume from; leave --resume out")
    return files.path_of(folder, steps[-1])


def _is_due(point: Checkpoint) -> bool:
    seen = point.history.steps
    return point.state.step in point.schedule.looks() and point.state.step not in seen


def _add_look(task: TrainingTask, point: Checkpoint) -> Checkpoint:
    found = look(task, point.state)
    history = point.history.with_look(point.state.step, point.seconds, found.loss, found.accuracy)
    return dataclasses.replace(point, history=history)


def _advance(task: TrainingTask, point: Checkpoint) -> Checkpoint:
    began = time.perf_counter()
    state = advance(task, point.state)
    seconds = point.seconds + time.perf_counter() - began
    return dataclasses.replace(point, state=state, seconds=seconds)


def _describe_last_look(history: History) -> str:
    if not history.steps:
        return "starting"
    return f"loss {history.loss[-1]:.4g}, accuracy {history.accuracy[-1]:.3f}"


def _stages_so_far(task: TrainingTask, folder: Path, step: int) -> tuple[Stage, ...]:
    """What a stopped run measured up to the step that it is resumed from."""
    path = folder / RECORD
    if not path.is_file():
        return ()
    try:
        known = from_json(Training, path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read: {error}; delete it, and stages are measured again"
        ) from error
    corpus, anew = task.prepared.corpus, "delete it, and stages are measured again"
    other = difference(str(path), known.source, known.fingerprint, corpus, anew)
    if other is not None:
        raise ValueError(other)
    return tuple(stage for stage in known.stages if stage.step <= step)


def _measure_stages(
    folder: Path, point: Checkpoint, stages: tuple[Stage, ...], measure: Measure | None
) -> tuple[Stage, ...]:
    """Stages up to now; one that a stopped run did not come to is measured from its checkpoint."""
    if measure is None:
        return stages
    found = {stage.step: stage for stage in stages}
    for step in point.schedule.measured_steps():
        path = files.path_of(folder, step)
        if step <= point.state.step and step not in found and path.is_file():
            found[step] = measure(step, files.read(path).state.parameters)
    return tuple(found[step] for step in sorted(found))


def _tidy(folder: Path, point: Checkpoint) -> None:
    """Drop the checkpoints that neither a stage nor a resumption needs."""
    for step in files.steps_in(folder):
        if step < point.state.step and step not in point.schedule.measured_steps():
            files.path_of(folder, step).unlink()


def _record(task: TrainingTask, history: History, stages: tuple[Stage, ...]) -> Training:
    options, corpus = task.options, task.prepared.corpus
    return Training(
        model=options.model,
        data=corpus.name,
        source=corpus.source,
        fingerprint=corpus.fingerprint,
        estimator=options.estimator,
        baseline=options.row.baseline or "none",
        seed=options.seed,
        steps=np.array(history.steps, np.int64),
        seconds=np.array(history.seconds, np.float64),
        loss=np.array(history.loss, np.float64),
        accuracy=np.array(history.accuracy, np.float64),
        stages=stages,
    )


def _write_record(
    task: TrainingTask, folder: Path, history: History, stages: tuple[Stage, ...]
) -> None:
    text = to_json(_record(task, history, stages))
    files.replace_whole(folder / RECORD, text.encode())
