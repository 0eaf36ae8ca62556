"""Segments around the parameters, along which two slopes of a mean are compared.

Neither the mean of an estimator g nor that of an objective f need be known for it. With F(x) =
E[f(x)], a direction v, a half-length h and a place t that is uniform on (-h, h),

    E[g(x + t v) · v] = (F(x + h v) - F(x - h v)) / 2h,

by the fundamental theorem of calculus, if the mean of g is the gradient of F on the segment. So
the difference of two draws of f at its ends, over 2h, and one of g at a random place have the same
mean, whatever h is: there is no step whose error would have to be bounded, as a finite difference
has. What it tells is about the segment: a bias whose average over it is zero is not seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.gradients import array_of

#: Random directions that are compared, orthogonal to each other: as many as there are parameters,
#: where these are fewer. Three hide a bias from all of them with the third power of the
#: probability that one has, and each takes as many runs as the first.
DIRECTIONS = 3

#: What part of an entry's scale it moves by, at most, unless a half-length is given: so that what
#: is positive stays so, and what may be a probability stays one.
REACH = 1 / 2

#: And what part of that at least, though noise would allow for less: slopes of one draw divide the
#: objective by it.
LEAST = 1 / 16


@dataclasses.dataclass(frozen=True)
class Segment:
    """One segment: the places x + t v with t from -h to h, around the parameters x.

    ``towards`` is v, of length 1, by parameter; ``goal`` the name of the objective that these
    parameters have, and ``half_length`` h. ``longest`` is what h is at most by default.
    """

    name: str
    goal: str
    towards: Mapping[str, np.ndarray]
    longest: float
    half_length: float

    def with_half_length(self, given: float | None, cost: float, slope: float) -> Segment:
        """The segment with the half-length that is given, or one by the noise that was seen.

        At h = sd(f)/sd(g · v) the two draws of the objective add half as much variance as the
        estimator has itself, and a longer segment could not save more than that.

        Args:
            cost, slope: standard deviations of the objective, and of the estimator's slope.
        """
        if given is not None:
            return dataclasses.replace(self, half_length=given)
        known = np.isfinite(cost) and np.isfinite(slope) and slope > 0.0
        wanted = cost / slope if known else np.inf
        half = min(max(wanted, LEAST * self.longest), self.longest)
        return dataclasses.replace(self, half_length=float(half))


def draw_segments(
    parts: Mapping[str, Mapping[str, Any]], rng: np.random.Generator, most: int = DIRECTIONS
) -> tuple[Segment, ...]:
    """Segments in random directions, for each goal by its own parameters.

    Args:
        parts: parameters by name, by the goal that they have.
        most: directions of each goal.
    """
    segments: list[Segment] = []
    for goal, leaves in parts.items():
        shapes = {name: np.shape(array_of(leaf)) for name, leaf in leaves.items()}
        reach = _reach(leaves)
        directions = _directions(rng, reach.size, most)
        for number, direction in enumerate(directions, start=1):
            longest = float((reach / np.maximum(np.abs(direction), np.finfo(float).tiny)).min())
            ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
            split = zip(shapes, np.split(direction, ends[:-1]), strict=True)
            towards = {name: part.reshape(shapes[name]) for name, part in split}
            name = f"slope {number} by {goal}" if goal else f"slope {number}"
            segments.append(Segment(name, goal, towards, longest, longest))
    return tuple(segments)


def _directions(rng: np.random.Generator, size: int, most: int) -> np.ndarray:
    """Orthogonal directions of length 1, none of them preferred: (directions, P)."""
    normal = rng.normal(size=(size, min(most, size)))
    columns, triangle = np.linalg.qr(normal)
    rows: np.ndarray = (columns * np.where(np.diagonal(triangle) < 0.0, -1.0, 1.0)).T
    return rows


def _reach(leaves: Mapping[str, Any]) -> np.ndarray:
    """How far each entry of all parameters may move by default: (P,)."""
    return np.concatenate([_reach_of(array_of(leaf)).ravel() for leaf in leaves.values()])


def _reach_of(entries: np.ndarray) -> np.ndarray:
    """Half the way to zero where all have one sign, and to one where all are below; or a half."""
    values = np.asarray(entries, dtype=np.float64)
    size = np.abs(values)
    if not values.size or not ((values > 0.0).all() or (values < 0.0).all()):
        return REACH * np.maximum(1.0, size)
    if (values > 0.0).all() and (values < 1.0).all():
        size = np.minimum(values, 1.0 - values)
    return REACH * size
