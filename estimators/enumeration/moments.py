"""Exact moments of any estimator: weighted sums over all paths.

Reference:
    Neumaier (1974), Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen. Chan,
    Golub and LeVeque (1983), Algorithms for computing the sample variance: analysis and
    recommendations.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .gradients import GradientLayout
from .heaviest_by_parameter import HeaviestByParameter, Outcomes, outcome_numbers
from .left_out import LeftOut, edge_of
from .outcomes import EPS
from .path_blocks import Block
from .run import Choice, NotReproducible, Path

#: Paths whose gradients are added up at once, and the numbers that these may come to: two
#: megabytes.
BLOCK, CELLS = 64, 2**18

#: The probabilities of all paths add up to one within so many roundings for each draw: the
#: probabilities of one draw are rounded when they are made, normalised, and multiplied.
ROUNDINGS_OF_A_DRAW = 100.0

#: A share of a second moment that nobody misses.
NEXT_TO_NOTHING = 1e-3

#: Paths that are remembered with their outcomes, the likeliest: what rounding does inside is
#: measured on the first of these, or on all.
REMEMBERED = 256


class Moments:
    """Weighted sums over paths, as they grow. Memory does not grow with the number of paths.

    Args:
        layout: the names and shapes of gradients.
    """

    def __init__(self, layout: GradientLayout) -> None:
        self.layout = layout
        rows = max(1, min(BLOCK, CELLS // max(1, layout.size)))
        self._rows = np.zeros((rows, layout.size))
        self._weights, self._far = np.zeros(rows), np.zeros(rows, bool)
        self._left_out, self._squares_left_out = LeftOut(layout.size), LeftOut(layout.size)
        self._largest_near = self._far_weight = 0.0
        self._paths: list[tuple[Choice, ...]] = []
        self._filled = 0
        self._sum, self._lost = np.zeros(layout.size), np.zeros(layout.size)
        self._center = np.zeros(layout.size)
        self._square = np.zeros(layout.size)
        self._size, self._largest = np.zeros(layout.size), np.zeros(layout.size)
        self._mass, self._added = CompensatedSum(), 0.0
        self._likeliest: list[tuple[float, int, Outcomes]] = []
        self._heaviest = HeaviestByParameter(layout)
        #: The draws of a path by the numbers of their outcomes, for paths that were run in blocks.
        self.choices_of: Callable[[list[int]], tuple[Choice, ...]] | None = None
        self._bad: dict[str, str] = {}
        self._reached: set[str] = set()
        self._precision, self._step = EPS, 0.0
        self.count, self.draws = 0, 0

    def add(self, path: Path[Mapping[str, Any]]) -> None:
        """Add a run: gradients by name; None for what it does not reach.

        Raises:
            ValueError: for names or shapes that do not fit.
        """
        weight = path.probability
        place = self._filled
        self._reached |= self.layout.write(path.value, self._rows[place])
        self._weights[place] = weight
        edge = edge_of(path.choices, weight)
        self._far[place] = edge.is_far
        self._left_out.probability += edge.probability
        self._paths.append(path.choices)
        self._filled += 1
        self.count += 1
        self.draws = max(self.draws, len(path.choices))
        self._precision = max(self._precision, path.precision)
        self._mass.add(weight)
        self._keep_likeliest((weight, -self.count, path.choices))
        if self._filled == len(self._weights):
            self._flush()

    def add_block(self, block: Block) -> np.ndarray:
        """Add paths that were run together; the gradients of each, (N, P).

        Raises:
            ValueError: for names or shapes that do not fit.
        """
        rows = np.empty((len(block.numbers), self.layout.size))
        self.add_rows(block, rows, self.layout.write_rows(block.gradients, rows))
        return rows

    def add_rows(self, block: Block, rows: np.ndarray, reached: set[str]) -> None:
        """Add paths that were run together, of which gradients were read.

        Args:
            rows: the gradients of each, (N, P).
            reached: parameters that have any.
        """
        count, draws = block.numbers.shape
        self._reached |= reached
        self.draws = max(self.draws, draws)
        self._precision = max(self._precision, block.precision)
        for start in range(0, count, BLOCK):
            part = slice(start, start + BLOCK)
            self._flush()
            self._add_up(block.weights[part], rows[part], block.numbers[part], block.far[part])
        self._left_out.probability += block.left_out
        self._mass.add(math.fsum(block.weights))
        kept = self._likeliest
        least = kept[0][0] if len(kept) == REMEMBERED else -1.0
        for place in np.argsort(-block.weights, kind="stable")[:REMEMBERED].tolist():
            if block.weights[place] <= least:
                break
            order = -(self.count + place + 1)
            self._keep_likeliest((float(block.weights[place]), order, block.numbers[place]))
        self.count += count

    def _keep_likeliest(self, path: tuple[float, int, Outcomes]) -> None:
        """Keep a path, by probability and place; of equally likely ones the first."""
        kept = self._likeliest
        if len(kept) < REMEMBERED:
            heapq.heappush(kept, path)
        elif path[:2] > kept[0][:2]:
            heapq.heapreplace(kept, path)

    def _flush(self) -> None:
        """Add up the paths that are waiting."""
        count, self._filled = self._filled, 0
        if count:
            part = slice(count)
            self._add_up(self._weights[part], self._rows[part], self._paths, self._far[part])
            self._paths.clear()

    def _add_up(
        self,
        weights: np.ndarray,
        rows: np.ndarray,
        paths: Sequence[Outcomes] | np.ndarray,
        far: np.ndarray,
    ) -> None:
        """Add up paths.

        Args:
            paths: the outcomes of each.
            far: whether they are near to what is left out, (N,).
        """
        with np.errstate(over="ignore", invalid="ignore"):  # found, and named
            if not np.isfinite(rows).all():
                self._note_bad(weights, rows, paths)
            sizes = np.abs(rows)
            total = float(weights.sum())
            self._add_exactly(weights @ rows)
            self._size += weights @ sizes
            if far.any():
                self._far_weight += float(weights[far].sum())
                self._left_out.add(weights[far], sizes[far])
                self._squares_left_out.add(weights[far], sizes[far] ** 2)
            np.maximum(self._largest, sizes.max(axis=0), out=self._largest)
            self._heaviest.add(weights, sizes, paths)
            near = sizes[~far].max(initial=0.0)
            self._largest_near = max(self._largest_near, float(near) if near < np.inf else 0.0)
            if total > 0.0:  # paths may be too unlikely for a number
                center = (weights @ rows) / total
                self._add_spread(total, center, weights @ (rows - center) ** 2)

    def _add_spread(self, total: float, center: np.ndarray, square: np.ndarray) -> None:
        """Chan's: nothing is subtracted from a sum of squares."""
        before, step = self._added, center - self._center
        share = total / (total + before)
        self._square += square
        if before > 0.0:
            self._square += before * share * step**2
        self._center = self._center + share * step
        self._added = before + total

    def close(self) -> Moments:
        """The same, to which no more paths are added: it is small, and can be sent."""
        self._flush()
        self._rows, self._weights = self._rows[:0].copy(), self._weights[:0].copy()
        self._far = self._far[:0].copy()
        return self

    def merge(self, other: Moments) -> None:
        """Add the paths of another, all of which come after those that are here.

        What their sum has lost by rounding is kept with what this has: no bound grows by it.
        """
        self._flush()
        other._flush()
        with np.errstate(over="ignore", invalid="ignore"):
            self._add_exactly(other._sum)
            self._lost += other._lost
            self._size += other._size
            self._left_out.merge(other._left_out)
            self._squares_left_out.merge(other._squares_left_out)
            np.maximum(self._largest, other._largest, out=self._largest)
            self._largest_near = max(self._largest_near, other._largest_near)
            self._far_weight += other._far_weight
            if other._added > 0.0:
                self._add_spread(other._added, other._center, other._square)
        self._heaviest.merge(other._heaviest)
        for weight, order, choices in other._likeliest:
            self._keep_likeliest((weight, order - self.count, choices))
        self._bad = {**other._bad, **self._bad}
        self._reached |= other._reached
        self._precision = max(self._precision, other._precision)
        self._mass.merge(other._mass)
        self.draws = max(self.draws, other.draws)
        self.count += other.count

    def _add_exactly(self, part: np.ndarray) -> None:
        """Neumaier's: what a sum loses by rounding is kept beside it."""
        total = self._sum + part
        large = np.abs(self._sum) >= np.abs(part)
        self._lost += np.where(large, (self._sum - total) + part, (part - total) + self._sum)
        self._sum = total

    def _note_bad(
        self, weights: np.ndarray, rows: np.ndarray, paths: Sequence[Outcomes] | np.ndarray
    ) -> None:
        for key, part in self.layout.parts.items():
            if key in self._bad:
                continue
            wrong = ~np.isfinite(rows[:, part]).all(axis=1)
            if wrong.any():
                row = int(np.argmax(wrong))
                what = "NaN" if np.isnan(rows[row, part]).any() else "infinite"
                path = Path(self._choices(paths[row]), None)
                self._bad[key] = f"{key} is {what} where {path} (probability {weights[row]:.3g})"

    @property
    def mass(self) -> float:
        """The probability of all paths together."""
        return self._mass.value

    @property
    def precision(self) -> float:
        """The coarsest of the probabilities, as the step from 1 to the next number."""
        return self._precision

    def mean(self) -> np.ndarray:
        """Of each entry, in the order of the layout, (P,)."""
        self._flush()
        with np.errstate(invalid="ignore"):
            found = self._sum + self._lost
        # What is infinite has no rest.
        found = np.where(np.isfinite(self._lost), found, self._sum)
        return np.asarray(found / self.mass if self.mass > 0.0 else found)

    def variance(self) -> np.ndarray:
        """Of each entry, (P,); infinite where it is beyond the largest number."""
        self._flush()
        return self._square / self.mass if self.mass > 0.0 else self._square

    def size(self) -> np.ndarray:
        """The mean magnitude of each entry, (P,)."""
        self._flush()
        return np.where(np.isfinite(self._size), self._size, 0.0)

    def largest(self) -> np.ndarray:
        """The largest magnitude of each entry on any path, (P,)."""
        self._flush()
        return np.where(np.isfinite(self._largest), self._largest, 0.0)

    def largest_in_mean(self) -> float:
        """The largest magnitude of any entry on any path, as far as it counts in a mean.

        On paths that are near to what is left out gradients may be as large as these are rare: they
        count together, by their probability.
        """
        largest = float(self.largest().max(initial=0.0))
        return min(largest, self._largest_near + self._far_weight * largest)

    def left_out(self) -> np.ndarray:
        """What outcomes that are left out may add to each entry of the mean, (P,)."""
        self._flush()
        return self._left_out.bound(self._size, float(self.largest().max(initial=0.0)))

    def knows_variance(self) -> bool:
        """Whether outcomes that are left out add next to nothing to any second moment."""
        self._flush()
        with np.errstate(over="ignore", invalid="ignore"):
            second = self.variance() + self.mean() ** 2
            largest = float(self.largest().max(initial=0.0)) ** 2
            squares = self._squares_left_out
            squares.probability = self._left_out.probability
            missing = squares.bound(second, largest)
            return bool((missing <= NEXT_TO_NOTHING * second.max(initial=0.0)).all())

    @property
    def probability_left_out(self) -> float:
        """Of all outcomes that are left out, of draws without an end."""
        return self._left_out.probability

    def likeliest(self, most: int = REMEMBERED) -> Sequence[tuple[float, tuple[Choice, ...]]]:
        """The probability and the outcomes of some paths, at most so many, the likeliest first."""
        kept = sorted(self._likeliest, key=lambda each: each[:2], reverse=True)[:most]
        return [(weight, self._choices(path)) for weight, _, path in kept]

    def heaviest(self, names: Iterable[str]) -> list[tuple[float, tuple[Choice, ...]]]:
        """The probability and the outcomes of the path that adds most to each of some parameters.

        In the order of the names; none is there twice.
        """
        self._flush()
        found: dict[tuple[int, ...], tuple[float, tuple[Choice, ...]]] = {}
        for weight, path in self._heaviest.of(names):
            choices = self._choices(path)
            found.setdefault(outcome_numbers(choices), (weight, choices))
        return list(found.values())

    def _choices(self, path: Outcomes) -> tuple[Choice, ...]:
        """Of a path of which the numbers of its outcomes may be all that is kept."""
        if not isinstance(path, np.ndarray):
            return path
        assert self.choices_of is not None  # whoever adds blocks says it
        return self.choices_of(path.tolist())

    def note(self, key: str) -> str:
        """What is wrong with a parameter's gradients apart from their mean."""
        self._flush()
        if key in self._bad:
            return self._bad[key]
        return "" if key in self._reached else f"{key} got no gradient on any path"

    def check_mass(self) -> None:
        """All paths together are certain.

        Raises:
            NotReproducible: if they are not: some were not run.
        """
        allowed = ROUNDINGS_OF_A_DRAW * self._precision * max(1, self.draws)
        if not abs(self.mass - 1.0) <= allowed + self._left_out.probability:
            raise NotReproducible(
                f"the probabilities of {self.count:,} paths add up to {self.mass:.17g}, expected 1 "
                f"within {allowed:.1e}: what is drawn, or by which probabilities, is not the same "
                "from run to run"
            )


class CompensatedSum:
    """A sum of numbers without its rounding: what is lost is kept beside it (Neumaier's)."""

    def __init__(self) -> None:
        self._sum = self._lost = 0.0

    def add(self, value: float) -> None:
        """Add a number."""
        total = self._sum + value
        if abs(self._sum) >= abs(value):
            self._lost += (self._sum - total) + value
        else:
            self._lost += (value - total) + self._sum
        self._sum = total

    def merge(self, other: CompensatedSum) -> None:
        """Add another such sum, with what it lost."""
        self.add(other._sum)
        self._lost += other._lost

    @property
    def value(self) -> float:
        """The sum so far."""
        return self._sum + self._lost if math.isfinite(self._lost) else self._sum
