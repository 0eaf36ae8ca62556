"""The law of the estimate: what an estimator returns on each path, and whose the bias is."""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
from collections.abc import Iterator, Mapping

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.moments import Moments
from gradproof.estimators.enumeration.outcomes import EPS

#: Numbers that are kept of all paths together: 128 megabytes. Where estimates of all entries come
#: to more, those of the entries that are farthest off are kept.
MOST_CELLS = 2**24

#: Outcomes that are written one by one; of more draws the first and the last.
LISTED = 8


#: Numbers of the matrix by which it is found what single draws explain; of larger ones it is not.
MOST_FITTED = 2**22

#: The share of the deviation that is left by rounding where single draws explain all: half of the
#: digits, as least squares may lose so many.
EXPLAINED = EPS**0.5


@dataclasses.dataclass(frozen=True)
class GuiltyPath:
    """Paths that begin with the same outcomes and give one estimate, and their share of the bias.

    ``outcomes`` are those that tell them from all others, each with what drew it; whatever is drawn
    after these does not change the estimate. ``paths`` are so many, of ``probability`` together.
    ``estimate`` is of one entry; ``reference`` is what was to be expected there, as
    :meth:`EstimateLaw.reference` says, in the mean of these paths. ``share`` is probability x
    (estimate - reference) / bias. The shares of all paths add up to 1; some may be negative, or
    beyond 1. Where each has its probability as its share, none is guiltier than another.
    """

    outcomes: tuple[tuple[str, int], ...]
    draws: int
    paths: int
    probability: float
    estimate: float
    reference: float
    share: float

    @property
    def when(self) -> str:
        """The outcomes in words: "both draws are 3"."""
        if len({what for what, _ in self.outcomes}) > 1 and len(self.outcomes) <= LISTED:
            in_a_row = itertools.groupby(self.outcomes, operator.itemgetter(0))
            return ", then ".join(
                f"{what} gives {' and '.join(str(outcome) for _, outcome in row)}"
                for what, row in in_a_row
            )
        return self.numbered

    @property
    def numbered(self) -> str:
        """The outcomes by the numbers of their draws, in few words: "draws 1 to 3 are 0, 2, 0"."""
        taken = [str(outcome) for _, outcome in self.outcomes]
        if len(taken) > LISTED:
            taken = [*taken[: LISTED - 2], "...", taken[-1]]
        count = len(self.outcomes)
        if not count:
            return "whatever is drawn"
        if count == 1:
            return f"draw 1 is {taken[0]}" if self.draws > 1 else f"the draw is {taken[0]}"
        same = len(set(taken)) == 1
        which = f"draws 1 to {count}"
        if count == self.draws:
            which = "the draws" if not same else "both draws" if count == 2 else "all draws"
        return f"{which} are {taken[0] if same else ', '.join(taken)}"

    def __str__(self) -> str:
        return (
            f"when {self.when}, the estimate is {self.estimate:.4g} where {self.reference:.4g} was "
            f"to be expected: {self.share:.0%} of the bias, with probability {self.probability:.3g}"
        )


