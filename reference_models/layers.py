"""Dropout and batch normalisation on what enters and leaves an LSTM, held fixed for a draw.

The note counts the random numbers of dropout layers among what is constant: they are noise of the
batch here, and so are the statistics that are normalised with. Given them, sentences are apart.
Normalising with the batch's own statistics is there to be refuted (claim ``batch.one_pass``): it
couples the sentences.

Noise is by the LSTM's group g, and of the value that leaves a layer as it is at evaluation: 0.
``dropout.g.input`` (N, T, D) and ``dropout.g.output`` (N, H) or (N, T, H) are 1/(1 - p) - 1 where a
unit is kept and -1 where it is dropped; ``norm.g.mean`` and ``norm.g.log_variance`` are (N, H).

Reference:
    Srivastava et al. (2014), Dropout. Zaremba et al. (2014), Recurrent neural network
    regularization (dropout on inputs and outputs alone). Ioffe and Szegedy (2015), Batch
    normalization.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .batch import Batch
from .model import Parameters
from .ops import Array, Ops

#: Whose statistics batch normalisation takes: there is none; those of the noise; the batch's own.
NONE, FIXED, LIVE = "none", "fixed", "live"

#: Added to a variance before its root is taken, as is usual.
SMALLEST_VARIANCE = 1e-5

#: Of statistics that are drawn to begin with: far enough from 0 that each can be seen to count.
STATISTICS_SCALE = 0.1


class LayerOptions(Protocol):
    """What the functions below read of a model."""

    @property
    def width(self) -> int:
        """D."""

    @property
    def hidden(self) -> int:
        """H."""

    @property
    def input_dropout(self) -> float:
        """Probability that an entry of an LSTM's input is dropped."""

    @property
    def output_dropout(self) -> float:
        """... and of the states that are read."""

    @property
    def batch_norm(self) -> str:
        """``none``, ``fixed`` or ``live``."""


def check_layers(options: LayerOptions) -> None:
    """Make sure that layers can be made.

    Raises:
        ValueError: for a rate outside 0..1, 1 itself, or another kind of batch normalisation.
    """
    for name in ("input_dropout", "output_dropout"):
        rate = getattr(options, name)
        if not 0.0 <= rate < 1.0:
            raise ValueError(
                f"{name} = {rate!r}, expected a probability below 1: what is kept is divided by "
                "1 - p"
            )
    if options.batch_norm not in (NONE, FIXED, LIVE):
        raise ValueError(
            f"batch_norm = {options.batch_norm!r}, expected {NONE!r}, {FIXED!r} or {LIVE!r}"
        )


def initial(options: LayerOptions, rng: np.random.Generator, group: str) -> dict[str, np.ndarray]:
    """Scale and shift (H,) after normalisation, of the LSTM of a group; none without it."""
    if options.batch_norm == NONE:
        return {}
    return {
        f"{group}.norm.scale": 1.0 + STATISTICS_SCALE * rng.standard_normal(options.hidden),
        f"{group}.norm.shift": STATISTICS_SCALE * rng.standard_normal(options.hidden),
    }


def noise(
    options: LayerOptions, rng: np.random.Generator, group: str, n: int, t: int, *, tokens: bool
) -> dict[str, np.ndarray]:
    """The noise of the layers around one LSTM.

    Args:
        tokens: the states after all tokens are read, and not the last one alone.
    """
    arrays = {}
    if options.input_dropout:
        shape: tuple[int, ...] = (n, t, options.width)
        arrays[f"dropout.{group}.input"] = _dropped(rng, shape, options.input_dropout)
    if options.output_dropout:
        shape = (n, t, options.hidden) if tokens else (n, options.hidden)
        arrays[f"dropout.{group}.output"] = _dropped(rng, shape, options.output_dropout)
    if options.batch_norm == FIXED:
        for name in ("mean", "log_variance"):
            # Statistics of batches that came before: the same for all sentences of this one.
            row = STATISTICS_SCALE * rng.standard_normal(options.hidden)
            arrays[f"norm.{group}.{name}"] = np.tile(row, (n, 1))
    return arrays


def _dropped(rng: np.random.Generator, shape: tuple[int, ...], rate: float) -> np.ndarray:
    return (rng.random(shape) >= rate) / (1.0 - rate) - 1.0


def enter(options: LayerOptions, batch: Batch, group: str, inputs: Array) -> Array:
    """What enters an LSTM, (N, T, D), after dropout."""
    if not options.input_dropout:
        return inputs
    return inputs * (1.0 + batch.noise[f"dropout.{group}.input"])


def leave(
    ops: Ops,
    options: LayerOptions,
    parameters: Parameters,
    batch: Batch,
    group: str,
    states: Array,
    *,
    tokens: bool,
) -> Array:
    """What is read of an LSTM's states, (M, N, H) or (M, N, T, H), after dropout and normalisation.

    Args:
        tokens: the states have an axis of tokens.
    """
    if options.output_dropout:
        states = states * (1.0 + ops.expand_dims(batch.noise[f"dropout.{group}.output"], 0))
    if options.batch_norm == NONE:
        return states
    if options.batch_norm == FIXED:
        mean, spread = _statistics_given(ops, batch, group, tokens=tokens)
    else:
        mean, spread = _statistics_of(ops, batch, states, tokens=tokens)
    scale, shift = (
        _leading(ops, parameters[f"{group}.norm.{name}"], 3 if tokens else 2)
        for name in ("scale", "shift")
    )
    return (states - mean) / spread * scale + shift


def _statistics_given(ops: Ops, batch: Batch, group: str, *, tokens: bool) -> tuple[Array, Array]:
    mean, log_variance = (
        ops.expand_dims(batch.noise[f"norm.{group}.{name}"], 0) for name in ("mean", "log_variance")
    )
    if tokens:
        mean, log_variance = ops.expand_dims(mean, 2), ops.expand_dims(log_variance, 2)
    return mean, ops.exp(0.5 * log_variance)


def _statistics_of(ops: Ops, batch: Batch, states: Array, *, tokens: bool) -> tuple[Array, Array]:
    def average(x: Array) -> Array:
        if not tokens:
            return ops.sum(x, axis=1, keepdims=True) / batch.n
        there = ops.expand_dims(ops.expand_dims(batch.mask, 0), -1)
        by_token = ops.sum(x * there, axis=2, keepdims=True)
        return ops.sum(by_token, axis=1, keepdims=True) / ops.sum(batch.mask)

    mean = average(states)
    variance = average(ops.square(states - mean))
    return mean, ops.exp(0.5 * ops.log(variance + SMALLEST_VARIANCE))


def _leading(ops: Ops, vector: Array, axes: int) -> Array:
    for _ in range(axes):
        vector = ops.expand_dims(vector, 0)
    return vector
