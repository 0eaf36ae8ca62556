"""Goals of policies: sums over all completions, and their exact gradients.

Reference:
    Ziegler et al. (2019), Fine-tuning language models from human preferences: the expected reward
    less a multiple of the divergence from a reference.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, Protocol

import numpy as np

from ..enumeration.doubled import doubled, lifted_arithmetic
from ..enumeration.estimator import UserFunction
from ..enumeration.gradients import array_of
from .logits import Model
from .prefix_tree import Level, PrefixTree
from .rewards import Reward, RewardTable, rewards_of
from .token_policy import TokenPolicy
from .truncation import Truncation

#: A tensor of PyTorch.
Tensor = Any

NUMBER = int | float | np.integer | np.floating


class Term(Protocol):
    """A sum over all completions."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """One number, with its graph."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a policy is to make large: a weighted sum of terms, all of one policy.

    Goals are added and subtracted, and multiplied by numbers:
    ``policy.expected(reward) - 0.1 * policy.kl(reference)``.
    """

    policy: TokenPolicy
    terms: tuple[tuple[float, Term], ...]

    def value(self) -> float:
        """What it is, by the parameters of now.

        Raises:
            ValueError: if it is infinite, or there are too many completions.
        """
        import torch

        with torch.no_grad():
            return float(self._sum())

    def gradient(self, *, loss: bool) -> dict[str, np.ndarray]:
        """The exact gradient, by the name of each parameter.

        What is in single precision is computed in double precision, if that can be.

        Args:
            loss: whether it is that of the loss, which is the goal with its sign changed.

        Raises:
            ValueError: as :meth:`value`; and if no parameter moves it.
        """
        import torch

        single = any(leaf.dtype is torch.float32 for leaf in self.policy.parameters.values())
        # What cannot be run in double precision is run as it is, and raises what it raises.
        finer = doubled(UserFunction(self._sum)) if single else lifted_arithmetic()
        with contextlib.suppress(Exception), finer:
            return self._gradient(loss=loss)
        return self._gradient(loss=loss)

    def _gradient(self, *, loss: bool) -> dict[str, np.ndarray]:
        import torch

        total = -self._sum() if loss else self._sum()
        leaves = self.policy.parameters
        if not total.requires_grad:
            raise ValueError(
                "no parameter moves the goal: the model's logits have no graph; is there a "
                "detach() or no_grad() in it, or are parameters= those of another model?"
            )
        values = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        return {
            name: array_of(torch.zeros_like(leaf) if value is None else value)
            for (name, leaf), value in zip(leaves.items(), values, strict=True)
        }

    def as_loss(self) -> dict[str, np.ndarray]:
        """The gradient of the goal with its sign changed, which a loss has that is made small."""
        return self.gradient(loss=True)

    def as_reward(self) -> dict[str, np.ndarray]:
        """The gradient of the goal itself, which an estimator has that climbs."""
        return self.gradient(loss=False)

    def with_rewards_held(self) -> Goal:
        """The same, where each completion's reward is what the function gives now.

        Rewards that are computed by a framework are no part of what is differentiated, and so not
        of its rounding.
        """
        import torch

        with torch.no_grad():
            tree = self.policy.tree()
        return Goal(
            self.policy,
            tuple(
                (weight, term.held(self.policy, tree) if isinstance(term, ExpectedReward) else term)
                for weight, term in self.terms
            ),
        )

    def _sum(self) -> Tensor:
        tree = self.policy.tree()
        return sum(
            (weight * term.value(self.policy, tree) for weight, term in self.terms),
            start=tree.weights.new_zeros(()),
        )

    def __add__(self, other: Goal) -> Goal:
        if not isinstance(other, Goal):
            return NotImplemented
        if other.policy is not self.policy:
            raise ValueError("two goals of different policies are added; make both of one policy")
        return Goal(self.policy, self.terms + other.terms)

    def __radd__(self, other: object) -> Goal:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # sum() has a 0

    def __mul__(self, factor: float) -> Goal:
        if not isinstance(factor, NUMBER):
            return NotImplemented
        if not np.isfinite(factor):
            raise ValueError(f"a goal is multiplied by {factor}, expected a finite number")
        return Goal(self.policy, tuple((float(factor) * each, term) for each, term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Goal:
        return self * (1.0 / divisor)

    def __neg__(self) -> Goal:
        return self * -1.0

    def __sub__(self, other: Goal) -> Goal:
        if not isinstance(other, Goal):
            return NotImplemented
        return self + -other


@dataclasses.dataclass(frozen=True)
class ExpectedReward:
    """The mean of a reward over completions, or of the discounted sum of each token's."""

    reward: Reward
    discount: float | None = None

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See the protocol."""
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
        """See the protocol."""
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
        """See the protocol."""
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
        """See the protocol."""
        total = tree.weights.new_zeros(())
        for level, mass in zip(tree.levels, tree.masses(), strict=True):
            theirs = _reference_rows(self.reference, level)
            _refuse_infinite(level.log_probs.detach(), theirs, level, ("policy", "reference"))
            total = total + mass @ _mean_of(level.log_probs, theirs)
        return total


@dataclasses.dataclass(frozen=True)
class Entropy:
    """The entropy of whole completions."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See the protocol."""
        return -(tree.weights @ tree.log_probs.sum(dim=1))


@dataclasses.dataclass(frozen=True)
class Length:
    """The mean number of tokens, with the one that ends a completion."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See the protocol."""
        return tree.weights @ tree.mask.sum(dim=1)


@dataclasses.dataclass(frozen=True)
class NextTokenEntropy:
    """The entropy of next tokens, summed over prefixes, whose law is held."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Tensor:
        """See the protocol."""
        total = tree.weights.new_zeros(())
        for level, mass in zip(tree.levels, tree.masses(), strict=True):
            total = total - mass @ _mean_of(level.log_probs, level.log_probs.new_zeros(()))
        return total


def _mean_of(log_p: Tensor, log_q: Tensor) -> Tensor:
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
