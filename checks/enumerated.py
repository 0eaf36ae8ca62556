"""Exact moments of anyone's estimator: weighted sums over all paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.replay import (
    MOST_PATHS,
    SEEDED,
    Path,
    Restless,
    follow,
    intercepted,
    named,
    precision,
    walk,
)

from .gradients import complete

#: Roundings, all in one direction, that each path's gradient and its weight may be off by. The
#: operations of other people's code cannot be counted; a thousand is far from what is ever seen.
ROUNDINGS = 1000.0

#: Paths that are run twice, to see that the same draws give the same gradient.
REPEATED = 256

#: Times that a run without any draw is repeated: if something was drawn that was not seen, chances
#: are that it comes out another way.
ALONE = 64

#: The weights of all paths must add up to one within the precision of their probabilities.
MASS_ROUNDINGS = 100.0


class Moments:
    """Weighted sums over paths, as they grow."""

    def __init__(self, known: Mapping[str, np.ndarray], coarsest: float = 0.0) -> None:
        self.mean = {key: np.zeros_like(value) for key, value in known.items()}
        self._square = {key: np.zeros_like(value) for key, value in known.items()}
        self._size = {key: np.zeros_like(value) for key, value in known.items()}
        self._seen: set[str] = set()
        self._bad: dict[str, str] = {}
        self._precision = coarsest
        self._seeded = False
        self.mass, self.count, self.draws = 0.0, 0, 0

    def add(self, path: Path[Any]) -> None:
        """Add a run."""
        weight = path.weight
        seen = named(path.value)
        self._seen |= set(self.mean) if len(seen) == len(self.mean) == 1 else set(seen)
        self._precision = max(self._precision, path.precision, precision(path.value))
        self.mass += weight
        self.count += 1
        self.draws = max(self.draws, len(path.choices))
        self._seeded |= any(choice.what.startswith(SEEDED) for choice in path.choices)
        for key, value in complete(path.value, self.mean).items():
            if not np.isfinite(value).all():
                what = "NaN" if np.isnan(value).any() else "infinite"
                self._bad.setdefault(key, f"{key} is {what} where {path} (chance {weight:.3g})")
            # Welford's: nothing is subtracted from a sum of squares.
            step = value - self.mean[key]
            self.mean[key] = self.mean[key] + step * (weight / self.mass)
            self._square[key] += weight * step * (value - self.mean[key])
            self._size[key] += weight * np.abs(value)

    def size(self, key: str) -> float:
        """The largest mean magnitude of an entry; 0 where it is no number."""
        found = float(self._size[key].max(initial=0.0))
        return found if np.isfinite(found) else 0.0

    def bounds(self, key: str) -> np.ndarray:
        """What rounding can do to each entry of the mean."""
        size = np.where(np.isfinite(self._size[key]), self._size[key], 0.0)
        found: np.ndarray = ROUNDINGS * self._precision * size
        return found

    def bound(self, key: str) -> float:
        """What rounding can do to any entry of the mean."""
        return float(self.bounds(key).max(initial=0.0))

    def note(self, key: str) -> str:
        """What is wrong with a parameter's gradients apart from their mean."""
        if key in self._bad:
            return self._bad[key]
        return "" if key in self._seen else f"{key} got no gradient on any path"

    def notes(self) -> list[str]:
        """Facts."""
        found = []
        if not self.draws:
            found.append("Nothing was drawn: there is one path, and no variance.")
        if self._seeded:
            found.append(
                "A generator is made from a seed in each run: it is walked through as if it drew "
                "anew, and draws the same each time if the seed is the same."
            )
        if self._precision > 1e-10:  # coarser than double precision, by far
            found.append(
                "It runs in single precision: in double precision a smaller bias could be seen."
            )
        return found

    def variance(self) -> dict[str, np.ndarray]:
        """By parameter and entry."""
        return {key: value / self.mass for key, value in self._square.items()}

    def check_mass(self) -> None:
        """All paths together are certain.

        Raises:
            Restless: if they are not: some were not run.
        """
        if abs(self.mass - 1.0) > MASS_ROUNDINGS * self._precision * max(1, self.draws):
            raise Restless(
                f"the chances of {self.count:,} paths add up to {self.mass:.9g}, expected 1"
            )


def enumerate_paths(
    run: Callable[[], Any],
    estimate: object,
    like: Mapping[str, np.ndarray] | None = None,
    *,
    most: int = MOST_PATHS,
    coarsest: float = 0.0,
) -> Moments:
    """Mean and variance of what a run returns, over the outcomes of all that it draws.

    Args:
        run: returns gradients, as :func:`gradproof.estimators.replay.named` reads them.
        estimate: whose generators are walked through: what ``run`` calls.
        like: arrays of the names and shapes that there should be. None: those of the first path.
        most: paths that may be run.
        coarsest: precision that is at least to be allowed for.

    Raises:
        NotEnumerable: for draws that cannot be walked through, or a run that is not repeatable.
        NotAGradient, ValueError: for what does not fit.
    """
    sums: Moments | None = None if like is None else Moments(like, coarsest)
    first: Path[Any] | None = None
    intercept = intercepted(estimate, run)
    with np.errstate(invalid="ignore"):  # NaN and infinities are found, and named
        for path in walk(run, intercept, most=most):
            first = first or path
            # All are repeated while they are few, then every one whose number is a power of two.
            count = 0 if sums is None else sums.count
            if count < REPEATED or not count & (count - 1):
                _check_repeats(path, follow(run, intercept, path.choices, most))
            sums = sums or Moments(named(path.value), coarsest)
            sums.add(path)
        if first is None or sums is None:
            raise ValueError(f"most = {most}, expected at least one path")
        for _ in range(1 if sums.draws else ALONE):
            _check_repeats(first, follow(run, intercept, first.choices, most))
    sums.check_mass()
    return sums


def _check_repeats(first: Path[Any], again: Path[Any]) -> None:
    """The same draws must give the same gradient, or something else was drawn or is kept."""
    one, two = named(first.value), named(again.value)
    same = one.keys() == two.keys() and all(
        np.array_equal(one[key], two[key], equal_nan=True) for key in one
    )
    if not same or first.choices != again.choices:
        raise Restless(
            "the same draws gave another gradient when they were repeated: something is drawn "
            "that is not intercepted, or kept from one run to the next; pass reset=, or a "
            "generator that can be replaced"
        )
