"""Completions of a prompt, as padded arrays and as tuples of tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ..enumeration.gradients import array_of

#: A tensor of PyTorch, or an array of JAX or NumPy.
Array = Any

#: One completion: its tokens, with the one that ends it.
Tokens = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Completions:
    """Several completions of one prompt.

    ``prompt`` is its number among the policy's. What comes after the end is padding, where ``mask``
    is 0; the token that ends a completion is part of it.

    Shape:
        ``tokens`` (N, T), of int64; ``mask`` (N, T), of float64.
    """

    prompt: int
    tokens: Array
    mask: Array

    def __len__(self) -> int:
        return len(self.tokens)

    def tuples(self) -> list[Tokens]:
        """Each without padding.

        Raises:
            TypeError: where JAX traces, and there are no numbers.
        """
        try:
            tokens, mask = array_of(self.tokens), array_of(self.mask)
        except TypeError as error:
            raise TypeError(
                "tokens are traced, as under jax.jit, and have no numbers: compute with .tokens "
                "and .mask by jax.numpy, or leave jit out"
            ) from error
        lengths = mask.sum(axis=1).astype(int)
        return [tuple(row[:length]) for row, length in zip(tokens.tolist(), lengths, strict=True)]


def pad(rows: Sequence[Tokens], longest: int, padding: int, prompt: int = 0) -> Completions:
    """Completions as arrays of NumPy."""
    tokens = np.full((len(rows), longest), padding, dtype=np.int64)
    mask = np.zeros((len(rows), longest))
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
        mask[place, : len(row)] = 1.0
    return Completions(prompt, tokens, mask)


def read_completion(
    tokens: Iterable[Any], ends: Collection[int], longest: int, vocabulary: int
) -> Tokens:
    """The tokens of one completion up to its end; what comes after that is padding.

    Raises:
        TypeError: for what is no number.
        ValueError: for what is no token, and for a completion that has no end.
    """
    found: list[int] = []
    for token in tokens:
        try:
            number = int(token)
        except TypeError as error:
            raise TypeError(
                f"a completion has the token {token!r:.60}, expected a whole number; where JAX "
                "traces, pass policies.Completions(prompt, tokens, mask)"
            ) from error
        if not 0 <= number < vocabulary:
            raise ValueError(
                f"a completion has the token {number}, expected one from 0 to {vocabulary - 1}"
            )
        found.append(number)
        if number in ends or len(found) == longest:
            return tuple(found)
    end = f"that ends with {', '.join(map(str, sorted(ends)))} or has" if ends else "of"
    raise ValueError(
        f"a completion is {tuple(found)}, expected one {end} {longest} tokens (longest=)"
    )
