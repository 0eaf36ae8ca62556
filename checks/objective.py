"""The exact gradient of an expected cost, by differences of its enumerated expectation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.replay import MOST_PATHS, Restless, array_of, intercepted, walk

#: Steps, in units of the fifth root of the precision: where a fourth-order error meets rounding.
STEP = 1.0

#: Roundings that the value of a cost may be off by, all in one direction.
ROUNDINGS = 100.0

#: Slopes to the two sides that differ by more than this share are those of a kink, if they do so
#: however near: a thousand times what a step's curvature comes to where it is mild.
KINK = 1e-3

#: Runs of a cost that differences may take before they are not worth waiting for.
MOST_RUNS = 2_000_000


@dataclasses.dataclass(frozen=True)
class Differences:
    """A gradient by differences, by parameter, and what each of its entries may be off by."""

    gradient: Mapping[str, np.ndarray]
    error: Mapping[str, np.ndarray]
    value: float


class NotDifferentiable(ValueError):
    """An expected cost that cannot be differenced."""


def check_precision(precision: object) -> None:
    """Whether this is a precision that somebody may tell.

    Raises:
        ValueError: if not.
    """
    if not isinstance(precision, int | float | np.floating) or not 0.0 <= precision < 1.0:
        raise ValueError(
            f"precision is {precision!r}, expected a step such as 1.2e-7 (single precision), or 0"
        )


def by_differences(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    *,
    paths: int = MOST_PATHS,
    reset: Callable[[], object] | None = None,
    coarsest: float = 0.0,
) -> Differences:
    """The gradient of E[objective], over the outcomes of what it draws.

    Estimand: d/dtheta sum over paths of p(theta) f(theta); both p and f are run anew at each theta.
    Valid when: it is smooth around theta, and every draw can be enumerated.

    Args:
        objective: draws, and returns a number; called with ``inputs``.
        leaves: arrays or tensors among or behind the inputs, moved in place and put back.
        coarsest: precision that is at least to be allowed for.

    Raises:
        NotDifferentiable: if there is nothing to move, too much, or the cost is no finite number.
        NotEnumerable: as :func:`gradproof.estimators.replay.walk`.
    """
    for name, leaf in leaves.items():
        if str(leaf.dtype) == "torch.bfloat16":
            raise NotDifferentiable(
                f"{name} is in bfloat16, too coarse for differences: use double"
            )
    entries = sum(array_of(leaf).size for leaf in leaves.values())
    if leaves and not entries:
        raise NotDifferentiable(
            f"{', '.join(leaves)} has no entries: there is nothing to be differentiated by; pass "
            "at least one sentence or parameter"
        )
    if not entries:
        raise NotDifferentiable(
            "objective= needs something to be differentiated by: pass tensors that require "
            "gradients or arrays of real numbers as inputs, or wrt="
        )
    expectation = Expectation(objective, inputs, paths=paths, reset=reset)
    mean = expectation.settled()
    runs = 4 * entries * mean.paths
    if runs > MOST_RUNS:
        raise NotDifferentiable(
            f"{entries:,} parameters and {mean.paths:,} paths need {runs:,} runs of the objective, "
            f"more than {MOST_RUNS:,}: pass exact= instead, or a smaller problem"
        )
    gradient, error = {}, {}
    for name, leaf in leaves.items():
        shape = np.shape(array_of(leaf))
        gradient[name], error[name] = np.zeros(shape), np.zeros(shape)
        for index in np.ndindex(*shape):
            found = _slope(_Entry(leaf, index, name, coarsest), lambda: expectation().value, mean)
            gradient[name][index], error[name][index] = found
    return Differences(gradient, error, mean.value)


@dataclasses.dataclass(frozen=True)
class Mean:
    """An enumerated mean: its value, what is added up in it without signs, over how many paths."""

    value: float
    size: float
    paths: int


class Expectation:
    """The mean of what an objective returns, over the outcomes of what it draws.

    Args:
        objective: draws, and returns a number; called with ``inputs``.
        paths: that may be run at most.
        reset: called before each run.
    """

    def __init__(
        self,
        objective: Callable[..., Any],
        inputs: Sequence[Any],
        *,
        paths: int,
        reset: Callable[[], object] | None,
    ) -> None:
        self._objective, self._paths, self._reset = objective, paths, reset
        self._inputs = list(inputs)  # so that a generator among them can be replaced
        self._intercept = intercepted(objective, [self._inputs])

    def __call__(self) -> Mean:
        """Enumerate it, with the inputs as they are now."""
        total = size = 0.0
        count = 0
        for path in walk(self._run, self._intercept, most=self._paths):
            total += path.weight * path.value
            size += path.weight * abs(path.value)
            count += 1
        return Mean(total, size, count)

    def settled(self) -> Mean:
        """Enumerate it twice.

        Raises:
            Restless: if it comes to something else.
        """
        mean = self()
        if self() != mean:
            raise Restless(
                "the mean of the objective is another one when it is enumerated again: something "
                "is drawn that is not intercepted, or kept from one run to the next; pass reset="
            )
        return mean

    def _run(self) -> float:
        if self._reset is not None:
            self._reset()
        return one_number(self._objective(*self._inputs), "the objective")


def one_number(value: Any, what: str) -> float:
    """What ``what`` returned, as a number.

    Raises:
        NotDifferentiable: if it is not one finite number.
    """
    found = array_of(value)
    if found.size != 1 or found.dtype.kind not in "fiub" or not np.isfinite(found).all():
        raise NotDifferentiable(f"{what} returned {value!r:.60}, expected one finite number")
    return float(found.reshape(()))


class _Entry:
    """One entry of an array or tensor, moved in place and put back."""

    def __init__(self, leaf: Any, index: tuple[int, ...], name: str, coarsest: float) -> None:
        self._of = leaf if isinstance(leaf, np.ndarray) else leaf.data
        self._index = index
        self.name = f"{name}{list(index) if index else ''}"
        self.before = self._of[index].item()
        self.eps = max(coarsest, float(np.finfo(array_of(leaf).dtype).eps))

    def at(self, value: float, expected: Callable[[], float]) -> tuple[float, float]:
        """Where it was moved to, as it was rounded, and the expectation there.

        Raises:
            NotDifferentiable: if the array cannot be written to, or there is no expectation there.
        """
        try:
            self._of[self._index] = value
        except ValueError as error:
            raise NotDifferentiable(
                f"{self.name} cannot be moved to be differenced: {error}; pass exact= instead, or "
                "a copy"
            ) from error
        try:
            return self._of[self._index].item(), expected()
        except ValueError as error:
            raise NotDifferentiable(
                f"the objective cannot be run where {self.name} is {value:.6g} in place of "
                f"{self.before:.6g}, to be differenced: {error}; pass exact= instead"
            ) from error
        finally:
            self._of[self._index] = self.before


def _slope(entry: _Entry, expected: Callable[[], float], mean: Mean) -> tuple[float, float]:
    """The slope by one entry, and what it may be off by.

    Raises:
        NotDifferentiable: at a kink.
    """
    step = STEP * entry.eps**0.2 * max(1.0, abs(entry.before))
    # The cost's own precision is that of what it is computed from.
    rounding = 4.0 * ROUNDINGS * entry.eps * mean.size / step
    (near, near_jump), (far, far_jump) = (
        _central(entry, width, expected, mean.value) for width in (0.5 * step, step)
    )
    # Where it is smooth, slopes to both sides differ by half as much for half the step.
    if near_jump > max(0.6 * far_jump, KINK * (abs(near) + abs(far)), rounding):
        raise NotDifferentiable(
            f"the mean of the objective has a kink within {step:.1e} of {entry.name}: slopes to "
            f"its two sides differ by {near_jump:.3g}; pass exact= instead, or move it"
        )
    slope = (4.0 * near - far) / 3.0
    return slope, abs(slope - near) * entry.eps**0.2 + rounding


def _central(
    entry: _Entry, step: float, expected: Callable[[], float], value: float
) -> tuple[float, float]:
    """The slope, and by how much those to the two sides differ."""
    (above, high), (below, low) = (
        entry.at(entry.before + sign * step, expected) for sign in (1.0, -1.0)
    )
    sides = (high - value) / (above - entry.before), (value - low) / (entry.before - below)
    return (high - low) / (above - below), abs(sides[0] - sides[1])
