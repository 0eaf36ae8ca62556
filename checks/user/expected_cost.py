"""The exact gradient of an expected cost.

By the framework's own differentiation of what is enumerated, where that can be had: differences
along a few directions bear witness to it, which know nothing of graphs. By differences of the
enumerated mean, entry by entry, where it cannot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.differences import (
    KINK,
    SMOOTH,
    NotMovable,
    Slope,
    Slopes,
    along,
    cost,
    gradient,
)
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.expectation import (
    Expectation,
    Mean,
    NotDifferentiable,
    ObjectiveGradient,
    one_number,
)
from gradproof.estimators.enumeration.gradients import array_of
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import MOST_PATHS, NotEnumerable
from gradproof.estimators.enumeration.spread import Bounds

from ..evidence import GAP, entry

#: Runs of a cost that differences may take before they are not worth waiting for.
MOST_RUNS = 2_000_000

#: Runs that witnesses may take beyond the first: a direction for each parameter, where that is
#: cheap.
WITNESS_RUNS = 5_000

#: Values that a derivative along a line takes, as a rule.
VALUES = 12

ByName = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class MeanGradient:
    """The gradient of an enumerated mean, by parameter, and what each of its entries may be off by.

    ``measure`` returns a better ``error``, at a cost; None if there is none. ``how`` says in words
    where the gradient comes from.
    """

    gradient: ByName
    error: ByName
    how: str
    measure: Callable[[], ByName] | None = None


def check_precision(precision: object) -> None:
    """Whether this is a precision that somebody may state.

    Raises:
        ValueError: if not.
    """
    if not isinstance(precision, int | float | np.floating) or not 0.0 <= precision < 1.0:
        raise ValueError(
            f"precision is {precision!r}, expected a step such as 1.2e-7 (single precision), or 0"
        )


def gradient_of_mean(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    *,
    paths: int = MOST_PATHS,
    reset: Callable[[], object] | None = None,
    coarsest: float = 0.0,
    tell: Callable[[], object] | None = None,
) -> MeanGradient:
    """The gradient of E[objective], over the outcomes of what it draws.

    Estimand: d/dtheta sum over paths of p(theta) f(theta); both p and f depend on theta.
    Valid when: it is differentiable at theta, and every draw can be enumerated.

    Args:
        objective: draws, and returns a number; called with ``inputs``.
        leaves: arrays or tensors among or behind the inputs, moved in place and put back.
        coarsest: precision that is at least to be allowed for.
        tell: called once a run, to tell of it.

    Raises:
        NotDifferentiable: if there is nothing to move, too much, a kink, or no finite number.
        NotEnumerable: for draws that no handler can answer.
    """
    _check_leaves(leaves)
    expectation = Expectation(
        objective, inputs, beside=(dict(leaves),), paths=paths, reset=reset, tell=tell
    )
    # Handlers stay where they are, from one enumeration to the next.
    with Handling(objective, reset, list(inputs), dict(leaves)):
        mean = expectation.settled()
        found = _automatic(objective, inputs, leaves, paths, reset)
        if found is not None and _witnessed(expectation, mean, leaves, found, coarsest):
            return found
        return _by_differences(expectation, mean, leaves, coarsest, lost=found is not None)


def _check_leaves(leaves: Mapping[str, Any]) -> None:
    for name, leaf in leaves.items():
        if str(leaf.dtype) in ("torch.bfloat16", "torch.float16", "float16"):
            raise NotDifferentiable(
                f"{name} is in {leaf.dtype}, too coarse for differences: use double"
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
            "gradients or NumPy arrays of real numbers as inputs, or wrt= (arrays of JAX cannot be "
            "moved: pass exact=, such as the jax.grad of a mean over all outcomes)"
        )


def _automatic(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    paths: int,
    reset: Callable[[], object] | None,
) -> MeanGradient | None:
    """By PyTorch's differentiation; None where it has no graph of it all."""
    if not all(hasattr(leaf, "detach") for leaf in leaves.values()):
        return None
    code = ObjectiveGradient(objective, inputs, leaves, reset=reset)
    like = {name: array_of(leaf) for name, leaf in leaves.items()}
    step = max(float(np.finfo(array.dtype).eps) for array in like.values())
    try:
        with Enumeration(code, paths) as enumeration:
            moments = enumeration.moments(like)
    except NotEnumerable:
        raise
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        # It runs as it is, but not with its stop-gradients released, or without a graph.
        return None
    layout = moments.layout
    value = layout.split(moments.mean())
    if not all(np.isfinite(each).all() for each in value.values()):
        return None

    def measure() -> ByName:
        with Enumeration(code, paths) as again:
            bounds = Bounds(again, again.moments(like), step)
            return layout.split(bounds.best().bound)

    error = layout.split(Bounds(enumeration, moments, step).least)
    how = "by PyTorch's differentiation of the enumerated objective, witnessed by differences"
    return MeanGradient(value, error, how, measure)


