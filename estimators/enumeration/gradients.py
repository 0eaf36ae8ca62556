"""What an estimator returns, as arrays by name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradproof.errors import GradproofError

from .outcomes import EPS
from .trees import children, dotted

#: Gradients by the name of what they are of.
ByName = dict[str, np.ndarray]

#: What to do about one number where a gradient was expected.
LOSS = (
    "; is it the loss? Return its gradient (in JAX, wrap it in jax.grad); in PyTorch return its "
    "tensor with its graph, with no item() or detach() on the way, or nothing after backward()"
)

#: ... and about one number before the gradients.
LOSS_FIRST = (
    "; is the first of them, one number, the loss, as jax.value_and_grad returns it? Return the "
    "gradients alone"
)


#: ... and about several numbers, where gradients are none.
METRICS = "; is one of these numbers a surrogate? Return it alone, without metrics beside it"

#: Of an exact gradient that is one number, where the estimator's has several.
MEAN_COST = (
    "; if that is what exact= gives, is it the mean cost? exact= is the gradient of it "
    "(torch.autograd.grad), and a function that draws a cost goes to objective="
)

#: Of gradients by name, and exact ones that have none.
IN_A_LIST = (
    "; these are places in a list, of exact= or of the inputs: call both alike, as by "
    "dict(zip(names, grads))"
)


class NotAGradient(GradproofError, TypeError):
    """No gradient to be read: neither arrays, nor a collection of them, nor a surrogate."""


class ReturnedGradients(dict[str, Any]):
    """Gradients by name, as an estimator returned them.

    ``in_order`` is whether they have no names but their places in a list, ``leaves`` are the names
    of the parameters in their order, where these are known, and ``hint`` is to be said where they
    do not fit.
    """

    in_order = False
    leaves: tuple[str, ...] = ()
    hint = ""


class RowValues(NamedTuple):
    """One array of each of many paths.

    Shape:
        ``values`` (N, *shape).
    """

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """That of one path's."""
        return self.values.shape[1:]


class LeafGradients(dict[str, Any]):
    """Gradients of parameters by their names: tensors or None, with nothing inside to be named."""


def named(value: object) -> ByName:
    """Arrays, tensors, or mappings, sequences, dataclasses and pytrees of them, by dotted names.

    Shape: each array as it is, in double precision; one that stands alone is named ``gradient``.
    None, the gradient of what an estimator does not reach, is left out.

    Raises:
        NotAGradient: for anything else, naming it.
        ValueError: if two have one name.
    """
    found = arrays_by_name(value)
    return {name: leaf.astype(np.float64) for name, leaf in found.items() if leaf is not None}


def arrays_by_name(value: object) -> dict[str, Any]:
    """The same as they are, perhaps in memory that somebody else writes to; None is kept.

    Raises:
        NotAGradient, ValueError: as :func:`named`.
    """
    if isinstance(value, ReturnedGradients):
        return value
    if type(value) is LeafGradients:
        return {
            name: None if leaf is None else real_array(leaf, name) for name, leaf in value.items()
        }
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":  # the usual case
        return {"gradient": value}
    items = [(name or "gradient", keys, leaf) for name, keys, leaf in items_of(value)]
    found = ReturnedGradients(
        {
            name: None if leaf is None else real_array(leaf, name if keys else "")
            for name, keys, leaf in items
        }
    )
    if len(found) < len(items):
        by_name(items, "gradients")
    found.in_order = type(value) in (list, tuple) and all(len(keys) == 1 for _, keys, _ in items)
    return found


def by_name(items: Iterable[tuple[str, tuple[Any, ...], Any]], what: str) -> dict[str, Any]:
    """Things by their names.

    Args:
        items: the name of each, the keys that lead to it, and the thing itself.
        what: they are, for messages.

    Raises:
        ValueError: if two have one name, of which the later would hide the earlier.
    """
    found: dict[str, Any] = {}
    places: dict[str, tuple[Any, ...]] = {}
    for name, keys, each in items:
        if name in found and found[name] is not each:
            raise ValueError(
                f"two {what} are called {name!r}: {_place(places[name])} and {_place(keys)}; "
                "rename one of them, or only one would be compared"
            )
        found[name], places[name] = each, keys
    return found


def _place(keys: tuple[Any, ...]) -> str:
    return "".join(f"[{key!r}]" for key in keys)


