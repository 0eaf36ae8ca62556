"""Slopes along one random direction, instead of gradients by each entry.

A direction v has independent normal entries of variance 1/P, with P their number. A bias b moves
the slope by v·b, which is normal with the root mean square of b as its standard deviation. So a
bias is hidden by a bound t with probability below sqrt(2/pi) t / rms(b): few biases are, and which
cannot be known. It takes some twenty values of the mean, whatever P is.

Reference: PyTorch's ``gradcheck(fast_mode=True)`` compares along random directions as well.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.expectation import Expectation, NotDifferentiable
from gradproof.estimators.enumeration.gradients import (
    GradientLayout,
    array_of,
    precision,
)
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.outcomes import EPS
from gradproof.estimators.enumeration.slopes import KINK, SMOOTH, Slope

from ..evidence import GAP
from .differentiated_by import Parameters
from .expected_cost import automatic_gradient, check_made_within, check_movable
from .mean_slopes import (
    MeanGradient,
    kink_message,
    mean_slope_along,
    rounding_noise,
    unknown_slope_message,
)

#: Independent errors of entries, each of this size at most, add up to no more than so many of them
#: along a normal direction, but for once in 5e8: six standard deviations.
CERTAIN = 6.0

#: How likely a bias may be hidden that is spoken of: once in a hundred.
HIDDEN = 1e-2


@dataclasses.dataclass(frozen=True)
class Direction:
    """A direction of all parameters together, and the seed that it was drawn from.

    Shape: ``entries`` by parameter, as they are.
    """

    entries: Mapping[str, np.ndarray]
    seed: int

    @classmethod
    def draw(cls, leaves: Mapping[str, Any], seed: int | None = None) -> Direction:
        """One that is drawn, with normal entries; of length 1 or so."""
        seed = secrets.randbits(32) if seed is None else int(seed)
        rng = np.random.default_rng(seed)
        shapes = {name: np.shape(array_of(leaf)) for name, leaf in leaves.items()}
        total = max(1, sum(math.prod(shape) for shape in shapes.values()))
        scale = total**-0.5
        return cls({name: scale * rng.normal(size=shape) for name, shape in shapes.items()}, seed)

    @property
    def size(self) -> int:
        """How many entries it has."""
        return sum(entries.size for entries in self.entries.values())

    def projection(self, goals: Mapping[str, tuple[Any, Mapping[str, Any]]]) -> Projection:
        """What makes slopes of gradients, one for each goal."""
        return Projection(self, {name: tuple(leaves) for name, (_, leaves) in goals.items()})


def slope_name(goal: str) -> str:
    """What the slope is called that is compared."""
    return f"slope by {goal}" if goal else "slope"


class Projection:
    """Makes slopes along a direction of gradients.

    Args:
        parts: names of parameters, by the name of the goal that they have.

    ``size`` is the largest entry of any gradient so far.
    """

    def __init__(self, direction: Direction, parts: Mapping[str, Iterable[str]]) -> None:
        self.direction = direction
        self._parts = {goal: tuple(names) for goal, names in parts.items()}
        self._layout = GradientLayout(direction.entries)
        self.size = 0.0

    def __call__(self, gradients: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Slopes by goal, each a number in the gradients' precision.

        Raises:
            ValueError: for names or shapes that do not fit.
        """
        # Single precision at most, lest a number overflows; it is no more precise than it was.
        single = precision(gradients) > EPS
        row = self._layout.row(gradients)
        by_name = self._layout.split(row)
        with np.errstate(invalid="ignore"):
            self.size = max(self.size, float(np.nan_to_num(np.abs(row)).max(initial=0.0)))
            slopes = {
                slope_name(goal): sum(self._along(name, by_name[name]) for name in names)
                for goal, names in self._parts.items()
            }
        kind = np.float32 if single else np.float64
        return {name: np.asarray(slope, kind) for name, slope in slopes.items()}

    def _along(self, name: str, gradient: np.ndarray) -> float:
        products = (self.direction.entries[name] * gradient).ravel()
        return math.fsum(products) if np.isfinite(products).all() else float(products.sum())

    @property
    def words(self) -> str:
        """What a verdict holds along."""
        return f"along one random direction (seed={self.direction.seed})"

    def rounding(self, roundings: float, step: float) -> float:
        """What a slope may be off by where each entry of a gradient may be, by so many roundings.

        They know nothing of the direction, and so add up as independent numbers do.
        """
        return CERTAIN * roundings * step * self.size

    def note(self, bound: float, is_refuted: bool) -> str:
        """What was compared, and what could not be seen."""
        direction = self.direction
        what = (
            f"One random direction of all {direction.size:,} entries was compared "
            f"(seed={direction.seed} draws it again), not each entry"
        )
        if is_refuted:
            return f"{what}: leave out fast= to see which are off."
        # Rounding may be off by the bound the other way. Of several slopes one sees as much of a
        # bias as they do on average.
        within = 2.0 * bound * math.sqrt(len(self._parts))
        hidden = math.sqrt(2.0 / math.pi) * within / HIDDEN
        return (
            f"{what}: a bias that is orthogonal to it, or nearly so, is not seen. One whose root "
            f"mean square over the entries is {hidden:.1e} or more is hidden from a random "
            f"direction with a probability below {HIDDEN:.0%}; leave out fast= to compare each "
            "entry."
        )


