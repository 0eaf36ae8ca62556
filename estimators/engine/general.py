"""Moments of a model that nothing is known of: every gradient is formed, some labels at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model

from ..backends.torch_backend import TorchOps
from .gradient import Gradient, Outer

#: A tensor of PyTorch.
Tensor = Any

#: Gradients of one sentence at every label, by parameter.
Gradients = Mapping[str, Gradient]


class Sentence:
    """One sentence of a batch, and its gradients by labels.

    Args:
        torch: the framework.
        parameters: tensors by name.
        batch: of tensors, N = 1.
    """

    def __init__(
        self, torch: Any, model: Model, parameters: Mapping[str, Tensor], batch: Batch
    ) -> None:
        self._torch, self._model, self._batch = torch, model, batch
        self._ops, self._parameters = TorchOps(torch), dict(parameters)
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        log_q = model.log_q(self._ops, leaves, batch)
        self.log_q = log_q.detach()
        drawn = self._one_hot([0]).unsqueeze(0)
        self._score_of = self._reached(log_q, leaves)
        self._pathwise_of = self._reached(model.loss(self._ops, leaves, batch, drawn), leaves)

    def chunks(
        self, chunks: Sequence[Sequence[int]]
    ) -> Iterator[tuple[Sequence[int], Tensor, Gradients, Gradients]]:
        """For each chunk of labels: L (1, M), and the gradients of log q and of L."""
        for labels in chunks:
            drawn = self._one_hot(labels)
            loss, pathwise = self._each(self._loss, self._pathwise_of, drawn)
            _, score = self._each(self._log_q, self._score_of, drawn)
            yield labels, loss.unsqueeze(0), score, pathwise

    def _loss(self, parameters: Mapping[str, Tensor], draw: Tensor) -> Tensor:
        given = self._parameters | dict(parameters)
        return self._model.loss(self._ops, given, self._batch, draw[None, None])[0, 0]

    def _log_q(self, parameters: Mapping[str, Tensor], draw: Tensor) -> Tensor:
        given = self._parameters | dict(parameters)
        # A label that is never drawn has log q of minus infinity, and no gradient.
        chosen = (draw > 0.5) & (self.log_q[0] > -float("inf"))
        found = self._model.log_q(self._ops, given, self._batch)[0]
        return self._torch.where(chosen, found, 0.0).sum()

    def _each(
        self, function: Callable[..., Tensor], names: Sequence[str], drawn: Tensor
    ) -> tuple[Tensor, Gradients]:
        """Values (M,) and gradients at each label, in one vectorised call.

        Where the model does what cannot be vectorised, one label is run after the other.
        """
        wrt = {name: self._parameters[name] for name in names}
        both = self._torch.func.grad_and_value(function)
        try:
            found, values = self._torch.func.vmap(both, in_dims=(None, 0))(wrt, drawn)
        except (RuntimeError, NotImplementedError):
            runs = [both(wrt, draw) for draw in drawn]
            values = self._torch.stack([value for _, value in runs])
            found = {name: self._torch.stack([each[name] for each, _ in runs]) for name in wrt}
        return values, {
            name: Gradient((Outer(each.reshape(1, len(drawn), 1, -1), None),), None)
            for name, each in found.items()
        }

    def _one_hot(self, labels: Sequence[int]) -> Tensor:
        eye = self._torch.eye(self._model.classes, dtype=self.log_q.dtype)
        return eye[list(labels)]

    def _reached(self, value: Tensor, leaves: Mapping[str, Tensor]) -> list[str]:
        found = self._torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
        return [name for name, each in zip(leaves, found, strict=True) if each is not None]
