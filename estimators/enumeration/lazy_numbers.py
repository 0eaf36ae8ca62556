"""Numbers that are drawn, of which nothing is decided before they are compared.

Each is a monotone function of one that is uniform between 0 and 1. A comparison with a bound is a
draw of two outcomes, of exact probability, that leaves the number between two ends; the largest of
several is a draw of which it is. So code whose only use of a continuous draw is to compare it has
finitely many paths, and thresholds may depend on parameters and on what was drawn before.

Reference:
    Gumbel (1954), Statistical theory of extreme values, for the largest of Gumbel numbers; Plackett
    (1975), The analysis of permutations, for their order; Takahasi and Mori (1974), Double
    exponential formulas for numerical integration, for that of others.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from .cells import note_order
from .coarseness import COARSE, are_absorbed, is_confirmed, is_too_coarse, is_too_rare
from .drawn_numbers import DrawnNumbers
from .monotone import (
    BELOW_ONE,
    Chain,
    Factor,
    after_exponential,
    back,
    clipped_at,
    falls,
    forward,
    is_same_chain,
    join_chains,
    take,
    without_clips,
)
from .of_rows import is_of_rows
from .outcomes import weighted_table

#: Logarithms of exponential numbers at which laws are compared.
WHERE = (-2.1, -1.0, -0.2, 0.3, 1.1)

#: Roundings that a chain of some ten functions makes, with a margin.
ROUNDINGS = 64.0

#: How rare numbers may be that are equal by rounding, in roundings.
TAIL = 1000.0

#: Shares of numbers that rounding may put where a function is not defined, such as those next to 1
#: in -log(u + 1e-20) + 1e-20.
UNLIKELY = 1e-13

#: Points of the double exponential rule, a level each; what the last two differ by must be small.
POINTS = (40, 80, 160, 320)

#: What the probability of an outcome may be off by, as a share of it: a hundred roundings.
ALLOWED = 1e-13


class LazyNumbers:
    """An array of such numbers.

    Args:
        places: which of those that were drawn each is, of any shape.
        chain: functions of these, entry by entry.
    """

    def __init__(self, drawn: DrawnNumbers, places: np.ndarray, chain: Chain = ()) -> None:
        self.drawn, self.places, self.chain = drawn, places, chain

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return self.places.shape

    def refuse(self, how: str) -> NoReturn:
        """See :class:`DrawnNumbers`."""
        self.drawn.refuse(self.places, how)

    def then(self, *steps: object) -> LazyNumbers:
        """A function of these."""
        return LazyNumbers(self.drawn, self.places, (*self.chain, *steps))  # type: ignore[arg-type]

    def turned(self) -> LazyNumbers:
        """Minus these."""
        return self.then(Factor(np.full(self.shape, -1.0)))

    def rearrange(self, places: np.ndarray) -> LazyNumbers:
        """Others of these entries, by their places in order; of any shape."""
        return LazyNumbers(self.drawn, self.places.reshape(-1)[places], take(self.chain, places))

    def spread(self, shape: Sequence[int]) -> LazyNumbers:
        """The same, repeated as NumPy does it."""
        if tuple(shape) == self.shape:
            return self
        order = np.arange(self.places.size).reshape(self.shape)
        return self.rearrange(np.broadcast_to(order, shape))

    def are_same(self, other: LazyNumbers) -> bool:
        """Whether they are functions of the same numbers."""
        return self.drawn is other.drawn and np.array_equal(self.places, other.places)

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """What each lies between, as far as is known."""
        return self._at(0.0)

    @property
    def are_positive(self) -> bool:
        """Whether all are above zero."""
        return self.lie_between(0.0, np.inf)

    def lie_between(self, start: float, end: float) -> bool:
        """Whether all do, but for what has no probability to speak of."""
        if start == -np.inf and end == np.inf:
            return True
        low, high = self._at(UNLIKELY)
        return bool(((low >= start) & (high <= end)).all())

    def _at(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """What they lie between but for this share at either end."""
        self._check_alike()
        low, high = self.drawn.between(self.places)
        off = share * (high - low)
        both = forward(self.chain, low + off), forward(self.chain, high - off)
        return np.minimum(*both), np.maximum(*both)

    def below(self, bounds: np.ndarray, precision: float, *, strict: bool) -> np.ndarray:
        """Whether each is below a bound, or at most that.

        Args:
            bounds: of the same shape.
            precision: of these, as the step from 1 to the next number.
        """
        self.drawn.check_under_way(self.places)
        self._check_alike()
        if self.drawn.are_nodes_of_rows(self.places):
            self.refuse("it is compared after it was used")
        edges, above = back(self.chain, bounds, strict)
        edges, above = (np.broadcast_to(each, self.shape) for each in (edges, above))
        own, (low, high) = self.drawn.precision(self.places), self.drawn.between(self.places)
        step = max(precision, own)
        if is_too_rare(self.chain, bounds, edges, above) or is_too_coarse(low, edges, high, own):
            self.refuse("it is compared with a number that it hardly ever comes to")
        if (are_absorbed(self.chain, step) & ~((edges <= low) | (edges >= high))).any():
            self.refuse("it is added to so large a number that rounding leaves little of it")
        ends = (low, np.clip(edges, low, high), high)
        if not is_confirmed(self.chain, bounds, ends, above, (step, precision), strict=strict):
            self.refuse("rounding decides whether it is below a bound")
        found, flat = np.zeros(self.places.size, bool), edges.reshape(-1)
        # From the largest on: what is decided there leaves less to be decided below.
        for at in np.argsort(-flat, kind="stable"):
            if not np.isnan(flat[at]):
                place = int(self.places.reshape(-1)[at])
                found[at] = self.drawn.decide(place, float(flat[at]), step) != above.reshape(-1)[at]
        return found.reshape(self.shape)

    def cell(self, edges: Sequence[float], precision: float, *, strict: bool = True) -> int:
        """Of one number, how many of some increasing bounds it is not below.

        Args:
            strict: whether one that it is equal to counts.
        """
        if self.drawn.precision(self.places) > COARSE:
            # In order: what is rare is asked for after all that is not.
            for place, edge in enumerate(edges):
                if self._is_below(edge, precision, strict):
                    return place
            return len(edges)
        return bisect.bisect_left(
            range(len(edges)), True, key=lambda at: self._is_below(edges[at], precision, strict)
        )

    def _is_below(self, edge: float, precision: float, strict: bool) -> bool:
        return bool(self.below(np.full(self.shape, float(edge)), precision, strict=strict).all())

    def order(self, count: int, precision: float) -> list[int]:
        """Of a row, the places of the largest, from the largest on, so many.

        Raises:
            UnsupportedDraw: if some were compared before, or their laws are too different.
        """
        places = tuple(self.places.tolist())
        self.drawn.check_under_way(self.places)
        self._check_alike()
        if self.drawn.are_settled(self.places):
            self.refuse("it is compared with one that was used")
        known = self.drawn.decided.get(places)
        if known is not None and is_same_chain(known[0], self.chain) and len(known[1]) >= count:
            return known[1][:count]
        if len(set(places)) < len(places) or self.drawn.were_ordered(self.places):
            self.refuse("numbers are compared with each other twice")
        step = max(precision, self.drawn.precision(self.places))
        self._check_resolved(step)
        located, is_from_least = self._locations(step), False
        if located is None and count >= len(places) > 2:  # all of them, from the least on
            located, is_from_least = self.turned()._locations(step), True
        if located is None and count > 1:
            self.refuse("several numbers of different laws are put in order")
        what, left = self.drawn.what(self.places), list(range(len(places)))
        drawn: list[int] = []
        while left and len(drawn) < count:
            if located is None:
                weights = self._largest()
            else:
                weights = np.exp(located[left] - located[left].max())
            table = weighted_table(what, weights, step)
            drawn.append(left.pop(self.drawn.run.choose_alike(table) if len(left) > 1 else 0))
        for place in places:
            note_order(self.drawn.cell(place))
        drawn = drawn[::-1] if is_from_least else drawn
        self.drawn.decided[places] = (self.chain, drawn)
        return drawn

    def _check_alike(self) -> None:
        """Raises: NotBatchable for numbers that are other functions in each row of a block."""
        if is_of_rows(self.chain):
            self.drawn.refuse_rows("a number is compared by what is another one on each path")

    def is_ordered_by_weights(self, precision: float) -> bool:
        """Whether the law of the order of several largest is known; see :meth:`order`."""
        self._check_alike()
        return self._locations(max(precision, self.drawn.precision(self.places))) is not None

    def _check_resolved(self, precision: float) -> None:
        """Numbers are put in order by what they are, and not by what rounding leaves of them.

        Raises:
            UnsupportedDraw: where functions come to one value for many numbers, as a sigmoid to 1.
        """
        chain, share = without_clips(self.chain), TAIL * precision
        for tail in (share, 1.0 - share):
            beyond = 0.5 * tail if tail < 0.5 else 1.0 - 0.5 * share
            one, other = (forward(chain, each) for each in (tail, beyond))
            with np.errstate(invalid="ignore"):
                apart = np.abs(one - other) > ROUNDINGS * precision * np.abs(one)
            if not np.all(apart & np.isfinite(one) & np.isfinite(other)):
                self.refuse("numbers are put in order that rounding makes equal")

    def _locations(self, precision: float) -> np.ndarray | None:
        """If these are one function of Gumbel numbers of different locations: the locations.

        Then each is the largest with the share of the exponential of its location. So it is of
        exponential numbers, whose negative logarithm is such a number; and all alike are the same
        function of what may be any numbers.
        """
        low, high = self.drawn.between(self.places)
        if (low > 0.0).any() or (high < 1.0).any() or clipped_at(self.chain).size:
            return None
        count = len(self.places)
        first = self.rearrange(np.zeros(count, np.int64))
        if is_same_chain(take(self.chain, np.arange(count)), first.chain):
            return np.zeros(count)
        chain = after_exponential(take(self.chain, np.arange(count)), count, precision)
        if chain is None or not np.all(falls(chain)):
            return None
        points = np.array(WHERE)
        values = forward(take(chain, np.zeros(len(points), np.int64)), np.exp(points))
        edges, _ = back(chain, np.broadcast_to(values[:, None], (len(points), count)), True)
        with np.errstate(all="ignore"):
            found = np.log(edges) - points[:, None]
        if not np.isfinite(found).all():
            return None
        size = 1.0 + np.abs(found).max() + np.abs(values).max()
        if (np.ptp(found, axis=0) > ROUNDINGS * precision * size).any():
            return None
        return np.asarray(found[len(points) // 2])

    def _largest(self) -> np.ndarray:
        """The probability of each to be the largest, by integrals over one number.

        Raises:
            UnsupportedDraw: if they are not known to rounding.
        """
        before = self._largest_by(POINTS[0])
        for points in POINTS[1:]:
            found = self._largest_by(points)
            off = np.abs(found - before)
            if (off <= ALLOWED * found).all() and abs(found.sum() - 1.0) <= 10.0 * ALLOWED:
                return found
            before = found
        self.refuse("which of several is the largest, whose probabilities are not known")

    def _largest_by(self, points: int) -> np.ndarray:
        nodes, weights = _double_exponential(points)
        low, high = self.drawn.between(self.places)
        found = np.zeros(len(self.places))
        for place in range(len(found)):
            cuts = self._cuts(place)
            for start, end in itertools.pairwise(cuts):
                beyond = self._share_above(place, start + (end - start) * nodes)
                found[place] += (end - start) * (weights @ beyond)
        return found / (high - low)

    def _share_above(self, place: int, u: np.ndarray) -> np.ndarray:
        """The probability that one of these, where its uniform number is u, is above all others.

        Of equal ones it is the first.
        """
        low, high = self.drawn.between(self.places)
        alone = self.rearrange(np.full(len(u), place))
        values = np.broadcast_to(forward(alone.chain, u)[:, None], (len(u), len(low)))
        is_before = np.arange(len(low)) < place
        edges, above = back(self.chain, values, np.broadcast_to(is_before, values.shape))
        share = (np.clip(edges, low, high) - low) / (high - low)
        share = np.where(above, 1.0 - share, share)
        share[:, place] = 1.0
        return np.asarray(share.prod(axis=1))

    def _cuts(self, place: int) -> np.ndarray:
        """Its ends, and where it comes to the least or the largest value of one, or is clipped."""
        low, high = self.drawn.between(self.places)
        values = np.concatenate(self.ends())
        alone = self.rearrange(np.full(len(values), place))
        edges, _ = back(alone.chain, values, True)
        edges = np.concatenate([edges, clipped_at(self.rearrange(np.array([place])).chain)])
        inside = edges[(edges > low[place]) & (edges < high[place])]
        return np.unique([low[place], *inside, high[place]])


def join(rows: Sequence[LazyNumbers]) -> LazyNumbers:
    """The entries of several arrays, one after the other.

    Raises:
        UnsupportedDraw: if they are different functions of what was drawn, or kept from a run.
    """
    first = rows[0]
    for each in rows:  # all of them are of the run that is under way
        each.drawn.check_under_way(each.places)
    places = np.concatenate([each.places.reshape(-1) for each in rows])
    # Each with all its numbers, entry by entry.
    chains = [each.rearrange(np.arange(each.places.size)).chain for each in rows]
    chain = join_chains(chains, [each.places.size for each in rows])
    if chain is None:
        first.refuse("with others, which are another function of what was drawn")
    return LazyNumbers(first.drawn, places, chain)


def _double_exponential(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes between 0 and 1, and weights that add up to one."""
    reach = 3.4  # beyond, nothing is left between a node and the end
    t = np.arange(-points, points + 1) * (reach / points)
    u = 1.0 / (1.0 + np.exp(-math.pi * np.sinh(t)))
    weights = math.pi * np.cosh(t) * u * (1.0 - u)
    inside = (u > 0.0) & (u <= BELOW_ONE) & (weights > 0.0)
    return u[inside], weights[inside] / weights[inside].sum()
