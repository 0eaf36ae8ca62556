"""PyTorch: stop-gradients by ``detach``. Imperative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.reference_models.ops import Array, LoopScan

from .backend import Arrays, Build, Function, Names


class TorchOps(LoopScan):
    """The array namespace on tensors."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self.exp, self.log, self.tanh = torch.exp, torch.log, torch.tanh
        self.sigmoid, self.square = torch.sigmoid, torch.square
        self.dot, self.zeros_like = torch.matmul, torch.zeros_like
        self.expand_dims = torch.unsqueeze

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """Elementwise choice."""
        return self._torch.where(self._torch.as_tensor(condition), x, y)

    def sum(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """Sum over one axis, or all."""
        return x.sum() if axis is None else x.sum(dim=axis, keepdim=keepdims)

    def transpose(self, matrix: Array) -> Array:
        """Transpose of a matrix."""
        return matrix.T

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""
        return self._torch.cat(list(arrays), dim=axis)

    def stack(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along a new axis."""
        return self._torch.stack(list(arrays), dim=axis)

    def unstack(self, x: Array, axis: int, count: int) -> list[Array]:
        """``unbind``, whose gradient is one stack: that of as many slices is as many additions."""
        return list(x.unbind(axis))

    def take(self, table: Array, rows: Array) -> Array:
        """Rows of a table."""
        return table[self._torch.as_tensor(rows)]

    def logsumexp(self, x: Array, axis: int) -> Array:
        """PyTorch's own."""
        return self._torch.logsumexp(x, dim=axis)

    def log_softmax(self, x: Array) -> Array:
        """PyTorch's own."""
        return self._torch.log_softmax(x, dim=-1)

    def stop_gradient(self, x: Array) -> Array:
        """``detach``."""
        return x.detach()


class TorchBackend:
    """Runs ``build`` on tensors at each call."""

    name = "torch"

    def __init__(self, torch: Any) -> None:
        self.torch = self._torch = torch
        self._ops = TorchOps(torch)

    def _tensors(self, arrays: Arrays, *, traced: bool = False) -> dict[str, Any]:
        # Copies: a build must not be able to write into the caller's arrays.
        return {
            name: self._torch.tensor(np.asarray(array), requires_grad=traced)
            for name, array in arrays.items()
        }

    def _gradients(
        self, output: Any, leaves: Mapping[str, Any], *, again: bool = False
    ) -> dict[str, Any]:
        if not output.requires_grad:
            return dict.fromkeys(leaves)
        found = self._torch.autograd.grad(
            output, list(leaves.values()), allow_unused=True, create_graph=again
        )
        return dict(zip(leaves, found, strict=True))

    def evaluate(self, build: Build, parameters: Arrays, inputs: Arrays) -> Function:
        """Values without a graph."""

        def call(parameters: Arrays, inputs: Arrays) -> dict[str, np.ndarray]:
            with self._torch.no_grad():
                values = build(self._ops, self._tensors(parameters), self._tensors(inputs))
            return {name: value.numpy() for name, value in values.items()}

        return call

    def differentiate(
        self, build: Build, parameters: Arrays, inputs: Arrays, wrt: Names
    ) -> Function:
        """One ``torch.autograd.grad`` of the scalar."""

        def call(parameters: Arrays, inputs: Arrays) -> dict[str, np.ndarray]:
            tensors = self._tensors(parameters, traced=True)
            cost = build(self._ops, tensors, self._tensors(inputs))
            gradients = self._gradients(cost, {name: tensors[name] for name in wrt})
            return {
                name: np.zeros_like(parameters[name]) if found is None else found.numpy()
                for name, found in gradients.items()
            }

        return call

    def differentiate_twice(
        self, build: Build, parameters: Arrays, inputs: Arrays, wrt: Names
    ) -> Function:
        """``torch.autograd.grad`` of what it gave with ``create_graph``."""

        def call(parameters: Arrays, inputs: Arrays) -> dict[str, np.ndarray]:
            tensors, given = self._tensors(parameters, traced=True), self._tensors(inputs)
            leaves = {name: tensors[name] for name in wrt}
            first = self._gradients(build(self._ops, tensors, given), leaves, again=True)
            slope = sum(
                (found * given[f"along.{name}"]).sum()
                for name, found in first.items()
                if found is not None
            )
            second = self._gradients(slope, leaves) if isinstance(slope, self._torch.Tensor) else {}
            return {
                name: found.numpy()
                if (found := second.get(name)) is not None
                else np.zeros_like(parameters[name])
                for name in wrt
            }

        return call

    def reach(self, build: Build, parameters: Arrays, inputs: Arrays) -> frozenset[str]:
        """A parameter outside the graph has the gradient None, one inside it has an array."""
        leaves = self._tensors(parameters, traced=True)
        values = build(self._ops, leaves, self._tensors(inputs)).values()
        total = sum(value.sum() for value in values)
        found = self._gradients(total, leaves)
        return frozenset(name for name, gradient in found.items() if gradient is not None)


def backend() -> TorchBackend:
    """The backend of this module."""
    import torch

    return TorchBackend(torch)
