"""NumPy's and Python's draws whose laws have no comparisons here: they are nodes of rules at once.

So they are an unsupported draw where numbers are not integrated. What is made of them is plain
numbers, whose laws are those that NumPy draws by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from scipy import special

from ..integration.laws import ContinuousLaw, beta_law, gamma_law, law_of_chain
from ..monotone import CAUCHY, NORMAL
from ..outcomes import EPS
from ..run import Run, UnsupportedDraw
from .framework import unsupported_message

#: How far a covariance may be from positive: NumPy's own default.
PSD = 1e-8


def take_each(
    run: Run, what: str, law: Callable[..., ContinuousLaw], *parameters: np.ndarray
) -> np.ndarray:
    """A number of each law.

    Args:
        law: by parameters, which are numbers.
        parameters: arrays of one shape.

    Shape: as of the parameters.

    Raises:
        ValueError: for a negative parameter, as NumPy does.
        UnsupportedDraw: for numbers that are not integrated, and parameters that leave no law.
    """
    quadrature = run.quadrature
    if quadrature is None:
        raise UnsupportedDraw(f"{unsupported_message(what)}; integrate it (integrate=1e-6)")
    for each in parameters:
        if (each < 0.0).any():
            raise ValueError(f"{what}: a parameter is {each.min()}, expected no negative one")
        if not (np.isfinite(each) & (each > 0.0)).all():
            raise UnsupportedDraw(
                f"{what} draws by {each.tolist()!r:.60}, expected finite numbers above zero"
            )
    found = np.empty(parameters[0].shape)
    for at in np.ndindex(found.shape):
        one = law(*(float(each[at]) for each in parameters))
        found[at] = quadrature.take(run, what, one, EPS)
    return found


def take_normal(run: Run, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers."""
    return take_each(run, what, lambda _: law_of_chain((NORMAL,)), np.ones(shape))


def triangular_law(mode: float) -> ContinuousLaw:
    """A number between 0 and 1, most often where the mode is."""

    def quantile(share: np.ndarray) -> np.ndarray:
        return np.where(
            share < mode,
            np.sqrt(mode * share),
            1.0 - np.sqrt((1.0 - mode) * (1.0 - share)),
        )

    return ContinuousLaw(("triangular", mode), quantile)


def take_triangular(run: Run, what: str, *ends: np.ndarray) -> np.ndarray:
    """Numbers between two ends, most often where the mode is.

    Args:
        ends: left, mode and right, of one shape.

    Raises:
        ValueError: for ends in another order.
    """
    left, mode, right = ends
    if not ((left <= mode) & (mode <= right) & (left < right)).all():
        raise ValueError(f"{what}: expected left <= mode <= right, and left < right")
    share = (mode - left) / (right - left)
    # Of what lies between 0 and 1, where the mode may be at an end.
    standard = take_each(run, what, lambda at: triangular_law(at - 1.0), 1.0 + share)
    return left + (right - left) * standard


def _t_law(df: float) -> ContinuousLaw:
    return ContinuousLaw(("t", df), lambda share: np.asarray(special.stdtrit(df, share)))


def _f_law(above: float, below: float) -> ContinuousLaw:
    return ContinuousLaw(
        ("F", above, below), lambda share: np.asarray(special.fdtri(above, below, share))
    )


