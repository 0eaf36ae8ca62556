"""Goals of policies: sums over all completions, and their exact gradients.

Reference:
    Ziegler et al. (2019), Fine-tuning language models from human preferences: the expected reward
    less a multiple of the divergence from a reference.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from .goal import Goal
from .logits import Model
from .prefix_tree import Level, PrefixTree
from .rewards import Reward, RewardTable, rewards_of
from .token_policy import TokenPolicy
from .truncation import Truncation

#: A tensor of PyTorch.
Tensor = Any


@dataclasses.dataclass(frozen=True)
class ExpectedReward:
    """The mean of a reward over completions, or of the discounted sum of each token's."""

    reward: Reward
    discount: float | None = None

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See :class:`.goal.Term`."""
        return tree.weights @ self.total(self.rewards(policy, tree))

    def rewards(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """The reward of each completion, (N,), or of each token, (N, T), in the tree's order.

        Raises:
            TypeError, ValueError: as :func:`.rewards.rewards_of`.
        """
        import torch

        return torch.cat(
            [
                rewards_of(self.reward, tree.completions(number), prompt)
                for number, prompt in enumerate(policy.prompts)
            ]
        )

    def held(self, policy: TokenPolicy, tree: PrefixTree) -> ExpectedReward:
        """The same with a table in place of the function."""
        numbers, masks = tree.prompts.tolist(), tree.mask > 0.0
        values = self.rewards(policy, tree)
        table = {}
        for place, number in enumerate(numbers):
            completion = tuple(tree.tokens[place][masks[place]].tolist())
            value = values[place] if values.dim() == 1 else values[place][masks[place]]
            table[policy.prompts[number], completion] = value.numpy()
        return ExpectedReward(RewardTable(table), self.discount)

    def total(self, rewards: Tensor) -> Tensor:
        """The return of each completion, (N,), of rewards (N,) or (N, T).

        Raises:
            ValueError: if it is not clear.
        """
        import torch

        if rewards.dim() == 1 and self.discount is not None:
            raise ValueError(
                f"discount = {self.discount}, and the reward is one number for each completion: "
                "return one for each token, or leave discount= out"
            )
        if rewards.dim() == 1:
            return rewards
        if self.discount is None:
            raise ValueError(
                "the reward is one number for each token: pass discount=, 1.0 for their sum"
            )
        powers = torch.arange(rewards.shape[1], dtype=torch.float64)
        return rewards @ self.discount**powers


@dataclasses.dataclass(frozen=True)
class CompletionDivergence:
    """KL(policy || reference) of whole completions."""

    reference: TokenPolicy

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See :class:`.goal.Term`."""
        for level in tree.levels:
            theirs = _reference_rows(self.reference, level)
            _refuse_infinite(level.log_probs.detach(), theirs, level, ("policy", "reference"))
        other = reference_log_probs(self.reference, tree)
        return tree.weights @ (tree.log_probs - other).sum(dim=1)


@dataclasses.dataclass(frozen=True)
class ForwardDivergence:
    """KL(reference || policy) of whole completions."""

    reference: TokenPolicy

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See :class:`.goal.Term`."""
        log_q = self._log_probs(policy, tree).sum(dim=1)
        q = log_q.exp() / len(policy.prompts)
        possible = log_q > -float("inf")
        return q[possible] @ (log_q - tree.log_probs.sum(dim=1))[possible]

    def _log_probs(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """The logarithm of each token's probability by the reference, (N, T).

        Raises:
            ValueError: if it draws what the policy does not.
        """
        import torch

        log_q = reference_log_probs(self.reference, tree)
        # What the reference can draw up to each place, and the number of that prefix.
        before = torch.nn.functional.pad(log_q.cumsum(dim=1)[:, :-1], (1, 0))
        places = (tree.cells // policy.vocabulary)[before > -torch.inf]
        can_be = torch.zeros(tree.size // policy.vocabulary + 1, dtype=torch.bool)
        can_be[places] = True
        for level in tree.levels:
            start = level.start // policy.vocabulary
            theirs = _reference_rows(self.reference, level)
            theirs = theirs.masked_fill(~can_be[start : start + len(theirs), None], -torch.inf)
            _refuse_infinite(theirs, level.log_probs.detach(), level, ("reference", "policy"))
        return log_q


@dataclasses.dataclass(frozen=True)
class NextTokenDivergence:
    """KL(policy || reference) of next tokens, summed over prefixes, whose law is held."""

    reference: TokenPolicy

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See :class:`.goal.Term`."""
        total = tree.weights.new_zeros(())
        for level, mass in zip(tree.levels, tree.masses(), strict=True):
            theirs = _reference_rows(self.reference, level)
            _refuse_infinite(level.log_probs.detach(), theirs, level, ("policy", "reference"))
            total = total + mass @ mean_of_log_ratio(level.log_probs, theirs)
        return total


