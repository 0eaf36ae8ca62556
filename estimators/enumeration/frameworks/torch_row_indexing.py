"""Indexing by what was drawn, in a run of many rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..block import NotBatchable
from .torch_row_tensors import Tensor, TensorRows


def indexing(torch: Any) -> dict[Any, Callable[..., Any]]:
    """What is called instead of functions of PyTorch that index, with the rows first."""
    tensor, functions = torch.Tensor, torch.nn.functional
    # A number of type uint8 is no index: PyTorch takes it for a mask.
    indices = (torch.int64, torch.int32, torch.int16, torch.int8)

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
        for first, last in reversed(_side_by_side(drawn)):  # from the right: places stay the same
            value = select(value, first, places[first : last + 1])
            del places[first : last + 1]
        return value[tuple(places)] if places else value

    def select(value: Tensor, first: int, chosen: Sequence[Tensor]) -> Tensor:
        """At one place of some axes side by side, in one step: by axes, each path has a table."""
        place = 0
        for size, each in zip(value.shape[first:], chosen, strict=False):
            # Looked up, and not used as it is, for an index that is out of range is an error.
            numbers = torch.arange(size, device=value.device)
            place = place * size + numbers.index_select(0, each.reshape(1))
        flat = value.flatten(first, first + len(chosen) - 1)
        return flat.index_select(first, place).select(first, 0)

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


def _side_by_side(places: Sequence[int]) -> list[tuple[int, int]]:
    """The first and last of each run of numbers without a gap: (0, 1), (3, 3) of 0, 1, 3."""
    firsts = [place for place in places if place - 1 not in places]
    lasts = [place for place in places if place + 1 not in places]
    return list(zip(firsts, lasts, strict=True))
