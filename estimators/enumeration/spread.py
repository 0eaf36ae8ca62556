"""What rounding inside a user's code does to an enumerated mean.

Two bounds. The first is of what is added up here, and costs nothing:

    |error of sum_i w_i g_i| <= u B sum_i w_i |g_i|

with u the unit roundoff and B terms in one sum. The second is measured: the likeliest paths are run
again with every operation's result moved by a random half unit in the last place, the probabilities
of their draws among them, and what the sum of w g over them is moved by at most in
:data:`..rounding.RUNS` runs is what rounding may have moved it by already (see :mod:`.rounding`).
Where nothing can be measured, a bound is left that supposes a thousand roundings of the largest
gradient of any parameter on any path: what cancels inside (1 - p of an outcome that is almost
certain, a bias before batch normalisation) is of that size where it does not.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from .enumeration import Enumeration
from .gradients import GradientLayout
from .heaviest_by_parameter import outcome_numbers
from .moments import BLOCK, REMEMBERED, Moments
from .outcomes import EPS
from .rounding import FACTOR, ROUNDINGS, RUNS, Steps, largest_deviation, moved_runs
from .run import Choice

#: Paths that roundings are moved on, the likeliest. Where an error is small, and some of the others
#: may be computed in a coarser way, all that are remembered.
PATHS = 16

#: What is moved by more than this share of itself is no number but what cancelling left: single
#: precision moves what is one by a hundred-thousandth.
NOTHING = 1e-2

#: How many times as many where these do not decide.
MORE = 4

#: What is said of a bound that is of more than rounding.
CUT = "what outcomes that are left out may add"

#: The step from 1 to the next number in single precision.
SINGLE = float(np.finfo(np.float32).eps)

#: Of double precision.
TINY = math.ulp(0.0)


@dataclasses.dataclass(frozen=True)
class RoundingBound:
    """What each entry of a mean may be off by, and how that is known.

    ``is_cut`` says that draws without an end are cut, so that something is left out too;
    ``formats`` are those of the numbers that were moved, such as float64; ``floor`` is what a bound
    does not fall below, on however many more paths it is measured.

    Shape:
        ``bound`` and ``floor`` (P,).
    """

    bound: np.ndarray
    measured: bool
    paths: int = 0
    share: float = 0.0
    is_cut: bool = False
    formats: frozenset[str] = frozenset()
    floor: np.ndarray | float = 0.0

    def __str__(self) -> str:
        beside = f", and {CUT}" if self.is_cut else ""
        if not self.measured:
            return f"{ROUNDINGS:,.0f} roundings of the largest gradient on any path{beside}"
        return (
            f"{FACTOR:g} times the largest change in {RUNS} runs with perturbed rounding, on "
            f"{self.paths:,} path{'' if self.paths == 1 else 's'} of total probability "
            f"{self.share:.3g}{beside}"
        )


def summation_bound(moments: Moments, step: float) -> np.ndarray:
    """What adding up and storing alone may do to each entry, (P,).

    Args:
        step: from 1 to the next number, of what gradients are returned in.
    """
    # Half a step for each of a block's terms, for each draw's probability, and for what is stored.
    roundings = 0.5 * (BLOCK + 4.0 * max(1, moments.draws)) * EPS + step
    return np.asarray(roundings * moments.size() + TINY * (BLOCK + 1))


def supposed_bound(moments: Moments, step: float, stated: float = 0.0) -> np.ndarray:
    """What is allowed for where nothing is measured, (P,).

    Args:
        step: from 1 to the next number, of what gradients and probabilities are given in.
        stated: the same of the coarsest arithmetic inside, if somebody says so.
    """
    coarse = max(step, stated, moments.precision)
    largest = moments.largest_in_mean()
    return np.full(moments.layout.size, ROUNDINGS * (coarse * largest + TINY))


def measure_bound(
    enumeration: Enumeration, moments: Moments, rng: np.random.Generator, most: int = PATHS
) -> RoundingBound | None:
    """What rounding inside moves, measured on the likeliest paths.

    None if nothing could be moved, or something inside is hidden from it.

    Args:
        most: paths that it is measured on.
    """
    try:
        return _measure_paths(enumeration, moments, rng, most)
    except Exception:  # noqa: BLE001 - it runs as it is, and not with arrays that are observed
        return None


def _measure_paths(
    enumeration: Enumeration, moments: Moments, rng: np.random.Generator, most: int
) -> RoundingBound | None:
    """On the likeliest, and on those that add most to parameters of which these know nothing."""
    likeliest = moments.likeliest(most)
    found = _MovedPaths(enumeration, moments, rng)
    with enumeration.observing_arrays():
        if not all(found.measure(*path) for path in likeliest):
            return None
        seen = {outcome_numbers(choices) for _, choices in likeliest}
        for weight, choices in moments.heaviest(found.unknown_parameters()):
            if outcome_numbers(choices) not in seen and not found.measure(weight, choices):
                return None
    return found.bound()


class _MovedPaths:
    """Paths that were run with moved roundings, and what these did to the mean.

    Half of the runs move all paths alike, and half each in its own way. What the same operations
    round alike on all paths (weights in single precision, say) adds up in the first, as far as
    paths do the same operations; what each path rounds for itself may cancel there and adds up in
    the others. An entry of one path alone may be off by as much as it is there.
    """

    def __init__(
        self, enumeration: Enumeration, moments: Moments, rng: np.random.Generator
    ) -> None:
        self._enumeration, self._moments = enumeration, moments
        self._together = np.zeros((RUNS, moments.layout.size))
        self._largest = np.zeros(moments.layout.size)
        self._weighed = np.zeros(moments.layout.size)
        self._share, self._count, self._underflow = 0.0, 0, 0.0
        self._formats: set[str] = set()
        self._alike, self._own = int(rng.integers(2**32)), Steps(rng)

    def measure(self, weight: float, choices: Sequence[Choice]) -> bool:
        """Run a path; False if nothing was moved, or something inside was not seen."""
        enumeration, layout = self._enumeration, self._moments.layout
        path = enumeration.repeat(choices)
        base = weight * layout.row(path.value)
        enumeration.restore_state()
        rows = []
        for row, moved in itertools.chain.from_iterable(
            moved_runs(
                functools.partial(_weighed_row, enumeration, layout, choices),
                steps,
                RUNS // 2,
                after=enumeration.restore_state,
            )
            for steps in (Steps(np.random.default_rng(self._alike)), self._own)
        ):
            if not moved.count or moved.unseen:
                return False
            rows.append(row)
            self._underflow = max(self._underflow, moved.underflow)
            self._formats |= moved.formats
        self._largest = np.maximum(self._largest, largest_deviation(rows, base))
        with np.errstate(invalid="ignore"):  # what is not finite is infinite in the largest
            self._together += np.array(rows) - base
        self._weighed += np.abs(base)
        self._share += weight
        self._count += 1
        return True

    def unknown_parameters(self) -> list[str]:
        """Those whose gradient, where there is one, is nothing but rounding on all these paths."""
        size, known = self._moments.size(), self._known(self._total())
        parts = self._moments.layout.parts
        return [key for key, part in parts.items() if size[part].any() and not known[part].any()]

    def bound(self) -> RoundingBound:
        """What each entry of the mean may be off by."""
        total = self._total()
        if self._count < self._moments.count:
            total = total + self._bound_of_rest(total)
        return RoundingBound(
            FACTOR * (total + self._underflow),
            True,
            self._count,
            self._share,
            formats=frozenset(self._formats),
            floor=FACTOR * (self._largest + self._underflow),
        )

    def _total(self) -> np.ndarray:
        together = np.nan_to_num(np.abs(self._together), nan=0.0).max(axis=0)
        return np.maximum(self._largest, together)

    def _known(self, total: np.ndarray) -> np.ndarray:
        """Entries that are more than rounding on these paths, which says something of others."""
        return np.asarray(self._weighed * NOTHING > total)

    def _bound_of_rest(self, total: np.ndarray) -> np.ndarray:
        """What is added for paths that were not measured, as if they were like the others.

        In proportion to their gradients, and at least in proportion to their probability: where
        things cancel, what they leave says little of the rounding.
        """
        weighed, share = self._weighed, self._share
        rest = np.maximum(self._moments.size() - weighed, 0.0)
        known = self._known(total)
        ratio = np.divide(total, weighed, out=np.zeros_like(total), where=weighed > 0.0)
        for part in self._moments.layout.parts.values():
            some = known[part] if known[part].any() else weighed[part] > 0.0
            most = ratio[part].max(initial=0.0, where=some)
            ratio[part] = np.where(some, ratio[part], most)
        with np.errstate(over="ignore", invalid="ignore"):
            by_size = np.where(rest > 0.0, ratio * rest, 0.0)
        left = max(0.0, self._moments.mass - share)
        by_share = total * (left / share) if share > 0.0 else np.full_like(total, np.inf)
        return np.maximum(by_size, by_share)


def _weighed_row(
    enumeration: Enumeration, layout: GradientLayout, choices: Sequence[Choice]
) -> np.ndarray:
    path = enumeration.repeat(choices)
    return path.probability * layout.row(path.value)


class RoundingBounds:
    """What rounding may do to the mean of one enumeration; measured when it is asked for, once.

    Args:
        stated: as of :func:`supposed_bound`.
    """

    def __init__(
        self, enumeration: Enumeration, moments: Moments, step: float, stated: float = 0.0
    ) -> None:
        self._enumeration, self._moments, self._stated = enumeration, moments, stated
        #: What adding up alone may do, and what is left out of it, (P,): it is within any bound.
        self.least = summation_bound(moments, step) + moments.left_out()
        #: What costs nothing to know: no measured bound is larger but where a user's code rounds
        #: in a coarser way than what it returns.
        self.is_cut = moments.probability_left_out > 0.0
        supposed = self.least + supposed_bound(moments, step, stated)
        self.wide = RoundingBound(supposed, False, is_cut=self.is_cut)
        self._best: RoundingBound | None = None

    def best(self) -> RoundingBound:
        """The measured one, if anything can be measured."""
        if self._best is None:
            self._best = self._measure(PATHS)
        return self._best

    def thorough(self) -> Iterator[RoundingBound]:
        """The same of more and more paths, up to all that are remembered: each takes longer."""
        most = PATHS
        while (
            most < REMEMBERED and self.best().measured and self.best().paths < self._moments.count
        ):
            most = min(MORE * most, REMEMBERED)
            self._best = self._measure(most)
            yield self._best

    def unmeasured_bound(self) -> np.ndarray:
        """What paths that were not measured may be off by if they are in single precision, (P,)."""
        left = max(0.0, self._moments.mass - self.best().share)
        return ROUNDINGS * SINGLE * left * self._moments.largest()

    def _measure(self, most: int) -> RoundingBound:
        # From a seed: the same check is to say the same each time, to the last digit.
        measured = measure_bound(self._enumeration, self._moments, np.random.default_rng(0), most)
        if measured is None:
            return self.wide
        bound = self.least + measured.bound
        if self._stated:  # somebody says that it is coarser inside than can be measured
            bound = np.maximum(bound, self.wide.bound)
        return dataclasses.replace(measured, bound=bound, is_cut=self.is_cut)
