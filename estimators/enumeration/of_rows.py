"""Functions of a drawn number that are others in each row of a block."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .monotone import Chain, Sum


class OfRows(NamedTuple):
    """x itself: the function before this is another one in each row of a block.

    It has the parameters of the first row. Nothing may be compared by it, but numbers that are
    needed are made of their nodes by the framework, which has the parameters of all rows.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return x

    def back(self, c: np.ndarray, strict: np.ndarray) -> np.ndarray:
        """See the protocol."""
        return c

    @property
    def falls(self) -> Any:
        """See the protocol."""
        return np.False_

    def take(self, places: np.ndarray) -> OfRows:
        """See the protocol."""
        return self


def is_of_rows(chain: Chain) -> bool:
    """Whether a chain is another function in each row of a block."""
    return any(
        isinstance(link, OfRows)
        or (isinstance(link, Sum) and (is_of_rows(link.one) or is_of_rows(link.other)))
        for link in chain
    )
