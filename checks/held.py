"""Surrogates with held constants: their automatic derivatives against differences that hold too."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.replay import (
    MOST_PATHS,
    Path,
    Restless,
    array_of,
    intercepted,
    walk,
)
from gradproof.estimators.replay.held import Declared, Stop, holding, retake

from .differences import Known, coarsest, derivatives
from .enumerated import ROUNDINGS
from .evidence import HOLDS, Comparison, compare, compare_sets, judge_exact, worst_of
from .gradients import Mutates, Runner, complete, float_arrays
from .objective import MOST_RUNS, Expectation, NotDifferentiable, check_precision, one_number

#: Derivatives of one order by what they are by: one name, or two.
Derivatives = dict[tuple[str, ...], np.ndarray]

#: Stops that are named in an explanation; the others are counted.
NAMED = 6


@dataclasses.dataclass(frozen=True)
class Gradcheck:
    """What ``torch.autograd.gradcheck`` says of the same function; None where it cannot be run."""

    passed: bool | None
    words: str

    def __str__(self) -> str:
        verdict = {True: "passes", False: "fails", None: "was not run"}[self.passed]
        return f"torch.autograd.gradcheck {verdict}{': ' if self.words else ''}{self.words}"


@dataclasses.dataclass(frozen=True)
class Difference:
    """Where a derivative is farthest from what it should be, in units of what may be."""

    what: str
    index: tuple[int, ...]
    found: float
    expected: float


@dataclasses.dataclass(frozen=True)
class CheckedSurrogate:
    """What was found of one surrogate; asserts, tables and figures only read it.

    ``reached`` are the parameters that the gradient reaches on some path; ``stops`` what was held
    on the first path, and ``gradcheck`` what PyTorch's own says there, for which no verdict hangs.
    """

    name: str
    verdict: str
    order: int
    comparisons: tuple[Comparison, ...]
    worst: Difference | None
    reached: tuple[str, ...]
    stops: tuple[Stop, ...]
    gradcheck: Gradcheck
    paths: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether every derivative is what it should be, as far as could be seen."""
        return self.verdict == HOLDS

    def explain(self) -> str:
        """A paragraph: what came out, where it is worst, and what gradcheck says."""
        found = worst_of(self.comparisons)
        where = f"{self.paths:,} path{'s' if self.paths > 1 else ''}"
        lines = [f"{self.name}: {self.verdict}, on {where}; held: {self._held()}."]
        if found.note:
            lines.append(found.note)
        if self.worst is not None:
            index = list(self.worst.index) or ""
            lines.append(
                f"{self.worst.what}{index} is {self.worst.found:.6e}, should be "
                f"{self.worst.expected:.6e}: off by {found.error:.1e}, at most {found.bound:.1e} "
                f"is rounding, and derivatives are of size {found.signal:.1e}."
            )
        lines.append(f"The gradient reaches {', '.join(self.reached) or 'nothing'}.")
        return "\n".join([*lines, f"{self.gradcheck}.", *self.notes])

    def _held(self) -> str:
        shown = [str(stop) for stop in self.stops[:NAMED]]
        more = len(self.stops) - len(shown)
        return ", ".join([*shown, *([f"{more} more"] if more else [])]) or "nothing"


