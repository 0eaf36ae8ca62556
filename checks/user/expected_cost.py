"""The exact gradient of an expected cost.

By the framework's own differentiation of what is enumerated, where that can be had: differences by
each entry, or along a direction for each group of entries whose slopes are about as large, bear
witness to it, which know nothing of graphs. What a witness cannot see is added to the errors. By
differences of the enumerated mean, entry by entry, where it cannot, or where a witness contradicts.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.differences import (
    NotMovable,
    Slopes,
    cost,
    gradient,
    rounding_of,
    slope_along,
)
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import arrays_in
from gradproof.estimators.enumeration.expectation import (
    EnumeratedMean,
    Expectation,
    NotDifferentiable,
    ObjectiveGradient,
    one_number,
)
from gradproof.estimators.enumeration.gradients import array_of
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.lines import RoundingNoise
from gradproof.estimators.enumeration.run import MOST_PATHS, NotEnumerable
from gradproof.estimators.enumeration.slopes import KINK, SMOOTH, Slope
from gradproof.estimators.enumeration.spread import RoundingBounds

from ..evidence import COARSEST, GAP, entry

#: Runs of a cost that differences may take before they are not worth waiting for.
MOST_RUNS = 2_000_000

#: Runs that witnesses may take for more than a direction for each decade of slopes.
WITNESS_RUNS = 5_000

#: Values that a derivative along a line takes, as a rule, where rounding is known.
VALUES = 8

#: Decades below the largest slope that have directions of their own, so that what is wrong with a
#: small head does not hide beside a large one. The rest is together, as are slopes of exactly zero.
#: There are ten directions at most beyond WITNESS_RUNS, of some VALUES means each.
DECADES = 8

#: An error in one among so many entries of a direction has to show; in one among more of them only
#: a larger error is seen, or an error in as many as this many-th part of them.
FEW = 16

#: A direction moves entries by their length times a number between 1 - SPREAD and 1 + SPREAD, there
#: or back: each counts, and no pattern of errors cancels.
SPREAD = 0.25

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


def check_precision(precision: object) -> None:
    """Whether this is a valid precision.

    Raises:
        ValueError: if not.
    """
    if not isinstance(precision, int | float | np.floating) or not 0.0 <= precision < 1.0:
        raise ValueError(
            f"precision is {precision!r}, expected a step such as 1.2e-7 (single precision), or 0"
        )


def gradient_of_mean(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    *,
    paths: int = MOST_PATHS,
    reset: Callable[[], object] | None = None,
    coarsest: float = 0.0,
    tell: Callable[[], object] | None = None,
) -> MeanGradient:
    """The gradient of E[objective], over the outcomes of what it draws.

    Estimand: d/dtheta sum over paths of p(theta) f(theta); both p and f depend on theta.
    Valid when: it is differentiable at theta, and every draw can be enumerated.

    Args:
        objective: draws, and returns a number; called with ``inputs``.
        leaves: arrays or tensors among or behind the inputs, moved and put back.
        coarsest: precision that is at least to be allowed for.
        tell: called once a run, to tell of it.

    Raises:
        NotDifferentiable: if there is nothing to move, too much, a kink, or no finite number.
        NotEnumerable: for an unsupported draw, or too many paths.
    """
    _check_leaves(leaves)
    _check_memory(inputs, leaves)
    expectation = Expectation(
        objective, inputs, beside=(dict(leaves),), paths=paths, reset=reset, tell=tell
    )
    # Handlers stay where they are, from one enumeration to the next.
    with Handling(objective, reset, list(inputs), dict(leaves)):
        mean = expectation.repeated_mean()
        found = _automatic(objective, inputs, leaves, paths, reset)
        if found is None:
            return _by_differences(expectation, mean, leaves, coarsest)
        unseen, wrong = _witnessed(expectation, mean, leaves, found, coarsest)
        error = {name: each + unseen[name] for name, each in found.error.items()}
        found = dataclasses.replace(found, error=error)
        if not wrong:
            return found
        # All is made anew in each run of the objective, so that it moves with the parameters: it is
        # the graph that lacks something, and differences that are right.
        _check_made_within(objective, inputs, leaves, paths, reset)
        return _mended(found, _by_differences(expectation, mean, leaves, coarsest, wrong))


def _check_leaves(leaves: Mapping[str, Any]) -> None:
    for name, leaf in leaves.items():
        if str(leaf.dtype) in ("torch.bfloat16", "torch.float16", "float16"):
            raise NotDifferentiable(
                f"{name} is in {leaf.dtype}, too coarse for differences: use double"
            )
    entries = sum(array_of(leaf).size for leaf in leaves.values())
    if leaves and not entries:
        raise NotDifferentiable(
            f"{', '.join(leaves)} has no entries: there is nothing to differentiate by; pass "
            "at least one sentence or parameter"
        )
    if not entries:
        raise NotDifferentiable(
            "objective= needs something to differentiate by: pass tensors that require "
            "gradients or NumPy arrays of real numbers as inputs, or wrt= (arrays of JAX cannot be "
            "moved: pass exact=, such as the jax.grad of a mean over all outcomes)"
        )


def _check_memory(inputs: Sequence[Any], leaves: Mapping[str, Any]) -> None:
    """Whether an array of NumPy, which is moved where it is, moves no other input along.

    Raises:
        NotDifferentiable: if it does.
    """
    for name, leaf in leaves.items():
        if not isinstance(leaf, np.ndarray):
            continue
        for other in arrays_in(list(inputs)):
            if other is not leaf and np.shares_memory(leaf, array_of(other)):
                raise NotDifferentiable(
                    f"{name} shares its memory with another input, which moves with it in finite "
                    "differences: pass a copy of one"
                )


def _check_made_within(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    paths: int,
    reset: Callable[[], object] | None,
) -> None:
    """Whether nothing is used that was made from the parameters before the objective is called.

    Raises:
        NotDifferentiable: if something is: it cannot be moved, and only the graph knows of it.
    """
    code = ObjectiveGradient(objective, inputs, leaves, reset=reset, look=True)
    with Enumeration(code, paths) as enumeration:
        for _ in enumeration.paths():
            pass
    if code.made_before:
        raise NotDifferentiable(
            f"the objective uses something that was made from {', '.join(code.made_before)} before "
            "it is called, and PyTorch's differentiation says that its mean depends on it; it does "
            "not move with the parameters, so that finite differences cannot confirm it: make it "
            "within the objective (or detach it, if it is meant to be a constant), or pass exact= "
            "instead"
        )


def _automatic(
    objective: Callable[..., Any],
    inputs: Sequence[Any],
    leaves: Mapping[str, Any],
    paths: int,
    reset: Callable[[], object] | None,
) -> MeanGradient | None:
    """By PyTorch's differentiation; None where it has no graph of it all."""
    if not all(hasattr(leaf, "detach") for leaf in leaves.values()):
        return None
    code = ObjectiveGradient(objective, inputs, leaves, reset=reset)
    like = {name: array_of(leaf) for name, leaf in leaves.items()}
    step = max(float(np.finfo(array.dtype).eps) for array in like.values())
    try:
        with Enumeration(code, paths) as enumeration:
            moments = enumeration.moments(like)
    except NotEnumerable:
        raise
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        # It runs as it is, but not with its stop-gradients released, or without a graph.
        return None
    layout = moments.layout
    value = layout.split(moments.mean())
    if not all(np.isfinite(each).all() for each in value.values()):
        return None

    def measure() -> ByName:
        with Enumeration(code, paths) as again:
            bounds = RoundingBounds(again, again.moments(like), step)
            return layout.split(bounds.best().bound)

    error = layout.split(RoundingBounds(enumeration, moments, step).least)
    how = "by PyTorch's differentiation of the enumerated objective, witnessed by differences"
    return MeanGradient(value, error, how, measure)


