"""Differences that bear witness to an automatic gradient of an enumerated mean.

They are by each entry where these are few, else along a direction for each group of entries whose
slopes are about as large. They know nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.differences import cost
from gradproof.estimators.enumeration.expectation import (
    EnumeratedMean,
    Expectation,
    NotDifferentiable,
)
from gradproof.estimators.enumeration.gradients import array_of
from gradproof.estimators.enumeration.lines import RoundingNoise
from gradproof.estimators.enumeration.slopes import KINK, SMOOTH, Slope

from ..evidence import COARSEST, GAP, entry
from .mean_slopes import (
    ByName,
    MeanGradient,
    kink_message,
    mean_slope_along,
    refuse_kinks,
    refuse_unknown,
    rounding_noise,
    slopes_by_entry,
    unknown_slope_message,
)

#: Runs that witnesses may take for more than a direction for each decade of slopes.
WITNESS_RUNS = 5_000

#: Values that a derivative along a line takes, as a rule, where rounding is known.
VALUES = 8

#: Decades below the largest slope that have directions of their own, so that what is wrong with a
#: small head does not hide beside a large one. The rest is together, as are slopes of exactly zero.
#: There are ten directions at most beyond WITNESS_RUNS, of some VALUES means each.
DECADES = 8

#: An error in one among so many entries of a direction has to show; in one among more of them only
#: a larger error is seen, or an error in as many as this many-th part of them.
FEW = 16

#: A direction moves entries by their length times a number between 1 - SPREAD and 1 + SPREAD, there
#: or back: each counts, and no pattern of errors cancels.
SPREAD = 0.25


def find_unseen(
    expectation: Expectation,
    mean: EnumeratedMean,
    leaves: Mapping[str, Any],
    automatic: MeanGradient,
    coarsest: float,
) -> tuple[ByName, set[str]]:
    """What differences could not have seen of each entry; and the leaves that they contradict.

    They are by each entry where these are few, else along directions of some entries together.

    Raises:
        NotDifferentiable: at a kink, or where they do not tell.
    """
    arrays = {name: array_of(leaf) for name, leaf in leaves.items()}
    if cost(arrays) * mean.paths <= WITNESS_RUNS:
        return _find_unseen_by_entries(expectation, leaves, automatic, coarsest)
    unseen = {name: np.zeros(array.shape) for name, array in arrays.items()}
    wrong: set[str] = set()
    noise = rounding_noise(expectation, leaves, coarsest)
    for among in _groups(arrays, automatic.gradient, mean.paths):
        towards, slope = _known_slope(expectation, leaves, arrays, among, coarsest, noise)
        parts = [automatic.gradient[name] * way for name, way in towards.items()]
        rounding = sum(
            float((automatic.error[name] * abs(way)).sum()) for name, way in towards.items()
        )
        off = abs(slope.value - sum(float(part.sum()) for part in parts))
        if off > GAP * (slope.error + rounding):
            wrong.update(among)
        signal = sum(float((part**2).sum()) for part in parts) ** 0.5
        entries = sum(int(mask.sum()) for mask in among.values())
        # Of so many that are all about as large, one that is off by a hundredth moves the slope by
        # that part of the signal, which adds up as the root of their number.
        if off + slope.error <= COARSEST * signal / min(entries, FEW) ** 0.5:
            continue
        for name, way in towards.items():
            with np.errstate(divide="ignore"):
                most = (off + slope.error) / np.abs(way)
            unseen[name] = np.maximum(unseen[name], np.where(among[name], most, 0.0))
    return unseen, wrong


def _find_unseen_by_entries(
    expectation: Expectation, leaves: Mapping[str, Any], automatic: MeanGradient, coarsest: float
) -> tuple[ByName, set[str]]:
    unseen: dict[str, np.ndarray] = {}
    wrong: set[str] = set()
    for name, slopes in slopes_by_entry(expectation, leaves, coarsest).items():
        derivative = automatic.gradient[name]
        # What is infinite cannot be moved; it is no matter of a slope.
        movable = np.isfinite(array_of(leaves[name])) | (derivative != 0.0)
        refuse_kinks(name, slopes)
        refuse_unknown(name, slopes, movable)
        off = np.where(movable, np.abs(slopes.value - derivative), 0.0)
        error = np.where(movable, slopes.error, 0.0)
        if (off > GAP * (error + automatic.error[name])).any():
            wrong.add(name)
        # So much may the automatic one be off, whether or not it is: an agreement within it is none
        # if it is more than a hundredth.
        most = off + error
        unseen[name] = np.where(most <= COARSEST * np.abs(derivative), 0.0, most)
    return unseen, wrong


def _known_slope(
    expectation: Expectation,
    leaves: Mapping[str, Any],
    arrays: ByName,
    among: Mapping[str, np.ndarray],
    coarsest: float,
    noise: RoundingNoise,
) -> tuple[ByName, Slope]:
    """A direction of some entries, and the slope along it: of another, if that of one is not known.

    Raises:
        NotDifferentiable: at a kink, or where neither is known.
    """
    for _ in range(2):
        towards = _direction(arrays, among)
        slope = mean_slope_along(expectation, leaves, towards, coarsest, noise)
        if slope.kind == KINK:
            raise NotDifferentiable(
                kink_message("along a line through the parameters", slope.left, slope.right)
            )
        if slope.kind == SMOOTH:
            return towards, slope
    name = next(iter(among))
    place = entry(name, np.argwhere(among[name])[0])
    entries = sum(int(mask.sum()) for mask in among.values())
    more = f" and {entries - 1:,} more together" if entries > 1 else ""
    raise NotDifferentiable(unknown_slope_message(f"{place}{more}", slope.reason))


def _groups(leaves: ByName, slopes: ByName, paths: int) -> Iterator[Mapping[str, np.ndarray]]:
    """Masks of the entries that move together: those whose slopes are of a decade, in some parts.

    Where paths are few there are as many parts as WITNESS_RUNS has room for, of neighbours.
    """
    sizes = {name: np.abs(slopes[name]) for name in leaves}
    largest = max(float(size.max(initial=0.0)) for size in sizes.values())
    row = np.concatenate([size.ravel() for size in sizes.values()])
    movable = np.concatenate([np.isfinite(leaves[name]).ravel() for name in sizes])
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.floor(np.log10(largest / row))
    rest = ~np.isfinite(decades) | (decades >= DECADES)
    decades = np.where(rest, np.where(row == 0.0, DECADES + 1, DECADES), decades)
    parts = WITNESS_RUNS / (VALUES * paths * row.size)
    for decade in np.unique(decades[movable]):
        places = np.flatnonzero(movable & (decades == decade))
        many = min(max(1, int(parts * places.size)), places.size)
        for part in np.array_split(places, many):
            yield _masks(leaves, part)


def _masks(leaves: ByName, places: np.ndarray) -> Mapping[str, np.ndarray]:
    """Of places in all leaves one after the other, by leaf; of those that have one."""
    masks, start = {}, 0
    for name, array in leaves.items():
        within = places[(places >= start) & (places < start + array.size)] - start
        if within.size:
            mask = np.zeros(array.size, bool)
            mask[within] = True
            masks[name] = mask.reshape(array.shape)
        start += array.size
    return masks


def _direction(leaves: ByName, among: Mapping[str, np.ndarray]) -> ByName:
    """One of some entries, drawn anew each time; the others do not move.

    The lengths that a value may vary on are those that differences by an entry take, too: from 1 to
    the root of its size; together they move by about one of them.
    """
    rng = np.random.default_rng()
    entries = sum(int(mask.sum()) for mask in among.values())
    direction = {}
    for name, mask in among.items():
        lengths = np.maximum(np.abs(leaves[name][mask].astype(np.float64)), 1.0) ** 0.5
        way = np.zeros(mask.shape)
        signs = rng.choice([-1.0, 1.0], size=lengths.size)
        way[mask] = signs * rng.uniform(1.0 - SPREAD, 1.0 + SPREAD, lengths.size) * lengths
        direction[name] = way / entries**0.5
    return direction
