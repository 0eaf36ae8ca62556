"""PyTorch's tensors of numbers that are not decided before they are compared.

``torch.rand(n) < p``, Gumbel-max written out, sampling by the inverse of the cumulative
distribution and ``Tensor.exponential_`` have finitely many outcomes all the same: see
:mod:`..lazy_numbers`. Such a tensor answers functions of PyTorch that keep it a monotone function
of what was drawn, entry by entry, and those that compare it. All others are refused by their names;
it has no memory of its own, so that an operation which passes by them is refused too.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ..cells import refuse
from ..lazy_numbers import LazyNumbers
from .torch_integrated import Origin, call_below, call_integrated, is_integrated, real_of
from .torch_integrated_rows import below_rows, rows_under_way

#: A tensor of PyTorch.
Tensor = Any

#: See :func:`lazy_like`.
Answer = Callable[..., Any]

#: Functions that say something of the tensor, and nothing of its numbers.
DESCRIBING = frozenset((
    "shape", "size", "dim", "ndim", "numel", "nelement", "dtype", "device", "layout", "is_cuda",
    "is_cpu", "requires_grad", "is_leaf", "is_sparse", "is_floating_point", "is_complex",
    "element_size", "stride", "is_contiguous", "__len__", "grad_fn", "grad", "names",
    "is_quantized", "is_meta", "is_nested", "itemsize", "nbytes", "is_inference", "retains_grad",
    "is_signed", "get_device", "output_nr",
))  # fmt: skip

#: How many there are that hold the memory of a tensor which no other shares: it, and who asks.
ALONE = 2

#: Functions of several tensors in a list.
JOINING = ("stack", "cat", "concat")


def lazy_like(torch: Any, numbers: LazyNumbers, like: Tensor, answer: Answer) -> Tensor:
    """A tensor of such numbers, in the type and on the device of another.

    Args:
        answer: what functions of PyTorch give for it: called with PyTorch, the function's name, the
            function, a tensor among its arguments that is not decided, and the arguments.
    """
    found = lazy_tensor(torch)(numbers.shape, like)
    found.lazy, found.answer, found.origin = (
        numbers,
        answer,
        Origin(numbers, (like.dtype, like.device)),
    )
    return found


def become_lazy(
    torch: Any, tensor: Tensor, numbers: LazyNumbers, answer: Answer, what: str
) -> None:
    """A tensor is written to, and has such numbers until the run ends.

    Raises:
        UnsupportedDraw: if another may have the same memory, and would have been written to.
    """
    rows = rows_under_way()
    if rows is not None:
        _become_lazy_in_rows(torch, rows, tensor, numbers, answer, what)
        return
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        numbers.refuse(f"{what} writes them to a tensor within torch.func; draw by torch.rand_like")
    alone = type(tensor) is torch.Tensor and not weakref.getweakrefcount(tensor)
    swap = getattr(torch.utils, "swap_tensors", None)
    if swap is None or not (alone and _has_own_memory(torch, tensor)):
        numbers.refuse(f"{what} writes them to a tensor whose memory others have, too")
    other = lazy_like(torch, numbers, tensor, answer)
    swap(tensor, other)
    numbers.drawn.run.at_end.callback(_swap_back, swap, tensor, other, what)


def _become_lazy_in_rows(
    torch: Any, rows: Any, tensor: Tensor, numbers: LazyNumbers, answer: Answer, what: str
) -> None:
    """The same of a tensor that has rows.

    Raises:
        NotBatchable: if another may have the same memory.
    """
    swap = getattr(torch.utils, "swap_tensors", None)
    alone = type(tensor) is torch.Tensor and not weakref.getweakrefcount(tensor)
    has_rows = rows.has_rows(tensor)
    with below_rows(torch, numbers.drawn.run):
        whole = torch._C._functorch.get_unwrapped(tensor) if has_rows else tensor
        if swap is None or not (alone and _has_own_memory(torch, whole)):
            numbers.drawn.refuse_rows(f"{what} writes to a tensor whose memory others have, too")
        like = torch.empty((), dtype=tensor.dtype, device=tensor.device)
        other = lazy_like(torch, numbers, like, answer)
        swap(tensor, other)
    numbers.drawn.run.at_end.callback(_swap_back, swap, tensor, other, what)


def _has_own_memory(torch: Any, tensor: Tensor) -> bool:
    """Whether no other tensor shares it, and no graph leads to it."""
    if tensor.requires_grad or tensor._is_view():
        return False
    storage = tensor.untyped_storage()
    return bool(storage.resizable() and torch._C._storage_Use_Count(storage._cdata) <= ALONE)


def _swap_back(swap: Callable[..., None], tensor: Tensor, other: Tensor, what: str) -> None:
    """A tensor is what it was.

    Raises:
        UnsupportedDraw: if someone has a weak reference, for whom PyTorch cannot do that.
    """
    if weakref.getweakrefcount(tensor):
        refuse(what, "it wrote them to a tensor that has weak references")
    swap(tensor, other)


@functools.cache
def lazy_tensor(torch: Any) -> Any:
    """The type of such tensors."""
    # Nothing is wrapped for torch.func there.
    below_transforms = getattr(torch._C, "_DisableFuncTorch", contextlib.nullcontext)

    class LazyTensor(torch.Tensor):
        """Numbers that are not decided yet."""

        lazy: LazyNumbers
        answer: Answer
        #: How the numbers come about, where they may be needed.
        origin: Origin
        #: Whether another tensor is made of the same memory, as PyTorch would have it.
        is_shared = False

        @staticmethod
        def __new__(cls: Any, shape: Sequence[int], like: Tensor) -> Any:
            return torch.Tensor._make_wrapper_subclass(
                cls, tuple(shape), dtype=like.dtype, device=like.device
            )

        def __init__(self, *_: Any) -> None:
            super().__init__()

        @classmethod
        def __torch_function__(  # the name is PyTorch's
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if not is_integrated((*args, *kwargs.values())):
                with torch._C.DisableTorchFunctionSubclass(), below_transforms():
                    return _answer(torch, func, args, kwargs)

            def answer_lazily(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
                with torch._C.DisableTorchFunctionSubclass(), below_transforms():
                    return _answer(torch, func, args, kwargs)

            return call_integrated(torch, func, args, kwargs, answer_lazily)

        @classmethod
        def __torch_dispatch__(  # likewise
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if is_integrated((*args, *kwargs.values())):
                return call_below(torch, func, args, kwargs)
            _lazy_of(args, kwargs)[0].lazy.refuse(f"by torch's {func}")

        def numbers(self, how: str) -> Tensor:
            """The plain tensor, where numbers are integrated."""
            if self.lazy.drawn.is_integrated:
                return real_of(torch, self.origin)
            return self.lazy.refuse(how)

        def __repr__(self, **_: Any) -> str:
            if self.origin.real is not None:
                return repr(self.origin.real)
            what = self.lazy.drawn.what(self.lazy.places)
            return f"tensor of shape {tuple(self.shape)}, drawn by {what} and not decided"

        def __format__(self, spec: str) -> str:
            return repr(self) if self.origin.real is None else format(self.origin.real, spec)

    return LazyTensor


def _lazy_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Tensors that are not decided among arguments, in lists and out of them."""
    return [
        value
        for each in (*args, *kwargs.values())
        for value in (each if isinstance(each, tuple | list) else (each,))
        if hasattr(value, "lazy")
    ]


def _answer(torch: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function of PyTorch gives for tensors of which one at least is not decided."""
    name = str(getattr(func, "__name__", func))
    if name == "__get__":  # of a property
        name = str(func.__self__.__name__)
    if name in DESCRIBING:
        return func(*args, **kwargs)
    first = _lazy_of(args, kwargs)[0]
    if name not in JOINING and not any(each is first for each in args):
        first.lazy.refuse(f"by torch's {name}")
    in_place = name.endswith("_") and not name.endswith("__")
    if not in_place:
        return first.answer(torch, name, func, first, args, kwargs)
    written = args[0]
    found = first.answer(torch, name.removesuffix("_"), func, first, args, kwargs)
    is_whole = not hasattr(found, "lazy")
    if is_whole or found.dtype != written.dtype or found.shape != written.shape:
        first.lazy.refuse(f"by torch's {name}, which writes another type or shape")
    if written is not first:
        become_lazy(torch, written, found.lazy, first.answer, f"torch's {name}")
    elif first.is_shared:
        first.lazy.refuse(f"by torch's {name}, of which a view sees nothing here")
    else:
        first.lazy = found.lazy
    return written
