"""Reads off a model's own code where its parameters enter, so that no weight gradient is formed.

The model is run on an array namespace that gives it a :class:`ParameterHandle` in place of each
parameter. A handle can be multiplied with, added and looked up in, which are the ways in which the
gradient of one sentence and label factors; whatever else is done with it is an error that says so.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator
from typing import Any

from gradproof.errors import GradproofError
from gradproof.reference_models.model import Parameters
from gradproof.reference_models.ops import Array

from ..backends.torch_backend import TorchOps


class NotAnOuterProduct(GradproofError, TypeError):
    """A parameter, ``name``, that is used in a way whose gradient does not factor."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(
            f"parameter {name!r} is {how}, which has no factors; path='auto' forms its gradient"
        )
        self.name = name


@dataclasses.dataclass(frozen=True)
class ParameterUse:
    """One place at which a parameter enters: its gradient there is a sum of outer products.

    ``rows`` is what the derivative of what came out is multiplied with: the input of a product, the
    row numbers of a lookup, None for an addition. ``width``: of what came out, its last axis; 1 for
    numbers that are looked up. ``turned``: the parameter was used transposed.
    """

    name: str
    kind: str
    rows: Any
    width: int
    turned: bool


class ParameterHandle:
    """Stands for a parameter: all that can be done with it is recorded."""

    __array_ufunc__ = None  # else NumPy would add it to each entry of an array by itself

    def __init__(self, tape: Tape, name: str, tensor: Any, turned: bool = False) -> None:
        self.tape, self.name, self.tensor, self.turned = tape, name, tensor, turned

    @property
    def T(self) -> ParameterHandle:
        """The transpose."""
        return self.tape.transpose(self)

    mT = T

    def t(self) -> ParameterHandle:
        """The transpose."""
        return self.tape.transpose(self)

    def unsqueeze(self, axis: int) -> Any:
        """A vector along the last axis, however many stand before it."""
        return self.tape.expand_dims(self, axis)

    def __getitem__(self, rows: Any) -> Any:
        if getattr(rows, "dtype", None) is None or not str(rows.dtype).endswith("int64"):
            raise NotAnOuterProduct(self.name, f"asked for [{rows!r:.40}]")
        return self.tape.take(self, rows)

    def __add__(self, other: Any) -> Any:
        return self.tape.add(other, self)

    __radd__ = __add__

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """What PyTorch asks before it does anything with a handle: some of it is a layer."""
        handle = next(each for each in _flatten(args, kwargs) if isinstance(each, cls))
        name = getattr(function, "__name__", "").strip("_")
        layer = _LAYERS.get(name)
        # By identity: a padding index of 0 equals False, and is one.
        given = {
            key: of for key, of in (kwargs or {}).items() if of is not None and of is not False
        }
        found = NotImplemented if layer is None else layer(handle.tape, *args, **given)
        if found is NotImplemented:
            raise NotAnOuterProduct(handle.name, f"given to {name}")
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # Python's own questions, which have no as their answer
        if name in ("shape", "ndim", "dtype", "device"):
            return getattr(self.tensor, name)
        raise NotAnOuterProduct(self.name, f"asked for .{name}")


def _flatten(args: Any, kwargs: Any) -> Iterator[Any]:
    for each in [*args, *(kwargs or {}).values()]:
        yield from each if isinstance(each, list | tuple) else [each]


def _refuser(operation: str) -> Callable[..., Any]:
    def refuse(handle: ParameterHandle, *_: Any) -> Any:
        raise NotAnOuterProduct(handle.name, f"used by {operation}")

    return refuse


# Python looks these up in the class, and asks no __getattr__.
for _operation in ("mul", "rmul", "sub", "rsub", "neg", "matmul", "rmatmul", "truediv", "rtruediv",
                   "pow", "rpow", "len", "iter", "bool"):  # fmt: skip
    setattr(ParameterHandle, f"__{_operation}__", _refuser(f"__{_operation}__"))


