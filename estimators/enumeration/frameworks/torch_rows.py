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

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ..block import BlockRun, NotBatchable
from ..gradients import ReturnedGradients, RowValues, items_of
from .torch_row_functions import rows_mode
from .torch_row_tensors import Tensor, TensorRows

#: What must be there of PyTorch's own.
NEEDED = (
    "_add_batch_dim", "_remove_batch_dim", "get_unwrapped", "maybe_get_bdim", "maybe_get_level",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TorchRows:
    """Code in PyTorch, for many rows at once.

    Args:
        code: an estimator or objective, called without arguments.
        leaves: tensors that gradients are by, by name.
        read: tensors by name, None for what was not reached, of what was returned.
        around: what is entered before, and left after that is read.
        with_graph: whether logarithms of probabilities are kept, to be differentiated.
    """

    code: Callable[[], Any]
    leaves: Mapping[str, Tensor]
    read: Callable[[TensorRows, Any], dict[str, Any]]
    around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    with_graph: bool = False
    #: Nothing is known of it beforehand.
    most_rows: int = 0
    fewest_paths: int = 0

    def __call__(self, run: BlockRun) -> dict[str, RowValues | None]:
        """What is read of what the code returns, in all rows.

        Raises:
            NotBatchable, OtherRows: as :class:`..block.BlockRun`.
            Whatever PyTorch raises of what it cannot map.
        """
        torch: Any = sys.modules.get("torch")
        if torch is None or not is_supported(torch):
            raise NotBatchable("it is not written in a PyTorch that maps")

        def numbers(rows: TensorRows, returned: Any) -> dict[str, Any]:
            found = self.read(rows, returned)
            for name, each in found.items():
                if each is not None:
                    if not isinstance(each, torch.Tensor):
                        raise NotBatchable(f"{name} is no tensor")
                    found[name] = RowValues(rows.numbers(each))
            return found

        run.graph = [] if self.with_graph else None
        return TensorRows(torch, run, self.leaves).map(
            self.code, numbers, rows_mode(torch), self.around
        )


def read_gradients(
    leaves: Mapping[str, Tensor], read_as: str, rows: TensorRows, returned: Any
) -> dict[str, Any]:
    """The gradients of an estimator in all rows.

    Args:
        read_as: whether it returned a ``gradient`` or a ``surrogate``, or left its gradients in
            ``grad``.

    Raises:
        NotBatchable: for what can only be read of one path.
    """
    if read_as == "surrogate":
        return dict(zip(leaves, rows.gradients(returned, list(leaves.values())), strict=True))
    if read_as == "grad":
        return {name: leaf.grad for name, leaf in leaves.items()}
    named = [(name or "gradient", leaf) for name, _, leaf in items_of(returned)]
    found = ReturnedGradients(named)
    found.in_order, found.leaves = type(returned) in (list, tuple), tuple(leaves)
    if len(found) < len(named):
        raise NotBatchable("two gradients have one name")
    return found


@functools.cache
def is_supported(torch: Any) -> bool:
    """Whether this version of PyTorch has what is needed."""
    functions = getattr(torch._C, "_functorch", None)
    return hasattr(torch, "func") and all(hasattr(functions, name) for name in NEEDED)
