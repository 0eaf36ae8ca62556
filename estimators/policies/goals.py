"""Goals of policies: sums over all completions, and their exact gradients.

Reference:
    Ziegler et al. (2019), Fine-tuning language models from human preferences: the expected reward
    less a multiple of the divergence from a reference.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..enumeration.gradients import array_of
from .goal import Goal
from .logits import Model
from .model_library import Array
from .prefix_tree import Level, PrefixTree
from .rewards import Reward, RewardTable, rewards_of
from .token_policy import TokenPolicy
from .truncation import Truncation


@dataclasses.dataclass(frozen=True)
class ExpectedReward:
    """The mean of a reward over completions, or of the discounted sum of each token's."""

    reward: Reward
    discount: float | None = None

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Array:
        """See :class:`.goal.Term`."""
        return tree.weights @ tree.library.constant(self.total(self.rewards(policy, tree)))

    def rewards(self, policy: TokenPolicy, tree: PrefixTree) -> np.ndarray:
        """The reward of each completion, (N,), or of each token, (N, T), in the tree's order.

        Raises:
            TypeError, ValueError: as :func:`.rewards.rewards_of`.
        """
        return np.concatenate(
            [
                rewards_of(self.reward, tree.completions(number), prompt)
                for number, prompt in enumerate(policy.prompts)
            ]
        )

    def with_rewards_held(self, policy: TokenPolicy, tree: PrefixTree) -> ExpectedReward:
        """The same with a table in place of the function."""
        numbers, masks = array_of(tree.prompts), array_of(tree.mask) > 0.0
        tokens, values = array_of(tree.tokens), self.rewards(policy, tree)
        table = {}
        for place, number in enumerate(numbers):
            completion = tuple(tokens[place][masks[place]].tolist())
            value = values[place] if values.ndim == 1 else values[place][masks[place]]
            table[policy.prompts[number], completion] = np.asarray(value)
        return ExpectedReward(RewardTable(table), self.discount)

    def total(self, rewards: np.ndarray) -> np.ndarray:
        """The return of each completion, (N,), of rewards (N,) or (N, T).

        Raises:
            ValueError: if it is not clear.
        """
        if rewards.ndim == 1 and self.discount is not None:
            raise ValueError(
                f"discount = {self.discount}, and the reward is one number for each completion: "
                "return one for each token, or leave discount= out"
            )
        if rewards.ndim == 1:
            return rewards
        if self.discount is None:
            raise ValueError(
                "the reward is one number for each token: pass discount=, 1.0 for their sum"
            )
        return np.asarray(rewards @ self.discount ** np.arange(float(rewards.shape[1])))


@dataclasses.dataclass(frozen=True)
class CompletionDivergence:
    """KL(policy || reference) of whole completions."""

    reference: TokenPolicy

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Array:
        """See :class:`.goal.Term`."""
        held = tree.library.held
        for level in tree.levels:
            theirs = _reference_rows(self.reference, level)
            _refuse_infinite(held(level.log_probs), theirs, level, ("policy", "reference"))
        other = reference_log_probs(self.reference, tree)
        return tree.weights @ (tree.log_probs - other).sum(1)


