"""What is sampled from: logits at a temperature, of the k likeliest tokens, or of a nucleus."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..enumeration.whole_numbers import whole_from
from .model_library import Array, ModelLibrary

#: Roundings of each of the probabilities that are added up: of the logit, the exponential, the sum
#: of all, and the quotient.
ROUNDINGS_EACH = 4.0


@dataclasses.dataclass(frozen=True)
class Truncation:
    """How the distribution of the next token is made of logits.

    The temperature comes first, then ``top_k``, then ``top_p`` of what is left, as in most
    libraries. What is left out does not depend on parameters, but where the set jumps.

    Reference:
        Holtzman et al. (2020), The curious case of neural text degeneration: top-p, or nucleus.

    Raises:
        ValueError, TypeError: for values that say nothing.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not (0.0 < self.temperature < np.inf):
            raise ValueError(
                f"temperature = {self.temperature!r}, expected a number above 0: at 0 the "
                "likeliest token is certain, and there is no gradient"
            )
        if self.top_k is not None:
            words = f"top_k = {self.top_k!r}, expected a whole number from 1, or None"
            object.__setattr__(self, "top_k", whole_from(self.top_k, 1, words))  # it is frozen
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p = {self.top_p!r}, expected a number in (0, 1], or None")

    def log_probs(self, library: ModelLibrary, logits: Array, prefixes: Array) -> Array:
        """The logarithms of the probabilities that are sampled from; -inf for what is left out.

        Args:
            prefixes: for messages.

        Shape: ``logits`` and result (B, V), ``prefixes`` (B, L).

        Raises:
            ValueError: if it depends on rounding, or on the order of equal tokens, which are left
                out; where JAX traces, it is not seen.
        """
        logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[1]:
            held = library.held(logits)
            keep = self._likeliest(library.numpy(held), held, prefixes)
            logits = library.where(keep, logits, -np.inf)
        if self.top_p is not None and self.top_p < 1.0:
            held = library.held(logits)
            keep = self._nucleus(library.numpy(held), held, prefixes)
            logits = library.where(keep, logits, -np.inf)
        return library.log_softmax(logits)

    def _likeliest(self, xp: Any, logits: Any, prefixes: Array) -> Any:
        """Whether each token is one of the ``top_k``; of the functions of ``xp``."""
        ordered = -xp.sort(-logits, axis=1)
        assert self.top_k is not None
        last, following = ordered[:, self.top_k - 1], ordered[:, self.top_k]
        _refuse_ties((last == following) & xp.isfinite(last), prefixes, f"top_k = {self.top_k}")
        return logits >= last[:, None]

    def _nucleus(self, xp: Any, logits: Any, prefixes: Array) -> Any:
        """The fewest tokens, likeliest first, whose probabilities come to ``top_p``."""
        order = xp.argsort(-logits, axis=1)
        ordered = xp.take_along_axis(logits, order, axis=1)
        weights = xp.exp(ordered - ordered[:, :1])  # of the likeliest: 1
        likely = weights / weights.sum(axis=1, keepdims=True)
        before = xp.cumsum(likely, axis=1) - likely  # what those come to that are likelier
        allowed = ROUNDINGS_EACH * logits.shape[1] * float(np.finfo(np.float64).eps)
        near = (xp.abs(before - self.top_p) <= allowed) & (likely > 0.0)
        _refuse_ties(near.any(axis=1), prefixes, f"top_p = {self.top_p}")
        kept = before < self.top_p
        cut = kept[:, :-1] & ~kept[:, 1:] & (ordered[:, :-1] == ordered[:, 1:])
        cut &= xp.isfinite(ordered[:, :-1])
        _refuse_ties(cut.any(axis=1), prefixes, f"top_p = {self.top_p}")
        return xp.take_along_axis(kept, xp.argsort(order, axis=1), axis=1)


def _refuse_ties(tied: Any, prefixes: Array, what: str) -> None:
    if isinstance(tied, np.ndarray) and tied.any():
        prefix = prefixes[int(np.argmax(tied))].tolist()
        raise ValueError(
            f"{what} cuts between tokens that are equally likely after {prefix}, or exactly at a "
            "token's edge: which are left out is up to rounding, and to the library; move it, or "
            "the logits, a little"
        )
