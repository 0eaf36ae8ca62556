"""What a comparison found, as a record that asserts, tables and figures only read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.errors import GradproofError

from .json_records import plain

#: The verdicts. ``proved`` is kept for derivations: numbers hold or refute, they prove nothing.
HOLDS, REFUTED, UNDECIDED, PROVED = "holds", "refuted", "undecided", "proved"

#: What a mean that is not the gradient is beside it. The first is a verdict where a multiple of the
#: gradient will do.
PROPORTIONAL, ZERO, DIFFERS = "proportional", "zero", "differs"

#: Between the rounding bound and this multiple of it an error is nobody's: the bound is of first
#: order. Errors of right estimators are below a tenth of it, of wrong ones a thousand times it.
GAP = 16.0

#: A comparison that could not have seen an error of one part in a hundred proves nothing.
COARSEST = 1e-2


#: In place of infinity, where a bound must be a number.
FAR = 1e300


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A number, or an array of them, against what it should be.

    ``error`` is the largest absolute difference over ``count`` entries (infinite for NaN, for a
    shape that does not fit, for an error that a framework raised); ``bound`` what rounding can
    explain; ``signal`` the size of what is compared, so that bound/signal is the smallest relative
    error that could have been seen. ``kind`` is the kind of subject, a text model or the drawn
    cases: what could have been seen on one says nothing of another. ``coarsest`` is there where
    each entry has a bound and a size of its own: the smallest relative error that every entry could
    have shown, and ``unseen`` names those that could not have shown one part in a hundred; the
    three numbers are then those of the entry at ``index``.

    Raises:
        ValueError: if one of the three is NaN, or a bound or signal infinite: neither is within a
            bound nor beyond it.
    """

    what: str
    count: int
    error: float
    bound: float
    signal: float
    subject: str
    note: str = ""
    kind: str = ""
    coarsest: float | None = None
    unseen: tuple[str, ...] = ()
    index: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        finite = math.isfinite(self.bound) and math.isfinite(self.signal)
        if not finite or math.isnan(self.error):
            raise ValueError(
                f"{self.what} of {self.subject}: error {self.error}, bound {self.bound} and signal "
                f"{self.signal} must be numbers, and the last two finite; is what it was compared "
                "with one?"
            )

    @property
    def ratio(self) -> float:
        """Error in units of its bound; 0 where both are 0."""
        if self.error == 0.0:
            return 0.0
        return self.error / self.bound if self.bound > 0.0 else math.inf

    @property
    def resolution(self) -> float:
        """Smallest relative error that could have been seen; infinite where there is no signal."""
        if self.coarsest is not None:
            return self.coarsest
        return self.bound / self.signal if self.signal > 0.0 else math.inf


