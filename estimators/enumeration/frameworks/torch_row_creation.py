"""Tensors that are made and written to within a run of many rows: each row has its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

#: Functions that make tensors which are written to, as a rule.
MAKERS = (
    "empty", "empty_like", "full", "full_like", "ones", "ones_like", "tensor", "zeros",
    "zeros_like",
)  # fmt: skip

#: The same, methods of a tensor.
METHODS = ("new_empty", "new_full", "new_ones", "new_tensor", "new_zeros")

#: Numbers that such a tensor comes to in all rows, at most: 16 megabytes. What is larger is made
#: once, for all rows.
NUMBERS = 2**21


def creation(torch: Any) -> dict[Any, Callable[..., Any]]:
    """What makes a tensor with a row for each path, or writes to one, by PyTorch's function."""

    def made_by(function: Callable[..., Any]) -> Callable[..., Any]:
        def make(rows: Any, *args: Any, **kwargs: Any) -> Any:
            made = function(*rows.stand_in(args), **rows.stand_in(kwargs))
            if not isinstance(made, torch.Tensor) or made.requires_grad or made.is_meta:
                return made
            if rows.has_rows(made) or rows.run.size * made.numel() > NUMBERS:
                return made
            return rows.of_rows(made.expand(rows.run.size, *made.shape).clone())

        return make

    def write(rows: Any, value: Any, at: Any, new: Any) -> None:
        at = rows.stand_in(at)
        drawn = isinstance(at, torch.Tensor) and not at.dim() and rows.has_rows(at)
        if drawn and not at.is_floating_point() and at.dtype != torch.bool:
            at = at.reshape(1)  # a place of each row's own, where PyTorch would ask for a number
        rows.stand_in(value)[at] = rows.stand_in(new)

    # PyTorch's own, which a mode is told of, where handlers stand for them.
    functions = [inspect.unwrap(getattr(torch, name)) for name in MAKERS]
    functions += [getattr(torch.Tensor, name) for name in METHODS]
    answers: dict[Any, Callable[..., Any]] = {each: made_by(each) for each in functions}
    return {**answers, torch.Tensor.__setitem__: write}
