"""A batch: the things that a gradient never enters.

Tokens, mask, labels and all noise are constants (claim ``invariants``). Given them, and the
parameters, every value of a model is deterministic.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from .ops import Array

#: Token ids with a meaning of their own, the same in every vocabulary.
PAD, UNK, BOS, EOS = 0, 1, 2, 3

#: The label of a sentence whose label is not known.
UNLABELLED = -1


@dataclasses.dataclass(frozen=True)
class Batch:
    """Sentences, padded on the right, with the noise that the model needs for them.

    Shape:
        tokens (N, T) integers; mask (N, T) of 0 and 1; labels (N,) integers, -1 where unknown;
        each noise array (N, ...). ``n`` and ``t`` are Python integers. The arrays are NumPy's, or
        those of a framework after :meth:`with_arrays`.
    """

    n: int
    t: int
    tokens: Array
    mask: Array
    labels: Array
    noise: Mapping[str, Array]

    def arrays(self) -> dict[str, Array]:
        """Every array by name, noise under ``noise.<name>``: what a framework takes as inputs."""
        named = {"tokens": self.tokens, "mask": self.mask, "labels": self.labels}
        return named | {f"noise.{name}": array for name, array in self.noise.items()}

    def with_arrays(self, arrays: Mapping[str, Array]) -> Batch:
        """The same batch, holding other arrays (a framework's, say) in place of its own."""
        return from_arrays(self.n, self.t, arrays)

    def rows(self, rows: slice | list[int]) -> Batch:
        """The sentences ``rows``, still padded to length T (NumPy arrays only)."""
        picked = {name: array[rows] for name, array in self.arrays().items()}
        return dataclasses.replace(self.with_arrays(picked), n=len(picked["tokens"]))

    def astype(self, dtype: np.dtype | type) -> Batch:
        """The same batch with its mask and noise in ``dtype`` (NumPy arrays only)."""
        cast = {
            name: array.astype(dtype) if array.dtype.kind == "f" else array
            for name, array in self.arrays().items()
        }
        return self.with_arrays(cast)


class Noise(dict[str, Array]):
    """Noise by name; a name that is not there is an error that says what makes it."""

    def __missing__(self, name: str) -> Array:
        raise KeyError(
            f"the batch has no noise {name!r}, only {sorted(self)}; give make_batch what the "
            "model's noise(rng, n, t) returns"
        )


def from_arrays(n: int, t: int, arrays: Mapping[str, Array]) -> Batch:
    """The inverse of :meth:`Batch.arrays`; names that are no part of a batch are passed over."""
    prefix = "noise."
    noise = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    return Batch(n, t, arrays["tokens"], arrays["mask"], arrays["labels"], Noise(noise))


def make_batch(
    tokens: np.ndarray,
    mask: np.ndarray,
    labels: np.ndarray | None = None,
    noise: Mapping[str, np.ndarray] | None = None,
    *,
    classes: int | None = None,
    vocabulary: int | None = None,
) -> Batch:
    """Check the arrays and put them into a :class:`Batch`.

    Args:
        tokens: (N, T) integers, padded on the right.
        mask: (N, T), 1 where there is a token and 0 where there is padding.
        labels: (N,) integers in 0..K-1, or -1 where unknown. None: all unknown.
        noise: arrays whose first axis is N.
        classes: K, to check the labels against.
        vocabulary: V, to check the tokens against.

    Raises:
        ValueError: for an empty batch, arrays whose shapes do not go together, a mask that is not
            0 and 1 with its ones on the left, a sentence that is all padding, a token outside
            0..V-1, a label outside 0..K-1, or noise that is not finite. The
            message names the value and the place.
    """
    tokens, mask = np.asarray(tokens), np.asarray(mask, dtype=float)
    _check_tokens(tokens, mask)
    check_token_ids(tokens, vocabulary)
    n, t = tokens.shape
    labels = np.full(n, UNLABELLED) if labels is None else np.asarray(labels)
    _check_labels(labels, n, classes)
    noise = {name: np.asarray(array, dtype=float) for name, array in (noise or {}).items()}
    for name, array in noise.items():
        if array.ndim == 0 or len(array) != n:
            raise ValueError(
                f"noise {name!r} has shape {array.shape}, expected its first axis to be the "
                f"{n} sentences of the batch"
            )
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            place = tuple(map(int, bad[0]))
            raise ValueError(
                f"noise {name!r} is {array[place]} at {place}, expected a finite value; draw it "
                "again"
            )
    return Batch(n, t, tokens.astype(np.int64), mask, labels.astype(np.int64), Noise(noise))


def check_token_ids(tokens: np.ndarray, vocabulary: int | None) -> None:
    """Make sure that each token, padding among them, has a row in a table of V.

    Raises:
        ValueError: for an id outside 0..V-1; a negative one would be taken, in silence, for a row
            from the end of the table.
    """
    low = tokens < 0
    high = tokens >= vocabulary if vocabulary is not None else np.zeros_like(low)
    wrong = np.argwhere(low | high)
    if wrong.size:
        n, t = map(int, wrong[0])
        top = "V-1" if vocabulary is None else str(vocabulary - 1)
        raise ValueError(
            f"token {tokens[n, t]} at {(n, t)} is outside 0..{top}; number the tokens with the "
            "vocabulary that the model was made for"
        )


def _check_tokens(tokens: np.ndarray, mask: np.ndarray) -> None:
    if tokens.ndim != 2 or 0 in tokens.shape:
        raise ValueError(
            f"empty batch: tokens have shape {tokens.shape}, expected (N, T) with N >= 1 and T >= 1"
        )
    if tokens.dtype.kind not in "iu":
        raise ValueError(f"tokens have dtype {tokens.dtype}, expected integers")
    if tokens.shape != mask.shape:
        raise ValueError(
            f"mask has shape {mask.shape} but tokens have shape {tokens.shape}; "
            "they must be the same (N, T)"
        )
    odd = np.argwhere(~np.isin(mask, (0.0, 1.0)))
    if odd.size:
        place = tuple(map(int, odd[0]))
        raise ValueError(f"mask is {mask[place]} at {place}; use 1 for a token, 0 for padding")
    late = np.flatnonzero((np.diff(mask, axis=1) > 0).any(axis=1))
    if late.size:
        raise ValueError(
            f"mask has a token to the right of padding in sentence {late[0]}; pad every sentence "
            "on the right"
        )
    empty = np.flatnonzero(mask.sum(axis=1) == 0)
    if empty.size:
        raise ValueError(
            f"sentence {empty[0]} is all padding; drop sentences without tokens from the batch"
        )


def _check_labels(labels: np.ndarray, n: int, classes: int | None) -> None:
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels have shape {labels.shape} and dtype {labels.dtype}, expected {n} integers"
        )
    low = labels < UNLABELLED
    high = labels >= classes if classes is not None else np.zeros_like(low)
    wrong = np.flatnonzero(low | high)
    if wrong.size:
        top = "K-1" if classes is None else str(classes - 1)
        raise ValueError(
            f"label {labels[wrong[0]]} of sentence {wrong[0]} is outside 0..{top} "
            f"(use {UNLABELLED} for a sentence without a label)"
        )
