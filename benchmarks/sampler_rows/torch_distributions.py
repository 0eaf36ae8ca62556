"""Samplers of torch.distributions, with parameters for each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .row import Library, Row


def arguments() -> dict[str, Callable[[Any], Any]]:
    """By the name of a class: makes one with parameters, of a module that has it."""
    import torch

    def t(*numbers: Any) -> Any:
        return torch.tensor(numbers[0] if len(numbers) == 1 else numbers, dtype=torch.float64)

    p3, eye = t(0.2, 0.3, 0.5), torch.eye(2, dtype=torch.float64)
    covariance = t([[1.0, 0.3], [0.3, 0.5]])
    import torch.distributions as td

    return {
        "Bernoulli": lambda d: d.Bernoulli(t(0.3)),
        "Beta": lambda d: d.Beta(t(2.0), t(3.0)),
        "Binomial": lambda d: d.Binomial(3, t(0.3)),
        "Categorical": lambda d: d.Categorical(p3),
        "Cauchy": lambda d: d.Cauchy(t(0.2), t(1.5)),
        "Chi2": lambda d: d.Chi2(t(3.0)),
        "ContinuousBernoulli": lambda d: d.ContinuousBernoulli(t(0.3)),
        "Dirichlet": lambda d: d.Dirichlet(t(1.5, 2.0, 3.0)),
        "Exponential": lambda d: d.Exponential(t(1.5)),
        "FisherSnedecor": lambda d: d.FisherSnedecor(t(4.0), t(12.0)),
        "Gamma": lambda d: d.Gamma(t(2.5), t(1.5)),
        "GeneralizedPareto": lambda d: d.GeneralizedPareto(t(0.5), t(1.5), t(0.1)),
        "Geometric": lambda d: d.Geometric(t(0.6)),
        "Gumbel": lambda d: d.Gumbel(t(0.3), t(1.2)),
        "HalfCauchy": lambda d: d.HalfCauchy(t(1.2)),
        "HalfNormal": lambda d: d.HalfNormal(t(1.2)),
        "Independent": lambda d: d.Independent(d.Normal(t(0.3, -0.2), t(1.0, 0.5)), 1),
        "InverseGamma": lambda d: d.InverseGamma(t(5.0), t(1.5)),
        "Kumaraswamy": lambda d: d.Kumaraswamy(t(2.0), t(3.0)),
        "LKJCholesky": lambda d: d.LKJCholesky(2, t(1.5)),
        "Laplace": lambda d: d.Laplace(t(0.3), t(1.2)),
        "LogNormal": lambda d: d.LogNormal(t(0.3), t(0.5)),
        "LogisticNormal": lambda d: d.LogisticNormal(t(0.3, -0.2), t(1.0, 0.5)),
        "LowRankMultivariateNormal": lambda d: d.LowRankMultivariateNormal(
            t(0.3, -0.2), t([[1.0], [0.5]]), t(0.5, 0.7)
        ),
        "MixtureSameFamily": lambda d: d.MixtureSameFamily(
            d.Categorical(t(0.4, 0.6)), d.Normal(t(0.3, -0.2), t(1.0, 0.5))
        ),
        "Multinomial": lambda d: d.Multinomial(3, p3),
        "MultivariateNormal": lambda d: d.MultivariateNormal(t(0.3, -0.2), covariance),
        "NegativeBinomial": lambda d: d.NegativeBinomial(t(2.0), t(0.4)),
        "Normal": lambda d: d.Normal(t(0.3), t(1.2)),
        "OneHotCategorical": lambda d: d.OneHotCategorical(p3),
        "OneHotCategoricalStraightThrough": lambda d: d.OneHotCategoricalStraightThrough(p3),
        "Pareto": lambda d: d.Pareto(t(1.0), t(5.0)),
        "RelaxedBernoulli": lambda d: d.RelaxedBernoulli(t(0.7), t(0.3)),
        "RelaxedOneHotCategorical": lambda d: d.RelaxedOneHotCategorical(t(0.7), p3),
        "StudentT": lambda d: d.StudentT(t(5.0), t(0.3), t(1.2)),
        "Poisson": lambda d: d.Poisson(t(1.3)),
        "Uniform": lambda d: d.Uniform(t(-0.5), t(1.5)),
        "VonMises": lambda d: d.VonMises(t(0.3), t(1.2)),
        "Weibull": lambda d: d.Weibull(t(1.2), t(1.7)),
        "Wishart": lambda d: d.Wishart(t(4.0), eye),
        "TransformedDistribution": lambda d: d.TransformedDistribution(
            d.Normal(t(0.3), t(0.5)), [td.ExpTransform()]
        ),
    }


def mean_of(law: Any) -> Any:
    """By the distribution's own formula; None where it has none, or one that is not finite."""
    import torch

    try:
        mean = law.mean
    except (NotImplementedError, AttributeError):
        return None
    return mean.numpy() if torch.isfinite(mean).all() else None


def samplers(library: str, module: Any, makes: dict[str, Callable[[Any], Any]]) -> list[Row]:
    """``sample`` of each class, and ``rsample`` of those that have it."""
    rows = []
    for name, make in makes.items():
        law = make(module)
        rows.append(Row(library, f"{name}.sample", lambda _, law=law: law.sample(), mean_of(law)))
        if law.has_rsample:
            draw = lambda _, law=law: law.rsample()  # noqa: E731
            rows.append(Row(library, f"{name}.rsample", draw, mean_of(law)))
    return rows


def rows() -> list[Row]:
    """Of torch.distributions."""
    import torch

    return samplers("torch.distributions", torch.distributions, arguments())


def seed(number: int) -> None:
    """PyTorch's own generator."""
    import torch

    torch.manual_seed(number)


LIBRARY = Library("torch.distributions", ("torch",), rows, seed)
