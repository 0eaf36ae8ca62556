"""A loss on groups of a policy's completions as an estimator: one draw, of the whole group.

A path by itself runs the loss and the model, and differentiates one through the other. Many paths
at a time are made of less: the loss's derivative by log-probabilities, and the scores of tokens,
which are computed once. Some paths are run both ways, and must come to the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..enumeration.block import BlockRun, NotBatchable, RowsCode
from ..enumeration.estimator import Estimator
from ..enumeration.gradients import RowValues, array_of
from ..enumeration.run import Path
from .group_gradients import group_gradients, loss_of_group
from .model_library import Loss
from .token_groups import Groups
from .token_policy import TokenPolicy

#: Numbers that the scores of all tokens may come to: 400 megabytes.
MOST_SCORES = 5 * 10**7


@dataclasses.dataclass(frozen=True)
class GroupSurrogate:
    """The loss of one group, which is drawn.

    Args:
        rng: draws the group.
    """

    policy: TokenPolicy
    loss: Loss
    groups: Groups
    rng: np.random.Generator = dataclasses.field(default_factory=np.random.default_rng)

    def __call__(self) -> Any:
        """One number, with its graph through the loss and the model; its gradient in JAX."""
        groups, library = self.groups, self.policy.library
        drawn = int(self.rng.choice(len(groups.weights), p=self.probabilities))
        members = groups.members[drawn]
        data = groups.of(members)
        prompt = int(groups.tree.prompts[members[0]])

        value = loss_of_group(self.policy, self.loss, prompt, data)
        if library.returns == "surrogate":
            return value(self.policy.parameters)
        return library.gradient(value, self.policy.parameters)

    @property
    def probabilities(self) -> np.ndarray:
        """Those of the groups, (B,), which add up to 1."""
        weights = self.policy.library.held(self.groups.weights)
        return np.asarray(weights / weights.sum())


class GroupEstimator(Estimator):
    """The gradient of a loss on one group of completions, by the policy's parameters."""

    def __init__(self, policy: TokenPolicy, loss: Loss, groups: Groups) -> None:
        surrogate = GroupSurrogate(policy, loss, groups)
        returns = policy.library.returns
        wrt = dict(policy.parameters) if returns == "surrogate" else None
        super().__init__(surrogate, wrt=wrt, returns=returns)
        self._surrogate = surrogate

    def rows(self, first: Path[Any]) -> RowsCode:
        """See the base class."""
        if len(first.choices) != 1:
            raise NotBatchable("the loss draws too")
        return GroupRows(self._surrogate, token_scores(self._surrogate.policy))


@dataclasses.dataclass(frozen=True)
class GroupRows:
    """The gradients of many groups at once.

    Args:
        scores: the gradient of the log-probability in each cell, by parameter, (M, *shape).
    """

    surrogate: GroupSurrogate
    scores: Mapping[str, np.ndarray]
    most_rows: int = 0
    fewest_paths: int = 0

    def __call__(self, run: BlockRun) -> dict[str, RowValues | None]:
        """See the protocol."""
        groups, library = self.surrogate.groups, self.surrogate.policy.library
        weights = self.surrogate.probabilities
        taken = run.take([np.broadcast_to(weights, (run.size, len(weights)))])[:, 0]
        run.finish()
        members = array_of(groups.members)[np.array(taken)]
        derivatives = group_gradients(self.surrogate.loss, groups, library.constant(members))
        by_token = library.held(derivatives).astype(np.float64)
        width = groups.tree.size + 1  # the last is of padding
        cells = array_of(groups.tree.cells)[members] + width * np.arange(run.size)[:, None, None]
        flat = np.bincount(cells.ravel(), by_token.ravel(), minlength=run.size * width)
        by_cell = flat.reshape(run.size, width)[:, :-1]
        return {
            name: RowValues((by_cell @ score.reshape(len(score), -1)).reshape(-1, *score.shape[1:]))
            for name, score in self.scores.items()
        }


def token_scores(policy: TokenPolicy) -> dict[str, np.ndarray]:
    """The gradient of the log-probability of each token after each prefix, by parameter.

    Shape: (M, *shape) of each, for the M cells of the policy's tree, in double precision.

    Raises:
        NotBatchable: if they are too many numbers.
    """
    library = policy.library
    with library.without_graph():
        tree = policy.tree()
    numbers = tree.size * library.count(policy.parameters)
    if numbers > MOST_SCORES:
        raise NotBatchable(f"the scores of all tokens are {numbers:,} numbers")
    scores = library.scores(policy, [level.prefixes for level in tree.levels])
    return {name: each.astype(np.float64) for name, each in scores.items()}
