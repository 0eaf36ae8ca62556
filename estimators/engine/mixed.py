"""Moments of a model some of whose parameters enter in layers: the others' gradients are formed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model

from .general import Formed
from .structured import Block, Gradients
from .tape import Unstructured

#: A tensor of PyTorch.
Tensor = Any


class Mixed:
    """Some sentences of a batch, and their gradients by labels.

    Args:
        torch: the framework.
        parameters: tensors by name.
        batch: of tensors.
        plain: parameters that enter in ways that have no factors.
    """

    def __init__(
        self,
        torch: Any,
        model: Model,
        parameters: Mapping[str, Tensor],
        batch: Batch,
        plain: Collection[str],
    ) -> None:
        self._layered = Block(torch, model, parameters, batch, plain)
        self._formed = Formed(torch, model, parameters, batch, plain)
        self.log_q = self._layered.log_q

    def at(self, labels: Sequence[int]) -> tuple[Tensor, Gradients, Gradients]:
        """L (N, M) at these labels, and the gradients of log q and of L."""
        loss, score, pathwise = self._layered.at(labels)
        _, more_score, more_pathwise = self._formed.at(labels)
        return loss, {**score, **more_score}, {**pathwise, **more_pathwise}


def without_factors(
    torch: Any, model: Model, parameters: Mapping[str, Tensor], batch: Batch
) -> frozenset[str]:
    """The parameters that enter in ways that have no factors, found by trying.

    Args:
        batch: one sentence is enough.
    """
    plain: set[str] = set()
    while len(plain) < len(parameters):
        try:
            Block(torch, model, parameters, batch, plain).at(range(2))
            break
        except Unstructured as error:
            plain.add(error.name)
        except TypeError:  # something that no handle knows of, and whose it was it does not say
            return frozenset(parameters)
    return frozenset(plain)
