"""The exact gradient of an expected cost.

By the framework's own differentiation of what is enumerated, where that can be had: differences
bear witness to it, and what a witness cannot see is added to the errors. By differences of the
enumerated mean, entry by entry, where it cannot, or where a witness contradicts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.differences import cost
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Listener, arrays_in
from gradproof.estimators.enumeration.expectation import (
    EnumeratedMean,
    Expectation,
    NotDifferentiable,
    ObjectiveGradient,
)
from gradproof.estimators.enumeration.gradients import array_of
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.limits import MOST_PATHS
from gradproof.estimators.enumeration.run import NotEnumerable
from gradproof.estimators.enumeration.spread import RoundingBounds

from .mean_slopes import ByName, MeanGradient, refuse_kinks, refuse_unknown, slopes_by_entry
from .witnesses import find_unseen

#: Runs of a cost that differences may take before they are not worth waiting for.
MOST_RUNS = 2_000_000


#: Types that are too coarse for differences.
COARSE_TYPES = ("torch.bfloat16", "torch.float16", "bfloat16", "float16")


def check_precision(precision: object) -> None:
    """Whether this is a valid precision.

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
    listener: Listener | None = None,
    arguments: Callable[[], Sequence[Any]] | None = None,
    batch: bool = True,
) -> MeanGradient:
    """The gradient of E[objective], over the outcomes of what it draws.

    Estimand: d/dtheta sum over paths of p(theta) f(theta); both p and f depend on theta.
    Valid when: it is differentiable at theta, and every draw can be enumerated.

    Args:
        objective: draws, and returns a number; called with ``inputs``.
        leaves: arrays or tensors among or behind the inputs, moved and put back.
        coarsest: precision that is at least to be allowed for.
        listener: is told of each run.
        arguments: makes what it is called with, where leaves are copies of what is in the inputs.
        batch: whether paths are run many at a time, where they can be.

    Raises:
        NotDifferentiable: if there is nothing to move, too much, a kink, or no finite number.
        NotEnumerable: for an unsupported draw, or too many paths.
    """
    check_movable(inputs, leaves)
    expectation = Expectation(
        objective,
        inputs,
        beside=(dict(leaves),),
        paths=paths,
        reset=reset,
        listener=listener,
        arguments=arguments,
        batch=batch,
    )
    # Handlers stay where they are, from one enumeration to the next.
    with Handling(objective, reset, list(inputs), dict(leaves)):
        mean = expectation.repeated_mean()
        automatic = automatic_gradient(objective, inputs, leaves, paths, reset, batch)
        if automatic is None:
            return _by_differences(expectation, mean, leaves, coarsest)
        unseen, wrong = find_unseen(expectation, mean, leaves, automatic, coarsest)
        error = {name: own + unseen[name] for name, own in automatic.error.items()}
        automatic = dataclasses.replace(automatic, error=error)
        if not wrong:
            return automatic
        # All is made anew in each run of the objective, so that it moves with the parameters: it is
        # the graph that lacks something, and differences that are right.
        check_made_within(objective, inputs, leaves, paths, reset)
        by_differences = _by_differences(expectation, mean, leaves, coarsest, wrong)
        return _replace_by_differences(automatic, by_differences)


def check_movable(inputs: Sequence[Any], leaves: Mapping[str, Any]) -> None:
    """Whether there is something to differentiate by, that can be moved and moves nothing else.

    Raises:
        NotDifferentiable: if not.
    """
    _check_leaves(inputs, leaves)
    _check_memory(inputs, leaves)


def _check_leaves(inputs: Sequence[Any], leaves: Mapping[str, Any]) -> None:
    for name, leaf in leaves.items():
        if str(leaf.dtype) in COARSE_TYPES:
            raise NotDifferentiable(
                f"{name} is in {leaf.dtype}, too coarse for differences: use double"
            )
    entries = sum(array_of(leaf).size for leaf in leaves.values())
    if leaves and not entries:
        raise NotDifferentiable(
            f"{', '.join(leaves)} has no entries: there is nothing to differentiate by; pass "
            "at least one sentence or parameter"
        )
    if not entries:
        fixed = [
            f"input {place}"
            for place, value in enumerate(inputs)
            if getattr(value, "requires_grad", True) is False
        ]
        if fixed:
            raise NotDifferentiable(
                f"objective= needs something to differentiate by, and {', '.join(fixed)} "
                f"{'does' if len(fixed) == 1 else 'do'} not require gradients: pass tensors after "
                "requires_grad_(), not detached, or where gradients are those of a module, name it "
                "with wrt="
            )
        raise NotDifferentiable(
            "objective= needs something to differentiate by: pass tensors that require "
            "gradients, or arrays of real numbers (NumPy, JAX, pytrees of them) as inputs, or wrt="
        )


