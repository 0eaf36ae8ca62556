"""Claim kl.closed_form, with quadrature as the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import integrate

from gradproof.derivations.registry import derivation
from gradproof.estimators.note.builds import build
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.note.value_bounds import unit_roundoff
from gradproof.reference_models import gaussian
from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model, every_label
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..cases import (
    CoupledCase,
    GaussianCase,
    coupled_cases,
    gaussian_cases,
    typical_coupled,
    typical_gaussian,
)
from ..check import Check, checks_of
from ..study import Study
from .partition import SEVERAL_PASSES, hold_latent

Named = Mapping[str, Array]

QUADRATURE = "the quadrature's own error estimate, and 64 roundings of the largest term"

#: Roundings in a closed form of one dimension; it has fewer than 20 operations.
OPERATIONS = 64

UNIT = unit_roundoff(np.dtype(np.float64))

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
    unit = unit_roundoff(np.dtype(case.dtype))
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
    x: np.ndarray | np.float64, mean: np.ndarray | float, log_variance: np.ndarray | float
) -> np.ndarray:
    """Log density of a Gaussian, written out."""
    quadratic = (x - mean) ** 2 / np.exp(log_variance)
    return -0.5 * (np.log(2.0 * np.pi) + log_variance + quadratic)


def square_sum(
    x: np.ndarray, mean: np.ndarray | float, log_variance: np.ndarray | float
) -> np.ndarray:
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
    return [
        _averaged(
            "E[log q(a) - log p(a|h)]",
            study,
            study.bench.values(kl_a_given_h, study.subject, {"h": h.reshape(-1, 1)})["KL"],
            ((a, case.a_mean, case.a_log_variance), (a, case.back * h, case.p_log_variance)),
            np.exp(case.a_log_variance - case.p_log_variance),
            weights,
        )
    ]


def latent_in_closed_form(study: Study) -> list[Comparison]:
    """The closed form for h given a, averaged over a, against the integral over a and h."""
    case: CoupledCase = study.subject.case  # type: ignore[attr-defined]
    a, h, weights = grid(case)
    return [
        _averaged(
            "E[log q(h|a) - log p(h)]",
            study,
            study.bench.values(kl_h_given_a, study.subject, {"a": a.reshape(-1, 1)})["KL"],
            ((h, case.slope * a, case.h_log_variance), (h, 0.0, 0.0)),
            np.exp(case.h_log_variance),
            weights,
        )
    ]


#: A Gaussian on the grid: where it is looked at, its mean and its log variance.
Gaussian = tuple[np.ndarray, np.ndarray | float, np.ndarray | float]


def _averaged(
    what: str,
    study: Study,
    closed: np.ndarray,
    densities: tuple[Gaussian, Gaussian],
    ratio: float,
    weights: np.ndarray,
) -> Comparison:
    """Average a closed form over the grid, and the log ratio of two densities.

    Args:
        ratio: of the two variances, which the closed form adds to what cancels in a node.
    """
    one, other = densities
    size = float((weights * (square_sum(*one) + square_sum(*other) + ratio)).sum())
    return compare(
        what,
        float((weights * closed.reshape(weights.shape)).sum()),
        float((weights * (log_normal(*one) - log_normal(*other))).sum()),
        OPERATIONS * NODES * UNIT * size,
        study.name,
        signal=size,
    )


#: What mean and log variance of q(h|..) are made by: to move these moves q(h|..), and nothing else.
OUTPUTS = ("phi.mean.", "phi.log_variance.")


def moved_posterior(study: Study) -> list[Comparison]:
    """Move q(h|..), and its noise so that h stays: L changes by the change of the divergence.

    What L has beside the divergence reads h, and not where h is from. Mean and spread of q(h|..)
    are read off the draws of h, so nothing is taken from the code that computes the divergence. A
    constant in the divergence cancels, as it does in every gradient.
    """
    before, rng = study.subject, study.rng()
    moved = {
        name: value + 0.1 * rng.standard_normal(value.shape) if name.startswith(OUTPUTS) else value
        for name, value in before.parameters.items()
    }
    after = before.replace(parameters=moved)
    changes = [change(study, before, after, label) for label in range(before.model.classes)]
    # An error in mean or spread, read off passes of their own, moves the divergence by its slope.
    steepest = max(one.slope for one in changes)
    bound = SEVERAL_PASSES * study.reference.value_bound() * (1.0 + steepest)
    bound += max(one.quadrature for one in changes)
    latent, loss, divergence = (
        np.array([getattr(one, side) for one in changes])
        for side in ("latent", "loss", "divergence")
    )
    return [
        compare("h held in place", latent[:, 1], latent[:, 0], bound, study.name),
        compare("change of L at one h", loss, divergence, bound, study.name),
    ]


class Change(NamedTuple):
    """What moving q(h|..) at one label changed.

    Shape:
        ``latent`` (2, N, Z), h before and after, which should be one; ``loss`` and ``divergence``
        (N,), their changes. ``slope`` bounds the derivative of the divergence by mean and spread,
        ``quadrature`` the rounding of the integrals.
    """

    latent: np.ndarray
    loss: np.ndarray
    divergence: np.ndarray
    slope: float
    quadrature: float


def change(study: Study, before: Subject, after: Subject, label: int) -> Change:
    """Of two subjects that differ in q(h|..), with noise for the second that gives the same h."""
    held = hold_latent(
        lambda subject: at_label(study, subject, label)["h"][0], before, after, "eps_h"
    )
    old, new = (at_label(study, subject, label) for subject in held.subjects)
    first, second = (integral(mean, spread) for mean, spread in held.moments)
    return Change(
        latent=np.concatenate([old["h"], new["h"]]),
        loss=(new["loss"] - old["loss"])[0],
        divergence=second.value - first.value,
        slope=max(first.slope, second.slope),
        quadrature=first.rounding + second.rounding,
    )


def at_label(study: Study, subject: Subject, label: int) -> dict[str, np.ndarray]:
    """``h`` (1, N, Z) and ``loss`` (1, N) with one label for all sentences."""
    labels = every_label(subject.batch.n, subject.model.classes)[[label]]
    return study.bench.values(build(h_and_loss, subject), subject, subject.inputs(labels))


def h_and_loss(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """The sampled h, and L."""
    return {
        "h": model.latents(ops, parameters, batch, inputs["draw"])["h"],
        "loss": model.loss(ops, parameters, batch, inputs["draw"]),
    }


class Integral(NamedTuple):
    """The divergence (N,) of N(mean, spread^2) from N(0, I) by quadrature.

    ``slope`` bounds its derivatives by mean and spread, ``rounding`` its error.
    """

    value: np.ndarray
    slope: float
    rounding: float


def integral(mean: np.ndarray, spread: np.ndarray) -> Integral:
    """E[log q(h) - log p(h)] over q, for mean and spread (N, Z)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    mean, log_variance = mean[..., None], 2.0 * np.log(np.abs(spread))[..., None]
    h = mean + spread[..., None] * nodes
    terms = log_normal(h, mean, log_variance) - log_normal(h, 0.0, 0.0)
    magnitude = square_sum(h, mean, log_variance) + square_sum(h, 0.0, 0.0)
    sizes = (weights * magnitude).sum(axis=(1, 2))
    slopes = (np.abs(mean[..., 0]) + np.abs(spread - 1.0 / spread)).sum(axis=1)
    return Integral(
        value=(weights * terms).sum(axis=(1, 2)),
        slope=float(slopes.max()),
        rounding=OPERATIONS * NODES * UNIT * float(sizes.max()),
    )


