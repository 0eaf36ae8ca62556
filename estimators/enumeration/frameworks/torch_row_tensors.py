"""Tensors of PyTorch that have a row for each path, while ``torch.func.vmap`` maps over these."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from ..block import BlockRun, NotBatchable
from ..patches import Patches
from ..run import current_run

#: A tensor of PyTorch.
Tensor = Any

#: Under this name a run remembers the rows of its tensors.
ROWS = "torch rows"

#: What a tensor keeps of functions that are to change its gradient.
HOOKS = "_backward_hooks", "_post_accumulate_grad_hooks"


class TensorRows:
    """Tensors that have a row for each path, while vmap maps over these.

    Args:
        leaves: tensors that gradients are by, by name.

    Raises:
        NotBatchable: if functions are called for the gradient of one, which have no rows.
    """

    def __init__(self, torch: Any, run: BlockRun, leaves: Mapping[str, Tensor]) -> None:
        self.torch, self.run, self._leaves = torch, run, leaves
        self._functions = torch._C._functorch
        self.level = 0
        #: By its identity, what stands for each leaf: below vmap, and in it.
        self._below: dict[int, Tensor] = {}
        self._stand_in: dict[int, Tensor] = {}
        for name, leaf in leaves.items():
            if any(getattr(leaf, each, None) for each in HOOKS):
                raise NotBatchable(f"a hook is called for the gradient of {name}")

    def map(
        self,
        code: Callable[[], Any],
        read: Callable[[TensorRows, Any], Any],
        mode: Callable[[TensorRows], AbstractContextManager[object]],
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> Any:
        """What is read of what code returns, in all rows at once.

        Args:
            read: is called in vmap still.
            mode: sees every function of PyTorch that the code calls.
            around: what is entered before, and left after it.
        """
        found = []
        below = {
            name: leaf.detach().expand(self.run.size, *leaf.shape).requires_grad_()
            for name, leaf in self._leaves.items()
        }
        self._below = {id(leaf): below[name] for name, leaf in self._leaves.items()}

        def once(row: Tensor, stand_ins: Sequence[Tensor]) -> Tensor:
            self.level = self._functions.maybe_get_level(row)
            self._stand_in = {
                id(leaf): each for leaf, each in zip(self._leaves.values(), stand_ins, strict=True)
            }
            with mode(self), _refusing_unseen(self.torch):
                returned = code()
            found.append(read(self, returned))
            return row

        self.run.memory[ROWS] = self
        for leaf in self._leaves.values():
            leaf.grad = None
        try:
            with around(), warnings.catch_warnings():
                # Some operations go through the rows one by one, which is no news to anybody.
                warnings.filterwarnings("ignore", message="There is a performance drop")
                self.torch.func.vmap(once)(self.torch.arange(self.run.size), list(below.values()))
        finally:
            for leaf in self._leaves.values():
                leaf.grad = None
        return found[0]

    def stand_in(self, value: Any) -> Any:
        """The same, with what stands for leaves in their place, in lists and out of them."""
        if isinstance(value, self.torch.Tensor):
            return self._stand_in.get(id(value), value)
        if type(value) in (list, tuple):
            return type(value)(self.stand_in(each) for each in value)
        if type(value) is dict:
            return {key: self.stand_in(each) for key, each in value.items()}
        return value

    def is_leaf(self, value: Any) -> bool:
        """Whether it is one of those that gradients are by."""
        return id(value) in self._stand_in

    def has_rows(self, value: Tensor) -> bool:
        """Whether each row has a value of its own."""
        level = self._functions.maybe_get_level(value)
        if level not in (-1, self.level):
            raise NotBatchable("it maps or differentiates by torch.func itself")
        return bool(level == self.level)

    def rows(self, value: Tensor) -> Tensor:
        """The values of all rows, (P, *shape), below vmap."""
        value = self.stand_in(value)
        if not self.has_rows(value):
            return value.expand(self.run.size, *value.shape)
        return self._functions._remove_batch_dim(value, self.level, self.run.size, 0)

    def numbers(self, value: Tensor) -> np.ndarray:
        """The same in double precision, as an array."""
        return np.asarray(self.rows(value).detach().double().cpu().numpy())

    def one_number(self, value: Any) -> Tensor:
        """What code returned, which is to be one real number in each row.

        Raises:
            NotBatchable: if it is not; what it is shows path by path.
        """
        if not isinstance(value, self.torch.Tensor) or value.numel() != 1 or value.is_complex():
            raise NotBatchable("it does not return a tensor of one number")
        return value.reshape(())

    def of_rows(self, value: Tensor) -> Tensor:
        """A tensor of the values of all rows, (P, *shape)."""
        return self._functions._add_batch_dim(value, 0, self.level)

    def same(self, value: Tensor) -> Tensor:
        """What all rows have, as a plain tensor; rows that have something else are run apart."""
        value = self.stand_in(value)
        if not self.has_rows(value):
            return value
        rows = self.rows(value).detach()
        signs = self.torch.signbit(rows)  # zero has two
        if bool(((rows == rows[:1]) & (signs == signs[:1])).all()):
            return rows[0]
        flat = rows.reshape(self.run.size, -1).cpu().numpy()
        self.run.split(np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1))

    def gradients(
        self,
        outputs: Any,
        inputs: Sequence[Tensor],
        weights: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> list[Tensor | None]:
        """Of each row's outputs by its inputs; None for what they do not depend on."""
        outputs = [outputs] if isinstance(outputs, self.torch.Tensor) else list(outputs)
        weights = [weights] * len(outputs) if weights is None else weights
        weights = [weights] if isinstance(weights, self.torch.Tensor) else list(weights)
        roots, scales = [], []
        for output, weight in zip(outputs, weights, strict=True):
            root = self.rows(output)
            if not root.requires_grad or (weight is None and output.numel() != 1):
                raise NotBatchable("it differentiates what has no gradient")
            # By a sum, where PyTorch asks for no weights: looking at some it imports much else.
            roots.append(root.sum() if weight is None else root)
            scales.append(None if weight is None else self.rows(weight))
        below, places = [], []
        for each in inputs:
            if self.is_leaf(each):
                below.append(self._below[id(each)])
                places.append(0)
            elif self.has_rows(each):
                below.append(self._functions.get_unwrapped(each))
                places.append(self._functions.maybe_get_bdim(each))
            else:
                raise NotBatchable("it differentiates by a tensor that all paths share")
        found = self.torch.autograd.grad(
            roots,
            below + self._own_leaves(),
            scales,
            retain_graph=retain_graph,
            create_graph=create_graph,
            allow_unused=True,
        )
        if any(each is not None for each in found[len(below) :]):
            raise NotBatchable("a parameter is used where nothing can stand for it")
        return [
            None if each is None else self._functions._add_batch_dim(each, place, self.level)
            for each, place in zip(found, places, strict=False)
        ]

    def _own_leaves(self) -> list[Tensor]:
        """The leaves themselves, which no graph is to lead to."""
        return [leaf for leaf in self._leaves.values() if leaf.requires_grad]

    def backward(
        self,
        outputs: Any,
        weights: Any = None,
        inputs: Any = None,
        retain_graph: bool | None = None,
    ) -> None:
        """Gradients are added to what stands in ``.grad``."""
        chosen = list(self._leaves.values()) if inputs is None else list(inputs)
        gradients = self.gradients(outputs, chosen, weights, retain_graph)
        for leaf, found in zip(chosen, gradients, strict=True):
            if found is not None:
                own = found.clone()  # it may be one number in several places
                leaf.grad = own if leaf.grad is None else leaf.grad + own


@contextmanager
def _refusing_unseen(torch: Any) -> Iterator[None]:
    """What no mode sees is refused in a block, until this is left.

    Over a ``torch.autograd.Function`` of somebody's own PyTorch maps by what its author says, or
    refuses it itself; it asks first whether it maps. What TorchScript made calls functions unseen.
    """

    def refusing(real: Callable[..., Any], what: str) -> Callable[..., Any]:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            if isinstance(current_run(), BlockRun):
                raise NotBatchable(f"{what} is called for one path")
            return real(*args, **kwargs)

        return refuse

    own, asks = "a torch.autograd.Function of its own", "_are_functorch_transforms_active"
    with Patches() as patches:
        patches.attribute(torch._C, asks, refusing(getattr(torch._C, asks), own))
        for kind in (torch._C.ScriptFunction, torch._C.ScriptMethod):
            call = refusing(kind.__call__, "what TorchScript made")
            patches.attribute(kind, "__call__", call)
        yield
