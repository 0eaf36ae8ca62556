"""The logits of the next token after prefixes, read from whatever a model returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .model_library import Array, ModelLibrary

#: Called with prefixes of equal length, (B, L); in JAX with parameters first.
Model = Callable[..., Any]


def next_logits(library: ModelLibrary, model: Model, parameters: Any, prefixes: Array) -> Array:
    """The logits of the token after each prefix, in double precision, with their graph.

    Args:
        model: returns logits at each place, or of the next token alone; or an object or a mapping
            that has them as ``logits``.
        parameters: what a model of JAX is called with, too.

    Shape:
        ``prefixes`` (B, L); the model's logits (B, L, V), of which the last place is read, or
        (B, V); the result (B, V).

    Raises:
        TypeError: for what is no array of floating-point numbers.
        ValueError: for another shape, and for logits that no distribution has.
    """
    try:
        returned = library.call(model, parameters, prefixes)
    except Exception as error:
        held = library.held(prefixes)
        tokens = f", with tokens from {held.min()} to {held.max()}"
        error.add_note(
            f"The model raised it for prefixes of shape {tuple(prefixes.shape)} (prompts and what "
            f"was completed){tokens if isinstance(held, np.ndarray) else ''}."
        )
        raise
    logits: Any = returned["logits"] if isinstance(returned, Mapping) else returned
    logits = getattr(logits, "logits", logits)
    if not library.is_floating(logits):
        raise TypeError(
            f"the model returns {type(logits).__name__}, expected {library.array} of logits, or an "
            "object that has one as .logits"
        )
    batch, length = prefixes.shape
    if logits.ndim == 3 and tuple(logits.shape[:2]) == (batch, length):
        logits = logits[:, -1]
    if logits.ndim != 2 or len(logits) != batch:
        raise ValueError(
            f"the model returns logits of shape {tuple(logits.shape)} for {batch} prefixes of "
            f"{length} tokens, expected ({batch}, {length}, V), one row for each place, or "
            f"({batch}, V), of the next token"
        )
    logits = library.double(logits)
    held = library.held(logits)
    if isinstance(held, np.ndarray):  # traced ones have no numbers yet
        _check_numbers(held, prefixes)
    return logits


def numbers_of(library: ModelLibrary, array: Array) -> np.ndarray:
    """The numbers of an array, without graph.

    Raises:
        TypeError: where JAX traces, and there are none.
    """
    held = library.held(array)
    if not isinstance(held, np.ndarray):
        raise TypeError(
            "logits are traced, as under jax.jit or jax.vmap, and completions are enumerated by "
            "their numbers: make the policy, and ask for its goals, outside"
        )
    return held


def _check_numbers(logits: np.ndarray, prefixes: Array) -> None:
    bad = np.isnan(logits) | (logits == np.inf)
    if bad.any():
        row, token = (int(each) for each in np.argwhere(bad)[0])
        raise ValueError(
            f"the logit of token {token} after {prefixes[row].tolist()} is "
            f"{float(logits[row, token])}, expected a number, or -inf for a token that cannot come"
        )
    none = (logits == -np.inf).all(axis=1)
    if none.any():
        row = int(np.argmax(none))
        raise ValueError(
            f"all logits after {prefixes[row].tolist()} are -inf, so that no token can come; "
            "leave one of them a number"
        )


def refuse_probabilities(logits: np.ndarray, prefixes: np.ndarray) -> None:
    """Whether what is called logits is, for certain, not the probabilities of tokens.

    Shape: ``logits`` (B, V), ``prefixes`` (B, L).

    Raises:
        ValueError: for positive numbers that add up to 1 but for their rounding, in every row.
    """
    step = float(np.finfo(np.float32).eps)  # a model may be in single precision
    off = np.abs(logits.sum(axis=1) - 1.0)
    likely = logits.shape[1] > 1 and bool((logits > 0.0).all())
    if likely and bool((off <= logits.shape[1] * step).all()):
        row = logits[0].tolist()
        shown = ", ".join(f"{each:.3g}" for each in row[:4]) + (", ..." if len(row) > 4 else "")
        raise ValueError(
            f"the model's logits after {prefixes[0].tolist()} are ({shown}), and add up to 1 as "
            "probabilities do, as after every prefix that was tried; return logits, or logarithms "
            "of probabilities"
        )
