"""The smallest model that has every claim in it: tables in place of networks.

Every sentence is the masked mean of its tokens' rows of ``e.embedding``; the classifier is a linear
table on it, the loss reads one row of two tables per label. Hypothesis drives this one.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .batch import Batch
from .model import Parameters, check_classes
from .ops import Array, Ops


@dataclasses.dataclass(frozen=True)
class TabularModel:
    """log q and L as small differentiable tables with the four parameter groups.

    Shape:
        ``e.embedding`` (V, D), ``w.weight`` (K, D), ``w.bias`` (K,), ``phi.table`` (K, D),
        ``theta.table`` (K, D). With V = K, e and w have a table of the same shape.

    Args:
        classes: K, at least 2.
        vocabulary: V.
        width: D.
        support: labels that can be drawn; the others have log q of minus infinity. None: all.
        batch_statistics: centre the label-dependent layer over the batch. This couples the
            examples, as batch normalisation does, and breaks claim ``batch.one_pass``.
    """

    classes: int
    vocabulary: int
    width: int
    support: tuple[bool, ...] | None = None
    batch_statistics: bool = False
    name: str = "tabular"

    def __post_init__(self) -> None:
        check_classes(self.classes)
        if self.support is not None and (
            len(self.support) != self.classes or not any(self.support)
        ):
            raise ValueError(
                f"support is {self.support}, expected {self.classes} booleans with a true one"
            )

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Parameters from a standard normal."""
        by_label = (self.classes, self.width)
        shapes = {
            "e.embedding": (self.vocabulary, self.width),
            "w.weight": by_label,
            "w.bias": (self.classes,),
            "phi.table": by_label,
            "theta.table": by_label,
        }
        return {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    def noise(self, rng: np.random.Generator, n: int, t: int) -> dict[str, np.ndarray]:
        """``eps_h`` (N, D), which jitters the latent row."""
        return {"eps_h": rng.standard_normal((n, self.width))}

    def log_q(self, ops: Ops, parameters: Parameters, batch: Batch) -> Array:
        """Log q(y|x), shape (N, K)."""
        logits = ops.dot(
            mean_embedding(ops, parameters, batch), ops.transpose(parameters["w.weight"])
        )
        logits = logits + ops.expand_dims(parameters["w.bias"], 0)
        if self.support is not None:
            drawable = np.tile(self.support, (batch.n, 1))
            logits = ops.where(drawable, logits, -float("inf"))
        return ops.log_softmax(logits)

    def latents(
        self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array
    ) -> dict[str, Array]:
        """``h`` (M, N, D), the row that phi makes of the sentence and the label."""
        features = ops.expand_dims(mean_embedding(ops, parameters, batch), 0)
        rows = features + ops.dot(labels, parameters["phi.table"])
        if self.batch_statistics:
            rows = rows - ops.sum(rows, axis=1, keepdims=True) / batch.n
        return {"h": ops.tanh(rows) + ops.expand_dims(batch.noise["eps_h"], 0)}

    def loss(self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array) -> Array:
        """Half the squared distance of h to theta's row for the label, shape (M, N)."""
        latent = self.latents(ops, parameters, batch, labels)["h"]
        target = ops.dot(labels, parameters["theta.table"])
        return 0.5 * ops.sum(ops.square(latent - target), axis=-1)


def mean_embedding(ops: Ops, parameters: Parameters, batch: Batch) -> Array:
    """Mean of ``e.embedding`` over the tokens of each sentence, shape (N, D)."""
    rows = ops.take(parameters["e.embedding"], batch.tokens)
    mask = ops.expand_dims(batch.mask, -1)
    return ops.sum(rows * mask, axis=1) / ops.sum(mask, axis=1)
