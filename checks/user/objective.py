"""The estimand that ``objective=`` stands for: the gradient of the mean of what draws a cost.

One objective for all parameters, or goals by name or prefix, as of an actor and its critic; by each
entry, or along one random direction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.reset_at_point import reset_at_point
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw

from .differentiated_by import Parameters, differentiated_by
from .environment_hint import environment_hint
from .estimand import Estimand
from .expected_cost import gradient_of_mean
from .kept_constants import note_of_constants
from .mean_slopes import MeanGradient
from .random_direction import Direction, slope_of_mean
from .refused_draws import without_integrate

#: An objective, and the parameters whose gradients are those of its mean, by a name for it.
Goals = dict[str, tuple[Callable[..., Any], Mapping[str, Any]]]


def gradient_of_objective(
    objective: Any,
    estimator: Estimator,
    *,
    paths: int,
    reset: Callable[[], object] | None = None,
    precision: float = 0.0,
    fast: bool = False,
    seed: int | None = None,
    batch: bool = True,
) -> Estimand:
    """The gradient of the mean of an objective, or of each of several, as an estimand.

    Args:
        objective: draws and returns a cost; or such by name or prefix of parameters.
        estimator: whose inputs and parameters it has; with ``fast`` it gives slopes from now on.
        paths, reset, precision: as of :func:`.estimator.check_estimator`.
        fast: whether along one random direction only.
        seed: of that direction; None: a new one.
        batch: whether paths are run many at a time, where they can be.

    Raises:
        NotDifferentiable, NotEnumerable: as :func:`.expected_cost.gradient_of_mean`.
        TypeError, ValueError: for goals that do not fit the parameters.
    """
    parameters = differentiated_by(estimator)
    goals = goals_of(objective, parameters.leaves)
    reset = reset_at_point(reset, parameters.leaves)
    direction = Direction.draw(parameters.leaves, seed) if fast else None
    means = []
    for name, (function, leaves) in goals.items():
        mine = dataclasses.replace(parameters, leaves=leaves)
        try:
            if direction is None:
                means.append(_by_entry(function, estimator, mine, paths, reset, precision, batch))
            else:
                means.append(
                    slope_of_mean(
                        function,
                        estimator,
                        mine,
                        direction,
                        name=name,
                        paths=paths,
                        reset=reset,
                        coarsest=precision,
                        batch=batch,
                    )
                )
        except (UnsupportedDraw, TooManyPaths) as refused:
            raise type(refused)(
                f"{called(name)} cannot be enumerated: {without_integrate(refused)}"
                f"{environment_hint(refused)}; {_instead(refused)}"
            ) from refused
    if direction is not None:
        estimator.project = direction.projection(goals)
    named = {called(name): function for name, (function, _) in goals.items()}
    constants = note_of_constants(named, estimator.inputs, parameters.leaves)
    notes = (parameters.note, *(mean.note for mean in means), constants)
    return _joined(means, " ".join(note for note in notes if note))


def called(goal: str) -> str:
    """What the objective of a goal is called in messages."""
    return f"the objective of {goal}" if goal else "the objective"


def _instead(refused: Exception) -> str:
    """What to do where an objective cannot be enumerated."""
    sampled = (
        "pass draws= to sample it and the estimator along random directions, or exact= instead"
    )
    if isinstance(refused, TooManyPaths):
        return (
            f"{sampled}, or check a smaller problem (the first two examples, two steps "
            "of an episode, a batch of two): a bias that comes from the code is there as well"
        )
    return (
        f"{sampled} (in closed form, or by quadrature; integrate= and strategy='quasi' are for the "
        "estimator, and need it), or draw from a few outcomes in its place: a bias that comes from "
        "the code is there as well"
    )


def _by_entry(
    function: Callable[..., Any],
    estimator: Estimator,
    parameters: Parameters,
    paths: int,
    reset: Callable[[], object] | None,
    precision: float,
    batch: bool,
) -> MeanGradient:
    parameters.check_not_kept(function)
    return gradient_of_mean(
        function,
        estimator.inputs,
        parameters.leaves,
        paths=paths,
        reset=reset,
        coarsest=precision,
        listener=estimator.listener,
        arguments=parameters.movable,
        batch=batch,
    )


def _joined(means: list[MeanGradient], note: str) -> Estimand:
    """One estimand, of gradients of different names."""
    gradient = {name: value for mean in means for name, value in mean.gradient.items()}
    error = {name: value for mean in means for name, value in mean.error.items()}

    def measure() -> Mapping[str, np.ndarray]:
        measured = dict(error)
        for mean in means:
            if mean.measure is not None:
                measured.update(mean.measure())
        return measured

    return Estimand(
        gradient,
        error,
        {name: np.zeros_like(value) for name, value in gradient.items()},
        "; ".join(dict.fromkeys(mean.how for mean in means)),
        measure if any(mean.measure is not None for mean in means) else None,
        note=note,
    )


def goals_of(objective: Any, leaves: Mapping[str, Any]) -> Goals:
    """Each objective with its parameters.

    Raises:
        TypeError, ValueError: if one has none, or a parameter has none or two.
    """
    if not isinstance(objective, Mapping):
        return {"": (objective, leaves)}
    if not objective:
        raise ValueError("objective is {}, expected a function, or functions by parameters' names")
    goals: Goals = {}
    owner: dict[str, str] = {}
    for name, function in objective.items():
        if not callable(function):
            raise TypeError(
                f"objective of {name!r} = {function!r:.60}, expected a function that draws and "
                "returns a cost"
            )
        mine = {leaf: value for leaf, value in leaves.items() if _is_within(leaf, str(name))}
        if not mine:
            raise ValueError(
                f"objective= has {name!r}, which is no parameter and no prefix of one: they are "
                f"{', '.join(list(leaves)[:12])}"
            )
        for leaf in mine:
            if leaf in owner:
                raise ValueError(
                    f"objective= has two goals for {leaf}, {owner[leaf]!r} and {str(name)!r}: give "
                    "each parameter one (if its loss is a sum, a function that returns the sum)"
                )
            owner[leaf] = str(name)
        goals[str(name)] = (function, mine)
    missing = [leaf for leaf in leaves if leaf not in owner]
    if missing:
        raise ValueError(
            f"objective= has no goal for {', '.join(missing[:6])}: add one by that name or a "
            "prefix of it, or leave the parameter out of wrt="
        )
    return goals


def _is_within(leaf: str, prefix: str) -> bool:
    return leaf == prefix or leaf.startswith(f"{prefix}.")
