"""What an estimator returns, as arrays by name."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .outcomes import EPS

#: Gradients by the name of what they are of.
ByName = dict[str, np.ndarray]


class NotAGradient(TypeError):
    """What an estimator returned is no array, nor a collection of them."""


def named(value: object) -> ByName:
    """Arrays, tensors, or mappings, sequences and dataclasses of them, under dotted names.

    Shape: each array as it is, in double precision; one that stands alone is named ``gradient``.
    None, the gradient of what an estimator does not reach, is left out.

    Raises:
        NotAGradient: for anything else, naming it.
    """
    found = arrays_by_name(value)
    return {name: leaf.astype(np.float64) for name, leaf in found.items() if leaf is not None}


def arrays_by_name(value: object) -> dict[str, Any]:
    """The same as they are, perhaps in memory that somebody else writes to; None is kept.

    Raises:
        NotAGradient: as :func:`named`.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":  # the usual case
        return {"gradient": value}
    return {
        path or "gradient": None if leaf is None else real_array(leaf, path)
        for path, leaf in _items(value, "")
    }


def real_array(leaf: object, name: str = "") -> np.ndarray:
    """The values of an array, tensor or number.

    Raises:
        NotAGradient: if they are not real numbers.
    """
    array = array_of(leaf)
    if array.dtype.kind not in "fiub":
        raise NotAGradient(
            f"{name or 'the gradient'} is {leaf!r:.60} of type {type(leaf).__name__}, expected an "
            "array or tensor of real numbers, or a mapping, sequence or dataclass of them"
        )
    return array


def precision(value: object) -> float:
    """The coarsest precision of what an estimator returned: the step from 1 to the next number."""
    if isinstance(value, np.ndarray):
        return float(np.finfo(value.dtype).eps) if value.dtype.kind == "f" else EPS
    kinds = [_kind_of(leaf) for _, leaf in _items(value, "") if leaf is not None]
    return max((step for step in kinds), default=EPS)


def _kind_of(leaf: Any) -> float:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(
        leaf, torch.Tensor
    ):  # among them those NumPy has no type for
        return float(torch.finfo(leaf.dtype).eps) if leaf.is_floating_point() else EPS
    array = array_of(leaf)
    return float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else EPS


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
        try:
            return np.asarray(leaf.numpy())  # the usual case
        except (RuntimeError, TypeError):  # it needs a gradient, or has no type of NumPy's
            pass
        leaf = leaf.detach()
        leaf = leaf.to_dense() if getattr(leaf, "is_sparse", False) else leaf
        leaf = leaf.float() if str(leaf.dtype) == "torch.bfloat16" else leaf
        return np.asarray(leaf.cpu().numpy())
    while hasattr(leaf, "_value"):  # autograd's boxes
        leaf = leaf._value
    return np.asarray(leaf)


class Layout:
    """Where the entries of each parameter stand in one row of numbers.

    Args:
        like: arrays of the names and shapes that gradients have.

    ``parts`` are slices by name, ``size`` P is the length of a row.
    """

    def __init__(self, like: Mapping[str, np.ndarray]) -> None:
        self.shapes = {name: np.shape(array) for name, array in like.items()}
        self.parts: dict[str, slice] = {}
        start = 0
        for name, shape in self.shapes.items():
            stop = start + int(np.prod(shape))
            self.parts[name] = slice(start, stop)
            start = stop
        self.size = start

    def write(self, value: Mapping[str, Any], row: np.ndarray) -> set[str]:
        """Put gradients into a row, (P,); what is not there is zero. The names that were there.

        Raises:
            ValueError: for a name or a shape that there should not be.
        """
        if len(value) != len(self.parts) or value.keys() != self.parts.keys():
            value = self._named(value)
            row[:] = 0.0
        reached = set()
        for name, array in value.items():
            if array is None:
                row[self.parts[name]] = 0.0
                continue
            if array.shape != self.shapes[name]:
                self._refuse_shape(name, array)
            row[self.parts[name]] = array.reshape(-1)
            reached.add(name)
        return reached

    def _named(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        there = {name: array for name, array in value.items() if array is not None}
        if len(there) == len(self.parts) == 1 and not there.keys() <= self.parts.keys():
            value = there
        if len(value) == len(self.parts) == 1:  # whatever the two are called
            return {next(iter(self.parts)): next(iter(value.values()))}
        unknown = sorted(
            name for name, array in value.items() if name not in self.parts and array is not None
        )
        if unknown:
            raise ValueError(
                f"the estimator returns {', '.join(unknown)}, which the exact gradient lacks; it "
                f"has {', '.join(self.parts)}"
            )
        return {name: array for name, array in value.items() if name in self.parts}

    def _refuse_shape(self, name: str, array: np.ndarray) -> None:
        loss = "; is it the loss? return its tensor, or nothing after backward()"
        raise ValueError(
            f"{name} has shape {array.shape}, and its exact gradient {self.shapes[name]}"
            f"{'' if array.shape else loss}"
        )

    def row(self, value: Mapping[str, Any]) -> np.ndarray:
        """Gradients in a row of their own, (P,)."""
        found = np.zeros(self.size)
        self.write(value, found)
        return found

    def split(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of a row, by name."""
        return {name: row[part].reshape(self.shapes[name]) for name, part in self.parts.items()}
