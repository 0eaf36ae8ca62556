"""What is kept of every label, so that the variance under any new baseline costs next to nothing.

An estimate at label k is (R_k - B) s_k + d_k. Its variance, summed over a group of parameters,
needs no gradient but through three inner products for each sentence and label, |s|^2, s . d and
|d|^2, and through the squared norm of the mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from gradproof.reference_models.model import group_of

from .exact import Reference
from .parabola import Quadratics

#: What the score is weighted with before B is subtracted, by the form it belongs to: the note's
#: R = L + log q + 1, or L alone where the entropy is differentiated analytically.
ONE_PASS, ANALYTIC = "one-pass", "analytic-entropy"

#: (N, K) by parameter group.
ByLabel = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """Inner products of score s and pathwise gradient d, by parameter group.

    Estimand: none; this describes an estimator.
    Valid when: labels are drawn independently, and no sentence enters another's cost.
    Shape: ``log_q``, ``loss`` and each of ``score`` |s|^2, ``cross`` s . d and ``pathwise`` |d|^2
    are (N, K). ``mean`` has (N,) by form and group, the squared norm of the mean of each sentence;
    for :data:`ANALYTIC` without the entropy's gradient, which is the same for every draw.
    ``gradient`` is the batch's mean by parameter: the gradient of the sum of U.
    Reference: the derivation of claim ``baseline.variance``.
    """

    log_q: np.ndarray
    loss: np.ndarray
    score: ByLabel
    cross: ByLabel
    pathwise: ByLabel
    mean: Mapping[str, Mapping[str, np.ndarray]]
    gradient: Mapping[str, np.ndarray]

    @property
    def probability(self) -> np.ndarray:
        """q, shape (N, K)."""
        return np.exp(self.log_q)

    def returns(self, form: str = ONE_PASS) -> np.ndarray:
        """What B is subtracted from, (N, K); zero where the label is never drawn.

        Raises:
            ValueError: for a form that is neither of the two.
        """
        if form not in (ONE_PASS, ANALYTIC):
            raise ValueError(f"form = {form!r}, expected {ONE_PASS!r} or {ANALYTIC!r}")
        drawable = np.isfinite(self.log_q)
        own = np.where(drawable, self.log_q, 0.0) + 1.0 if form == ONE_PASS else 0.0
        return np.where(drawable, self.loss + own, 0.0)

    def quadratics(self, form: str = ONE_PASS) -> Quadratics:
        """The variance as a parabola of B for each sentence and group."""
        q, returns = self.probability, self.returns(form)
        centre = (q * returns).sum(axis=1)
        rest = returns - centre[:, None]
        value, slope, curvature = {}, {}, {}
        for group, score in self.score.items():
            cross, pathwise = self.cross[group], self.pathwise[group]
            second = (q * (rest**2 * score + 2.0 * rest * cross + pathwise)).sum(axis=1)
            value[group] = second - self.mean[form][group]
            slope[group] = (q * (rest * score + cross)).sum(axis=1)
            curvature[group] = (q * score).sum(axis=1)
        return Quadratics(centre, value, slope, curvature)


def of_reference(known: Reference) -> LabelTable:
    """The table from every score and pathwise gradient: the slow witness.

    Raises:
        ValueError: if a sentence enters another's cost.
    """
    known.check_independent()
    groups = list(dict.fromkeys(map(group_of, known.score)))
    zeros = {group: np.zeros(known.loss.shape) for group in groups}
    score, cross, pathwise = dict(zeros), dict(zeros), dict(zeros)
    means: dict[str, dict[str, np.ndarray]] = {
        form: {group: np.zeros(len(known.loss)) for group in groups}
        for form in (ONE_PASS, ANALYTIC)
    }
    bare = LabelTable(known.log_q, known.loss, {}, {}, {}, {}, known.gradient)
    for name in known.score:
        group = group_of(name)
        s, d = (of[name].reshape(*known.loss.shape, -1) for of in (known.score, known.pathwise))
        score[group] = score[group] + (s**2).sum(axis=-1)
        cross[group] = cross[group] + (s * d).sum(axis=-1)
        pathwise[group] = pathwise[group] + (d**2).sum(axis=-1)
        for form, mean in means.items():
            estimate = bare.returns(form)[..., None] * s + d
            average = (bare.probability[..., None] * estimate).sum(axis=1)
            mean[group] = mean[group] + (average**2).sum(axis=-1)
    return dataclasses.replace(bare, score=score, cross=cross, pathwise=pathwise, mean=means)
