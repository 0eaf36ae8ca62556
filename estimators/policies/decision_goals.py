"""Goals in a Markov decision process: sums over its steps, and what is held in them."""

from __future__ import annotations

import dataclasses
from typing import Any

from .decision_law import DecisionLaw

#: A tensor of PyTorch.
Tensor = Any


@dataclasses.dataclass(frozen=True)
class DiscountedReturn:
    """The mean of the discounted sum of rewards."""

    discount: float

    def value(self, policy: Any, law: DecisionLaw) -> Tensor:
        """See :class:`.goal.Term`."""
        visits = law.visits(self.discount)
        return (visits[..., None] * law.p * law.rewards).sum()


@dataclasses.dataclass(frozen=True)
class ReturnFromEachStep:
    """The same number, with the gradient of which each step has the weight 1.

    Its derivative is what scores have, each times the return from its own step on: states are as
    likely as they are without a discount.
    """

    discount: float

    def value(self, policy: Any, law: DecisionLaw) -> Tensor:
        """See :class:`.goal.Term`."""
        number = DiscountedReturn(self.discount).value(policy, law).detach()
        visits = law.visits(1.0).detach()
        moving = (
            visits[..., None] * law.action_values(self.discount).actions.detach() * law.p
        ).sum()
        return number + moving - moving.detach()


@dataclasses.dataclass(frozen=True)
class ActionDivergence:
    """The discounted sum of KL(policy || reference) in each state that is acted in.

    Args:
        reference: logarithms of its probabilities, as the policy's.
        held: whether states are as likely as they are, whatever the parameters.
    """

    reference: Any
    discount: float
    held: bool

    def value(self, policy: Any, law: DecisionLaw) -> Tensor:
        """See :class:`.goal.Term`.

        Raises:
            ValueError: if it is infinite.
        """
        log_q, visits = self.reference(), law.visits(self.discount)
        bad = (law.p > 0.0) & (log_q == -float("inf")) & (visits[..., None] > 0.0)
        if bool(bad.any()):
            *_, state, action = (int(each) for each in bad.nonzero()[0])
            raise ValueError(
                f"the divergence KL(policy || reference) is infinite: the reference gives action "
                f"{action} in state {state} no probability, and the policy does"
            )
        visits = visits.detach() if self.held else visits
        finite = log_q.masked_fill(log_q == -float("inf"), 0.0)
        return (visits * law.mean_log_ratio(finite)).sum()


@dataclasses.dataclass(frozen=True)
class ActionEntropy:
    """The discounted sum of the policy's entropy in each state that is acted in.

    Args:
        held: as of :class:`ActionDivergence`.
    """

    discount: float
    held: bool

    def value(self, policy: Any, law: DecisionLaw) -> Tensor:
        """See :class:`.goal.Term`."""
        visits = law.visits(self.discount)
        visits = visits.detach() if self.held else visits
        return -(visits * law.mean_log_ratio(law.p.new_zeros(()))).sum()
