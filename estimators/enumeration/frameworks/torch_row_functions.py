"""Functions of PyTorch in a run of many rows: what is called instead of some of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..block import NotBatchable, refused_by_framework
from .torch_integrated_rows import CALL
from .torch_row_creation import creation
from .torch_row_indexing import indexing
from .torch_row_repairs import repairs
from .torch_row_tensors import Tensor, TensorRows

#: Names of functions that do one thing to each tensor of a list, all at once.
FOREACH = "_foreach_"


@functools.cache
def rows_mode(torch: Any) -> Callable[[TensorRows], Any]:
    """The mode that sees every function of PyTorch."""
    tensor = torch.Tensor
    asking = {
        getattr(tensor, name)
        for name in (
            "__bool__", "__int__", "__float__", "__index__", "__complex__", "item", "tolist",
            "numpy", "__array__", "__repr__", "__format__", "__reduce_ex__",
        )
    }  # fmt: skip

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
        found = rows.gradients(outputs, given, grad_outputs, retain_graph, bool(create_graph))
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
        if create_graph:
            raise NotBatchable("it differentiates in a way that is not known for rows")
        rows.backward(output, gradient, inputs, retain_graph)

    def gradient_of(rows: TensorRows, value: Tensor) -> Any:
        known = rows.is_leaf(value) or not value.requires_grad
        if not known:
            raise NotBatchable("it uses the gradient of another parameter")
        return value.grad

    def in_graph(name: str) -> Callable[..., Any]:
        def ask(rows: TensorRows, value: Tensor) -> Any:
            is_plain = rows.is_leaf(value) or not rows.has_rows(value)
            return getattr(value if is_plain else rows.rows(value), name)

        return ask

    def refuse_data(rows: TensorRows, *_: Any) -> None:
        raise NotBatchable("it writes to a tensor that all paths share")

    def each(name: str, tensors: Sequence[Tensor], args: Any, given: Any) -> list[Tensor]:
        one = torch.linalg.vector_norm if name == "norm" else getattr(tensor, name)
        return [one(value, *args, **given) for value in tensors]

    def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda rows, *args: function(*args)

    answers: dict[Any, Callable[..., Any]] = {
        **indexing(torch),
        **repairs(torch),
        **creation(torch),
        torch.autograd.grad: grad,
        tensor.backward: backward,
        tensor.grad.__get__: gradient_of,
        tensor.data.__get__: lambda rows, value: rows.stand_in(value).detach(),
        tensor.data.__set__: refuse_data,
    }
    for name in ("requires_grad", "is_leaf", "grad_fn"):
        answers[getattr(tensor, name).__get__] = in_graph(name)
    for plain in (tensor.grad.__set__, tensor.grad.__delete__):
        answers[plain] = as_it_is(plain)

    class RowsMode(torch.overrides.TorchFunctionMode):
        def __init__(self, rows: TensorRows) -> None:
            super().__init__()
            self._rows = rows
            rows.run.memory[CALL] = self._call

        def __torch_function__(  # the name is PyTorch's
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            try:
                return self._call(func, args, kwargs or {})
            except NotBatchable:
                raise
            except Exception as error:
                refused_by_framework(error)  # noted there, for code may catch this
                raise

        def _call(self, func: Any, args: Any, given: Any) -> Any:
            rows = self._rows
            if rows.run.quadrature is not None and has_undecided((*args, *given.values())):
                return func(*rows.stand_in(args), **rows.stand_in(given))  # these answer it
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


def has_undecided(values: Any) -> bool:
    """Whether a tensor of numbers that are not decided is among some, in lists and out of them."""
    return any(
        has_undecided(each) if isinstance(each, tuple | list) else hasattr(each, "origin")
        for each in values
    )
