"""All completions of some prompts, as a tree of prefixes, of which each is given to the model once.

Sums over completions are in double precision. The prefixes of one length go to the model together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from .completions import Completions, Tokens

#: A tensor of PyTorch.
Tensor = Any

#: The logarithms of the probabilities of the next token, (B, V), after prefixes, (B, L).
NextLogProbs = Callable[[Tensor], Tensor]

#: Completions that are enumerated at most.
MOST_COMPLETIONS = 100_000


class Level(NamedTuple):
    """Prefixes of one length after one prompt, with what the model says of the next token.

    ``start`` is the number of the first cell: cells are numbered through all levels, one for each
    prefix and token.

    Shape:
        ``prefixes`` (B, L), with the prompt; ``log_probs`` (B, V).
    """

    prompt: int
    prefixes: Tensor
    log_probs: Tensor
    start: int


@dataclasses.dataclass(frozen=True)
class PrefixTree:
    """All completions of all prompts.

    ``log_probs`` has the logarithm of each token's probability with its graph, 0 for padding;
    ``weights`` the probability of a completion where each prompt is as likely as any other.

    Shape:
        ``prompts`` (N,), numbers; ``tokens``, ``mask`` and ``log_probs`` (N, T); ``cells`` (N, T),
        the cell of each token, and one beyond all cells for padding; ``weights`` (N,).
    """

    levels: tuple[Level, ...]
    prompts: Tensor
    tokens: Tensor
    mask: Tensor
    cells: Tensor
    log_probs: Tensor
    weights: Tensor

    @property
    def size(self) -> int:
        """How many cells there are."""
        last = self.levels[-1]
        return last.start + int(last.log_probs.numel())

    def completions(self, prompt: int) -> Completions:
        """Those of one prompt."""
        here = self.prompts == prompt
        return Completions(prompt, self.tokens[here], self.mask[here])

    def in_cells(self, values: Tensor) -> Tensor:
        """What stands in each token's cell, and 0 for padding.

        Shape: ``values`` (M,), of all cells; the result (N, T).
        """
        return _gather(values, self.cells)

    def masses(self) -> list[Tensor]:
        """The probability of each prefix by level, (B,), without graph."""
        import torch

        weights = self.weights.detach()
        flat = torch.zeros(self.size + 1, dtype=torch.float64)
        flat.index_add_(0, self.cells.flatten(), weights[:, None].expand_as(self.cells).flatten())
        masses = []
        for level in self.levels:
            end = level.start + level.log_probs.numel()
            masses.append(flat[level.start : end].view_as(level.log_probs).sum(dim=1))
        return masses


def grow(
    next_log_probs: NextLogProbs, prompts: Sequence[Tokens], ends: Collection[int], longest: int
) -> PrefixTree:
    """The tree of all completions that have a probability.

    Raises:
        ValueError: if there are too many.
    """
    import torch

    levels: list[Level] = []
    rows: list[tuple[int, Tensor, Tensor]] = []
    stops, start = torch.tensor(sorted(ends), dtype=torch.int64), 0
    for number, prompt in enumerate(prompts):
        prefixes = torch.tensor([prompt], dtype=torch.int64)
        cells = torch.zeros(1, 0, dtype=torch.int64)
        for step in range(1, longest + 1):
            log_probs = next_log_probs(prefixes)
            levels.append(Level(number, prefixes, log_probs, start))
            at, token = (log_probs.detach() > -torch.inf).nonzero(as_tuple=True)
            here = start + at * log_probs.shape[1] + token
            cells = torch.cat([cells[at], here[:, None]], dim=1)
            prefixes = torch.cat([prefixes[at], token[:, None]], dim=1)
            done = torch.isin(token, stops) | (step == longest)
            rows.append((number, prefixes[done][:, len(prompt) :], cells[done]))
            prefixes, cells = prefixes[~done], cells[~done]
            start += log_probs.numel()
            counted = sum(len(each) for _, each, _ in rows) + len(prefixes)
            _check_count(counted, log_probs.shape[1], step, longest)
            if not len(prefixes):
                break
    return _tree(levels, rows, longest, start, len(prompts), min(ends, default=0))


def _tree(
    levels: list[Level],
    rows: list[tuple[int, Tensor, Tensor]],
    longest: int,
    size: int,
    prompts: int,
    padding: int,
) -> PrefixTree:
    """The tree of completions that were found level by level."""
    import torch

    def padded(table: Tensor, value: int) -> Tensor:
        return torch.nn.functional.pad(table, (0, longest - table.shape[1]), value=value)

    numbers = torch.cat([torch.full((len(each),), number) for number, each, _ in rows])
    cells = torch.cat([padded(each, size) for _, _, each in rows])
    flat = torch.cat([level.log_probs.flatten() for level in levels])
    log_probs = _gather(flat, cells)
    return PrefixTree(
        tuple(levels),
        numbers,
        torch.cat([padded(each, padding) for _, each, _ in rows]),
        (cells < size).double(),
        cells,
        log_probs,
        log_probs.sum(dim=1).exp() / prompts,
    )


def _gather(values: Tensor, cells: Tensor) -> Tensor:
    """The value of each cell, and 0 for padding."""
    import torch

    return torch.cat([values, values.new_zeros(1)])[cells]


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
