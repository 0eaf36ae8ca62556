"""NumPy's functions of arrays that are not decided yet: those that place, order and sort into."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .gradients import array_of
from .lazy_functions import NoLaw, clip, gather, put_together, sort_into
from .lazy_functions import order as order_of
from .lazy_numbers import LazyNumbers
from .outcomes import precision_of

#: An array of which nothing is decided, of :mod:`.lazy_arrays`.
Array = Any

#: Functions that put entries in other places, or repeat them.
PLACING = frozenset((
    "reshape", "ravel", "squeeze", "expand_dims", "transpose", "moveaxis", "rollaxis", "swapaxes",
    "broadcast_to", "repeat", "tile", "flip", "fliplr", "flipud", "roll", "take", "atleast_1d",
    "atleast_2d", "diagonal", "compress", "delete", "matrix_transpose", "permute_dims", "copy",
    "take_along_axis", "rot90", "resize",
))  # fmt: skip

#: Functions that put several into one.
JOINING = frozenset((
    "stack", "concatenate", "concat", "vstack", "hstack", "dstack", "column_stack", "row_stack",
))  # fmt: skip

#: Functions that say something of an array, and nothing of its numbers.
DESCRIBING = frozenset((
    "shape", "ndim", "size", "zeros_like", "ones_like", "full_like", "empty_like", "result_type",
    "iscomplexobj", "isrealobj", "can_cast", "common_type", "min_scalar_type",
))  # fmt: skip


def answer(name: str, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a function gives: :class:`LazyNumbers`, or what is known.

    Raises:
        NoLaw: if it needs more than comparisons, or is not known.
    """
    if name in DESCRIBING:
        return function(*map(_stand_in, args), **{key: _stand_in(kwargs[key]) for key in kwargs})
    if name in PLACING:
        return _place(function, args, kwargs)
    if name in JOINING:
        return _join(function, *args, **kwargs)
    method = FUNCTIONS.get(name)
    if method is None or not _takes(method, len(args), tuple(kwargs)):
        raise NoLaw
    return method(*args, **kwargs)


def _stand_in(value: Any) -> Any:
    """An array of the same shape and type."""
    if hasattr(value, "lazy"):
        return np.broadcast_to(np.zeros((), value.dtype), value.shape)
    return value


@functools.cache
def _takes(method: Callable[..., Any], count: int, names: tuple[str, ...]) -> bool:
    """Whether a function can be called so."""
    try:
        inspect.signature(method).bind(*[None] * count, **dict.fromkeys(names))
    except TypeError:
        return False
    return True


