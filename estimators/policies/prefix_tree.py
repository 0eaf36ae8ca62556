"""All completions of some prompts, as a tree of prefixes, of which each is given to the model once.

Sums over completions are in double precision. The prefixes of one length go to the model together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

from .completions import Completions, Tokens
from .logits import numbers_of
from .model_library import Array, ModelLibrary

#: The logarithms of the probabilities of the next token, (B, V), after prefixes, (B, L).
NextLogProbs = Callable[[np.ndarray], Array]

#: Completions that are enumerated at most.
MOST_COMPLETIONS = 100_000


class Level(NamedTuple):
    """Prefixes of one length after one prompt, with what the model says of the next token.

    ``start`` is the number of the first cell: cells are numbered through all levels, one for each
    prefix and token. ``masses`` are the probabilities of prefixes, prompts included.

    Shape:
        ``prefixes`` (B, L), with the prompt; ``log_probs`` (B, V); ``masses`` (B,).
    """

    prompt: int
    prefixes: np.ndarray
    log_probs: Array
    masses: np.ndarray
    start: int


@dataclasses.dataclass(frozen=True)
class PrefixTree:
    """All completions of all prompts.

    ``log_probs`` has the logarithm of each token's probability with its graph, 0 for padding;
    ``weights`` the probability of a completion where each prompt is as likely as any other. All are
    arrays of the library.

    Shape:
        ``prompts`` (N,), numbers; ``tokens``, ``mask`` and ``log_probs`` (N, T); ``cells`` (N, T),
        the cell of each token, and one beyond all cells for padding; ``weights`` (N,).
    """

    library: ModelLibrary
    levels: tuple[Level, ...]
    prompts: Array
    tokens: Array
    mask: Array
    cells: Array
    log_probs: Array
    weights: Array

    @property
    def size(self) -> int:
        """How many cells there are."""
        last = self.levels[-1]
        return last.start + math.prod(last.log_probs.shape)

    @property
    def held_log_probs(self) -> Array:
        """``log_probs`` without graph."""
        return self.library.constant(self.library.held(self.log_probs))

    def completions(self, prompt: int) -> Completions:
        """Those of one prompt."""
        here = self.prompts == prompt
        return Completions(prompt, self.tokens[here], self.mask[here])

    def in_cells(self, values: Array) -> Array:
        """What stands in each token's cell, and 0 for padding.

        Shape: ``values`` (M,), of all cells; the result (N, T).
        """
        return _gather(self.library, values, self.cells)


def grow(
    next_log_probs: NextLogProbs,
    library: ModelLibrary,
    prompts: Sequence[Tokens],
    ends: Collection[int],
    longest: int,
) -> PrefixTree:
    """The tree of all completions that have a probability.

    Raises:
        TypeError: where JAX traces, and probabilities have no numbers.
        ValueError: if there are too many.
    """
    levels: list[Level] = []
    rows: list[tuple[int, np.ndarray, np.ndarray]] = []
    start = 0
    for number, prompt in enumerate(prompts):
        prefixes = np.array([prompt], dtype=np.int64)
        cells, before = np.zeros((1, 0), dtype=np.int64), np.zeros(1)
        for step in range(1, longest + 1):
            log_probs = next_log_probs(prefixes)
            held = numbers_of(library, log_probs)
            masses = np.exp(before) / len(prompts)
            levels.append(Level(number, prefixes, log_probs, masses, start))
            at, token = np.nonzero(held > -np.inf)
            here = start + at * held.shape[1] + token
            cells = np.concatenate([cells[at], here[:, None]], axis=1)
            prefixes = np.concatenate([prefixes[at], token[:, None]], axis=1)
            before = before[at] + held[at, token]
            done = np.isin(token, sorted(ends)) | (step == longest)
            rows.append((number, prefixes[done][:, len(prompt) :], cells[done]))
            prefixes, cells, before = prefixes[~done], cells[~done], before[~done]
            start += held.size
            counted = sum(len(each) for _, each, _ in rows) + len(prefixes)
            _check_count(counted, held.shape[1], step, longest)
            if not len(prefixes):
                break
    return _tree(library, levels, rows, longest, start, len(prompts), min(ends, default=0))


def _tree(
    library: ModelLibrary,
    levels: list[Level],
    rows: list[tuple[int, np.ndarray, np.ndarray]],
    longest: int,
    size: int,
    prompts: int,
    padding: int,
) -> PrefixTree:
    """The tree of completions that were found level by level."""

    def padded(table: np.ndarray, value: int) -> np.ndarray:
        more = ((0, 0), (0, longest - table.shape[1]))
        return np.pad(table, more, constant_values=value)

    constant = library.constant
    numbers = np.concatenate([np.full(len(each), number) for number, each, _ in rows])
    cells = np.concatenate([padded(each, size) for _, _, each in rows])
    tokens = np.concatenate([padded(each, padding) for _, each, _ in rows])
    flat = library.concatenate([level.log_probs.reshape(-1) for level in levels])
    log_probs = _gather(library, flat, constant(cells))
    return PrefixTree(
        library,
        tuple(levels),
        constant(numbers),
        constant(tokens),
        constant((cells < size).astype(np.float64)),
        constant(cells),
        log_probs,
        library.exp(log_probs.sum(1)) / prompts,
    )


def _gather(library: ModelLibrary, values: Array, cells: Array) -> Array:
    """The value of each cell, and 0 for padding."""
    return library.concatenate([values, library.constant(np.zeros(1))])[cells]


def _check_count(count: int, vocabulary: int, step: int, longest: int) -> None:
    if count <= MOST_COMPLETIONS:
        return
    raise ValueError(
        f"there are {count:,} prefixes of {step} token{'' if step == 1 else 's'}, more than "
        f"{MOST_COMPLETIONS:,}, and completions have up to {longest} of {vocabulary:,} tokens, "
        f"some {float(vocabulary) ** longest:.0e} of them: take a smaller vocabulary, longest= or "
        "top_k=, as a bias of the code shows with few tokens as well; or, where the exact gradient "
        "is known otherwise, pass it as exact= to check_estimator(..., strategy='heaviest', "
        "draws=...) of the loss on policy.sample(group), for which nothing is listed"
    )