class NothingCompared(GradproofError, ValueError):
    """Nothing was compared: a verdict needs at least one comparison, or sample."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """One claim in one variant, in one framework: what was compared, and the verdict.

    ``error``, ``bound`` and ``worst`` belong to the comparison with the largest error in units of
    its bound; ``resolution`` is the smallest relative error that every quantity compared could have
    shown on some subject of each kind, and ``unresolved`` names the quantities that could not have
    shown one part in a hundred. ``counterexample`` and ``snippet`` are there where the claim is
    refuted.
    ``note`` has what is to be said of ``worst``, and the subjects on which nothing was compared.
    ``crash`` holds what a check raised when it could not finish: neither held nor refuted.
    """

    claim: str
    variant: str
    backend: str
    statement: str
    expected: str
    verdict: str
    comparisons: int
    error: float
    bound: float
    signal: float
    worst: str
    note: str
    resolution: float
    bound_reason: str
    subjects: tuple[str, ...]
    seed: int
    seconds: float
    counterexample: str = ""
    snippet: str = ""
    crash: str = ""
    unresolved: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """``claim/variant``."""
        return f"{self.claim}/{self.variant}"

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the recorded expectation."""
        return self.verdict == self.expected

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are not finite become strings, which JSON has no number for."""
        written: dict[str, Any] = plain(
            dataclasses.asdict(self) | {"as_expected": self.as_expected}
        )
        return written

    def explain(self) -> str:
        """One paragraph: what was compared, what came out, what to do next."""
        lines = [f"{self.id} [{self.backend}]: {self.verdict}, expected {self.expected}."]
        if self.crash:
            lines.append(f"The check could not finish: {self.crash}")
        else:
            lines.append(
                f"{self.worst}: error {self.error:.3e}, should be at most {self.bound:.3e} "
                f"({self.bound_reason}), where the quantity is {self.signal:.3e}; "
                f"{self.comparisons} numbers compared."
            )
        if self.verdict == UNDECIDED and self.unresolved:
            lines.append(
                f"An error of {COARSEST:.0%} would not have been seen in "
                f"{', '.join(self.unresolved)}: too small beside what rounding can do there."
            )
        if self.note:
            lines.append(self.note)
        if self.snippet:
            lines.append("Reproduce with:\n" + self.snippet)
        return "\n".join(lines)


def worst_of(comparisons: Sequence[Comparison]) -> Comparison:
    """The comparison with the largest error in units of its bound.

    Raises:
        NothingCompared: if there is none, or none of them has an entry.
    """
    if not sum(comparison.count for comparison in comparisons):
        raise NothingCompared(
            "zero comparisons: a verdict needs at least one number compared; check that the model "
            "has the parameters that the claim is about, and the text few enough labels to "
            "enumerate, or draw cases too"
        )
    some = (comparison for comparison in comparisons if comparison.count)
    return max(some, key=lambda comparison: (comparison.ratio, comparison.error))


def resolutions(comparisons: Iterable[Comparison]) -> dict[tuple[str, str], float]:
    """The smallest relative error that each quantity could have shown, by kind of subject and name.

    Of the subjects of one kind the best counts: a drawn case may have zeros where another has none.
    """
    best: dict[tuple[str, str], float] = {}
    for one in comparisons:
        key = one.kind, one.what
        best[key] = min(one.resolution, best.get(key, math.inf))
    return best


def resolution(comparisons: Iterable[Comparison]) -> float:
    """The smallest relative error that every quantity could have shown on every kind."""
    return max(resolutions(comparisons).values(), default=math.inf)


def unresolved_quantities(comparisons: Iterable[Comparison]) -> tuple[str, ...]:
    """The quantities that could not have shown one part in a hundred, each with its kind."""
    comparisons = list(comparisons)
    entries = {(one.kind, one.what): one.unseen for one in comparisons if one.unseen}
    names: list[str] = []
    for (kind, what), seen in resolutions(comparisons).items():
        if seen > COARSEST:
            of = f" of {kind}" if kind else ""
            names.extend(f"{each}{of}" for each in entries.get((kind, what), (what,)))
    return tuple(names)


def judge(comparisons: Sequence[Comparison]) -> str:
    """The verdict: within the bound, beyond 16 times the bound, or neither.

    Raises:
        NothingCompared: for zero comparisons.
    """
    worst = worst_of(comparisons)
    if worst.ratio > GAP:
        return REFUTED
    if worst.ratio > 1.0 or resolution(comparisons) > COARSEST:
        return UNDECIDED
    return HOLDS


def compare(
    what: str,
    actual: Any,
    expected: Any,
    bound: float,
    subject: str,
    *,
    signal: float | None = None,
) -> Comparison:
    """Compare arrays entry by entry.

    Args:
        bound: what rounding can explain, for each entry.
        signal: size of the quantity; None: the largest expected magnitude.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape != expected.shape:
        note = f"{what} has shape {actual.shape}, expected {expected.shape}"
        return Comparison(what, 1, math.inf, bound, 1.0, subject, note)
    difference = np.abs(actual.astype(np.float64) - expected)
    error = float(difference.max(initial=0.0))
    size = float(np.abs(expected).max(initial=0.0)) if signal is None else signal
    note = ""
    if math.isnan(error):
        error, note = math.inf, f"{what} is NaN in {int(np.isnan(difference).sum())} entries"
    return Comparison(what, actual.size, error, bound, size, subject, note)


#: Entries that are named one by one.
NAMED = 4

#: What cancels, or vanishes beside other gradients, to half of the digits that double precision has
#: is zero: no gradient that anybody follows is so small by chance. In single precision nothing can
#: be told to be so small.
VANISHING = float(np.finfo(np.float64).eps) ** 0.5


