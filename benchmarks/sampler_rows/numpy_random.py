"""Samplers of NumPy's generators, of its functions and of Python's random."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from .row import Library, Row

P3 = [0.2, 0.3, 0.5]
COVARIANCE = [[1.0, 0.3], [0.3, 0.5]]

#: Methods that both generators and the functions have: the call, and the mean.
BOTH: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "beta": (lambda r: r.beta(2.0, 3.0), 0.4),
    "binomial": (lambda r: r.binomial(3, 0.3), 0.9),
    "bytes": (lambda r: np.frombuffer(r.bytes(1), np.uint8), [127.5]),
    "chisquare": (lambda r: r.chisquare(3.0), 3.0),
    "choice": (lambda r: r.choice(3, p=P3), 1.3),
    "dirichlet": (lambda r: r.dirichlet([1.0, 2.0, 2.0]), [0.2, 0.4, 0.4]),
    "exponential": (lambda r: r.exponential(0.5), 0.5),
    "f": (lambda r: r.f(4.0, 12.0), 1.2),
    "gamma": (lambda r: r.gamma(2.5, 2.0), 5.0),
    "geometric": (lambda r: r.geometric(0.5), 2.0),
    "gumbel": (lambda r: r.gumbel(0.3, 1.2), 0.3 + 1.2 * np.euler_gamma),
    "hypergeometric": (lambda r: r.hypergeometric(3, 2, 2), 1.2),
    "laplace": (lambda r: r.laplace(0.3, 1.2), 0.3),
    "logistic": (lambda r: r.logistic(0.3, 1.2), 0.3),
    "lognormal": (lambda r: r.lognormal(0.3, 0.5), np.exp(0.3 + 0.125)),
    "logseries": (lambda r: r.logseries(0.5), 1.0 / np.log(2.0)),
    "multinomial": (lambda r: r.multinomial(3, P3), [0.6, 0.9, 1.5]),
    "multivariate_normal": (lambda r: r.multivariate_normal([0.3, -0.2], COVARIANCE), [0.3, -0.2]),
    "negative_binomial": (lambda r: r.negative_binomial(2, 0.6), 2 * 0.4 / 0.6),
    "noncentral_chisquare": (lambda r: r.noncentral_chisquare(3.0, 1.0), 4.0),
    "noncentral_f": (lambda r: r.noncentral_f(4.0, 12.0, 1.0), 1.5),
    "normal": (lambda r: r.normal(0.3, 1.2), 0.3),
    "pareto": (lambda r: r.pareto(5.0), 0.25),
    "permutation": (lambda r: r.permutation(3), [1.0] * 3),
    "poisson": (lambda r: r.poisson(1.3), 1.3),
    "power": (lambda r: r.power(2.0), 2.0 / 3.0),
    "random": (lambda r: r.random(), 0.5),
    "rayleigh": (lambda r: r.rayleigh(1.2), 1.2 * np.sqrt(np.pi / 2.0)),
    "shuffle": (lambda r: _shuffled(r), [1.0] * 3),
    "standard_cauchy": (lambda r: r.standard_cauchy(), None),
    "standard_exponential": (lambda r: r.standard_exponential(), 1.0),
    "standard_gamma": (lambda r: r.standard_gamma(2.5), 2.5),
    "standard_normal": (lambda r: r.standard_normal(), 0.0),
    "standard_t": (lambda r: r.standard_t(5.0), 0.0),
    "triangular": (lambda r: r.triangular(0.0, 0.5, 1.0), 0.5),
    "uniform": (lambda r: r.uniform(-1.0, 2.0), 0.5),
    "vonmises": (lambda r: r.vonmises(0.3, 1.2), None),
    "wald": (lambda r: r.wald(1.2, 2.0), 1.2),
    "weibull": (lambda r: r.weibull(2.0), np.sqrt(np.pi) / 2.0),
    "zipf": (lambda r: r.zipf(5.0), None),
}

OF_GENERATOR: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "integers": (lambda r: r.integers(1, 5), 2.5),
    "multivariate_hypergeometric": (lambda r: r.multivariate_hypergeometric([2, 1, 2], 2), None),
    "permuted": (lambda r: r.permuted([0, 1, 2]), [1.0] * 3),
    "choice(replace=False)": (lambda r: r.choice(3, 2, replace=False, p=P3), None),
}

OF_STATE: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "rand": (lambda r: r.rand(2), [0.5, 0.5]),
    "randint": (lambda r: r.randint(1, 5), 2.5),
    "randn": (lambda r: r.randn(2), [0.0, 0.0]),
    "random_integers": (lambda r: r.random_integers(1, 4), 2.5),
    "random_sample": (lambda r: r.random_sample(), 0.5),
    "tomaxint": (lambda r: r.tomaxint(), None),
}

OF_FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "ranf": (lambda r: r.ranf(), 0.5),
    "sample": (lambda r: r.sample(), 0.5),
}

OF_PYTHON: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "betavariate": (lambda r: r.betavariate(2.0, 3.0), 0.4),
    "binomialvariate": (lambda r: r.binomialvariate(3, 0.3), 0.9),
    "choice": (lambda r: r.choice([1, 2, 4]), 7.0 / 3.0),
    "choices": (lambda r: r.choices([1, 2, 4], P3, k=2), [2.8, 2.8]),
    "expovariate": (lambda r: r.expovariate(2.0), 0.5),
    "gammavariate": (lambda r: r.gammavariate(2.5, 2.0), 5.0),
    "gauss": (lambda r: r.gauss(0.3, 1.2), 0.3),
    "getrandbits": (lambda r: r.getrandbits(2), 1.5),
    "lognormvariate": (lambda r: r.lognormvariate(0.3, 0.5), np.exp(0.3 + 0.125)),
    "normalvariate": (lambda r: r.normalvariate(0.3, 1.2), 0.3),
    "paretovariate": (lambda r: r.paretovariate(5.0), 1.25),
    "randbytes": (lambda r: r.randbytes(1)[0], 127.5),
    "randint": (lambda r: r.randint(1, 4), 2.5),
    "random": (lambda r: r.random(), 0.5),
    "randrange": (lambda r: r.randrange(1, 5), 2.5),
    "sample": (lambda r: r.sample(range(3), 2), [1.0, 1.0]),
    "shuffle": (lambda r: _shuffled(r), [1.0] * 3),
    "triangular": (lambda r: r.triangular(0.0, 1.0, 0.5), 0.5),
    "uniform": (lambda r: r.uniform(-1.0, 2.0), 0.5),
    "vonmisesvariate": (lambda r: r.vonmisesvariate(0.3, 1.2), None),
    "weibullvariate": (lambda r: r.weibullvariate(1.0, 2.0), np.sqrt(np.pi) / 2.0),
}


def _shuffled(source: Any) -> list[int]:
    values = [0, 1, 2]
    source.shuffle(values)
    return values


def _functions(seed: int) -> Any:
    np.random.seed(seed)  # noqa: NPY002  (its functions are what is tried)
    return np.random


def _python(seed: int) -> Any:
    random.seed(seed)
    return random


def _library(
    name: str,
    source: Callable[[int], Any],
    *tables: dict[str, tuple[Callable[[Any], Any], Any]],
) -> Library:
    def rows() -> list[Row]:
        has = source(0)
        calls = {sampler: call for table in tables for sampler, call in table.items()}
        return [
            Row(name, sampler, *call)
            for sampler, call in calls.items()
            if hasattr(has, sampler.partition("(")[0])
        ]

    return Library(name, (), rows, source)


LIBRARIES = (
    _library("numpy.random.Generator", np.random.default_rng, BOTH, OF_GENERATOR),
    _library("numpy.random.RandomState", np.random.RandomState, BOTH, OF_STATE),
    _library("numpy.random", _functions, BOTH, OF_STATE, OF_FUNCTIONS),
    _library("random", _python, OF_PYTHON),
)
