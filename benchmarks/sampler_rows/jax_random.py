"""Samplers of jax.random."""

from __future__ import annotations

from typing import Any

import numpy as np

from .row import Library, Row


def rows() -> list[Row]:
    """By a key."""
    import jax
    import jax.numpy as jnp

    r = jax.random
    p3 = jnp.array([0.2, 0.3, 0.5])
    covariance = jnp.array([[1.0, 0.3], [0.3, 0.5]])
    draws: dict[str, tuple[Any, Any]] = {
        "ball": (lambda k: r.ball(k, 2), None),
        "bernoulli": (lambda k: r.bernoulli(k, 0.3), 0.3),
        "beta": (lambda k: r.beta(k, 2.0, 3.0), 0.4),
        "binomial": (lambda k: r.binomial(k, 3, 0.3), 0.9),
        "bits": (lambda k: r.bits(k), None),
        "categorical": (lambda k: r.categorical(k, jnp.log(p3)), 1.3),
        "cauchy": (lambda k: r.cauchy(k), None),
        "chisquare": (lambda k: r.chisquare(k, 3.0), 3.0),
        "choice": (lambda k: r.choice(k, 3, p=p3), 1.3),
        "choice(replace=False)": (lambda k: r.choice(k, 3, (2,), replace=False, p=p3), None),
        "dirichlet": (lambda k: r.dirichlet(k, jnp.array([1.0, 2.0, 2.0])), [0.2, 0.4, 0.4]),
        "double_sided_maxwell": (lambda k: r.double_sided_maxwell(k, 0.3, 1.2), None),
        "exponential": (lambda k: r.exponential(k), 1.0),
        "f": (lambda k: r.f(k, 4.0, 12.0), 1.2),
        "gamma": (lambda k: r.gamma(k, 2.5), 2.5),
        "generalized_normal": (lambda k: r.generalized_normal(k, 1.5), None),
        "geometric": (lambda k: r.geometric(k, 0.5), 2.0),
        "gumbel": (lambda k: r.gumbel(k), None),
        "laplace": (lambda k: r.laplace(k), 0.0),
        "loggamma": (lambda k: r.loggamma(k, 2.5), None),
        "logistic": (lambda k: r.logistic(k), 0.0),
        "lognormal": (lambda k: r.lognormal(k, 0.5), None),
        "maxwell": (lambda k: r.maxwell(k), None),
        "multinomial": (lambda k: r.multinomial(k, 3, p3), [0.6, 0.9, 1.5]),
        "multivariate_normal": (
            lambda k: r.multivariate_normal(k, jnp.array([0.3, -0.2]), covariance),
            [0.3, -0.2],
        ),
        "normal": (lambda k: r.normal(k), 0.0),
        "orthogonal": (lambda k: r.orthogonal(k, 2), None),
        "pareto": (lambda k: r.pareto(k, 5.0), 1.25),
        "permutation": (lambda k: r.permutation(k, 3), [1.0] * 3),
        "poisson": (lambda k: r.poisson(k, 1.3), 1.3),
        "rademacher": (lambda k: r.rademacher(k), 0.0),
        "randint": (lambda k: r.randint(k, (), 1, 5), 2.5),
        "rayleigh": (lambda k: r.rayleigh(k, 1.2), None),
        "t": (lambda k: r.t(k, 5.0), 0.0),
        "triangular": (lambda k: r.triangular(k, 0.0, 0.5, 1.0), 0.5),
        "truncated_normal": (lambda k: r.truncated_normal(k, -1.0, 1.0), 0.0),
        "uniform": (lambda k: r.uniform(k), 0.5),
        "wald": (lambda k: r.wald(k, 1.2), 1.2),
        "weibull_min": (lambda k: r.weibull_min(k, 1.0, 2.0), None),
    }
    return [Row("jax.random", name, *call) for name, call in draws.items()]


class Keys:
    """A key for each draw."""

    def __init__(self, seed: int) -> None:
        import jax

        self._jax, self._key, self._count = jax, jax.random.key(seed), 0

    def next(self) -> Any:
        """Another one, each time."""
        self._count += 1
        return self._jax.random.fold_in(self._key, self._count)

    def draw_many(self, draw: Any, count: int) -> Any:
        """By as many keys at once, (count, *shape)."""
        keys = self._jax.random.split(self._key, count)
        return np.asarray(self._jax.jit(self._jax.vmap(draw))(keys), np.float64)


LIBRARY = Library("jax.random", ("jax",), rows, Keys)
