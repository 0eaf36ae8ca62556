"""Claim kl.closed_form, with quadrature as the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import integrate

from gradproof.reference_models import gaussian
from gradproof.reference_models.ops import Array, Ops

from ..cases import (
    CoupledCase,
    GaussianCase,
    coupled_cases,
    gaussian_cases,
    typical_coupled,
    typical_gaussian,
)
from ..check import Check
from ..evidence import HOLDS, REFUTED, Comparison, compare
from ..study import Study

Named = Mapping[str, Array]

QUADRATURE = "the quadrature's own error estimate, and 64 roundings of the largest term"

#: Roundings in a closed form of one dimension; it has fewer than 20 operations.
OPERATIONS = 64

#: Nodes of Gauss-Hermite quadrature: exact for polynomials of degree 2 * 12 - 1, and ours are of
#: degree 4 at the most.
NODES = 12


def kl_h(ops: Ops, parameters: Named, inputs: Named) -> Array:
    """The closed form of KL(q(h) || N(0, 1)), a scalar."""
    return ops.sum(
        gaussian.kl_to_standard(ops, parameters["phi.mean"], parameters["phi.log_variance"])
    )


def kl_h_value(ops: Ops, parameters: Named, inputs: Named) -> Named:
    """The same, by name."""
    return {"KL": kl_h(ops, parameters, inputs)}


def closed_form(study: Study) -> list[Comparison]:
    """Value and both derivatives of the closed form against integrals over h.

    The derivatives are the integral of log(q/p) times the score of q, which needs no closed form.
    """
    case: GaussianCase = study.subject.case  # type: ignore[attr-defined]
    subject = study.subject
    value = study.bench.values(kl_h_value, subject, {})["KL"]
    gradient = study.bench.gradient(kl_h, subject, {})
    spread = np.exp(0.5 * case.log_variance)

    def term(h: float) -> float:
        log_q = log_normal(np.float64(h), case.mean, case.log_variance)
        return float(np.exp(log_q) * (log_q - log_normal(np.float64(h), 0.0, 0.0)))

    def score_of_mean(h: float) -> float:
        return float((h - case.mean) / spread**2)

    def score_of_log_variance(h: float) -> float:
        return float(0.5 * (((h - case.mean) / spread) ** 2 - 1.0))

    by_mean, by_log_variance = (
        float(gradient[name][0]) for name in ("phi.mean", "phi.log_variance")
    )
    return [
        _against_integral("KL", float(value), term, case),
        _against_integral("dKL/dmean", by_mean, lambda h: term(h) * score_of_mean(h), case),
        _against_integral(
            "dKL/dlog_variance",
            by_log_variance,
            lambda h: term(h) * score_of_log_variance(h),
            case,
        ),
    ]


def _against_integral(
    what: str, number: float, integrand: Callable[[float], float], case: GaussianCase
) -> Comparison:
    # Twelve standard deviations: what lies beyond is below e^-72.
    reach = 12.0 * np.exp(0.5 * case.log_variance)
    total, error = integrate.quad(
        integrand, case.mean - reach, case.mean + reach, epsabs=1e-12, epsrel=1e-12, limit=200
    )
    size = 1.0 + case.mean**2 + np.exp(case.log_variance) + abs(case.log_variance)
    unit = float(np.finfo(case.dtype).eps) / 2.0
    return compare(
        what, number, total, 4.0 * error + OPERATIONS * unit * size, repr(case), signal=size
    )


def grid(case: CoupledCase) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes of a and h under q(a, h|x), and their weights, (NODES, NODES)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    a = case.a_mean + np.exp(0.5 * case.a_log_variance) * nodes[:, None] + 0.0 * nodes[None, :]
    h = case.slope * a + np.exp(0.5 * case.h_log_variance) * nodes[None, :]
    return a, h, weights[:, None] * weights[None, :]


def log_normal(
    x: np.ndarray | np.float64, mean: np.ndarray | float, log_variance: float
) -> np.ndarray:
    """Log density of a Gaussian, written out."""
    quadratic = (x - mean) ** 2 / np.exp(log_variance)
    return -0.5 * (np.log(2.0 * np.pi) + log_variance + quadratic)


def square_sum(x: np.ndarray, mean: np.ndarray | float, log_variance: float) -> np.ndarray:
    """A bound of all that is added and subtracted in a log density."""
    return (np.abs(x) + np.abs(mean)) ** 2 / np.exp(log_variance) + np.abs(log_variance) + 2.0


def kl_a_given_h(ops: Ops, parameters: Named, inputs: Named) -> Named:
    """KL(q(a|x) || p(a|y,h)) at each h of ``inputs`` (M, 1), by the closed form: (M,)."""
    mean, log_variance, back, p_log_variance = (
        ops.expand_dims(parameters[f"phi.{name}"], 0)
        for name in ("a_mean", "a_log_variance", "back", "p_log_variance")
    )
    zeros = ops.zeros_like(inputs["h"])
    return {
        "KL": gaussian.kl_between(
            ops, mean + zeros, log_variance + zeros, back * inputs["h"], p_log_variance + zeros
        )
    }


def kl_h_given_a(ops: Ops, parameters: Named, inputs: Named) -> Named:
    """KL(q(h|x,a,y) || N(0, 1)) at each a of ``inputs`` (M, 1), by the closed form: (M,)."""
    slope, log_variance = (
        ops.expand_dims(parameters[f"phi.{name}"], 0) for name in ("slope", "h_log_variance")
    )
    zeros = ops.zeros_like(inputs["a"])
    return {"KL": gaussian.kl_to_standard(ops, slope * inputs["a"], log_variance + zeros)}


def auxiliary_in_closed_form(study: Study) -> list[Comparison]:
    """The closed form for a at a sampled h, averaged over h, against the integral over a and h."""
    case: CoupledCase = study.subject.case  # type: ignore[attr-defined]
    a, h, weights = grid(case)
    found = study.bench.values(kl_a_given_h, study.subject, {"h": h.reshape(-1, 1)})["KL"]
    terms = log_normal(a, case.a_mean, case.a_log_variance) - log_normal(
        a, case.back * h, case.p_log_variance
    )
    magnitude = (
        square_sum(a, case.a_mean, case.a_log_variance)
        + square_sum(a, case.back * h, case.p_log_variance)
        + np.exp(case.a_log_variance - case.p_log_variance)
    )
    what = "E[log q(a) - log p(a|h)]"
    return [_weighed(what, study, found.reshape(h.shape), terms, magnitude, weights)]


def latent_in_closed_form(study: Study) -> list[Comparison]:
    """The closed form for h given a, averaged over a, against the integral over a and h."""
    case: CoupledCase = study.subject.case  # type: ignore[attr-defined]
    a, h, weights = grid(case)
    found = study.bench.values(kl_h_given_a, study.subject, {"a": a.reshape(-1, 1)})["KL"]
    terms = log_normal(h, case.slope * a, case.h_log_variance) - log_normal(h, 0.0, 0.0)
    magnitude = (
        square_sum(h, case.slope * a, case.h_log_variance)
        + square_sum(h, 0.0, 0.0)
        + np.exp(case.h_log_variance)
    )
    what = "E[log q(h|a) - log p(h)]"
    return [_weighed(what, study, found.reshape(a.shape), terms, magnitude, weights)]


def _weighed(
    what: str,
    study: Study,
    found: np.ndarray,
    expected: np.ndarray,
    magnitude: np.ndarray,
    weights: np.ndarray,
) -> Comparison:
    """Compare two averages over the grid; ``magnitude`` bounds the terms that cancel in a node."""
    size = float((weights * magnitude).sum())
    unit = float(np.finfo(np.float64).eps) / 2.0
    return compare(
        what,
        float((weights * found).sum()),
        float((weights * expected).sum()),
        OPERATIONS * NODES * unit * size,
        study.name,
        signal=size,
    )


CHECKS = (
    Check(
        claim="kl.closed_form",
        variant="gaussian",
        statement="KL of q(h|x,y) to N(0, I), value and derivatives",
        expected=HOLDS,
        compare=closed_form,
        cases=gaussian_cases,
        typical=typical_gaussian,
        models=(),
        bound_reason=QUADRATURE,
    ),
    Check(
        claim="kl.closed_form",
        variant="seqdgm_a-a",
        statement="SeqDGM-A: KL of q(a|x) to p(a|y,h) at a sampled h, averaged over h",
        expected=REFUTED,
        compare=auxiliary_in_closed_form,
        cases=coupled_cases,
        typical=typical_coupled,
        models=(),
        bound_reason=QUADRATURE,
    ),
    Check(
        claim="kl.closed_form",
        variant="seqdgm_a-h",
        statement="SeqDGM-A: KL of q(h|x,a,y) to N(0, I), averaged over a",
        expected=HOLDS,
        compare=latent_in_closed_form,
        cases=coupled_cases,
        typical=typical_coupled,
        models=(),
        bound_reason=QUADRATURE,
    ),
)
