"""What is sampled from: logits at a temperature, of the k likeliest tokens, or of a nucleus."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

#: A tensor of PyTorch.
Tensor = Any

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
        if self.top_k is not None and (type(self.top_k) is not int or self.top_k < 1):
            raise ValueError(f"top_k = {self.top_k!r}, expected a whole number from 1, or None")
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p = {self.top_p!r}, expected a number in (0, 1], or None")

    def log_probs(self, logits: Tensor, prefixes: Tensor) -> Tensor:
        """The logarithms of the probabilities that are sampled from; -inf for what is left out.

        Args:
            prefixes: for messages.

        Shape: ``logits`` and result (B, V), ``prefixes`` (B, L).

        Raises:
            ValueError: if it depends on rounding, or on the order of equal tokens, which are left
                out.
        """
        import torch

        logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[1]:
            keep = self._likeliest(logits.detach(), prefixes)
            logits = logits.masked_fill(~keep, -torch.inf)
        if self.top_p is not None and self.top_p < 1.0:
            keep = self._nucleus(logits.detach(), prefixes)
            logits = logits.masked_fill(~keep, -torch.inf)
        return logits.log_softmax(-1)

    def _likeliest(self, logits: Tensor, prefixes: Tensor) -> Tensor:
        ordered = logits.sort(dim=1, descending=True).values
        assert self.top_k is not None
        last, following = ordered[:, self.top_k - 1], ordered[:, self.top_k]
        _refuse_ties((last == following) & last.isfinite(), prefixes, f"top_k = {self.top_k}")
        return logits >= last[:, None]

    def _nucleus(self, logits: Tensor, prefixes: Tensor) -> Tensor:
        """The fewest tokens, likeliest first, whose probabilities come to ``top_p``."""
        import torch

        ordered, order = logits.sort(dim=1, descending=True)
        likely = ordered.softmax(-1)
        before = likely.cumsum(1) - likely  # what those come to that are likelier
        allowed = ROUNDINGS_EACH * logits.shape[1] * float(np.finfo(np.float64).eps)
        near = ((before - self.top_p).abs() <= allowed) & (likely > 0.0)
        _refuse_ties(near.any(dim=1), prefixes, f"top_p = {self.top_p}")
        kept = before < self.top_p
        cut = kept[:, :-1] & ~kept[:, 1:] & (ordered[:, :-1] == ordered[:, 1:])
        cut &= ordered[:, :-1].isfinite()
        _refuse_ties(cut.any(dim=1), prefixes, f"top_p = {self.top_p}")
        return torch.zeros_like(kept).scatter(1, order, kept)


def _refuse_ties(tied: Tensor, prefixes: Tensor, what: str) -> None:
    if bool(tied.any()):
        prefix = prefixes[int(tied.nonzero()[0, 0])].tolist()
        raise ValueError(
            f"{what} cuts between tokens that are equally likely after {prefix}, or exactly at a "
            "token's edge: which are left out is up to rounding, and to the library; move it, or "
            "the logits, a little"
        )