CLOSED = "64 roundings of the largest term, 12 times over where 12 nodes are averaged"


def kl_values(ops: Ops, parameters: Named, inputs: Named) -> Named:
    """KL from N(0, 1), and from another Gaussian, each (1,)."""
    mean, log_variance = (
        ops.expand_dims(parameters[f"phi.{name}"], 0) for name in ("mean", "log_variance")
    )
    return {
        "KL": gaussian.kl_to_standard(ops, mean, log_variance),
        "between": gaussian.kl_between(
            ops, mean, log_variance, inputs["other_mean"], inputs["other_log_variance"]
        ),
    }


def divergence(study: Study) -> list[Comparison]:
    """Both closed forms, and the derivatives of the first, against what is derived."""
    subject, derived = study.subject, derivation("kl.closed_form")
    dtype = subject.parameters["phi.mean"].dtype  # of a Gaussian, which is no subject of a model
    other_gaussian = {
        name: study.rng().standard_normal((1, 1)).astype(dtype)
        for name in ("other_mean", "other_log_variance")
    }
    values = study.bench.values(kl_values, subject, other_gaussian)
    gradient = study.bench.gradient(kl_h, subject, {})
    gaussian_64 = {
        name: subject.parameters[f"phi.{name}"].astype(np.float64)
        for name in ("mean", "log_variance")
    }
    wide = {name: value[0].astype(np.float64) for name, value in other_gaussian.items()}
    mean, log_variance = gaussian_64["mean"][0], gaussian_64["log_variance"][0]
    size = 1.0 + mean**2 + np.exp(log_variance) + abs(log_variance)
    shift, other_log = abs(mean) + abs(wide["other_mean"][0]), wide["other_log_variance"][0]
    wide_size = size + (np.exp(log_variance) + shift**2) * np.exp(-other_log) + abs(other_log)
    standard, between = (
        float(OPERATIONS * unit_roundoff(dtype) * most) for most in (size, wide_size)
    )
    by_mean, by_log_variance, to_another = (
        derived.further[name] for name in ("by_mean", "by_log_variance", "between")
    )
    slope_of_log_variance = by_log_variance(log_variance=gaussian_64["log_variance"])
    rows = (
        ("KL", values["KL"], derived.oracle(**gaussian_64), standard),
        ("dKL/dmean", gradient["phi.mean"], by_mean(mean=gaussian_64["mean"]), standard),
        ("dKL/dlog_variance", gradient["phi.log_variance"], slope_of_log_variance, standard),
        ("KL to another", values["between"], to_another(**gaussian_64, **wide), between),
    )
    return [compare(*row, study.name) for row in rows]


