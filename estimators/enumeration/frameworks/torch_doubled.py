"""A user's code in double precision for a while, where some of it is in single precision."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gradproof.errors import GradproofError

from ..estimator import UserFunction


class NotDoubled(GradproofError, RuntimeError):
    """It cannot be put into double precision, and why."""


@contextlib.contextmanager
def doubled(*codes: UserFunction) -> Iterator[None]:
    """What is in single precision in PyTorch is in double precision until this is left.

    Parameters, buffers and other tensors that code reaches keep their identity: what stands in them
    is replaced, as ``module.double()`` does, and put back as it was, with their gradients. New
    tensors are in double precision by default, and where single precision is asked for (as layers
    of normalisation do inside) that is double precision too.

    Raises:
        NotDoubled: if it is so already, or tensors share their memory, which they would no longer.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        raise NotDoubled("it has no tensors of PyTorch")
    modes = torch.overrides._get_current_function_mode_stack()
    if any(isinstance(each, _modes()[0]) for each in modes):
        raise NotDoubled("it is in double precision already")
    reached = {id(tensor): tensor for code in codes for tensor in code.tensors()}
    single = [tensor for tensor in reached.values() if tensor.dtype is torch.float32]
    memories = [tensor.untyped_storage().data_ptr() for tensor in single if tensor.numel()]
    if len(set(memories)) < len(memories):
        raise NotDoubled("some of its tensors share their memory")
    if any(map(_is_watched, single)):
        raise NotDoubled("somebody watches how a gradient of it is accumulated")
    kept = [(tensor, tensor.data, tensor.grad if tensor.is_leaf else None) for tensor in single]
    default = torch.get_default_dtype()
    try:
        for tensor, data, gradient in kept:
            if gradient is not None:
                tensor.grad = None
            tensor.data = data.double()
        torch.set_default_dtype(torch.float64)
        with lifted_arithmetic():
            yield
    finally:
        torch.set_default_dtype(default)
        for tensor, data, _ in kept:
            if tensor.is_leaf:
                tensor.grad = None
            tensor.data = data
        for tensor, _, gradient in kept:  # which are such tensors too
            if gradient is not None:
                tensor.grad = gradient


def _is_watched(tensor: Any) -> bool:
    """Whether what accumulates a leaf's gradient is kept, by a graph or for its hooks.

    It does not survive that other numbers stand in the leaf.
    """
    if not (tensor.is_leaf and tensor.requires_grad):
        return False
    mark = "gradproof"
    _accumulator(tensor).metadata[mark] = True
    return _accumulator(tensor).metadata.pop(mark, None) is not None


def _accumulator(tensor: Any) -> Any:
    torch: Any = sys.modules["torch"]
    with torch.enable_grad():
        return tensor.view_as(tensor).grad_fn.next_functions[0][0]


@contextlib.contextmanager
def lifted_arithmetic() -> Iterator[None]:
    """Double precision is used where PyTorch is asked for single precision, until this is left.

    Backward passes run without the first mode, and what makes tensors of lists without the second.
    """
    functions, operations = _modes()
    with functions(), operations():
        yield


@functools.cache
def _modes() -> tuple[type[Any], type[Any]]:
    """Modes of PyTorch, of its functions and of the operations that these are made of."""
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    def lifted(value: Any) -> Any:
        return torch.float64 if value is torch.float32 else value

    def call(
        function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None
    ) -> Any:
        named = {key: lifted(value) for key, value in (kwargs or {}).items()}
        return function(*map(lifted, args), **named)

    #: What makes tensors of what may be arrays.
    makers = {torch.from_numpy, torch.as_tensor, torch.tensor, torch.asarray}

    class LiftedFunctions(TorchFunctionMode):
        def __torch_function__(
            self,
            function: Callable[..., Any],
            types: Sequence[type],
            args: Sequence[Any] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            if function is torch.Tensor.float:
                function = torch.Tensor.double
            made = call(function, args, kwargs)
            if function in makers and made.dtype is torch.float32:
                return made.double()
            return made

    class LiftedOperations(TorchDispatchMode):
        def __torch_dispatch__(
            self,
            function: Callable[..., Any],
            types: Sequence[type],
            args: Sequence[Any] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            return call(function, args, kwargs)

    return LiftedFunctions, LiftedOperations
