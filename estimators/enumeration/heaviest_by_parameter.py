"""Of each parameter the path that adds most to its mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from .gradients import GradientLayout
from .run import Choice

#: Of a path: its draws, or the numbers of their outcomes, (D,).
Outcomes = tuple[Choice, ...] | np.ndarray


def outcome_numbers(choices: Sequence[Choice]) -> tuple[int, ...]:
    """The numbers of a path's outcomes, by which it is known from others."""
    return tuple(choice.taken for choice in choices)


class HeaviestByParameter:
    """One path for each parameter: that on which an entry, times the probability, is largest.

    Of equal ones the first. The likeliest paths need not have a parameter's gradient at all: of
    attention, say, that of a text of one token has none.
    """

    def __init__(self, layout: GradientLayout) -> None:
        parts = {name: part for name, part in layout.parts.items() if part.stop > part.start}
        self._places = {name: place for place, name in enumerate(parts)}
        self._starts = np.array([part.start for part in parts.values()], int)
        self._most = np.zeros(len(parts))
        self._paths: dict[int, tuple[float, Outcomes]] = {}

    def add(
        self, weights: np.ndarray, sizes: np.ndarray, paths: Sequence[Outcomes] | np.ndarray
    ) -> None:
        """Look at some paths.

        Args:
            sizes: magnitudes of all entries, (N, P).
            paths: the outcomes of each.
        """
        if not self._starts.size:
            return
        added = weights[:, None] * np.maximum.reduceat(sizes, self._starts, axis=1)
        added = np.where(np.isfinite(added), added, 0.0)
        most = added.max(axis=0)
        for place in np.flatnonzero(most > self._most).tolist():
            row = int(np.argmax(added[:, place]))
            self._most[place] = most[place]
            self._paths[place] = float(weights[row]), paths[row]

    def merge(self, other: HeaviestByParameter) -> None:
        """Take over those of another that are heavier; its paths come after those of this."""
        for place in np.flatnonzero(other._most > self._most).tolist():
            self._most[place], self._paths[place] = other._most[place], other._paths[place]

    def of(self, names: Iterable[str]) -> Iterator[tuple[float, Outcomes]]:
        """The probability and the outcomes of each parameter's path; none where all is zero."""
        for name in names:
            place = self._places.get(name)
            if place in self._paths:
                yield self._paths[place]
