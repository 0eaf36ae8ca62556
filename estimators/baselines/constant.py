"""A baseline that is the same for every sentence; zero is no baseline."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.reference_models.ops import Array

from .base import NothingLearned, Seen


@dataclasses.dataclass(frozen=True)
class Constant(NothingLearned):
    """B(x) = lambda.bias.

    Valid when: always. It depends on no label, and is held constant.
    """

    name: str = "constant"
    zero: bool = False
    coupled: bool = False
    held: bool = True

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """One number of the size of a loss, or zero."""
        return {"lambda.bias": np.array(0.0 if self.zero else 2.0 + rng.standard_normal())}

    def value(self, seen: Seen) -> Array:
        """The bias, for each sentence."""
        return seen.ops.zeros_like(seen.loss) + seen.inputs["lambda.bias"]
