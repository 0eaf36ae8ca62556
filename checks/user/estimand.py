"""The estimand: the exact gradient, given or that of an objective's mean, and its error."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator, UserFunction, takes
from gradproof.estimators.enumeration.gradients import (
    GradientLayout,
    arrays_by_name,
    named,
    precision,
)
from gradproof.estimators.enumeration.input_arrays import is_real_array
from gradproof.estimators.enumeration.outcomes import EPS
from gradproof.estimators.enumeration.rounding import FACTOR, RUNS, largest_deviation, perturbation
from gradproof.estimators.enumeration.run import NotEnumerable
from gradproof.estimators.enumeration.trees import children, leaves

from ..evidence import COARSEST

#: Roundings of a number that is given: of the last operation, and of what it was made from.
GIVEN = 4.0

#: What differences of a function in double precision are off by, relative to it: the root of a
#: rounding, where steps forward are best. Numbers of which nobody says where they come from may be
#: off by so much, and an estimator is not to blame for it.
DIFFERENCES = EPS**0.5

#: What the best central differences leave beside the largest entry of any parameter, however small
#: one is. It is more than what cancels leaves in double precision, where a gradient is zero.
CENTRAL = EPS ** (2.0 / 3.0)

#: Roundings of the largest entry that a number may be off by that was computed in single precision:
#: what cancels on the way to it (a cost less its mean) is that much larger than what is left. With
#: costs of 20, give or take 1, PyTorch's gradient of a softmax of 40 entries was off by 28 of them,
#: of 4 entries by 134, at most in 30 each. As many as samples may be off by.
CANCELLED = 1000.0

#: Entries that tell that numbers were in single precision once, and the bits that each must need:
#: of a double that is anything only one in 2^29 is such. Halves and small whole numbers tell
#: nothing.
TELLING, BITS = 4, 12

#: What a constant in single precision is off by, and so a term that is proportional to it: half a
#: step, of the term. As a share of the mean magnitude of an entry it bounds what one such factor in
#: each term, as a cost, does to the mean.
CONSTANTS = 0.5 * float(np.finfo(np.float32).eps)

#: Arrays by parameter.
Gradients = Mapping[str, np.ndarray]

#: Why a small error is no bias, where ``exact`` is numbers that were made somehow.
MADE = (
    "Differences, or terms that cancel, leave errors of that size, and exact= is numbers that were "
    "made somehow: pass exact_error= (0 if it is as exact as its type), or a function that "
    "computes it, so that its own rounding can be measured."
)

#: The same, of an error that constants in single precision leave.
ROUNDED = (
    "A constant in single precision leaves errors of that size, in the estimator or in what "
    "exact= was made from, such as torch.tensor([0.1]) without a dtype=: make it double, or pass "
    "exact_error= (0 if all of it is)."
)

#: The same, where they are or were in single precision.
COARSE = (
    "Single precision leaves errors of that size, and exact= {}: compute exact= in double "
    "precision, or pass exact_error= (0 if it is as exact as its type)."
)

#: Relative errors below this are such as arithmetic in single precision makes: roundings of 6e-8,
#: some hundreds of them.
SINGLE = 1e-4

#: Why errors of the mean that are as small are no bias, where nobody said what the arithmetic is.
UNMEASURED = (
    "An error so small may be rounding of single precision, and the arithmetic inside could not be "
    "measured: if it is single, pass precision=np.finfo(np.float32).eps; if it is double, "
    "precision=np.finfo(float).eps."
)


@dataclasses.dataclass(frozen=True)
class Estimand:
    """The estimand: the exact gradient, and its error.

    ``error`` is what each entry may be off by; ``unstated`` what it may be off by besides if it was
    made in a way that nobody spoke of, such as differences: an error that this explains is no
    bias of anybody's, and ``why`` says so. ``is_made`` says that it is numbers in double precision,
    of which nobody stated how they were made. ``measure`` returns a better ``error``, at a cost.
    ``how`` says where it comes from, and ``note`` what is to be said of that.

    Shape:
        ``value``, ``error`` and ``unstated`` by parameter, alike.
    """

    value: Mapping[str, np.ndarray]
    error: Mapping[str, np.ndarray]
    unstated: Mapping[str, np.ndarray]
    how: str
    measure: Callable[[], Mapping[str, np.ndarray]] | None = None
    why: str = MADE
    note: str = ""
    is_made: bool = False

    def vanishing(self, key: str, scale: float) -> np.ndarray:
        """Below what an entry may as well be zero: its error, and what cancels beside ``scale``.

        Zeros are rarely zero where numbers were made by automatic differentiation, of a logit that
        softmax cancels, say. What is zero to the last bit is taken at its word.
        """
        made = (self.unstated[key] > 0.0) & (self.value[key] != 0.0)
        return self.error[key] + np.where(made, CANCELLED * EPS * scale, 0.0)

    def with_measured_error(self) -> Estimand:
        """With what its own rounding was measured to do, where that can be."""
        if self.measure is None:
            return self
        measured = self.measure()
        error = {key: np.maximum(value, measured[key]) for key, value in self.error.items()}
        return dataclasses.replace(self, error=error, measure=None)


def exact_gradient(
    exact: Any,
    estimator: Estimator,
    *,
    exact_error: Any = None,
) -> Estimand:
    """The exact gradient that :func:`.estimator.check_estimator` is given, as numbers.

    Args:
        exact, exact_error: as there.
        estimator: whose inputs and leaves it is of.

    Raises:
        TypeError: for an exact gradient that draws.
        ValueError: for one that is not finite, or an error that does not fit.
    """
    if hasattr(exact, "as_loss"):
        raise TypeError(
            f"exact = {exact!r:.60} is a goal, expected a gradient: pass exact=goal.as_loss() for "
            "an estimator of a loss that is made small, goal.as_reward() for one that climbs"
        )
    if callable(exact) and not _is_gradient(exact, estimator.inputs):
        return _from_function(exact, estimator, exact_error)
    return _from_numbers(exact, exact_error)


def _is_gradient(exact: Any, inputs: Sequence[Any]) -> bool:
    """Whether what could be called is read instead: a module of arrays, as is its own gradient.

    A module's gradient is a module, which Equinox's can be called as the policy that they are.
    """
    numbers = [leaf for _, leaf in leaves(exact) if leaf is not None]
    if not numbers or isinstance(exact, functools.partial):  # jax.tree_util.Partial has arrays
        return False
    if not all(is_real_array(leaf) for leaf in numbers):
        return False
    return _holds_type(inputs, type(exact)) or not takes(exact, inputs)


def _holds_type(value: Any, kind: type) -> bool:
    return type(value) is kind or any(_holds_type(each, kind) for _, each in children(value) or ())


def left_by_constants(
    mean: Gradients, exact: Gradients, allowed: Gradients, size: Gradients
) -> bool:
    """Whether a constant in single precision explains what a mean is off by, in every entry.

    Args:
        allowed: what each entry may be off by besides.
        size: the mean magnitude of each entry.

    Shape:
        All have the same names and shapes.
    """
    off = {key: np.abs(mean[key] - exact[key]) for key in exact}
    return all(
        (np.isfinite(off[key]) & (off[key] <= allowed[key] + CONSTANTS * size[key])).all()
        for key in exact
    )


def _from_numbers(exact: Any, exact_error: Any) -> Estimand:
    gradient, step = _finite(named(exact)), precision(exact)
    error = _rounding_error(gradient, step)
    if exact_error is not None:
        return Estimand(
            gradient, _stated_error(exact_error, gradient, error), _zeros(gradient), "as given"
        )
    steps = {key: _made_in(value, step) for key, value in arrays_by_name(exact).items()}
    largest = max((float(np.abs(each).max(initial=0.0)) for each in gradient.values()), default=0.0)
    unstated = {
        key: _by_differences(value, largest) + _single_precision_error(value, steps[key])
        for key, value in gradient.items()
    }
    coarse = [key for key in gradient if steps[key] > EPS]
    if not coarse:
        return Estimand(gradient, error, unstated, "as given", is_made=True)
    kind = "is" if step > EPS else "has the values of numbers that were"
    why = COARSE.format(f"{kind} in single precision or a coarser one ({', '.join(coarse[:4])})")
    return Estimand(gradient, error, unstated, "as given", why=why)


def _by_differences(value: np.ndarray, largest: float) -> np.ndarray:
    """What differences in double precision leave, of one function for all parameters."""
    return DIFFERENCES * np.abs(value) + CENTRAL * largest


def _single_precision_error(value: np.ndarray, step: float) -> float:
    """What coarser arithmetic leaves, whose numbers are so far apart; 0 for double precision.

    No more than a hundredth, which is a bias whatever it was computed in, but for the roundings of
    numbers that are coarser than that themselves.
    """
    if step <= EPS:
        return 0.0
    share = max(GIVEN * step, min(CANCELLED * step, COARSEST))
    return share * float(np.abs(value).max(initial=0.0))


def _made_in(value: np.ndarray | None, step: float) -> float:
    """The precision that numbers were computed in, as far as that shows.

    Args:
        step: the coarsest precision of all that were given with them.
    """
    if value is None or value.dtype.kind != "f":
        return EPS
    if value.dtype.itemsize < np.dtype(np.float64).itemsize:
        return step
    return float(np.finfo(np.float32).eps) if _was_single(value) else EPS


def _was_single(value: np.ndarray) -> bool:
    """Whether all numbers are such as single precision has, and not by accident."""
    with np.errstate(over="ignore", under="ignore"):
        if not np.array_equal(value.astype(np.float32), value):
            return False
    parts = np.ldexp(np.frexp(value)[0], BITS)
    return int(np.count_nonzero(parts != np.rint(parts))) >= TELLING


def _from_function(exact: Callable[..., Any], estimator: Estimator, exact_error: Any) -> Estimand:
    code = UserFunction(exact, estimator.inputs, beside=(dict(estimator.leaves),), called="exact")
    before = code.inputs_now()
    with Enumeration(code) as enumeration:
        try:
            path = enumeration.repeat(())
        except NotEnumerable as refused:
            raise TypeError(
                "the exact gradient draws, or is nondeterministic, and so is not exact "
                f"({str(refused).removeprefix('nondeterministic: ').partition(':')[0]}); pass "
                "objective= to enumerate the mean of what draws"
            ) from refused
        if not code.same_inputs(before):
            raise ValueError(
                "the function for the exact gradient changes an input or a parameter, and so gives "
                "the gradient at another point; let it work on a copy"
            )
        gradient, step = _finite(named(path.value)), precision(path.value)
    error = _rounding_error(gradient, step)
    if exact_error is not None:
        return Estimand(
            gradient, _stated_error(exact_error, gradient, error), _zeros(gradient), "as returned"
        )
    if not _rounding_effect(code, gradient)[1]:
        return dataclasses.replace(_from_numbers(path.value, None), how="as returned")

    def measure() -> Mapping[str, np.ndarray]:
        layout = GradientLayout(gradient)
        return layout.split(FACTOR * _rounding_effect(code, gradient, RUNS)[0])

    return Estimand(gradient, error, _zeros(gradient), "as returned", measure)


def _rounding_effect(
    code: UserFunction, gradient: Mapping[str, np.ndarray], runs: int = 1
) -> tuple[np.ndarray, int]:
    """What moved roundings inside move it by at most, (P,), and how many were moved."""
    rng, layout = np.random.default_rng(0), GradientLayout(gradient)  # the same each time
    base, most, moved = layout.row(gradient), np.zeros(layout.size), 0
    try:
        with Enumeration(code) as enumeration:
            for _ in range(runs):
                with perturbation(rng) as operations:
                    other = layout.row(named(enumeration.repeat(()).value))
                enumeration.restore_state()
                if operations.unseen:  # something inside is hidden
                    return most, 0
                moved += operations.count
                most = np.maximum(most, largest_deviation([other], base))
    except Exception:  # noqa: BLE001 - it runs as it is, and not with moved roundings
        return most, 0
    return most, moved


def _finite(gradient: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for key, value in gradient.items():
        if not np.isfinite(value).all():
            raise ValueError(f"exact gradient of {key} is not finite: {value!r:.60}")
    if not gradient:
        raise ValueError("the exact gradient has no entries: there is nothing to compare")
    return gradient


def _rounding_error(gradient: Mapping[str, np.ndarray], step: float) -> dict[str, np.ndarray]:
    return {key: GIVEN * step * np.abs(value) for key, value in gradient.items()}


def _zeros(gradient: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: np.zeros_like(value) for key, value in gradient.items()}


def _stated_error(
    exact_error: Any, exact: Mapping[str, np.ndarray], rounded: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The stated error of an exact gradient: a number, or arrays like it."""
    if isinstance(exact_error, int | float | np.integer | np.floating):
        stated: Mapping[str, Any] = dict.fromkeys(exact, float(exact_error))
    else:
        stated = named(exact_error)
        if len(stated) == len(exact) == 1:
            stated = {next(iter(exact)): next(iter(stated.values()))}
    if set(stated) != set(exact):
        raise ValueError(
            f"exact_error= names {', '.join(stated)}; pass a number, or arrays named "
            f"{', '.join(exact)}"
        )
    errors = {}
    for key, value in exact.items():
        one = np.asarray(stated[key], np.float64)
        if one.shape not in ((), value.shape) or not (np.isfinite(one).all() and one.min() >= 0.0):
            raise ValueError(
                f"exact_error of {key} is {one!r:.60}, expected finite numbers of 0 or more, of "
                f"shape () or {value.shape}"
            )
        errors[key] = np.broadcast_to(one, value.shape) + rounded[key]
    return errors
