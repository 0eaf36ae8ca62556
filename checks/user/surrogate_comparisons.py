"""Automatic derivatives of a surrogate against differences: the worst of all paths."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from gradproof.estimators.enumeration.differences import Slopes
from gradproof.estimators.enumeration.rounding import ROUNDINGS
from gradproof.estimators.enumeration.slopes import KINK, SMOOTH

from ..evidence import FAR, Comparison, compare_entries, compare_sets, entry, worst_of
from .plotted_report import ratio_of
from .surrogate_runs import OWN, stands_still

#: Second differences leave a third of the digits. A second derivative that is zero to automatic
#: differentiation, and beside others to so many digits, is zero: most pairs of entries have none.
NONE = float(np.finfo(np.float64).eps) ** (1.0 / 3.0)

#: Paths on which an entry could not be seen to be off, that are looked at again beside all others.
BLIND = 1000

#: Stops that are named in an explanation; the others are counted.
NAMED = 6


@dataclasses.dataclass(frozen=True)
class Difference:
    """Where a derivative is farthest from what it should be, in units of what may be."""

    what: str
    index: tuple[int, ...]
    found: float
    expected: float


class PathComparison(NamedTuple):
    """The derivatives of one path, as :func:`compare_entries` has them."""

    what: str
    automatic: np.ndarray
    expected: np.ndarray
    bounds: np.ndarray
    sizes: np.ndarray
    scale: float
    own_error: np.ndarray

    def compare(self, label: str, largest: np.ndarray | float = 0.0) -> Comparison:
        """Entry by entry.

        Args:
            largest: what each entry is at most on any path: what is lost beside that is no loss.
        """
        return compare_entries(
            self.what,
            self.automatic,
            self.expected,
            self.bounds,
            label,
            sizes=self.sizes,
            scale=np.maximum(self.scale, largest),
            own_error=self.own_error,
        )


class WorstComparisons:
    """The worst comparison of each quantity over all paths."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._worst: dict[str, Comparison] = {}
        self._coarsest: dict[str, float] = {}
        self._unseen: dict[str, dict[str, None]] = {}
        self._notes: dict[str, str] = {}
        self._sets: list[Comparison] = []
        self._largest: dict[str, np.ndarray] = {}
        self._blind: list[PathComparison] = []
        self.places: dict[str, Difference] = {}
        #: The largest error of each entry over its bound, on any path, by what it is.
        self.ratios: dict[str, np.ndarray] = {}

    def add(
        self,
        what: str,
        automatic: np.ndarray,
        slopes: Slopes,
        eps: float,
        sizes: np.ndarray,
        scale: float,
        *,
        level: float,
        reached: bool,
        second: bool = False,
    ) -> None:
        """Compare the derivatives of one path, or their mean, entry by entry.

        Args:
            sizes: what is added up in each entry, without signs.
            scale: the largest of anything beside them.
            level: the size of the value itself. Where it does not move at all, it may have moved by
                half of its last digit.
            reached: whether the graph leads to what it is differentiated by; where it does not,
                and nothing moves, there is nothing to be seen.
            second: whether they are second derivatives.
        """
        smooth = slopes.kind == SMOOTH
        self._note(what, automatic, slopes)
        if reached:
            still, least = stands_still(slopes), eps * level
        else:
            still, least = (slopes.value == 0.0) & (automatic == 0.0), 0.0
        slopes = dataclasses.replace(slopes, error=np.where(still, least, slopes.error))
        # An unknown slope agrees with anything, and resolves nothing.
        expected = np.where(np.isfinite(slopes.value), slopes.value, automatic)
        bounds, own_error = np.where(smooth, slopes.error + OWN * eps * sizes, FAR), slopes.error
        if second:
            none = (automatic == 0.0) & (np.abs(expected) <= slopes.error)
            none &= slopes.error <= NONE * scale
            expected, sizes = np.where(none, 0.0, expected), np.where(none, 0.0, sizes)
            own_error = np.where(none, 0.0, own_error)
        # What cancels inside automatic differentiation is not known, and matters to few entries.
        off = np.abs(automatic - expected) > bounds
        bounds = np.where(off, bounds + ROUNDINGS * eps * scale, bounds)
        sizes = np.where(smooth, sizes, np.maximum(sizes, np.finfo(np.float64).tiny))
        self._largest[what] = np.maximum(self._largest.get(what, 0.0), np.abs(automatic))
        ratio = ratio_of(np.abs(automatic - expected), bounds)
        self.ratios[what] = np.maximum(self.ratios.get(what, 0.0), ratio)
        pair = PathComparison(what, automatic, expected, bounds, sizes, scale, own_error)
        one = pair.compare(self._label)
        if one.unseen and len(self._blind) < BLIND:
            self._blind.append(pair)  # beside other paths there may be more to be seen
        else:
            self._keep(pair, one)

    def _keep(self, pair: PathComparison, one: Comparison) -> None:
        what, at = pair.what, one.index
        self._coarsest[what] = max(self._coarsest.get(what, 0.0), one.resolution)
        self._unseen.setdefault(what, {}).update(dict.fromkeys(one.unseen))
        old = self._worst.get(what)
        if old is None or worst_of([old, one]) is not old:
            self._worst[what] = one
            # An empty array has no place to be worst in.
            entries = (pair.automatic, pair.expected)
            both = (float(array[at]) if array.size else 0.0 for array in entries)
            self.places[what] = Difference(what, at, *both)

    def _note(self, what: str, automatic: np.ndarray, slopes: Slopes) -> None:
        """Say why the first entry of unknown slope has none, on the first path that has one."""
        places = np.argwhere(slopes.kind != SMOOTH)
        if not len(places) or what in self._notes:
            return
        at = tuple(int(each) for each in places[0])
        if slopes.kind[at] == KINK:
            why = "not differentiable there"
            if np.isfinite(slopes.left[at]):
                why = (
                    f"{why}: slopes to its two sides are {slopes.left[at]:.6g} and "
                    f"{slopes.right[at]:.6g}, and automatic differentiation has {automatic[at]:.6g}"
                )
        else:
            why = f"not known: {slopes.reasons.get(at, 'no step does')}"
        more = f" (so are {len(places) - 1:,} more of its entries)" if len(places) > 1 else ""
        self._notes[what] = f"{entry(what, at)} is {why}{more}."

    def compare_reach(self, what: str, reached: set[str], expected: set[str]) -> None:
        """Compare what is reached."""
        one = compare_sets(what, reached, expected, self._label)
        note = one.note.replace("has also", "reaches also").replace("lacks", "does not reach")
        self._sets.append(dataclasses.replace(one, note=note))

    def finish(self) -> tuple[Comparison, ...]:
        """All, in order; each with what could have been seen in every entry, on every path."""
        for pair in self._blind:
            self._keep(pair, pair.compare(self._label, self._largest[pair.what]))
        self._blind.clear()
        worst = [
            dataclasses.replace(
                one,
                coarsest=self._coarsest[what],
                unseen=tuple(self._unseen[what])[:NAMED],
                note=one.note or self._notes.get(what, ""),
            )
            for what, one in self._worst.items()
        ]
        return (*worst, *self._sets)
