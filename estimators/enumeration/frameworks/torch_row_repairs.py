"""Functions that PyTorch maps over to something else than it computes path by path.

They are few, and were found by running each function of PyTorch's own list of operators in both
ways, with equal numbers among its arguments, and places that there are not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..block import NotBatchable
from .torch_row_tensors import Tensor, TensorRows

#: What divides a gradient among equal numbers, and gives it to one of them when it is mapped over;
#: and what does the same there as it does by itself.
EXTREMES = {"max": "amax", "min": "amin"}

#: What is wrong where it is mapped over: among equal numbers; in the derivative; for places from
#: the end, or beyond it, which are another path's.
OF_ALL = ("median", "nanmedian")
WRONG = ("select_scatter", "index_fill", "index_fill_")


def repairs(torch: Any) -> dict[Any, Callable[..., Any]]:
    """What is called instead of them, with the rows first."""

    def extreme(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def of_all(rows: TensorRows, value: Tensor, *args: Any, **given: Any) -> Any:
            value = rows.stand_in(value)
            if args or given:
                return real(value, *rows.stand_in(args), **rows.stand_in(given))
            return getattr(torch, name)(value)

        return of_all

    def refused(real: Callable[..., Any], also_of_dimensions: bool) -> Callable[..., Any]:
        def refuse(rows: TensorRows, *args: Any, **given: Any) -> Any:
            if also_of_dimensions or len(args) + len(given) == 1:
                raise NotBatchable(f"{real.__name__} is another function for many paths")
            return real(*rows.stand_in(args), **rows.stand_in(given))

        return refuse

    answers: dict[Any, Callable[..., Any]] = {}
    for owner in (torch, torch.Tensor):
        for name, same in EXTREMES.items():
            real = getattr(owner, name)
            answers[real] = extreme(real, same)
        for name in (*OF_ALL, *WRONG):
            real = getattr(owner, name, None)
            if real is not None:
                answers[real] = refused(real, name in WRONG)
    return answers
