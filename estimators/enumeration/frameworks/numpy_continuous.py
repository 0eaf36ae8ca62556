"""NumPy's and Python's continuous draws, whose numbers are not decided before they are compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..lazy_arrays import draw
from ..monotone import NORMAL, Chain, Factor, Known, Shift
from ..run import Run, UnsupportedDraw
from ..uniforms import uniform

LOG, EXP = Known("log"), Known("exp")


def _times(by: Any) -> Factor:
    return Factor(np.asarray(by, np.float64))


def _plus(by: Any) -> Shift:
    return Shift(np.asarray(by, np.float64))


#: Minus the logarithm of a uniform number, so that large numbers are those of a small one.
EXPONENTIAL: Chain = (LOG, _times(-1.0))

#: What draws a number, given the parameters, as a chain of functions of a uniform one.
QUANTILES: dict[str, Any] = {
    "normal": lambda loc, scale: (NORMAL, _times(scale), _plus(loc)),
    "lognormal": lambda mean, sigma: (NORMAL, _times(sigma), _plus(mean), EXP),
    "exponential": lambda scale: (LOG, _times(-np.asarray(scale))),
    "gumbel": lambda loc, scale: (
        *EXPONENTIAL, LOG, _times(-np.asarray(scale)), _plus(loc),
    ),
    "logistic": lambda loc, scale: (Known("logit"), _times(scale), _plus(loc)),
    "laplace": lambda loc, scale: (Known("laplace quantile"), _times(scale), _plus(loc)),
    "rayleigh": lambda scale: (LOG, _times(-2.0), Known("sqrt"), _times(scale)),
    "weibull": lambda a: (*EXPONENTIAL, LOG, _times(1.0 / np.asarray(a)), EXP),
    "power": lambda a: (LOG, _times(1.0 / np.asarray(a)), EXP),
    "pareto": lambda a: (LOG, _times(-1.0 / np.asarray(a)), Known("expm1")),
}  # fmt: skip

#: Parameters that must be positive, by their place; others are any finite numbers.
POSITIVE = {
    "normal": 1, "lognormal": 1, "exponential": 0, "gumbel": 1, "logistic": 1, "laplace": 1,
    "rayleigh": 0, "weibull": 0, "power": 0, "pareto": 0,
}  # fmt: skip


def draw_by_quantile(
    run: Run, what: str, law: str, parameters: tuple[Any, ...], size: Any, dtype: Any = np.float64
) -> Any:
    """Numbers of a law in :data:`QUANTILES`.

    Args:
        parameters: numbers, or arrays that broadcast.
        size: None: the shape of the parameters.

    Raises:
        ValueError: for a negative scale or shape, as NumPy does.
        UnsupportedDraw: for parameters that are zero or not finite, and in a run that samples.
    """
    arrays = [np.array(each, np.float64) for each in parameters]
    if not all(np.isfinite(each).all() for each in arrays):
        raise UnsupportedDraw(f"{what}() draws by {parameters}, expected finite numbers")
    scale = arrays[POSITIVE[law]]
    if (scale < 0.0).any():
        raise ValueError(f"{what}: scale or shape = {scale}, expected no negative one")
    if (scale == 0.0).any():
        raise UnsupportedDraw(
            f"{what}() draws by {parameters}, of which {scale} leaves nothing random; leave it out"
        )
    return draw(run, what, QUANTILES[law](*arrays), size, dtype)


def _check_out(what: str, out: Any) -> None:
    if out is not None:
        raise UnsupportedDraw(f"{what}(out=...) needs the numbers themselves; leave out= out")


class ContinuousDraws:
    """One generator in a run, as far as it draws continuous numbers, to be compared."""

    __slots__ = ()
    _run: Run

    def _begin(self, name: str) -> str:
        raise NotImplementedError

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Numbers between 0 and 1."""
        what = self._begin("random")
        _check_out(what, out)
        if np.dtype(dtype) not in (np.float64, np.float32):
            raise TypeError(f"Unsupported dtype {np.dtype(dtype)!r} for random")  # as NumPy does
        return uniform(self._run, what, size, dtype=dtype)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Numbers between two others."""
        what = self._begin("uniform")
        if np.ndim(low) == np.ndim(high) == 0:
            return uniform(self._run, what, size, float(low), float(high))
        span = np.subtract(high, low)
        if not (span > 0.0).all() or not np.isfinite(span).all():
            raise UnsupportedDraw(
                f"{what}() draws between {low} and {high}, expected finite numbers, the first of "
                "which is below the second"
            )
        return draw(self._run, what, (_times(span), _plus(low)), size)

    def _draw(self, law: str, *parameters: Any, size: Any = None) -> Any:
        what = self._begin(law)
        return draw_by_quantile(self._run, what, law, parameters, size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Of a mean and a standard deviation."""
        return self._draw("normal", loc, scale, size=size)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Of mean 0 and standard deviation 1."""
        what = self._begin("standard_normal")
        _check_out(what, out)
        return draw(self._run, what, (NORMAL,), size, dtype)

    def lognormal(self, mean: Any = 0.0, sigma: Any = 1.0, size: Any = None) -> Any:
        """The exponential of a normal number."""
        return self._draw("lognormal", mean, sigma, size=size)

    def exponential(self, scale: Any = 1.0, size: Any = None) -> Any:
        """Of a mean."""
        return self._draw("exponential", scale, size=size)

    def standard_exponential(
        self, size: Any = None, dtype: Any = np.float64, method: str = "zig", out: Any = None
    ) -> Any:
        """Of mean 1."""
        what = self._begin("standard_exponential")
        _check_out(what, out)
        return draw(self._run, what, EXPONENTIAL, size, dtype)

    def gumbel(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Of a location and a scale."""
        return self._draw("gumbel", loc, scale, size=size)

    def logistic(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Of a location and a scale."""
        return self._draw("logistic", loc, scale, size=size)

    def laplace(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Of a location and a scale."""
        return self._draw("laplace", loc, scale, size=size)

    def rayleigh(self, scale: Any = 1.0, size: Any = None) -> Any:
        """Of a scale."""
        return self._draw("rayleigh", scale, size=size)

    def weibull(self, a: Any, size: Any = None) -> Any:
        """Of a shape."""
        return self._draw("weibull", a, size=size)

    def power(self, a: Any, size: Any = None) -> Any:
        """Between 0 and 1, of a shape."""
        return self._draw("power", a, size=size)

    def pareto(self, a: Any, size: Any = None) -> Any:
        """From 0 on, of a shape."""
        return self._draw("pareto", a, size=size)


class LegacyContinuousDraws(ContinuousDraws):
    """The same of a RandomState, which has other names for some."""

    __slots__ = ()

    def random_sample(self, size: Any = None) -> Any:
        """Numbers between 0 and 1."""
        return uniform(self._run, self._begin("random_sample"), size)

    def rand(self, *shape: int) -> Any:
        """The same, of a shape."""
        return uniform(self._run, self._begin("rand"), shape or None)

    def randn(self, *shape: int) -> Any:
        """Of mean 0 and standard deviation 1, of a shape."""
        return draw(self._run, self._begin("randn"), (NORMAL,), shape or None)
