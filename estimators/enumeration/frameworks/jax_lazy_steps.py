"""What JAX's primitives give for numbers that are not decided yet, by their names.

Each leaves them a monotone function of what was drawn, puts them in other places, or compares them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import lazy_ufuncs
from ..lazy_functions import (
    NoLaw,
    clip,
    elementwise,
    gather,
    order,
    power,
    put_together,
    scale,
    shift,
    truncate,
)
from ..lazy_numbers import LazyNumbers
from ..monotone import clipped_at, is_same_chain
from .jax_primitive import Array

#: Of numbers one by one, by NumPy's names for them.
ENTRYWISE = {
    **{name: name for name in (
        "add", "exp", "exp2", "expm1", "floor", "ceil", "log", "log1p", "sign", "sqrt", "square",
        "tanh",
    )},
    "abs": "absolute", "add_any": "add", "div": "divide", "logistic": "expit", "max": "maximum",
    "min": "minimum", "mul": "multiply", "neg": "negative", "pow": "power", "sub": "subtract",
}  # fmt: skip

COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "lt_to": "less", "le_to": "less_equal",
}  # fmt: skip

#: Those in the order of which numbers come before those that are none.
TOTAL = ("lt_to", "le_to")

#: Those that leave numbers as they are.
KEEPING = frozenset(
    {"copy", "copy_p", "device_put", "optimization_barrier", "stop_gradient", "name", "pvary"}
    | {"sharding_constraint", "reshard"}
)

#: Those that put numbers in other places, or repeat them.
PLACING = frozenset(
    {"broadcast_in_dim", "dynamic_slice", "expand_dims", "gather", "reshape", "rev", "slice"}
    | {"split", "squeeze", "tile", "transpose", "unstack"}
)


class PrimitiveCall(NamedTuple):
    """A step: its arguments, numbers that are not decided or known ones; types; parameters."""

    jax: Any
    primitive: Any
    arguments: Sequence[LazyNumbers | Array]
    kinds: Sequence[Any]
    params: dict[str, Any]

    @property
    def precision(self) -> float:
        """The step from 1 to the next number, of the coarsest type of floats among them."""
        numpy = self.jax.numpy
        floats = [each for each in self.kinds if numpy.issubdtype(each, numpy.floating)]
        return max(float(numpy.finfo(each).eps) for each in floats)

    def numbers(self, place: int = 0) -> LazyNumbers:
        """An argument that is not decided.

        Raises:
            NoLaw: if it is known.
        """
        found = self.arguments[place]
        if not isinstance(found, LazyNumbers):
            raise NoLaw
        return found

    def operands(self) -> list[LazyNumbers | np.ndarray]:
        """All arguments, with known numbers in double precision."""
        return [each if isinstance(each, LazyNumbers) else _known(each) for each in self.arguments]


#: Results: numbers that are not decided or known ones, each with its type.
Results = list[tuple[LazyNumbers | Array, Any]]


def answer(
    jax: Any,
    primitive: Any,
    arguments: Sequence[LazyNumbers | Array],
    kinds: Sequence[Any],
    params: dict[str, Any],
) -> Results:
    """What a step gives.

    Args:
        kinds: types of the arguments.

    Raises:
        NoLaw: if that is no monotone function of what was drawn, or not known.
        UnsupportedDraw: for a comparison that has no known law.
    """
    name, step = primitive.name, PrimitiveCall(jax, primitive, arguments, kinds, params)
    if name in COMPARISONS:
        return [(_compare(step, name), bool)]
    if name in ENTRYWISE:
        kind = next(
            kind
            for each, kind in zip(arguments, kinds, strict=True)
            if isinstance(each, LazyNumbers)
        )
        return [(lazy_ufuncs.answer(ENTRYWISE[name], step.operands(), step.precision), kind)]
    if name in KEEPING:
        return list(zip(arguments, kinds, strict=True))
    if name in PLACING:
        return _place(step)
    if name not in RULES:
        raise NoLaw
    return RULES[name](step)


def _known(value: Array) -> np.ndarray:
    return np.asarray(value).astype(np.float64)


def _compare(step: PrimitiveCall, name: str) -> Any:
    operands = step.operands()
    if name in TOTAL:
        operands = [
            each if isinstance(each, LazyNumbers) else np.where(np.isnan(each), math.inf, each)
            for each in operands
        ]
    return lazy_ufuncs.answer(COMPARISONS[name], operands, step.precision)


def _place(step: PrimitiveCall) -> Results:
    """By where each entry comes from: the same step, of places."""
    numbers, params = step.numbers(), dict(step.params)
    if any(isinstance(each, LazyNumbers) for each in step.arguments[1:]):
        raise NoLaw
    if params.get("fill_value") is not None:
        params["fill_value"] = -1  # which is none of the places
    count = numbers.places.size
    places = step.jax.numpy.arange(count, dtype=np.int32).reshape(numbers.shape)
    found = step.primitive.bind(places, *step.arguments[1:], **params)
    results: Results = []
    for each in found if step.primitive.multiple_results else [found]:
        where = np.asarray(each)
        if ((where < 0) | (where >= count)).any():
            raise NoLaw  # something else is put there
        results.append((numbers.rearrange(where), step.kinds[0]))
    return results


def _join(step: PrimitiveCall) -> Results:
    if not all(isinstance(each, LazyNumbers) for each in step.arguments):
        raise NoLaw

    def put(places: list[np.ndarray]) -> np.ndarray:
        return np.asarray(step.primitive.bind(*map(step.jax.numpy.asarray, places), **step.params))

    several = [step.numbers(place) for place in range(len(step.arguments))]
    return [(put_together(several, put), step.kinds[0])]


def _convert(step: PrimitiveCall) -> Results:
    kind, numpy = step.params["new_dtype"], step.jax.numpy
    if numpy.issubdtype(kind, numpy.floating):
        return [(step.numbers(), kind)]
    if not numpy.issubdtype(kind, numpy.integer):
        raise NoLaw
    return [(truncate(step.numbers()), kind)]


def _select(step: PrimitiveCall) -> Results:
    """From several, entry by entry, as a known first argument says."""
    cases = step.arguments[1:]
    lazy = [place for place, each in enumerate(cases) if isinstance(each, LazyNumbers)]
    first, kind = step.numbers(1 + lazy[0]), step.kinds[1 + lazy[0]]
    which = np.broadcast_to(np.asarray(step.arguments[0]).astype(np.int64), first.shape)
    is_lazy = np.isin(which, lazy)
    known = [np.zeros(()) if isinstance(each, LazyNumbers) else _known(each) for each in cases]
    values = np.choose(which, known)
    if not is_lazy.any():
        return [(values, kind)]
    if len(lazy) > 1:
        if not is_lazy.all():
            raise NoLaw
        rows = np.searchsorted(lazy, which)
        several = [step.numbers(1 + place) for place in lazy]
        return [(put_together(several, lambda places: np.choose(rows, places)), kind)]
    # Where a known one is put, it is what all numbers are clipped to.
    low, high = (np.where(is_lazy, end, values) for end in (-math.inf, math.inf))
    return [(first if is_lazy.all() else clip(first, low, high), kind)]


def _equal(step: PrimitiveCall) -> Results:
    """Whether numbers are 0, or themselves, as JAX asks of what it searches for."""
    one, other = step.operands()
    is_same = (
        isinstance(one, LazyNumbers)
        and isinstance(other, LazyNumbers)
        and one.are_same(other)
        and is_same_chain(one.chain, other.chain)
    )
    numbers = one if isinstance(one, LazyNumbers) else step.numbers(1)
    if not is_same:
        known = [each for each in (one, other) if not isinstance(each, LazyNumbers)]
        if not known or known[0].any() or clipped_at(numbers.chain).size:
            raise NoLaw
    found = np.full(numbers.shape, is_same)
    return [(found if step.primitive.name == "eq" else ~found, bool)]


def _extreme_place(step: PrimitiveCall) -> Results:
    (axis,) = step.params["axes"]
    largest = step.primitive.name == "argmax"
    places = order(step.numbers(), axis, 1, step.precision, descending=largest)[..., 0]
    return [(places, step.params["index_dtype"])]


def _extreme(step: PrimitiveCall) -> Results:
    """The largest or the least along some axes, which stays undecided."""
    numbers, axes = step.numbers(), sorted(step.params["axes"])
    largest = step.primitive.name == "reduce_max"
    kept = [axis for axis in range(len(numbers.shape)) if axis not in axes]
    places = np.arange(numbers.places.size).reshape(numbers.shape).transpose(*kept, *axes)
    rows = places.reshape(*(numbers.shape[axis] for axis in kept), -1)
    found = order(numbers.rearrange(rows), -1, 1, step.precision, descending=largest)
    chosen = np.take_along_axis(rows, found.reshape(*rows.shape[:-1], 1), -1)[..., 0]
    return [(numbers.rearrange(chosen), step.kinds[0])]


def _top(step: PrimitiveCall) -> Results:
    numbers, count = step.numbers(), step.params["k"]
    axis = step.params.get("axis", -1)
    places = order(numbers, axis, count, step.precision, descending=True)
    places = np.moveaxis(places, -1, axis)
    return [(gather(numbers, places, axis), step.kinds[0]), (places, np.int32)]


def _sort(step: PrimitiveCall) -> Results:
    """Several arrays in the order of the first."""
    axis = step.params["dimension"]
    if step.params["num_keys"] != 1:
        raise NoLaw
    places = order(step.numbers(), axis, None, step.precision, descending=False)
    places = np.moveaxis(places, -1, axis)
    return [
        (
            gather(each, places, axis)
            if isinstance(each, LazyNumbers)
            else np.take_along_axis(np.asarray(each), places, axis),
            kind,
        )
        for each, kind in zip(step.arguments, step.kinds, strict=True)
    ]


def _clamp(step: PrimitiveCall) -> Results:
    low, _, high = step.operands()
    if isinstance(low, LazyNumbers) or isinstance(high, LazyNumbers):
        raise NoLaw
    return [(clip(step.numbers(1), low, high), step.kinds[1])]


def _power(step: PrimitiveCall) -> Results:
    exponent = step.params.get("y", -0.5)  # of integer_pow, and of rsqrt
    return [(power(step.numbers(), np.array(float(exponent))), step.kinds[0])]


def _normal_share(step: PrimitiveCall) -> Results:
    """erf(x) is 2 Φ(√2 x) - 1, and erfc(x) is 2 Φ(-√2 x)."""
    is_error = step.primitive.name == "erf"
    by = math.sqrt(2.0) if is_error else -math.sqrt(2.0)
    found = scale(elementwise(scale(step.numbers(), np.array(by)), "ndtr"), np.array(2.0))
    return [(shift(found, np.array(-1.0)) if is_error else found, step.kinds[0])]


def _normal_quantile(step: PrimitiveCall) -> Results:
    share = scale(shift(step.numbers(), np.array(1.0)), np.array(0.5))
    return [(scale(elementwise(share, "ndtri"), np.array(math.sqrt(0.5))), step.kinds[0])]


#: By names of primitives.
RULES: dict[str, Callable[[PrimitiveCall], Results]] = {
    "argmax": _extreme_place,
    "argmin": _extreme_place,
    "clamp": _clamp,
    "concatenate": _join,
    "convert_element_type": _convert,
    "eq": _equal,
    "erf": _normal_share,
    "erf_inv": _normal_quantile,
    "erfc": _normal_share,
    "integer_pow": _power,
    "ne": _equal,
    "reduce_max": _extreme,
    "reduce_min": _extreme,
    "rsqrt": _power,
    "select_n": _select,
    "sort": _sort,
    "stack": _join,
    "top_k": _top,
}
