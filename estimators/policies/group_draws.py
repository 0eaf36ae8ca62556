"""Groups of completions that are drawn, where there are too many to be listed: a multiset a path.

A multiset is drawn by the place of its first member, of completions in the order of their
probabilities, and by how often it has that one; then by the same of what comes later. So a path is
a multiset, whose probability is that of all its orders.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from gradproof.errors import GradproofError

from ..enumeration.gradients import array_of
from ..enumeration.run import outside_runs
from .common_generators import keeping_generators
from .group_gradients import is_symmetric, loss_of_group
from .model_library import Loss
from .prefix_tree import PrefixTree
from .token_groups import GroupData, Groups
from .token_policy import TokenPolicy

#: Groups on which it is looked whether their order matters, before any is drawn.
TRIED_GROUPS = 256

#: Outcomes that are drawn at once; of more, first a block of them is.
MOST_AT_ONCE = 32


class OrderMatters(GradproofError, ValueError):
    """A loss depends on the order of its group, or draws, on one that was drawn as a multiset."""


@dataclasses.dataclass(frozen=True)
class DrawnGroups:
    """Completions of a policy, and what a loss is given of each, to draw groups of."""

    tree: PrefixTree
    data: GroupData
    size: int

    def some(self) -> Groups:
        """Groups that are drawn, half of them as if each completion were as likely as any other.

        They are the same each time.
        """
        rng = np.random.default_rng(0)  # the same check is to say the same each time
        rows = []
        prompts, weights = array_of(self.tree.prompts), self.weights
        for number in range(TRIED_GROUPS):
            here = np.flatnonzero(prompts == rng.choice(prompts))
            p = weights[here] / weights[here].sum() if number % 2 else None
            rows.append(rng.choice(here, self.size, p=p))
        return self.of(np.stack(rows))

    @property
    def weights(self) -> np.ndarray:
        """The probability of each completion, (N,)."""
        return np.asarray(self.tree.library.held(self.tree.weights))

    def of(self, members: np.ndarray) -> Groups:
        """Groups of these members, without their probabilities.

        Shape: ``members`` (B, G), numbers of completions.
        """
        constant = self.tree.library.constant
        none = constant(np.zeros(len(members)))
        return Groups(self.tree, constant(members), none, none, self.data, ordered=False)


@dataclasses.dataclass(frozen=True)
class DrawnGroupGradient:
    """The gradient of a loss on one group, whose members are drawn one after the other.

    Args:
        ordered: whether each order is a path of its own.
        rng: draws the group.
    """

    policy: TokenPolicy
    loss: Loss
    groups: DrawnGroups
    ordered: bool
    rng: np.random.Generator = dataclasses.field(default_factory=np.random.default_rng)

    def __call__(self) -> dict[str, np.ndarray]:
        """By the name of each parameter, through the loss and the model.

        Raises:
            OrderMatters: if groups are drawn as multisets, and it is another one in another order.
        """
        library, numbers = self.policy.library, array_of(self.groups.tree.prompts)
        prompts = np.unique(numbers)
        prompt = int(prompts[_draw(self.rng, np.ones(len(prompts)))])
        members = self._members(np.flatnonzero(numbers == prompt))
        data = self.groups.of(members[None]).of(library.constant(members))

        value = loss_of_group(self.policy, self.loss, prompt, data)
        found = library.gradient(value, self.policy.parameters)
        if not self.ordered:  # in the end, for the loss may keep something of each call
            self._check_order(members)
        return found

    def _members(self, here: np.ndarray) -> np.ndarray:
        """Members of a group, numbers of completions, (G,).

        Args:
            here: completions of the prompt.
        """
        weights = self.groups.weights[here]
        order = np.argsort(-weights, kind="stable")
        p, size = weights[order] / weights.sum(), self.groups.size
        if self.ordered:
            places = [_draw(self.rng, p) for _ in range(size)]
        else:
            places = draw_multiset(self.rng, p, size)
        return here[order[places]]

    def _check_order(self, members: np.ndarray) -> None:
        # It is in a run, where a generator of ours would be one more draw.
        with outside_runs(), keeping_generators() as drawn:
            rng = np.random.default_rng(0)
            symmetric = is_symmetric(self.loss, self.groups.of(members[None]), rng)
            symmetric = symmetric and not drawn()  # on other groups it may not
        if not symmetric:
            tokens = [tuple(row) for row in array_of(self.groups.tree.tokens)[members].tolist()]
            raise OrderMatters(
                f"the loss depends on the order of its group, or draws, as of {tokens}"
            )


def draw_multiset(rng: np.random.Generator, p: np.ndarray, size: int) -> list[int]:
    """Places of independent draws, in their order, by draws of which each multiset is one path.

    Shape: ``p`` (N,), probabilities.
    """
    tails = np.append(np.cumsum(p[::-1])[::-1], 0.0)
    start, left = 0, size
    places: list[int] = []
    while left:
        # Of all that are left none comes before a place: T^left, with T the probability of what
        # does not. The difference of two such powers is written as a product: nothing cancels.
        here, after = tails[start:-1] / tails[start], tails[start + 1 :] / tails[start]
        powers = sum(here ** (left - 1 - k) * after**k for k in range(left))
        place = start + _draw(rng, p[start:] / tails[start] * powers)
        one, rest = p[place] / tails[place], tails[place + 1] / tails[place]
        counts = [math.comb(left, n) * one**n * rest ** (left - n) for n in range(1, left + 1)]
        count = 1 + _draw(rng, np.array(counts))
        places += [place] * count
        start, left = place + 1, left - count
    return places


def _draw(rng: np.random.Generator, weights: np.ndarray) -> int:
    """A number by its weight; of many, first a block of them, so that few outcomes are kept."""
    if len(weights) <= MOST_AT_ONCE:
        return _draw_at_once(rng, weights)
    width = math.isqrt(len(weights) - 1) + 1
    padded = np.zeros(-(-len(weights) // width) * width)
    padded[: len(weights)] = weights
    rows = padded.reshape(-1, width)
    block = _draw_at_once(rng, rows.sum(axis=1))
    return block * width + _draw_at_once(rng, rows[block])


def _draw_at_once(rng: np.random.Generator, weights: np.ndarray) -> int:
    if len(weights) == 1:
        return 0
    return int(rng.choice(len(weights), p=weights / weights.sum()))
