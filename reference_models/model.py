"""What a model must offer to be verified, and the names of its parameter groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from .batch import Batch
from .ops import Array, Ops

#: Parameters by name; the group is what stands before the first dot, as in ``w.lstm.recurrent``.
Parameters = Mapping[str, Array]

#: The note's groups: shared, classifier, inference, generation.
GROUPS = ("e", "w", "phi", "theta")

#: The group of a baseline's own parameters (lambda); no estimate of the others may reach it.
BASELINE_GROUP = "lambda"


class Model(Protocol):
    """A semi-supervised model of K labels, written once against :class:`Ops`.

    Shape:
        ``labels`` (M, N, K) are M assignments of a one-hot label to each of N sentences; the
        result has a row for each. A single draw is M = 1; all labels at once is M = K with
        :func:`every_label`. What does not depend on the label is computed once.
    """

    @property
    def name(self) -> str:
        """What the model is called."""

    @property
    def classes(self) -> int:
        """K."""

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random parameters, float64, by name."""

    def noise(self, rng: np.random.Generator, n: int, t: int) -> dict[str, np.ndarray]:
        """The noise that N sentences of T tokens need."""

    def log_q(self, ops: Ops, parameters: Parameters, batch: Batch) -> Array:
        """Log q(y|x) of every label, shape (N, K)."""

    def loss(self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array) -> Array:
        """L(x, y) at the labels given (M, N, K), shape (M, N), in nats."""

    def latents(
        self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array
    ) -> dict[str, Array]:
        """Sampled variables by name, for reading off which parameters come before them."""


def group_of(name: str) -> str:
    """The group of a parameter: ``w.lstm.bias`` is in ``w``."""
    return name.split(".", 1)[0]


def every_label(n: int, classes: int) -> np.ndarray:
    """Label k for all sentences, for each k: one-hot, shape (K, N, K)."""
    return np.repeat(np.eye(classes)[:, None, :], n, axis=1)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """One-hot rows of integer labels (N,), shape (N, K)."""
    return np.eye(classes)[labels]


def check_classes(classes: int) -> int:
    """K, if it is one that a label can be drawn from.

    Raises:
        ValueError: if K < 2. With K = 1 the label is certain: the score is zero, U is L and there
            is nothing to estimate.
    """
    if classes < 2:
        raise ValueError(
            f"K = {classes}: a model needs at least 2 labels; with one label the score is zero "
            "and there is nothing to verify"
        )
    return classes


def check_parameters(parameters: Mapping[str, np.ndarray]) -> None:
    """Make sure that parameters can be differentiated at.

    Raises:
        ValueError: if there are none, a group is unknown, dtypes are mixed or neither float64 nor
            float32, or a value is NaN or infinite; the message names the parameter and the
            coordinate.
    """
    if not parameters:
        raise ValueError("no parameters given; a model needs at least one")
    dtypes = {np.asarray(value).dtype for value in parameters.values()}
    if len(dtypes) > 1 or not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise ValueError(
            f"parameters have dtypes {sorted(map(str, dtypes))}, expected all float64 or all "
            "float32"
        )
    for name, value in parameters.items():
        if group_of(name) not in (*GROUPS, BASELINE_GROUP):
            raise ValueError(
                f"parameter {name!r} is in no group; begin its name with one of "
                f"{', '.join(GROUPS)} or {BASELINE_GROUP} and a dot"
            )
        bad = np.argwhere(~np.isfinite(value))
        if len(bad):  # not its size, which is 0 for a scalar: the one place in it is ()
            place = tuple(map(int, bad[0]))
            raise ValueError(
                f"parameter {name!r} is {np.asarray(value)[place]} at {place}, expected a finite "
                "value; gradients there mean nothing"
            )
