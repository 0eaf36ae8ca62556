"""PyTorch code that is run once for many rows, by ``torch.func.vmap``.

An estimator is written for one path, closes over its parameters, and differentiates as it likes.
vmap alone would refuse most of that; so while it maps, a mode that sees every function of PyTorch

- puts a parameter that has a row for each path in the place of the parameter, so that a gradient
  has a row for each path too;
- differentiates (``backward``, ``grad``) below vmap, where the graph is;
- answers what asks for a number (``if``, ``item``, ``int``) if it is the same in all rows, and
  splits the rows if it is not;
- indexes by a number that was drawn.

What is still refused is run path by path, and some paths of each block are run both ways.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..block import BlockRun, NotBatchable
from ..gradients import ReturnedGradients, RowValues, items_of
from .torch_randint import RandintLike, whole_numbers

#: A tensor of PyTorch.
Tensor = Any

#: Under this name a run remembers the rows of its tensors.
ROWS = "torch rows"

#: Names of functions that do one thing to each tensor of a list, all at once.
FOREACH = "_foreach_"

#: What must be there of PyTorch's own.
NEEDED = (
    "_add_batch_dim", "_remove_batch_dim", "get_unwrapped", "maybe_get_bdim", "maybe_get_level",
)  # fmt: skip


class TensorRows:
    """Tensors that have a row for each path, while vmap maps over these.

    Args:
        leaves: tensors that gradients are by, by name.
    """

    def __init__(self, torch: Any, run: BlockRun, leaves: Mapping[str, Tensor]) -> None:
        self.torch, self.run, self._leaves = torch, run, leaves
        self._functions = torch._C._functorch
        self.level = 0
        #: By its identity, what stands for each leaf: below vmap, and in it.
        self._below: dict[int, Tensor] = {}
        self._stand_in: dict[int, Tensor] = {}

    def map(self, code: Callable[[], Any], read: Callable[[TensorRows, Any], Any]) -> Any:
        """What is read of what code returns, in all rows at once.

        Args:
            read: is called in vmap still.
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
            with _rows_mode(self.torch)(self):
                returned = code()
            found.append(read(self, returned))
            return row

        self.run.memory[ROWS] = self
        try:
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

    def of_rows(self, value: Tensor) -> Tensor:
        """A tensor of the values of all rows, (P, *shape)."""
        return self._functions._add_batch_dim(value, 0, self.level)

    def same(self, value: Tensor) -> Tensor:
        """What all rows have, as a plain tensor; rows that have something else are run apart."""
        value = self.stand_in(value)
        if not self.has_rows(value):
            return value
        rows = self.rows(value).detach()
        if bool((rows == rows[:1]).all()):
            return rows[0]
        flat = rows.reshape(self.run.size, -1).cpu().numpy()
        self.run.split(np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1))

    def gradients(
        self,
        outputs: Any,
        inputs: Sequence[Tensor],
        weights: Any = None,
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
            roots.append(root)
            scales.append(self.torch.ones_like(root) if weight is None else self.rows(weight))
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
            roots, below, scales, retain_graph=True, create_graph=create_graph, allow_unused=True
        )
        return [
            None if each is None else self._functions._add_batch_dim(each, place, self.level)
            for each, place in zip(found, places, strict=True)
        ]

    def backward(self, outputs: Any, weights: Any = None, inputs: Any = None) -> None:
        """Gradients are added to what stands in ``.grad``."""
        chosen = list(self._leaves.values()) if inputs is None else list(inputs)
        for leaf, found in zip(chosen, self.gradients(outputs, chosen, weights), strict=True):
            if found is not None:
                own = found.clone()  # it may be one number in several places
                leaf.grad = own if leaf.grad is None else leaf.grad + own


