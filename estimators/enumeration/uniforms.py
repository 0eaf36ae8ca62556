"""Numbers that are drawn uniformly, of which only comparisons are known.

Each comparison is a draw of its own, given all earlier ones: ``u < p`` is true with the share of
what is left below p. Whatever needs the number itself is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .gradients import array_of
from .outcomes import EPS, Coin, precision_of
from .run import Run, UnsupportedDraw

#: A number that a uniform number may be added to or multiplied with.
Number = int | float | np.integer | np.floating


class _Compared:
    """What single numbers and arrays of them have in common."""

    __slots__ = ("_ends", "_offset", "_run", "_span", "_what")

    def __init__(
        self, run: Run, what: str, ends: Any, offset: float = 0.0, span: float = 1.0
    ) -> None:
        self._run, self._what, self._ends = run, what, ends
        # The number is offset + span * u, with u between the two ends, from 0 to 1 at first.
        self._offset, self._span = offset, span

    def _moved(self, offset: float, span: float) -> Any:
        """The same number, plus or times another."""
        return type(self)(self._run, self._what, self._ends, offset, span)

    def _inside(self, bound: Any) -> tuple[Any, bool]:
        """Where a bound lies among the numbers from 0 to 1, and whether below means above there."""
        if self._offset == 0.0 and self._span == 1.0:
            return bound, False
        return (bound - self._offset) / self._span, self._span < 0.0

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Number):
            return _refuse(self)
        return self._moved(self._offset + float(other), self._span)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if not isinstance(other, Number):
            return _refuse(self)
        return self._moved(self._offset - float(other), self._span)

    def __rsub__(self, other: Any) -> Any:
        if not isinstance(other, Number):
            return _refuse(self)
        return self._moved(float(other) - self._offset, -self._span)

    def __neg__(self) -> Any:
        return self._moved(-self._offset, -self._span)

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, Number) or float(other) == 0.0:
            return _refuse(self)
        return self._moved(self._offset * float(other), self._span * float(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if not isinstance(other, Number) or float(other) == 0.0:
            return _refuse(self)
        return self._moved(self._offset / float(other), self._span / float(other))

    def _below(self, bound: Any) -> Any:
        raise NotImplementedError

    def __lt__(self, bound: Any) -> Any:
        return self._below(bound)

    __le__ = __lt__  # a single number has no probability

    def __gt__(self, bound: Any) -> Any:
        return _opposite(self._below(bound))

    __ge__ = __gt__

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **_: Any) -> Any:
        """What NumPy asks of a number in one of its functions: comparisons and sums are known."""
        how = _UFUNCS.get(function.__name__)
        if how is None or method != "__call__" or len(inputs) > 2:
            return _refuse(self)
        plain, turned = how
        if inputs[0] is self:
            return getattr(self, plain)(*inputs[1:])
        return getattr(self, turned)(inputs[0])


#: NumPy's functions, by the methods that do the same: the number first, the number second.
_UFUNCS = {
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
    "add": ("__add__", "__radd__"),
    "subtract": ("__sub__", "__rsub__"),
    "multiply": ("__mul__", "__rmul__"),
    "divide": ("__truediv__", "__rtruediv__"),
    "negative": ("__neg__", "__neg__"),
}


def _opposite(found: Any) -> Any:
    return not found if isinstance(found, bool) else ~found


class UniformNumber(_Compared):
    """One number. ``ends`` are two cells, what it is known to lie between; 0 stands for 1 above."""

    __slots__ = ()

    def __lt__(self, bound: Any) -> Any:
        # The usual cases, of which there are many.
        if self._span == 1.0 and self._offset == 0.0:
            if type(bound) is np.float64:
                return np.bool_(self._decide(float(bound), EPS))
            if type(bound) is float:
                return self._decide(bound, EPS)
        return self._below(bound)

    __le__ = __lt__

    def _below(self, bound: Any) -> Any:
        if isinstance(bound, _Compared):
            return _refuse(self)
        if hasattr(bound, "detach"):  # a tensor of PyTorch; what comes out is one too
            found = self._below(array_of(bound))
            return bound.detach().new_tensor(found).bool()
        if np.ndim(bound):
            # From the largest on: what is decided there leaves less to be decided below.
            flat = np.asarray(bound).reshape(-1)
            found = np.empty(flat.shape, bool)
            for place in np.argsort(-flat):
                found[place] = self._below(flat[place])
            return found.reshape(np.shape(bound))
        return self._below_number(bound, isinstance(bound, np.generic | np.ndarray))

    def _below_number(self, bound: Any, of_numpy: bool) -> Any:
        edge, turned = self._inside(float(bound))
        below = self._decide(edge, precision_of(bound) if of_numpy else EPS) is not turned
        # As of a number of NumPy, or of Python: they add up in different ways.
        return np.bool_(below) if of_numpy else below

    def _decide(self, edge: float, step: float) -> bool:
        """Whether u is below an edge."""
        low, high = self._ends
        high = high or 1.0
        if low < edge < high:
            share = float((edge - low) / (high - low))
            below = self._run.choose(Coin(self._what, share, step)) == 1
            self._ends[1 if below else 0] = edge
            return below
        return bool(edge >= high)  # which a NaN is not


class UniformNumbers(_Compared):
    """An array of such numbers, compared entry by entry. Its views are of the same numbers.

    Args:
        ends: (*shape, 2).
    """

    __slots__ = ()

    @classmethod
    def of_shape(
        cls, run: Run, what: str, shape: Sequence[int], offset: float = 0.0, span: float = 1.0
    ) -> UniformNumbers:
        """New ones. Zeros are not laid out in memory before they are written to."""
        return cls(run, what, np.zeros((*shape, 2)), offset, span)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return tuple(self._ends.shape[:-1])

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self._ends.ndim - 1

    @property
    def size(self) -> int:
        """As of an array."""
        return self._ends.size // 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
        return np.dtype(np.float64)

    @property
    def T(self) -> UniformNumbers:
        """As of an array."""
        return self.transpose()

    def transpose(self, *axes: Any) -> UniformNumbers:
        """As of an array."""
        order = axes[0] if len(axes) == 1 and axes[0] is not None else axes
        order = tuple(order) if order and order[0] is not None else tuple(range(self.ndim))[::-1]
        return self._view(self._ends.transpose(*(each % self.ndim for each in order), self.ndim))

    def reshape(self, *shape: Any, order: str = "C") -> UniformNumbers:
        """As of an array."""
        if order != "C":
            return _refuse(self)
        shape = shape[0] if len(shape) == 1 and np.ndim(shape[0]) else shape
        return self._view(self._ends.reshape(*shape, 2))

    def ravel(self) -> UniformNumbers:
        """As of an array; they stay the same numbers."""
        return self.reshape(-1)

    flatten = ravel

    def copy(self) -> UniformNumbers:
        """They are never written to, so that these are as good as a copy."""
        return self

    def squeeze(self) -> UniformNumbers:
        """As of an array."""
        return self.reshape(*(each for each in self.shape if each != 1))

    def __getitem__(self, place: Any) -> Any:
        given = place if isinstance(place, tuple) else (place,)
        found = self._ends[(*given, slice(None))] if Ellipsis in given else self._ends[place]
        if found.ndim == 1 and found.shape == (2,):
            return UniformNumber(self._run, self._what, found, self._offset, self._span)
        return self._view(found)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")  # as NumPy does
        return len(self._ends)

    def __iter__(self) -> Any:
        return (self[place] for place in range(len(self)))

    def _view(self, ends: np.ndarray) -> UniformNumbers:
        return UniformNumbers(self._run, self._what, ends, self._offset, self._span)

    def _below(self, bound: Any) -> Any:
        if isinstance(bound, _Compared):
            return _refuse(self)
        if hasattr(bound, "detach"):
            found = self._below(array_of(bound))
            return bound.detach().new_tensor(found).bool()
        edges, turned = self._inside(np.asarray(bound))
        step = precision_of(bound)
        shape = np.broadcast_shapes(self.shape, edges.shape)
        edges = np.broadcast_to(edges, shape)
        ends = np.broadcast_to(self._ends, (*shape, 2))
        high = np.where(ends[..., 1] == 0.0, 1.0, ends[..., 1])
        found = edges >= high
        for place in map(tuple, np.argwhere((edges > ends[..., 0]) & ~found)):
            mine = tuple(
                0 if length == 1 else each
                for each, length in zip(place[len(shape) - self.ndim :], self.shape, strict=True)
            )
            one = UniformNumber(self._run, self._what, self._ends[mine])
            found[place] = one._decide(float(edges[place]), step)
        return ~found if turned else found


def _refuse(uniform: _Compared, *_: Any, **__: Any) -> Any:
    raise UnsupportedDraw(
        f"{uniform._what}() is used other than compared with <, <=, > or >=: it has no outcomes to "
        "count"
    )


#: Python's operations that need the number itself, and what arrays have that does.
_REFUSED = (
    "__array__", "__float__", "__int__", "__index__", "__complex__", "__bool__", "__eq__", "__ne__",
    "__hash__", "__pow__", "__rpow__", "__rtruediv__", "__floordiv__", "__rfloordiv__", "__mod__",
    "__rmod__", "__divmod__", "__rdivmod__", "__abs__", "__round__", "__floor__", "__ceil__",
    "__trunc__", "__pos__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__",
    "__matmul__", "__rmatmul__", "__setitem__", "__array_function__", "__format__", "__contains__",
    "__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__",
)  # fmt: skip

for _operation in _REFUSED:
    setattr(_Compared, _operation, _refuse)


def _unknown(self: _Compared, name: str) -> Any:
    """Whatever else a number or an array of NumPy has."""
    if name[:2] != "__" and hasattr(np.ndarray, name):
        return _refuse(self)
    raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


setattr(_Compared, "__getattr__", _unknown)  # noqa: B010 - as those above


def uniform(run: Run, what: str, size: Any, low: float = 0.0, high: float = 1.0) -> Any:
    """One number, or an array of them.

    Args:
        size: None for one number; a whole number or a shape.
    """
    if run.samples:
        raise UnsupportedDraw(f"{what} draws numbers, of which it is not known what they decide")
    if size is None:
        return UniformNumber(run, what, [0.0, 0.0], low, high - low)
    shape = (size,) if np.ndim(size) == 0 else tuple(size)
    return UniformNumbers.of_shape(run, what, shape, low, high - low)
