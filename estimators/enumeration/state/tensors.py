"""Tensors of PyTorch: what stands in them, their gradients, and what they belong to."""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from .arrays import equal, probe_of
from .reached_names import Name
from .record import StateRecord

#: NumPy's types of as many bytes as an entry has, for comparing and copying what stands there.
_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}


F = TypeVar("F", bound=Callable[..., Any])


def _without_overrides(method: F) -> F:
    """The same, past what classes of tensors and modes make of PyTorch's functions."""

    @functools.wraps(method)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with sys.modules["torch"]._C.DisableTorchFunction():
            return method(*args, **kwargs)

    return plain  # type: ignore[return-value]


class TensorMemory:
    """What NumPy needs to look at a tensor's memory.

    ``numpy()`` would do too, but leaves the tensor's memory such that it cannot be resized any
    more; and integers of the same width serve for types that NumPy does not have.
    """

    def __init__(self, tensor: Any) -> None:
        width = tensor.element_size()
        self.owner = tensor  # keeps the memory
        self.__array_interface__ = {
            "version": 3,
            "data": (tensor.data_ptr(), False),
            "shape": tuple(tensor.shape),
            "strides": tuple(width * stride for stride in tensor.stride()),
            "typestr": np.dtype(_BITS[width]).str,
        }


