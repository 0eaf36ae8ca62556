"""What JAX's samplers draw in many rows at once, each with outcomes of its own.

A row is a path. Outcomes come by number, as a block of paths has them; what a sampler makes of them
is told from them alone, before the code is run, and their probabilities follow from its arguments,
which are known after it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..block import BlockRun, NotBatchable
from ..outcomes import binomial
from .jax_samplers import (
    Binomials,
    Categoricals,
    Coins,
    Counts,
    Integers,
    Permutations,
    Sampler,
    Signs,
)


@dataclasses.dataclass(frozen=True)
class RowSampler:
    """What one key draws, in every row."""

    sampler: Any
    #: Whether what comes out follows from its arguments too, which must be the same in all rows.
    by_arguments: ClassVar[bool] = False

    @property
    def draws(self) -> int:
        """How many draws it makes, D."""
        return math.prod(self.sampler.shape)

    def values(self, numbers: np.ndarray, arguments: Sequence[np.ndarray]) -> np.ndarray:
        """What comes out, (P, *shape).

        Args:
            numbers: of the outcomes, (P, D).
            arguments: of one row.
        """
        return numbers.reshape(len(numbers), *self.sampler.shape)

    def take(self, run: BlockRun, arguments: Sequence[np.ndarray]) -> None:
        """Take the outcomes of the draws, one after the other, with their probabilities.

        Args:
            arguments: (P, *shape) each, or one row that all share.

        Raises:
            NotBatchable, OtherRows: as :meth:`..block.BlockRun.take`.
            ValueError: for what is no distribution.
        """
        raise NotImplementedError

    def _spread(self, rows: np.ndarray, inner: int = 0) -> np.ndarray:
        """Parameters of each draw, (P, D, ...), of rows that are broadcast to the shape.

        Args:
            inner: axes that belong to one draw.
        """
        rest = rows.shape[rows.ndim - inner :]
        outer, shape = rows.shape[1 : rows.ndim - inner], self.sampler.shape
        aligned = rows.reshape(len(rows), *(1,) * (len(shape) - len(outer)), *outer, *rest)
        whole = np.broadcast_to(aligned, (len(rows), *shape, *rest))
        return whole.reshape(len(rows), self.draws, *rest)

    def _take_tables(self, run: BlockRun, tables: np.ndarray) -> None:
        """Draws by tables, (P, D, K)."""
        rows = np.broadcast_to(tables, (run.size, *tables.shape[1:]))
        run.take(list(np.swapaxes(rows, 0, 1)), self.sampler.step)

    def _take_alike(self, run: BlockRun, outcomes: int, count: int) -> None:
        """Draws of so many outcomes that are all as likely."""
        run.take([np.broadcast_to(1.0 / outcomes, (run.size, outcomes))] * count)


class CategoricalRows(RowSampler):
    """Places in an array of weights."""

    def values(self, numbers: np.ndarray, arguments: Sequence[np.ndarray]) -> np.ndarray:
        """See the base class."""
        times = self.sampler.times
        if times is None:
            return super().values(numbers, arguments)
        rows = arguments[0].shape[:-1]
        found = np.moveaxis(numbers.reshape(len(numbers), *rows, times), -1, 1)
        return found.reshape(len(numbers), *self.sampler.shape)

    def take(self, run: BlockRun, arguments: Sequence[np.ndarray]) -> None:
        """See the base class."""
        sampler = self.sampler
        (weights,) = sampler.parameters(*arguments)
        if sampler.times is None:
            self._take_tables(run, self._spread(weights, inner=1))
            return
        flat = np.broadcast_to(weights, (run.size, *weights.shape[1:]))
        flat = flat.reshape(run.size, -1, weights.shape[-1])
        for place in range(flat.shape[1]):
            left = flat[:, place].copy()
            for _ in range(sampler.times):
                total = left.sum(axis=1, keepdims=True)
                if not total.min() > 0.0:
                    raise NotBatchable(f"{sampler.what} draws more than there is")
                taken = run.take([left / total], sampler.step)[:, 0]
                left[np.arange(run.size), taken] = 0.0


class CoinRows(RowSampler):
    """Zeros and ones."""

    def take(self, run: BlockRun, arguments: Sequence[np.ndarray]) -> None:
        """See the base class.

        Raises:
            ValueError: for what is no probability.
        """
        (ones,) = self.sampler.parameters(*arguments)
        if np.isnan(ones).any():
            raise ValueError(f"{self.sampler.what} draws with probability nan")
        ones = self._spread(ones)
        self._take_tables(run, np.stack([1.0 - ones, ones], axis=-1))


class SignRows(RowSampler):
    """1 or -1."""

    def values(self, numbers: np.ndarray, arguments: Sequence[np.ndarray]) -> np.ndarray:
        """See the base class."""
        return 2 * super().values(numbers, arguments) - 1

    def take(self, run: BlockRun, arguments: Sequence[np.ndarray]) -> None:
        """See the base class."""
        self._take_alike(run, 2, self.draws)


class IntegerRows(RowSampler):
    """Whole numbers between bounds, which are the same in all rows."""

    by_arguments = True

    def _bounds(self, arguments: Sequence[np.ndarray]) -> tuple[list[int], list[int]]:
        kind = np.iinfo(self.sampler.dtype)
        first, last = int(kind.min), int(kind.max)
        low, high = (self._spread(each[None])[0].tolist() for each in arguments)
        lows = [max(first, min(last, int(each))) for each in low]
        highs = [min(last + 1, int(each)) for each in high]
        # JAX gives the lower bound where there is nothing between.
        counts = [max(1, above - below) for below, above in zip(lows, highs, strict=True)]
        return lows, counts

    def values(self, numbers: np.ndarray, arguments: Sequence[np.ndarray]) -> np.ndarray:
        """See the base class."""
        lows, _ = self._bounds(arguments)
        exact = numbers.astype(object) + np.array(lows, object)  # of any size
        return super().values(exact, arguments)

    def take(self, run: BlockRun, arguments: Sequence[np.ndarray]) -> None:
        """See the base class."""
        for count in self._bounds([each[0] for each in arguments])[1]:
            self._take_alike(run, count, 1)


class PermutationRows(RowSampler):
    """Places in any order, none twice."""

    def values(self, numbers: np.ndarray, arguments: Sequence[np.ndarray]) -> np.ndarray:
        """See the base class."""
        count, size = self.sampler.count, self.sampler.size
        swaps = numbers.reshape(-1, size)
        places, each = np.tile(np.arange(count), (len(swaps), 1)), np.arange(len(swaps))
        for place in range(size):
            other = place + swaps[:, place]
            places[each, other], places[:, place] = places[:, place], places[each, other].copy()
        return super().values(places[:, :size], arguments)

    def take(self, run: BlockRun, arguments: Sequence[np.ndarray]) -> None:
        """See the base class."""
        count, size = self.sampler.count, self.sampler.size
        for place in range(self.draws):
            self._take_alike(run, count - place % size, 1)


class BinomialRows(RowSampler):
    """How many of so many trials come out; of as many trials in all rows."""

    def take(self, run: BlockRun, arguments: Sequence[np.ndarray]) -> None:
        """See the base class.

        Raises:
            NotBatchable: for no number of trials, or another one in some rows.
        """
        what, step = self.sampler.what, self.sampler.step
        many, ones = (self._spread(each) for each in self.sampler.parameters(*arguments))
        good = (many == many[:1]) & (many >= 0.0) & (many < math.inf) & (ones >= 0.0) & (ones <= 1)
        if not good.all():
            raise NotBatchable(f"{what} draws of another number of trials on other paths")
        for place in range(self.draws):
            different, which = np.unique(ones[:, place], return_inverse=True)
            found = [binomial(what, int(many[0, place]), float(one), step) for one in different]
            if len({each.count for each in found}) > 1:
                raise NotBatchable(f"{what} has another number of outcomes on other paths")
            tables = [[each.probability(k) for k in range(each.count)] for each in found]
            self._take_tables(run, np.array(tables)[which][:, None])


class CountRows(RowSampler):
    """How often each place comes out in one trial."""

    @property
    def draws(self) -> int:
        """See the base class."""
        return math.prod(self.sampler.shape[:-1])

    def values(self, numbers: np.ndarray, arguments: Sequence[np.ndarray]) -> np.ndarray:
        """See the base class."""
        places = np.arange(self.sampler.shape[-1])
        return (numbers[..., None] == places).reshape(len(numbers), *self.sampler.shape)

    def take(self, run: BlockRun, arguments: Sequence[np.ndarray]) -> None:
        """See the base class.

        Raises:
            NotBatchable: for several trials.
        """
        what, (trials, weights) = self.sampler.what, self.sampler.parameters(*arguments)
        totals = weights.sum(axis=-1)
        good = (trials == 1.0).all() and (weights >= 0.0).all()
        if not (good and ((totals > 0.0) & (totals < math.inf)).all()):
            raise NotBatchable(f"{what} makes several trials")
        shape = self.sampler.shape
        front = (1,) * (len(shape) - weights.ndim + 1)
        rows = np.reshape(weights / totals[..., None], (len(weights), *front, *weights.shape[1:]))
        tables = np.broadcast_to(rows, (len(rows), *shape))
        self._take_tables(run, tables.reshape(len(rows), -1, shape[-1]))


#: What draws in rows for each kind of sampler.
ROWS: dict[type[Sampler], Callable[[Sampler], RowSampler]] = {
    Categoricals: CategoricalRows,
    Coins: CoinRows,
    Signs: SignRows,
    Integers: IntegerRows,
    Permutations: PermutationRows,
    Binomials: BinomialRows,
    Counts: CountRows,
}


def row_sampler(sampler: Sampler) -> RowSampler:
    """That of a sampler.

    Raises:
        NotBatchable: for one that has none.
    """
    made = ROWS.get(type(sampler))
    if made is None:
        raise NotBatchable(sampler.what)
    return made(sampler)
