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
    lifted = lifted_arithmetic()
    modes = torch.overrides._get_current_function_mode_stack()
    if any(isinstance(each, type(lifted)) for each in modes):
        raise NotDoubled("it is in double precision already")
    reached = {id(tensor): tensor for code in codes for tensor in code.tensors()}
    single = [tensor for tensor in reached.values() if tensor.dtype is torch.float32]
    memories = [tensor.untyped_storage().data_ptr() for tensor in single if tensor.numel()]
    if len(set(memories)) < len(memories):
        raise NotDoubled("some of its tensors share their memory")
    kept = [(tensor, tensor.data, tensor.grad if tensor.is_leaf else None) for tensor in single]
    default = torch.get_default_dtype()
    try:
        for tensor, data, gradient in kept:
            if gradient is not None:
                tensor.grad = None
            tensor.data = data.double()
        torch.set_default_dtype(torch.float64)
        with lifted:
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


def lifted_arithmetic() -> Any:
    """A mode of PyTorch in which double precision is used where single precision is asked for."""
    return _mode_type()()


@functools.cache
def _mode_type() -> type[Any]:
    import torch
    from torch.overrides import TorchFunctionMode

    def lifted(value: Any) -> Any:
        return torch.float64 if value is torch.float32 else value

    #: What makes tensors of what may be arrays.
    makers = {torch.from_numpy, torch.as_tensor, torch.tensor, torch.asarray}

    class Lifted(TorchFunctionMode):
        def __torch_function__(
            self,
            function: Callable[..., Any],
            types: Sequence[type],
            args: Sequence[Any] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            if function is torch.Tensor.float:
                function = torch.Tensor.double
            named = {key: lifted(value) for key, value in (kwargs or {}).items()}
            made = function(*map(lifted, args), **named)
            if function in makers and made.dtype is torch.float32:
                return made.double()
            return made

    return Lifted
