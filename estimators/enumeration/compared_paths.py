"""Which paths of a block are run by themselves too, and how far they may be off."""

from __future__ import annotations

import numpy as np

from .path_blocks import Block

#: Paths of the first block that are compared wherever they lie, and of any block so that each
#: outcome of each draw is in one that is, at most.
SPREAD, COVERING = 16, 16

#: Part of the way through equal ones at which the next is taken: no two of them lie close together.
GOLDEN = (5.0**0.5 - 1.0) / 2.0


class ComparedPaths:
    """Chooses paths to be compared, block by block."""

    def __init__(self) -> None:
        #: Outcomes that some path which was chosen has, of each draw.
        self._seen: list[np.ndarray] = []
        self._first = True

    def choose(self, block: Block, rows: np.ndarray) -> list[int]:
        """Places of paths in a block: what is rare among many shows in some of them.

        They are the likeliest; that of the largest gradient; the first whose gradient is no number;
        some so that each outcome of each draw is in one; and of the first block some more.

        Args:
            rows: the gradients, (N, P).
        """
        finite = np.isfinite(rows)
        sizes = np.where(finite, np.abs(rows), 0.0).max(axis=1, initial=0.0)
        places = [int(np.argmax(block.weights)), int(np.argmax(sizes))]
        bad = ~finite.all(axis=1)
        if bad.any():
            places.append(int(np.argmax(bad)))
        if self._first:
            places += np.linspace(0, len(rows) - 1, SPREAD).round().astype(int).tolist()
            self._first = False
        return list(dict.fromkeys([*places, *self._cover(block.numbers, places)]))

    def _cover(self, numbers: np.ndarray, places: list[int]) -> list[int]:
        """Rows that have outcomes which none had that was chosen before."""
        unseen = np.zeros(numbers.shape, bool)
        for draw, column in enumerate(numbers.T):
            self._make_room(draw, int(column.max(initial=0)) + 1)
            self._seen[draw][column[places]] = True
        chosen: list[int] = []
        while len(chosen) < COVERING:
            for draw, column in enumerate(numbers.T):
                unseen[:, draw] = ~self._seen[draw][column]
            new = unseen.sum(axis=1)
            if not new.any():
                break
            most = np.flatnonzero(new == new.max())
            place = int(most[int(len(most) * (len(chosen) * GOLDEN % 1.0))])
            chosen.append(place)
            for draw, outcome in enumerate(numbers[place]):
                self._seen[draw][outcome] = True
        return chosen

    def _make_room(self, draw: int, count: int) -> None:
        if draw == len(self._seen):
            self._seen.append(np.zeros(0, bool))
        more = count - len(self._seen[draw])
        if more > 0:
            self._seen[draw] = np.concatenate([self._seen[draw], np.zeros(more, bool)])


def scale_of(block: Block, sizes: np.ndarray, place: int) -> float:
    """What a path's rounding is a share of: the size of a parameter's gradients in its block.

    That is their mean, as rounding of the mean is allowed for. A path that is less likely than
    others may be off by more, but by no more than the largest of them. So what is small and likely
    is not lost beside what is large and unlikely.

    Args:
        sizes: their magnitudes, (N, P).
    """
    weights = block.weights
    total, weight = float(weights.sum()), float(weights[place])
    largest = float(sizes.max(initial=0.0))
    if not 0.0 < weight * len(weights) < total * len(weights):
        return largest
    rarity = max(1.0, total / (weight * len(weights)))
    mean = float((weights @ sizes).max(initial=0.0)) / total
    return min(largest, max(mean * rarity, float(sizes[place].max(initial=0.0))))