class TensorRecord(StateRecord):
    """What stands in a tensor; where it stands; whether it needs a gradient, and which it has.

    A quick comparison sees whatever PyTorch counts as a change of a tensor. What it does not count
    (what is written through ``.data``, or by NumPy, or by a fused optimizer) is seen by the
    numbers, of a large tensor by some 64 of them, spread evenly: what is written past PyTorch to a
    few others is missed. On other devices it is missed altogether.

    Args:
        quiet: whether its gradient is the estimate itself: no change, and put back by others.

    Raises:
        ValueError: for one whose numbers do not lie in memory.
    """

    __slots__ = (
        *("_alias", "_copy", "_grad", "_named", "_needs", "_pointer", "_quiet", "_target"),
        *("_version", "_view"),
    )

    @_without_overrides
    def __init__(self, name: Name, target: Any, *, quiet: bool = False) -> None:
        super().__init__(name)
        torch = sys.modules["torch"]
        if target.layout is not torch.strided or target.is_meta or target.is_quantized:
            raise ValueError(f"{name} is not a tensor whose numbers lie in memory")
        self._target, self._quiet, self._named = target, quiet, False
        self._alias = torch._C.TensorBase.data.__get__(
            target
        )  # the same memory, whatever becomes of the tensor
        self._pointer = target.data_ptr()
        self._version = _version(target)
        self._needs = target.requires_grad
        self._grad = target.grad if target.is_leaf and not quiet else None
        plain = target.device.type == "cpu" and not (target.is_conj() or target.is_neg())
        self._view = np.asarray(TensorMemory(self._alias)) if plain and target.numel() else None
        self._copy = self._alias.clone() if self._view is None else self._view.copy()

    @property
    def target(self) -> Any:
        """The tensor itself."""
        return self._target

    @property
    def cost(self) -> int:
        """By the 64 bytes, which take as long as a reference."""
        return 16 + (0 if self._view is None else probe_of(self._view).nbytes // 64)

    @classmethod
    @_without_overrides
    def unchanged_check(cls, records: Sequence[TensorRecord]) -> Callable[[], bool]:
        """As :meth:`.StateRecord.unchanged_check`."""
        torch: Any = sys.modules["torch"]
        base, disabled = torch._C.TensorBase, torch._C.DisableTorchFunction
        # Tensors that are made under inference_mode count no changes.
        counted = [record for record in records if record._version is not None]
        leaves = [record for record in records if record._target.is_leaf and not record._quiet]
        looks: list[tuple[Callable[[Any], Any], list[Any], list[Any]]] = [
            (attrgetter("_version"), _targets(counted), [record._version for record in counted]),
            (base.data_ptr, _targets(records), [record._pointer for record in records]),
            (attrgetter("requires_grad"), _targets(records), [record._needs for record in records]),
            (
                np.ndarray.tobytes,
                [probe_of(record._view) for record in records if record._view is not None],
                [
                    probe_of(record._copy).tobytes()
                    for record in records
                    if record._view is not None
                ],
            ),
        ]
        leaf_targets, grads = _targets(leaves), [record._grad for record in leaves]
        read_grad, is_ = attrgetter("grad"), operator.is_

        def is_unchanged() -> bool:
            with disabled():
                # Memory is looked at last: by then it is known to be there still.
                for look, targets, was in looks:
                    if list(map(look, targets)) != was:
                        return False
                return all(map(is_, map(read_grad, leaf_targets), grads))

        return is_unchanged

    @_without_overrides
    def has_changed(self) -> bool:
        """As :meth:`.StateRecord.has_changed`."""
        return self._is_touched() or self._has_other_grad() or self._is_rewritten()

    def _is_elsewhere(self) -> bool:
        """Whether its numbers stand elsewhere, or in another shape."""
        target, alias = self._target, self._alias
        return bool(
            target.data_ptr() != self._pointer
            or target.shape != alias.shape
            or target.stride() != alias.stride()
        )

    def _is_rewritten(self) -> bool:
        """Whether other numbers stand there."""
        if self._alias.data_ptr() != self._pointer:
            return True
        if self._view is not None:
            return not equal(self._view, self._copy)
        alias, copy = self._alias, self._copy
        return not bool(((alias == copy) | ((alias != alias) & (copy != copy))).all())

    def _is_used(self) -> bool:
        """Whether it has become a result, or has begun to need a gradient, or ceased to."""
        return bool(self._target.requires_grad is not self._needs)

    def _has_other_grad(self) -> bool:
        if self._quiet or not self._target.is_leaf:
            return False
        return self._target.grad is not self._grad

    @_without_overrides
    def names(self) -> list[str]:
        """As :meth:`.StateRecord.names`."""
        found = []
        if self._is_elsewhere() or self._is_rewritten() or self._is_used():
            found.append(str(self.name))
        if self._has_other_grad():
            found.append(str(self.name.attribute("grad")))
        return found

    @_without_overrides
    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`."""
        self._restore_numbers()
        if self._has_other_grad():
            self._target.grad = self._grad

    def _restore_numbers(self) -> None:
        target = self._target
        if self._alias.data_ptr() != self._pointer:
            self._follow()
        if self._is_used():
            if not self._needs and not target.is_leaf:
                target.detach_()  # it was written to with numbers that have a graph
            target.requires_grad_(self._needs)
        if self._is_elsewhere():
            target.data = self._alias
        if self._view is not None:
            self._view[...] = self._copy  # past the count of changes
        else:
            self._alias.copy_(self._copy)
        self._version = _version(target)

    def _follow(self) -> None:
        """Its memory was given up for other memory, which may be too small."""
        alias, storage = self._alias, self._alias.untyped_storage()
        steps = zip(alias.shape, alias.stride(), strict=True)
        last = alias.storage_offset() + sum((size - 1) * stride for size, stride in steps)
        needed = (last + 1) * alias.element_size()
        if storage.nbytes() < needed:
            storage.resize_(needed)
        self._pointer = alias.data_ptr()
        self._view = None if self._view is None else np.asarray(TensorMemory(alias))

    @_without_overrides
    def restore_state(self, thorough: bool) -> list[str]:
        """As :meth:`.StateRecord.restore_state`."""
        names = []
        if self._is_touched() or (thorough and self._is_rewritten()):
            # PyTorch also counts what is written and put back. Once it is named it need not be
            # compared any more.
            self._named = (
                self._named or self._is_elsewhere() or self._is_used() or self._is_rewritten()
            )
            names += [str(self.name)] if self._named else []
            self._restore_numbers()
        if self._has_other_grad():
            names.append(str(self.name.attribute("grad")))
            self._target.grad = self._grad
        return names

    def _is_touched(self) -> bool:
        """Whether a change is seen quickly, of anything but the gradient."""
        if _version(self._target) != self._version or self._is_elsewhere():
            return True
        if self._is_used():
            return True
        return self._view is not None and not equal(probe_of(self._view), probe_of(self._copy))


def _version(tensor: Any) -> int | None:
    return None if tensor.is_inference() else tensor._version


def _targets(records: Sequence[TensorRecord]) -> list[Any]:
    return [each._target for each in records]