@dataclasses.dataclass(frozen=True)
class EstimateLaw:
    """What an estimator returns on every path, for each entry that was kept.

    ``what`` has the names of what draws. ``columns`` has, by parameter and of its shape, the column
    of each entry in ``estimates``; -1 for those that were not kept.

    Shape:
        ``probabilities`` (n,), which add up to one; ``outcomes`` and ``kinds`` (n, D), the number
        of each outcome and of what drew it, -1 beyond a path's last draw; ``estimates`` (n, E).
    """

    probabilities: np.ndarray
    outcomes: np.ndarray
    kinds: np.ndarray
    what: tuple[str, ...]
    estimates: np.ndarray
    columns: Mapping[str, np.ndarray]

    def is_kept(self, name: str, index: tuple[int, ...]) -> bool:
        """Whether the estimates of an entry were."""
        return bool(self.columns[name][index] >= 0)

    def column(self, name: str, index: tuple[int, ...]) -> np.ndarray:
        """The estimates of one entry on all paths, (n,).

        Raises:
            ValueError: if they were not kept.
        """
        place = int(self.columns[name][index])
        if place < 0:
            raise ValueError(
                f"the estimates of {name}{list(index)} were not kept: only those of the "
                f"{self.estimates.shape[1]:,} entries that are farthest off, of more there is no "
                "room; choose one of these, or check a smaller problem (wrt=)"
            )
        return np.asarray(self.estimates[:, place])

    def of_entry(self, name: str, index: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The values that an estimate takes, in order, and the probability of each; (m,), (m,)."""
        values, which = np.unique(self.column(name, index), return_inverse=True)
        return values, np.bincount(which.reshape(-1), self.probabilities, len(values))

    def reference(self, name: str, index: tuple[int, ...], exact: float) -> np.ndarray:
        """What is to be expected of one entry on each path, (n,): its mean is the exact gradient.

        It is the exact gradient and what each draw by itself adds to it: the sum of functions of
        single draws with mean zero that comes nearest to the estimates in the mean square. What
        draws add one by one is no bias, and would hide what they do together. Where they do nothing
        together, or there is one draw, it is the exact gradient on every path.

        Reference: Hoeffding (1948), A class of statistics with asymptotically normal distribution,
        for the functions of single draws.
        """
        values = self.column(name, index)
        expected = np.full(len(values), exact)
        effects = self._effects()
        if effects is None or not np.isfinite(values).all():
            return expected
        root = np.sqrt(self.probabilities)
        spread = root * (values - self.probabilities @ values)
        fitted = np.linalg.lstsq(root[:, None] * effects, spread, rcond=None)[0]
        added = effects @ fitted
        left = float(np.linalg.norm(spread - root * added))
        return expected + added if left > EXPLAINED * np.linalg.norm(spread) else expected

    def _effects(self) -> np.ndarray | None:
        """An indicator less its mean for each outcome of each draw, (n, C).

        None where they leave nothing over, or are too many.
        """
        taken = [np.stack([self.kinds[:, draw], self.outcomes[:, draw]]) for draw in self._draws()]
        several = [np.unique(each, axis=1, return_inverse=True) for each in taken]
        columns = sum(found.shape[1] for found, _ in several)
        count = len(self.probabilities)
        if len(several) < 2 or columns - len(several) + 1 >= count:
            return None
        if columns * count > MOST_FITTED:
            return None
        parts = [np.eye(found.shape[1])[which.reshape(-1)] for found, which in several]
        effects = np.hstack(parts)
        return np.asarray(effects - self.probabilities @ effects)

    def _draws(self) -> list[int]:
        """The draws that do not come out the same on every path."""
        same = (self.outcomes == self.outcomes[0]).all(axis=0)
        return np.flatnonzero(~same).tolist()

    def shares(self, name: str, index: tuple[int, ...], exact: float) -> np.ndarray:
        """The share of each path in the bias of one entry, (n,); they add up to 1.

        If estimates are infinite or NaN somewhere, the bias is of these paths alone.
        """
        values = self.column(name, index)
        bad = ~np.isfinite(values)
        if bad.any():
            parts = np.where(bad, self.probabilities, 0.0)
        else:
            parts = self.probabilities * (values - self.reference(name, index, exact))
        bias = math.fsum(parts)
        return parts / bias if bias else np.zeros_like(parts)

    def guilty_paths(
        self, name: str, index: tuple[int, ...], exact: float, most: int
    ) -> tuple[GuiltyPath, ...]:
        """The paths with the largest shares of an entry's bias, the largest first; none below 0."""
        values, shares = self.column(name, index), self.shares(name, index, exact)
        reference = self.reference(name, index, exact)
        found = []
        for start, stop, depth in self._alike(values):
            outcomes = zip(self.kinds[start, :depth], self.outcomes[start, :depth], strict=True)
            own = self.probabilities[start:stop]
            found.append(
                GuiltyPath(
                    outcomes=tuple((self.what[kind], int(taken)) for kind, taken in outcomes),
                    draws=self.outcomes.shape[1],
                    paths=stop - start,
                    probability=math.fsum(own),
                    estimate=float(values[start]),
                    # Of paths too rare for a number, the plain mean.
                    reference=float(
                        np.average(reference[start:stop], weights=own if own.any() else None)
                    ),
                    share=math.fsum(shares[start:stop]),
                )
            )
        guilty = [path for path in found if path.share > 0.0]
        return tuple(sorted(guilty, key=lambda path: -path.share)[:most])

    def _alike(self, values: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """The fewest groups of paths that begin alike and give one value: first, end, draws.

        Paths stand in the order in which they were run, so that those with a common beginning are
        neighbours, and the first and the last of them differ where any two of them do first.
        """
        waiting = [(0, len(values), 0)]
        while waiting:
            start, stop, depth = waiting.pop()
            if np.array_equal(values[start:stop], values[start : start + 1].repeat(stop - start)):
                yield start, stop, depth
                continue
            split = int(np.argmax(self.outcomes[start] != self.outcomes[stop - 1]))
            taken = self.outcomes[start:stop, split]
            edges = [0, *(np.flatnonzero(np.diff(taken)) + 1).tolist(), stop - start]
            pairs = itertools.pairwise(edges)
            waiting += [(start + one, start + other, split + 1) for one, other in pairs]


def keep_law(enumeration: Enumeration, moments: Moments, ratios: np.ndarray) -> EstimateLaw | str:
    """The law of the estimate, by running all paths once more; or why it was not kept.

    No verdict depends on it: whatever goes wrong here is said, and changes nothing.

    Args:
        moments: of the first time, which these must agree with.
        ratios: how far each entry is off, (P,): the farthest are kept if there is no room for all.
    """
    count, draws = moments.count, max(moments.draws, 1)
    room = MOST_CELLS // count - 2 * draws - 1
    if room < 1:
        return f"{count:,} paths of {draws:,} draws are more than there is room for"
    chosen = np.sort(np.argsort(-ratios, kind="stable")[:room])
    weights, row = np.zeros(count), np.zeros(moments.layout.size)
    outcomes, kinds = np.full((count, draws), -1), np.full((count, draws), -1)
    estimates, what = np.zeros((count, chosen.size)), dict[str, int]()
    place = 0
    try:
        for path in enumeration.paths():
            if place == count or len(path.choices) > draws:
                return "there were other paths when they were run once more"
            weights[place] = path.probability
            for draw, choice in enumerate(path.choices):
                outcomes[place, draw] = choice.taken
                kinds[place, draw] = what.setdefault(choice.outcomes.what, len(what))
            moments.layout.write(path.value, row)
            estimates[place] = row[chosen]
            place += 1
    except Exception as error:  # noqa: BLE001 - it may be such as can be run only so often
        return f"they could not be run once more ({type(error).__name__}: {error})"
    if place < count or not _is_mean(weights, estimates, moments, chosen):
        return "they gave other gradients when they were run once more"
    columns = np.full(moments.layout.size, -1)
    columns[chosen] = np.arange(chosen.size)
    return EstimateLaw(
        probabilities=weights / math.fsum(weights),
        outcomes=outcomes,
        kinds=kinds,
        what=tuple(what),
        estimates=estimates,
        columns=moments.layout.split(columns),
    )


def _is_mean(
    weights: np.ndarray, estimates: np.ndarray, moments: Moments, chosen: np.ndarray
) -> bool:
    """Whether the estimates have the mean that they had the first time."""
    # A product, a quotient and a sum of so many numbers are each off by a rounding a term.
    allowed = (len(weights) + 2) * EPS * moments.size()[chosen]
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number has no mean
        mean, there = weights @ estimates / math.fsum(weights), moments.mean()[chosen]
        return bool((~np.isfinite(there) | (np.abs(mean - there) <= allowed)).all())
