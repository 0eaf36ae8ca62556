"""Indexing by what was drawn, in a run of many rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..block import NotBatchable
from .torch_row_tensors import Tensor, TensorRows


def indexing(torch: Any) -> dict[Any, Callable[..., Any]]:
    """What is called instead of functions of PyTorch that index, with the rows first."""
    tensor, functions = torch.Tensor, torch.nn.functional
    indices = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

    def index(rows: TensorRows, value: Tensor, at: Any) -> Tensor:
        value, places = rows.stand_in(value), list(at) if isinstance(at, tuple) else [at]
        drawn = [
            place
            for place, each in enumerate(places)
            if isinstance(each, tensor)
            and not each.dim()
            and each.dtype in indices
            and rows.has_rows(each)
        ]
        others = (each for place, each in enumerate(places) if place not in drawn)
        if not drawn or any(type(each) not in (int, slice) for each in others):
            return value[at]
        for place in reversed(drawn):  # from the right, so that places stay what they are
            value = value.index_select(place, places.pop(place).reshape(1)).select(place, 0)
        return value[tuple(places)] if places else value

    def one_hot(rows: TensorRows, value: Tensor, num_classes: int = -1) -> Tensor:
        if num_classes < 1 or not rows.has_rows(value):
            return functions.one_hot(value, num_classes)
        check_places(rows, value, num_classes)
        return (value.unsqueeze(-1) == torch.arange(num_classes, device=value.device)).long()

    def check_places(rows: TensorRows, value: Tensor, count: int) -> None:
        numbers = rows.rows(value)
        if numbers.numel() and not (numbers.min() >= 0 and numbers.max() < count):
            raise NotBatchable(f"it asks for a place beyond {count} on some path")

    def embedding(
        rows: TensorRows,
        input: Tensor,
        weight: Tensor,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        *args: Any,
        **given: Any,
    ) -> Tensor:
        if max_norm is not None:
            raise NotBatchable("an embedding is normalised in place")
        weight = rows.stand_in(weight)
        # Mapped over, it would read another path's weights, and know the padding of one path alone.
        check_places(rows, input, len(weight))
        found = functions.embedding(input, weight, None, None, *args, **given)
        if padding_idx is None:
            return found
        is_padding = input == padding_idx % len(weight)
        return torch.where(is_padding.unsqueeze(-1), found.detach(), found)

    def plain_embedding(
        rows: TensorRows,
        weight: Tensor,
        indices: Tensor,
        padding_idx: int = -1,
        *args: Any,
        **given: Any,
    ) -> Tensor:
        padding = None if padding_idx < 0 else padding_idx
        return embedding(rows, indices, weight, padding, None, 2.0, *args, **given)

    return {
        tensor.__getitem__: index,
        functions.one_hot: one_hot,
        functions.embedding: embedding,
        torch.embedding: plain_embedding,
    }
