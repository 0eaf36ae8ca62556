"""A baseline that is affine in the mean embedding of the sentence."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.reference_models.ops import Array

from .base import NothingLearned, Seen


@dataclasses.dataclass(frozen=True)
class Affine(NothingLearned):
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

    def value(self, seen: Seen) -> Array:
        """B of each sentence."""
        weight = seen.ops.expand_dims(seen.inputs["lambda.weight"], 0)
        product = seen.ops.sum(seen.features.embedded * weight, axis=1)
        return product + seen.inputs["lambda.bias"]