def real_array(leaf: object, name: str = "") -> np.ndarray:
    """The values of an array, tensor or number.

    Raises:
        NotAGradient: if they are not real numbers.
    """
    array = array_of(leaf)
    if array.dtype.kind not in "fiub":
        raise NotAGradient(
            f"{name or 'the gradient'} is {leaf!r:.60} of type {type(leaf).__name__}, expected an "
            "array or tensor of real numbers, or a mapping, sequence or dataclass of them"
        )
    return array


def precision(value: object) -> float:
    """The coarsest precision of what an estimator returned: the step from 1 to the next number."""
    if isinstance(value, np.ndarray):
        return float(np.finfo(value.dtype).eps) if value.dtype.kind == "f" else EPS
    steps = (_step_of(leaf) for _, _, leaf in items_of(value) if leaf is not None)
    return max(steps, default=EPS)


def _step_of(leaf: Any) -> float:
    torch = sys.modules.get("torch")
    # Of a tensor as it says itself: NumPy has not all of these types.
    if torch is not None and isinstance(leaf, torch.Tensor):
        return float(torch.finfo(leaf.dtype).eps) if leaf.is_floating_point() else EPS
    array = array_of(leaf)
    return float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else EPS


def items_of(
    value: object, name: str = "", keys: tuple[Any, ...] = ()
) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """Each with its dotted name and the keys that lead to it."""
    inner = children(value)
    if inner is None:
        yield name, keys, value
        return
    for key, each in inner:
        yield from items_of(each, dotted(name, key), (*keys, key))


def array_of(leaf: Any) -> np.ndarray:
    """The values of an array or tensor of any framework; it may share their memory."""
    if hasattr(leaf, "detach"):  # a tensor of PyTorch, wherever it is
        try:
            return np.asarray(leaf.numpy())  # the usual case
        except (RuntimeError, TypeError):  # it needs a gradient, or has no type of NumPy's
            pass
        leaf = leaf.detach()
        leaf = leaf.to_dense() if getattr(leaf, "is_sparse", False) else leaf
        leaf = leaf.float() if str(leaf.dtype) == "torch.bfloat16" else leaf
        return np.asarray(leaf.cpu().numpy())
    while hasattr(leaf, "_value"):  # autograd's boxes
        leaf = leaf._value
    array = np.asarray(leaf)
    return _with_numbers(array) if array.dtype.kind == "O" else array


def _with_numbers(array: np.ndarray) -> np.ndarray:
    """An array of objects, with the numbers of those among them that are drawn.

    Raises:
        UnsupportedDraw: for those that are not decided, unless they are integrated.
    """
    if not any(hasattr(each, "lazy") for each in array.flat):
        return array
    numbers = [
        each.numbers("as a number") if hasattr(each, "lazy") else each for each in array.flat
    ]
    return np.array(numbers).reshape(array.shape)


