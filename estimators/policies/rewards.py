"""The rewards of completions, from a function that gives each of them one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..enumeration.estimator import takes
from .common_generators import keeping_generators
from .completions import Completions, Tokens

#: Called with a completion, or with the prompt and a completion.
Reward = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class RewardTable:
    """A reward by prompt and completion."""

    values: Mapping[tuple[Tokens, Tokens], np.ndarray]

    def __call__(self, prompt: Tokens, completion: Tokens) -> np.ndarray:
        """The reward of one completion, or of each of its tokens."""
        return self.values[prompt, completion]


def rewards_of(reward: Reward, completions: Completions, prompt: Tokens) -> np.ndarray:
    """The reward of each completion, or of each token of it.

    Returns:
        What the function gave, with 0 for what is padding.

    Shape: (N,), or (N, T) where it gives one number for each token.

    Raises:
        TypeError: for what is no number.
        ValueError: for a function that draws, that gives two values for one completion, or gives
            what is not finite; and where it gives another number of them.
    """
    call = _with_note(_caller(reward, prompt))
    rows = completions.tuples()
    with keeping_generators() as drawn:
        values = [_numbers(call(row), row) for row in rows]
        for row, value in zip(rows, values, strict=True):
            again = _numbers(call(row), row)
            if not np.array_equal(value, again):
                raise ValueError(
                    f"the reward of {row} is {value.tolist()}, and when it is asked for again "
                    f"{again.tolist()}: a goal needs one value for each completion; pass its mean"
                )
        if drawn():
            raise ValueError(
                f"the reward {getattr(reward, '__name__', reward)!s:.60} draws from a generator: a "
                "goal needs one value for each completion; pass its mean"
            )
    kinds = {value.ndim for value in values}
    if len(kinds) > 1:
        raise ValueError(
            "the reward is one number for some completions, and one for each token for others; "
            "return the same kind for all"
        )
    if kinds == {0}:
        return np.array([float(value) for value in values])
    padded = np.zeros(completions.mask.shape)
    for place, value in enumerate(values):
        padded[place, : len(value)] = value
    return padded


def _caller(reward: Reward, prompt: Tokens) -> Callable[[Tokens], Any]:
    if not callable(reward):
        raise TypeError(
            f"reward = {reward!r:.60}, expected a function of a completion (a tuple of tokens), or "
            "of the prompt and a completion"
        )
    # One that can be called either way is of a completion.
    if takes(reward, ((),)):
        return reward
    if takes(reward, (prompt, ())):
        return lambda completion: reward(prompt, completion)
    raise TypeError(
        f"reward {getattr(reward, '__name__', reward)!s:.60} cannot be called with one argument or "
        "two, expected a function of a completion (a tuple of tokens), or of the prompt and a "
        "completion"
    )


def _with_note(call: Callable[[Tokens], Any]) -> Callable[[Tokens], Any]:
    """The same, with a note on what it was called with where it raises an error."""

    def noted(completion: Tokens) -> Any:
        try:
            return call(completion)
        except Exception as error:
            error.add_note(
                f"The reward raised it for the completion {completion}: it is called with one "
                "completion at a time, a tuple of tokens."
            )
            raise

    return noted


def _numbers(value: Any, completion: Tokens) -> np.ndarray:
    """A reward as an array of no or one axis."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"the reward of {completion} is {value!r:.60}, expected a number, or one for each token"
        )
    array = array.astype(np.float64)
    if array.ndim > 1 or (array.ndim == 1 and len(array) != len(completion)):
        raise ValueError(
            f"the reward of {completion} has shape {array.shape}, expected one number, or "
            f"{len(completion)}, one for each token"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"the reward of {completion} is {array.tolist()}, expected finite numbers")
    return array