def _place(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> LazyNumbers:
    numbers = _numbers(args[0] if args else None)
    others = (*args[1:], *kwargs.values())
    # Orders A and K depend on how an array lies in memory.
    if any(hasattr(each, "lazy") or (isinstance(each, str) and each in "AK") for each in others):
        raise NoLaw
    return numbers.rearrange(np.asarray(function(_places(args[0]), *args[1:], **kwargs)))


def _join(function: Any, arrays: Sequence[Array], *args: Any, **kwargs: Any) -> LazyNumbers:
    if not all(hasattr(each, "lazy") for each in arrays):
        raise NoLaw
    several = [each.lazy for each in arrays]
    return put_together(several, lambda places: function(places, *args, **kwargs))


def _places(array: Array) -> np.ndarray:
    """The place of each entry, in order."""
    return np.arange(array.size).reshape(array.shape)


def _numbers(array: Array) -> LazyNumbers:
    numbers: LazyNumbers | None = getattr(array, "lazy", None)
    if numbers is None:
        raise NoLaw
    return numbers


def known(value: Any) -> np.ndarray:
    """A copy of known numbers, in double precision.

    Raises:
        NoLaw: if they are none.
    """
    array = array_of(value)
    if array.dtype.kind not in "fiub":
        raise NoLaw
    return np.array(array, np.float64)  # a copy: it may be written to before it is compared with


def _argmax(a: Array, axis: int | None = None, out: Any = None, keepdims: bool = False) -> Any:
    return _extreme(a, axis, out, keepdims, True)


def _argmin(a: Array, axis: int | None = None, out: Any = None, keepdims: bool = False) -> Any:
    return _extreme(a, axis, out, keepdims, False)


def _extreme(a: Array, axis: Any, out: Any, keepdims: Any, largest: bool) -> np.ndarray:
    if out is not None or not (axis is None or isinstance(axis, int)):
        raise NoLaw
    if not a.size:
        raise ValueError("attempt to get argmax of an empty sequence")  # as NumPy does
    found = order_of(_numbers(a), axis, 1, a.precision, descending=largest)[..., 0]
    if axis is None:
        return found.reshape((1,) * a.ndim if keepdims is True else ())
    return np.expand_dims(found, axis) if keepdims is True else found


def _max(a: Array, axis: int | None = None, out: Any = None, keepdims: bool = False) -> Any:
    return _value(a, axis, out, keepdims, True)


def _min(a: Array, axis: int | None = None, out: Any = None, keepdims: bool = False) -> Any:
    return _value(a, axis, out, keepdims, False)


def _value(a: Array, axis: Any, out: Any, keepdims: Any, largest: bool) -> LazyNumbers:
    """The largest, which stays undecided."""
    places = _extreme(a, axis, out, True, largest)
    if axis is None:
        found = _numbers(a).rearrange(places)
        return found if keepdims is True else found.rearrange(np.array(0))
    found = gather(_numbers(a), places, axis)
    if keepdims is True:
        return found
    places = np.arange(found.places.size).reshape(found.shape)
    return found.rearrange(places.squeeze(axis))


def _argsort(a: Array, axis: int | None = -1, kind: Any = None, order: Any = None, **_: Any) -> Any:
    if order is not None:
        raise NoLaw
    found = order_of(_numbers(a), axis, None, a.precision, descending=False)
    return found.reshape(-1) if axis is None else np.moveaxis(found, -1, axis)


def _argpartition(
    a: Array, kth: Any, axis: int | None = -1, kind: Any = None, order: Any = None
) -> Any:
    """Those before the one in order, it, and those behind it; both in the order they have.

    Which order that is NumPy does not say.
    """
    if order is not None or np.ndim(kth) or axis is None or not a.size:
        raise NoLaw
    length, place = a.shape[axis], int(kth)
    if not -length <= place < length:
        raise ValueError(f"kth(={kth}) out of bounds ({length})")  # as NumPy does
    place %= length
    descending = _is_known_from_above(np.moveaxis(_places(a), axis, -1), a, 2 * place >= length)
    count = length - place if descending else place + 1
    first = order_of(_numbers(a), axis, count, a.precision, descending=descending)
    found = np.empty((*first.shape[:-1], length), np.int64)
    for at in np.ndindex(first.shape[:-1]):
        near, far = np.sort(first[at][:-1]), np.setdiff1d(np.arange(length), first[at])
        before, behind = (far, near) if descending else (near, far)
        found[at] = np.concatenate([before, first[at][-1:], behind])
    return np.moveaxis(found, -1, axis)


def _is_known_from_above(rows: np.ndarray, a: Array, is_nearer: bool) -> bool:
    """Whether the order of the largest is known; if that of the least is too, what is nearer."""
    row = _numbers(a).rearrange(rows.reshape(-1, rows.shape[-1])[0])
    from_above, from_below = (
        each.is_ordered_by_weights(a.precision) for each in (row, row.turned())
    )
    return is_nearer if from_above == from_below else from_above


def _searchsorted(a: Any, v: Array, side: str = "left", sorter: Any = None) -> np.ndarray:
    if sorter is not None or hasattr(a, "lazy"):
        raise NoLaw
    precision = max(v.precision, precision_of(array_of(a)))
    return sort_into(_numbers(v), known(a), precision, strict=side == "right")


def _digitize(x: Array, bins: Any, right: bool = False) -> np.ndarray:
    return _searchsorted(bins, x, "left" if right else "right")


def _clip(
    a: Array, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None,
    max: Any = None,
) -> LazyNumbers:  # fmt: skip
    low, high = a_min if min is None else min, a_max if max is None else max
    if out is not None or hasattr(low, "lazy") or hasattr(high, "lazy"):
        raise NoLaw
    return clip(
        _numbers(a),
        known(-np.inf if low is None else low),
        known(np.inf if high is None else high),
    )


def _broadcast_arrays(*arrays: Array) -> tuple[Array, ...]:
    shape = np.broadcast_shapes(*map(np.shape, arrays))
    return tuple(np.broadcast_to(each, shape) for each in arrays)


#: By NumPy's names.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "argmax": _argmax,
    "argmin": _argmin,
    "max": _max,
    "amax": _max,
    "min": _min,
    "amin": _min,
    "argsort": _argsort,
    "argpartition": _argpartition,
    "searchsorted": _searchsorted,
    "digitize": _digitize,
    "clip": _clip,
    "broadcast_arrays": _broadcast_arrays,
}
