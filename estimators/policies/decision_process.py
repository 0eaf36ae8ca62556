"""A policy in a Markov decision process that is given as tables, and the goals it may have."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..enumeration.estimator import leaves_of
from ..enumeration.gradients import by_name
from ..enumeration.whole_numbers import whole_from
from .action_table import ActionTable, read_log_probs
from .decision_goals import ActionDivergence, ActionEntropy, DiscountedReturn, ReturnFromEachStep
from .decision_law import ActionValues, DecisionLaw
from .decision_tables import DecisionTables, read_tables
from .goal import Goal
from .torch_library import TorchLibrary

#: A tensor of PyTorch.
Tensor = Any


@dataclasses.dataclass(frozen=True, repr=False)
class DecisionProcess:
    """A policy in a Markov decision process, with its goals and values; :func:`tabular` makes it.

    It keeps nothing of the policy but what computes it: parameters may be moved, and what is asked
    for next is by these.
    """

    tables: DecisionTables
    table: ActionTable
    horizon: int | None
    discount: float
    parameters: Mapping[str, Tensor]

    def __repr__(self) -> str:
        """In a line; tables are long."""
        states, actions = self.tables.shape
        steps = "without a horizon" if self.horizon is None else f"up to {self.horizon} steps"
        return (
            f"<decision process of {states} states and {actions} actions, {steps}, discount "
            f"{self.discount:g}>"
        )

    @property
    def library(self) -> TorchLibrary:
        """See :class:`.goal.Policy`."""
        return TorchLibrary()

    def law(self) -> DecisionLaw:
        """See :class:`.goal.Policy`.

        Raises:
            TypeError, ValueError: for logits or probabilities that no policy has.
        """
        tables = self.tables
        p, log_p = self.table.read(self.horizon, tables.shape)
        return DecisionLaw(p, log_p, tables.onward, tables.rewards, tables.start)

    def expected(self) -> Goal:
        """The goal E[sum of discount^t r_t], the expected discounted return.

        Its gradient is the policy gradient: the score of step t has the weight discount^t, times
        what follows discounted to that step.
        """
        return Goal(self, ((1.0, DiscountedReturn(self.discount)),))

    def discount_dropped(self) -> Goal:
        """The goal with the gradient that most code has, which drops discount^t.

        It is the same number as :meth:`expected`, and has another gradient: the score of step t has
        the weight of what follows, discounted to that step, and no more. That is the gradient of
        no function of the parameters, in general.

        Reference:
            Thomas (2014), Bias in natural actor-critic algorithms. Nota and Thomas (2020), Is the
            policy gradient a gradient?
        """
        return Goal(self, ((1.0, ReturnFromEachStep(self.discount)),))

    def kl(self, reference: Any, *, discount: float | None = None) -> Goal:
        """The goal of the discounted sum of KL(policy || reference) in each state acted in.

        With a discount of 1 it is the divergence of whole episodes.

        Args:
            reference: logits, or a function that computes them, (S, A) or (T, S, A); or a decision
                process, whose policy it is.
            discount: of a later step. Default: that of rewards.

        Raises:
            TypeError, ValueError: for what is no policy over these states and actions.
        """
        return self._divergence(reference, discount, held=False)

    def kl_of_actions(self, reference: Any, *, discount: float | None = None) -> Goal:
        """The goal of :meth:`kl`, with the states held: which are acted in does not move.

        It is the same number with another gradient, that of a penalty added up step by step. Code
        that adds it up without a discount has that of ``discount=1.0``.

        Args:
            reference, discount: as of :meth:`kl`.
        """
        return self._divergence(reference, discount, held=True)

    def entropy(self, *, discount: float | None = None) -> Goal:
        """The goal of the discounted sum of the policy's entropy in each state acted in.

        Args:
            discount: as of :meth:`kl`.
        """
        return Goal(self, ((1.0, ActionEntropy(self._discount(discount), held=False)),))

    def entropy_of_actions(self, *, discount: float | None = None) -> Goal:
        """The goal of :meth:`entropy`, with the states held, as in a bonus of each step.

        Args:
            discount: as of :meth:`kl_of_actions`.
        """
        return Goal(self, ((1.0, ActionEntropy(self._discount(discount), held=True)),))

    def values(self) -> ActionValues:
        """The exact values of states and actions by the policy of now, without graph: critics.

        Raises:
            ValueError: without a horizon, if they are infinite.
        """
        import torch

        with torch.no_grad():
            return self.law().action_values(self.discount)

    def _divergence(self, reference: Any, discount: float | None, *, held: bool) -> Goal:
        shape = self.tables.shape
        other = isinstance(reference, DecisionProcess)
        table = reference.table if other else ActionTable(reference, are_logits=True)
        read_log_probs(table, self.horizon, shape)  # what cannot be one is refused now

        def log_q() -> Tensor:
            return read_log_probs(table, self.horizon, shape)

        return Goal(self, ((1.0, ActionDivergence(log_q, self._discount(discount), held)),))

    def _discount(self, discount: float | None) -> float:
        return self.discount if discount is None else _between(discount)


def tabular(
    transitions: Any,
    rewards: Any,
    start: Any,
    terminal: Collection[int] = (),
    *,
    horizon: int | None,
    discount: float,
    logits: Any = None,
    probabilities: Any = None,
    parameters: Any = None,
) -> DecisionProcess:
    """A policy in a Markov decision process that is given as tables, in double precision.

    Args:
        transitions: the probability of each state after a state and an action.
        rewards: by state and action, or by the state after them too, of which the mean counts.
        start: the number of the state that episodes begin in, or a probability for each.
        terminal: numbers of states that end an episode, in which there is neither action nor
            reward; what leads there has its reward.
        horizon: actions of an episode at most; None: until it ends.
        discount: the factor by which each reward counts less than the one before it.
        logits: of the policy: a tensor, or a function that computes one of the parameters.
        probabilities: the same, in place of logits. Each row is divided by its sum, as by
            ``torch.distributions.Categorical``, with its derivative.
        parameters: what gradients are by: a tensor, a module, or a mapping or sequence of them.
            Default: the logits or probabilities, if they are a tensor.

    Shape:
        ``transitions`` (S, A, S); ``rewards`` (S, A) or (S, A, S); ``start`` (S,), or a number;
        ``logits`` and ``probabilities`` (S, A), or (T, S, A), one for each step of a horizon.

    Raises:
        TypeError: for neither or both of logits and probabilities, and where there are no
            parameters.
        ValueError: for tables that do not fit, for what are no probabilities, and for a policy that
            draws.
    """
    if horizon is not None:
        words = f"horizon = {horizon!r:.60}, expected a whole number of steps from 1, or None"
        horizon = whole_from(horizon, 1, words)
    if (logits is None) == (probabilities is None):
        raise TypeError("pass either logits= or probabilities=, which the policy is")
    given = probabilities if logits is None else logits
    tables = read_tables(transitions, rewards, start, terminal)
    leaves = _parameters(given, parameters)
    table = ActionTable(given, are_logits=logits is not None)
    table.refuse_draws(horizon, tables.shape)
    return DecisionProcess(tables, table, horizon, _between(discount), leaves)


def _between(discount: Any) -> float:
    if not isinstance(discount, int | float | np.floating) or not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount = {discount!r:.60}, expected a number from 0 to 1")
    return float(discount)


def _parameters(given: Any, parameters: Any) -> dict[str, Tensor]:
    owner = given if parameters is None else parameters
    leaves = by_name(leaves_of(owner), "parameters")
    if not leaves:
        raise TypeError(
            "there is no parameter that requires a gradient: pass parameters=, the module or the "
            "tensors that the policy is computed of, with requires_grad"
        )
    return leaves