class GradientLayout:
    """Where the entries of each parameter stand in one row of numbers.

    Args:
        like: arrays of the names and shapes that gradients have.

    ``parts`` are slices by name, ``size`` P is the length of a row.
    """

    def __init__(self, like: Mapping[str, np.ndarray]) -> None:
        self.shapes = {name: np.shape(array) for name, array in like.items()}
        self.parts: dict[str, slice] = {}
        start = 0
        for name, shape in self.shapes.items():
            stop = start + int(np.prod(shape))
            self.parts[name] = slice(start, stop)
            start = stop
        self.size = start

    def entry(self, where: int) -> tuple[str, tuple[int, ...]]:
        """The parameter that a number of a row belongs to, and its place in that."""
        name = next(key for key, part in self.parts.items() if where < part.stop)
        place = np.unravel_index(where - self.parts[name].start, self.shapes[name])
        return name, tuple(int(each) for each in place)

    def write(self, value: Mapping[str, Any], row: np.ndarray) -> set[str]:
        """Put gradients into a row, (P,); what is not there is zero. The names that were there.

        Raises:
            ValueError: for a name or a shape that there should not be.
        """
        if len(value) != len(self.parts) or value.keys() != self.parts.keys():
            value = self._rename(value)
            row[:] = 0.0
        reached = set()
        for name, array in value.items():
            if array is None:
                row[self.parts[name]] = 0.0
                continue
            if array.shape != self.shapes[name]:
                self._refuse_shape(name, array, getattr(value, "hint", ""))
            row[self.parts[name]] = array.reshape(-1)
            reached.add(name)
        return reached

    def write_rows(self, value: Mapping[str, Any], rows: np.ndarray) -> set[str]:
        """Put the gradients of many paths into as many rows, (N, P); see :meth:`write`.

        Args:
            value: by name, a :class:`RowValues` each, or None.
        """
        if len(value) != len(self.parts) or value.keys() != self.parts.keys():
            value = self._rename(value)
            rows[:] = 0.0
        reached = set()
        for name, each in value.items():
            if each is None:
                rows[:, self.parts[name]] = 0.0
                continue
            if each.shape != self.shapes[name]:
                self._refuse_shape(name, each, getattr(value, "hint", ""))
            rows[:, self.parts[name]] = each.values.reshape(len(rows), -1)
            reached.add(name)
        return reached

    def _rename(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same by the names of here."""
        there = {name: array for name, array in value.items() if array is not None}
        hint = getattr(value, "hint", "")
        if len(there) == len(self.parts) == 1 and not there.keys() <= self.parts.keys():
            value = there
        if len(value) == len(self.parts) == 1:  # whatever the two are called
            return _with_hint({next(iter(self.parts)): next(iter(value.values()))}, hint)
        if getattr(value, "in_order", False):
            fitting = self._match_in_order(value)
            if fitting is not None:
                return fitting
        unknown = sorted(
            name for name, array in value.items() if name not in self.parts and array is not None
        )
        if unknown:
            raise ValueError(
                f"the estimator returns {', '.join(unknown)}, which the exact gradient lacks; it "
                f"has {', '.join(self.parts)}{hint}{self._hint_at_misfit(value)}"
            )
        return _with_hint({name: each for name, each in value.items() if name in self.parts}, hint)

    def _hint_at_misfit(self, value: Mapping[str, Any]) -> str:
        """What to do about gradients of other names than there should be."""
        shapes = {name: None if array is None else array.shape for name, array in value.items()}
        numbers = len(shapes) > 1 and all(shape in ((), None) for shape in shapes.values())
        if numbers and any(self.shapes.values()):
            return METRICS
        loss = loss_hint(shapes)
        if loss and len(value) in (1, len(self.parts) + 1):
            return loss
        if getattr(value, "in_order", False):
            return (
                f"; it returns a list of {len(value)}, which does not fit these one by one: return "
                "dict(zip(names, grads))"
            )
        if len(self.parts) > 1 and list(self.parts) == [str(n) for n in range(len(self.parts))]:
            return IN_A_LIST
        return ""

    def _match_in_order(self, value: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Gradients that stand in a list in the order of the parameters; None if they do not fit.

        The parameters' own order is meant, if these are parameters of PyTorch.
        """
        leaves = getattr(value, "leaves", ())
        order = leaves if set(leaves) == self.parts.keys() else tuple(self.parts)
        if len(value) != len(order):
            return None
        found = dict(zip(order, value.values(), strict=True))
        fits = all(
            array is None or array.shape == self.shapes[name] for name, array in found.items()
        )
        return found if fits else None

    def _refuse_shape(self, name: str, array: np.ndarray, hint: str) -> None:
        raise ValueError(
            f"{name} has shape {array.shape}, and its exact gradient {self.shapes[name]}"
            f"{self._hint_at_shape(name, array, hint)}"
        )

    def _hint_at_shape(self, name: str, array: np.ndarray, hint: str) -> str:
        """What to do about a gradient of another shape than there should be."""
        if not array.shape:
            return LOSS
        return hint or ("" if self.shapes[name] else MEAN_COST)

    def row(self, value: Mapping[str, Any]) -> np.ndarray:
        """Gradients in a row of their own, (P,)."""
        found = np.zeros(self.size)
        self.write(value, found)
        return found

    def split(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of a row, by name."""
        return {name: row[part].reshape(self.shapes[name]) for name, part in self.parts.items()}


def loss_hint(shapes: Mapping[str, tuple[int, ...] | None]) -> str:
    """What to do where a loss seems to stand in the place of gradients, or before them.

    Args:
        shapes: of what was returned and does not fit, by name; None for what was not reached.
    """
    if shapes.get("gradient") == ():
        return LOSS
    is_first = shapes.get("0") == () and any(shapes.values())
    return LOSS_FIRST if is_first else ""


def _with_hint(value: dict[str, Any], hint: str) -> ReturnedGradients:
    found = ReturnedGradients(value)
    found.hint = hint
    return found
