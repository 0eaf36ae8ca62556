"""What a policy is to make large: a weighted sum of means, with its exact gradient."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..enumeration.doubled import doubled, lifted_arithmetic
from ..enumeration.estimator import UserFunction
from ..enumeration.gradients import array_of

#: A tensor of PyTorch.
Tensor = Any

NUMBER = int | float | np.integer | np.floating


class Policy(Protocol):
    """What draws, by parameters.

    ``parameters`` are tensors that gradients are by, by name.
    """

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """See above."""

    def law(self) -> Any:
        """All that may be drawn, with probabilities, by the parameters of now."""


class Term(Protocol):
    """A mean over all that a policy may draw."""

    def value(self, policy: Any, law: Any) -> Tensor:
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
                "no parameter moves the goal: the policy's logits have no graph; is there a "
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

    def _sum(self) -> Tensor:
        import torch

        law = self.policy.law()
        return sum(
            (weight * term.value(self.policy, law) for weight, term in self.terms),
            start=torch.zeros((), dtype=torch.float64),
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
