"""Checkpoints: a state and how it came about, as arrays and JSON in one .npz file, no pickle."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradproof.reference_models.corpora import difference
from gradproof.reference_models.model import check_parameters

from .step import TrainingState
from .training_options import Schedule, TrainingOptions, TrainingTask, options_from

#: Raised by one when a checkpoint of the version before cannot be read any more.
VERSION = 3

#: What a checkpoint is called, by its step.
NAME = re.compile(r"checkpoint-(\d+)\.npz")

#: Arrays of a state by what stands before the slash in their name.
KINDS = ("parameters", "moments", "lambda")

#: The columns of a history.
COLUMNS = ("steps", "seconds", "loss", "accuracy")


@dataclasses.dataclass(frozen=True)
class History:
    """What was seen at each look so far: one entry each; seconds are of the steps alone."""

    steps: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()

    def with_look(self, step: int, seconds: float, loss: float, accuracy: float) -> History:
        """One look more."""
        return History(
            (*self.steps, step),
            (*self.seconds, seconds),
            (*self.loss, loss),
            (*self.accuracy, accuracy),
        )


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A state, its history, the options, and which text they named.

    ``source`` and ``fingerprint`` are those of the corpus: where its text was read from, and the
    checksum that tells whether it is still the same. ``schedule`` is how long the run was to go on:
    whoever resumes it may change that alone. ``seconds`` were spent on the steps so far.
    """

    state: TrainingState
    history: History
    options: TrainingOptions
    schedule: Schedule
    source: str
    fingerprint: str
    seconds: float


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return folder / f"checkpoint-{step}.npz"


def steps_in(folder: Path) -> list[int]:
    """The steps that a folder has a checkpoint of, ascending; none where there is no folder."""
    matches = (NAME.fullmatch(path.name) for path in folder.glob("*.npz"))
    return sorted(int(match[1]) for match in matches if match)


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a folder, whole or not at all; the path."""
    state = checkpoint.state
    about = {
        "version": VERSION,
        "step": state.step,
        "options": checkpoint.options.as_dict(),
        "schedule": dataclasses.asdict(checkpoint.schedule),
        "source": checkpoint.source,
        "fingerprint": checkpoint.fingerprint,
        "batches": state.batches,
        "draws": state.draws,
        "seconds": checkpoint.seconds,
        "history": dataclasses.asdict(checkpoint.history),
    }
    arrays = _arrays(state)
    written = io.BytesIO()
    np.savez(written, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    path = path_of(folder, state.step)
    replace_whole(path, written.getvalue())
    return path


def _arrays(state: TrainingState) -> dict[str, np.ndarray]:
    """The arrays of a state, by kind and name."""
    by_kind = zip(KINDS, (state.parameters, state.moments, state.lambda_), strict=True)
    return {f"{kind}/{name}": array for kind, named in by_kind for name, array in named.items()}


def replace_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or as it was, whenever the writer is stopped.

    Raises:
        OSError: if it cannot be written; the message says where and why.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else the name could be there before the content is
        os.replace(draft, path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}; make room, and resume") from error
    finally:
        draft.unlink(missing_ok=True)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        ValueError: if it is none, is not whole, or is of another version; the message says what to
            do.
        OSError: if it cannot be opened.
    """
    content = path.read_bytes()
    if not NAME.fullmatch(path.name) and not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError(
            f"{path} is not a checkpoint; expected a checkpoint-STEP.npz in a folder that "
            "`gradproof train` filled, or that folder"
        )
    try:
        # From memory: a file that is no archive would be left open.
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(str(arrays.pop("about")))
        if about["version"] != VERSION:
            raise ValueError(f"it is of version {about['version']}, expected {VERSION}")
        return _checkpoint(about, arrays)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is no checkpoint, or not whole ({type(error).__name__}: {error}); delete it "
            "and resume from the one before, if it is there, or train into another folder"
        ) from error


def _checkpoint(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Checkpoint:
    by_kind: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in KINDS}
    for name, array in arrays.items():
        kind, _, rest = name.partition("/")
        by_kind[kind][rest] = array
    history = {column: tuple(about["history"][column]) for column in COLUMNS}
    for name in ("batches", "draws"):
        np.random.default_rng().bit_generator.state = about[name]  # raises, if it is none
    state = TrainingState(
        step=about["step"],
        parameters=by_kind["parameters"],
        moments=by_kind["moments"],
        lambda_=by_kind["lambda"],
        batches=about["batches"],
        draws=about["draws"],
    )
    schedule = dict(about["schedule"])
    return Checkpoint(
        state=state,
        history=History(**history),
        options=options_from(about["options"]),
        schedule=Schedule(**schedule | {"stages": tuple(schedule["stages"])}),
        source=about["source"],
        fingerprint=about["fingerprint"],
        seconds=about["seconds"],
    )


def check(checkpoint: Checkpoint, task: TrainingTask, path: Path) -> None:
    """Make sure that a checkpoint is one of a task, and that it can be gone on from.

    Raises:
        ValueError: if it is of other options, another text or another model, or holds a value that
            is not finite; the message names what differs.
    """
    theirs, ours = checkpoint.options.as_dict(), task.options.as_dict()
    for name, value in ours.items():
        if theirs[name] != value:
            raise ValueError(
                f"{path} is of a run with {name} = {theirs[name]!r}, not {value!r}; leave the "
                "option out to go on with that run, or train into another folder"
            )
    other = difference(
        str(path),
        checkpoint.source,
        checkpoint.fingerprint,
        task.prepared.corpus,
        "train into another folder",
    )
    if other is not None:
        raise ValueError(other)
    _check_arrays(checkpoint.state, task, path)


def _check_arrays(state: TrainingState, task: TrainingTask, path: Path) -> None:
    model = {
        name: array.shape for name, array in task.model.initial(np.random.default_rng(0)).items()
    }
    lambda_ = task.baseline.initial(np.random.default_rng(0), task.options.width)
    needed = {f"parameters/{name}": shape for name, shape in model.items()}
    needed |= {f"lambda/{name}": array.shape for name, array in lambda_.items()}
    if state.moments or state.step:
        for kind in ("mean", "square"):
            needed |= {f"moments/{kind}.{name}": shape for name, shape in model.items()}
    arrays = _arrays(state)
    for name in sorted(set(needed) | set(arrays)):
        shape = arrays[name].shape if name in arrays else None
        if shape != needed.get(name):
            raise ValueError(
                f"{path} has {name} of shape {shape}, expected {needed.get(name)} (None: not "
                f"there); it is of another model than {task.model.name!r} or another baseline than "
                f"{task.baseline.name!r}, as they are now"
            )
    try:
        check_parameters(state.parameters)
        for named in (state.moments, state.lambda_):
            for name, array in named.items():
                if not np.isfinite(array).all():
                    raise ValueError(f"{name!r} is not finite")
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be gone on from: {error}; delete it and resume from the one before"
        ) from error
