"""What a baseline does to the variance of each parameter by itself."""

from __future__ import annotations

import numpy as np

from gradproof.estimators.note.parabola import Quadratics

from ..evidence import NothingCompared
from .records import RatioMap

#: The share of the largest variance of a matrix that is rounding and not variance.
ROUNDS = 1e-24

#: The baselines that a map can be of: E[R|x] of each sentence, the best B of each sentence, and
#: the best that is the same for all.
EXPECTED, BEST, CONSTANT = "expected", "best", "constant"
KINDS = (EXPECTED, BEST, CONSTANT)


def ratio_map(parabola: Quadratics, kind: str, subject: str) -> RatioMap:
    """The variance with a baseline over the one without, of each matrix that a score reaches.

    Args:
        parabola: of every parameter entry, not grouped.
        kind: of :data:`KINDS`.

    Raises:
        ValueError: for a kind that is none of them.
        NothingCompared: if no score reaches a matrix, so that no baseline changes anything.
    """
    none, own = parabola.variance(0.0), parabola.variance(baseline_of(parabola, kind))
    matrices = [
        name for name, value in none.items() if value.ndim == 2 and parabola.curvature[name].any()
    ]
    if not matrices:
        raise NothingCompared("every score is zero, so no baseline changes a variance")
    return RatioMap(subject, kind, {name: _ratio(own[name], none[name]) for name in matrices})


def baseline_of(parabola: Quadratics, kind: str) -> np.ndarray | float:
    """The baseline of a kind, (N,) or one number.

    Raises:
        ValueError: for another kind than one of KINDS.
    """
    if kind == EXPECTED:
        return parabola.centre
    if kind == BEST:
        return parabola.best()
    if kind == CONSTANT:
        whole = parabola.grouped(lambda _: "all")
        curvature, slope = whole.curvature["all"], whole.slope["all"]
        total = float(curvature.sum())
        return float((slope + curvature * whole.centre).sum()) / total if total else 0.0
    raise ValueError(f"baseline {kind!r} has no map of ratios, expected one of {', '.join(KINDS)}")


def _ratio(own: np.ndarray, none: np.ndarray) -> np.ndarray:
    there = none > ROUNDS * none.max(initial=0.0)
    return np.divide(own, none, out=np.full_like(none, np.nan), where=there)
