"""What functions of PyTorch give for numbers that are not decided yet."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from ..lazy_numbers import LazyNumbers, join
from ..monotone import (
    FUNCTIONS,
    Clip,
    Factor,
    Known,
    Shift,
    Sum,
    clipped_at,
    falls,
    forward,
    with_all_affine,
)
from .torch_lazy import lazy_like

#: A tensor of PyTorch.
Tensor = Any

#: Functions of one tensor by PyTorch's name for them.
ELEMENTWISE = {
    **{name: name for name in ("exp", "log", "log1p", "expm1", "sqrt", "sigmoid", "tanh", "logit")},
    "special_expit": "sigmoid", "special_logit": "logit", "logsigmoid": "logsigmoid",
    "log_sigmoid": "logsigmoid", "special_ndtri": "ndtri", "reciprocal": "reciprocal",
}  # fmt: skip

#: Functions that put entries in other places, or repeat them; most share the memory.
PLACING = frozenset((
    "reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "transpose", "t", "permute",
    "swapaxes", "movedim", "expand", "expand_as", "view_as", "repeat", "__getitem__", "select",
    "narrow", "flip", "roll", "T", "mT", "index_select", "clone", "contiguous", "detach", "ravel",
    "data", "diagonal",
))  # fmt: skip

#: Functions that leave a tensor as it is.
SAME = frozenset(("detach_", "requires_grad_"))

#: Functions that make another type of it.
CONVERTING = ("to", "type_as", "double", "float", "half", "bfloat16", "type", "cpu", "cuda")


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
    return _Answers(torch, name, first).find(name, func, args, kwargs)


class _Answers:
    """One function of PyTorch, of a tensor that is not decided."""

    def __init__(self, torch: Any, name: str, first: Tensor) -> None:
        self._torch, self._called, self._first = torch, name, first
        self._numbers: LazyNumbers = first.lazy

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
            self._refuse()
        return method(self, *args, **kwargs)

    def _refuse(self) -> NoReturn:
        self._numbers.refuse(f"by torch's {self._called}")

    def _new(self, numbers: LazyNumbers, like: Tensor | None = None) -> Tensor:
        return lazy_like(self._torch, numbers, self._first if like is None else like, answer)

    def _plain(self, value: Any) -> np.ndarray:
        """The numbers of what it is put together with."""
        if hasattr(value, "lazy"):
            self._refuse()
        if isinstance(value, np.ndarray):
            return np.array(value, np.float64)
        if isinstance(value, self._torch.Tensor):
            plain = _without_gradients(self._torch, value)
            if plain is None:
                self._refuse()
            # A copy: it may be written to before these numbers are compared, and PyTorch notes
            # of memory that NumPy has seen it.
            return np.asarray(plain.detach().double().cpu().clone().numpy())
        return np.asarray(float(value))

    def _together(self, other: Any) -> tuple[LazyNumbers, np.ndarray, Tensor]:
        """The numbers and others, in one shape; and a tensor of the type that comes out."""
        plain = self._plain(other)
        shape = np.broadcast_shapes(self._numbers.shape, plain.shape)
        kind = self._torch.result_type(self._like((1,) * len(self._numbers.shape)), other)
        like = self._torch.empty((), dtype=kind, device=self._first.device)
        return self._numbers.spread(shape), np.broadcast_to(plain, shape), like

    def _like(self, shape: Any = ()) -> Tensor:
        """A plain tensor of the same type."""
        return self._torch.zeros(shape, dtype=self._first.dtype, device=self._first.device)

    def _convert(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(hasattr(each, "lazy") for each in (*args[1:], *kwargs.values())):
            self._refuse()
        like = getattr(self._like(), name)(*args[1:], **kwargs)
        if not isinstance(like, self._torch.Tensor):  # type() is asked for a name
            return like
        if like.is_complex() or like.dtype is self._torch.bool:
            self._refuse()
        if not like.is_floating_point():
            return self.truncated(like.dtype)
        self._first.is_shared = True  # where nothing is to be converted, it is the same tensor
        found = self._new(self._numbers, like)
        found.is_shared = True
        return found

    def _place(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        order = self._torch.arange(self._numbers.places.size).reshape(self._numbers.shape)
        given = [order if each is self._first else each for each in args]
        if any(
            hasattr(each, "lazy") or isinstance(each, self._torch.dtype)  # it reads other numbers
            for each in (*given, *kwargs.values())
        ):
            self._refuse()
        found = self._new(self._numbers.rearrange(np.asarray(func(*given, **kwargs))))
        if self._called != "clone":
            self._first.is_shared = found.is_shared = True
        return found

    def _elementwise(self, name: str) -> Any:
        if not self._numbers.lie_between(FUNCTIONS[name].start, FUNCTIONS[name].end):
            self._refuse()
        found = self._numbers.then(Known(name))
        if not np.isfinite(_inside(found)).all():
            self._refuse()
        return self._new(found)

    # --- sums and products

    def add(self, one: Any, other: Any, *, alpha: Any = 1) -> Any:
        """A number is added, or the same numbers in another function."""
        if hasattr(one, "lazy") and hasattr(other, "lazy"):
            return self._sum(one, other, float(alpha))
        numbers, by, like = self._together(one if other is self._first else other)
        if other is self._first:
            return self._shift(numbers, float(alpha), by, like)
        return self._shift(numbers, 1.0, by * float(alpha), like)

    def sub(self, one: Any, other: Any, *, alpha: Any = 1) -> Any:
        """One minus the other."""
        if hasattr(one, "lazy") and hasattr(other, "lazy"):
            return self._sum(one, other, -float(alpha))
        numbers, by, like = self._together(one if other is self._first else other)
        if other is self._first:
            return self._shift(numbers, -float(alpha), by, like)
        return self._shift(numbers, 1.0, -by * float(alpha), like)

    def rsub(self, one: Any, other: Any, *, alpha: Any = 1) -> Any:
        """The other minus one."""
        return self.sub(other, one, alpha=alpha)

    def _shift(self, numbers: LazyNumbers, times: float, by: np.ndarray, like: Tensor) -> Any:
        if times == 0.0 or not math.isfinite(times) or np.isnan(by).any():
            self._refuse()
        scaled = numbers if times == 1.0 else numbers.then(Factor(np.full(numbers.shape, times)))
        return self._new(scaled.then(Shift(by)), like)

    def _sum(self, one: Any, other: Any, sign: float) -> Any:
        a, b = one.lazy, other.lazy
        if not a.are_same(b) or sign == 0.0 or not math.isfinite(sign):
            self._refuse()
        b = b.then(Factor(np.full(b.shape, sign)))
        if np.any(falls(a.chain) != falls(b.chain)):
            self._refuse()
        return self._new(LazyNumbers(a.drawn, a.places, (Sum(a.chain, b.chain),)))

    def mul(self, one: Any, other: Any) -> Any:
        """Times a number that is not zero."""
        numbers, by, like = self._together(one if other is self._first else other)
        return self._scale(numbers, by, like)

    def div(self, one: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
        """Divided by such a number, or that divided by these."""
        if rounding_mode is not None:
            self._refuse()
        if other is self._first:
            if not self._numbers.are_positive:
                self._refuse()
            numbers, by, like = self._together(one)
            return self._scale(numbers.then(Known("reciprocal")), by, like)
        numbers, by, like = self._together(other)
        with np.errstate(all="ignore"):
            return self._scale(numbers, 1.0 / by, like)

    def _scale(self, numbers: LazyNumbers, by: np.ndarray, like: Tensor) -> Any:
        if not ((by != 0.0) & np.isfinite(by)).all():
            self._refuse()
        return self._new(numbers.then(Factor(by)), like)

    def neg(self, one: Any) -> Any:
        """Minus these."""
        return self._new(self._numbers.then(Factor(np.full(self._numbers.shape, -1.0))))

    def clamp(self, one: Any, min: Any = None, max: Any = None) -> Any:
        """Not below a number, nor above another."""
        low = self._plain(-math.inf if min is None else min)
        high = self._plain(math.inf if max is None else max)
        shape = np.broadcast_shapes(self._numbers.shape, low.shape, high.shape)
        if np.isnan(low).any() or np.isnan(high).any():
            self._refuse()
        step = Clip(np.broadcast_to(low, shape), np.broadcast_to(high, shape))
        return self._new(self._numbers.spread(shape).then(step))

    def clamp_min(self, one: Any, min: Any) -> Any:
        """Not below a number."""
        return self.clamp(one, min)

    def clamp_max(self, one: Any, max: Any) -> Any:
        """Not above a number."""
        return self.clamp(one, None, max)

    # --- comparisons

    def _compare(self, one: Any, other: Any, *, strict: bool, turned: bool) -> Any:
        """Whether one is below another; ``turned``, whether it is above."""
        if hasattr(one, "lazy") and hasattr(other, "lazy"):
            return self._compare_lazy(one.lazy, other.lazy, strict=strict, turned=turned)
        is_first = one is self._first
        numbers, bounds, like = self._together(other if is_first else one)
        precision = self._precision(like)
        # x > c is what x <= c is not; and c < x is x > c.
        below = is_first is not turned
        found = numbers.below(bounds, precision, strict=strict is below)
        found = found if below else ~found & ~np.isnan(bounds)
        return self._torch.from_numpy(np.asarray(found)).to(self._first.device)

    def _compare_lazy(
        self, one: LazyNumbers, other: LazyNumbers, *, strict: bool, turned: bool
    ) -> Any:
        """The same of two that are not decided."""
        shape = np.broadcast_shapes(one.shape, other.shape)
        both = join([one.spread(shape), other.spread(shape)])
        count = math.prod(shape)
        pairs = np.stack([np.arange(count), np.arange(count) + count], axis=1)
        # Of equal ones the first counts as the larger: so the one that is, if they are equal.
        is_reversed = strict is turned and clipped_at(both.chain).size > 0
        pairs = pairs[:, ::-1] if is_reversed else pairs
        precision = self._precision(self._first)
        larger = [both.rearrange(pair).order(1, precision)[0] for pair in pairs]
        asked = 0 if turned is not is_reversed else 1
        found = np.array(larger, np.int64).reshape(shape) == asked
        return self._torch.from_numpy(np.asarray(found)).to(self._first.device)

    def stack(self, tensors: Sequence[Tensor], dim: int = 0) -> Any:
        """Several together, along a new axis."""
        return self._join(self._torch.stack, tensors, dim)

    def cat(self, tensors: Sequence[Tensor], dim: int = 0) -> Any:
        """Several together, along an axis."""
        return self._join(self._torch.cat, tensors, dim)

    def _join(self, how: Callable[..., Any], tensors: Sequence[Tensor], dim: int) -> Any:
        if not all(hasattr(each, "lazy") for each in tensors):
            self._refuse()
        order, start = [], 0
        for each in tensors:
            count = each.lazy.places.size
            order.append(self._torch.arange(start, start + count).reshape(each.lazy.shape))
            start += count
        joined = join([each.lazy for each in tensors])
        return self._new(joined.rearrange(np.asarray(how(order, dim))))

    def _precision(self, like: Tensor) -> float:
        return float(self._torch.finfo(like.dtype).eps) if like.is_floating_point() else 0.0

    def lt(self, one: Any, other: Any) -> Any:
        """Less than."""
        return self._compare(one, other, strict=True, turned=False)

    def le(self, one: Any, other: Any) -> Any:
        """At most."""
        return self._compare(one, other, strict=False, turned=False)

    def gt(self, one: Any, other: Any) -> Any:
        """More than."""
        return self._compare(one, other, strict=True, turned=True)

    def ge(self, one: Any, other: Any) -> Any:
        """At least."""
        return self._compare(one, other, strict=False, turned=True)

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
            self._refuse()
        strict = right or side == "right"
        bounds, numbers = self._plain(edges), self._numbers
        if not (np.diff(bounds) >= 0.0).all():
            self._refuse()
        rows = (
            np.broadcast_to(bounds, (*numbers.shape[:-1], bounds.shape[-1]))
            if bounds.ndim > 1
            else None
        )
        found = np.zeros(numbers.places.size, np.int64)
        for place in range(found.size):
            alone = numbers.rearrange(np.array(place))
            at = np.unravel_index(place, numbers.shape)
            own = bounds if rows is None else rows[at[:-1]]
            found[place] = alone.cell(own.tolist(), self._precision(edges), strict=strict)
        return self._places(found.reshape(numbers.shape), self._torch.int32 if out_int32 else None)

    def bucketize(
        self, value: Any, edges: Any, *, out_int32: bool = False, right: bool = False
    ) -> Any:
        """The same, in the other order."""
        return self.searchsorted(edges, value, out_int32=out_int32, right=right)

    def floor(self, one: Any) -> Any:
        """The whole number below each."""
        return self._places(self._whole(), self._first.dtype)

    def truncated(self, dtype: Any) -> Any:
        """The whole number nearer to zero, of numbers that are not negative."""
        if not self._numbers.are_positive:
            self._refuse()
        return self._places(self._whole(), dtype)

    def int64(self, one: Any) -> Any:
        """As a whole number."""
        return self.truncated(self._torch.int64)

    def int32(self, one: Any) -> Any:
        """As a whole number."""
        return self.truncated(self._torch.int32)

    def _whole(self) -> np.ndarray:
        numbers = self._numbers
        low, high = numbers.ends()
        if not (np.isfinite(low) & np.isfinite(high)).all():
            self._refuse()
        found = np.array(np.floor(low))
        for place in range(found.size):
            at = np.unravel_index(place, found.shape)
            alone = numbers.rearrange(np.array(place))
            edges = range(int(found[at]) + 1, math.floor(high[at]) + 1)
            found[at] += alone.cell(edges, 0.0)
        return found

    def _places(self, found: np.ndarray, dtype: Any = None) -> Tensor:
        made = self._torch.from_numpy(np.asarray(found)).to(self._first.device)
        return made.to(self._torch.int64 if dtype is None else dtype)

    # --- order

    def _ordered(self, dim: int | None, count: int | None, descending: bool) -> np.ndarray:
        """The places of the largest along an axis, or of the least; in order, on the last."""
        numbers = self._numbers
        order = np.arange(numbers.places.size).reshape(numbers.shape)
        rows = (
            order.reshape(-1)[None] if dim is None else np.moveaxis(np.atleast_1d(order), dim, -1)
        )
        flat = rows.reshape(-1, rows.shape[-1])
        found = []
        for row in flat:
            some = numbers.rearrange(row)
            some = some if descending else some.then(Factor(np.full(some.shape, -1.0)))
            found.append(
                some.order(len(row) if count is None else count, self._precision(self._first))
            )
        return np.array(found, np.int64).reshape(*rows.shape[:-1], -1)

    def unbind(self, one: Any, dim: int = 0) -> Any:
        """Each along an axis."""
        order = np.arange(self._numbers.places.size).reshape(self._numbers.shape)
        rows = np.moveaxis(order, dim, 0)
        return tuple(self._new(self._numbers.rearrange(np.asarray(row))) for row in rows)

    def number(self, one: Any) -> Any:
        """One number of Python's, that is as undecided."""
        numbers = self._numbers
        if numbers.places.size != 1:
            self._refuse()
        alone = numbers.rearrange(np.zeros(1, np.int64))
        links: list[Any] = [*with_all_affine(alone.chain, 1)]
        if len(links) > 2:  # there is more than one factor and one shift
            self._refuse()
        span, offset = (float(link.by[0]) for link in links)
        return numbers.drawn.number(int(alone.places[0]), offset, span)

    def whole(self, one: Any) -> int:
        """A whole number of Python's."""
        if self._numbers.places.size != 1:
            self._refuse()
        return int(self.truncated(self._torch.int64))

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
            return self._places(found.reshape((1,) * self._first.dim()) if keepdim else found)
        return self._places(np.expand_dims(found, dim) if keepdim else found)

    def max(self, one: Any, dim: Any = None, keepdim: bool = False) -> Any:
        """The largest along an axis, which stays undecided, and where it is."""
        return self._valued("max", dim, keepdim, self.argmax)

    def min(self, one: Any, dim: Any = None, keepdim: bool = False) -> Any:
        """The same of the least."""
        return self._valued("min", dim, keepdim, self.argmin)

    def _valued(self, name: str, dim: Any, keepdim: bool, find: Callable[..., Any]) -> Any:
        if not isinstance(dim, int):
            self._refuse()
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
        order = np.arange(self._numbers.places.size).reshape(self._numbers.shape)
        return self._numbers.rearrange(np.take_along_axis(order, np.asarray(places.cpu()), dim))

    def topk(
        self, one: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
    ) -> Any:
        """The first of an order, and where they are."""
        if self._first.dim() and not 0 <= k <= self._first.shape[dim]:
            raise RuntimeError(f"topk: k = {k}, expected at most {self._first.shape[dim]}")
        places = self._places(np.moveaxis(self._ordered(dim, k, largest), -1, dim))
        return self._torch.return_types.topk((self._new(self._gather(dim, places)), places))

    def sort(self, one: Any, dim: int = -1, descending: bool = False, stable: Any = None) -> Any:
        """All of it."""
        places = self.argsort(one, dim, descending)
        return self._torch.return_types.sort((self._new(self._gather(dim, places)), places))

    def argsort(self, one: Any, dim: int = -1, descending: bool = False, stable: Any = None) -> Any:
        """Where each is in order."""
        return self._places(np.moveaxis(self._ordered(dim, None, descending), -1, dim))