def check_surrogate(
    surrogate: Callable[..., Any],
    inputs: Sequence[Any] = (),
    *,
    wrt: Any = None,
    reaches: Iterable[str] | None = None,
    held: Sequence[Declared] = (),
    order: int = 1,
    objective: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    paths: int = MOST_PATHS,
    reset: Callable[[], object] | None = None,
    precision: float = 0.0,
    name: str | None = None,
) -> CheckedSurrogate:
    """Is the automatic derivative of a surrogate the derivative with its stopped terms held?

    Estimand: the derivative at theta0 of the surrogate whose stopped terms keep their values of
    theta0, and whose draws keep their outcomes: by fourth-order differences of its values.
    Estimator: automatic differentiation, PyTorch's or ``gradient``; on every path of the draws.
    Valid when: the surrogate is smooth around theta0, draws as :func:`.estimator.check_estimator`
    asks, and passes stops that :func:`gradproof.estimators.replay.held.holding` lists, or declares
    others with ``held``. A stop that is not known moves, and right surrogates are refuted.

    What it sees: a stop that is ignored; a backward pass that is wrong; gradients that reach what
    they should not, or not what they should (``reaches``). ``gradcheck`` moves the stopped terms
    too, so that it fails right surrogates.

    What it cannot see: a stop that is missing. A surrogate without it is another function, and its
    automatic derivative is right. Say what is wanted, in one of three ways: ``reaches``, if the
    term that is not stopped has parameters of its own; ``held``, what returns the term; or
    ``objective``, of which the mean derivative is to be the derivative. Second derivatives
    likewise: those of a score surrogate are what its held terms make them, and only ``objective``
    shows that they are not those of the mean, and that those of a magic box are.

    Args:
        surrogate: called with ``inputs``; returns one number.
        wrt: the module or tensors that it is differentiated by. Default: those among the inputs
            that require gradients; with ``gradient``, also arrays of real numbers. They are named
            by key or place, ``gradient`` if it is alone, and moved in place and put back.
        reaches: the names of those that the gradient should reach, and no others.
        held: pairs of where a function is looked up and its name, such as ``(model, "cost")``: what
            it returns is to be a constant, whether or not the surrogate stops it. For Theano, let
            the surrogate take the term from such a function, and ``gradient`` be the compiled
            ``grad(..., consider_constant=[term])``.
        order: 2 compares second derivatives too, of each entry by each.
        objective: draws, and returns the cost of one draw; its mean is enumerated.
        gradient: returns the gradient of the surrogate, called with ``inputs``, where the framework
            is not PyTorch. What is zero on every path counts as not reached.
        paths: that may be run at most.
        reset: called before each run, for a surrogate that keeps something.
        precision: of the coarsest arithmetic within, as of :func:`.estimator.check_estimator`.

    Raises:
        NotHeld: for a stop whose value cannot be kept, or a declared function that is not called.
        NotEnumerable: as :func:`gradproof.estimators.replay.walk`.
        NotDifferentiable: if there is nothing to move, too much, or the value is no finite number.
        Mutates: if a run changes what it is differentiated by.
        TypeError, ValueError: for other arguments that do not fit.

    Reference: Foerster et al. 2018 (DiCE), on what stops do to the second derivative.
    """
    started = time.perf_counter()
    label = name or str(getattr(surrogate, "__qualname__", type(surrogate).__name__))
    leaves = _parameters(surrogate, inputs, wrt, gradient)
    wanted = _wanted(reaches, leaves, order, gradient)
    check_precision(precision)
    subject = _Subject(surrogate, inputs, leaves, tuple(held), order, gradient, reset, precision)
    found = _Found(label)
    first: Path[Any] | None = None
    stops: tuple[Stop, ...] = ()
    reached: set[str] = set()
    sums = _Means()
    for path in walk(subject.first, subject.intercept, most=paths):
        automatic, expected, touched = subject.on(path)
        if first is None:
            first, stops = path, path.value[1]
        reached |= touched
        sums.add(path, automatic)
        for one, (known, error) in expected.items():
            found.add(_named(one), automatic[one], known, error, subject.eps)
    assert first is not None
    if objective is not None:
        for one, (known, error) in subject.exact(objective, paths).items():
            mean = sums.mean[one]
            found.add(f"mean of {_named(one)}", mean, known, error, subject.eps, sums.size[one])
    if wanted is not None:
        found.sets("the gradient", reached, wanted)
    comparisons = found.comparisons()
    worst = worst_of(comparisons)
    return CheckedSurrogate(
        name=label,
        verdict=judge_exact(comparisons),
        order=order,
        comparisons=comparisons,
        worst=found.places.get(worst.what),
        reached=tuple(each for each in leaves if each in reached),
        stops=stops,
        gradcheck=subject.gradcheck(first),
        paths=sums.count,
        seconds=time.perf_counter() - started,
        notes=tuple(subject.notes()),
    )


