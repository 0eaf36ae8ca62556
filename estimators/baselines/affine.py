"""A baseline that is affine in the mean embedding of the sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.ops import Array, Ops
from gradproof.reference_models.tabular import mean_embedding


@dataclasses.dataclass(frozen=True)
class Affine:
    """B(x) = lambda.bias + lambda.weight . mean embedding of x.

    Valid when: held constant. With ``held=False`` it reads the shared embeddings live, and the
    gradient of B reaches e: claims ``baseline.reconstruction`` and ``baseline.unbiased`` fail.
    """

    name: str = "affine"
    coupled: bool = False
    held: bool = True

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """``bias`` () and ``weight`` (D,)."""
        return {
            "lambda.bias": np.array(2.0 + rng.standard_normal()),
            "lambda.weight": 1.0 + rng.standard_normal(width),
        }

    def value(
        self,
        ops: Ops,
        parameters: Mapping[str, Array],
        batch: Batch,
        inputs: Mapping[str, Array],
        loss: Array,
    ) -> Array:
        """B of each sentence."""
        features = mean_embedding(ops, parameters, batch)
        weight = ops.expand_dims(inputs["lambda.weight"], 0)
        return ops.sum(features * weight, axis=1) + inputs["lambda.bias"]