class IntegratedDraws:
    """One generator in a run, as far as it draws what can be integrated alone."""

    __slots__ = ()
    _run: Run
    _kind: ClassVar[type]

    def _begin(self, name: str) -> str:
        raise NotImplementedError

    def _take(
        self, name: str, law: Callable[..., ContinuousLaw], parameters: tuple[Any, ...], size: Any
    ) -> Any:
        return self._take_named(self._begin(name), law, parameters, size)

    def _take_named(
        self, what: str, law: Callable[..., ContinuousLaw], parameters: tuple[Any, ...], size: Any
    ) -> Any:
        return take_each(self._run, what, law, *_spread(parameters, size))

    def standard_gamma(
        self, shape: Any, size: Any = None, dtype: Any = np.float64, out: Any = None
    ) -> Any:
        """Gamma numbers of scale one."""
        what = self._begin("standard_gamma")
        if out is not None:
            raise UnsupportedDraw(f"{what}(out=...) writes to an array; leave out= out")
        return _like_numpy(self._take_named(what, gamma_law, (shape,), size).astype(dtype), size)

    def gamma(self, shape: Any, scale: Any = 1.0, size: Any = None) -> Any:
        """Gamma numbers."""
        shapes, scales = _spread((shape, scale), size)
        return _like_numpy(scales * self._take("gamma", gamma_law, (shapes,), None), size)

    def chisquare(self, df: Any, size: Any = None) -> Any:
        """Sums of squares of so many normal numbers."""
        (dfs,) = _spread((df,), size)
        return _like_numpy(2.0 * self._take("chisquare", gamma_law, (0.5 * dfs,), None), size)

    def f(self, dfnum: Any, dfden: Any, size: Any = None) -> Any:
        """Ratios of two mean squares."""
        return _like_numpy(self._take("f", _f_law, (dfnum, dfden), size), size)

    def standard_t(self, df: Any, size: Any = None) -> Any:
        """Normal numbers by roots of mean squares."""
        return _like_numpy(self._take("standard_t", _t_law, (df,), size), size)

    def standard_cauchy(self, size: Any = None) -> Any:
        """Ratios of two normal numbers."""
        found = self._take("standard_cauchy", lambda _: law_of_chain((CAUCHY,)), (1.0,), size)
        return _like_numpy(found, size)

    def beta(self, a: Any, b: Any, size: Any = None) -> Any:
        """Numbers between 0 and 1."""
        return _like_numpy(self._take("beta", beta_law, (a, b), size), size)

    def dirichlet(self, alpha: Any, size: Any = None) -> Any:
        """Numbers that add up to one along the last axis."""
        what, shapes = self._begin("dirichlet"), np.array(alpha, np.float64)
        if shapes.ndim != 1 or not len(shapes):
            raise ValueError(f"{what}: alpha has shape {shapes.shape}, expected (K,)")
        batch = _shape(size)
        left, parts = np.ones(batch), []
        for place, one in enumerate(shapes[:-1]):
            rest = shapes[place + 1 :].sum()
            part = self._take_named(what, beta_law, (one, rest), batch)
            parts.append(left * part)
            left = left * (1.0 - part)
        return np.stack([*parts, left], axis=-1)

    def triangular(self, left: Any, mode: Any, right: Any, size: Any = None) -> Any:
        """Numbers between two ends, most often where the mode is."""
        what = self._begin("triangular")
        ends = _spread((left, mode, right), size)
        return _like_numpy(take_triangular(self._run, what, *ends), size)

    def multivariate_normal(
        self, mean: Any, cov: Any, size: Any = None, check_valid: str = "warn", tol: float = PSD,
        *, method: str = "svd",
    ) -> Any:  # fmt: skip
        """Normal numbers of a mean and a covariance."""
        what = self._begin("multivariate_normal")
        center, cov = np.array(mean, np.float64), np.array(cov, np.float64)
        if center.ndim != 1 or cov.shape != (len(center), len(center)):
            raise ValueError(f"{what}: mean {center.shape}, cov {cov.shape}, expected (D,), (D, D)")
        values, vectors = np.linalg.eigh(cov)
        if not np.allclose(cov, cov.T) or not (values >= -tol * np.abs(values).max()).all():
            raise UnsupportedDraw(f"{what} draws by a covariance that is not positive, {cov}")
        # The law is the same by any factor, and so by any method.
        factor = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = take_normal(self._run, what, (*_shape(size), len(center)))
        return center + normal @ factor.T


def _shape(size: Any) -> tuple[int, ...]:
    return () if size is None else tuple(int(each) for each in np.atleast_1d(size))


def _spread(parameters: tuple[Any, ...], size: Any) -> list[np.ndarray]:
    """Parameters as arrays of one shape: their own, or that which was asked for."""
    arrays = [np.array(each, np.float64) for each in parameters]
    shape = np.broadcast_shapes(*map(np.shape, arrays)) if size is None else _shape(size)
    return [np.broadcast_to(each, shape) for each in arrays]


def _like_numpy(found: np.ndarray, size: Any) -> Any:
    """Of no axes, a number, as NumPy gives it."""
    return float(found) if size is None and not np.ndim(found) else found


def gamma_number(run: Run, what: str, alpha: float, beta: float) -> float:
    """Of Python, whose second parameter is the scale."""
    return float(beta) * float(take_each(run, what, gamma_law, np.array(float(alpha))))


def beta_number(run: Run, what: str, alpha: float, beta: float) -> float:
    """Of Python."""
    both = np.array(float(alpha)), np.array(float(beta))
    return float(take_each(run, what, beta_law, *both))


def triangular_number(
    run: Run, what: str, low: float = 0.0, high: float = 1.0, mode: float | None = None
) -> float:
    """Of Python, whose mode is in the middle if there is none."""
    middle = 0.5 * (low + high) if mode is None else mode
    ends = (np.array(float(each)) for each in (low, middle, high))
    return float(take_triangular(run, what, *ends))
