"""What functions of PyTorch give for numbers that are not decided yet."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..lazy_arrays import LazyArray
from ..lazy_functions import (
    NoLaw,
    compare,
    compare_numbers,
    gather,
    order,
    put_together,
    round_down,
    sort_into,
    truncate,
)
from ..lazy_numbers import LazyNumbers
from .torch_integrated_rows import alike
from .torch_lazy_arithmetic import CONVERTING, ELEMENTWISE, PLACING, SAME, TensorArithmetic

#: A tensor of PyTorch.
Tensor = Any


def answer(
    torch: Any,
    name: str,
    func: Any,
    first: Tensor,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """What a function gives.

    Args:
        name: of the function, without what says that it is in place.
        first: a tensor among the arguments that is not decided.

    Raises:
        UnsupportedDraw: if it needs more than a comparison.
    """
    try:
        return Answers(torch, name, first).find(name, func, args, kwargs)
    except NoLaw:
        first.lazy.refuse(f"by torch's {name}")


class Answers(TensorArithmetic):
    """The same functions, and those that compare and order."""

    def find(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What it gives; refused if it is not known."""
        if name in SAME and len(args) == 1:
            return self._first
        if name in CONVERTING:
            return self._convert(name, args, kwargs)
        if name in PLACING:
            return self._place(func, args, kwargs)
        if name in ELEMENTWISE and len(args) == 1 and not kwargs:
            return self._elementwise(ELEMENTWISE[name])
        method = METHODS.get(name)
        if method is None or not _takes(method, len(args), tuple(kwargs)):
            raise NoLaw
        return method(self, *args, **kwargs)

    # --- comparisons

    def _compare(self, one: Any, other: Any, *, strict: bool, above: bool) -> Any:
        """Whether one is below another; ``above``, whether it is above."""
        if hasattr(one, "lazy") and hasattr(other, "lazy"):
            step = self._precision(self._first)
            found = compare_numbers(one.lazy, other.lazy, step, strict=strict, above=above)
        else:
            bounds = other if one is self._first else one
            # c < x is x > c.
            above = above is (one is self._first)
            step = self._precision(self._result_like(bounds))
            limits = self._plain(bounds)
            self.check_alike()
            found = compare(self._numbers, limits, step, strict=strict, above=above)
        return self._torch.from_numpy(np.asarray(found)).to(self._first.device)

    def lt(self, one: Any, other: Any) -> Any:
        """Less than."""
        return self._compare(one, other, strict=True, above=False)

    def le(self, one: Any, other: Any) -> Any:
        """At most."""
        return self._compare(one, other, strict=False, above=False)

    def gt(self, one: Any, other: Any) -> Any:
        """More than."""
        return self._compare(one, other, strict=True, above=True)

    def ge(self, one: Any, other: Any) -> Any:
        """At least."""
        return self._compare(one, other, strict=False, above=True)

    def searchsorted(
        self,
        edges: Any,
        value: Any,
        *,
        out_int32: bool = False,
        right: bool = False,
        side: Any = None,
    ) -> Any:
        """How many increasing bounds lie below each number: one row of them, or a row each."""
        if value is not self._first:
            raise NoLaw
        strict = right or side == "right"
        bounds = self._plain(edges)
        self.check_alike()
        found = sort_into(self._numbers, bounds, self._precision(edges), strict=strict)
        return self.whole_numbers(found, self._torch.int32 if out_int32 else None)

    def bucketize(
        self, value: Any, edges: Any, *, out_int32: bool = False, right: bool = False
    ) -> Any:
        """The same, in the other order."""
        return self.searchsorted(edges, value, out_int32=out_int32, right=right)

    def floor(self, one: Any) -> Any:
        """The whole number below each."""
        return self.whole_numbers(round_down(self._numbers), self._first.dtype)

    def int64(self, one: Any) -> Any:
        """As a whole number."""
        return self.whole_numbers(truncate(self._numbers))

    def int32(self, one: Any) -> Any:
        """As a whole number."""
        return self.whole_numbers(truncate(self._numbers), self._torch.int32)

    def number(self, one: Any) -> Any:
        """One number of Python's, that is as undecided."""
        if self._numbers.places.size != 1:
            raise NoLaw
        return LazyArray(self._numbers.rearrange(np.array(0)), is_python=True)

    def whole(self, one: Any) -> int:
        """A whole number of Python's."""
        if self._numbers.places.size != 1:
            raise NoLaw
        return int(truncate(self._numbers).reshape(-1)[0])

    # --- several together

    def stack(self, tensors: Sequence[Tensor], dim: int = 0) -> Any:
        """Several together, along a new axis."""
        return self._join(self._torch.stack, tensors, dim)

    def cat(self, tensors: Sequence[Tensor], dim: int = 0) -> Any:
        """Several together, along an axis."""
        return self._join(self._torch.cat, tensors, dim)

    def _join(self, how: Callable[..., Any], tensors: Sequence[Tensor], dim: int) -> Any:
        if not all(hasattr(each, "lazy") for each in tensors):
            raise NoLaw
        several, from_numpy = [each.lazy for each in tensors], self._torch.from_numpy
        return self._new(put_together(several, lambda places: how([*map(from_numpy, places)], dim)))

    def unbind(self, one: Any, dim: int = 0) -> Any:
        """Each along an axis."""
        places = np.arange(self._numbers.places.size).reshape(self._numbers.shape)
        rows = np.moveaxis(places, dim, 0)
        return tuple(self._new(self._numbers.rearrange(np.asarray(row))) for row in rows)

    # --- order

    def _ordered(self, dim: int | None, count: int | None, descending: bool) -> np.ndarray:
        step = self._precision(self._first)
        return order(self._numbers, dim, count, step, descending=descending)

    def argmax(self, one: Any, dim: Any = None, keepdim: bool = False, axis: Any = None) -> Any:
        """Where the largest is."""
        return self._extreme(axis if dim is None else dim, keepdim, True)

    def argmin(self, one: Any, dim: Any = None, keepdim: bool = False, axis: Any = None) -> Any:
        """Where the least is."""
        return self._extreme(axis if dim is None else dim, keepdim, False)

    def _extreme(self, dim: Any, keepdim: bool, largest: bool) -> Any:
        found = self._ordered(dim, 1, largest)[..., 0]
        if dim is None:
            found = found.reshape(())
            return self.whole_numbers(found.reshape((1,) * self._first.dim()) if keepdim else found)
        return self.whole_numbers(np.expand_dims(found, dim) if keepdim else found)

    def max(self, one: Any, dim: Any = None, keepdim: bool = False) -> Any:
        """The largest along an axis, which stays undecided, and where it is."""
        return self._valued("max", dim, keepdim, self.argmax)

    def min(self, one: Any, dim: Any = None, keepdim: bool = False) -> Any:
        """The same of the least."""
        return self._valued("min", dim, keepdim, self.argmin)

    def _valued(self, name: str, dim: Any, keepdim: bool, find: Callable[..., Any]) -> Any:
        if not isinstance(dim, int):
            raise NoLaw
        places = find(self._first, dim, True)
        values = self._gather(dim, places)
        if not keepdim:
            places, values = (
                places.squeeze(dim),
                self._new(
                    values.rearrange(
                        np.arange(values.places.size).reshape(tuple(places.squeeze(dim).shape))
                    )
                ),
            )
        else:
            values = self._new(values)
        return getattr(self._torch.return_types, name)((values, places))

    def _gather(self, dim: int, places: Tensor) -> LazyNumbers:
        return gather(self._numbers, np.asarray(alike(places).cpu()), dim)

    def topk(
        self, one: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
    ) -> Any:
        """The first of an order, and where they are."""
        if self._first.dim() and not 0 <= k <= self._first.shape[dim]:
            raise RuntimeError(f"topk: k = {k}, expected at most {self._first.shape[dim]}")
        places = self.whole_numbers(np.moveaxis(self._ordered(dim, k, largest), -1, dim))
        return self._torch.return_types.topk((self._new(self._gather(dim, places)), places))

    def sort(self, one: Any, dim: int = -1, descending: bool = False, stable: Any = None) -> Any:
        """All of it."""
        places = self.argsort(one, dim, descending)
        return self._torch.return_types.sort((self._new(self._gather(dim, places)), places))

    def argsort(self, one: Any, dim: int = -1, descending: bool = False, stable: Any = None) -> Any:
        """Where each is in order."""
        return self.whole_numbers(np.moveaxis(self._ordered(dim, None, descending), -1, dim))


