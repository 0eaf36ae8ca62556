"""One masked LSTM, run over sentences for several labels at once.

Reference:
    Hochreiter and Schmidhuber (1997), Long short-term memory. Gers, Schmidhuber and Cummins (2000),
    Learning to forget (the forget gate).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .model import Parameters
from .ops import Array, Ops


def initial(rng: np.random.Generator, name: str, inputs: int, hidden: int) -> dict[str, np.ndarray]:
    """Parameters of an LSTM, ``name.input`` (D, 4H), ``.recurrent`` (H, 4H) and ``.bias`` (4H,).

    Gates in the order input, forget, output, candidate. The forget gate's bias starts at 1, so that
    gradients reach the first token.
    """
    bias = np.zeros(4 * hidden)
    bias[hidden : 2 * hidden] = 1.0
    return {
        f"{name}.input": dense(rng, inputs, 4 * hidden),
        f"{name}.recurrent": dense(rng, hidden, 4 * hidden),
        f"{name}.bias": bias,
    }


def dense(rng: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
    """A weight matrix (inputs, outputs) that keeps the variance of what it multiplies."""
    return rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)


def run(
    ops: Ops,
    parameters: Parameters,
    name: str,
    inputs: Array,
    mask: Array,
    *,
    t: int,
    size: int,
    condition: Array | None = None,
) -> Array:
    """Hidden states after each token, shape (M, N, T, H).

    Args:
        inputs: (N, T, D), the same for every label.
        mask: (N, T); a padded position leaves the state as it was, so padding moves nothing.
        t: T.
        size: H.
        condition: (M, N, 4H), added to the gates at every step: what depends on the label.
            None: nothing does, and M is 1.
    """
    bias = parameters[f"{name}.bias"]
    for _ in range(3):
        bias = ops.expand_dims(bias, 0)
    gates = ops.expand_dims(ops.dot(inputs, parameters[f"{name}.input"]), 0) + bias
    if condition is not None:
        gates = gates + ops.expand_dims(condition, 2)
    keep = ops.expand_dims(ops.expand_dims(mask, -1), 0)
    zeros = ops.zeros_like(gates[:, :, 0, :size])
    recurrent = parameters[f"{name}.recurrent"]
    step = LSTMStep(ops, size)
    return ops.scan(step, [gates, keep], [zeros, zeros], [recurrent], axis=2, count=t)


@dataclasses.dataclass(frozen=True)
class LSTMStep:
    """One token, as a value: a framework may know it and run the whole layer at once."""

    ops: Ops
    size: int

    def __call__(
        self, entering: Array, keep: Array, state: Array, cell: Array, recurrent: Array
    ) -> tuple[Array, Array]:
        """State and cell after a token, each (M, N, H)."""
        gates = entering + self.ops.dot(state, recurrent)
        new_state, new_cell = _cell(self.ops, gates, cell, self.size)
        return keep * new_state + (1 - keep) * state, keep * new_cell + (1 - keep) * cell


def _cell(ops: Ops, gates: Array, cell: Array, size: int) -> tuple[Array, Array]:
    open_ = ops.sigmoid(gates[:, :, : 3 * size])
    enter, forget, leave = (open_[:, :, start * size : (start + 1) * size] for start in range(3))
    candidate = ops.tanh(gates[:, :, 3 * size :])
    new_cell = forget * cell + enter * candidate
    return leave * ops.tanh(new_cell), new_cell
