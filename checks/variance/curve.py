"""The variance against a baseline that is one number for all sentences."""

from __future__ import annotations

import numpy as np

from gradproof.estimators.note.parabola import Quadratics

from ..evidence import Curve

#: Places at which a curve is drawn: a parabola is smooth.
PLACES = 201


def curve(parabola: Quadratics) -> Curve:
    """The curve of parabolas that are grouped by :meth:`Quadratics.grouped`.

    ``per_sentence`` is what the best baseline of each sentence leaves: no constant can go below.

    Raises:
        ValueError: if no baseline matters at all, as where every score is zero.
    """
    curvature = sum(parabola.curvature.values())
    slope = sum(parabola.slope.values())
    total = float(np.sum(curvature))
    if total <= 0.0:
        raise ValueError("every score is zero, so no baseline matters and there is no curve")
    best = float(np.sum(slope + curvature * parabola.centre) / total)
    reach = abs(best) if best else 1.0
    low, high = sorted((0.0, 2.0 * best))
    baselines = np.linspace(low - 0.5 * reach, high + 0.5 * reach, PLACES)
    found = [parabola.variance(baseline) for baseline in baselines]
    variances = {name: np.array([each[name] for each in found]) for name in parabola.names()}
    return Curve(
        baselines=baselines,
        variances={**variances, "all": np.sum(list(variances.values()), axis=0)},
        best=best,
        least=parabola.total(best),
        none=parabola.total(0.0),
        per_sentence=parabola.total(parabola.best()),
    )
