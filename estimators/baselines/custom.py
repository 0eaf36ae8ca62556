"""A baseline of the user's, in NumPy or PyTorch, as one that surrogates can subtract."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.reference_models.ops import Array

from ..backends import load
from ..user_code import UserCodeError, blame
from .noise import seeded
from .outside import Place, put_back
from .protocol import BaselineBatch, BaselineInput, NothingLearned, plain


class BaselineError(UserCodeError):
    """A baseline of the user's that is not one: the message says what it returned, or raised."""


@dataclasses.dataclass(frozen=True, eq=False)  # what a user wrote need not be hashable
class CustomBaseline(NothingLearned):
    """B(x; lambda) of a user, as it is: nothing is detached that the user did not detach.

    Args:
        function: takes :class:`BaselineBatch` and gives (N,). It is copied before each call, so
            that what it keeps of one draw is gone for the next, and so is what it reads.
        torch: give it tensors that carry their gradient; else it gets arrays.
        shift: added to what it gives.
        seed: of the random numbers that it draws in a call, if any. Generators are set, and stay
            set: whoever calls puts :func:`~gradproof.estimators.baselines.noise.kept` around it.
        calls: give the mean of this many calls, each with a seed of its own.
        outside: what a call changes outside of the function; it is put back before each.
    """

    function: Callable[[BaselineBatch], Any]
    name: str = "own"
    torch: bool = False
    shift: float = 0.0
    seed: int = 0
    calls: int = 1
    outside: tuple[Place, ...] = ()
    coupled: bool = True  # unknown, and so its draws are enumerated jointly
    held: bool = False

    def value(self, seen: BaselineInput) -> Array:
        """B of each sentence, (N,).

        Raises:
            BaselineError: if it is of another shape or type, or not finite.
        """
        embedded, loss = seen.features.embedded, seen.loss
        tokens, mask = plain(seen.batch.tokens), plain(seen.batch.mask)
        x = BaselineBatch(
            tokens,
            mask,
            mask.sum(axis=1),
            embedded if self.torch else plain(embedded),
            loss if self.torch else plain(loss),
        )
        values = self.averaged(x)
        if not self.torch:
            values = np.asarray(values, dtype=plain(loss).dtype)
        return seen.ops.zeros_like(loss) + like(values, loss) + self.shift

    def of(self, x: BaselineBatch) -> np.ndarray:
        """The values alone, (N,).

        Raises:
            BaselineError: as :meth:`value`.
        """
        return plain(self.called(x)).astype(np.float64)

    def averaged(self, x: BaselineBatch) -> Any:
        """What the user's function gives, the mean of all calls if there are several."""
        if self.calls == 1:
            return self.called(x)
        seeds = range(self.seed, self.seed + self.calls)
        each = (dataclasses.replace(self, seed=seed, calls=1).called(x) for seed in seeds)
        return sum(like(found, x.losses) / self.calls for found in map(_array, each))

    def called(self, x: BaselineBatch) -> Any:
        """What one call of the user's function gives, with the checks of :meth:`value`."""
        put_back(self.outside)
        function = copied(self.function, self.name)
        read = {field.name: _copy(getattr(x, field.name)) for field in dataclasses.fields(x)}
        with blame(function, f"baseline {self.name!r}", BaselineError), seeded(function, self.seed):
            values = function(BaselineBatch(**read))
        check_values(values, (len(x.lengths),), self.name)
        return values


def copied(function: Callable[[BaselineBatch], Any], name: str) -> Callable[[BaselineBatch], Any]:
    """A copy that shares no state with the original.

    Raises:
        BaselineError: if there can be none.
    """
    try:
        return copy.deepcopy(function)
    except Exception as error:
        raise BaselineError(
            f"baseline {name!r} cannot be copied ({type(error).__name__}: {error}), and must be so "
            "that no draw sees another; keep locks, files and tensors of a graph out of it"
        ) from error


def check_values(returned: Any, shape: tuple[int, ...], name: str) -> None:
    """Make sure that a baseline gave a finite number for each sentence.

    Raises:
        BaselineError: if it did not.
    """
    if isinstance(returned, np.ma.MaskedArray):
        raise BaselineError(
            f"baseline {name!r} returned a masked array "
            f"({int(np.ma.getmaskarray(returned).sum())} of {returned.size} masked), expected a "
            "number for each sentence: give those a value, e.g. .filled(0.0)"
        )
    try:
        array = plain(returned)
        values = array.real.astype(np.float64)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise _not_numbers(returned, shape, name) from error
    if returned is None or np.iscomplexobj(array) or array.dtype.kind not in "fiubO":
        raise _not_numbers(returned, shape, name)
    if values.shape == ():
        raise BaselineError(
            f"baseline {name!r} returned the scalar {float(values)!r}, expected an array of shape "
            f"{shape}, one number for each sentence: np.full(len(x.lengths), {float(values)!r})"
        )
    if values.shape != shape:
        raise BaselineError(
            f"baseline {name!r} returned an array of shape {values.shape}, expected {shape}: one "
            "number for each sentence"
        )
    if array.dtype.kind in "iub":
        raise BaselineError(
            f"baseline {name!r} returned {'booleans' if array.dtype.kind == 'b' else 'integers'} "
            f"({array.dtype}: {array[0]} for sentence 0), "
            "expected floating-point numbers: where B is kept as integers, what it learns behind "
            "the point is lost. Return e.g. 20.0 for 20, or .astype(float)"
        )
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise BaselineError(
            f"baseline {name!r} returned {values[place]} for sentence {place}, expected a finite "
            "number"
        )


def in_torch(x: BaselineBatch) -> BaselineBatch:
    """What a baseline of PyTorch reads after a step: tensors, and no gradient of the step."""
    backend: Any = load("torch")
    tensor = backend.torch.tensor
    return dataclasses.replace(x, embedded=tensor(x.embedded), losses=tensor(x.losses))


def _not_numbers(returned: Any, shape: tuple[int, ...], name: str) -> BaselineError:
    return BaselineError(
        f"baseline {name!r} returned {returned!r:.80}, expected {shape[0]} real numbers, one for "
        "each sentence"
    )


def _array(found: Any) -> Any:
    """What a call gave as an array or a tensor, which can be added up."""
    return found if hasattr(found, "detach") else np.asarray(found, np.float64)


def _copy(x: Any) -> Any:
    """An array of its own; of a tensor, one that carries the same gradient."""
    return x.clone() if hasattr(x, "clone") else np.array(x)


def like(values: Any, loss: Array) -> Any:
    """Values as the framework of the loss takes them; a tensor is left as it is."""
    if hasattr(loss, "new_tensor") and not hasattr(values, "detach"):
        return loss.new_tensor(values)
    return values