def _witnessed(
    expectation: Expectation,
    mean: EnumeratedMean,
    leaves: Mapping[str, Any],
    found: MeanGradient,
    coarsest: float,
) -> tuple[ByName, set[str]]:
    """What differences could not have seen of each entry; and by what leaves they contradict.

    They are by each entry where these are few, else along directions of some entries together.

    Raises:
        NotDifferentiable: at a kink, or where they do not tell.
    """
    arrays = {name: array_of(leaf) for name, leaf in leaves.items()}
    if cost(arrays) * mean.paths <= WITNESS_RUNS:
        return _witnessed_by_entries(expectation, leaves, found, coarsest)
    unseen = {name: np.zeros(array.shape) for name, array in arrays.items()}
    wrong: set[str] = set()
    noise = _rounding(expectation, leaves, coarsest)
    for among in _groups(arrays, found.gradient, mean.paths):
        towards, slope = _known_slope(expectation, leaves, arrays, among, coarsest, noise)
        parts = [found.gradient[name] * way for name, way in towards.items()]
        automatic = sum(float(part.sum()) for part in parts)
        rounding = sum(float((found.error[name] * abs(way)).sum()) for name, way in towards.items())
        off = abs(slope.value - automatic)
        if off > GAP * (slope.error + rounding):
            wrong.update(among)
        signal = sum(float((part**2).sum()) for part in parts) ** 0.5
        entries = sum(int(each.sum()) for each in among.values())
        # Of so many that are all about as large, one that is off by a hundredth moves the slope by
        # that part of the signal, which adds up as the root of their number.
        if off + slope.error <= COARSEST * signal / min(entries, FEW) ** 0.5:
            continue
        for name, way in towards.items():
            with np.errstate(divide="ignore"):
                most = (off + slope.error) / np.abs(way)
            unseen[name] = np.maximum(unseen[name], np.where(among[name], most, 0.0))
    return unseen, wrong


