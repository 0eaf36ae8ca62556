"""Lambda from many sentences at once: by squared error, by a mean of losses, by exact variance.

With a table of every label, each fit is a weighted least-squares problem in B(x_n; lambda):

- by squared error, sum_n sum_k q_nk (R_nk - B_n)^2 is sum_n (E_q[R_n] - B_n)^2 and a constant;
- by variance, the total is sum_n a_n (B*_n - B_n)^2 and a constant, with a_n = E|s|^2 and B*_n the
  best baseline of the sentence (claim ``baseline.variance``).

Reference:
    Greensmith, Bartlett and Baxter (2004), Variance reduction techniques for gradient estimates in
    reinforcement learning (best baselines by variance). Weaver and Tao (2001), The optimal reward
    baseline for gradient-based reinforcement learning.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from ..backends.autograd_backend import AutogradOps
from ..note.label_table import ONE_PASS, LabelTable
from .affine import Affine
from .learned import LearnedBaseline
from .mlp import MLP
from .protocol import Features, Lambda, check_shape
from .running import Averaged

#: How lambda is found: what is made least, or, for running means, what they run towards.
SQUARED_ERROR, RUNNING_MEAN, VARIANCE = "mse", "running-mean", "variance"

#: Evaluations that a fit which is not linear in lambda may take; it stops long before in general.
MOST_EVALUATIONS = 200

#: How many sentences it takes to move a number of a network as far as data would without a prior.
PRIOR = 1.0


def fit(
    baseline: LearnedBaseline,
    x: Features,
    table: LabelTable,
    by: str,
    rng: np.random.Generator,
    form: str = ONE_PASS,
) -> dict[str, np.ndarray]:
    """Lambda of a baseline from sentences whose table is known.

    Args:
        baseline: one that learns; by :data:`RUNNING_MEAN`, one that is a mean of losses.
        x: the features of the table's sentences.
        by: what the fit goes by, one of the three.
        rng: where a fit that is not linear begins.
        form: what B is subtracted from, as in :meth:`LabelTable.returns`.

    Raises:
        ValueError: for another ``by``, a baseline that has no such fit, or features and a table
            that are not of the same sentences, or not finite.
    """
    check_features(x, len(table.loss))
    if not isinstance(baseline, LearnedBaseline):
        raise ValueError(
            f"baseline {_name(baseline)!r} has nothing to fit, expected one that learns from "
            "features: constant, say, or affine-length"
        )
    if by == RUNNING_MEAN:
        return _average(baseline, x, table)
    target, weight = goal(table, by, form)
    return closest_lambda(baseline, x, target, weight, rng)


def goal(table: LabelTable, by: str, form: str = ONE_PASS) -> tuple[np.ndarray, np.ndarray]:
    """What B should be for each sentence, and how much that matters, (N,) each.

    Raises:
        ValueError: if ``by`` is neither of the two.
    """
    parabola = table.quadratics(form)
    if by == SQUARED_ERROR:
        return parabola.centre, np.ones(len(parabola.centre))
    if by == VARIANCE:
        return parabola.best(), np.asarray(sum(parabola.curvature.values()))
    raise ValueError(
        f"by = {by!r}, expected {SQUARED_ERROR!r}, {VARIANCE!r} or, for a running mean, "
        f"{RUNNING_MEAN!r}"
    )


def closest_lambda(
    baseline: LearnedBaseline,
    x: Features,
    target: np.ndarray,
    weight: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """The lambda at which sum_n weight_n (target_n - B_n)^2 is least.

    Of a linear form the smallest such lambda, where features leave several: all sentences of one
    length, say, or fewer sentences than features. Of a network a local minimum, no worse than the
    affine form at which it begins.

    Raises:
        ValueError: if target and weight are not one finite number for each sentence, or a weight
            is negative.
    """
    n = check_features(x)
    target, weight = check_shape("target", target, (n,)), check_shape("weight", weight, (n,))
    if (weight < 0.0).any():
        place = int(np.argmin(weight))
        raise ValueError(
            f"weight is {weight[place]} for sentence {place}, expected none below zero; a variance "
            "curves upwards, so look at what computed it"
        )
    if isinstance(baseline, MLP):
        return _descend(baseline, x, target, weight, rng)
    return _project(baseline, x, target, weight)


def _average(baseline: LearnedBaseline, x: Features, table: LabelTable) -> dict[str, np.ndarray]:
    if not isinstance(baseline, Averaged):
        raise ValueError(
            f"baseline {baseline.name!r} is no mean of losses, expected constant or per-token; fit "
            f"it by {SQUARED_ERROR!r} or {VARIANCE!r}"
        )
    q = table.probability
    losses = np.where(q > 0.0, q * table.loss, 0.0).sum(axis=1)
    return baseline.of_losses(check_shape("E[L]", losses, q.shape[:1]), x.lengths)


def _project(
    baseline: LearnedBaseline, x: Features, target: np.ndarray, weight: np.ndarray
) -> dict[str, np.ndarray]:
    slopes = baseline.slopes({}, x)  # a linear form has the same at any lambda
    root = np.sqrt(weight)
    matrix = root[:, None] * _slope_rows(slopes)
    numbers = np.linalg.lstsq(matrix, root * target, rcond=None)[0]
    return _unflatten(numbers, {name: of[0] for name, of in slopes.items()})


def _descend(
    baseline: MLP, x: Features, target: np.ndarray, weight: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    affine = _project(Affine(features=baseline.features), x, target, weight)
    silent = {"lambda.out": np.zeros(baseline.hidden)}
    start = baseline.initial(rng, x.embedded.shape[1]) | affine | silent
    root, numbers = np.sqrt(weight), _flatten(start)
    error = root * (target - baseline.value_of(AutogradOps(), start, x))
    # A network has more numbers than there may be sentences. Each but the affine ones is drawn to
    # where it began, out of B's own unit and the rest of none, with the weight of PRIOR sentences.
    spread = float(np.sqrt((error**2).mean()))
    unit = float(root @ root / len(root)) ** 0.5
    scale = {name: 0.0 if name in affine else spread for name in start} | {"lambda.out": unit}
    pull = PRIOR**0.5 * _flatten(
        {name: scale[name] * np.ones(np.shape(of)) for name, of in start.items()}
    )

    def residual(now: np.ndarray) -> np.ndarray:
        off = root * (baseline.value_of(AutogradOps(), _unflatten(now, start), x) - target)
        return np.concatenate([off, pull * (now - numbers)])

    def jacobian(now: np.ndarray) -> np.ndarray:
        slopes = baseline.slopes(_unflatten(now, start), x)
        off = root[:, None] * _slope_rows({name: slopes[name] for name in start})
        return np.concatenate([off, np.diag(pull)])

    fitted = least_squares(residual, numbers, jacobian, method="lm", max_nfev=MOST_EVALUATIONS).x
    better = np.sum(residual(fitted) ** 2) <= np.sum(residual(numbers) ** 2)
    return _unflatten(fitted if better else numbers, start)


def _flatten(lambda_: Lambda) -> np.ndarray:
    """All numbers of lambda in one row."""
    return np.concatenate([np.ravel(value) for value in lambda_.values()])


def _slope_rows(slopes: dict[str, np.ndarray]) -> np.ndarray:
    """One row for each sentence."""
    return np.concatenate([of.reshape(len(of), -1) for of in slopes.values()], axis=1)


def _unflatten(numbers: np.ndarray, shapes: Lambda) -> dict[str, np.ndarray]:
    """Numbers in the shapes that lambda has."""
    ends = np.cumsum([np.size(value) for value in shapes.values()])
    parts = np.split(numbers, ends[:-1])
    return {
        name: part.reshape(np.shape(value))
        for part, (name, value) in zip(parts, shapes.items(), strict=True)
    }


def check_features(x: Features, n: int | None = None) -> int:
    """N, if features are of that many sentences; None: of any number but zero.

    Raises:
        ValueError: if they are not, or not finite.
    """
    n = len(x.lengths) if n is None else n
    if not n:
        raise ValueError("there are no sentences, expected one or more to fit a baseline to")
    check_shape("lengths", x.lengths, (n,))
    check_shape("embedded", x.embedded, (n, *np.shape(x.embedded)[1:]))
    return n


def _name(baseline: object) -> str:
    return str(getattr(baseline, "name", baseline))
