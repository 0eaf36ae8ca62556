"""Moments of a model that nothing is known of: every gradient is formed, some labels at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gradproof.reference_models.batch import Batch, from_arrays
from gradproof.reference_models.model import Model

from ..backends.torch_backend import TorchOps
from .factored_gradient import FactoredGradient, Gradients, LabelGradients, OuterProducts, Tensor

#: Tensors by name: of a batch, or parameters.
ByName = Mapping[str, Tensor]


class GeneralBlock:
    """Some sentences of a batch, and their gradients by labels, each one formed.

    Args:
        wanted: the parameters whose gradients are formed; None: all of them.
    """

    def __init__(
        self,
        torch: Any,
        model: Model,
        parameters: Mapping[str, Tensor],
        batch: Batch,
        wanted: Collection[str] | None = None,
    ) -> None:
        self._torch, self._model, self._batch = torch, model, batch
        self._ops, self._parameters = TorchOps(torch), dict(parameters)
        leaves = {
            name: value.detach().requires_grad_()
            for name, value in parameters.items()
            if wanted is None or name in wanted
        }
        given = self._parameters | leaves
        log_q = model.log_q(self._ops, given, batch)
        self._values = log_q.detach()
        drawn = self._one_hot([0] * batch.n).unsqueeze(0)
        self._score_of = _names_reached(log_q, leaves)
        self._pathwise_of = _names_reached(model.loss(self._ops, given, batch, drawn), leaves)

    def gradients_at(self, labels: Sequence[int]) -> LabelGradients:
        """Log q, L (if any gradient of it is wanted) and their gradients at these labels."""
        loss, pathwise = self._compute_each(self._loss, self._pathwise_of, labels)
        _, score = self._compute_each(self._log_q, self._score_of, labels)
        return LabelGradients(self._values[:, list(labels)], loss, score, pathwise)

    def _loss(self, parameters: Mapping[str, Tensor], arrays: ByName, draw: Tensor) -> Tensor:
        given = self._parameters | dict(parameters)
        return self._model.loss(self._ops, given, self._single_batch(arrays), draw[None, None])[
            0, 0
        ]

    def _log_q(self, parameters: Mapping[str, Tensor], arrays: ByName, draw: Tensor) -> Tensor:
        given = self._parameters | dict(parameters)
        found = self._model.log_q(self._ops, given, self._single_batch(arrays))[0]
        # A label that is never drawn has log q of minus infinity, and no gradient.
        chosen = (draw > 0.5) & (found > -float("inf"))
        return self._torch.where(chosen, found, 0.0).sum()

    def _single_batch(self, arrays: ByName) -> Batch:
        return from_arrays(1, self._batch.t, {key: each[None] for key, each in arrays.items()})

    def _compute_each(
        self, function: Callable[..., Tensor], names: Sequence[str], labels: Sequence[int]
    ) -> tuple[Tensor, Gradients]:
        """Values (N, M) and gradients at each sentence and label, in one vectorised call.

        Where the model does what cannot be vectorised, one is run after the other.
        """
        if not names:
            return self._values.new_zeros(self._batch.n, len(labels)), {}
        wrt = {name: self._parameters[name] for name in names}
        both, vmap = self._torch.func.grad_and_value(function), self._torch.func.vmap
        drawn, arrays = self._one_hot(labels), self._batch.arrays()
        try:
            over_labels = vmap(both, in_dims=(None, None, 0))
            found, values = vmap(over_labels, in_dims=(None, 0, None))(wrt, arrays, drawn)
        except (RuntimeError, NotImplementedError):
            found, values = self._one_by_one(both, wrt, drawn)
        n, m = self._batch.n, len(labels)
        return values, {
            name: FactoredGradient((OuterProducts(each.reshape(n, m, 1, -1), None),), None)
            for name, each in found.items()
        }

    def _one_by_one(
        self, both: Callable[..., Any], wrt: ByName, drawn: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        examples = [
            {name: each[n] for name, each in self._batch.arrays().items()}
            for n in range(self._batch.n)
        ]
        runs = [both(wrt, example, draw) for example in examples for draw in drawn]
        stack = self._torch.stack
        values = stack([value for _, value in runs]).reshape(len(examples), -1)
        return {name: stack([each[name] for each, _ in runs]) for name in wrt}, values

    def _one_hot(self, labels: Sequence[int]) -> Tensor:
        eye = self._torch.eye(self._model.classes, dtype=self._values.dtype)
        return eye[list(labels)]


def _names_reached(value: Tensor, leaves: Mapping[str, Tensor]) -> list[str]:
    """The leaves that a value was computed from, read off its graph: no gradient is formed."""
    reached: set[int] = set()
    seen = {None}  # what stands for a path that needs no gradient
    waiting = [value.sum().grad_fn]  # of the sum: a value may be a leaf, which has no node
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            reached.add(id(getattr(node, "variable", None)))  # what a leaf's own node has
            waiting += [before for before, _ in node.next_functions]
    return [name for name, leaf in leaves.items() if id(leaf) in reached]