def slope_of_mean(
    objective: Callable[..., Any],
    estimator: Estimator,
    parameters: Parameters,
    direction: Direction,
    *,
    name: str,
    paths: int,
    reset: Callable[[], object] | None = None,
    coarsest: float = 0.0,
    batch: bool = True,
) -> MeanGradient:
    """The slope of the mean of an objective along a direction of its parameters, by differences.

    Estimand: v · d/dtheta sum over paths of p(theta) f(theta).
    Valid when: as of :func:`.expected_cost.gradient_of_mean`.

    Raises:
        NotDifferentiable: for what cannot be moved, at a kink, or where differences do not tell.
        NotEnumerable: for an unsupported draw, or too many paths.
    """
    leaves = parameters.leaves
    parameters.check_not_kept(objective)
    check_movable(estimator.inputs, leaves)
    expectation = Expectation(
        objective,
        estimator.inputs,
        beside=(dict(leaves),),
        paths=paths,
        reset=reset,
        listener=estimator.listener,
        arguments=parameters.movable,
        batch=batch,
    )
    towards = {key: direction.entries[key] for key in leaves}
    with Handling(objective, reset, list(estimator.inputs), dict(leaves)):
        expectation.repeated_mean()
        noise = rounding_noise(expectation, leaves, coarsest)
        slope = mean_slope_along(expectation, leaves, towards, coarsest, noise)
    if slope.kind == KINK:
        raise NotDifferentiable(
            kink_message("along a line through the parameters", slope.left, slope.right)
        )
    if slope.kind != SMOOTH:
        raise NotDifferentiable(
            unknown_slope_message(f"a random direction (seed={direction.seed})", slope.reason)
        )
    _check_graph(objective, estimator, leaves, towards, slope, paths, reset, batch)
    key = slope_name(name)
    return MeanGradient(
        {key: np.asarray(slope.value)},
        {key: np.asarray(slope.error)},
        "by differences of the enumerated objective along one random direction",
    )


def _check_graph(
    objective: Callable[..., Any],
    estimator: Estimator,
    leaves: Mapping[str, Any],
    towards: Mapping[str, np.ndarray],
    slope: Slope,
    paths: int,
    reset: Callable[[], object] | None,
    batch: bool,
) -> None:
    """Whether differences see all that PyTorch's graph knows to depend on the parameters.

    Raises:
        NotDifferentiable: if something was made from them before the objective is called.
    """
    automatic = automatic_gradient(objective, estimator.inputs, leaves, paths, reset, batch)
    if automatic is None:
        return
    along = sum(float((automatic.gradient[name] * way).sum()) for name, way in towards.items())
    error = sum(float((automatic.error[name] * abs(way)).sum()) for name, way in towards.items())
    if abs(along - slope.value) > GAP * (error + slope.error):
        check_made_within(objective, estimator.inputs, leaves, paths, reset)
