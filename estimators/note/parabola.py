"""The variance of an estimate as a function of its baseline: a parabola for each sentence.

With a baseline B(x) that is the same for every label, an entry of the estimate is
(R_k - B) s_k + d_k with R = L + log q + 1, and its variance a quadratic in B. Whoever has the three
coefficients has the variance under every baseline there is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from .exact import Reference

#: Coefficients by parameter, (N, *parameter shape), or by group, (N,).
Coefficients = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Quadratics:
    """V_n(B) = value - 2 slope (B - centre) + curvature (B - centre)^2, for each sentence n.

    Estimand: the variance over one draw of the label of (R - B) s + d.
    Valid when: labels are drawn independently, and B does not depend on them.
    Shape: ``centre`` (N,), E[R] of each sentence; the others by name, (N, ...).
    Reference: the derivation of claim ``baseline.variance``. Expanded at E[R] and not at zero,
    where the terms are large and cancel.
    """

    centre: np.ndarray
    value: Coefficients
    slope: Coefficients
    curvature: Coefficients

    def names(self) -> list[str]:
        """What there is a parabola of."""
        return list(self.value)

    def variance(self, baseline: np.ndarray | float) -> dict[str, np.ndarray]:
        """The variance of the batch sum with baselines (N,), by name."""
        return {name: self._at(name, baseline).sum(axis=0) for name in self.value}

    def total(self, baseline: np.ndarray | float) -> float:
        """The sum of all variances with baselines (N,)."""
        return float(sum(value.sum() for value in self.variance(baseline).values()))

    def summed(self) -> TotalVariance:
        """The total as one parabola for each sentence, for many baselines."""
        value, slope, curvature = (
            sum((_by_sentence(array) for array in of.values()), np.zeros_like(self.centre))
            for of in (self.value, self.slope, self.curvature)
        )
        return TotalVariance(self.centre, float(value.sum()), slope, curvature)

    def best(self) -> np.ndarray:
        """The baseline (N,) at which the total is least; E[R] where no baseline matters."""
        slope, curvature = (
            sum(_by_sentence(of[name]) for name in of) for of in (self.slope, self.curvature)
        )
        return self.centre + _ratio(np.asarray(slope), np.asarray(curvature))

    def least(self) -> dict[str, np.ndarray]:
        """The variance of each entry with the best baseline of its own, by name."""
        return {
            name: (self.value[name] - self.slope[name] * _ratio(self.slope[name], of)).sum(axis=0)
            for name, of in self.curvature.items()
        }

    def grouped(self, group: Callable[[str], str]) -> Quadratics:
        """The parabolas of sums of variances: all entries of the names that ``group`` maps to one.

        Args:
            group: the group of a name, e.g. ``group_of``.
        """

        def sums(of: Coefficients) -> dict[str, np.ndarray]:
            found: dict[str, np.ndarray] = {}
            for name, array in of.items():
                found[group(name)] = found.get(group(name), 0.0) + _by_sentence(array)
            return found

        return Quadratics(self.centre, sums(self.value), sums(self.slope), sums(self.curvature))

    def _at(self, name: str, baseline: np.ndarray | float) -> np.ndarray:
        value = self.value[name]
        shift = np.broadcast_to(np.asarray(baseline, np.float64), self.centre.shape) - self.centre
        shift = shift.reshape(-1, *[1] * (value.ndim - 1))
        return value - 2.0 * shift * self.slope[name] + shift**2 * self.curvature[name]


@dataclasses.dataclass(frozen=True)
class TotalVariance:
    """The sum of all variances under a baseline (N,): some microseconds a call.

    Shape: ``centre``, ``slope`` and ``curvature`` (N,).
    """

    centre: np.ndarray
    value: float
    slope: np.ndarray
    curvature: np.ndarray

    def __call__(self, baseline: np.ndarray | float) -> float:
        """V(B) = value + (B - centre) . (curvature (B - centre) - 2 slope)."""
        shift = baseline - self.centre
        return self.value + float(shift @ (self.curvature * shift - 2.0 * self.slope))


def _by_sentence(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1).sum(axis=1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, and 0 where both are: an entry that no score reaches has no best baseline."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0.0)


def quadratics(known: Reference, names: Iterable[str] | None = None) -> Quadratics:
    """The parabolas of every entry, from scores and pathwise gradients of every label.

    Args:
        names: parameters; None: all of them.

    Raises:
        ValueError: if a sentence enters another's cost, so that variances do not add up.
    """
    known.check_independent()
    q = known.probability
    log_q = np.where(q > 0.0, known.log_q, 0.0)
    returns = np.where(q > 0.0, known.loss + log_q + 1.0, 0.0)
    centre = (q * returns).sum(axis=1)
    value, slope, curvature = {}, {}, {}
    for name in known.score if names is None else names:
        score, pathwise = known.score[name], known.pathwise[name]
        weight, rest = (
            of.reshape(*of.shape, *[1] * (score.ndim - 2)) for of in (q, returns - centre[:, None])
        )
        estimate = rest * score + pathwise
        deviation = estimate - (weight * estimate).sum(axis=1, keepdims=True)
        value[name] = (weight * deviation**2).sum(axis=1)
        # The mean of the score is zero, so this is the covariance of score and estimate.
        slope[name] = (weight * score * estimate).sum(axis=1)
        curvature[name] = (weight * score**2).sum(axis=1)
    return Quadratics(centre, value, slope, curvature)
