"""Numbers that are integrated in a run of many rows: each row has nodes of its own.

While ``torch.func.vmap`` maps, a mode sees every function of PyTorch (see :mod:`.torch_rows`), and
leaves those of numbers that are not decided to the tensors of these. What is called once they are
decided is what the mode calls in its place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ..block import BlockRun
from ..integrated_numbers import values_of, values_of_rows
from ..lazy_numbers import LazyNumbers
from ..run import Run, current_run
from .torch_row_tensors import ROWS, TensorRows

#: A tensor of PyTorch.
Tensor = Any

#: Roundings by which rows may differ that are computed from the same: PyTorch computes the last
#: entries of an array by other instructions than those before, which differ by a unit in the last
#: place or two, of each of four functions in a row. What differs by more is another number.
NEAR = 8.0

#: Under this name a run of rows remembers how functions of PyTorch are called in it.
CALL = "torch call in rows"


def rows_under_way() -> TensorRows | None:
    """The rows of the run that is under way; None where there are none."""
    run = current_run()
    if not isinstance(run, BlockRun):
        return None
    rows = run.memory.get(ROWS)
    return rows if isinstance(rows, TensorRows) else None


@contextlib.contextmanager
def _nothing_maps(torch: Any) -> Any:
    with torch._C.DisableTorchFunction(), torch._C._DisableFuncTorch():
        yield


def below_rows(torch: Any, run: Run) -> contextlib.AbstractContextManager[Any]:
    """In a run of rows nothing maps, and no mode sees functions, until this is left."""
    return _nothing_maps(torch) if isinstance(run, BlockRun) else contextlib.nullcontext()


def call(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a function of PyTorch gives, or what is called instead of it in a run of rows."""
    run = current_run()
    in_rows = run.memory.get(CALL) if isinstance(run, BlockRun) else None
    return func(*args, **kwargs) if in_rows is None else in_rows(func, args, kwargs)


def tensor_of(torch: Any, numbers: LazyNumbers, kind: tuple[Any, Any]) -> Tensor:
    """A tensor of numbers as they are drawn, which become nodes; in many rows, those of each.

    Args:
        kind: its type and device.
    """
    rows = rows_under_way()
    values = values_of(numbers) if rows is None else values_of_rows(numbers)
    with below_rows(torch, numbers.drawn.run):
        # Not a view of what NumPy keeps.
        found = torch.as_tensor(np.array(values, order="C")).to(*reversed(kind))
    return found if rows is None else rows.of_rows(found)


def below(value: Tensor) -> Tensor:
    """What stands for a tensor below vmap, where its graph is; itself where nothing maps."""
    rows = rows_under_way()
    if rows is None or hasattr(value, "lazy"):
        return value
    value = rows.stand_in(value)
    return rows.rows(value) if rows.has_rows(value) else value


def wants_gradient(value: Any) -> bool:
    """Whether a tensor is a function of one that gradients are wanted of."""
    return hasattr(value, "requires_grad") and bool(below(value).requires_grad)


def alike(value: Any) -> Any:
    """Whole numbers and truths as plain tensors, which all rows have; in collections too.

    Raises:
        OtherRows: for rows that have others, and are run apart.
    """
    rows = rows_under_way()
    if rows is None:
        return value
    if isinstance(value, tuple | list):
        return type(value)(alike(each) for each in value)
    is_tensor = isinstance(value, rows.torch.Tensor) and not hasattr(value, "lazy")
    if not is_tensor or value.is_floating_point() or value.is_complex():
        return value
    return rows.same(value)


def are_alike(rows: np.ndarray, precision: float) -> bool:
    """Whether all rows are the same, but for rounding.

    Args:
        rows: (P, *shape).
        precision: as the step from 1 to the next number.
    """
    first = np.broadcast_to(rows[:1], rows.shape)
    with np.errstate(invalid="ignore"):  # what is infinite is equal, or is not
        near = np.abs(rows - first) <= NEAR * precision * np.abs(first)
    return bool((near | (rows == first)).all())
