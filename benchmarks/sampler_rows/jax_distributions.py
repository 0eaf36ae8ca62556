"""Samplers of NumPyro and distrax."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .jax_random import Keys
from .row import Library, Row

#: Makes a distribution of a module, with JAX's arrays.
Make = Callable[[Any, Any], Any]

#: Classes whose parameters are the same, in this order, wherever they are.
COMMON: dict[str, Make] = {
    "Beta": lambda d, _: d.Beta(2.0, 3.0),
    "Gamma": lambda d, _: d.Gamma(2.5, 1.5),
    "Gumbel": lambda d, _: d.Gumbel(0.3, 1.2),
    "Independent": lambda d, a: d.Independent(d.Normal(a([0.3, -0.2]), a([1.0, 0.5])), 1),
    "Laplace": lambda d, _: d.Laplace(0.3, 1.2),
    "Logistic": lambda d, _: d.Logistic(0.3, 1.2),
    "Normal": lambda d, _: d.Normal(0.3, 1.2),
    "Uniform": lambda d, _: d.Uniform(-0.5, 1.5),
    "VonMises": lambda d, _: d.VonMises(0.3, 1.2),
    "Dirichlet": lambda d, a: d.Dirichlet(a([1.5, 2.0, 3.0])),
    "Bernoulli": lambda d, _: d.Bernoulli(probs=0.3),
    "Categorical": lambda d, a: d.Categorical(probs=a([0.2, 0.3, 0.5])),
    "Multinomial": lambda d, a: d.Multinomial(total_count=3, probs=a([0.2, 0.3, 0.5])),
}

#: Others of NumPyro.
OTHERS: dict[str, Make] = {
    "BetaBinomial": lambda d, _: d.BetaBinomial(
        concentration1=2.0, concentration0=3.0, total_count=3
    ),
    "Binomial": lambda d, _: d.Binomial(3, probs=0.3),
    "Cauchy": lambda d, _: d.Cauchy(0.2, 1.5),
    "Chi2": lambda d, _: d.Chi2(3.0),
    "DirichletMultinomial": lambda d, a: d.DirichletMultinomial(
        total_count=2, concentration=a([1.5, 2.0, 3.0])
    ),
    "Exponential": lambda d, _: d.Exponential(1.5),
    "Geometric": lambda d, _: d.Geometric(probs=0.6),
    "HalfNormal": lambda d, _: d.HalfNormal(1.2),
    "InverseGamma": lambda d, _: d.InverseGamma(5.0, 1.5),
    "Kumaraswamy": lambda d, _: d.Kumaraswamy(2.0, 3.0),
    "LogNormal": lambda d, _: d.LogNormal(0.3, 0.5),
    "MixtureSameFamily": lambda d, a: d.MixtureSameFamily(
        d.Categorical(probs=a([0.4, 0.6])), d.Normal(a([0.3, -0.2]), a([1.0, 0.5]))
    ),
    "OrderedLogistic": lambda d, a: d.OrderedLogistic(a([-0.5, 0.5]), 0.3),
    "Pareto": lambda d, _: d.Pareto(5.0, 1.0),
    "Poisson": lambda d, _: d.Poisson(1.3),
    "StudentT": lambda d, _: d.StudentT(5.0, 0.3, 1.2),
}

NUMPYRO: dict[str, Make] = {
    **COMMON,
    **OTHERS,
    "AsymmetricLaplace": lambda d, _: d.AsymmetricLaplace(0.3, 1.2, 0.8),
    "BetaProportion": lambda d, _: d.BetaProportion(0.4, 5.0),
    "Delta": lambda d, _: d.Delta(0.3),
    "DiscreteUniform": lambda d, _: d.DiscreteUniform(1, 4),
    "FoldedDistribution": lambda d, _: d.FoldedDistribution(d.Normal(0.3, 1.2)),
    "GammaPoisson": lambda d, _: d.GammaPoisson(2.5, 1.5),
    "GaussianRandomWalk": lambda d, _: d.GaussianRandomWalk(1.2, 2),
    "Gompertz": lambda d, _: d.Gompertz(1.2, 0.8),
    "HalfCauchy": lambda d, _: d.HalfCauchy(1.2),
    "LKJCholesky": lambda d, _: d.LKJCholesky(2, 1.5),
    "Levy": lambda d, _: d.Levy(0.3, 1.2),
    "LogUniform": lambda d, _: d.LogUniform(0.5, 1.5),
    "LowRankMultivariateNormal": lambda d, a: d.LowRankMultivariateNormal(
        a([0.3, -0.2]), a([[1.0], [0.5]]), a([0.5, 0.7])
    ),
    "MultivariateNormal": lambda d, a: d.MultivariateNormal(
        a([0.3, -0.2]), a([[1.0, 0.3], [0.3, 0.5]])
    ),
    "MultivariateStudentT": lambda d, a: d.MultivariateStudentT(
        5.0, a([0.3, -0.2]), a([[1.0, 0.0], [0.3, 0.5]])
    ),
    "NegativeBinomial2": lambda d, _: d.NegativeBinomial2(1.3, 2.0),
    "NegativeBinomialProbs": lambda d, _: d.NegativeBinomialProbs(2, 0.4),
    "OrderedLogistic": lambda d, a: d.OrderedLogistic(0.3, a([-0.5, 0.5])),
    "Pareto": lambda d, _: d.Pareto(1.0, 5.0),
    "ProjectedNormal": lambda d, a: d.ProjectedNormal(a([0.3, -0.2])),
    "RelaxedBernoulli": lambda d, _: d.RelaxedBernoulli(0.7, probs=0.3),
    "SoftLaplace": lambda d, _: d.SoftLaplace(0.3, 1.2),
    "TruncatedCauchy": lambda d, _: d.TruncatedCauchy(0.3, 1.2, low=0.0),
    "TruncatedNormal": lambda d, _: d.TruncatedNormal(0.3, 1.2, low=0.0),
    "TruncatedPolyaGamma": lambda d, _: d.TruncatedPolyaGamma(),
    "Weibull": lambda d, _: d.Weibull(1.2, 1.7),
    "Wishart": lambda d, a: d.Wishart(4.0, a([[1.0, 0.0], [0.0, 1.0]])),
    "ZeroInflatedPoisson": lambda d, _: d.ZeroInflatedPoisson(0.3, 1.3),
    "ZeroInflatedDistribution": lambda d, _: d.ZeroInflatedDistribution(d.Poisson(1.3), gate=0.3),
    "ZeroSumNormal": lambda d, _: d.ZeroSumNormal(1.2, (2,)),
}

DISTRAX: dict[str, Make] = {
    **{name: make for name, make in COMMON.items() if name not in ("Independent",)},
    "Categorical": lambda d, a: d.Categorical(probs=a([0.2, 0.3, 0.5])),
    "CategoricalUniform": lambda d, a: d.CategoricalUniform(
        low=a(0.0), high=a(1.0), logits=a([0.2, 0.3])
    ),
    "ClippedLogistic": lambda d, _: d.ClippedLogistic(0.3, 1.2, -1.0, 1.0),
    "ClippedNormal": lambda d, _: d.ClippedNormal(0.3, 1.2, -1.0, 1.0),
    "Deterministic": lambda d, a: d.Deterministic(a(0.3)),
    "EpsilonGreedy": lambda d, a: d.EpsilonGreedy(a([0.2, 0.3, 0.5]), 0.3),
    "Greedy": lambda d, a: d.Greedy(a([0.2, 0.3, 0.5])),
    "Independent": lambda d, a: d.Independent(d.Normal(a([0.3, -0.2]), a([1.0, 0.5])), 1),
    "LogStddevNormal": lambda d, a: d.LogStddevNormal(a(0.3), a(0.2)),
    "MixtureOfTwo": lambda d, _: d.MixtureOfTwo(0.4, d.Normal(0.3, 1.2), d.Normal(0.0, 1.0)),
    "MixtureSameFamily": lambda d, a: d.MixtureSameFamily(
        d.Categorical(probs=a([0.4, 0.6])), d.Normal(a([0.3, -0.2]), a([1.0, 0.5]))
    ),
    "MultivariateNormalDiag": lambda d, a: d.MultivariateNormalDiag(a([0.3, -0.2]), a([1.0, 0.5])),
    "MultivariateNormalTri": lambda d, a: d.MultivariateNormalTri(
        a([0.3, -0.2]), a([[1.0, 0.0], [0.3, 0.5]])
    ),
    "OneHotCategorical": lambda d, a: d.OneHotCategorical(probs=a([0.2, 0.3, 0.5])),
    "Quantized": lambda d, _: d.Quantized(d.Normal(0.3, 1.2), -1.0, 2.0),
    "Transformed": lambda d, _: d.Transformed(d.Normal(0.3, 1.2), d.Tanh()),
}


def _library(name: str, module: str, makes: dict[str, Make], keyword: str) -> Library:
    def rows() -> list[Row]:
        import jax.numpy as jnp

        there = importlib.import_module(module)

        def row(sampler: str, make: Make) -> Row:
            law = make(there, jnp.array)
            return Row(name, f"{sampler}.sample", lambda key: law.sample(**{keyword: key}))

        return [row(sampler, make) for sampler, make in sorted(makes.items())]

    return Library(name, (module,), rows, Keys)


LIBRARIES = (
    _library("numpyro.distributions", "numpyro.distributions", NUMPYRO, "key"),
    _library("distrax", "distrax", DISTRAX, "seed"),
)