def _check_memory(inputs: Sequence[Any], leaves: Mapping[str, Any]) -> None:
    """Whether an array of NumPy, which is moved where it is, moves no other input along.

    Raises:
        NotDifferentiable: if it does.
    """
    for name, leaf in leaves.items():
        if not isinstance(leaf, np.ndarray):
            continue
        for other in arrays_in(list(inputs)):
            if other is not leaf and np.shares_memory(leaf, array_of(other)):
                raise NotDifferentiable(
                    f"{name} shares its memory with another input, which moves with it in finite "
                    "differences: pass a copy of one"
                )


def check_made_within(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    paths: int,
    reset: Callable[[], object] | None,
) -> None:
    """Whether nothing is used that was made from the parameters before the objective is called.

    Raises:
        NotDifferentiable: if something is: it cannot be moved, and only the graph knows of it.
    """
    code = ObjectiveGradient(objective, inputs, leaves, reset=reset, look=True)
    with Enumeration(code, paths) as enumeration:
        for _ in enumeration.paths():
            pass
    if code.made_before:
        raise NotDifferentiable(
            f"the objective uses something that was made from {', '.join(code.made_before)} before "
            "it is called, and PyTorch's differentiation says that its mean depends on it; it does "
            "not move with the parameters, so that finite differences cannot confirm it: make it "
            "within the objective (or detach it, if it is meant to be a constant), or pass exact= "
            "instead"
        )


def automatic_gradient(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    paths: int,
    reset: Callable[[], object] | None,
    batch: bool,
) -> MeanGradient | None:
    """By PyTorch's differentiation; None where it has no graph of it all."""
    if not all(hasattr(leaf, "detach") for leaf in leaves.values()):
        return None
    code = ObjectiveGradient(objective, inputs, leaves, reset=reset)
    like = {name: array_of(leaf) for name, leaf in leaves.items()}
    step = max(float(np.finfo(array.dtype).eps) for array in like.values())
    try:
        with Enumeration(code, paths, batch=batch and "auto") as enumeration:
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
        with Enumeration(code, paths, batch=batch and "auto") as again:
            bounds = RoundingBounds(again, again.moments(like), step)
            return layout.split(bounds.best().bound)

    error = layout.split(RoundingBounds(enumeration, moments, step).least)
    how = "by PyTorch's differentiation of the enumerated objective, witnessed by differences"
    return MeanGradient(value, error, how, measure)


def _replace_by_differences(automatic: MeanGradient, by_differences: MeanGradient) -> MeanGradient:
    """The gradient by PyTorch, but for what is by differences."""
    measure = automatic.measure

    def measure_both() -> ByName:
        assert measure is not None  # PyTorch's can be measured
        return {**measure(), **by_differences.error}

    names = ", ".join(by_differences.gradient)
    return MeanGradient(
        {**automatic.gradient, **by_differences.gradient},
        {**automatic.error, **by_differences.error},
        f"{automatic.how}; but {names} {by_differences.how}",
        None if measure is None else measure_both,
        f"The gradient of the objective by {names} is by differences, which PyTorch's contradicts: "
        "part of it is lost to the graph (.item(), NumPy), or has a backward that is not its "
        "derivative.",
    )


def _by_differences(
    expectation: Expectation,
    mean: EnumeratedMean,
    leaves: Mapping[str, Any],
    coarsest: float,
    lost: Collection[str] | None = None,
) -> MeanGradient:
    """By each entry; of those that are ``lost`` to PyTorch's graph, if there is one."""
    chosen = {name: leaf for name, leaf in leaves.items() if lost is None or name in lost}
    runs = cost({name: array_of(leaf) for name, leaf in chosen.items()}) * mean.paths
    if runs > MOST_RUNS:
        why = (
            "part of the objective depends on the parameters in a way that PyTorch's "
            "differentiation does not see (.item(), NumPy), and "
            if lost is not None
            else ""
        )
        raise NotDifferentiable(
            f"{why}its parameters and {mean.paths:,} paths need {runs:,} runs of the objective for "
            f"differences, more than {MOST_RUNS:,}: pass fast=True (the slope along one random "
            "direction), or a smaller problem; or pass exact= instead"
        )
    by_name = slopes_by_entry(expectation, leaves, coarsest, chosen)
    for name, slopes in by_name.items():
        refuse_kinks(name, slopes)
        refuse_unknown(name, slopes)
    return MeanGradient(
        {name: slopes.value for name, slopes in by_name.items()},
        {name: slopes.error for name, slopes in by_name.items()},
        "by differences of the enumerated objective",
    )
