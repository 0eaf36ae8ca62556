"""One enumerated gradient of U, block by block: what exact moments are compared with in cost."""

from __future__ import annotations

from typing import Any

from gradproof.reference_models.objective import finite

from ..backends.torch_backend import TorchOps
from ..note.subject import Subject
from . import blocks
from .accumulate import double_tensors, tensors


def gradient(torch: Any, subject: Subject, pairs: int = blocks.PAIRS) -> dict[str, Any]:
    """The gradient of the sum of U over a batch, by parameter.

    Estimand: grad of sum_n sum_k q_k (L_k + log q_k).
    """
    ops, model = TorchOps(torch), subject.model
    parameters = {
        name: value.requires_grad_()
        for name, value in double_tensors(torch, subject.parameters).items()
    }
    total = {name: value.new_zeros(value.shape) for name, value in parameters.items()}
    for rows in blocks.sentences(subject.batch.n, model.classes, pairs):
        batch = tensors(torch, subject.batch.rows(rows))
        for labels in blocks.chunks(model.classes, pairs):
            chosen = slice(labels[0], labels[-1] + 1)
            draw = torch.zeros(len(labels), batch.n, model.classes, dtype=torch.float64)
            draw[range(len(labels)), :, labels] = 1.0
            log_q = model.log_q(ops, parameters, batch)[:, chosen]
            loss = model.loss(ops, parameters, batch, draw).T
            cost = (log_q.exp() * (loss + finite(ops, log_q))).sum()
            found = torch.autograd.grad(cost, list(parameters.values()), allow_unused=True)
            for name, each in zip(parameters, found, strict=True):
                if each is not None:
                    total[name] += each
    return total
