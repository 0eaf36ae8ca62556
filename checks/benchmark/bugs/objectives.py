"""Estimators whose exact gradient is that of an objective: near kinks, at any scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .row import Makes, Problem, right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    TABLE,
    TARGETS,
    VALUES,
    WEIGHTS,
    K,
    N,
    TorchProblem,
    draw,
    score,
    softmax,
)

#: Values that are this near to where a cost has its kink, on both sides of it.
NEAR = 1e-4
BESIDE_KINKS = np.array([TARGETS[0] + NEAR, TARGETS[0] - NEAR, TARGETS[1] + 2.0 * NEAR])

#: The slope of a cost above its target.
SLOPE = 3.0

#: What a model with parameters of another size multiplies them with.
SCALES = 1e2, 1e-4


def _rectified_cost(s: TorchProblem, v: Any, y: Any) -> Any:
    return s.take(s.table, y) + SLOPE * (v[y] - s.t).relu()


def _squared_cost(s: TorchProblem, v: Any, y: Any) -> Any:
    return s.cost(v, y)


def _problem(
    inputs: tuple[np.ndarray, ...], cost: Callable[..., Any], scale: float, live: bool
) -> Callable[[], Problem]:
    """The estimator and the objective, of logits and values that are scaled in the model."""

    def make() -> Problem:
        s = TorchProblem()

        def objective(w: Any, v: Any) -> Any:
            return cost(s, scale * v, s.draw(s.log_q(scale * w))).mean()

        def surrogate(w: Any, v: Any) -> Any:
            log_q = s.log_q(scale * w)
            y = s.draw(log_q)
            f = cost(s, scale * v, y)
            return (f.detach() * s.take(log_q, y) + (f if live else f.detach())).mean()

        given = tuple(s.constant(each / scale).requires_grad_() for each in inputs)
        return Problem(surrogate, given, objective=objective, surrogate=surrogate)

    return make


def _problem_by_hand(
    inputs: tuple[np.ndarray, ...], rectified: bool, scale: float, live: bool
) -> Callable[[], Problem]:
    def make() -> Problem:
        rng = np.random.default_rng()

        def cost(v: Any, y: Any) -> Any:
            over = scale * v[y] - TARGETS
            return TABLE[SENTENCES, y] + (SLOPE * np.maximum(over, 0.0) if rectified else over**2)

        def objective(w: Any, v: Any) -> Any:
            return cost(v, draw(rng, softmax(FEATURES @ (scale * w)))).mean()

        def estimate(w: Any, v: Any) -> Any:
            q = softmax(FEATURES @ (scale * w))
            y = draw(rng, q)
            by_logits = cost(v, y)[:, None] * score(q, y)
            over = scale * v[y] - TARGETS
            slope = SLOPE * (over > 0.0) if rectified else 2.0 * over
            by_values = (slope[:, None] * np.eye(K)[y]).sum(axis=0) * (live and scale / N)
            return FEATURES.T @ by_logits * scale / N, by_values

        given = tuple(each / scale for each in inputs)
        return Problem(estimate, given, objective=objective)

    return make


def _near_kinks(live: bool) -> Makes:
    inputs = WEIGHTS, BESIDE_KINKS
    return {
        "torch": _problem(inputs, _rectified_cost, 1.0, live),
        "numpy": _problem_by_hand(inputs, True, 1.0, live),
    }


def _problems_at_scale(scale: float) -> Makes:
    inputs = WEIGHTS, VALUES
    return {
        "torch": _problem(inputs, _squared_cost, scale, True),
        "numpy": _problem_by_hand(inputs, False, scale, True),
    }


_SIZES = "models whose features or temperature are of another size than 1"

ROWS = (
    *right(
        "near-kinks",
        "The cost is rectified, at values near its kinks.",
        "networks of rectified linear units",
        _near_kinks(True),
    ),
    *right(
        "parameters-small",
        "Parameters are hundredths, and the model multiplies them by a hundred.",
        _SIZES,
        _problems_at_scale(SCALES[0]),
    ),
    *right(
        "parameters-large",
        "Parameters are thousands, and the model divides them by ten thousand.",
        _SIZES,
        _problems_at_scale(SCALES[1]),
    ),
    *wrong(
        "near-kinks-not-pathwise",
        "The cost is rectified, and what it has of a gradient itself is left out.",
        "networks of rectified linear units; textbook mistake",
        _near_kinks(False),
    ),
)
