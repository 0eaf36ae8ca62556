"""Slopes of an enumerated mean by differences; kinks and slopes that are not known are refused."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.differences import (
    NotMovable,
    Slopes,
    gradient,
    rounding_of,
    slope_along,
)
from gradproof.estimators.enumeration.expectation import Expectation, NotDifferentiable
from gradproof.estimators.enumeration.lines import RoundingNoise
from gradproof.estimators.enumeration.slopes import KINK, SMOOTH, Slope

from ..evidence import entry

ByName = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class MeanGradient:
    """The gradient of an enumerated mean, by parameter, and what each of its entries may be off by.

    ``measure`` returns a better ``error``, at a cost; None if there is none. ``how`` says in words
    where the gradient comes from, and ``note`` what whoever reads a verdict should know of that.
    """

    gradient: ByName
    error: ByName
    how: str
    measure: Callable[[], ByName] | None = None
    note: str = ""


def mean_slope_along(
    expectation: Expectation,
    leaves: Mapping[str, Any],
    towards: Mapping[str, np.ndarray],
    coarsest: float,
    noise: RoundingNoise,
) -> Slope:
    """The slope of the mean along a direction."""
    with _movable():
        return slope_along(
            lambda: _value_and_size(expectation), leaves, towards, eps=coarsest, noise=noise
        )


def rounding_noise(
    expectation: Expectation, leaves: Mapping[str, Any], coarsest: float
) -> RoundingNoise:
    """What rounding does to the mean."""
    with _movable():
        return rounding_of(lambda: _value_and_size(expectation), leaves, eps=coarsest)


def slopes_by_entry(
    expectation: Expectation,
    leaves: Mapping[str, Any],
    coarsest: float,
    names: Collection[str] | None = None,
) -> Mapping[str, Slopes]:
    """The slopes of the mean by each entry of some leaves; None: of all."""
    with _movable():
        return gradient(lambda: _value_and_size(expectation), leaves, eps=coarsest, names=names)


@contextlib.contextmanager
def _movable() -> Iterator[None]:
    try:
        yield
    except NotMovable as error:
        raise NotDifferentiable(f"{error}; pass exact= instead, or a copy") from error


def _value_and_size(expectation: Expectation) -> tuple[float, float]:
    mean = expectation()
    return mean.value, mean.size


def refuse_kinks(name: str, slopes: Slopes) -> None:
    """Whether the mean has a slope wherever one was looked for.

    Raises:
        NotDifferentiable: at a kink.
    """
    for place in np.argwhere(slopes.kind == KINK):
        index = tuple(map(int, place))
        raise NotDifferentiable(
            kink_message(f"at {entry(name, index)}", slopes.left[index], slopes.right[index], "it")
        )


def refuse_unknown(name: str, slopes: Slopes, among: np.ndarray | bool = True) -> None:
    """Whether the slopes of some entries are known.

    Raises:
        NotDifferentiable: if one is not; it says why.
    """
    for place in np.argwhere((slopes.kind != SMOOTH) & among):
        index = tuple(map(int, place))
        raise NotDifferentiable(
            unknown_slope_message(entry(name, index), slopes.reasons.get(index, "no step does"))
        )


def unknown_slope_message(what: str, why: str) -> str:
    """That the slope by an entry is not known, and what to do."""
    return (
        f"the slope of the mean of the objective by {what} is not known: {why}; pass exact= instead"
    )


def kink_message(where: str, left: float, right: float, what: str = "the parameters") -> str:
    """That the mean has a kink, and what to do."""
    return (
        f"the mean of the objective is not differentiable {where}: it has a kink there, slopes to "
        f"the two sides are {left:.6g} and {right:.6g}; pass exact= instead, or move {what}"
    )
