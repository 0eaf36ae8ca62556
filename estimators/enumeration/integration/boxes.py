"""Means over a few continuous numbers by boxes that are halved where the estimator is not smooth.

Reference:
    Genz and Malik (1980), Remarks on algorithm 006: an adaptive algorithm for numerical integration
    over an N-dimensional rectangular region; Piessens et al. (1983), QUADPACK.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .quadrature import Quadrature, shares
from .sums import IntegratedMean, MomentsBy, Sums

#: Numbers that boxes are halved in: the nodes of one box are a power of them.
MOST_NUMBERS = 2

#: Nodes of a number in a box, and of the coarser rule that it is compared with, by how many numbers
#: there are.
FINE = {1: (10, 6), 2: (6, 4)}

#: What may lie between all nodes of an estimator that is not smooth, as a share of its mean
#: magnitude: a jump far out. A bound is ten times that.
UNSEEN = 1e-4

#: What a jump beside the edge of a box may hide, as a share of the magnitude on its far side. The
#: first node lies 1.3 % of a box within, no more than 8e-4 of a law, and so do those of its halves:
#: where an estimator is zero but in a small tail, that is much of its mean. A verdict refutes 160
#: times an estimated error.
BESIDE = 8e-4 / 160.0

#: What boxes are at first, by how many numbers there are: halves at least, for in the middle of a
#: symmetrical law its rules are blind; and of one number its tails, where a jump may lie beyond all
#: nodes of a rule for the whole.
EDGES: dict[int, tuple[float, ...]] = {1: (0.0, 1e-4, 0.01, 0.25, 0.5, 0.75, 0.99, 0.9999, 1.0)}

#: What they are of one number, if there are paths enough: what happens in less than a hundredth of
#: its law shows between so many, whose nodes are 1/160 apart, and closer in the tails.
CLOSE_EDGES = (
    0.0, 1e-4, 1 / 256, 1 / 64, *(place / 16 for place in range(1, 16)),
    1.0 - 1 / 64, 1.0 - 1 / 256, 0.9999, 1.0,
)  # fmt: skip

Sides = tuple[tuple[float, float], ...]


class Box(NamedTuple):
    """A part of what numbers may be, and the part of each mean that comes from there.

    Args:
        sides: the shares of its law that each number lies between.
        sums: over this box, times its probability.
        errors: by number, what a coarser rule for that one differs by; (D, P).
    """

    sides: Sides
    sums: Sums
    errors: np.ndarray


class Boxes:
    """Boxes that make up all that numbers may be."""

    def __init__(self, moments_by: MomentsBy, numbers: int) -> None:
        self._moments_by, self._numbers = moments_by, numbers
        self._fine, self._coarse = FINE[numbers]
        self.paths = 0

    def several(self, many: Sequence[Sides]) -> list[Box]:
        """Some of them, by their sides."""
        fine = (self._fine,) * self._numbers
        coarser = [
            (*fine[:place], self._coarse, *fine[place + 1 :]) for place in range(self._numbers)
        ]
        found = self._sums([(sides, counts) for sides in many for counts in (fine, *coarser)])
        each = 1 + len(coarser)
        return [_box(sides, found[each * at : each * (at + 1)]) for at, sides in enumerate(many)]

    def _sums(self, rules: Sequence[tuple[Sides, tuple[int, ...]]]) -> list[Sums]:
        """Over parts of what numbers may be, by so many nodes of each."""
        found = []
        moments_by = self._moments_by([Quadrature(counts, sides) for sides, counts in rules])
        for (sides, _), moments in zip(rules, moments_by, strict=True):
            self.paths += moments.count
            zeros = Sums.zeros(len(moments.mean()))
            found.append(zeros.plus(Sums.of(moments), shares(sides)))
        return found

    def first(self, most: int) -> list[Box]:
        """Some to begin with: halves at least, for rules are blind in a symmetrical law's middle.

        Args:
            most: paths that may be run.
        """
        edges = EDGES.get(self._numbers, (0.0, 0.5, 1.0))
        # As many again, twice, to look at their halves.
        if self._numbers == 1 and 3 * sum(FINE[1]) * len(CLOSE_EDGES) <= most:
            edges = CLOSE_EDGES
        sides = [*itertools.pairwise(edges)]
        return self.several([*itertools.product(sides, repeat=self._numbers)])

    def halves(self, box: Box, place: int) -> tuple[Box, Box]:
        """Both halves of a box along one number."""
        one, two = self.several(_halved(box.sides, place))
        return one, two

    def moves(self, boxes: Sequence[Box]) -> np.ndarray:
        """What halving each along each number moves its part of the mean by, (N, D, P)."""
        counts, places = (self._fine,) * self._numbers, range(self._numbers)
        halves = [
            (sides, counts)
            for box in boxes
            for place in places
            for sides in _halved(box.sides, place)
        ]
        means = iter([each.mean for each in self._sums(halves)])
        return np.array(
            [[next(means) + next(means) - box.sums.mean for _ in places] for box in boxes]
        )


def _box(sides: Sides, found: Sequence[Sums]) -> Box:
    """One of them, of what a rule comes to, and the coarser ones for each number."""
    fine, *coarser = found
    return Box(sides, fine, np.array([np.abs(fine.mean - each.mean) for each in coarser]))


def _halved(sides: Sides, place: int) -> tuple[Sides, Sides]:
    start, end = sides[place]
    middle = 0.5 * (start + end)
    before, after = sides[:place], sides[place + 1 :]
    return (*before, (start, middle), *after), (*before, (middle, end), *after)


def integrate_by_boxes(
    moments_by: MomentsBy, numbers: int, tolerance: float, most: int
) -> IntegratedMean:
    """The mean over so many numbers; the box that is worst is halved, until paths are spent.

    The error is the sum of those of all boxes, each the difference of two rules, and at least what
    halving all boxes along any number moves the mean by: rules may agree by accident. Where paths
    do not allow to look at that, the error is not known.

    Args:
        most: paths that may be run.
    """
    allowed = tolerance + UNSEEN
    boxes, order = Boxes(moments_by, numbers), itertools.count()
    parts = boxes.first(most)
    a_box = boxes.paths / len(parts)
    # To look at the halves of one along each number, and to make two of it.
    to_confirm = (2.0 * numbers + 2.0) * a_box
    while True:
        parts, found = _halve_worst(boxes, parts, order, allowed, most, to_confirm)
        if boxes.paths + to_confirm * len(parts) > most:
            return found._replace(error=np.full_like(found.error, np.inf))
        moves = boxes.moves(parts)
        moved = np.abs(moves.sum(axis=0)).max(axis=0)
        seen = found._replace(error=np.maximum(found.error, moved), paths=boxes.paths)
        room = most - boxes.paths - 2.0 * to_confirm * len(parts)
        if not found.is_within(allowed) or seen.is_within(allowed) or room < 0.0:
            return _with_jumps_beside(seen)
        parts = _halve_moved(boxes, parts, np.abs(moves), tolerance * found.sums.size)


def _with_jumps_beside(found: IntegratedMean) -> IntegratedMean:
    """With what jumps beside the edges of boxes may hide."""
    size = found.sums.size
    magnitude = np.divide(found.sums.square, size, out=np.zeros_like(size), where=size > 0.0)
    return found._replace(error=np.maximum(found.error, BESIDE * magnitude))


def _halve_moved(boxes: Boxes, parts: list[Box], moves: np.ndarray, least: np.ndarray) -> list[Box]:
    """Halve those that halving moves, along the number that it moves them most by.

    Args:
        moves: of each, along each number; (N, D, P).
        least: what counts, of all together.
    """
    found = []
    for box, move in zip(parts, moves, strict=True):
        if not (move > least / len(parts)).any():
            found.append(box)
            continue
        share = np.divide(move, least, out=np.zeros_like(move), where=least > 0.0)
        found.extend(boxes.halves(box, int(np.argmax(share.max(axis=1)))))
    return found


def is_blind(moments_by: MomentsBy, found: IntegratedMean, most: int) -> bool:
    """Whether a mean over one number differs from that of boxes which lie closer than its nodes.

    What happens only between the nodes of a rule, in a narrow part of a law, is not seen by larger
    rules either, so that these agree. Of boxes the mean of what is smooth may be off, too.

    Args:
        most: paths that may be run.
    """
    boxes = Boxes(moments_by, 1)
    seen = _integral(boxes.first(most), boxes)
    return bool((np.abs(seen.sums.mean - found.sums.mean) > UNSEEN * found.sums.size).any())


def agree(one: IntegratedMean, other: IntegratedMean) -> bool:
    """Whether two means differ by no more than may be unseen in either."""
    return bool((np.abs(one.sums.mean - other.sums.mean) <= 2.0 * UNSEEN * other.sums.size).all())


def _halve_worst(
    boxes: Boxes,
    parts: list[Box],
    order: Iterator[int],
    allowed: float,
    most: float,
    to_confirm: float,
) -> tuple[list[Box], IntegratedMean]:
    """Halve the worst box until the error is small.

    Args:
        most, to_confirm: paths that may be run in all, and those that are left for each box.
    """
    found = _integral(parts, boxes)
    heap = [(-_badness(box, found.sums.size), next(order), box) for box in parts]
    heapq.heapify(heap)
    # Making two of one, and what the one that there is more then needs.
    while not found.is_within(allowed) and boxes.paths + to_confirm * (len(heap) + 2) < most:
        box = heapq.heappop(heap)[-1]
        for half in boxes.halves(box, _worst_number(box, found.sums.size)):
            heapq.heappush(heap, (-_badness(half, found.sums.size), next(order), half))
        found = _integral([each for *_, each in heap], boxes)
    return [each for *_, each in heap], found


def _integral(boxes: list[Box], made: Boxes) -> IntegratedMean:
    total, errors = Sums.zeros(boxes[0].errors.shape[1]), np.zeros(boxes[0].errors.shape[1])
    for box in boxes:
        total = total.plus(box.sums)
        errors += box.errors.sum(axis=0)
    numbers = len(boxes[0].sides)
    what = "number" if numbers == 1 else f"{numbers} numbers"
    how = f"Gauss rules on {len(boxes)} parts of what the {what} may be"
    return IntegratedMean(total, errors + UNSEEN * total.size, how, made.paths, numbers)


def _badness(box: Box, size: np.ndarray) -> float:
    """The largest error that comes from a box, as a share of an entry's magnitude."""
    share = box.errors.sum(axis=0)
    return float(np.divide(share, size, out=np.zeros_like(share), where=size > 0.0).max(initial=0))


def _worst_number(box: Box, size: np.ndarray) -> int:
    part = np.divide(box.errors, size, out=np.zeros_like(box.errors), where=size > 0.0)
    widths = [end - start for start, end in box.sides]
    worst = part.max(axis=1, initial=0.0)
    return int(np.lexsort((widths, worst))[-1])