@dataclasses.dataclass(frozen=True)
class Entropy:
    """The entropy of whole completions."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See :class:`.goal.Term`."""
        return -(tree.weights @ tree.log_probs.sum(dim=1))


@dataclasses.dataclass(frozen=True)
class Length:
    """The mean number of tokens, with the one that ends a completion."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See :class:`.goal.Term`."""
        return tree.weights @ tree.mask.sum(dim=1)


@dataclasses.dataclass(frozen=True)
class NextTokenEntropy:
    """The entropy of next tokens, summed over prefixes, whose law is held."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See :class:`.goal.Term`."""
        total = tree.weights.new_zeros(())
        for level, mass in zip(tree.levels, tree.masses(), strict=True):
            total = total - mass @ mean_of_log_ratio(level.log_probs, level.log_probs.new_zeros(()))
        return total


def mean_of_log_ratio(log_p: Tensor, log_q: Tensor) -> Tensor:
    """The mean of log p - log q by p in each row, (B,); what cannot come adds nothing."""
    import torch

    possible = log_p.detach() > -torch.inf
    safe = log_p.masked_fill(~possible, 0.0)
    ratio = safe - log_q.expand_as(log_p).masked_fill(~possible, 0.0)
    return (torch.where(possible, safe.exp(), 0.0) * ratio).sum(dim=1)


def as_reference(policy: TokenPolicy, reference: Model | TokenPolicy) -> TokenPolicy:
    """A reference as a policy over the same completions.

    A model is read at the policy's temperature, and neither ``top_k`` nor ``top_p`` is applied.

    Raises:
        TypeError: for what cannot be called.
        ValueError: for a policy that completes in another way.
    """
    if not isinstance(reference, TokenPolicy):
        if not callable(reference):
            raise TypeError(
                f"reference = {reference!r:.60}, expected a model, as the policy's, or a policy"
            )
        alike = Truncation(policy.truncation.temperature)
        return dataclasses.replace(policy, model=reference, truncation=alike, parameters={})
    for name in ("ends", "longest", "vocabulary"):
        ours, theirs = getattr(policy, name), getattr(reference, name)
        if ours != theirs:
            raise ValueError(
                f"the reference has {name} {theirs!r}, and the policy {ours!r}: make both alike"
            )
    return reference


def _reference_rows(reference: TokenPolicy, level: Level) -> Tensor:
    import torch

    with torch.no_grad():
        return reference.next_log_probs(level.prefixes)


def _refuse_infinite(log_p: Tensor, log_q: Tensor, level: Level, names: tuple[str, str]) -> None:
    import torch

    bad = (log_p > -torch.inf) & (log_q == -torch.inf)
    if bool(bad.any()):
        row, token = (int(each) for each in bad.nonzero()[0])
        _infinite(names, f"the token {token} after {level.prefixes[row].tolist()}")


def _infinite(names: tuple[str, str], what: str) -> None:
    raise ValueError(
        f"the divergence KL({names[0]} || {names[1]}) is infinite: the {names[1]} gives {what} no "
        f"probability, and the {names[0]} does; leave out top_k= and top_p=, or give both the same"
    )


def reference_log_probs(reference: TokenPolicy, tree: PrefixTree) -> Tensor:
    """The logarithm of each token's probability by a reference, 0 for padding, (N, T)."""
    import torch

    rows = [_reference_rows(reference, level).flatten() for level in tree.levels]
    return tree.in_cells(torch.cat(rows))


def with_rewards_held(goal: Goal) -> Goal:
    """The same goal, where each completion's reward is what the function gives now.

    Rewards that are computed by a framework are no part of what is differentiated, and so not of
    its rounding.

    Args:
        goal: of a policy over completions.
    """
    import torch

    policy: Any = goal.policy
    with torch.no_grad():
        tree = policy.tree()
    return Goal(
        policy,
        tuple(
            (weight, term.held(policy, tree) if isinstance(term, ExpectedReward) else term)
            for weight, term in goal.terms
        ),
    )


def only_reward(goal: Goal) -> ExpectedReward | None:
    """The reward that a goal has, if it has one; None for none.

    Raises:
        ValueError: for several.
    """
    terms = [term for _, term in goal.terms if isinstance(term, ExpectedReward)]
    if len(terms) > 1:
        raise ValueError(
            f"the goal has {len(terms)} rewards: pass reward=, the one that the loss is given"
        )
    return terms[0] if terms else None
