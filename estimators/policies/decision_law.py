"""What a policy does in a Markov decision process: which states it visits, and what follows there.

Steps before a horizon are added up one by one; without one, sums over all steps are the solution of
a linear system. Everything keeps its graph, so that whoever differentiates decides what is held.

Reference:
    Puterman (1994), Markov decision processes. Sutton et al. (2000), Policy gradient methods for
    reinforcement learning with function approximation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

#: A tensor of PyTorch.
Tensor = Any

#: The precision of what is added up.
EPS = 2.0**-52


class ActionValues(NamedTuple):
    """What follows in each state, and for each action there, by the policy of now: exact critics.

    In a terminal state nothing follows. With a horizon the first axis is the step, and there is one
    step more of ``states``, after which nothing follows either: ``states[t + 1, after]`` is what a
    step t with its state ``after`` is bootstrapped with, the last one too.

    Shape:
        ``states`` (S,) and ``actions`` (S, A); with a horizon (T + 1, S) and (T, S, A).
    """

    states: Tensor
    actions: Tensor

    @property
    def advantages(self) -> Tensor:
        """By how much an action is better than what the policy does there.

        Shape: as ``actions``.
        """
        steps = len(self.actions) if self.actions.dim() == 3 else None
        return self.actions - self.states[:steps, ..., None]


class DecisionLaw(NamedTuple):
    """A policy's probabilities in a decision process, with their graph.

    ``onward`` has the probabilities of states that an episode goes on from, and zeros for terminal
    ones; ``rewards`` is the mean reward of each action.

    Shape:
        ``p`` and ``log_p`` (S, A), or (T, S, A) with a horizon; ``onward`` (S, A, S); ``rewards``
        (S, A); ``start`` (S,), without the terminal states.
    """

    p: Tensor
    log_p: Tensor
    onward: Tensor
    rewards: Tensor
    start: Tensor

    @property
    def horizon(self) -> int | None:
        """Steps at most; None: for ever."""
        return len(self.p) if self.p.dim() == 3 else None

    def visits(self, discount: float) -> Tensor:
        """How often each state is acted in, on average, where step t counts discount^t.

        Shape: (S,), or (T, S) with a horizon.

        Raises:
            ValueError: for a policy that goes on for ever, with a discount of 1.
        """
        import torch

        if self.horizon is None:
            step = discount * self._steps(self.p)
            self._refuse_endless(step.detach(), discount)
            return torch.linalg.solve(torch.eye(len(step), dtype=step.dtype) - step.T, self.start)
        rows = [self.start]
        for p in self.p[:-1]:
            rows.append(discount * rows[-1] @ self._steps(p))
        return torch.stack(rows)

    def action_values(self, discount: float) -> ActionValues:
        """What follows, discounted to the step that it follows from.

        Raises:
            ValueError: as :meth:`visits`.
        """
        import torch

        if self.horizon is None:
            step = discount * self._steps(self.p)
            self._refuse_endless(step.detach(), discount)
            identity = torch.eye(len(step), dtype=step.dtype)
            states = torch.linalg.solve(identity - step, (self.p * self.rewards).sum(dim=1))
            return ActionValues(states, self.rewards + discount * self.onward @ states)
        values: list[Tensor] = [torch.zeros_like(self.start)]
        actions: list[Tensor] = []
        for p in reversed(self.p):
            actions.insert(0, self.rewards + discount * self.onward @ values[0])
            values.insert(0, (p * actions[0]).sum(dim=1))
        return ActionValues(torch.stack(values), torch.stack(actions))

    def mean_log_ratio(self, log_q: Tensor) -> Tensor:
        """The mean of log p - log q over actions; an action that cannot come adds nothing.

        Shape: ``log_q`` as ``p``, or without axes; the result without the axis of actions.
        """
        import torch

        possible = self.p.detach() > 0.0
        ratio = self.log_p.masked_fill(~possible, 0.0) - log_q.expand_as(self.p).masked_fill(
            ~possible, 0.0
        )
        return (torch.where(possible, self.p, 0.0) * ratio).sum(dim=-1)

    def _steps(self, p: Tensor) -> Tensor:
        """The probability of each state to go on from after another, (S, S)."""
        import torch

        return torch.einsum("sa,sat->st", p, self.onward)

    def _refuse_endless(self, step: Tensor, discount: float) -> None:
        """Whether sums over all steps are finite, and can be computed.

        Raises:
            ValueError: if not.
        """
        import torch

        size, roundings = len(step), sum(self.p.shape)
        can_end = step.sum(dim=1) < 1.0 - roundings * EPS
        for _ in range(size):
            can_end = can_end | ((step > 0.0) & can_end).any(dim=1)
        if not bool(can_end.all()):
            state = int((~can_end).nonzero()[0, 0])
            raise ValueError(
                f"with a discount of {discount:g} and no horizon, what follows in state {state} is "
                "infinite: by this policy an episode that is there never ends; name the states "
                "that end one (terminal=), or take a discount below 1 or a horizon="
            )
        identity = torch.eye(size, dtype=step.dtype)
        longest = float(torch.linalg.solve(identity - step, identity.new_ones(size)).abs().max())
        # The solution is off by so many roundings; an estimand may be off by the root of one.
        if not longest * size * EPS <= EPS**0.5:
            raise ValueError(
                f"with a discount of {discount:g} and no horizon an episode has some "
                f"{longest:.1e} steps that count, and what follows cannot be computed to "
                f"{EPS**0.5:.0e} of itself in double precision: take a smaller discount or a "
                "horizon="
            )
