"""What a user knows of how far estimates spread, so that no range has to be learnt from draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.gradients import GradientLayout, arrays_by_name

from ..evidence import entry

#: How many times the standard deviation that was given samples may show. Of a bound that is true
#: they show a little more by accident, and twice as much where the largest outcomes are very rare.
MOST_SPREAD = 2.0


class BeyondSpread(GradproofError, ValueError):
    """Samples that vary by more than the standard deviation that was given."""


@dataclasses.dataclass(frozen=True)
class KnownSpread:
    """A range or a standard deviation of every entry of an estimate, or neither.

    ``low`` and ``high`` are ends that no estimate lies beyond, ``sd`` what no standard deviation
    exceeds; None where nothing is known.

    Shape: each (P,), in the order of a layout.
    """

    low: np.ndarray | None = None
    high: np.ndarray | None = None
    sd: np.ndarray | None = None

    def check(self, layout: GradientLayout, variance: np.ndarray) -> None:
        """Whether samples vary as was said.

        Args:
            variance: of the samples, (P,).

        Raises:
            BeyondSpread: if they vary by far more in some entry.
        """
        if self.sd is None:
            return
        seen = np.sqrt(variance)
        excess = np.flatnonzero(seen > MOST_SPREAD * self.sd)
        if excess.size:
            where = int(excess[0])
            raise BeyondSpread(
                f"the standard deviation of {entry(*layout.entry(where))} is "
                f"{seen[where]:.3e} over the samples, more than {MOST_SPREAD:g} times the "
                f"{self.sd[where]:.3e} that sd= says it does not exceed: nothing can be said of "
                "the mean; pass a larger sd=, or leave it out"
            )


def known_spread(bounds: Any, sd: Any, like: Mapping[str, np.ndarray]) -> KnownSpread:
    """What ``bounds=`` and ``sd=`` say, as rows.

    Args:
        bounds: a pair, each a number or arrays like the gradient.
        sd: a number, or arrays.
        like: the exact gradient.

    Raises:
        TypeError, ValueError: for what does not fit.
    """
    layout = GradientLayout(like)
    if bounds is not None:
        low, high = (_row(f"bounds[{end}]", value, layout) for end, value in enumerate(bounds))
        if (low > high).any():
            raise ValueError(f"bounds = {bounds!r:.80}, expected (low, high) with low below high")
        exact = layout.row(like)
        outside = np.flatnonzero((exact < low) | (exact > high))
        if outside.size:
            where = int(outside[0])
            raise ValueError(
                f"bounds = ({low[where]:.6g}, {high[where]:.6g}), and the exact gradient of "
                f"{entry(*layout.entry(where))} is {exact[where]:.6g}, where no mean of estimates "
                "within them can be: correct one of them"
            )
        return KnownSpread(low=low, high=high)
    return KnownSpread(sd=None if sd is None else _row("sd", sd, layout))


def check_known(bounds: Any, sd: Any, *, is_used: bool) -> None:
    """Whether these say something, before anything is run.

    Raises:
        TypeError: if they are of no use, or no pair.
    """
    if bounds is None and sd is None:
        return
    if bounds is not None and sd is not None:
        raise TypeError("pass one of bounds= and sd=: a range is known, or a standard deviation")
    if not is_used:
        name = "sd" if bounds is None else "bounds"
        raise TypeError(
            f"{name}= goes with draws=, where the mean is sampled: leave it out, or pass draws="
        )
    if bounds is not None and not (isinstance(bounds, tuple | list) and len(bounds) == 2):
        raise TypeError(
            f"bounds = {bounds!r:.80}, expected a pair (low, high) that every entry of an estimate "
            "lies between"
        )


def refuse_known(bounds: Any, sd: Any) -> None:
    """What is known of estimates is not known of the slopes that are sampled with an objective.

    Raises:
        TypeError: if something is given.
    """
    if bounds is not None or sd is not None:
        name = "sd" if bounds is None else "bounds"
        raise TypeError(
            f"{name}= is of the entries of an estimate, and here slopes are sampled (of an "
            "objective that cannot be enumerated, or with fast=True): leave it out, or pass exact="
        )


def _row(name: str, value: Any, layout: GradientLayout) -> np.ndarray:
    """Numbers for all entries: (P,)."""
    row = np.zeros(layout.size)
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        row[:] = float(value)
    else:
        missing = layout.parts.keys() - layout.write(arrays_by_name(value), row)
        if missing:
            raise ValueError(f"{name} lacks {', '.join(sorted(missing))}")
    if not np.isfinite(row).all() or (name == "sd" and (row < 0.0).any()):
        expected = "numbers of 0 or more" if name == "sd" else "finite numbers"
        raise ValueError(f"{name} = {value!r:.80}, expected {expected}")
    return row