class _Subject:
    """A surrogate that is run, at theta0 and elsewhere."""

    def __init__(
        self,
        surrogate: Callable[..., Any],
        inputs: Sequence[Any],
        leaves: Mapping[str, Any],
        held: tuple[Declared, ...],
        order: int,
        gradient: Callable[..., Any] | None,
        reset: Callable[[], object] | None,
        precision: float,
    ) -> None:
        self._surrogate, self._inputs, self._leaves = surrogate, tuple(inputs), leaves
        self._held, self._order, self._gradient, self._reset = held, order, gradient, reset
        self._before = {name: array_of(leaf).copy() for name, leaf in leaves.items()}
        self._runs = 0
        self.intercept = intercepted(surrogate, gradient)
        self.eps = max(precision, coarsest(self._before))

    def first(self) -> tuple[Any, tuple[Stop, ...]]:
        """The value as it is, and what its stops gave."""
        with holding(declared=self._held) as keeper:
            value = self._run(self._surrogate)
        for name, leaf in self._leaves.items():
            if not np.array_equal(self._before[name], array_of(leaf), equal_nan=True):
                raise Mutates(f"the surrogate changes {name}; let it work on a copy")
        one_number(value, "the surrogate")
        return value, tuple(keeper.stops)

    def on(self, path: Path[Any]) -> tuple[Derivatives, Known, set[str]]:
        """The automatic derivatives on a path, what they should be, and what they reach."""
        value, stops = path.value
        if self._gradient is None:
            automatic, touched = _automatic(value, self._leaves, self._order)
        else:
            given = retake(lambda: self._run(self._gradient), self.intercept, path.choices)
            one = complete(given, self._before)
            automatic = {(key,): array for key, array in one.items()}
            touched = {key for key, array in one.items() if np.any(array)}

        def frozen() -> Any:
            with holding(stops, self._held):
                return self._run(self._surrogate)

        def value_of() -> float:
            return one_number(retake(frozen, self.intercept, path.choices), "the surrogate")

        here = one_number(value, "the surrogate")
        again = value_of()
        if here != again:
            raise Restless(
                f"the same draws and stops gave {again!r} after {here!r}: something is drawn that "
                "is not intercepted, or kept from one run to the next; pass reset="
            )
        return automatic, self._differences(value_of, abs(here)), touched

    def exact(self, objective: Callable[..., Any], paths: int) -> Known:
        """The derivatives of the enumerated mean of an objective."""
        mean = Expectation(objective, self._inputs, paths=paths, reset=self._before_run)
        return self._differences(lambda: mean().value, mean.settled().size)

    def gradcheck(self, path: Path[Any]) -> Gradcheck:
        """PyTorch's own verdict on the same function, with the draws of one path."""
        torch: Any = sys.modules.get("torch")
        tensors = list(self._leaves.values())
        if self._gradient is not None or torch is None:
            return Gradcheck(None, "it differentiates functions of PyTorch only")

        def function(*_: Any) -> Any:  # the tensors that it moves are those that the inputs hold
            return retake(lambda: self._run(self._surrogate), self.intercept, path.choices)

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
        return function(*self._inputs)

    def _before_run(self) -> None:
        self._runs += 1
        if self._runs > MOST_RUNS:
            raise NotDifferentiable(
                f"more than {MOST_RUNS:,} runs were needed; pass a smaller problem, fewer "
                "parameters (wrt=), or draws that are made already"
            )
        if self._reset is not None:
            self._reset()

    def _differences(self, value: Callable[[], float], size: float) -> Known:
        return derivatives(value, size, self._leaves, self._before, self._order, self.eps)


def _automatic(value: Any, leaves: Mapping[str, Any], order: int) -> tuple[Derivatives, set[str]]:
    """PyTorch's derivatives of a value, and the names that it leads back to."""
    slopes = _slopes(value, leaves, again=order > 1)
    found: Derivatives = {(name,): _filled(slopes[name], leaf) for name, leaf in leaves.items()}
    if order > 1:
        for one, other in itertools.combinations_with_replacement(leaves, 2):
            rows = [
                _filled(_slopes(each, {other: leaves[other]}, again=True)[other], leaves[other])
                for each in ([] if slopes[one] is None else slopes[one].reshape(-1))
            ]
            shape = (*leaves[one].shape, *leaves[other].shape)
            found[one, other] = np.array(rows).reshape(shape) if rows else np.zeros(shape)
    return found, {name for name, slope in slopes.items() if slope is not None}


def _slopes(value: Any, leaves: Mapping[str, Any], *, again: bool) -> dict[str, Any]:
    """By name; None for what is not reached."""
    if not getattr(value, "requires_grad", False):  # everything is held
        return dict.fromkeys(leaves)
    torch: Any = sys.modules["torch"]  # it is imported, or there would be no tensor
    found = torch.autograd.grad(
        value.sum(), list(leaves.values()), allow_unused=True, retain_graph=True, create_graph=again
    )
    return dict(zip(leaves, found, strict=True))


