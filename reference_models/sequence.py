"""The parts that SeqDGM and SeqDGM-A have in common."""

from __future__ import annotations

import math

import numpy as np

from . import layers, lstm
from .batch import BOS, Batch
from .layers import LayerOptions
from .model import Parameters, group_of
from .ops import Array, Ops


def dense_initial(
    rng: np.random.Generator, name: str, inputs: int, outputs: int
) -> dict[str, np.ndarray]:
    """Parameters of an affine layer: ``name.weight`` (inputs, outputs) and ``name.bias``."""
    return {
        f"{name}.weight": lstm.dense(rng, inputs, outputs),
        f"{name}.bias": 0.1 * rng.standard_normal(outputs),
    }


def dense(ops: Ops, parameters: Parameters, name: str, x: Array) -> Array:
    """The affine layer ``name`` at ``x`` (M, N, inputs): (M, N, outputs)."""
    bias = ops.expand_dims(ops.expand_dims(parameters[f"{name}.bias"], 0), 0)
    return ops.dot(x, parameters[f"{name}.weight"]) + bias


def embed(ops: Ops, parameters: Parameters, batch: Batch) -> Array:
    """Word embeddings e of the tokens, shape (N, T, D)."""
    return ops.take(parameters["e.embedding"], batch.tokens)


def encode(
    ops: Ops,
    parameters: Parameters,
    name: str,
    batch: Batch,
    *,
    size: int,
    condition: Array | None = None,
    options: LayerOptions | None = None,
) -> Array:
    """The state of LSTM ``name`` after the last token of each sentence, shape (M, N, H).

    Args:
        options: the layers around it; None: there are none.
    """
    group, inputs = group_of(name), embed(ops, parameters, batch)
    if options is not None:
        inputs = layers.enter(options, batch, group, inputs)
    states = lstm.run(
        ops, parameters, name, inputs, batch.mask, t=batch.t, size=size, condition=condition
    )
    last = states[:, :, batch.t - 1]
    if options is None:
        return last
    return layers.leave(ops, options, parameters, batch, group, last, tokens=False)


def decoder_initial(
    rng: np.random.Generator, *, width: int, hidden: int, vocabulary: int
) -> dict[str, np.ndarray]:
    """Parameters of the decoder's LSTM and of its softmax over V tokens."""
    return lstm.initial(rng, "theta.lstm", width, hidden) | {
        "theta.output": lstm.dense(rng, hidden, vocabulary).T,
        "theta.output_bias": 0.1 * rng.standard_normal(vocabulary),
    }


def reconstruction(
    ops: Ops,
    parameters: Parameters,
    batch: Batch,
    condition: Array,
    *,
    size: int,
    options: LayerOptions | None = None,
) -> Array:
    """-log p(x|condition), summed over the tokens of a sentence, shape (M, N), in nats.

    The decoder reads the previous token, or nothing where word dropout (``noise['keep']``, (N, T)
    of 0 and 1) removed it, and the condition (M, N, 4H) at every step.

    Args:
        options: the layers around the decoder's LSTM; None: there are none.
    """
    embedded = embed(ops, parameters, batch)
    start = ops.take(parameters["e.embedding"], np.full((batch.n, 1), BOS))
    previous = ops.concatenate([start, embedded[:, : batch.t - 1]], axis=1)
    kept = previous * ops.expand_dims(batch.noise["keep"], -1)
    if options is not None:
        kept = layers.enter(options, batch, "theta", kept)
    states = lstm.run(
        ops,
        parameters,
        "theta.lstm",
        kept,
        batch.mask,
        t=batch.t,
        size=size,
        condition=condition,
    )
    if options is not None:
        states = layers.leave(ops, options, parameters, batch, "theta", states, tokens=True)
    return _negative_log_likelihood(ops, parameters, batch, states)


def _negative_log_likelihood(
    ops: Ops, parameters: Parameters, batch: Batch, states: Array
) -> Array:
    """States (M, N, T, H) -> (M, N). The target's logit is read from its own output row."""
    output, bias = parameters["theta.output"], parameters["theta.output_bias"]
    logits = ops.dot(states, ops.transpose(output))
    for _ in range(3):
        bias = ops.expand_dims(bias, 0)
    normaliser = ops.logsumexp(logits + bias, axis=-1)
    target_rows = ops.expand_dims(ops.take(output, batch.tokens), 0)
    target_bias = ops.take(parameters["theta.output_bias"], batch.tokens)
    target = ops.sum(states * target_rows, axis=-1) + ops.expand_dims(target_bias, 0)
    return ops.sum((normaliser - target) * ops.expand_dims(batch.mask, 0), axis=-1)


def check_weight(name: str, weight: float) -> None:
    """Make sure that a term can be weighted so.

    Raises:
        ValueError: if the weight is negative, or no finite number.
    """
    if not 0.0 <= weight < math.inf:
        raise ValueError(f"{name} = {weight!r}, expected 0 or a positive number")


def prior_cost(classes: int, *, counted: bool = True) -> float:
    """-log p(y) for the uniform prior over K labels, in nats; 0 if it is not counted.

    The note's L has no such term, and the bound that L belongs to has. It is the same for every
    label: no gradient of U has it, since E[s] = 0, but the score is weighted with it, as with a
    constant baseline of -log K.
    """
    return math.log(classes) if counted else 0.0


def keep_noise(rng: np.random.Generator, n: int, t: int, dropout: float) -> np.ndarray:
    """Word dropout: 1 where the decoder sees the previous token, 0 where it does not, (N, T).

    Reference:
        Bowman et al. (2016), Generating sentences from a continuous space.
    """
    return (rng.random((n, t)) >= dropout).astype(float)
