"""What B a user's baseline gives of each sentence, and whether it gives the same again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from gradproof.estimators.baselines.custom import BaselineError, CustomBaseline, like
from gradproof.reference_models.ops import Array, Ops

from .baseline_search import SEEDS
from .baseline_states import sentences
from .study import Study

Named = Mapping[str, Array]


class NotTheSame(BaselineError):
    """A baseline that is not the same at a second call: it cannot be known by calling it."""


def repeated(own: CustomBaseline, study: Study) -> np.ndarray:
    """B of each sentence at one draw, after a look at another draw as before it.

    Raises:
        BaselineError: if it is not: what B is at a draw could not be known by calling it.
    """
    labels = study.draw()
    before = _at_each(study, own, labels)
    at_labels(study, own, (labels + 1) % study.subject.model.classes)
    check_same(before, at_labels(study, own, labels), own.name, "at a second call")
    return before


def _at_each(study: Study, own: CustomBaseline, labels: np.ndarray) -> np.ndarray:
    """B of each sentence; an error that one sentence alone is to blame for names it."""
    try:
        return at_labels(study, own, labels)
    except BaselineError as error:
        n = study.subject.batch.n
        blamed = [row for row in range(n) if _fails(study, own, labels, row)]
        if len(blamed) != 1 or n == 1:
            raise
        tokens = int(study.subject.batch.mask[blamed[0]].sum())
        raise BaselineError(
            f"{error}. It is sentence {blamed[0]}, of {tokens} tokens, alone that it fails at"
        ) from error


def _fails(study: Study, own: CustomBaseline, labels: np.ndarray, row: int) -> bool:
    example = Study(study.bench, study.subject.example(row))
    try:
        at_labels(example, own, labels[[row]])
    except BaselineError:
        return True
    return False


def check_same(before: np.ndarray, after: np.ndarray, name: str, when: str) -> None:
    """Make sure that B is what it was.

    Raises:
        NotTheSame: if it is not; the message says when.
    """
    if not np.array_equal(before, after):
        place = int(np.argmax(before != after))
        raise NotTheSame(
            f"baseline {name!r} gave {before[place]:.6g} for sentence {place}, and "
            f"{after[place]:.6g} {when}, expected the same for the same sentences, losses and "
            "seeds: it keeps state in a global or a class, or draws from what has no seed; keep "
            "what it learns in attributes of an object, and draw from NumPy, random or PyTorch"
        )


def at_labels(study: Study, own: CustomBaseline, labels: np.ndarray) -> np.ndarray:
    """B of each sentence, (N,), where these labels are drawn."""
    return at_losses(study, own, study.reference.loss[np.arange(len(labels)), labels])


def at_losses(study: Study, own: CustomBaseline, losses: np.ndarray) -> np.ndarray:
    """B of each sentence, (N,), with these losses."""
    x = sentences(study, losses)
    if not own.torch:
        return np.asarray(own.averaged(x), np.float64)

    def called(ops: Ops, parameters: Named, inputs: Named) -> Named:
        given = dataclasses.replace(x, embedded=inputs["embedded"], losses=inputs["losses"])
        return {"B": like(own.averaged(given), inputs["losses"])}

    arrays = {"embedded": x.embedded, "losses": losses}
    return study.bench.backend.evaluate(called, {}, arrays)({}, arrays)["B"].astype(np.float64)


def noise_of(study: Study, own: CustomBaseline) -> np.ndarray:
    """The standard deviation of what B draws itself, (N,); zero where it draws nothing."""
    labels = study.draw()
    values = [
        at_labels(study, dataclasses.replace(own, seed=seed), labels) for seed in range(SEEDS)
    ]
    return np.std(values, axis=0, ddof=1) if np.ptp(values, axis=0).any() else np.zeros(len(labels))


def draws_noise(study: Study, own: CustomBaseline) -> bool:
    """Whether B is another with another seed."""
    labels = study.draw()
    other = dataclasses.replace(own, seed=own.seed + 1)
    return not np.array_equal(at_labels(study, own, labels), at_labels(study, other, labels))