def _plus(tape: Tape, x: Any, y: Any, **more: Any) -> Any:
    if more:
        return NotImplemented
    return tape.add(x, y) if isinstance(y, ParameterHandle) else tape.add(y, x)


def _times(tape: Tape, x: Any, matrix: Any, **more: Any) -> Any:
    if more or isinstance(x, ParameterHandle):
        return NotImplemented
    return tape.dot(x, matrix)


def _linear(tape: Tape, x: Any, weight: Any, bias: Any = None) -> Any:
    if isinstance(x, ParameterHandle):
        return NotImplemented
    value = tape.dot(x, tape.transpose(weight))
    return value if bias is None else value + bias


def _embedding(tape: Tape, rows: Any, table: Any, **more: Any) -> Any:
    # A row that is padding gets no gradient, and one that is scaled another one.
    more.pop("norm_type", None)  # of a norm that nothing is scaled to
    if more.pop("padding_idx", -1) != -1 or more or not isinstance(table, ParameterHandle):
        return NotImplemented
    return tape.take(table, rows)


def _unsqueeze(tape: Tape, x: Any, axis: int) -> Any:
    return tape.expand_dims(x, axis)


#: What PyTorch does with a parameter that is a layer, by the name of its function.
_LAYERS: dict[str, Callable[..., Any]] = {
    "add": _plus,
    "radd": _plus,
    "matmul": _times,
    "mm": _times,
    "linear": _linear,
    "embedding": _embedding,
    "unsqueeze": _unsqueeze,
}