@dataclasses.dataclass(frozen=True)
class TorchRows:
    """An estimator in PyTorch, for many rows at once.

    Args:
        code: an estimator, called without arguments.
        leaves: tensors that gradients are by, by name.
        read_as: whether it returns a ``gradient`` or a ``surrogate``, or leaves its gradients in
            ``grad``.
    """

    code: Callable[[], Any]
    leaves: Mapping[str, Tensor]
    read_as: str
    #: Nothing is known of it beforehand.
    most_rows: int = 0
    fewest_paths: int = 0

    def __call__(self, run: BlockRun) -> dict[str, RowValues | None]:
        """What code returns in all rows, or the gradients that it leaves.

        Raises:
            NotBatchable, OtherRows: as :class:`..block.BlockRun`.
            Whatever PyTorch raises of what it cannot map.
        """
        return _run_rows(self.code, run, self.leaves, self.read_as)


def _run_rows(
    code: Callable[[], Any], run: BlockRun, leaves: Mapping[str, Tensor], read_as: str
) -> dict[str, RowValues | None]:
    torch: Any = sys.modules.get("torch")
    if torch is None or not is_supported(torch):
        raise NotBatchable("it is not written in a PyTorch that maps")

    def read(rows: TensorRows, returned: Any) -> dict[str, Any]:
        if read_as == "surrogate":
            gradients = rows.gradients(returned, list(leaves.values()))
            found: dict[str, Any] = dict(zip(leaves, gradients, strict=True))
        elif read_as == "grad":
            found = {name: leaf.grad for name, leaf in leaves.items()}
        else:
            named = [(name or "gradient", leaf) for name, _, leaf in items_of(returned)]
            found = ReturnedGradients(named)
            found.in_order, found.leaves = type(returned) in (list, tuple), tuple(leaves)
            if len(found) < len(named):
                raise NotBatchable("two gradients have one name")
        for name, each in found.items():
            if each is not None:
                if not isinstance(each, torch.Tensor):
                    raise NotBatchable(f"{name} is no tensor")
                found[name] = RowValues(rows.numbers(each))
        return found

    return TensorRows(torch, run, leaves).map(code, read)


@functools.cache
def is_supported(torch: Any) -> bool:
    """Whether this version of PyTorch has what is needed."""
    functions = getattr(torch._C, "_functorch", None)
    return hasattr(torch, "func") and all(hasattr(functions, name) for name in NEEDED)