def log_ratio(ops: Ops, parameters: Named, inputs: Named) -> Named:
    """log q(a|x) - log p(a|y,h) at each a and h of ``inputs`` (M, 1): (M,)."""
    mean, log_variance, back, p_log_variance = (
        ops.expand_dims(parameters[f"phi.{name}"], 0)
        for name in ("a_mean", "a_log_variance", "back", "p_log_variance")
    )
    zeros = ops.zeros_like(inputs["a"])
    return {
        "ratio": gaussian.log_density(ops, inputs["a"], mean + zeros, log_variance + zeros)
        - gaussian.log_density(ops, inputs["a"], back * inputs["h"], p_log_variance + zeros)
    }


def coupled(study: Study) -> list[Comparison]:
    """Averages over a and h, of what a framework has at each, against what is derived."""
    case: CoupledCase = study.subject.case  # type: ignore[attr-defined]
    a, h, weights = grid(case)
    nodes = {"a": a.reshape(-1, 1), "h": h.reshape(-1, 1)}
    averages = {
        name: float((weights.ravel() * study.bench.values(of, study.subject, inputs)[key]).sum())
        for name, of, key, inputs in (
            ("auxiliary", log_ratio, "ratio", nodes),
            ("auxiliary_at_h", kl_a_given_h, "KL", {"h": nodes["h"]}),
            ("latent", kl_h_given_a, "KL", {"a": nodes["a"]}),
        )
    }
    averages["coupling"] = averages["auxiliary"] - averages["auxiliary_at_h"]
    of_a = square_sum(a, case.a_mean, case.a_log_variance)
    of_a += square_sum(a, case.back * h, case.p_log_variance)
    # In closed form the mean of a stands for a, and its variance beside: both are large where
    # p(a|..) is narrow.
    of_a += square_sum(np.full_like(h, case.a_mean), case.back * h, case.p_log_variance)
    of_a += np.exp(case.a_log_variance - case.p_log_variance)
    of_h = square_sum(h, case.slope * a, case.h_log_variance) + square_sum(h, 0.0, 0.0)
    of_h += np.exp(case.h_log_variance)
    sizes = dict.fromkeys(averages, float((weights * of_a).sum()))
    sizes["latent"] = float((weights * of_h).sum())
    comparisons = []
    for name, value in averages.items():
        oracle = derivation("kl.closed_form").further[name]
        expected = oracle(**{key: getattr(case, key) for key in oracle.arguments})
        bound = OPERATIONS * NODES * UNIT * sizes[name]
        comparisons.append(compare(name, value, expected, bound, study.name))
    return comparisons


NO_TEXT: dict[str, Any] = {
    "models": (),
    "limits": "an integral over one Gaussian: in-loss says that each model's L has this term",
}
_gaussian = checks_of("kl.closed_form", cases=gaussian_cases, typical=typical_gaussian, **NO_TEXT)
_coupled = checks_of("kl.closed_form", cases=coupled_cases, typical=typical_coupled, **NO_TEXT)

CHECKS = (
    Check(
        "kl.closed_form",
        "in-loss",
        "q(h|..) moved, h held: each model's L changes by the divergence, as integrated",
        HOLDS,
        moved_posterior,
        bound_reason="rounding: u 16R (1 + M) (1 + slope of the divergence), and of the quadrature",
    ),
    _gaussian(
        "gaussian",
        "KL of q(h|x,y) to N(0, I), value and derivatives",
        HOLDS,
        closed_form,
        bound_reason=QUADRATURE,
    ),
    _coupled(
        "seqdgm_a-a",
        "SeqDGM-A: KL of q(a|x) to p(a|y,h) at a sampled h, averaged over h",
        REFUTED,
        auxiliary_in_closed_form,
        bound_reason=QUADRATURE,
    ),
    _coupled(
        "seqdgm_a-h",
        "SeqDGM-A: KL of q(h|x,a,y) to N(0, I), averaged over a",
        HOLDS,
        latent_in_closed_form,
        bound_reason=QUADRATURE,
    ),
    _gaussian(
        "derived",
        "KL to N(0, I), its derivatives, and KL to another Gaussian are as derived",
        HOLDS,
        divergence,
        bound_reason=CLOSED,
    ),
    _coupled(
        "derived-coupled",
        "SeqDGM-A: averages over a and h, and what couples the two, are as derived",
        HOLDS,
        coupled,
        bound_reason=CLOSED,
    ),
)