def _witnessed_by_entries(
    expectation: Expectation, leaves: Mapping[str, Any], found: MeanGradient, coarsest: float
) -> tuple[ByName, set[str]]:
    unseen: dict[str, np.ndarray] = {}
    wrong: set[str] = set()
    for name, one in _slopes(expectation, leaves, coarsest).items():
        automatic = found.gradient[name]
        # What is infinite cannot be moved; it is no matter of a slope.
        known = np.isfinite(array_of(leaves[name])) | (automatic != 0.0)
        _refuse_kinks(name, one)
        _refuse_unknown(name, one, known)
        off = np.where(known, np.abs(one.value - automatic), 0.0)
        error = np.where(known, one.error, 0.0)
        if (off > GAP * (error + found.error[name])).any():
            wrong.add(name)
        # So much may the automatic one be off, whether or not it is: an agreement within it is none
        # if it is more than a hundredth.
        most = off + error
        unseen[name] = np.where(most <= COARSEST * np.abs(automatic), 0.0, most)
    return unseen, wrong


def _known_slope(
    expectation: Expectation,
    leaves: Mapping[str, Any],
    arrays: ByName,
    among: Mapping[str, np.ndarray],
    coarsest: float,
    noise: RoundingNoise,
) -> tuple[ByName, Slope]:
    """A direction of some entries, and the slope along it: of another, if that of one is not known.

    Raises:
        NotDifferentiable: at a kink, or where neither is known.
    """
    for _ in range(2):
        towards = _direction(arrays, among)
        slope = _along(expectation, leaves, towards, coarsest, noise)
        if slope.kind == KINK:
            raise NotDifferentiable(_kinked("along a line through the parameters", slope))
        if slope.kind == SMOOTH:
            return towards, slope
    name = next(iter(among))
    place = entry(name, np.argwhere(among[name])[0])
    entries = sum(int(each.sum()) for each in among.values())
    more = f" and {entries - 1:,} more together" if entries > 1 else ""
    raise NotDifferentiable(_unknown_slope(f"{place}{more}", slope.reason))


def _groups(leaves: ByName, slopes: ByName, paths: int) -> Iterator[Mapping[str, np.ndarray]]:
    """Masks of the entries that move together: those whose slopes are of a decade, in some parts.

    Where paths are few there are as many parts as WITNESS_RUNS has room for, of neighbours.
    """
    sizes = {name: np.abs(slopes[name]) for name in leaves}
    largest = max(float(each.max(initial=0.0)) for each in sizes.values())
    row = np.concatenate([each.ravel() for each in sizes.values()])
    movable = np.concatenate([np.isfinite(leaves[name]).ravel() for name in sizes])
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.floor(np.log10(largest / row))
    rest = ~np.isfinite(decades) | (decades >= DECADES)
    decades = np.where(rest, np.where(row == 0.0, DECADES + 1, DECADES), decades)
    parts = WITNESS_RUNS / (VALUES * paths * row.size)
    for decade in np.unique(decades[movable]):
        places = np.flatnonzero(movable & (decades == decade))
        many = min(max(1, int(parts * places.size)), places.size)
        for part in np.array_split(places, many):
            yield _masks(leaves, part)


def _masks(leaves: ByName, places: np.ndarray) -> Mapping[str, np.ndarray]:
    """Of places in all leaves one after the other, by leaf; of those that have one."""
    found, start = {}, 0
    for name, array in leaves.items():
        here = places[(places >= start) & (places < start + array.size)] - start
        if here.size:
            mask = np.zeros(array.size, bool)
            mask[here] = True
            found[name] = mask.reshape(array.shape)
        start += array.size
    return found


def _direction(leaves: ByName, among: Mapping[str, np.ndarray]) -> ByName:
    """One of some entries, drawn anew each time; the others do not move.

    The lengths that a value may vary on are those that differences by an entry take, too: from 1 to
    the root of its size; together they move by about one of them.
    """
    rng = np.random.default_rng()
    entries = sum(int(each.sum()) for each in among.values())
    found = {}
    for name, mask in among.items():
        lengths = np.maximum(np.abs(leaves[name][mask].astype(np.float64)), 1.0) ** 0.5
        way = np.zeros(mask.shape)
        signs = rng.choice([-1.0, 1.0], size=lengths.size)
        way[mask] = signs * rng.uniform(1.0 - SPREAD, 1.0 + SPREAD, lengths.size) * lengths
        found[name] = way / entries**0.5
    return found