def _filled(slope: Any, leaf: Any) -> np.ndarray:
    return np.zeros(tuple(leaf.shape)) if slope is None else array_of(slope).astype(np.float64)


class _Means:
    """Weighted sums of derivatives over paths."""

    def __init__(self) -> None:
        self.mean: Derivatives = {}
        self.size: dict[tuple[str, ...], float] = {}
        self.count = 0

    def add(self, path: Path[Any], found: Derivatives) -> None:
        """Add a path."""
        self.count += 1
        for key, value in found.items():
            self.mean[key] = self.mean.get(key, 0.0) + path.weight * value
            size = float(np.abs(value).max(initial=0.0))
            self.size[key] = self.size.get(key, 0.0) + path.weight * size


class _Found:
    """The worst comparison of each quantity over all paths."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._worst: dict[str, Comparison] = {}
        self._sizes: dict[str, float] = {}
        self._sets: list[Comparison] = []
        self.places: dict[str, Difference] = {}

    def add(
        self,
        what: str,
        found: np.ndarray,
        known: np.ndarray,
        error: np.ndarray,
        eps: float,
        size: float = 0.0,
    ) -> None:
        """Compare the derivatives of one path, or their mean."""
        size = max(size, float(np.abs(known).max(initial=0.0)))
        bound = float(error.max(initial=0.0)) + ROUNDINGS * eps * size
        if not np.isfinite(known).all():
            raise NotDifferentiable(f"the differences by {what} are not finite at moved parameters")
        one = compare(what, found, known, bound, self._label, signal=size)
        self._sizes[what] = max(self._sizes.get(what, 0.0), size)
        old = self._worst.get(what)
        if old is None or worst_of([old, one]) is not old:
            self._worst[what] = one
            self.places[what] = _place(what, found, known)

    def sets(self, what: str, found: set[str], expected: set[str]) -> None:
        """Compare what is reached."""
        one = compare_sets(what, found, expected, self._label)
        note = one.note.replace("has also", "reaches also").replace("lacks", "does not reach")
        self._sets.append(dataclasses.replace(one, note=note))

    def comparisons(self) -> tuple[Comparison, ...]:
        """All, in order.

        A parameter that the value does not depend on has a derivative of zero, beside which nothing
        could be seen: the largest derivative on any path, by any parameter, is the measure.
        """
        size = max(self._sizes.values(), default=0.0)
        found = [dataclasses.replace(one, signal=size) for one in self._worst.values()]
        return (*found, *self._sets)


def _place(what: str, found: np.ndarray, known: np.ndarray) -> Difference:
    off = np.abs(found - known)
    place = np.argmax(np.where(np.isnan(off), np.inf, off)) if off.size else 0
    index = tuple(int(each) for each in np.unravel_index(place, off.shape)) if off.ndim else ()
    return Difference(what, index, float(found[index]), float(known[index]))


def _named(names: tuple[str, ...]) -> str:
    return f"second derivative by {' and '.join(names)}" if len(names) > 1 else names[0]


def _parameters(
    surrogate: Callable[..., Any], inputs: Sequence[Any], wrt: Any, gradient: Any
) -> Mapping[str, Any]:
    leaves = Runner(surrogate, inputs, wrt=wrt).leaves
    if not leaves and gradient is not None:
        leaves = float_arrays(inputs)
    if not sum(array_of(leaf).size for leaf in leaves.values()):
        raise NotDifferentiable(
            "there is nothing to differentiate by: pass tensors that require gradients as inputs "
            "or wrt=, or arrays of real numbers together with gradient="
        )
    return leaves


def _wanted(
    reaches: Iterable[str] | None, leaves: Mapping[str, Any], order: int, gradient: Any
) -> set[str] | None:
    if order not in (1, 2):
        raise ValueError(f"order = {order!r}, expected 1 or 2")
    if order == 2 and gradient is not None:
        raise ValueError("order=2 differentiates by PyTorch; it cannot go with gradient=")
    if isinstance(reaches, str):
        raise TypeError(f"reaches = {reaches!r}, expected names, such as [{reaches!r}]")
    wanted = None if reaches is None else set(reaches)
    unknown = sorted(map(str, (wanted or set()) - set(leaves)))
    if unknown:
        raise ValueError(f"reaches names {', '.join(unknown)}; there are {', '.join(leaves)}")
    return wanted


def _one_line(messages: Iterable[object]) -> str:
    return "; ".join(" ".join(str(each).split()).rstrip(".") for each in messages)
