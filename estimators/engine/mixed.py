"""Moments of a model some of whose parameters enter in layers: the others' gradients are formed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model

from .factored_gradient import LabelGradients, Tensor
from .general import GeneralBlock
from .structured import StructuredBlock
from .tape import NotAnOuterProduct


class MixedBlock:
    """Some sentences of a batch, and their gradients by labels.

    Args:
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
        self._layered = StructuredBlock(torch, model, parameters, batch, plain)
        self._formed = GeneralBlock(torch, model, parameters, batch, plain)

    def gradients_at(self, labels: Sequence[int]) -> LabelGradients:
        """Log q, L and their gradients at these labels."""
        found, more = self._layered.gradients_at(labels), self._formed.gradients_at(labels)
        return found._replace(
            score={**found.score, **more.score}, pathwise={**found.pathwise, **more.pathwise}
        )


def find_factorless(
    torch: Any, model: Model, parameters: Mapping[str, Tensor], batch: Batch
) -> dict[str, NotAnOuterProduct]:
    """The parameters that enter in ways that have no factors, and why; found by trying.

    The model is run on two copies of a sentence and on three, since an axis that is that of the
    sentences both times is no other one that happens to be as long.

    Args:
        batch: one sentence.
    """
    plain: dict[str, NotAnOuterProduct] = {}
    while len(plain) < len(parameters):
        try:
            for labels in ([0, 1], [0, 1, 0]):
                StructuredBlock(torch, model, parameters, batch, list(plain)).check(labels)
            break
        except NotAnOuterProduct as error:
            plain[error.name] = error
        except TypeError as error:  # of something that no handle knows, and that names no parameter
            return {name: NotAnOuterProduct(name, f"used so that: {error}") for name in parameters}
    return plain