@dataclasses.dataclass(frozen=True)
class ForwardDivergence:
    """KL(reference || policy) of whole completions."""

    reference: TokenPolicy

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Array:
        """See :class:`.goal.Term`."""
        constant = tree.library.constant
        log_q = self._log_probs(policy, tree).sum(axis=1)
        possible = np.flatnonzero(log_q > -np.inf)
        q = np.exp(log_q[possible]) / len(policy.prompts)
        log_p = tree.log_probs.sum(1)[constant(possible)]
        return constant(q) @ (constant(log_q[possible]) - log_p)

    def _log_probs(self, policy: TokenPolicy, tree: PrefixTree) -> np.ndarray:
        """The logarithm of each token's probability by the reference, (N, T).

        Raises:
            ValueError: if it draws what the policy does not.
        """
        held, cells = tree.library.held, array_of(tree.cells)
        log_q = held(reference_log_probs(self.reference, tree))
        # What the reference can draw up to each place, and the number of that prefix.
        before = np.pad(np.cumsum(log_q, axis=1)[:, :-1], ((0, 0), (1, 0)))
        can_be = np.zeros(tree.size // policy.vocabulary + 1, dtype=bool)
        can_be[(cells // policy.vocabulary)[before > -np.inf]] = True
        for level in tree.levels:
            start = level.start // policy.vocabulary
            theirs = _reference_rows(self.reference, level)
            theirs = np.where(can_be[start : start + len(theirs), None], theirs, -np.inf)
            _refuse_infinite(theirs, held(level.log_probs), level, ("reference", "policy"))
        return log_q


@dataclasses.dataclass(frozen=True)
class NextTokenDivergence:
    """KL(policy || reference) of next tokens, summed over prefixes, whose law is held."""

    reference: TokenPolicy

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Array:
        """See :class:`.goal.Term`."""
        rows = [_reference_rows(self.reference, level) for level in tree.levels]
        for level, theirs in zip(tree.levels, rows, strict=True):
            ours = tree.library.held(level.log_probs)
            _refuse_infinite(ours, theirs, level, ("policy", "reference"))
        return _over_prefixes(tree, rows)


@dataclasses.dataclass(frozen=True)
class Entropy:
    """The entropy of whole completions."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Array:
        """See :class:`.goal.Term`."""
        return -(tree.weights @ tree.log_probs.sum(1))


@dataclasses.dataclass(frozen=True)
class Length:
    """The mean number of tokens, with the one that ends a completion."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Array:
        """See :class:`.goal.Term`."""
        return tree.weights @ tree.mask.sum(1)


@dataclasses.dataclass(frozen=True)
class NextTokenEntropy:
    """The entropy of next tokens, summed over prefixes, whose law is held."""

    def value(self, policy: TokenPolicy, tree: PrefixTree) -> Array:
        """See :class:`.goal.Term`."""
        return -_over_prefixes(tree, [np.zeros(level.log_probs.shape) for level in tree.levels])


def _over_prefixes(tree: PrefixTree, rows: list[np.ndarray]) -> Array:
    """The mean of log p - log q of each next token, summed over prefixes, whose law is held.

    What cannot come adds nothing.

    Args:
        rows: log q by level, (B, V) each.
    """
    library, terms = tree.library, []
    for level, log_q in zip(tree.levels, rows, strict=True):
        possible = library.held(level.log_probs) > -np.inf
        log_p = library.where(possible, level.log_probs, 0.0)
        ratio = log_p - library.constant(np.where(possible, log_q, 0.0))
        means = (library.where(possible, library.exp(log_p), 0.0) * ratio).sum(1)
        terms.append(library.constant(level.masses) @ means)
    return sum(terms)


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
        model = policy.library.as_model(reference)
        return dataclasses.replace(policy, model=model, truncation=alike, parameters={})
    for name in ("ends", "longest", "vocabulary"):
        ours, theirs = getattr(policy, name), getattr(reference, name)
        if ours != theirs:
            raise ValueError(
                f"the reference has {name} {theirs!r}, and the policy {ours!r}: make both alike"
            )
    return reference


def _reference_rows(reference: TokenPolicy, level: Level) -> np.ndarray:
    with reference.library.without_graph():
        return np.asarray(reference.library.held(reference.next_log_probs(level.prefixes)))


def _refuse_infinite(
    log_p: np.ndarray, log_q: np.ndarray, level: Level, names: tuple[str, str]
) -> None:
    bad = (log_p > -np.inf) & (log_q == -np.inf)
    if bad.any():
        row, token = (int(each) for each in np.argwhere(bad)[0])
        _infinite(names, f"the token {token} after {level.prefixes[row].tolist()}")


def _infinite(names: tuple[str, str], what: str) -> None:
    raise ValueError(
        f"the divergence KL({names[0]} || {names[1]}) is infinite: the {names[1]} gives {what} no "
        f"probability, and the {names[0]} does; leave out top_k= and top_p=, or give both the same"
    )


def reference_log_probs(reference: TokenPolicy, tree: PrefixTree) -> Array:
    """The logarithm of each token's probability by a reference, 0 for padding, (N, T)."""
    rows = [_reference_rows(reference, level).reshape(-1) for level in tree.levels]
    return tree.in_cells(tree.library.constant(np.concatenate(rows)))


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
