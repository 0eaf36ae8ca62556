"""Arithmetic of PyTorch's tensors that are not decided yet, and their shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..lazy_functions import (
    NoLaw,
    absolute,
    add,
    clip,
    divide,
    elementwise,
    negate,
    scale,
    shift,
    sign,
    truncate,
)
from ..lazy_numbers import LazyNumbers
from ..of_rows import OfRows
from .torch_integrated_rows import alike, are_alike, rows_under_way
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


class TensorArithmetic:
    """One function of PyTorch, of a tensor that is not decided.

    Args:
        name: of the function, without what says that it is in place.
        first: a tensor among the arguments that is not decided.
    """

    def __init__(self, torch: Any, name: str, first: Tensor) -> None:
        self._torch, self._called, self._first = torch, name, first
        self._numbers: LazyNumbers = first.lazy
        #: Whether what it is put together with is another number in each row of a block.
        self._is_of_rows = False

    def _new(self, numbers: LazyNumbers, like: Tensor | None = None) -> Tensor:
        like = self._first if like is None else like
        numbers = numbers.then(OfRows()) if self._is_of_rows else numbers
        return lazy_like(self._torch, numbers, like, self._first.answer)

    def _plain(self, value: Any) -> np.ndarray:
        """The numbers of what it is put together with; in many rows, those of the first."""
        if hasattr(value, "lazy"):
            raise NoLaw
        if isinstance(value, np.ndarray):
            return np.array(value, np.float64)
        rows = rows_under_way()
        if rows is not None and isinstance(value, self._torch.Tensor) and rows.has_rows(value):
            each = rows.numbers(value)
            self._is_of_rows |= not are_alike(each, self._precision(value))
            return np.array(each[0])
        if isinstance(value, self._torch.Tensor):
            plain = _without_gradients(self._torch, value)
            if plain is None:
                raise NoLaw
            # A copy: it may be written to before these numbers are compared, and PyTorch notes
            # of memory that NumPy has seen it.
            return np.asarray(plain.detach().double().cpu().clone().numpy())
        return np.asarray(float(value))

    def check_alike(self) -> None:
        """Raises: NotBatchable if each row compares it with another number."""
        if self._is_of_rows:
            self._numbers.drawn.refuse_rows("a number is compared with another one on each path")

    def _precision(self, like: Tensor) -> float:
        return float(self._torch.finfo(like.dtype).eps) if like.is_floating_point() else 0.0

    def _result_like(self, other: Any) -> Tensor:
        """A tensor of the type that comes out of these and others."""
        kind = self._torch.result_type(self._like((1,) * len(self._numbers.shape)), other)
        return self._torch.empty((), dtype=kind, device=self._first.device)

    def _like(self, shape: Any = ()) -> Tensor:
        """A plain tensor of the same type."""
        return self._torch.zeros(shape, dtype=self._first.dtype, device=self._first.device)

    def _convert(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(hasattr(each, "lazy") for each in (*args[1:], *kwargs.values())):
            raise NoLaw
        like = getattr(self._like(), name)(*args[1:], **kwargs)
        if not isinstance(like, self._torch.Tensor):  # type() is asked for a name
            return like
        if like.is_complex() or like.dtype is self._torch.bool:
            raise NoLaw
        if not like.is_floating_point():
            return self.whole_numbers(truncate(self._numbers), like.dtype)
        self._first.is_shared = True  # where nothing is to be converted, it is the same tensor
        found = self._new(self._numbers, like)
        found.is_shared = True
        return found

    def _place(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        order = self._torch.arange(self._numbers.places.size).reshape(self._numbers.shape)
        given = [order if each is self._first else alike(each) for each in args]
        kwargs = {key: alike(each) for key, each in kwargs.items()}
        if any(
            hasattr(each, "lazy") or isinstance(each, self._torch.dtype)  # it reads other numbers
            for each in (*given, *kwargs.values())
        ):
            raise NoLaw
        found = self._new(self._numbers.rearrange(np.asarray(func(*given, **kwargs))))
        if self._called != "clone":
            self._first.is_shared = found.is_shared = True
        return found

    def _elementwise(self, name: str) -> Any:
        return self._new(elementwise(self._numbers, name))

    def whole_numbers(self, found: np.ndarray, dtype: Any = None) -> Tensor:
        """A tensor of numbers that are decided."""
        made = self._torch.from_numpy(np.asarray(found)).to(self._first.device)
        return made.to(self._torch.int64 if dtype is None else dtype)

    def add(self, one: Any, other: Any, *, alpha: Any = 1) -> Any:
        """A number is added, or the same numbers in another function."""
        times = np.array(float(alpha))
        if hasattr(one, "lazy") and hasattr(other, "lazy"):
            return self._new(add(one.lazy, scale(other.lazy, times)))
        if other is self._first:
            numbers = self._numbers if times == 1.0 else scale(self._numbers, times)
            return self._new(shift(numbers, self._plain(one)), self._result_like(one))
        return self._new(shift(self._numbers, self._plain(other) * times), self._result_like(other))

    def sub(self, one: Any, other: Any, *, alpha: Any = 1) -> Any:
        """One minus the other."""
        return self.add(one, other, alpha=-float(alpha))

    def rsub(self, one: Any, other: Any, *, alpha: Any = 1) -> Any:
        """The other minus one."""
        return self.sub(other, one, alpha=alpha)

    def mul(self, one: Any, other: Any) -> Any:
        """Times a number that is not zero."""
        by = one if other is self._first else other
        return self._new(scale(self._numbers, self._plain(by)), self._result_like(by))

    def div(self, one: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
        """Divided by such a number, or that divided by these."""
        if rounding_mode is not None:
            raise NoLaw
        if other is self._first:
            return self._new(divide(self._plain(one), self._numbers), self._result_like(one))
        with np.errstate(all="ignore"):
            by = 1.0 / self._plain(other)
        return self._new(scale(self._numbers, by), self._result_like(other))

    def neg(self, one: Any) -> Any:
        """Minus these."""
        return self._new(negate(self._numbers))

    def clamp(self, one: Any, min: Any = None, max: Any = None) -> Any:
        """Not below a number, nor above another."""
        low = self._plain(-math.inf if min is None else min)
        high = self._plain(math.inf if max is None else max)
        self.check_alike()
        return self._new(clip(self._numbers, low, high))

    def relu(self, one: Any, inplace: bool = False) -> Any:
        """Not below zero."""
        return self.clamp(one, 0.0)

    def abs(self, one: Any) -> Any:
        """Without a sign."""
        return self._new(absolute(self._numbers))

    def sign(self, one: Any) -> Any:
        """1, -1 or 0."""
        found = self._torch.from_numpy(np.asarray(sign(self._numbers)))
        return found.to(dtype=self._first.dtype, device=self._first.device)

    def clamp_min(self, one: Any, min: Any) -> Any:
        """Not below a number."""
        return self.clamp(one, min)

    def clamp_max(self, one: Any, max: Any) -> Any:
        """Not above a number."""
        return self.clamp(one, None, max)


def _without_gradients(torch: Any, value: Tensor) -> Tensor | None:
    """A tensor as it is outside of ``torch.func.grad``; None within ``vmap``."""
    functions = torch._C._functorch
    while functions.is_gradtrackingtensor(value):
        value = functions.get_unwrapped(value)
    return None if functions.is_functorch_wrapped_tensor(value) else value
