"""What an estimator returns, as arrays by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

#: Gradients by the name of what they are of.
ByName = dict[str, np.ndarray]


class NotAGradient(TypeError):
    """What an estimator returned is no array, nor a collection of them."""


def named(value: object) -> ByName:
    """Arrays, tensors, or mappings, sequences and dataclasses of them, under dotted names.

    Shape: each array as it is; one that stands alone is named ``gradient``. None, the gradient of
    what an estimator does not reach, is left out.

    Raises:
        NotAGradient: for anything else, naming it.
    """
    return dict(_leaves(value, ""))


def copied(value: object) -> ByName:
    """The same in copies of their own type: what is returned may be written to by the next run.

    Raises:
        NotAGradient: as :func:`named`.
    """
    named(value)
    return {name or "gradient": np.array(array_of(leaf)) for name, leaf in _items(value, "")
            if leaf is not None}  # fmt: skip


def precision(value: object) -> float:
    """The coarsest precision of what an estimator returned: the step from 1 to the next number."""
    steps = [np.finfo(array.dtype).eps for array in _typed(value) if array.dtype.kind == "f"]
    return float(max(steps, default=np.finfo(np.float64).eps))


def _typed(value: object) -> list[np.ndarray]:
    return [array_of(leaf) for _, leaf in _items(value, "") if leaf is not None]


def _leaves(value: object, name: str) -> Iterator[tuple[str, np.ndarray]]:
    for path, leaf in _items(value, name):
        if leaf is None:
            continue
        array = array_of(leaf)
        if array.dtype.kind not in "fiub":
            raise NotAGradient(
                f"{path or 'the gradient'} is {leaf!r:.60} of type {type(leaf).__name__}, expected "
                "an array or tensor of real numbers, or a mapping, sequence or dataclass of them"
            )
        yield path or "gradient", array.astype(np.float64)


def _items(value: object, name: str) -> Iterator[tuple[str, Any]]:
    inner: list[tuple[str, Any]]
    if isinstance(value, Mapping):
        inner = [(str(key), each) for key, each in value.items()]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)]
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes) and not _numbers(value):
        keys = getattr(value, "_fields", range(len(value)))
        inner = [(str(key), each) for key, each in zip(keys, value, strict=True)]
    else:
        yield name, value
        return
    for key, each in inner:
        yield from _items(each, f"{name}.{key}" if name else key)


def _numbers(value: Sequence[Any]) -> bool:
    return len(value) > 0 and all(isinstance(each, int | float) for each in value)


def array_of(leaf: Any) -> np.ndarray:
    """The values of an array or tensor of any framework; it may share their memory."""
    if hasattr(leaf, "detach"):  # a tensor of PyTorch, wherever it is
        leaf = leaf.detach()
        leaf = leaf.to_dense() if getattr(leaf, "is_sparse", False) else leaf
        leaf = leaf.float() if str(leaf.dtype) == "torch.bfloat16" else leaf
        return np.asarray(leaf.cpu().numpy())
    while hasattr(leaf, "_value"):  # autograd's boxes
        leaf = leaf._value
    return np.asarray(leaf)
