"""A policy's probabilities of actions by state, from logits or probabilities that are computed."""

from __future__ import annotations

import dataclasses
from typing import Any

from .common_generators import keeping_generators

#: A tensor of PyTorch.
Tensor = Any


@dataclasses.dataclass(frozen=True)
class ActionTable:
    """Logits or probabilities of actions by state: a tensor, or a function that computes one."""

    given: Any
    are_logits: bool

    def read(self, horizon: int | None, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Probabilities and their logarithms, with their graph.

        Args:
            shape: of states and actions.

        Shape: (S, A), or (T, S, A) with a horizon.

        Raises:
            TypeError, ValueError: for what no policy has.
        """
        import torch

        table = self._numbers(horizon, shape)
        if horizon is not None:
            table = table.expand(horizon, *shape)
        if self.are_logits:
            log_p = table.log_softmax(dim=-1)
            return log_p.exp(), log_p
        p = table / table.sum(dim=-1, keepdim=True)
        possible = p.detach() > 0.0
        return p, torch.where(possible, p, 1.0).log().masked_fill(~possible, -torch.inf)

    def refuse_draws(self, horizon: int | None, shape: tuple[int, int]) -> None:
        """Whether the table is the same twice.

        Raises:
            TypeError, ValueError: as :meth:`read`; and for one that draws.
        """
        import torch

        with torch.no_grad(), keeping_generators() as drawn:
            first, again = (self._numbers(horizon, shape) for _ in range(2))
            draws = drawn()
        if draws or not torch.equal(first, again):
            raise ValueError(
                f"the {self._name} are drawn, or others the next time, for the same parameters: "
                "call eval() on the module, so that nothing is dropped at random"
            )

    @property
    def _name(self) -> str:
        return "logits" if self.are_logits else "probabilities"

    def _numbers(self, horizon: int | None, shape: tuple[int, int]) -> Tensor:
        """The table as it is given, in double precision."""
        import torch

        table = self.given() if callable(self.given) else self.given
        if not isinstance(table, torch.Tensor) or not table.is_floating_point():
            what = "returned" if callable(self.given) else "given"
            raise TypeError(
                f"the {self._name} that are {what} are {table!r:.60}, expected a tensor of "
                "floating-point numbers"
            )
        steps = "" if horizon is None else f", or {(horizon, *shape)}, one for each step"
        allowed = [shape] if horizon is None else [shape, (horizon, *shape)]
        if tuple(table.shape) not in allowed:
            raise ValueError(
                f"the {self._name} have shape {tuple(table.shape)}, expected {shape}, one for each "
                f"state and action{steps}"
            )
        table = table.cpu().double()
        self._check(table.detach())
        return table

    def _check(self, table: Tensor) -> None:
        import torch

        if self.are_logits:
            bad = torch.isnan(table) | (table == torch.inf)
            none = (table == -torch.inf).all(dim=-1)
        else:
            bad = ~(torch.isfinite(table) & (table >= 0.0))
            none = (table == 0.0).all(dim=-1)
        if bool(bad.any()):
            *_, state, action = where = [int(each) for each in bad.nonzero()[0]]
            wanted = "a number, or -inf" if self.are_logits else "a number from 0"
            raise ValueError(
                f"one of the {self._name} is {float(table[tuple(where)])}, of action {action} in "
                f"state {state}, expected {wanted}"
            )
        if bool(none.any()):
            raise ValueError(
                f"no action can come in state {int(none.nonzero()[0, -1])}: all {self._name} there "
                f"are {'-inf' if self.are_logits else 'zero'}"
            )


def read_log_probs(table: ActionTable, horizon: int | None, shape: tuple[int, int]) -> Tensor:
    """The logarithms of a table's probabilities, without graph.

    Shape: (S, A), or (T, S, A) with a horizon.

    Raises:
        TypeError, ValueError: as :meth:`ActionTable.read`.
    """
    import torch

    with torch.no_grad():
        return table.read(horizon, shape)[1]