def compare_entries(
    what: str,
    actual: np.ndarray,
    expected: np.ndarray,
    bounds: np.ndarray,
    subject: str,
    *,
    sizes: np.ndarray,
    scale: np.ndarray | float = 0.0,
    own_error: np.ndarray | float = 0.0,
) -> Comparison:
    """Compare arrays of which each entry has a bound of its own.

    An entry that should be zero has the size of what cancels in it; where nothing is there on any
    path, the two agree and there is nothing more to be seen.

    Args:
        bounds: what rounding can explain, by entry.
        sizes: what is added up in each entry, without signs.
        scale: the largest size of any entry of anything that is compared beside it, or beside each.
        own_error: what the expected may be off by itself: what is smaller may as well be zero, if
            it vanishes beside what cancels in it, or beside ``scale``.

    Shape:
        ``actual``, ``expected``, ``bounds`` and ``sizes`` alike; ``own_error`` alike or ().
    """
    size = float(np.abs(expected).max(initial=0.0))
    if actual.shape != expected.shape or not actual.size or not np.isfinite(actual).all():
        whole = compare(what, actual, expected, float(np.max(bounds, initial=0.0)), subject)
        if actual.shape != expected.shape:
            return whole
        if not actual.size:  # there is nothing that could not have been seen
            return dataclasses.replace(whole, coarsest=0.0)
        place = np.unravel_index(int(np.argmin(np.isfinite(actual))), actual.shape)
        return dataclasses.replace(whole, signal=size, index=tuple(map(int, place)))
    off = np.abs(actual - expected)
    ratio = np.divide(off, bounds, out=np.where(off > 0.0, np.inf, 0.0), where=bounds > 0.0)
    at = tuple(map(int, np.unravel_index(int(np.argmax(ratio)), off.shape)))
    maybe = np.abs(expected) <= own_error
    # What comes out as zero need not be, unless it is known to no error at all.
    certain = (expected == 0.0) & (np.broadcast_to(own_error, off.shape) == 0.0)
    zero = certain | (maybe & (bounds <= VANISHING * sizes))
    signals = np.where(zero, sizes, np.abs(expected))
    with np.errstate(over="ignore"):  # of numbers near the smallest
        seen = np.divide(bounds, signals, out=np.full(off.shape, np.inf), where=signals > 0.0)
    nothing = certain & (sizes == 0.0)
    noise = (
        maybe & (sizes <= bounds) & (bounds <= VANISHING * np.maximum(scale, float(sizes.max())))
    )
    seen = np.where(nothing | noise, 0.0, seen)
    blind = np.argwhere(seen > COARSEST)
    unseen = tuple(entry(what, place) for place in blind[:NAMED])
    if len(blind) > NAMED:
        unseen = (*unseen, f"{len(blind) - NAMED:,} more of {what}")
    return Comparison(
        what,
        actual.size,
        float(off[at]),
        float(bounds[at]),
        float(signals[at]),
        subject,
        coarsest=float(seen.max()),
        unseen=unseen,
        index=at,
    )


def entry(what: str, index: Iterable[int]) -> str:
    """The name of one entry."""
    places = [int(each) for each in index]
    return f"{what}{places}" if places else what


def compare_sets(
    what: str, actual: Iterable[str], expected: Iterable[str], subject: str
) -> Comparison:
    """Compare two sets of names; the error counts names that are in one only."""
    actual, expected = set(actual), set(expected)
    parts = []
    if actual - expected:
        parts.append(f"{what} has also {', '.join(sorted(actual - expected))}")
    if expected - actual:
        parts.append(f"{what} lacks {', '.join(sorted(expected - actual))}")
    error = float(len(actual ^ expected))
    return Comparison(what, len(actual | expected), error, 0.0, 1.0, subject, "; ".join(parts))


@dataclasses.dataclass(frozen=True)
class Curve:
    """The variance of the gradient with the same baseline for every sentence.

    A constant baseline helps if and only if it lies strictly between 0 and ``limit``, which is
    twice ``best`` (claim ``baseline.variance``).

    Shape:
        ``baselines`` (M,); ``variances`` by group, and ``all`` for their sum, (M,) each.
    """

    baselines: np.ndarray
    variances: Mapping[str, np.ndarray]
    best: float
    least: float
    none: float
    per_sentence: float

    @property
    def limit(self) -> float:
        """The other end of the interval, from 0, in which a constant baseline helps."""
        return 2.0 * self.best
