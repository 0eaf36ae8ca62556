"""Samplers of Pyro that are its own: others are those of torch.distributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .row import Library, Row
from .torch_distributions import samplers, seed


def own() -> dict[str, Callable[[Any], Any]]:
    """By the name of a class that PyTorch does not have: makes one with parameters."""
    import torch

    def t(*numbers: Any) -> Any:
        return torch.tensor(numbers[0] if len(numbers) == 1 else numbers, dtype=torch.float64)

    p3 = t(0.2, 0.3, 0.5)
    covariance = t([[1.0, 0.3], [0.3, 0.5]])
    return {
        "AVFMultivariateNormal": lambda d: d.AVFMultivariateNormal(
            t(0.3, -0.2),
            torch.linalg.cholesky(covariance),
            torch.zeros(2, 1, 2, dtype=torch.float64),
        ),
        "AffineBeta": lambda d: d.AffineBeta(t(2.0), t(3.0), t(0.5), t(1.5)),
        "AsymmetricLaplace": lambda d: d.AsymmetricLaplace(t(0.3), t(1.2), t(0.8)),
        "BetaBinomial": lambda d: d.BetaBinomial(t(2.0), t(3.0), 3),
        "Delta": lambda d: d.Delta(t(0.3)),
        "DirichletMultinomial": lambda d: d.DirichletMultinomial(t(1.5, 2.0, 3.0), 2),
        "Empirical": lambda d: d.Empirical(t(0.3, -0.2, 1.0), p3.log()),
        "ExtendedBetaBinomial": lambda d: d.ExtendedBetaBinomial(t(2.0), t(3.0), 3),
        "ExtendedBinomial": lambda d: d.ExtendedBinomial(3, t(0.3)),
        "FoldedDistribution": lambda d: d.FoldedDistribution(d.Normal(t(0.3), t(1.2))),
        "GammaPoisson": lambda d: d.GammaPoisson(t(2.5), t(1.5)),
        "InverseGamma": lambda d: d.InverseGamma(t(5.0), t(1.5)),
        "LKJ": lambda d: d.LKJ(2, t(1.5)),
        "Logistic": lambda d: d.Logistic(t(0.3), t(1.2)),
        "MaskedDistribution": lambda d: d.Normal(t(0.3), t(1.2)).mask(True),
        "MaskedMixture": lambda d: d.MaskedMixture(
            torch.tensor(True), d.Normal(t(0.3), t(1.2)), d.Normal(t(0.0), t(1.0))
        ),
        "MixtureOfDiagNormals": lambda d: d.MixtureOfDiagNormals(
            t([[0.3, -0.2], [0.0, 1.0]]), t([[1.0, 0.5], [0.5, 1.0]]), t(0.0, 0.3)
        ),
        "MixtureOfDiagNormalsSharedCovariance": (
            lambda d: d.MixtureOfDiagNormalsSharedCovariance(
                t([[0.3, -0.2], [0.0, 1.0]]), t(1.0, 0.5), t(0.0, 0.3)
            )
        ),
        "GaussianScaleMixture": lambda d: d.GaussianScaleMixture(
            t(1.0, 0.5), t(0.0, 0.3), t(0.5, 1.5)
        ),
        "MultivariateStudentT": lambda d: d.MultivariateStudentT(
            t(5.0), t(0.3, -0.2), torch.linalg.cholesky(covariance)
        ),
        "OMTMultivariateNormal": lambda d: d.OMTMultivariateNormal(
            t(0.3, -0.2), torch.linalg.cholesky(covariance)
        ),
        "OrderedLogistic": lambda d: d.OrderedLogistic(t(0.3), t(-0.5, 0.5)),
        "ProjectedNormal": lambda d: d.ProjectedNormal(t(0.3, -0.2)),
        "RelaxedBernoulliStraightThrough": lambda d: d.RelaxedBernoulliStraightThrough(
            t(0.7), t(0.3)
        ),
        "RelaxedOneHotCategoricalStraightThrough": (
            lambda d: d.RelaxedOneHotCategoricalStraightThrough(t(0.7), p3)
        ),
        "SineBivariateVonMises": lambda d: d.SineBivariateVonMises(
            t(0.3), t(0.2), t(1.2), t(0.8), t(0.1)
        ),
        "SkewLogistic": lambda d: d.SkewLogistic(t(0.3), t(1.2), t(0.8)),
        "SoftAsymmetricLaplace": lambda d: d.SoftAsymmetricLaplace(t(0.3), t(1.2), t(0.8)),
        "SoftLaplace": lambda d: d.SoftLaplace(t(0.3), t(1.2)),
        "Stable": lambda d: d.Stable(t(1.5), t(0.5)),
        "TruncatedPolyaGamma": lambda d: d.TruncatedPolyaGamma(t(0.0)),
        "ZeroInflatedDistribution": lambda d: d.ZeroInflatedDistribution(
            d.Poisson(t(1.3)), gate=t(0.3)
        ),
        "ZeroInflatedNegativeBinomial": lambda d: d.ZeroInflatedNegativeBinomial(
            t(2.0), probs=t(0.4), gate=t(0.3)
        ),
        "ZeroInflatedPoisson": lambda d: d.ZeroInflatedPoisson(t(1.3), gate=t(0.3)),
    }


def rows() -> list[Row]:
    """Of pyro.distributions."""
    import pyro.distributions as d

    return samplers("pyro.distributions", d, own())


LIBRARY = Library("pyro.distributions", ("pyro",), rows, seed)
