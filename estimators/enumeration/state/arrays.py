"""Arrays of NumPy: what stands in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .reached_names import Name
from .record import LARGE, StateRecord

#: Of a large array so many entries along each axis, by the number of axes, are compared quickly:
#: about 64, which take a fifth of a microsecond, which was measured.
_GRID = {1: 64, 2: 8, 3: 4}

#: The shape as it is, past what a subclass has by that name.
_SHAPE: Any = np.ndarray.shape
_shape = _SHAPE.__get__


class Array(StateRecord):
    """What stands in an array.

    A quick comparison of one of more than ``LARGE`` entries sees some 64 of them, spread evenly: it
    misses what is written to a few of the others. It sees none of those of a class derived from
    NumPy's, which would be asked for them.
    """

    __slots__ = ("_copy", "_target")

    def __init__(self, name: Name, target: np.ndarray) -> None:
        super().__init__(name)
        self._target = target
        self._copy = plain(target).copy()

    @property
    def cost(self) -> int:
        """By the 64 bytes, which take as long as a reference."""
        return 8 + probe_of(self._copy).nbytes // 64

    @classmethod
    def unchanged_check(cls, records: Sequence[Array]) -> Callable[[], bool]:
        """As :meth:`.StateRecord.unchanged_check`."""
        targets = [record._target for record in records]
        shapes = [record._copy.shape for record in records]
        small = [record._target for record in records if record._copy.size <= LARGE]
        large = [
            (record._target, grid_of(record._copy))
            for record in records
            if record._copy.size > LARGE and type(record._target) is np.ndarray
        ]
        read = np.ndarray.tobytes
        saved = [record._copy.tobytes() for record in records if record._copy.size <= LARGE]
        probes = [
            record._copy[grid_of(record._copy)].tobytes()
            for record in records
            if record._copy.size > LARGE and type(record._target) is np.ndarray
        ]

        def is_unchanged() -> bool:
            # Nothing is kept that looks at their memory: an array may be given other memory.
            return (
                list(map(_shape, targets)) == shapes
                and list(map(read, small)) == saved
                and [target[grid].tobytes() for target, grid in large] == probes
            )

        return is_unchanged

    def has_changed(self) -> bool:
        """As :meth:`.StateRecord.has_changed`."""
        return _shape(self._target) != self._copy.shape or not equal(
            plain(self._target), self._copy
        )

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`."""
        if _shape(self._target) != self._copy.shape:
            np.ndarray.resize(self._target, self._copy.shape, refcheck=False)
        plain(self._target)[...] = self._copy

    def restore_state(self, thorough: bool) -> list[str]:
        """As :meth:`.StateRecord.restore_state`; what moved once is put back, not compared."""
        self.restore()
        return self.names()


def plain(array: np.ndarray) -> np.ndarray:
    """The same memory, past what a class derived from NumPy's makes of it."""
    return array if type(array) is np.ndarray else np.ndarray.view(array, np.ndarray)


def grid_of(array: np.ndarray) -> tuple[slice, ...]:
    """Where the entries of a large array stand that are compared quickly."""
    along = _GRID.get(array.ndim, 2)
    return tuple(slice(None, None, -(-size // along)) for size in array.shape)


def probe_of(array: np.ndarray) -> np.ndarray:
    """All of an array, or some entries of a large one, in the same memory."""
    return array if array.size <= LARGE else array[grid_of(array)]


def equal(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two arrays of one type and shape are the same bit by bit; objects, the same ones."""
    width = f"u{first.itemsize}"
    # For a few entries the bytes are the faster, and for objects they are where these are.
    if first.size > LARGE and first.dtype.kind in "biufcmM" and first.itemsize in (1, 2, 4, 8):
        return bool((first.view(width) == second.view(width)).all())
    return first.tobytes() == second.tobytes()
