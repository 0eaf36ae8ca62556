"""A loss on groups of a policy's completions as an estimator: one draw, of the whole group.

A path by itself runs the loss and the model, and differentiates one through the other. Many paths
at a time are made of less: the loss's derivative by log-probabilities, and the scores of tokens,
which are computed once. Some paths are run both ways, and must come to the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..enumeration.block import BlockRun, NotBatchable, RowsCode
from ..enumeration.estimator import Estimator
from ..enumeration.gradients import RowValues
from ..enumeration.run import Path
from .completions import Completions
from .group_gradients import Loss, check_loss_value, group_gradients
from .token_groups import Groups
from .token_policy import TokenPolicy

#: A tensor of PyTorch.
Tensor = Any

#: Numbers that the scores of all tokens may come to: 400 megabytes.
MOST_SCORES = 5 * 10**7


@dataclasses.dataclass(frozen=True)
class GroupSurrogate:
    """The loss of one group, which is drawn."""

    policy: TokenPolicy
    loss: Loss
    groups: Groups

    def __call__(self) -> Tensor:
        """One number, with its graph through the loss and the model."""
        import torch

        groups = self.groups
        drawn = int(torch.multinomial(groups.weights, 1))
        members = groups.members[drawn]
        data = groups.of(members)
        prompt = int(groups.tree.prompts[members[0]])
        log_probs = self.policy.log_probs(Completions(prompt, data.tokens, data.mask))
        value = self.loss(log_probs, *data.arguments)
        check_loss_value(torch, value)
        # A group on which the loss has no derivative has a gradient too, which is zero.
        return value.sum() + 0.0 * log_probs.sum()


class GroupEstimator(Estimator):
    """The gradient of a loss on one group of completions, by the policy's parameters."""

    def __init__(self, policy: TokenPolicy, loss: Loss, groups: Groups) -> None:
        surrogate = GroupSurrogate(policy, loss, groups)
        super().__init__(surrogate, wrt=dict(policy.parameters), returns="surrogate")
        self._policy, self._loss, self._groups = policy, loss, groups

    def rows(self, first: Path[Any]) -> RowsCode:
        """See the base class."""
        if len(first.choices) != 1:
            raise NotBatchable("the loss draws too")
        return GroupRows(self._loss, self._groups, token_scores(self._policy))


@dataclasses.dataclass(frozen=True)
class GroupRows:
    """The gradients of many groups at once.

    Args:
        scores: the gradient of the log-probability in each cell, by parameter, (M, *shape).
    """

    loss: Loss
    groups: Groups
    scores: Mapping[str, Tensor]
    most_rows: int = 0
    fewest_paths: int = 0

    def __call__(self, run: BlockRun) -> dict[str, RowValues | None]:
        """See the protocol."""
        import torch

        groups = self.groups
        weights = (groups.weights / groups.weights.sum()).numpy()
        taken = run.take([np.broadcast_to(weights, (run.size, len(weights)))])[:, 0]
        run.finish()
        members = groups.members[torch.from_numpy(np.array(taken))]
        by_token = group_gradients(self.loss, groups, members).double()
        cells = groups.tree.cells[members].flatten(1)
        by_cell = torch.zeros(run.size, groups.tree.size + 1, dtype=torch.float64)
        by_cell.scatter_add_(1, cells, by_token.flatten(1))
        found: dict[str, RowValues | None] = {}
        for name, score in self.scores.items():
            rows = by_cell[:, :-1] @ score.flatten(1)
            found[name] = RowValues(rows.view(-1, *score.shape[1:]).numpy())
        return found


def token_scores(policy: TokenPolicy) -> dict[str, Tensor]:
    """The gradient of the log-probability of each token after each prefix, by parameter.

    Shape: (M, *shape) of each, for the M cells of the policy's tree, in double precision.

    Raises:
        NotBatchable: if they are too many numbers.
    """
    import torch

    tree, leaves = policy.tree(), policy.parameters
    numbers = tree.size * sum(math.prod(leaf.shape) for leaf in leaves.values())
    if numbers > MOST_SCORES:
        raise NotBatchable(f"the scores of all tokens are {numbers:,} numbers")
    scores = {
        name: torch.zeros(tree.size, *leaf.shape, dtype=torch.float64)
        for name, leaf in leaves.items()
    }
    for level in tree.levels:
        flat = level.log_probs.flatten()
        for place in range(len(flat)):
            if not math.isfinite(float(flat[place].detach())):
                continue
            found = torch.autograd.grad(
                flat[place], list(leaves.values()), retain_graph=True, allow_unused=True
            )
            for name, value in zip(leaves, found, strict=True):
                if value is not None:
                    scores[name][level.start + place] = value.cpu().double()
    return scores