@functools.cache
def _rows_mode(torch: Any) -> Callable[[TensorRows], Any]:
    """The mode that sees every function of PyTorch."""
    tensor, indices = torch.Tensor, (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    asking = {
        getattr(tensor, name)
        for name in (
            "__bool__", "__int__", "__float__", "__index__", "__complex__", "item", "tolist",
            "numpy", "__array__",
        )
    }  # fmt: skip

    def index(rows: TensorRows, value: Tensor, at: Any) -> Tensor:
        value, places = rows.stand_in(value), list(at) if isinstance(at, tuple) else [at]
        drawn = [
            place
            for place, each in enumerate(places)
            if isinstance(each, tensor)
            and not each.dim()
            and each.dtype in indices
            and rows.has_rows(each)
        ]
        if not drawn or any(each is None or each is Ellipsis for each in places):
            return value[at]
        for place in reversed(drawn):  # from the right, so that places stay what they are
            value = value.index_select(place, places.pop(place).reshape(1)).select(place, 0)
        return value[tuple(places)] if places else value

    def one_hot(rows: TensorRows, value: Tensor, num_classes: int = -1) -> Tensor:
        if num_classes < 1 or not rows.has_rows(value):
            return torch.nn.functional.one_hot(value, num_classes)
        return (value.unsqueeze(-1) == torch.arange(num_classes, device=value.device)).long()

    def grad(
        rows: TensorRows,
        outputs: Any,
        inputs: Any,
        grad_outputs: Any = None,
        retain_graph: Any = None,
        create_graph: bool = False,
        allow_unused: Any = None,
        only_inputs: bool = True,
        is_grads_batched: bool = False,
        materialize_grads: bool = False,
    ) -> tuple[Tensor | None, ...]:
        if is_grads_batched or materialize_grads:
            raise NotBatchable("it differentiates in a way that is not known for rows")
        given = [inputs] if isinstance(inputs, tensor) else list(inputs)
        found = rows.gradients(outputs, given, grad_outputs, bool(create_graph))
        if not allow_unused and any(each is None for each in found):
            raise NotBatchable("it differentiates by what is not used")
        return tuple(found)

    def backward(
        rows: TensorRows,
        output: Tensor,
        gradient: Any = None,
        retain_graph: Any = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        rows.backward(output, gradient, inputs)

    def gradient_of(rows: TensorRows, value: Tensor) -> Any:
        known = rows.is_leaf(value) or not value.requires_grad
        if not known:
            raise NotBatchable("it uses the gradient of another parameter")
        return value.grad

    def requires_grad(rows: TensorRows, value: Tensor) -> bool:
        if rows.is_leaf(value) or not rows.has_rows(value):
            return bool(value.requires_grad)
        return bool(rows.rows(value).requires_grad)

    def each(name: str, tensors: Sequence[Tensor], args: Any, given: Any) -> list[Tensor]:
        one = torch.linalg.vector_norm if name == "norm" else getattr(tensor, name)
        return [one(value, *args, **given) for value in tensors]

    def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda rows, *args: function(*args)

    answers: dict[Any, Callable[..., Any]] = {
        tensor.__getitem__: index,
        torch.nn.functional.one_hot: one_hot,
        torch.autograd.grad: grad,
        tensor.backward: backward,
        tensor.grad.__get__: gradient_of,
        tensor.requires_grad.__get__: requires_grad,
        tensor.data.__get__: lambda rows, value: rows.stand_in(value).detach(),
    }
    for plain in (tensor.grad.__set__, tensor.grad.__delete__, tensor.is_leaf.__get__):
        answers[plain] = as_it_is(plain)

    class RowsMode(torch.overrides.TorchFunctionMode):
        def __init__(self, rows: TensorRows) -> None:
            super().__init__()
            self._rows = rows

        def __torch_function__(  # the name is PyTorch's
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            rows, given = self._rows, kwargs or {}
            if func in asking:
                return func(rows.same(args[0]), *args[1:], **given)
            answer = answers.get(func)
            if answer is not None:
                return answer(rows, *args, **given)
            name = getattr(func, "__name__", "")
            if name.startswith(FOREACH):
                return each(name.removeprefix(FOREACH), rows.stand_in(args[0]), args[1:], given)
            return func(*rows.stand_in(args), **rows.stand_in(given))

    return RowsMode


class RowDraws(RandintLike):
    """What answers for PyTorch's functions that draw; their arguments are theirs, after the run.

    Args:
        begin: notes that a generator draws.
        step: the precision of what probabilities are given in.
    """

    def __init__(
        self, torch: Any, begin: Callable[..., None], step: Callable[[Tensor], float]
    ) -> None:
        self._torch, self._begin, self._step = torch, begin, step

    def multinomial(
        self,
        run: BlockRun,
        input: Tensor,
        num_samples: int = 1,
        replacement: bool = False,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Of each row of weights, so many outcomes."""
        rows = _rows_of(run, out)
        self._begin(run, generator, "torch.multinomial")
        weights = rows.numbers(input)
        if weights.ndim not in (2, 3) or num_samples < 1:
            raise NotBatchable("multinomial refuses it")
        weights = weights.reshape(run.size, -1, weights.shape[-1])
        totals = weights.sum(axis=-1, keepdims=True)
        if not (weights.min() >= 0.0 and 0.0 < totals.min() <= totals.max() < np.inf):
            raise NotBatchable("some weights are no probabilities")
        step, count = self._step(input), weights.shape[1]
        if num_samples == 1 or replacement:
            tables = np.swapaxes(weights / totals, 0, 1)
            drawn = run.take([each for each in tables for _ in range(num_samples)], step)
        else:
            columns = []
            for place in range(count):
                left = weights[:, place].copy()
                for _ in range(num_samples):
                    total = left.sum(axis=1, keepdims=True)
                    if not total.min() > 0.0:
                        raise NotBatchable("it draws more than there is")
                    columns.append(run.take([left / total], step)[:, 0])
                    left[np.arange(run.size), columns[-1]] = 0.0
            drawn = np.stack(columns, axis=1)
        return self._tensor(rows, drawn, (*input.shape[:-1], num_samples), input.device)

    def bernoulli(
        self,
        run: BlockRun,
        input: Tensor,
        p: float | None = None,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Zeros and ones of these probabilities."""
        rows = _rows_of(run, out)
        self._begin(run, generator, "torch.bernoulli")
        given = input if p is None else self._torch.full(input.shape, p, dtype=self._torch.double)
        ones = rows.numbers(given).reshape(run.size, -1)
        if not (given.is_floating_point() and ((ones >= 0.0) & (ones <= 1.0)).all()):
            raise NotBatchable("bernoulli refuses it")
        certain = (ones == 0.0) | (ones == 1.0)
        if (certain != certain[:1]).any():  # one that is certain is no draw
            run.split(np.unique(certain, axis=0, return_inverse=True)[1].reshape(-1))
        drawn = (ones == 1.0).astype(np.int64)
        places = np.flatnonzero(~certain[0])
        tables = [np.stack([1.0 - ones[:, each], ones[:, each]], axis=1) for each in places]
        drawn[:, places] = run.take(tables, self._step(given))
        found = self._tensor(rows, drawn, input.shape, input.device).to(input.dtype)
        if p is None and input.requires_grad and self._torch.is_grad_enabled():
            found = found + 0.0 * input  # PyTorch differentiates a coin too, to zero
        return found

    def randint(self, run: BlockRun, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        """Whole numbers, each as likely: (high, size) or (low, high, size)."""
        rows = _rows_of(run, kwargs.pop("out", None))
        self._begin(run, generator, "torch.randint")
        low, high, size, made = whole_numbers(args, kwargs)
        drawn = low + self._uniform(run, high - low, math.prod(size))
        dtype = made.get("dtype", self._torch.long)
        return self._tensor(rows, drawn, size, made.get("device")).to(dtype)

    def randperm(self, run: BlockRun, n: int, *, generator: Any = None, **kwargs: Any) -> Tensor:
        """The first n numbers in any order."""
        rows = _rows_of(run, kwargs.pop("out", None))
        self._begin(run, generator, "torch.randperm")
        numbers, each = np.tile(np.arange(n), (run.size, 1)), np.arange(run.size)
        for place in range(n):
            other = place + self._uniform(run, n - place, 1)[:, 0]
            numbers[each, other], numbers[:, place] = numbers[:, place], numbers[each, other].copy()
        dtype = kwargs.get("dtype") or self._torch.long
        return self._tensor(rows, numbers, (n,), kwargs.get("device")).to(dtype)

    def _uniform(self, run: BlockRun, outcomes: int, count: int) -> np.ndarray:
        if outcomes < 1:
            raise NotBatchable("it draws one of no outcomes")
        return run.take([np.full((run.size, outcomes), 1.0 / outcomes)] * count)

    def _tensor(self, rows: TensorRows, drawn: np.ndarray, shape: Any, device: Any) -> Tensor:
        plain = self._torch.from_numpy(np.ascontiguousarray(drawn, dtype=np.int64))
        plain = plain.reshape(len(drawn), *shape)
        return rows.of_rows(plain if device is None else plain.to(device))


def _rows_of(run: BlockRun, out: Tensor | None) -> TensorRows:
    rows = run.memory.get(ROWS)
    if out is not None or not isinstance(rows, TensorRows):
        raise NotBatchable("it draws into a tensor that all paths share")
    return rows
