"""Samples of an estimator's and an objective's slopes along segments, neither of them enumerated.

A sample has a number for each segment: the estimator's slope at a random place, less the slope of
the chord by two draws of the objective at the ends. Its mean is zero; see :mod:`.segments`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.estimator import Estimator, UserFunction
from gradproof.estimators.enumeration.expectation import (
    NotDifferentiable,
    leaves_made_before,
    one_number,
)
from gradproof.estimators.enumeration.gradients import (
    GradientLayout,
    array_of,
    arrays_by_name,
    precision,
)
from gradproof.estimators.enumeration.moved_leaves import MovedLeaves
from gradproof.estimators.enumeration.outcomes import EPS
from gradproof.estimators.enumeration.places import kept_values

from ..evidence import entry
from ..sequential.betting import RunningMoments
from ..sequential.wealth import ROUNDINGS
from .segments import Segment

#: Runs at the parameters that half-lengths are chosen by; they are in no test. The standard
#: deviation of normal numbers is within a tenth then, and no verdict depends on it.
PILOT = 256


class SlopeDifferences:
    """One sample at a time: differences of slopes along segments, by their names.

    Args:
        estimator: of the gradient.
        costs: the objectives, by the goals of the segments.
        leaves: the parameters, which are moved and put back.
        segments: along which, with half-lengths once :meth:`choose` was called.
        rng: that places on segments are drawn from.

    ``moments`` are of the slopes so far: all of the estimator, then all of the objective.
    """

    def __init__(
        self,
        estimator: Estimator,
        costs: Mapping[str, UserFunction],
        leaves: Mapping[str, Any],
        segments: Sequence[Segment],
        rng: np.random.Generator,
    ) -> None:
        self._estimator, self._costs, self._rng = estimator, costs, rng
        self._leaves, self.segments = MovedLeaves(leaves), tuple(segments)
        self._layout = GradientLayout({name: array_of(leaf) for name, leaf in leaves.items()})
        self._rows = np.stack([self._direction(each) for each in self.segments])
        self._here = self._layout.row({name: array_of(leaf) for name, leaf in leaves.items()})
        self._places = np.zeros(len(self.segments))
        self.moments = RunningMoments(2 * len(self.segments), joint=False)
        self._cost_size = self._slope_size = self._move_size = 0.0
        #: The coarsest precision of what the objectives returned.
        self.precision = EPS

    def choose(self, perform: Callable[[Callable[[], Any], int], Any], given: float | None) -> None:
        """Choose the half-lengths, by the noise of runs at the parameters.

        Args:
            perform: runs code as the run of a number.
            given: the half-length of all instead.
        """
        slopes = np.zeros((PILOT, len(self.segments)))
        costs = {goal: np.zeros(PILOT) for goal in self._costs}
        for number in range(PILOT):
            slopes[number] = perform(self._slopes_here, number)
            for goal, values in costs.items():
                values[number] = perform(functools.partial(self._cost, goal), number)
        self.segments = tuple(
            each.with_half_length(given, costs[each.goal].std(), slope)
            for each, slope in zip(self.segments, slopes.std(axis=0), strict=True)
        )

    def draw_places(self) -> None:
        """Draw where the estimator of the next sample is, on each segment."""
        self._places = self._rng.uniform(-1.0, 1.0, len(self.segments))

    def __call__(self) -> dict[str, np.ndarray]:
        """One sample."""
        count = len(self.segments)
        both = np.zeros(2 * count)
        for number, segment in enumerate(self.segments):
            half = segment.half_length
            with self._moved(segment, self._places[number] * half):
                both[number] = self._rows[number] @ self._gradient()
            ends = []
            for end in (half, -half):
                with self._moved(segment, end):
                    ends.append(self._cost(segment.goal))
            both[count + number] = (ends[0] - ends[1]) / (2.0 * half)
        self.moments.add(both[None])
        off = both[:count] - both[count:]
        return {each.name: np.asarray(off[i]) for i, each in enumerate(self.segments)}

    def errors(self, step: float, share: float) -> tuple[dict[str, np.ndarray], ...]:
        """What rounding may do to the mean of each, as measured and as single precision may.

        Args:
            step: of the arithmetic, from 1 to the next number.
            share: of the sizes of costs and slopes, for what is computed unseen.
        """
        rounding, doubt = {}, {}
        for each in self.segments:
            size = self._cost_size / each.half_length + self._slope_size
            # Parameters are rounded where they are moved to, and so are not quite there.
            there = self._move_size / (2.0 * each.half_length)
            rounding[each.name] = np.asarray(step * (ROUNDINGS * size + there))
            doubt[each.name] = np.asarray(share * size)
        return rounding, doubt

    def _direction(self, segment: Segment) -> np.ndarray:
        """Of all parameters: zero for those of another goal."""
        row = np.zeros(self._layout.size)
        for name, way in segment.towards.items():
            row[self._layout.parts[name]] = way.ravel()
        return row

    def _slopes_here(self) -> np.ndarray:
        gradient = self._gradient()
        slopes: np.ndarray = self._rows @ gradient
        self._slope_size = max(self._slope_size, float(np.abs(slopes).max()))
        self._move_size = max(self._move_size, float(np.abs(gradient) @ np.abs(self._here)))
        return slopes

    def _gradient(self) -> np.ndarray:
        """One estimate where the parameters are, (P,)."""
        row = np.zeros(self._layout.size)
        self._layout.write(arrays_by_name(self._estimator()), row)
        if not np.isfinite(row).all():
            where = int(np.argmin(np.isfinite(row)))
            raise NotDifferentiable(
                f"the estimator returned {row[where]} in {entry(*self._layout.entry(where))}, "
                "expected finite numbers"
            )
        self._estimator.restore_state()
        return row

    def _cost(self, goal: str) -> float:
        code = self._costs[goal]
        value = code()
        found = one_number(value, "the objective")
        if self.moments.count == 0:
            self.precision = max(self.precision, precision(value))
            self._cost_size = max(self._cost_size, abs(found))
        code.restore_state()
        return found

    @contextlib.contextmanager
    def _moved(self, segment: Segment, step: float) -> Iterator[None]:
        """The parameters are elsewhere on a segment; an error says where they were."""
        with self._leaves.moved(segment.towards, step):
            try:
                yield
            except Exception as error:
                name, place, there = self._leaves.entry_at(segment.towards, step)
                error.add_note(
                    f"the parameters are moved by {step:.3g} along a random direction here, where "
                    f"the one of {entry(name, place)} is {there:.6g}: if it must not be that, pass "
                    f"half_length= below {segment.half_length:.3g}; if entries are bound to each "
                    "other, as probabilities that add up to 1, let free ones be the parameters "
                    "(logits)"
                )
                raise


def check_made_anew(
    named: Mapping[str, Callable[..., Any]], inputs: Sequence[Any], leaves: Mapping[str, Any]
) -> None:
    """Whether code keeps nothing that was made from the parameters before, and would not move.

    Raises:
        NotDifferentiable: if it keeps a tensor that has a graph which leads to one.
    """
    for what, code in named.items():
        for value in _kept_tensors(code, list(inputs)):
            made_from = leaves_made_before(value.grad_fn, math.inf, leaves)
            if made_from:
                raise NotDifferentiable(
                    f"{what} has a tensor that was made from {', '.join(made_from)} before it is "
                    "called (or is left from an earlier call), which does not move where the "
                    "parameters are moved: make it within the call, or detach it if it is meant to "
                    "be a constant"
                )


def _kept_tensors(*roots: Any) -> Iterator[Any]:
    """Tensors with a graph that code keeps, also as the parameters of a distribution."""
    torch: Any = sys.modules.get("torch")
    for value, _ in kept_values(*roots) if torch is not None else ():
        is_distribution = isinstance(value, torch.distributions.Distribution)
        for each in vars(value).values() if is_distribution else (value,):
            if isinstance(each, torch.Tensor) and each.grad_fn is not None:
                yield each
