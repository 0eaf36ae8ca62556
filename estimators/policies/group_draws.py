"""Groups of completions that are drawn, where there are too many to be listed: a multiset a path.

A multiset is drawn by the place of its first member, of completions in the order of their
probabilities, and by how often it has that one; then by the same of what comes later. So a path is
a multiset, whose probability is that of all its orders.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from gradproof.errors import GradproofError

from ..enumeration.run import outside_runs
from .common_generators import keeping_generators
from .completions import Completions
from .group_gradients import Loss, check_loss_value, is_symmetric
from .prefix_tree import PrefixTree
from .token_groups import GroupData, Groups
from .token_policy import TokenPolicy

#: A tensor of PyTorch.
Tensor = Any

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
        import torch

        rng = np.random.default_rng(0)  # the same check is to say the same each time
        rows = []
        prompts = self.tree.prompts.numpy()
        weights = self.tree.weights.detach().numpy()
        for number in range(TRIED_GROUPS):
            here = np.flatnonzero(prompts == rng.choice(prompts))
            p = weights[here] / weights[here].sum() if number % 2 else None
            rows.append(rng.choice(here, self.size, p=p))
        return self.of(torch.from_numpy(np.stack(rows)))

    def of(self, members: Tensor) -> Groups:
        """Groups of these members, without their probabilities.

        Shape: ``members`` (B, G), numbers of completions.
        """
        none = self.tree.weights.new_zeros(len(members))
        return Groups(self.tree, members, none, none, self.data, ordered=False)


@dataclasses.dataclass(frozen=True)
class DrawnGroupGradient:
    """The gradient of a loss on one group, whose members are drawn one after the other.

    Args:
        ordered: whether each order is a path of its own.
    """

    policy: TokenPolicy
    loss: Loss
    groups: DrawnGroups
    ordered: bool

    def __call__(self) -> dict[str, Tensor]:
        """By the name of each parameter, through the loss and the model.

        Raises:
            OrderMatters: if groups are drawn as multisets, and it is another one in another order.
        """
        import torch

        groups = self.groups
        prompts = groups.tree.prompts.unique()
        prompt = int(prompts[_draw(np.ones(len(prompts)))])
        members = self._members((groups.tree.prompts == prompt).nonzero().flatten())
        data = groups.of(members[None]).of(members)
        log_probs = self.policy.log_probs(Completions(prompt, data.tokens, data.mask))
        value = self.loss(log_probs, *data.arguments)
        check_loss_value(torch, value)
        leaves = self.policy.parameters
        # A group on which the loss has no derivative has a gradient too, which is zero.
        total = value.sum() + 0.0 * log_probs.sum()
        found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        if not self.ordered:  # in the end, for the loss may keep something of each call
            self._check_order(members)
        return {
            name: torch.zeros_like(leaf) if value is None else value
            for (name, leaf), value in zip(leaves.items(), found, strict=True)
        }

    def _members(self, here: Tensor) -> Tensor:
        """Members of a group, numbers of completions, (G,).

        Args:
            here: completions of the prompt.
        """
        weights = self.groups.tree.weights.detach()[here].numpy()
        order = np.argsort(-weights, kind="stable")
        p, size = weights[order] / weights.sum(), self.groups.size
        places = [_draw(p) for _ in range(size)] if self.ordered else draw_multiset(p, size)
        return here[order[places]]

    def _check_order(self, members: Tensor) -> None:
        # It is in a run, where a generator of ours would be one more draw.
        with outside_runs(), keeping_generators() as drawn:
            rng = np.random.default_rng(0)
            symmetric = is_symmetric(self.loss, self.groups.of(members[None]), rng)
            symmetric = symmetric and not drawn()  # on other groups it may not
        if not symmetric:
            tokens = [tuple(row.tolist()) for row in self.groups.tree.tokens[members]]
            raise OrderMatters(
                f"the loss depends on the order of its group, or draws, as of {tokens}"
            )


def draw_multiset(p: np.ndarray, size: int) -> list[int]:
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
        place = start + _draw(p[start:] / tails[start] * powers)
        one, rest = p[place] / tails[place], tails[place + 1] / tails[place]
        counts = [math.comb(left, n) * one**n * rest ** (left - n) for n in range(1, left + 1)]
        count = 1 + _draw(np.array(counts))
        places += [place] * count
        start, left = place + 1, left - count
    return places


def _draw(weights: np.ndarray) -> int:
    """A number by its weight; of many, first a block of them, so that few outcomes are kept."""
    if len(weights) <= MOST_AT_ONCE:
        return _draw_at_once(weights)
    width = math.isqrt(len(weights) - 1) + 1
    padded = np.zeros(-(-len(weights) // width) * width)
    padded[: len(weights)] = weights
    rows = padded.reshape(-1, width)
    block = _draw_at_once(rows.sum(axis=1))
    return block * width + _draw_at_once(rows[block])


def _draw_at_once(weights: np.ndarray) -> int:
    import torch

    if len(weights) == 1:
        return 0
    return int(torch.multinomial(torch.from_numpy(weights / weights.sum()), 1))
