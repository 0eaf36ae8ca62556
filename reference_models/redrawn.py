"""SeqDGM-A as the note's authors released it: a is drawn once for q(y|a, x) and anew for L."""

from __future__ import annotations

import dataclasses

from .batch import Batch, Noise
from .model import Model, Parameters
from .ops import Array, Ops
from .seqdgm_a import SeqDGMA

#: The noise of the second draw of a, beside ``eps_a`` of the first, (N, A).
SECOND = "eps_a_again"


@dataclasses.dataclass(frozen=True)
class RedrawnSeqDGMA(SeqDGMA):
    """SeqDGM-A whose L has an a of its own: wrong on purpose, for claim ``released.redrawn``.

    Reference:
        The code that the note's authors released in 2016.
    """

    def loss(self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array) -> Array:
        """L(x, y) at the second draw of a, shape (M, N), in nats."""
        noise = Noise({**batch.noise, "eps_a": batch.noise[SECOND]})
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


def redrawn(model: Model) -> RedrawnSeqDGMA:
    """The same model with another a in L.

    Raises:
        TypeError: if the model draws no a.
    """
    if not isinstance(model, SeqDGMA):
        raise TypeError(f"model {model.name!r} draws no a, expected SeqDGM-A")
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    return RedrawnSeqDGMA(**fields)
