"""What a baseline B(x; lambda) must offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.ops import Array, Ops


class Baseline(Protocol):
    """B(x; lambda), subtracted from L in the score term.

    ``coupled``: B of one sentence depends on the labels drawn for others (or its own), so that its
    draws must be enumerated jointly. ``held``: the surrogate holds B constant, as it must.

    Shape:
        ``value`` is (N,). Lambda and any state are among the ``inputs``, under ``lambda.<name>``,
        so that no estimate of the model's gradient differentiates them.
    """

    @property
    def name(self) -> str:
        """What the baseline is called."""

    @property
    def coupled(self) -> bool:
        """Whether B of a sentence depends on drawn labels."""

    @property
    def held(self) -> bool:
        """Whether the surrogate holds B constant."""

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """Lambda, for sentences whose mean embedding has ``width`` entries."""

    def value(
        self,
        ops: Ops,
        parameters: Mapping[str, Array],
        batch: Batch,
        inputs: Mapping[str, Array],
        loss: Array,
    ) -> Array:
        """B of each sentence, (N,); ``loss`` is L at the drawn labels, (N,)."""
