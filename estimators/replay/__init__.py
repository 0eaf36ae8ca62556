"""Exhaustive replay: anyone's estimator, run once for every outcome of its discrete draws."""

from .intercept import intercepted
from .named import NotAGradient, array_of, copied, named, precision
from .numpy_draws import SEEDED
from .walk import (
    MOST_PATHS,
    Continuous,
    NotEnumerable,
    Path,
    Restless,
    TooManyPaths,
    Walker,
    follow,
    walk,
)

__all__ = [
    "MOST_PATHS",
    "SEEDED",
    "Continuous",
    "NotAGradient",
    "NotEnumerable",
    "Path",
    "Restless",
    "TooManyPaths",
    "Walker",
    "array_of",
    "copied",
    "follow",
    "intercepted",
    "named",
    "precision",
    "walk",
]
