"""A surrogate that is run, at theta0 and elsewhere: its automatic derivatives, and differences."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.differences import Function, NotMovable, Slopes, derivatives
from gradproof.estimators.enumeration.estimator import Listener
from gradproof.estimators.enumeration.expectation import Expectation, NotDifferentiable, one_number
from gradproof.estimators.enumeration.gradients import GradientLayout, array_of, named
from gradproof.estimators.enumeration.gradients import precision as coarsest
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.reset_at_point import reset_at_point
from gradproof.estimators.enumeration.rounding import measured
from gradproof.estimators.enumeration.run import KEPT, Choice, NotReproducible, Path, repeat
from gradproof.estimators.enumeration.run import paths as paths_of
from gradproof.estimators.enumeration.slopes import SMOOTH, UNRESOLVED
from gradproof.estimators.enumeration.state import Snapshot
from gradproof.estimators.enumeration.stops import Declared, Stop, holding

from .differentiated_by import Parameters
from .expected_cost import MOST_RUNS

#: Derivatives of one order by what they are by: one name, or two.
Derivatives = dict[tuple[str, ...], np.ndarray]

#: What they should be, by differences.
Differences = dict[tuple[str, ...], Slopes]

#: Roundings of an automatic derivative that nothing cancels in.
OWN = 4.0

#: What is rounded to zero is below 2e-308, and steps are not shorter than some 1e-20: an error
#: below this is that alone.
STILL = 1e-280


class InputChanged(GradproofError, ValueError):
    """A surrogate that changes a parameter in place, by which it is differentiated."""


@dataclasses.dataclass(frozen=True)
class Gradcheck:
    """What ``torch.autograd.gradcheck`` says of the same function; None where it cannot be run."""

    passed: bool | None
    words: str

    def __str__(self) -> str:
        verdict = {True: "passes", False: "fails", None: "was not run"}[self.passed]
        return f"torch.autograd.gradcheck {verdict}{': ' if self.words else ''}{self.words}"


class SurrogateRuns:
    """A surrogate that is run, at theta0 and elsewhere."""

    def __init__(
        self,
        surrogate: Callable[..., Any],
        inputs: Sequence[Any],
        parameters: Parameters,
        held: tuple[Declared, ...],
        order: int,
        gradient: Callable[..., Any] | None,
        reset: Callable[[], object] | None,
        precision: float,
    ) -> None:
        self._surrogate, self._inputs, self._leaves = surrogate, tuple(inputs), parameters.leaves
        self._movable = parameters.movable
        self._held, self._order, self._gradient = held, order, gradient
        self._reset = reset_at_point(reset, self._leaves)
        self._before = {name: array_of(leaf).copy() for name, leaf in self._leaves.items()}
        self._runs = 0
        self._handling: Handling | None = None
        self._exhausted: NotDifferentiable | None = None
        self.eps = max(precision, coarsest(self._before))  # as the engine has it

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Draws are handled until this is left, and whatever was moved is put back then."""
        state = Snapshot(self._surrogate, self._gradient, self._inputs, self._leaves)
        try:
            with Handling(self._surrogate, self._gradient) as self._handling:
                yield
        finally:
            self._handling = None
            state.restore()

    @property
    def _perform(self) -> Any:
        assert self._handling is not None  # it is run
        return self._handling.perform

    def paths(self, most: int, listener: Listener | None = None) -> Iterator[Path[Any]]:
        """Each path of the surrogate once; a listener is told of each."""
        for path in paths_of(self.first, self._perform, most=most):
            if listener is not None:
                listener.run()
                listener.path(path)
            yield path

    def first(self) -> tuple[Any, tuple[Stop, ...]]:
        """The value as it is, and what its stops gave.

        Raises:
            InputChanged: if the surrogate changes what it is differentiated by.
            NotDifferentiable: if the value is not one number.
        """
        with holding(declared=self._held) as keeper:
            value = self._run(self._surrogate)
        for name, leaf in self._leaves.items():
            if not np.array_equal(self._before[name], array_of(leaf), equal_nan=True):
                raise InputChanged(
                    f"the surrogate changes {name}, which it is differentiated by; let it work on "
                    "a copy"
                )
        one_number(value, "the surrogate")
        return value, tuple(keeper.stops)

    def derivatives_on(self, path: Path[Any]) -> tuple[Derivatives, Differences, set[str]]:
        """The automatic derivatives on a path, what they should be, and what they reach.

        Raises:
            NotReproducible: if the same draws and stop-gradients give another value.
            NotDifferentiable: if there are no derivatives to be had by differences.
        """
        value, stops = path.value
        if self._gradient is None:
            automatic, touched = _automatic(value, self._leaves, self._order)
        else:
            again = repeat(lambda: self._run(self._gradient), self._perform, path.choices)
            layout = GradientLayout(self._before)
            gradient = layout.split(layout.row(named(again.value)))
            automatic = {(key,): array for key, array in gradient.items()}
            touched = {key for key, array in gradient.items() if np.any(array)}

        def frozen() -> Any:
            with holding(stops, self._held):
                return self._run(self._surrogate)

        def value_of() -> float:
            return one_number(repeat(frozen, self._perform, path.choices).value, "the surrogate")

        here = one_number(value, "the surrogate")
        repeated = value_of()
        if here != repeated:
            raise NotReproducible(
                f"nondeterministic: the same draws and stop-gradients gave {repeated!r} after "
                f"{here!r}: {KEPT}"
            )

        inner = 0.0

        def value_and_size() -> tuple[float, float]:
            return (value := value_of()), max(abs(value), inner)

        expected = self._differences(value_and_size)
        if not _agree(automatic, expected, self.eps):
            # What cancels inside may be larger than what comes out of it.
            moved = self._rounding_effect(frozen, path.choices, here)
            if moved is None and not here:
                expected = {
                    key: _unresolve(automatic[key], slopes) for key, slopes in expected.items()
                }
            elif moved is not None and moved > self.eps * abs(here):
                inner = moved / self.eps
                expected = self._differences(value_and_size)
        return automatic, expected, touched

    def _rounding_effect(
        self, frozen: Callable[[], Any], choices: Sequence[Choice], here: float
    ) -> float | None:
        """What moved roundings inside move a value by at most; None if nothing can be moved."""

        def value() -> dict[str, np.ndarray]:
            other = repeat(frozen, self._perform, choices).value
            return {"value": np.array(one_number(other, "the surrogate"))}

        try:
            # From a seed: the same each time.
            rounding = measured(value, {"value": np.array(here)}, np.random.default_rng(0))
        except Exception:  # noqa: BLE001 - it runs as it is, and not with moved roundings
            return None
        return float(rounding.largest["value"]) if rounding.measured else None

    def exact(self, objective: Callable[..., Any], paths: int) -> Differences:
        """The derivatives of the enumerated mean of an objective."""
        expectation = Expectation(
            objective,
            self._inputs,
            paths=paths,
            reset=self._before_run,
            arguments=self._movable,
        )
        expectation.repeated_mean()

        def value_and_size() -> tuple[float, float]:
            mean = expectation()
            return mean.value, mean.size

        return self._differences(value_and_size)

    def gradcheck(self, path: Path[Any]) -> Gradcheck:
        """PyTorch's own verdict on the same function, with the draws of one path."""
        torch: Any = sys.modules.get("torch")
        tensors = list(self._leaves.values())
        if self._gradient is not None or torch is None:
            return Gradcheck(None, "it differentiates functions of PyTorch only")

        def function(*_: Any) -> Any:  # the tensors that it moves are those that the inputs hold
            again = repeat(lambda: self._run(self._surrogate), self._perform, path.choices)
            return again.value

        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                torch.autograd.gradcheck(function, tensors)
            except (RuntimeError, ValueError) as error:  # among them its own GradcheckError
                return Gradcheck(False, _one_line([error, *(each.message for each in said)]))
            finally:  # it leaves them moved where the function raises an error
                for name, leaf in self._leaves.items():
                    leaf.data.copy_(torch.as_tensor(self._before[name]))
        return Gradcheck(True, _one_line([each.message for each in said]))

    def notes(self) -> list[str]:
        """Facts that no verdict hangs on."""
        if self.eps > 1e-10:  # coarser than double precision, by far
            return ["It runs in single precision: in double precision smaller errors are seen."]
        return []

    def _run(self, function: Any) -> Any:
        self._before_run()
        return function(*(self._inputs if self._movable is None else self._movable()))

    def _before_run(self) -> None:
        self._runs += 1
        if self._runs > MOST_RUNS:
            self._exhausted = NotDifferentiable(
                f"more than {MOST_RUNS:,} runs were needed; pass a smaller problem, fewer "
                "parameters (wrt=), or draws that are made already"
            )
            raise self._exhausted
        if self._reset is not None:
            self._reset()

    def _differences(self, function: Function) -> Differences:
        try:
            slopes = derivatives(function, self._leaves, order=self._order, eps=self.eps)
        except NotMovable as error:
            raise NotDifferentiable(str(error)) from error
        if self._exhausted is not None:  # to differences it is a point that has no value
            raise self._exhausted
        return slopes


