"""Numbers that are drawn uniformly, of which only comparisons are known.

Each comparison is a draw of its own, given all earlier ones: ``u < p`` is true with the share of
what is left below p. Whatever needs the number itself is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

import numpy as np

from .cells import LAST, decide, refuse
from .coarseness import FEW_STEPS
from .drawn_numbers import DrawnNumbers
from .gradients import array_of
from .lazy_answers import answer_function, answer_ufunc, output_array
from .lazy_arrays import REFUSED, LazyArray, draw
from .lazy_numbers import LazyNumbers
from .monotone import Chain, Factor, Shift, spread
from .outcomes import EPS, precision_of
from .run import Run, UnsupportedDraw

#: Numbers that a uniform number may be added to or multiplied with here.
NUMBERS = (int, float)


class _UniformComparisons:
    """What single numbers and arrays of them have in common.

    ``ends`` are the cells of the numbers; see :mod:`.cells`. Whatever is not known here is done by
    a :class:`.lazy_arrays.LazyArray` of the same cells.
    """

    __slots__ = ("_ends", "_offset", "_run", "_span", "_what")
    dtype = np.dtype(np.float64)
    precision = EPS
    is_python = False
    shape: tuple[int, ...] = ()

    def __init__(
        self, run: Run, what: str, ends: Any, offset: float = 0.0, span: float = 1.0
    ) -> None:
        self._run, self._what, self._ends = run, what, ends
        # The number is offset + span * u, with u between the two ends, from 0 to 1 at first.
        self._offset, self._span = offset, span

    @property
    def lazy(self) -> LazyNumbers:
        """The same numbers, of which more than comparisons is known."""
        drawn = DrawnNumbers.of(self._run)
        places = drawn.adopt(self._what, self._ends) + self._order()
        chain: Chain = ()
        if (self._offset, self._span) != (0.0, 1.0):
            chain = (Factor(np.array(self._span)), Shift(np.array(self._offset)))
        return LazyNumbers(drawn, places, spread(chain, self.shape))

    def _order(self) -> np.ndarray:
        """Which of the cells is that of each."""
        return np.zeros((), np.int64)

    def _wide(self) -> LazyArray:
        return LazyArray(self.lazy, is_python=self.is_python)

    def refuse(self, how: str) -> NoReturn:
        """See :func:`.cells.refuse`."""
        refuse(self._what, how)

    def _shift_and_scale(self, offset: float, span: float) -> Any:
        """The same number, plus or times another."""
        if span == 0.0 or not (math.isfinite(span) and math.isfinite(offset)):
            self.refuse("put together with a number that leaves none of it")
        found = self._with_scale(offset, span)
        # Where rounding leaves little of it, comparisons are not those of the number itself.
        return found._wide() if abs(offset) * FEW_STEPS * EPS > abs(span) else found

    def _with_scale(self, offset: float, span: float) -> Any:
        return type(self)(self._run, self._what, self._ends, offset, span)

    def _bound_inside(self, bound: Any) -> tuple[Any, bool]:
        """Where a bound lies among the numbers from 0 to 1, and whether below means above there."""
        if self._offset == 0.0 and self._span == 1.0:
            return bound, False
        return (bound - self._offset) / self._span, self._span < 0.0

    def __add__(self, other: Any) -> Any:
        if type(other) not in NUMBERS:
            return self._wide() + other
        return self._shift_and_scale(self._offset + other, self._span)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if type(other) not in NUMBERS:
            return self._wide() - other
        return self._shift_and_scale(self._offset - other, self._span)

    def __rsub__(self, other: Any) -> Any:
        if type(other) not in NUMBERS:
            return other - self._wide()
        return self._shift_and_scale(other - self._offset, -self._span)

    def __neg__(self) -> Any:
        return self._shift_and_scale(-self._offset, -self._span)

    def __mul__(self, other: Any) -> Any:
        if type(other) not in NUMBERS or other == 0.0:
            return self._wide() * other
        return self._shift_and_scale(self._offset * other, self._span * other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if type(other) not in NUMBERS or other == 0.0:
            return self._wide() / other
        return self._shift_and_scale(self._offset / other, self._span / other)

    def _is_below(self, bound: Any) -> Any:
        raise NotImplementedError

    def __lt__(self, bound: Any) -> Any:
        return self._is_below(bound)

    def __le__(self, bound: Any) -> Any:
        # A single number has no probability; but one is equal to itself.
        return self._wide() <= bound if hasattr(bound, "lazy") else self < bound

    def __gt__(self, bound: Any) -> Any:
        if hasattr(bound, "lazy"):
            return self._wide() > bound
        below = self._is_below(bound)
        return _where_a_number(not below if isinstance(below, bool) else ~below, bound)

    def __ge__(self, bound: Any) -> Any:
        return self._wide() >= bound if hasattr(bound, "lazy") else self > bound

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **given: Any) -> Any:
        """What NumPy asks of a number in one of its functions: comparisons and sums are known."""
        how = _UFUNCS.get(function.__name__)
        if how is None or method != "__call__" or len(inputs) > 2:
            return answer_ufunc(self, function, method, inputs, given)
        out = output_array(self, function.__name__, given)
        plain, turned = how
        if inputs[0] is self:
            found = getattr(self, plain)(*inputs[1:])
        else:
            found = getattr(self, turned)(inputs[0])
        if out is None:
            return found
        if hasattr(found, "lazy"):  # there is nothing to be written
            self.refuse(f"by np.{function.__name__}")
        np.copyto(out, found, casting="same_kind")
        return out

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """What NumPy asks of a number in all its others."""
        return answer_function(self, function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """Whatever else a number or an array of NumPy has."""
        if name[:2] == "__":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._wide(), name)

    def __repr__(self) -> str:
        return repr(self._wide())


#: NumPy's functions, by the methods that do the same: the number first, the number second.
_UFUNCS = {
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
    "add": ("__add__", "__radd__"),
    "subtract": ("__sub__", "__rsub__"),
    "multiply": ("__mul__", "__rmul__"),
    "negative": ("__neg__", "__neg__"),
}


def _where_a_number(found: Any, bound: Any) -> Any:
    """What a comparison gives: nothing is above or below what is no number."""
    if not np.any(np.isnan(array_of(bound))):
        return found
    if hasattr(bound, "detach"):
        return found & ~bound.isnan()
    if np.ndim(found):
        return found & ~np.isnan(bound)
    return type(found)(False)


class UniformNumber(_UniformComparisons):
    """One number. ``ends`` are its cell; see :mod:`.cells`."""

    __slots__ = ()
    is_python = True

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What ``isinstance`` asks for."""
        return float if self.is_python else np.float64

    def __lt__(self, bound: Any) -> Any:
        # The usual cases, of which there are many.
        if self._span == 1.0 and self._offset == 0.0:
            if type(bound) is np.float64:
                return np.bool_(decide(self._run, self._what, self._ends, float(bound), EPS))
            if type(bound) is float:
                below = decide(self._run, self._what, self._ends, bound, EPS)
                return below if self.is_python else np.bool_(below)
        return self._is_below(bound)

    def _is_below(self, bound: Any) -> Any:
        if hasattr(bound, "lazy"):
            return self._wide() < bound
        if hasattr(bound, "detach"):  # a tensor of PyTorch; what comes out is one too
            found = self._is_below(array_of(bound))
            return bound.detach().new_tensor(found).bool()
        if np.ndim(bound):
            # From the largest on: what is decided there leaves less to be decided below.
            flat = array_of(bound).reshape(-1)
            found = np.empty(flat.shape, bool)
            for place in np.argsort(-flat):
                found[place] = self < flat[place]
            return found.reshape(np.shape(bound))
        return self._below_number(bound)

    def _below_number(self, bound: Any) -> Any:
        is_python = self.is_python and type(bound) in (int, float, bool)
        edge, turned = self._bound_inside(float(array_of(bound)))
        if math.isnan(edge):
            return False if is_python else np.bool_(False)
        step = EPS if type(bound) in (int, float, bool) else precision_of(array_of(bound))
        below = decide(self._run, self._what, self._ends, edge, step) is not turned
        # As of a number of NumPy, or of Python: they add up in different ways.
        return below if is_python else np.bool_(below)


