"""An estimator against an objective, neither of which can be enumerated: both are sampled."""

from __future__ import annotations

import contextlib
import math
import numbers
import secrets
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.estimator import Estimator, UserFunction
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.reset_at_point import reset_at_point
from gradproof.estimators.enumeration.run import SampledRun

from .differentiated_by import Parameters, differentiated_by
from .estimand import SINGLE
from .estimator_report import EstimatorReport
from .expected_cost import check_movable
from .jax_keys import FreshKeys, SeveralKeys
from .kept_constants import note_of_constants
from .objective import called, goals_of
from .sampled import sample
from .sampled_generators import seed_generators
from .segment_report import report_on_segments
from .segment_samples import PILOT, SlopeDifferences, check_made_anew
from .segments import DIRECTIONS, draw_segments

#: Numbers of the runs that half-lengths are chosen by, beyond those of all samples: a key of JAX is
#: folded with them.
FIRST = 2**31

#: A draw whose outcomes have no probabilities, so that no range can be known for certain.
PLACE = "the place on the segment, which is uniform"


def check_half_length(half_length: object, *, is_used: bool) -> None:
    """Whether this is a half-length, before anything is run.

    Raises:
        TypeError: if it is of no use.
        ValueError: if it is none.
    """
    if half_length is None:
        return
    if not is_used:
        raise TypeError(
            "half_length= goes with objective= and draws=, where both are sampled: leave it out, "
            "or pass these"
        )
    real = isinstance(half_length, numbers.Real) and not isinstance(half_length, bool)
    if not real or not 0.0 < half_length < math.inf:  # type: ignore[operator]
        raise ValueError(f"half_length is {half_length!r}, expected a positive number such as 0.1")


def check_sampled_objective(
    name: str,
    objective: Any,
    estimator: Estimator,
    *,
    draws: int,
    alpha: float,
    rarest: float | None,
    seed: int | None,
    precision: float,
    reset: Callable[[], object] | None,
    half_length: float | None,
    fast: bool,
    why: str,
) -> EstimatorReport:
    """The report on an estimator and an objective, both sampled along segments.

    Estimand: the slope of the mean of the objective along random directions, averaged over segments
    around the parameters; see :mod:`.segments`.
    Valid when: the mean of the objective has no jump on a segment, and both are functions of the
    parameters as they are when they are called.

    Args:
        half_length: of all segments; None: by the noise of both.
        fast: whether along one direction only.
        why: the objective is not enumerated.
        others: as of :func:`.estimator.check_estimator`.

    Raises:
        NotDifferentiable, NotMovable: for parameters that cannot be moved, or where something is no
            number on a segment.
        RepeatedSamples, TooFewDraws: as of :func:`.sampled.sample`.
    """
    started = time.perf_counter()
    parameters = differentiated_by(estimator)
    goals = goals_of(objective, parameters.leaves)
    reset = reset_at_point(reset, parameters.leaves)
    estimator.replace_reset(reset)
    constants = _check_moving(goals, estimator, parameters)
    chosen = secrets.randbits(32) if seed is None else int(seed)
    segments = draw_segments(
        {goal: leaves for goal, (_, leaves) in goals.items()},
        _generator(chosen, 3),
        1 if fast else DIRECTIONS,
    )
    costs = {goal: _cost(one, estimator, parameters, reset) for goal, (one, _) in goals.items()}
    if estimator.listener is not None:
        estimator.listener.sample((draws + PILOT) * 3 * len(segments))
    slopes = SlopeDifferences(estimator, costs, parameters.leaves, segments, _generator(chosen, 4))
    with contextlib.ExitStack() as stack:
        for each in (estimator, *costs.values()):
            stack.enter_context(each.restoring_state(generators=False))
        stack.enter_context(_given(estimator, parameters))
        roots = [root for each in (estimator, *costs.values()) for root in each.roots]
        handling = stack.enter_context(Handling(*roots))
        keys = stack.enter_context(_keys(estimator, costs, parameters, seed))

        def perform_pilot(code: Callable[[], Any], number: int) -> Any:
            keys.renew(FIRST + number)
            return handling.perform(code, SampledRun())

        def perform(code: Callable[[], Any], observed: SampledRun) -> Any:
            slopes.draw_places()
            value = handling.perform(code, observed)
            observed.unknown[PLACE] = None
            return value

        with seed_generators(None if seed is None else int(seed) + 1):
            slopes.choose(perform_pilot, half_length)
        step = max(precision, estimator.precision, slopes.precision)
        error, doubt = slopes.errors(step, 0.0 if precision else SINGLE)
        samples = sample(
            slopes,
            {each.name: np.zeros(()) for each in segments},
            draws=draws,
            alpha=alpha,
            rarest=rarest,
            exact_error=error,
            doubt=doubt,
            seed=seed,
            coarsest=step,
            perform=perform,
            keys=keys,
        )
    seconds = time.perf_counter() - started
    return report_on_segments(
        name,
        slopes,
        samples,
        seconds=seconds,
        why=why,
        seed=chosen,
        note=" ".join(note for note in (parameters.note, constants) if note),
    )


def _generator(seed: int, number: int) -> np.random.Generator:
    """One that nobody else has who makes generators of this seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def _cost(
    function: Callable[..., Any],
    estimator: Estimator,
    parameters: Parameters,
    reset: Callable[[], object] | None,
) -> UserFunction:
    beside = (dict(parameters.leaves),)
    code = UserFunction(function, estimator.inputs, reset=reset, beside=beside, called="objective")
    code.arguments = parameters.movable
    code.listener = estimator.listener
    return code


@contextlib.contextmanager
def _given(estimator: Estimator, parameters: Parameters) -> Any:
    """The estimator is given inputs that move, until this is left."""
    before, estimator.arguments = estimator.arguments, parameters.movable
    try:
        yield
    finally:
        estimator.arguments = before


def _check_moving(goals: Any, estimator: Estimator, parameters: Parameters) -> str:
    """Whether all code moves with the parameters, but for constants, which are named.

    Raises:
        NotDifferentiable: if not.
    """
    named = {"the estimator": estimator.function}
    for goal, (function, _) in goals.items():
        named[called(goal)] = function
    for what, code in named.items():
        parameters.check_not_kept(code, what)
    check_movable(estimator.inputs, parameters.leaves)
    check_made_anew(named, estimator.inputs, parameters.leaves)
    return note_of_constants(named, estimator.inputs, parameters.leaves)


def _keys(
    estimator: Estimator, costs: Any, parameters: Parameters, seed: int | None
) -> SeveralKeys:
    """The keys of JAX that any of them is given or keeps."""
    movable = parameters.movable
    inputs = estimator.inputs if movable is None else movable.inputs
    keys = [FreshKeys(estimator.function, inputs, seed=seed)]
    for each in costs.values():
        keys.append(FreshKeys(each.function, each.inputs if movable is None else [], seed=seed))
    return SeveralKeys(*keys)
