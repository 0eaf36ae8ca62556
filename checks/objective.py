"""The exact gradient of an expected cost, by differences of its enumerated expectation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.replay import MOST_PATHS, intercepted, walk

#: Steps, in units of the fifth root of the precision: where a fourth-order error meets rounding.
STEP = 1.0

#: Roundings that the value of a cost may be off by, all in one direction.
ROUNDINGS = 100.0

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


def by_differences(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    *,
    paths: int = MOST_PATHS,
    reset: Callable[[], object] | None = None,
) -> Differences:
    """The gradient of E[objective], over the outcomes of what it draws.

    Estimand: d/dtheta sum over paths of p(theta) f(theta); both p and f are run anew at each theta.
    Valid when: it is smooth around theta, and every draw can be enumerated.

    Args:
        objective: draws, and returns a number; called with ``inputs``.
        leaves: arrays or tensors among or behind the inputs, moved in place and put back.

    Raises:
        NotDifferentiable: if there is nothing to move, too much, or the cost is no finite number.
        NotEnumerable: as :func:`gradproof.estimators.replay.walk`.
    """
    entries = sum(map(_count, leaves.values()))
    if not entries:
        raise NotDifferentiable(
            "objective= needs something to be differentiated by: pass tensors that require "
            "gradients or arrays of real numbers as inputs, or wrt="
        )
    inputs = list(inputs)  # so that a generator among them can be replaced
    intercept = intercepted(objective, [inputs])

    def expected() -> tuple[float, float, int]:
        total = size = 0.0
        count = 0
        for path in walk(lambda: _run(objective, inputs, reset), intercept, most=paths):
            total += path.weight * path.value
            size += path.weight * abs(path.value)
            count += 1
        return total, size, count

    value, size, count = expected()
    if 4 * entries * count > MOST_RUNS:
        raise NotDifferentiable(
            f"{entries:,} parameters and {count:,} paths need {4 * entries * count:,} runs of the "
            f"objective, more than {MOST_RUNS:,}: pass exact= instead, or a smaller problem"
        )
    gradient, error = {}, {}
    for name, leaf in leaves.items():
        found = [_entry(leaf, place, lambda: expected()[0], size) for place in range(_count(leaf))]
        shape = np.shape(_plain(leaf))
        gradient[name] = np.array([slope for slope, _ in found]).reshape(shape)
        error[name] = np.array([off for _, off in found]).reshape(shape)
    return Differences(gradient, error, value)


def _run(
    objective: Callable[..., Any], inputs: Sequence[Any], reset: Callable[[], object] | None
) -> float:
    if reset is not None:
        reset()
    found = _plain(objective(*inputs))
    if np.size(found) != 1 or not np.isfinite(found).all():
        raise NotDifferentiable(
            f"the objective returned {found!r:.60}, expected one finite number: the cost of the "
            "outcomes drawn"
        )
    return float(np.reshape(found, ()))


def _entry(
    leaf: Any, place: int, expected: Callable[[], float], size: float
) -> tuple[float, float]:
    """The slope by one entry, and what it may be off by."""
    flat = _flat(leaf)
    before = flat[place].item()
    eps = float(np.finfo(_plain(leaf).dtype).eps)
    step = STEP * eps**0.2 * max(1.0, abs(before))
    try:
        near, far = (_central(flat, place, before, width, expected) for width in (0.5 * step, step))
    finally:
        flat[place] = before
    slope = (4.0 * near - far) / 3.0
    # The cost's own precision is that of what it is computed from.
    return slope, abs(slope - near) * eps**0.2 + 4.0 * ROUNDINGS * eps * (size + 1e-300) / step


def _central(
    flat: Any, place: int, before: float, step: float, expected: Callable[[], float]
) -> float:
    values, points = [], []
    for moved in (before + step, before - step):
        flat[place] = moved
        points.append(flat[place].item())  # as it was rounded
        values.append(expected())
    return (values[0] - values[1]) / (points[0] - points[1])


def _count(leaf: Any) -> int:
    return int(leaf.size if isinstance(leaf, np.ndarray) else leaf.numel())


def _flat(leaf: Any) -> Any:
    """All entries in a row, sharing memory."""
    return leaf.reshape(-1) if isinstance(leaf, np.ndarray) else leaf.data.view(-1)


def _plain(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
