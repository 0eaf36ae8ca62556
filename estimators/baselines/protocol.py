"""What a baseline B(x; lambda) must offer, and what it may read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model
from gradproof.reference_models.ops import Array, Ops
from gradproof.reference_models.tabular import mean_embedding

#: Lambda by name, ``lambda.bias`` say: plain arrays, as they are written into a checkpoint.
Lambda = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Features:
    """What is known of sentences that no label enters.

    Shape:
        ``lengths`` (N,), in tokens, the end marker among them; ``embedded`` (N, D), the mean
        embedding of each sentence.
    """

    lengths: Array
    embedded: Array


def features_of(ops: Ops, parameters: Mapping[str, Array], batch: Batch) -> Features:
    """The features of a batch, in the arrays of a framework."""
    return Features(ops.sum(batch.mask, axis=1), mean_embedding(ops, parameters, batch))


@dataclasses.dataclass(frozen=True)
class BaselineInput:
    """What a baseline sees at one draw, in the arrays of a framework.

    Shape:
        ``loss`` (N,), L at the drawn labels, of which a sentence must not use its own. Lambda is
        among the ``inputs``, under ``lambda.<name>``, so that no estimate of the model's gradient
        differentiates it.
    """

    ops: Ops
    model: Model
    parameters: Mapping[str, Array]
    batch: Batch
    inputs: Mapping[str, Array]
    loss: Array

    @property
    def features(self) -> Features:
        """Lengths and mean embeddings; the latter live, as the embeddings are."""
        return features_of(self.ops, self.parameters, self.batch)


@dataclasses.dataclass(frozen=True)
class BaselineBatch:
    """What a baseline may read of a batch to be evaluated or to learn, outside any framework.

    Shape:
        ``tokens`` and ``mask`` (N, T), ``lengths`` (N,), of NumPy; ``embedded`` (N, D), the mean
        embedding of each sentence, and ``losses`` (N,), L at the drawn labels: tensors, if the
        baseline is of PyTorch, and not detached.

    ``losses`` is there because baselines of the batch are common. B of a sentence must not depend
    on the sentence's own loss.
    """

    tokens: np.ndarray
    mask: np.ndarray
    lengths: np.ndarray
    embedded: Any
    losses: Any

    def __getattr__(self, name: str) -> Any:
        """Nothing: who asks for a label, say, is told what there is."""
        raise AttributeError(
            f"a baseline's x has no {name!r}; it has tokens, mask, lengths, embedded and losses, "
            "and neither labels nor q: B must not depend on the label that is drawn"
        )

    @property
    def features(self) -> Features:
        """What no label enters."""
        return Features(self.lengths, self.embedded)


class Baseline(Protocol):
    """B(x; lambda), subtracted from L in the score term.

    ``coupled``: B of one sentence depends on the labels drawn for others (or its own), so that its
    draws must be enumerated jointly. ``held``: the surrogate detaches B, as it must.
    """

    @property
    def name(self) -> str:
        """What the baseline is called."""

    @property
    def coupled(self) -> bool:
        """Whether B of a sentence depends on drawn labels."""

    @property
    def held(self) -> bool:
        """Whether the surrogate detaches B."""

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """Lambda, for sentences whose mean embedding has ``width`` entries."""

    def value(self, seen: BaselineInput) -> Array:
        """B of each sentence, (N,)."""

    def updated(
        self, lambda_: Lambda, x: BaselineBatch, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Lambda after a step, at whose labels R = L + log q + 1 was ``returns`` (N,).

        Called after the step's gradient: updated first, B would contain its own draw.
        """


class NothingLearned:
    """A baseline whose lambda stays as it is: none, if nothing else is said."""

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}

    def updated(
        self, lambda_: Lambda, x: BaselineBatch, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The same lambda."""
        return dict(lambda_)


def baseline_at_draw(baseline: Baseline, seen: BaselineInput) -> Array:
    """B as a surrogate subtracts it: detached, unless the baseline is one that is not."""
    value = baseline.value(seen)
    return seen.ops.stop_gradient(value) if baseline.held else value


def plain(x: Any) -> np.ndarray:
    """The values of an array of any framework, without what it remembers of its making."""
    while hasattr(x, "_value"):  # autograd's boxes, one in the other
        x = x._value
    return x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)


def check_shape(what: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An array as float64, if it has this shape and is finite.

    Raises:
        ValueError: if not; the message says what it is instead.
    """
    array = np.asarray(values, np.float64)
    if array.shape != shape:
        raise ValueError(
            f"{what} has shape {array.shape}, expected {shape}: one row for each sentence, in the "
            "order of the features"
        )
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(map(int, bad[0]))
        raise ValueError(
            f"{what} is {array[place]} at {place}, expected a finite number; leave that sentence "
            "out, or mend what computed it"
        )
    return array