class Tape(TorchOps):
    """The array namespace that records where parameters enter, and what comes back there.

    The way back may be gone once: it uses up what was kept for it.

    Args:
        rows: sentences in the batch: the first axis of whatever a parameter makes, ones aside.
    """

    def __init__(self, torch: Any, rows: int) -> None:
        super().__init__(torch)
        self._rows = rows
        self.uses: list[ParameterUse] = []
        self._leaves: dict[int, Any] = {}
        self._found: dict[int, Any] = {}
        self._dot, self._expand_dims = self.dot, self.expand_dims
        self.dot, self.expand_dims = self._record_dot, self._expand_dims_of

    def handles(self, parameters: Parameters, plain: Collection[str]) -> dict[str, Any]:
        """A handle for each parameter, a tensor that needs no gradient, but for ``plain`` ones."""
        return {
            name: tensor if name in plain else ParameterHandle(self, name, tensor)
            for name, tensor in parameters.items()
        }

    def derivatives(self, cost: Any) -> list[tuple[ParameterUse, Any]]:
        """The uses that a cost, a number, depends on, and its derivative by what came out there."""
        if cost.requires_grad:
            leaves = list(self._leaves.values())
            found = self._torch.autograd.grad(cost, leaves, allow_unused=True)
            self._found.update(zip(self._leaves, found, strict=True))
        self._leaves.clear()
        # Nothing is left here: a tape is part of a cycle, and would keep it until it is collected.
        found, uses = self._found, self.uses
        self._found, self.uses = {}, []
        return [
            (use, found[place]) for place, use in enumerate(uses) if found.get(place) is not None
        ]

    def add(self, x: Array, vector: ParameterHandle) -> Array:
        """``x`` plus a vector along its last axis.

        Raises:
            NotAnOuterProduct: for what is no vector of this length.
        """
        if vector.tensor.ndim != 1 or not isinstance(x, self._torch.Tensor):
            raise NotAnOuterProduct(vector.name, "added, but is no vector")
        total = x + vector.tensor
        if total.shape[-1] != len(vector.tensor):
            raise NotAnOuterProduct(
                vector.name, f"added to {tuple(x.shape)}, an axis of another length"
            )
        return self._record_use(vector, "add", total, None)

    def take(self, table: Array, rows: Array) -> Array:
        """Rows of a table.

        Raises:
            NotAnOuterProduct: for a handle that is no table of rows.
        """
        if not isinstance(table, ParameterHandle):
            return super().take(table, rows)
        if table.turned or table.tensor.ndim > 2:
            raise NotAnOuterProduct(table.name, "looked up in, but is no table of rows")
        value = super().take(table.tensor, rows)
        return self._record_use(table, "take", value, self._torch.as_tensor(rows))

    def logsumexp(self, x: Array, axis: int) -> Array:
        """With the softmax kept for the way back: there it is the largest array of all."""
        return _logsumexp(self._torch).apply(x, axis)

    def transpose(self, matrix: Array) -> Array:
        """Transpose of a matrix, or of a handle."""
        if isinstance(matrix, ParameterHandle):
            return ParameterHandle(self, matrix.name, matrix.tensor, not matrix.turned)
        return super().transpose(matrix)

    def _record_dot(self, x: Array, matrix: Array) -> Array:
        if not isinstance(matrix, ParameterHandle):
            return self._dot(x, matrix)
        if matrix.tensor.ndim != 2:
            raise NotAnOuterProduct(matrix.name, "multiplied with, but is no matrix")
        weight = matrix.tensor.T if matrix.turned else matrix.tensor
        if x.requires_grad:
            return self._record_use(matrix, "dot", _product(self._torch).apply(x, weight), x)
        return self._record_use(matrix, "dot", self._dot(x, weight), x)

    def _expand_dims_of(self, x: Array, axis: int) -> Array:
        if not isinstance(x, ParameterHandle):
            return self._expand_dims(x, axis)
        if axis != 0 or x.tensor.ndim != 1:
            raise NotAnOuterProduct(x.name, f"given an axis {axis}")
        return x  # a vector broadcasts along its last axis, however many stand before it

    def _record_use(self, handle: ParameterHandle, kind: str, value: Any, rows: Any) -> Any:
        first = next((size for size in value.shape if size != 1), 1)
        if first != self._rows:
            raise NotAnOuterProduct(
                handle.name, f"used for {tuple(value.shape)}, not sentences first"
            )
        place = len(self.uses)
        if value.requires_grad:
            # Not kept for its derivative, which is caught as it passes: values are the most memory.
            value.register_hook(functools.partial(self._found.__setitem__, place))
        else:
            self._leaves[place] = value.requires_grad_()
        kept = rows if rows is None else rows.detach()
        if kept is not None and kind == "take":
            kept = kept.reshape(self._rows, -1)  # whatever axes of one stood before the sentences
        width = 1 if kind == "take" and handle.tensor.ndim == 1 else value.shape[-1]
        self.uses.append(ParameterUse(handle.name, kind, kept, width, handle.turned))
        return value


@functools.cache
def _product(torch: Any) -> Any:
    class Product(torch.autograd.Function):
        """x W, whose derivative by x is multiplied narrow times wide: that takes half the time."""

        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any) -> Any:
            ctx.weight = weight
            return x @ weight

        @staticmethod
        def backward(ctx: Any, derivative: Any) -> Any:
            flat = derivative.reshape(-1, derivative.shape[-1])
            found = (ctx.weight @ flat.T).T
            return found.reshape(*derivative.shape[:-1], -1), None

    return Product


@functools.cache
def _logsumexp(torch: Any) -> Any:
    class LogSumExp(torch.autograd.Function):
        """log sum exp, whose derivative is the softmax that its value was made of."""

        @staticmethod
        def forward(ctx: Any, x: Any, axis: int) -> Any:
            largest = x.amax(axis, keepdim=True)
            largest = largest.masked_fill(largest == -float("inf"), 0.0)  # else it is subtracted
            share = (x - largest).exp_()
            total = share.sum(axis, keepdim=True)
            ctx.axis, ctx.share, ctx.total = axis, share, total
            return (total.log() + largest).squeeze(axis)

        @staticmethod
        def backward(ctx: Any, derivative: Any) -> Any:
            return ctx.share.mul_(derivative.unsqueeze(ctx.axis) / ctx.total), None

    return LogSumExp