def _along(
    expectation: Expectation,
    leaves: Mapping[str, Any],
    towards: Mapping[str, np.ndarray],
    coarsest: float,
    noise: RoundingNoise,
) -> Slope:
    with _movable():
        return slope_along(lambda: _value(expectation), leaves, towards, eps=coarsest, noise=noise)


def _rounding(
    expectation: Expectation, leaves: Mapping[str, Any], coarsest: float
) -> RoundingNoise:
    with _movable():
        return rounding_of(lambda: _value(expectation), leaves, eps=coarsest)


@contextlib.contextmanager
def _movable() -> Iterator[None]:
    try:
        yield
    except NotMovable as error:
        raise NotDifferentiable(f"{error}; pass exact= instead, or a copy") from error


def _value(expectation: Expectation) -> tuple[float, float]:
    mean = expectation()
    return mean.value, mean.size


def _mended(found: MeanGradient, by_differences: MeanGradient) -> MeanGradient:
    """The gradient by PyTorch, but for what is by differences."""
    measure = found.measure

    def measured() -> ByName:
        assert measure is not None  # PyTorch's can be measured
        return {**measure(), **by_differences.error}

    names = ", ".join(by_differences.gradient)
    return MeanGradient(
        {**found.gradient, **by_differences.gradient},
        {**found.error, **by_differences.error},
        f"{found.how}; but {names} {by_differences.how}",
        None if measure is None else measured,
        f"The gradient of the objective by {names} is by differences, which PyTorch's contradicts: "
        "part of it is lost to the graph (.item(), NumPy), or has a backward that is not its "
        "derivative.",
    )


def _by_differences(
    expectation: Expectation,
    mean: EnumeratedMean,
    leaves: Mapping[str, Any],
    coarsest: float,
    lost: Collection[str] | None = None,
) -> MeanGradient:
    """By each entry; of those that are ``lost`` to PyTorch's graph, if there is one."""
    chosen = {name: leaf for name, leaf in leaves.items() if lost is None or name in lost}
    runs = cost({name: array_of(leaf) for name, leaf in chosen.items()}) * mean.paths
    if runs > MOST_RUNS:
        why = (
            "part of the objective depends on the parameters in a way that PyTorch's "
            "differentiation does not see (.item(), NumPy), and "
            if lost is not None
            else ""
        )
        raise NotDifferentiable(
            f"{why}its parameters and {mean.paths:,} paths need {runs:,} runs of the objective for "
            f"differences, more than {MOST_RUNS:,}: pass exact= instead, or a smaller problem"
        )
    found = _slopes(expectation, leaves, coarsest, chosen)
    for name, slopes in found.items():
        _refuse_kinks(name, slopes)
        _refuse_unknown(name, slopes)
    return MeanGradient(
        {name: slopes.value for name, slopes in found.items()},
        {name: slopes.error for name, slopes in found.items()},
        "by differences of the enumerated objective",
    )


def _slopes(
    expectation: Expectation,
    leaves: Mapping[str, Any],
    coarsest: float,
    names: Collection[str] | None = None,
) -> Mapping[str, Slopes]:
    with _movable():
        return gradient(lambda: _value(expectation), leaves, eps=coarsest, names=names)


def _refuse_kinks(name: str, slopes: Slopes) -> None:
    for place in np.argwhere(slopes.kind == KINK):
        index = tuple(int(each) for each in place)
        sides = float(slopes.left[index]), float(slopes.right[index])
        raise NotDifferentiable(
            f"the mean of the objective is not differentiable at {entry(name, index)}: it has a "
            f"kink there, slopes to the two sides are {sides[0]:.6g} and {sides[1]:.6g}; pass "
            "exact= instead, or move it"
        )


def _refuse_unknown(name: str, slopes: Slopes, among: np.ndarray | bool = True) -> None:
    for place in np.argwhere((slopes.kind != SMOOTH) & among):
        index = tuple(int(each) for each in place)
        raise NotDifferentiable(
            _unknown_slope(entry(name, index), slopes.reasons.get(index, "no step does"))
        )


def _unknown_slope(what: str, why: str) -> str:
    return (
        f"the slope of the mean of the objective by {what} is not known: {why}; pass exact= instead"
    )


def _kinked(where: str, slope: Slope) -> str:
    return (
        f"the mean of the objective is not differentiable {where}: it has a kink there, slopes to "
        f"the two sides are {slope.left:.6g} and {slope.right:.6g}; pass exact= instead, or move "
        "the parameters"
    )


__all__ = [
    "MOST_RUNS",
    "Expectation",
    "MeanGradient",
    "NotDifferentiable",
    "check_precision",
    "gradient_of_mean",
    "one_number",
]