def _witnessed(
    expectation: Expectation,
    mean: Mean,
    leaves: Mapping[str, Any],
    found: MeanGradient,
    coarsest: float,
) -> bool:
    """Whether differences agree: of each entry where these are few, else along some directions.

    Raises:
        NotDifferentiable: at a kink, or where no direction tells.
    """
    arrays = {name: array_of(leaf) for name, leaf in leaves.items()}
    if cost(arrays) * mean.paths <= WITNESS_RUNS:
        return _witnessed_by_entries(expectation, leaves, found, coarsest)
    told, why = 0, ""
    for towards in _directions(arrays, mean.paths):
        slope = _along(expectation, leaves, towards, coarsest)
        if slope.kind == KINK:
            raise NotDifferentiable(_kinked("along a line through the parameters", slope))
        if slope.kind != SMOOTH:
            why = slope.reason
            continue
        told += 1
        automatic = sum(float((found.gradient[name] * way).sum()) for name, way in towards.items())
        rounding = sum(float((found.error[name] * abs(way)).sum()) for name, way in towards.items())
        if abs(slope.value - automatic) > GAP * (slope.error + rounding):
            return False
    if not told:
        raise NotDifferentiable(
            f"the mean of the objective has no slope that differences can tell: {why}; pass exact= "
            "instead"
        )
    return True


def _witnessed_by_entries(
    expectation: Expectation, leaves: Mapping[str, Any], found: MeanGradient, coarsest: float
) -> bool:
    slopes, told = _slopes(expectation, leaves, coarsest), 0
    for name, one in slopes.items():
        smooth = one.kind == SMOOTH
        told += int(smooth.sum())
        _refuse_kinks(name, one)
        off = np.abs(one.value - found.gradient[name])
        if (off > GAP * (one.error + found.error[name]))[smooth].any():
            return False
    if not told:
        why = next(reason for one in slopes.values() for reason in one.reasons.values())
        raise NotDifferentiable(
            f"the mean of the objective has no slope that differences can tell: {why}; pass exact= "
            "instead"
        )
    return True


def _directions(leaves: ByName, paths: int) -> Iterator[ByName]:
    """Two of everything together; or one of that, and one of each parameter.

    They are drawn anew each time: no pattern of what a graph has lost is orthogonal to them.
    """
    rng = np.random.default_rng()
    entries = sum(array.size for array in leaves.values())

    def towards(names: Iterable[str]) -> ByName:
        return {
            name: rng.normal(size=leaves[name].shape)
            * np.maximum(np.abs(leaves[name]), float(np.abs(leaves[name]).max(initial=0.0)) or 1.0)
            / entries**0.5
            for name in names
        }

    yield towards(leaves)
    if len(leaves) == 1 or VALUES * paths * len(leaves) > WITNESS_RUNS:
        yield towards(leaves)
        return
    for name in leaves:
        yield towards([name])


def _along(
    expectation: Expectation,
    leaves: Mapping[str, Any],
    towards: Mapping[str, np.ndarray],
    coarsest: float,
) -> Slope:
    try:
        return along(lambda: _value(expectation), leaves, towards, eps=coarsest)
    except NotMovable as error:
        raise NotDifferentiable(f"{error}; pass exact= instead, or a copy") from error


def _value(expectation: Expectation) -> tuple[float, float]:
    mean = expectation()
    return mean.value, mean.size


def _by_differences(
    expectation: Expectation, mean: Mean, leaves: Mapping[str, Any], coarsest: float, *, lost: bool
) -> MeanGradient:
    runs = cost({name: array_of(leaf) for name, leaf in leaves.items()}) * mean.paths
    if runs > MOST_RUNS:
        why = (
            "part of the objective depends on the parameters in a way that PyTorch's "
            "differentiation does not see (.item(), NumPy), and "
            if lost
            else ""
        )
        raise NotDifferentiable(
            f"{why}its parameters and {mean.paths:,} paths need {runs:,} runs of the objective for "
            f"differences, more than {MOST_RUNS:,}: pass exact= instead, or a smaller problem"
        )
    found = _slopes(expectation, leaves, coarsest)
    for name, slopes in found.items():
        _refuse_kinks(name, slopes)
        for place in np.argwhere(slopes.kind != SMOOTH):
            index = tuple(int(each) for each in place)
            raise NotDifferentiable(
                f"the slope of the mean of the objective by {entry(name, index)} cannot be told: "
                f"{slopes.reasons.get(index, 'no step does')}; pass exact= instead"
            )
    return MeanGradient(
        {name: slopes.value for name, slopes in found.items()},
        {name: slopes.error for name, slopes in found.items()},
        "by differences of the enumerated objective",
    )


def _slopes(
    expectation: Expectation, leaves: Mapping[str, Any], coarsest: float
) -> Mapping[str, Slopes]:
    try:
        return gradient(lambda: _value(expectation), leaves, eps=coarsest)
    except NotMovable as error:
        raise NotDifferentiable(f"{error}; pass exact= instead, or a copy") from error


def _refuse_kinks(name: str, slopes: Slopes) -> None:
    for place in np.argwhere(slopes.kind == KINK):
        index = tuple(int(each) for each in place)
        sides = float(slopes.left[index]), float(slopes.right[index])
        raise NotDifferentiable(
            f"the mean of the objective is not differentiable at {entry(name, index)}: it has a "
            f"kink there, slopes to the two sides are {sides[0]:.6g} and {sides[1]:.6g}; pass "
            "exact= instead, or move it"
        )


def _kinked(where: str, slope: Slope) -> str:
    return (
        f"the mean of the objective is not differentiable {where}: it has a kink there, slopes to "
        f"the two sides are {slope.left:.6g} and {slope.right:.6g}; pass exact= instead, or move "
        "the parameters"
    )


__all__ = [
    "MOST_RUNS",
    "Expectation",
    "MeanGradient",
    "NotDifferentiable",
    "check_precision",
    "gradient_of_mean",
    "one_number",
]
