"""A baseline of the user's, in NumPy or PyTorch, as one that surrogates can subtract."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.reference_models.ops import Array

from .base import NothingLearned, Seen, Sentences, plain


class BaselineError(ValueError):
    """A baseline of the user's that is not one: the message says what it returned."""


@dataclasses.dataclass(frozen=True)
class Own(NothingLearned):
    """B(x; lambda) of a user, as it is: nothing is held constant that the user did not hold.

    Args:
        function: takes :class:`Sentences` and gives (N,). It is copied before each call, so that
            what it keeps of one draw is gone for the next.
        torch: give it tensors that carry their gradient; else it gets arrays.
        shift: added to what it gives.
        rows: the sentences of the whole batch, where it is given one of them alone.
    """

    function: Callable[[Sentences], Any]
    name: str = "own"
    torch: bool = False
    shift: float = 0.0
    coupled: bool = True  # unknown, and so its draws are enumerated jointly
    held: bool = False

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """Nothing: what it is fitted to, it keeps itself."""
        return {}

    def value(self, seen: Seen) -> Array:
        """B of each sentence, (N,).

        Raises:
            BaselineError: if it is of another shape or type, or not finite.
        """
        embedded, loss = seen.features.embedded, seen.loss
        tokens, mask = plain(seen.batch.tokens), plain(seen.batch.mask)
        x = Sentences(
            tokens,
            mask,
            mask.sum(axis=1),
            embedded if self.torch else plain(embedded),
            loss if self.torch else plain(loss),
        )
        found = self.called(x)
        if not self.torch:
            found = np.asarray(found, dtype=plain(loss).dtype)
        return seen.ops.zeros_like(loss) + _like(found, loss) + self.shift

    def of(self, x: Sentences) -> np.ndarray:
        """The values alone, (N,).

        Raises:
            BaselineError: as :meth:`value`.
        """
        return plain(self.called(x)).astype(np.float64)

    def called(self, x: Sentences) -> Any:
        """What the user's function gives, with the checks of :meth:`value`."""
        found = copy.deepcopy(self.function)(x)
        check_values(found, (len(x.lengths),), self.name)
        return found


def check_values(found: Any, shape: tuple[int, ...], name: str) -> None:
    """Make sure that a baseline gave a finite number for each sentence.

    Raises:
        BaselineError: if it did not.
    """
    try:
        values = plain(found).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BaselineError(
            f"baseline {name!r} returned {found!r:.80}, expected {shape[0]} numbers, one for each "
            "sentence"
        ) from error
    if values.shape != shape:
        raise BaselineError(
            f"baseline {name!r} returned an array of shape {values.shape}, expected {shape}: one "
            "number for each sentence"
        )
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise BaselineError(
            f"baseline {name!r} returned {values[place]} for sentence {place}, expected a finite "
            "number"
        )


def _like(found: Any, loss: Array) -> Any:
    """Values as the framework of the loss takes them."""
    if hasattr(loss, "new_tensor") and not hasattr(found, "detach"):
        return loss.new_tensor(found)
    return found
