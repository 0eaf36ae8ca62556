# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Divergences of Gaussians: planted errors, and the formulas against quadrature."""

import numpy as np
import pytest
import sympy as sp

from gradproof.derivations.kernel.derivation import REFUTED
from gradproof.derivations.kl_closed_form import BETWEEN, COUPLING, STANDARD, TRUE, mu, sigma, v
from gradproof.derivations.registry import derivation

#: Gauss-Hermite quadrature for a standard normal, exact for polynomials of degree 23.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(12)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
#: Roundings of a few hundred terms by their weights, which add up to 3 at most.
CLOSE = {"rtol": 1e-14, "atol": 1e-14}
COUPLED = {
    "a_mean": 0.4,
    "a_log_variance": -0.3,
    "slope": 0.9,
    "h_log_variance": -0.7,
    "back": 0.6,
    "p_log_variance": 0.2,
}


def log_normal(x, mean, log_variance):
    """Log density of a Gaussian."""
    return -0.5 * (np.log(2 * np.pi) + log_variance + (x - mean) ** 2 / np.exp(log_variance))


def over_a_and_h(function):
    """The mean of a function of a and h, both drawn as in SeqDGM-A."""
    a = COUPLED["a_mean"] + np.exp(COUPLED["a_log_variance"] / 2) * NODES[:, None]
    h = COUPLED["slope"] * a + np.exp(COUPLED["h_log_variance"] / 2) * NODES
    return np.sum(WEIGHTS[:, None] * WEIGHTS * function(a, h))


def formula(name, **values):
    """A formula that the derivation has beside its oracle."""
    oracle = derivation("kl.closed_form").further[name]
    return oracle(**{key: values[key] for key in oracle.arguments})


def test_the_verdict():
    """The closed form for a at a sampled h is refuted, and all else proved."""
    assert derivation("kl.closed_form").verdict == REFUTED


@pytest.mark.parametrize(
    ("title", "number", "changes"),
    [
        ("of any Gaussian: the second moment", 1, {"after": sigma**2}),
        ("of any Gaussian: the integral", 1, {"after": sp.Integer(2)}),
        ("the divergence of a Gaussian from another", -1, {"after": BETWEEN + sp.Rational(1, 2)}),
        ("the divergence of a Gaussian from another", 2, {"rule": "mean"}),
        (
            "the divergence from N(0, 1): the last line with ν = 0 and τ = 1",
            0,
            {"after": STANDARD + v},
        ),
        ("its derivative by the mean", 2, {"after": mu / 2}),
        ("its derivative by the log variance", 2, {"after": sp.exp(v) / 2}),
        ("the two differ by a term that couples a and h", 1, {"after": -COUPLING}),
        ("the last line averaged over a", 3, {"after": TRUE + COUPLING}),
    ],
)
def test_a_planted_error_is_found(planted, title, number, changes):
    """A moment, a half, a sign, a wrong rule."""
    planted("kl.closed_form", title, number, **changes)


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.3, -0.8), (-2.0, 1.1)])
def test_the_divergence_by_quadrature(mean, log_variance):
    """From N(0, 1), and its derivatives by the score of the density."""
    spread = np.exp(log_variance / 2)
    h = mean + spread * NODES
    term = log_normal(h, mean, log_variance) - log_normal(h, 0.0, 0.0)
    found = derivation("kl.closed_form").oracle(mean=mean, log_variance=log_variance)
    np.testing.assert_allclose(found, np.sum(WEIGHTS * term), **CLOSE)
    by_mean = np.sum(WEIGHTS * term * NODES / spread)
    np.testing.assert_allclose(formula("by_mean", mean=mean), by_mean, **CLOSE)
    by_log_variance = np.sum(WEIGHTS * term * (NODES**2 - 1) / 2)
    found = formula("by_log_variance", log_variance=log_variance)
    np.testing.assert_allclose(found, by_log_variance, **CLOSE)


def test_two_gaussians_by_quadrature():
    """One from another, for arrays."""
    mean, log_variance = np.array([0.2, -1.0]), np.array([0.5, -0.4])
    other = {"other_mean": 0.7, "other_log_variance": -0.2}
    h = mean[:, None] + np.exp(log_variance / 2)[:, None] * NODES
    term = log_normal(h, mean[:, None], log_variance[:, None]) - log_normal(h, 0.7, -0.2)
    found = formula("between", mean=mean, log_variance=log_variance, **other)
    np.testing.assert_allclose(found, term @ WEIGHTS, **CLOSE)


def test_a_and_h_by_quadrature():
    """What is true of both, what the formula at h says, and the term between them."""

    def at_both(a, h):
        prior = log_normal(a, COUPLED["back"] * h, COUPLED["p_log_variance"])
        return log_normal(a, COUPLED["a_mean"], COUPLED["a_log_variance"]) - prior

    def at_h(a, h):
        return formula(
            "between",
            mean=COUPLED["a_mean"],
            log_variance=COUPLED["a_log_variance"],
            other_mean=COUPLED["back"] * h,
            other_log_variance=COUPLED["p_log_variance"],
        )

    true, closed = over_a_and_h(at_both), over_a_and_h(at_h)
    np.testing.assert_allclose(formula("auxiliary", **COUPLED), true, **CLOSE)
    np.testing.assert_allclose(formula("auxiliary_at_h", **COUPLED), closed, **CLOSE)
    np.testing.assert_allclose(formula("coupling", **COUPLED), true - closed, **CLOSE)
    assert abs(true - closed) > 0.1  # far above rounding: there is something to be told apart


def test_h_given_a_by_quadrature():
    """Its divergence from N(0, 1), averaged over a."""

    def latent(a, h):
        mean, log_variance = COUPLED["slope"] * a, COUPLED["h_log_variance"]
        return log_normal(h, mean, log_variance) - log_normal(h, 0.0, 0.0)

    np.testing.assert_allclose(formula("latent", **COUPLED), over_a_and_h(latent), **CLOSE)