class UniformEntry(UniformNumber):
    """One of an array, which is a number of NumPy's."""

    __slots__ = ()
    is_python = False


class UniformNumbers(_UniformComparisons):
    """An array of such numbers, compared entry by entry.

    Whatever is made of it by indexing, or by another shape, is of the same numbers: an array of
    places among the ends says which, so that a copy knows what the original does.

    Args:
        ends: (N, 2).
        places: which number each entry is, of any shape; None: all of them, in order.
        shape: of the array, if there are no places.
    """

    __slots__ = ("_places", "shape")

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What ``isinstance`` asks for."""
        return np.ndarray

    def __init__(
        self,
        run: Run,
        what: str,
        ends: np.ndarray,
        offset: float = 0.0,
        span: float = 1.0,
        places: np.ndarray | None = None,
        shape: tuple[int, ...] = (),
    ) -> None:
        super().__init__(run, what, ends, offset, span)
        self._places, self.shape = places, shape if places is None else places.shape

    @classmethod
    def of_shape(
        cls, run: Run, what: str, shape: Sequence[int], offset: float = 0.0, span: float = 1.0
    ) -> UniformNumbers:
        """New ones. Zeros are not laid out in memory before they are written to."""
        lengths = tuple(int(each) for each in shape)
        return cls(run, what, np.zeros((math.prod(lengths), 2)), offset, span, shape=lengths)

    @property
    def ndim(self) -> int:
        """As of an array."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """As of an array."""
        return math.prod(self.shape)

    @property
    def T(self) -> UniformNumbers:
        """As of an array."""
        return self.transpose()

    def transpose(self, *axes: Any) -> UniformNumbers:
        """As of an array."""
        return self if self.ndim < 2 else self._pick(self._all_places().transpose(*axes))

    def reshape(self, *shape: Any, order: Literal["C", "F"] = "C") -> UniformNumbers:
        """As of an array."""
        if order not in ("C", "F"):  # others depend on how an array lies in memory
            self.refuse(f"by reshape in order {order!r}")
        if self._places is not None or order == "F":
            return self._pick(self._all_places().reshape(*shape, order=order))
        # NumPy knows what -1 is, and what does not fit; this takes no memory.
        lengths = np.broadcast_to(np.False_, self.shape).reshape(*shape).shape
        return self._view(self._ends, lengths)

    def ravel(self, order: Literal["C", "F"] = "C") -> UniformNumbers:
        """As of an array; they stay the same numbers."""
        return self.reshape(-1, order=order)

    flatten = ravel

    def copy(self, order: str = "C") -> UniformNumbers:
        """They are never written to, so that these are as good as a copy."""
        return self

    def squeeze(self) -> UniformNumbers:
        """As of an array."""
        return self.reshape(tuple(each for each in self.shape if each != 1))

    def __getitem__(self, place: Any) -> Any:
        if self._places is None and self.shape:
            if type(place) is int and len(self.shape) == 1:  # the usual case
                return self._number(self._ends[place])
            found = self._take_in_order(place)
            if found is not None:
                return found
        places = self._all_places()[place]
        if isinstance(places, np.ndarray):
            return self._pick(places)
        return self._number(self._ends[places])

    def _take_in_order(self, place: Any) -> Any:
        """What a number or a slice takes of the first axis, without places; None: they are needed.

        Arrays may be large, and are mostly gone through from the first to the last.
        """
        length, inner = self.shape[0], self.shape[1:]
        rows = math.prod(inner)
        if isinstance(place, int | np.integer) and not isinstance(place, bool | np.bool_):
            at = int(place) + (length if place < 0 else 0)
            if not 0 <= at < length:
                return None  # NumPy says so
            if not inner:
                return self._number(self._ends[at])
            return self._view(self._ends[at * rows : (at + 1) * rows], inner)
        if isinstance(place, slice):
            start, stop, step = place.indices(length)
            if step == 1:
                stop = max(start, stop)
                return self._view(self._ends[start * rows : stop * rows], (stop - start, *inner))
            if not inner:
                part = self._ends[place]
                return self._view(part, (len(part),))
        return None

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")  # as NumPy does
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[place] for place in range(len(self)))

    def _order(self) -> np.ndarray:
        return self._all_places()

    def _all_places(self) -> np.ndarray:
        """Which number each entry is, of this shape."""
        if self._places is not None:
            return self._places
        return np.arange(len(self._ends)).reshape(self.shape)

    def _number(self, ends: np.ndarray) -> UniformNumber:
        return UniformEntry(self._run, self._what, ends, self._offset, self._span)

    def _view(self, ends: np.ndarray, shape: tuple[int, ...]) -> UniformNumbers:
        """All numbers of a part of the ends, which must be a view, in order."""
        return UniformNumbers(self._run, self._what, ends, self._offset, self._span, shape=shape)

    def _pick(self, places: np.ndarray) -> UniformNumbers:
        return UniformNumbers(self._run, self._what, self._ends, self._offset, self._span, places)

    def _with_scale(self, offset: float, span: float) -> UniformNumbers:
        places, shape = self._places, self.shape
        return UniformNumbers(self._run, self._what, self._ends, offset, span, places, shape)

    def _is_below(self, bound: Any) -> Any:
        if hasattr(bound, "lazy"):
            return self._wide() < bound
        if hasattr(bound, "detach"):
            return bound.detach().new_tensor(self._is_below(array_of(bound))).bool()
        bound = array_of(bound)
        edges, turned = self._bound_inside(bound)
        step = precision_of(bound)
        shape = np.broadcast_shapes(self.shape, edges.shape)
        flat = np.broadcast_to(edges, shape).reshape(-1)
        places = None
        if self._places is not None or shape != self.shape:
            places = np.broadcast_to(self._all_places(), shape).reshape(-1)
        ends = self._ends if places is None else self._ends[places]
        high = ends[:, 1]
        if (high < 0.0).any():
            self.refuse("it is compared again after it was compared with others")
        below = flat >= np.where(high == 0.0, 1.0, high)
        for at in np.flatnonzero((flat > ends[:, 0]) & ~below):
            # Of a number that stands there twice, the first comparison may decide the second.
            mine = self._ends[at if places is None else places[at]]
            below[at] = decide(self._run, self._what, mine, float(flat[at]), step)
        if turned:
            below = ~below & ~np.isnan(flat)
        return below.reshape(shape)[()]


#: What numbers have that is done by a :class:`.lazy_arrays.LazyArray`, or refused by it.
_WIDER = (
    "__array__", "__jax_array__", "__bool__", "__pow__", "__rpow__", "__rtruediv__", "__abs__",
    "__int__", "__floor__", "__ceil__", "__trunc__", "__pos__", "__format__", *REFUSED,
)  # fmt: skip


def _done_by_wider(name: str) -> Any:
    def operation(self: _UniformComparisons, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._wide(), name)(*args, **kwargs)

    return operation


for _name in _WIDER:
    setattr(_UniformComparisons, _name, _done_by_wider(_name))


def _refuse_in_place(self: _UniformComparisons, other: Any) -> Any:
    return self.refuse("in place") if self.shape else NotImplemented


for _name in ("__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__"):
    setattr(_UniformComparisons, _name, _refuse_in_place)


def uniform(
    run: Run, what: str, size: Any, low: float = 0.0, high: float = 1.0, dtype: Any = np.float64
) -> Any:
    """One number, or an array of them; a constant if there is nothing between the two ends.

    Args:
        size: None for one number; a whole number or a shape.
        dtype: of floats.

    Raises:
        UnsupportedDraw: in a run that samples.
    """
    if low == high:  # nothing is drawn
        return float(low) if size is None else np.full(size, float(low))
    if run.quadrature is not None and np.dtype(dtype) == np.float64:  # more than comparisons
        chain: Chain = (Factor(np.array(high - low)), Shift(np.array(low)))
        return draw(run, what, () if (low, high) == (0.0, 1.0) else chain, size)
    if np.dtype(dtype) != np.float64:
        return draw(run, what, (), size, dtype)
    if run.is_sampling:
        raise UnsupportedDraw(f"{what} draws uniform numbers, whose use is not known")
    run.memory[LAST] = what
    if size is None:
        return UniformNumber(run, what, [0.0, 0.0], low, high - low)
    shape = (size,) if np.ndim(size) == 0 else tuple(size)
    return UniformNumbers.of_shape(run, what, shape, low, high - low)