@functools.cache
def _takes(method: Callable[..., Any], count: int, names: tuple[str, ...]) -> bool:
    """Whether a method can be called so."""
    try:
        inspect.signature(method).bind(*[None] * (1 + count), **dict.fromkeys(names))
    except TypeError:
        return False
    return True


#: Functions by PyTorch's names; those of the same name here first.
METHODS: dict[str, Callable[..., Any]] = {
    **{name: getattr(Answers, name) for name in (
        "add", "sub", "rsub", "mul", "div", "neg", "clamp", "clamp_min", "clamp_max", "lt", "le",
        "gt", "ge", "searchsorted", "bucketize", "floor", "argmax", "argmin", "max", "min", "topk",
        "sort", "argsort", "stack", "cat", "unbind", "abs", "sign", "relu",
    )},
    **{f"__{name}__": getattr(Answers, name) for name in (
        "add", "sub", "rsub", "mul", "neg", "lt", "le", "gt", "ge", "abs",
    )},
    "__radd__": Answers.add, "subtract": Answers.sub, "__rmul__": Answers.mul,
    "multiply": Answers.mul, "__truediv__": Answers.div, "true_divide": Answers.div,
    "divide": Answers.div, "negative": Answers.neg, "clip": Answers.clamp,
    "less": Answers.lt, "less_equal": Answers.le, "greater": Answers.gt,
    "greater_equal": Answers.ge, "concat": Answers.cat, "long": Answers.int64,
    "int": Answers.int32, "item": Answers.number, "__int__": Answers.whole,
    "__rtruediv__": lambda self, one, other: self.div(other, one),
    "absolute": Answers.abs, "sgn": Answers.sign,
    "__rdiv__": lambda self, one, other: self.div(other, one),
}  # fmt: skip