def stands_still(slopes: Slopes) -> np.ndarray:
    """Where a value did not move at all, nor could have but for what is rounded to zero."""
    return np.asarray((slopes.value == 0.0) & (slopes.error <= STILL))


def _agree(automatic: Derivatives, expected: Differences, eps: float) -> bool:
    """Whether none is off by more than its error, and none was found on values that stand still."""
    for key, slopes in expected.items():
        error = slopes.error + OWN * eps * np.abs(automatic[key])
        off = np.abs(automatic[key] - slopes.value) > error
        if np.any(off & (slopes.kind == SMOOTH)) or np.any(stands_still(slopes)):
            return False
    return True


def _unresolve(automatic: np.ndarray, slopes: Slopes) -> Slopes:
    """The same; a value that is zero nearby tells nothing where roundings cannot be moved."""
    lost = stands_still(slopes) & (automatic != 0.0)
    places = [tuple(int(each) for each in at) for at in np.argwhere(lost)]
    reasons = dict.fromkeys(places, "its value is zero nearby, and its roundings cannot be moved")
    kind = np.where(lost, UNRESOLVED, slopes.kind)
    return dataclasses.replace(slopes, kind=kind, reasons={**slopes.reasons, **reasons})


def _automatic(value: Any, leaves: Mapping[str, Any], order: int) -> tuple[Derivatives, set[str]]:
    """PyTorch's derivatives of a value, and the names that it leads back to."""
    slopes = _slopes(value, leaves, again=order > 1)
    by_key: Derivatives = {
        (name,): _array_or_zeros(slopes[name], leaf) for name, leaf in leaves.items()
    }
    if order > 1:
        for one, other in itertools.combinations_with_replacement(leaves, 2):
            leaf = leaves[other]
            rows = [
                _array_or_zeros(_slopes(slope, {other: leaf}, again=True)[other], leaf)
                for slope in ([] if slopes[one] is None else slopes[one].reshape(-1))
            ]
            shape = (*leaves[one].shape, *leaf.shape)
            by_key[one, other] = np.array(rows).reshape(shape) if rows else np.zeros(shape)
    return by_key, {name for name, slope in slopes.items() if slope is not None}


def _slopes(value: Any, leaves: Mapping[str, Any], *, again: bool) -> dict[str, Any]:
    """By name; None for what is not reached."""
    if not getattr(value, "requires_grad", False):  # everything is detached
        return dict.fromkeys(leaves)
    torch: Any = sys.modules["torch"]  # it is imported, or there would be no tensor
    gradients = torch.autograd.grad(
        value.sum(), list(leaves.values()), allow_unused=True, retain_graph=True, create_graph=again
    )
    return dict(zip(leaves, gradients, strict=True))


def _array_or_zeros(slope: Any, leaf: Any) -> np.ndarray:
    return np.zeros(tuple(leaf.shape)) if slope is None else array_of(slope).astype(np.float64)


def _one_line(messages: Iterable[object]) -> str:
    return "; ".join(" ".join(str(each).split()).rstrip(".") for each in messages)
