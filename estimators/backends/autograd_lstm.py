"""A whole LSTM layer as one operation of autograd, with its derivative written out.

autograd spends some ten microseconds on each operation that it traces, and a layer written step by
step has thirty for each token: a gradient takes three to four times as long so. The layer written
out (:mod:`gradproof.reference_models.lstm`) stays the witness: values, second derivatives and the
complex steps of row ``objective.u/slopes`` come from it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from autograd.extend import defvjp_argnums, primitive


class Cell(NamedTuple):
    """What one step computes and its derivative needs, each (M, N, H), ``keep`` (1, N, 1)."""

    keep: np.ndarray
    old_state: np.ndarray
    old_cell: np.ndarray
    enter: np.ndarray
    forget: np.ndarray
    leave: np.ndarray
    candidate: np.ndarray
    squashed: np.ndarray
    state: np.ndarray
    cell: np.ndarray


@primitive
def lstm_states(
    gates: np.ndarray,
    recurrent: np.ndarray,
    keep: np.ndarray,
    state: np.ndarray,
    cell: np.ndarray,
) -> np.ndarray:
    """States (M, N, T, H) after each token, as :func:`gradproof.reference_models.lstm.run`.

    Args:
        gates: (M, N, T, 4H), what enters at each token.
        recurrent: (H, 4H).
        keep: (1, N, T, 1); where it is 0, a token leaves the state as it was.
        state: (M, N, H), before the first token; ``cell`` likewise.
    """
    steps = _steps(gates, recurrent, keep, state, cell)
    return np.stack([step.state for step in steps], axis=2)


def _steps(
    gates: np.ndarray,
    recurrent: np.ndarray,
    keep: np.ndarray,
    state: np.ndarray,
    cell: np.ndarray,
) -> list[Cell]:
    size, steps = recurrent.shape[0], []
    for token in range(gates.shape[2]):
        here, kept = gates[:, :, token] + np.dot(state, recurrent), keep[:, :, token]
        # The logistic function by tanh, which cannot overflow.
        open_ = 0.5 * (np.tanh(0.5 * here[:, :, : 3 * size]) + 1.0)
        enter, forget, leave = np.split(open_, 3, axis=-1)
        candidate = np.tanh(here[:, :, 3 * size :])
        new_cell = forget * cell + enter * candidate
        squashed = np.tanh(new_cell)
        new_state = kept * (leave * squashed) + (1 - kept) * state
        kept_cell = kept * new_cell + (1 - kept) * cell
        steps.append(
            Cell(kept, state, cell, enter, forget, leave, candidate, squashed, new_state, kept_cell)
        )
        state, cell = new_state, kept_cell
    return steps


def _back(
    argnums: Sequence[int], states: np.ndarray, arguments: Sequence[np.ndarray], _: object
) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """Backpropagation through time, by gates and by the recurrent matrix.

    Reference:
        Werbos (1990), Backpropagation through time: what it does and how to do it.
    """
    if not set(argnums) <= {0, 1}:
        raise NotImplementedError(
            "an LSTM is differentiated by its gates and its recurrent matrix alone, not by a mask "
            "or by the state that it begins with"
        )
    gates, recurrent = arguments[:2]
    steps = _steps(*arguments)

    def pull(slope: np.ndarray) -> tuple[np.ndarray, ...]:
        by_gates, by_recurrent = np.empty_like(gates), np.zeros_like(recurrent)
        by_state = by_cell = np.zeros_like(steps[0].state)
        for token, step in reversed(list(enumerate(steps))):
            by_state = by_state + slope[:, :, token]
            by_output = step.keep * by_state
            by_new_cell = step.keep * by_cell + by_output * step.leave * (1 - step.squashed**2)
            here = by_gates[:, :, token]
            here[:] = np.concatenate(
                [
                    by_new_cell * step.candidate * step.enter * (1 - step.enter),
                    by_new_cell * step.old_cell * step.forget * (1 - step.forget),
                    by_output * step.squashed * step.leave * (1 - step.leave),
                    by_new_cell * step.enter * (1 - step.candidate**2),
                ],
                axis=-1,
            )
            by_recurrent += np.tensordot(step.old_state, here, axes=((0, 1), (0, 1)))
            by_state = (1 - step.keep) * by_state + np.dot(here, recurrent.T)
            by_cell = (1 - step.keep) * by_cell + by_new_cell * step.forget
        slopes = by_gates, by_recurrent
        return tuple(slopes[number] for number in argnums)

    return pull


defvjp_argnums(lstm_states, _back)
