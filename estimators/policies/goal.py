"""What a policy is to make large: a weighted sum of means, with its exact gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .model_library import Array, ModelLibrary

NUMBER = int | float | np.integer | np.floating


class Policy(Protocol):
    """What draws, by parameters that gradients are by: a frozen dataclass."""

    @property
    def parameters(self) -> Any:
        """In PyTorch tensors by name, in JAX a pytree."""

    @property
    def library(self) -> ModelLibrary:
        """The library that they are of."""

    def law(self) -> Any:
        """All that may be drawn, with probabilities, by the parameters of now."""


class Term(Protocol):
    """A mean over all that a policy may draw."""

    def value(self, policy: Any, law: Any) -> Array:
        """One number of no axis, with its graph."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a policy is to make large: a weighted sum of terms, all of one policy.

    Goals are added and subtracted, and multiplied by numbers:
    ``policy.expected(reward) - 0.1 * policy.kl(reference)``.
    """

    policy: Policy
    terms: tuple[tuple[float, Term], ...]

    def value(self) -> float:
        """What it is, by the parameters of now.

        Raises:
            ValueError: if it is infinite, or there are too many completions.
        """
        with self.policy.library.without_graph():
            return float(self._sum(self.policy.parameters))

    def gradient(self, *, loss: bool) -> dict[str, np.ndarray]:
        """The exact gradient, by the name of each parameter.

        What is in single precision is computed in double precision, if that can be.

        Args:
            loss: whether it is that of the loss, which is the goal with its sign changed.

        Raises:
            ValueError: as :meth:`value`; and if no parameter moves it.
        """
        sign, library = -1.0 if loss else 1.0, self.policy.library
        # Rewards are what they are in the precision that they are computed in.
        goal = self.with_rewards_held() if library.lifts else self
        return library.exact_gradient(
            lambda parameters: sign * goal._sum(parameters), self.policy.parameters
        )

    def with_rewards_held(self) -> Goal:
        """The same goal, where each reward is what its function gives now.

        Rewards that are computed by a framework are no part of what is differentiated, and so not
        of its rounding.
        """
        policy = self.policy
        if not any(hasattr(term, "with_rewards_held") for _, term in self.terms):
            return self
        with policy.library.without_graph():
            law = policy.law()
            terms = tuple((weight, _held(term, policy, law)) for weight, term in self.terms)
        return Goal(policy, terms)

    def at(self, parameters: Any) -> Goal:
        """The same goal of the policy with other parameters; of JAX alone.

        Args:
            parameters: as of :meth:`.token_policy.TokenPolicy.at`.

        Raises:
            TypeError, ValueError: as there.
        """
        policy: Any = self.policy
        return Goal(policy.at(parameters), self.terms)

    def as_loss(self) -> dict[str, np.ndarray]:
        """The gradient of the goal with its sign changed, which a loss has that is made small."""
        return self.gradient(loss=True)

    def as_reward(self) -> dict[str, np.ndarray]:
        """The gradient of the goal itself, which an estimator has that climbs."""
        return self.gradient(loss=False)

    def _sum(self, parameters: Any) -> Array:
        policy: Any = self.policy
        if parameters is not policy.parameters:  # traced ones, say
            policy = dataclasses.replace(policy, parameters=parameters)
        law = policy.law()
        return sum(weight * term.value(policy, law) for weight, term in self.terms)

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


def _held(term: Term, policy: Policy, law: Any) -> Term:
    """A term with its rewards held, if it has any."""
    hold: Callable[[Policy, Any], Term] | None = getattr(term, "with_rewards_held", None)
    return term if hold is None else hold(policy, law)
