"""A model at given parameters on a given batch: what an estimator is verified on."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.reference_models.batch import Batch, check_token_ids
from gradproof.reference_models.model import Model, check_parameters

from ..backends import Arrays


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model, its parameters and a batch of N sentences.

    ``seed`` is where checks begin when they draw anything of their own (lambda, say).

    Raises:
        ValueError: if the parameters are not those of the model (name or shape), are not all
            finite, or mix dtypes, or if the batch has a token outside 0..V-1 (the rows of
            ``e.embedding``), a label outside 0..K-1 or not the noise that the model needs.
    """

    model: Model
    parameters: Arrays
    batch: Batch
    name: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        check_parameters(self.parameters)
        expected = self.model.initial(np.random.default_rng(0))
        for name in sorted(set(expected) | set(self.parameters)):
            shapes = [np.shape(found[name]) if name in found else None
                      for found in (self.parameters, expected)]  # fmt: skip
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"parameter {name!r} has shape {shapes[0]}, expected {shapes[1]} for model "
                    f"{self.model.name!r} (None: not there)"
                )
        if self.batch.labels.max() >= self.model.classes:
            raise ValueError(
                f"label {self.batch.labels.max()} is outside 0..{self.model.classes - 1} of model "
                f"{self.model.name!r}"
            )
        if "e.embedding" in self.parameters:
            check_token_ids(self.batch.tokens, len(self.parameters["e.embedding"]))
        self._check_noise()
        # Constants in another precision than the parameters would decide the precision of it all.
        object.__setattr__(self, "batch", self.batch.astype(self.dtype))

    def _check_noise(self) -> None:
        batch = self.batch
        expected = self.model.noise(np.random.default_rng(0), batch.n, batch.t)
        for name, needed in expected.items():
            shape = np.shape(batch.noise[name]) if name in batch.noise else None
            if shape != np.shape(needed):
                raise ValueError(
                    f"noise {name!r} has shape {shape}, expected {np.shape(needed)} for model "
                    f"{self.model.name!r} (None: not there); give make_batch what "
                    "model.noise(rng, n, t) returns"
                )

    @property
    def dtype(self) -> np.dtype:
        """float64 or float32, of parameters and constants alike."""
        return np.asarray(next(iter(self.parameters.values()))).dtype

    def inputs(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """The batch's arrays, and ``draw``: one-hot labels of any shape (..., K)."""
        return self.batch.arrays() | {"draw": labels.astype(self.dtype)}

    def example(self, row: int) -> Subject:
        """The same with sentence ``row`` alone, padded as it was."""
        return self.replace(batch=self.batch.rows([row]))

    def first_tokens(self, count: int) -> Subject:
        """The same with each sentence cut to its first tokens."""
        old = self.batch
        if old.t <= count:
            return self
        shorter = self.model.noise(np.random.default_rng(0), old.n, count)
        noise = {
            # Only noise with an axis of time changes its shape with T.
            name: array if shorter[name].shape == array.shape else array[:, :count]
            for name, array in old.noise.items()
        }
        batch = Batch(old.n, count, old.tokens[:, :count], old.mask[:, :count], old.labels, noise)
        return self.replace(batch=batch)

    def replace(self, **changes: object) -> Subject:
        """A copy with some fields changed, checked anew."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def describe(self) -> str:
        """Name, sizes and dtype in a few words."""
        size = sum(np.size(value) for value in self.parameters.values())
        return (
            f"{self.name or self.model.name}: K={self.model.classes} N={self.batch.n} "
            f"T={self.batch.t} P={size} {self.dtype}"
        )
