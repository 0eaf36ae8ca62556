"""Tensors of PyTorch whose numbers are integrated: nodes of a rule, once they are needed.

A tensor that is not decided remembers how it came about: the draw, or a function of others. Where
its numbers are needed, those that were drawn become nodes, and the functions are called on these as
they were, so that PyTorch's own derivatives run through them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ..drawn_numbers import NumbersNeeded
from ..integrated_numbers import integrate
from ..lazy_arrays import LazyArray
from ..lazy_numbers import LazyNumbers
from ..patches import Patches
from ..run import UnsupportedDraw, current_run
from .torch_gamma import derive_dirichlet
from .torch_integrated_rows import below, call, tensor_of, wants_gradient

#: A tensor of PyTorch.
Tensor = Any


class Given(NamedTuple):
    """A plain tensor as it was when a function was given it.

    Args:
        version: how often it had been written to; None where PyTorch does not count.
        numbers: a copy, for ``data`` and NumPy's views are not counted; None where none can be had.
        is_differentiated: whether gradients were wanted of it.
    """

    tensor: Tensor
    version: int | None
    numbers: Tensor | None
    is_differentiated: bool

    @classmethod
    def of(cls, torch: Any, tensor: Tensor) -> Given:
        """As it is now."""
        tensor = below(tensor)
        is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
        numbers = None if is_wrapped or tensor.is_meta else tensor.detach().clone()
        version = None if tensor.is_inference() else tensor._version
        return cls(tensor, version, numbers, tensor.requires_grad)

    def is_as_it_was(self, torch: Any) -> bool:
        """Whether nothing wrote to it since, and gradients are wanted of it as they were."""
        tensor = self.tensor
        if self.is_differentiated != tensor.requires_grad:
            return False
        if self.version is not None and self.version != tensor._version:
            return False
        if self.numbers is None:
            return True
        now, then = tensor.detach(), self.numbers
        if now.shape != then.shape or now.dtype != then.dtype:
            return False
        # What is no number differs from itself.
        return bool(((now == then) | ((now != now) & (then != then))).all())


@dataclasses.dataclass(eq=False)
class Origin:
    """How a tensor came about.

    Args:
        numbers: that it has.
        kind: its type and device.
        call: the function that made it, and its arguments, with other origins in place of tensors
            that are not decided; None of a tensor that was drawn.
        place: of the tensor among what the function returned; None: it is all of that.
        is_differentiated: whether gradients were on when the function was called.
        given: plain tensors among the arguments, as they were.
        real: the tensor with its numbers, once they are needed.
    """

    numbers: LazyNumbers
    kind: tuple[Any, Any]
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None = None
    place: int | None = None
    is_differentiated: bool = False
    given: tuple[Given, ...] = ()
    real: Tensor | None = None


def is_integrated(values: Iterable[Any]) -> bool:
    """Whether a tensor that is not decided is among some, whose numbers can be had."""
    return any(each.lazy.drawn.is_integrated for each in _tensors(values))


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    return [
        value
        for each in values
        for value in (each if isinstance(each, tuple | list) else (each,))
        if hasattr(value, "origin")
    ]


def call_integrated(
    torch: Any,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    answer: Callable[[tuple[Any, ...], dict[str, Any]], Any],
) -> Any:
    """What a function gives for tensors whose numbers can be had, if they are needed.

    Args:
        answer: gives what it gives for those that are not decided.

    Raises:
        UnsupportedDraw: for numbers that cannot be had.
    """
    name = str(getattr(func, "__name__", func))
    writes = _writes(name) and bool(args) and hasattr(args[0], "origin")
    writes = writes and name not in MARKING
    start = args[:1] if writes else ()
    args = (*start, *map(_with_reals, args[len(start) :]))
    kwargs = {key: _with_reals(each) for key, each in kwargs.items()}
    undecided = [each for each in _tensors((*args, *kwargs.values())) if each.origin.real is None]
    if undecided and not (writes and args[0].origin.real is not None):
        if name == "__get__" and func.__self__.__name__ == "requires_grad":  # type: ignore[attr-defined]
            return any(_is_differentiable(each.origin) for each in undecided)
        if name == "detach_":
            return _detach(torch, args[0])
        if name not in MARKING and func is not torch.autograd.grad:
            try:
                return _remember(torch, func, args, kwargs, lambda: answer(args, kwargs))
            except NumbersNeeded as needed:
                needed.take_back()  # they can be had
    if writes:
        return _write(torch, func, args, kwargs)
    return call(func, _reals(torch, args), _named_reals(torch, kwargs))


#: Functions that write nothing to the memory of a tensor, and want the tensor that has its numbers.
MARKING = ("requires_grad_", "retain_grad")


def _detach(torch: Any, tensor: Tensor) -> Tensor:
    """The tensor, which is no function of others any more."""
    call: Any = (torch.Tensor.detach, (tensor.origin,), {})
    tensor.origin = Origin(tensor.lazy, tensor.origin.kind, call)
    return tensor


def handle_numbers(torch: Any, patches: Patches) -> None:
    """What needs numbers without being a function that a tensor sees is given them."""
    _handle_gradients(torch, patches)
    _handle_conversions(torch, patches)


def _handle_gradients(torch: Any, patches: Patches) -> None:
    """Functions with derivatives of their own are given the numbers, and Dirichlet's have theirs.

    PyTorch looks for a graph at what it is given there, below all that sees its functions.
    """
    derive_dirichlet(torch, patches)
    real = torch.autograd.Function.__dict__["apply"].__func__

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is not None and run.quadrature is not None and _tensors(args):
            args = _reals(torch, args)
        return real(cls, *args, **kwargs)

    patches.attribute(torch.autograd.Function, "apply", classmethod(functools.wraps(real)(apply)))


#: Functions of ``torch`` that make a tensor of an array of NumPy's, or of a number.
CONVERTING = ("tensor", "as_tensor", "from_numpy")


def _handle_conversions(torch: Any, patches: Patches) -> None:
    """Functions that read the memory of NumPy's arrays are given some that have one."""
    for name in CONVERTING:
        patches.attribute(torch, name, _on_arrays(getattr(torch, name)))