def _without_gradients(torch: Any, value: Tensor) -> Tensor | None:
    """A tensor as it is outside of ``torch.func.grad``; None within ``vmap``."""
    functions = torch._C._functorch
    while functions.is_gradtrackingtensor(value):
        value = functions.get_unwrapped(value)
    return None if functions.is_functorch_wrapped_tensor(value) else value


@functools.cache
def _takes(method: Callable[..., Any], count: int, names: tuple[str, ...]) -> bool:
    """Whether a method can be called so."""
    try:
        inspect.signature(method).bind(*[None] * (1 + count), **dict.fromkeys(names))
    except TypeError:
        return False
    return True


def _inside(numbers: LazyNumbers) -> np.ndarray:
    """What the numbers are in the middle of what they lie between."""
    low, high = numbers.drawn.between(numbers.places)
    return forward(numbers.chain, 0.5 * (low + high))


#: Functions by PyTorch's names; those of the same name here first.
METHODS: dict[str, Callable[..., Any]] = {
    **{name: getattr(_Answers, name) for name in (
        "add", "sub", "rsub", "mul", "div", "neg", "clamp", "clamp_min", "clamp_max", "lt", "le",
        "gt", "ge", "searchsorted", "bucketize", "floor", "argmax", "argmin", "max", "min", "topk",
        "sort", "argsort", "stack", "cat", "unbind",
    )},
    **{f"__{name}__": getattr(_Answers, name) for name in (
        "add", "sub", "rsub", "mul", "neg", "lt", "le", "gt", "ge",
    )},
    "__radd__": _Answers.add, "subtract": _Answers.sub, "__rmul__": _Answers.mul,
    "multiply": _Answers.mul, "__truediv__": _Answers.div, "true_divide": _Answers.div,
    "divide": _Answers.div, "negative": _Answers.neg, "clip": _Answers.clamp,
    "less": _Answers.lt, "less_equal": _Answers.le, "greater": _Answers.gt,
    "greater_equal": _Answers.ge, "concat": _Answers.cat, "long": _Answers.int64,
    "int": _Answers.int32, "item": _Answers.number, "__int__": _Answers.whole,
    "__rtruediv__": lambda self, one, other: self.div(other, one),
    "__rdiv__": lambda self, one, other: self.div(other, one),
}  # fmt: skip
