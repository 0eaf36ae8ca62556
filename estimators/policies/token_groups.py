"""Groups of completions of one prompt: as multisets where the order does not matter."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..enumeration.gradients import array_of
from ..enumeration.run import TooManyPaths
from .goals import reference_log_probs
from .model_library import Array, ModelLibrary
from .prefix_tree import PrefixTree
from .token_policy import TokenPolicy

#: Groups that are enumerated at most, by default: they are run many at a time.
MOST_GROUPS = 100_000


class GroupData(NamedTuple):
    """What a loss is given of some groups, apart from their log-probabilities.

    Shape:
        ``mask`` and ``tokens`` (..., G, T); ``rewards`` (..., G) or (..., G, T); ``reference``
        (..., G, T), log-probabilities by the reference, or None.
    """

    mask: Array
    rewards: Array
    tokens: Array
    reference: Array | None

    @property
    def arguments(self) -> tuple[Array, ...]:
        """In the order in which a loss takes them, after the log-probabilities."""
        given = self.mask, self.rewards, self.tokens
        return given if self.reference is None else (*given, self.reference)


@dataclasses.dataclass(frozen=True)
class Groups:
    """Every group of completions that can be drawn, and what a loss is given of it.

    All are arrays of the library, and none has a graph.

    Shape:
        ``members`` (B, G), numbers of completions in the tree; ``log_orders`` (B,), logarithms of
        how many orders each stands for, as a share of all prompts; ``weights`` (B,), probabilities;
        ``data`` of single completions, as of groups without the first axis.
    """

    tree: PrefixTree
    members: Array
    log_orders: Array
    weights: Array
    data: GroupData
    ordered: bool

    def of(self, groups: Array) -> GroupData:
        """What a loss is given of these.

        Shape: ``groups`` (..., G), numbers of completions.
        """
        return GroupData(*(None if each is None else each[groups] for each in self.data))


def enumerate_groups(
    tree: PrefixTree, data: GroupData, size: int, most: int, *, ordered: bool
) -> Groups:
    """All groups of completions that are drawn independently, of one prompt each.

    Args:
        size: of a group.
        most: groups that there may be.
        ordered: whether each order counts for itself, or how often each completion is in it.

    Raises:
        TooManyPaths: if there are more than may be.
    """
    constant, numbers = tree.library.constant, array_of(tree.prompts)
    prompts = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    counts = [len(here) for here in prompts]
    total = sum(count_groups(count, size, ordered=ordered) for count in counts)
    if total > most:
        raise TooManyPaths(_too_many(counts, size, most, total, ordered=ordered))
    members: list[np.ndarray] = []
    orders: list[float] = []
    for here in prompts:
        rows = _rows(len(here), size, ordered=ordered)
        members.append(here[rows])
        orders += [0.0] * len(rows) if ordered else map(_log_orders, rows.tolist())
    log_orders = constant(np.array(orders) - math.log(len(prompts)))
    everyone = constant(np.concatenate(members))
    weights = group_weights(tree.library, tree.held_log_probs, everyone, log_orders)
    return Groups(tree, everyone, log_orders, weights, data, ordered)


def group_weights(
    library: ModelLibrary, log_probs: Array, members: Array, log_orders: Array
) -> Array:
    """The probability of each group, (B,), by the log-probabilities of tokens, (N, T)."""
    return library.exp(log_orders + log_probs.sum(1)[members].sum(1))


def data_of(tree: PrefixTree, rewards: np.ndarray, reference: TokenPolicy | None) -> GroupData:
    """What a loss is given of each completion."""
    given = None if reference is None else reference_log_probs(reference, tree)
    return GroupData(tree.mask, tree.library.constant(rewards), tree.tokens, given)


def count_groups(completions: int, size: int, *, ordered: bool) -> int:
    """How many groups there are: multisets, or orders of them."""
    return completions**size if ordered else math.comb(completions + size - 1, size)


def _rows(completions: int, size: int, *, ordered: bool) -> np.ndarray:
    """Groups by the numbers of their members, (B, G)."""
    every: Iterator[tuple[int, ...]] = (
        itertools.product(range(completions), repeat=size)
        if ordered
        else itertools.combinations_with_replacement(range(completions), size)
    )
    flat = np.fromiter(itertools.chain.from_iterable(every), dtype=np.int64)
    return flat.reshape(-1, size)


def _log_orders(row: list[int]) -> float:
    """The logarithm of the number of orders of a multiset."""
    repeated = math.prod(map(math.factorial, Counter(row).values()))
    return math.log(math.factorial(len(row)) // repeated)


def _too_many(counts: list[int], size: int, most: int, total: int, *, ordered: bool) -> str:
    fit = 0
    while sum(count_groups(count, fit + 1, ordered=ordered) for count in counts) <= most:
        fit += 1
    kind = "groups, in every order," if ordered else "groups, whatever their order,"
    why = " (they count in every order, since the loss is not symmetric in its group)"
    fewer = f", or a group of {fit} or fewer" if fit else ""
    return (
        f"{sum(counts):,} completions make {total:,} {kind} of {size}, more than {most:,}"
        f"{why if ordered else ''}: take a smaller longest=, vocabulary or top_k={fewer}; or allow "
        "more (paths=)"
    )
