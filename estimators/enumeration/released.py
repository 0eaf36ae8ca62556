"""Stop-gradients that stop nothing: an objective is differentiated as the function it is.

The mean of an objective depends on the parameters by way of everything that it computes, also of
what it detaches, or computes without gradients: all of that moves when the parameters do. What was
made before it is called does not: of that, ``detach`` and ``data`` are the constants that they look
like.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .patches import Patches
from .run import current_run


@contextlib.contextmanager
def without_stops() -> Iterator[int]:
    """PyTorch's stop-gradients pass gradients on, until this is left.

    Nodes of a graph that are made before have smaller numbers than what this yields.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield 0
        return
    with torch.enable_grad(), Patches() as patches:
        # Each thread counts the nodes that it makes.
        start = number(torch.zeros((), requires_grad=True).view(()).grad_fn)
        _release(torch, patches, start)
        yield start


def number(node: Any) -> int:
    """Of a node of PyTorch's graph: those made later in the same thread have larger ones."""
    return int(node._sequence_nr())


def _release(torch: Any, patches: Patches, start: int) -> None:
    tensor = torch.Tensor
    detach = tensor.detach
    mode = torch.autograd.grad_mode.inference_mode

    def in_run(real: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
        """Another function in a run; the real one in other threads."""

        def function(*args: Any, **kwargs: Any) -> Any:
            return (real if current_run() is None else other)(*args, **kwargs)

        return function

    def made_before(value: Any) -> bool:
        node = value.grad_fn
        return node is not None and number(node) < start

    def unless_older(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda value: real(value) if made_before(value) else value

    def of_number(real: Callable[..., Any]) -> Callable[..., Any]:
        # What becomes a number of Python or NumPy is a constant, whether or not it is meant to be.
        return lambda value, *args, **kwargs: real(detach(value), *args, **kwargs)

    def copy(value: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(value, "requires_grad", False) and not made_before(value):
            return value.clone()
        return tensor_of(value, *args, **kwargs)

    tensor_of, data = torch.tensor, tensor.data
    for name in ("numpy", "item", "tolist", "__float__", "__int__", "__array__"):
        real = getattr(tensor, name)
        patches.attribute(tensor, name, in_run(real, of_number(real)))
    patches.attribute(tensor, "detach", in_run(detach, unless_older(detach)))
    patches.attribute(
        tensor, "data", property(in_run(data.__get__, unless_older(data.__get__)), data.__set__)
    )
    patches.attribute(torch, "detach", in_run(torch.detach, unless_older(torch.detach)))
    patches.attribute(torch, "tensor", in_run(torch.tensor, copy))
    # Both no_grad() and set_grad_enabled() end there.
    switch = torch._C._set_grad_enabled
    patches.attribute(torch._C, "_set_grad_enabled", in_run(switch, lambda _: None))
    for name in ("__enter__", "__exit__"):
        real = getattr(mode, name)
        patches.attribute(mode, name, in_run(real, lambda *_: None))