def _on_arrays(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def convert(data: Any, *args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is not None and run.quadrature is not None:
            data = _with_memory(data)
        return real(data, *args, **kwargs)

    return convert


def _with_memory(value: Any) -> Any:
    """The value, with plain arrays and numbers in place of NumPy's that are not decided."""
    if isinstance(value, list | tuple):
        return [*map(_with_memory, value)]
    if type(value) is not LazyArray:
        return value
    return np.asarray(value) if value.shape else value.numbers("in a tensor")


def _with_reals(value: Any) -> Any:
    """Tensors with their numbers, for those that have them by now."""
    if isinstance(value, tuple | list):
        kind = list if isinstance(value, list) else tuple
        return kind(_with_reals(each) for each in value) if _tensors(value) else value
    real = value.origin.real if hasattr(value, "origin") else None
    return value if real is None else real


def _writes(name: str) -> bool:
    return (name.endswith("_") and not name.endswith("__")) or name.startswith(("__i", "__set"))


def _write(
    torch: Any, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A function writes to a tensor, of which others may remember what it was."""
    written = args[0]
    if written.is_shared:
        raise UnsupportedDraw(
            f"{written.lazy.drawn.what(written.lazy.places)}() is written to by torch's "
            f"{getattr(func, '__name__', func)}, which a view would have to see; write to a clone"
        )
    if written.lazy.drawn.has_rows:
        written.lazy.drawn.refuse_rows("numbers that were drawn are written to")
    real = real_of(torch, written.origin)
    with torch.set_grad_enabled(real.requires_grad and not real.is_leaf):
        copy = real.clone() if real.requires_grad else real.detach().clone()
    written.origin = Origin(written.lazy, written.origin.kind, real=copy)
    found = func(copy, *_reals(torch, args[1:]), **_named_reals(torch, kwargs))
    return written if found is copy else found


def _remember(
    torch: Any,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    answer: Callable[[], Any],
) -> Any:
    """What a function gives for what is not decided, with how it came about."""
    given = tuple(map(_origins, args)), {key: _origins(each) for key, each in kwargs.items()}
    name = str(getattr(func, "__name__", func))
    written = _writes(name) and args
    before = _copy_of(args[0]) if written and not hasattr(args[0], "origin") else None
    plain = tuple(
        Given.of(torch, each)
        for each in _plain_tensors(torch, (*args, *kwargs.values()))
        if not (written and each is args[0])
    )
    found = answer()
    mode = torch.is_grad_enabled()
    many = isinstance(found, tuple | list)
    for place, each in enumerate(found if many else (found,)):
        if not hasattr(each, "origin"):
            continue
        call: Any = (func, *given)
        if written:
            start = given[0][0] if before is None else before
            call = (_out_of_place(func), (start, *given[0][1:]), given[1])
        each.origin = Origin(
            each.lazy, each.origin.kind, call, place if many else None, mode, plain
        )
    return found


def _copy_of(value: Any) -> Any:
    return value.detach().clone() if hasattr(value, "detach") else value


def _out_of_place(func: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which writes to a copy of what it is given."""

    def write_to_copy(first: Tensor, *args: Any, **kwargs: Any) -> Any:
        return func(first.clone(), *args, **kwargs)

    return write_to_copy


def _plain_tensors(torch: Any, values: Iterable[Any]) -> list[Tensor]:
    return [
        value
        for each in values
        for value in (each if isinstance(each, tuple | list) else (each,))
        if isinstance(value, torch.Tensor) and not hasattr(value, "origin")
    ]


def _origins(value: Any) -> Any:
    """Origins in place of tensors that are not decided."""
    if isinstance(value, tuple | list):
        kind = list if isinstance(value, list) else tuple
        return kind(_origins(each) for each in value)
    if isinstance(value, np.ndarray):
        return value.copy()  # which may be written to
    return getattr(value, "origin", value)


def _reals(torch: Any, values: Iterable[Any]) -> tuple[Any, ...]:
    """Tensors with their numbers in place of those that were not decided."""
    many = tuple(map(_origins, values))
    _integrate(many)
    return tuple(_real(torch, each) for each in many)


def _named_reals(torch: Any, named: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(named, _reals(torch, named.values()), strict=True))


def _integrate(values: Any) -> None:
    """Numbers become nodes, by the functions of them that are needed."""
    if isinstance(values, tuple | list):
        for each in values:
            _integrate(each)
    elif isinstance(values, Origin) and values.real is None:
        integrate(values.numbers)


def _real(torch: Any, value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_real(torch, each) for each in value)
    return real_of(torch, value) if isinstance(value, Origin) else value


def real_of(torch: Any, origin: Origin) -> Tensor:
    """A tensor with its numbers.

    Raises:
        UnsupportedDraw: if a tensor that it was made of was written to since.
    """
    if origin.real is not None:
        return origin.real
    numbers = origin.numbers
    integrate(numbers)
    if origin.call is None:
        origin.real = tensor_of(torch, numbers, origin.kind)
        return origin.real
    if not all(each.is_as_it_was(torch) for each in origin.given):
        raise UnsupportedDraw(
            f"{numbers.drawn.what(numbers.places)}() is used after a tensor that it was put "
            "together with was written to, or was made to require gradients; do that to a clone"
        )
    func, args, kwargs = origin.call
    with torch.set_grad_enabled(origin.is_differentiated):
        found = call(
            func,
            tuple(_real(torch, each) for each in args),
            {key: _real(torch, each) for key, each in kwargs.items()},
        )
    origin.real = found if origin.place is None else found[origin.place]
    return origin.real


def _is_differentiable(origin: Origin) -> bool:
    """Whether it is a function of a tensor that gradients are wanted of."""
    if origin.call is None:
        return False
    _, args, kwargs = origin.call
    pending, seen = [*args, *kwargs.values()], False
    while pending and not seen:
        each = pending.pop()
        if isinstance(each, tuple | list):
            pending.extend(each)
        elif isinstance(each, Origin):
            seen = _is_differentiable(each)
        else:
            seen = wants_gradient(each)
    return origin.is_differentiated and seen


def call_below(
    torch: Any, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What an operation of PyTorch gives, below its derivatives.

    Raises:
        UnsupportedDraw: for numbers of which derivatives are wanted, which would be lost there.
    """
    given = _reals(torch, (*args, *kwargs.values()))
    for each in _plain_tensors(torch, given):
        if each.requires_grad and not each.is_leaf:
            raise UnsupportedDraw(
                f"a continuous number is given to torch's {func} by a way on which its gradient "
                "would be lost, as an autograd.Function; call it by a function of PyTorch"
            )
    return func(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=False)))
