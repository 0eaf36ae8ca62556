"""Every score and pathwise gradient of one sentence, as rows: for estimates that mix labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from gradproof.reference_models.batch import from_arrays

from ..backends import load
from ..backends.torch_backend import TorchOps
from ..note.subject import Subject

#: Rows that are differentiated at a time: more are no faster, and take more memory.
CHUNK = 16


@dataclasses.dataclass(frozen=True)
class LabelJacobian:
    """One sentence at every label.

    Shape: ``log_q`` and ``loss`` (K,); ``rows`` (2 K, P), the scores and below them the pathwise
    gradients, all parameters side by side in the order of ``sizes``, by name.
    """

    log_q: np.ndarray
    loss: np.ndarray
    rows: np.ndarray
    sizes: dict[str, int]


def label_jacobian(subject: Subject) -> LabelJacobian:
    """The rows of the only sentence of a subject, in double precision, by PyTorch.

    Raises:
        ValueError: if there is more than one sentence.
        BackendMissing: if PyTorch is not installed.
    """
    if subject.batch.n != 1:
        raise ValueError(
            f"a batch of {subject.batch.n} sentences, expected 1: take subject.example(row)"
        )
    backend: Any = load("torch")
    torch, ops, model = backend.torch, TorchOps(backend.torch), subject.model
    arrays = {name: torch.as_tensor(value) for name, value in subject.batch.arrays().items()}
    parameters = {
        name: torch.tensor(np.asarray(value, np.float64))
        for name, value in subject.parameters.items()
    }
    batch = from_arrays(1, subject.batch.t, arrays)
    labels = torch.eye(model.classes, dtype=torch.float64)

    def log_q(given: dict[str, Any]) -> Any:
        return model.log_q(ops, given, batch)[0]

    def loss(given: dict[str, Any], label: Any) -> Any:
        return model.loss(ops, given, batch, label[None, None])[0, 0]

    score = torch.func.jacrev(log_q, chunk_size=CHUNK)(parameters)
    # Label by label: the Jacobian of all losses at once would run each label for every row.
    of_label = torch.func.vmap(torch.func.grad_and_value(loss), (None, 0), chunk_size=CHUNK)
    pathwise, losses = of_label(parameters, labels)
    both = (_side_by_side(score), _side_by_side(pathwise))
    return LabelJacobian(
        log_q=log_q(parameters).numpy(),
        loss=losses.numpy(),
        rows=np.concatenate(both),
        sizes={name: np.size(value) for name, value in subject.parameters.items()},
    )


def _side_by_side(gradients: dict[str, Any]) -> np.ndarray:
    """Gradients (K, *shape) by name as one array (K, P)."""
    parts = [value.reshape(len(value), -1).numpy() for value in gradients.values()]
    return np.concatenate(parts, axis=1)
