"""Gradients that stood in ``.grad`` before an optimizer moved what they belong to."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class StepGradients:
    """The gradient of each run of an estimator that may end in ``optimizer.step()``.

    Between :meth:`start` and :meth:`read`, in the thread of the former, the first step of an
    optimizer of PyTorch that has a leaf among its parameters takes down its gradient. So it does
    not matter that ``zero_grad()`` follows, nor that a baseline's own optimizer steps before.

    Args:
        leaves: tensors whose gradients are read, by name.
    """

    def __init__(self, leaves: Mapping[str, Any]) -> None:
        self._leaves = dict(leaves)
        self._names = {id(leaf): name for name, leaf in leaves.items()}
        self._thread: int | None = None
        self._found: dict[str, Any] = {}
        self._steps: dict[str, int] = {}
        #: Our own among the hooks of optimizers, by identity.
        self._handles: dict[int, Any] = {}

    def start(self) -> None:
        """A run begins, in this thread: no step was made."""
        self.forget()
        self._thread = threading.get_ident()
        self._found, self._steps = {}, {}

    def read(self) -> dict[str, Any]:
        """The gradient of each leaf as it stood before its first step, or stands; None for none.

        The run has ended: steps count no more until the next one starts.
        """
        self._thread = None
        self.forget()
        return {name: self._found.get(name, leaf.grad) for name, leaf in self._leaves.items()}

    @property
    def steps(self) -> int:
        """How often the leaf that was moved most often was moved in this run.

        More than 1 are several updates, of which the gradients are those of the first.
        """
        return max(self._steps.values(), default=0)

    def forget(self) -> None:
        """Take our hooks off the optimizers that have some."""
        while self._handles:
            self._handles.popitem()[1].remove()

    def before_step(self, optimizer: Any, args: Any, kwargs: Any) -> Any:
        """What PyTorch calls before any step, and before the optimizer's own hooks.

        Those may change gradients, so that ours is put behind them, anew for each step. It stays
        there until the next one: PyTorch is going through the hooks when it is called.
        """
        if threading.get_ident() != self._thread:
            return None
        before = self._handles.pop(id(optimizer), None)
        if before is not None:
            before.remove()
        if getattr(optimizer, "_optimizer_step_pre_hooks", None):
            self._handles[id(optimizer)] = optimizer.register_step_pre_hook(self._take_before)
            return None
        return self._take_before(optimizer, args, kwargs)

    def _take_before(self, optimizer: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            return None
        stepped = {
            name
            for group in optimizer.param_groups
            for leaf in group["params"]
            if (name := self._names.get(id(leaf))) is not None
        }
        if not stepped:
            return None
        # Its arguments begin with the optimizer.
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._take(stepped)
            return None
        # The gradient is computed within the step.
        taking = self._taking_before_return(closure, stepped)
        if len(args) > 1:
            return (args[0], taking, *args[2:]), kwargs
        return args, {**kwargs, "closure": taking}

    def _taking_before_return(
        self, closure: Callable[[], Any], names: set[str]
    ) -> Callable[[], Any]:
        left = [names]

        def take_after() -> Any:
            value = closure()
            if left:  # it may be evaluated many times in one step
                self._take(left.pop())
            return value

        return take_after

    def _take(self, names: set[str]) -> None:
        for name in names:
            grad = self._leaves[name].grad
            if grad is None:  # the step does not move it
                continue
            self._steps[name] = self._steps.get(name, 0) + 1
            if name not in self._found:
                self._found[name] = grad.detach().clone()


@contextlib.contextmanager
def gradients_before_step(leaves: Mapping[str, Any]) -> Iterator[StepGradients]:
    """Takes down gradients before optimizers of PyTorch step, until this is left.

    Args:
        leaves: tensors whose gradients are read, by name; none: nothing is watched.
    """
    steps = StepGradients(leaves)
    if not leaves or "torch" not in sys.modules:
        yield steps
        return
    optimizer = sys.modules["torch.optim.optimizer"]  # PyTorch brings it along
    handle = optimizer.register_optimizer_step_pre_hook(steps.before_step)
    try:
        yield steps
    finally:
        handle.remove()
        steps.forget()
