"""Surrogates with stop-gradients: automatic derivatives against differences that respect them."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.differences import (
    Function,
    NotMovable,
    Slopes,
    derivatives,
)
from gradproof.estimators.enumeration.estimator import Estimator, float_arrays
from gradproof.estimators.enumeration.gradients import GradientLayout, array_of, named
from gradproof.estimators.enumeration.gradients import precision as coarsest
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.rounding import ROUNDINGS, measured
from gradproof.estimators.enumeration.run import (
    KEPT,
    MOST_PATHS,
    Choice,
    NotReproducible,
    Path,
    repeat,
)
from gradproof.estimators.enumeration.run import paths as paths_of
from gradproof.estimators.enumeration.slopes import KINK, SMOOTH, UNRESOLVED
from gradproof.estimators.enumeration.state import Snapshot
from gradproof.estimators.enumeration.stops import Declared, Stop, holding

from ..evidence import (
    COARSEST,
    FAR,
    HOLDS,
    UNDECIDED,
    Comparison,
    compare_entries,
    compare_sets,
    entry,
    judge,
    unresolved,
    worst_of,
)
from .expected_cost import MOST_RUNS, Expectation, NotDifferentiable, check_precision, one_number

#: Derivatives of one order by what they are by: one name, or two.
Derivatives = dict[tuple[str, ...], np.ndarray]

#: What they should be, by differences.
Known = dict[tuple[str, ...], Slopes]

#: Roundings of an automatic derivative that nothing cancels in.
OWN = 4.0

#: What is rounded to zero is below 2e-308, and steps are not shorter than some 1e-20: an error
#: below this is that alone.
STILL = 1e-280

#: Second differences leave a third of the digits. A second derivative that is zero to automatic
#: differentiation, and beside others to so many digits, is zero: most pairs of entries have none.
NONE = float(np.finfo(np.float64).eps) ** (1.0 / 3.0)

#: Paths on which an entry could not be seen to be off, that are looked at again beside all others.
BLIND = 1000

#: Stops that are named in an explanation; the others are counted.
NAMED = 6


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


@dataclasses.dataclass(frozen=True)
class Difference:
    """Where a derivative is farthest from what it should be, in units of what may be."""

    what: str
    index: tuple[int, ...]
    found: float
    expected: float


@dataclasses.dataclass(frozen=True)
class SurrogateReport:
    """The report on one surrogate; asserts, tables and figures only read it.

    ``reached`` are the parameters that the gradient reaches on some path; ``stops`` the
    stop-gradients on the first path, and ``gradcheck`` what ``torch.autograd.gradcheck`` says
    there, on which no verdict rests.
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
        lines = [f"{self.name}: {self.verdict}, on {where}; stop-gradients: {self._held()}."]
        notes = dict.fromkeys(one.note for one in self.comparisons if one.note)
        lines.extend(list(notes)[:NAMED])
        if self.worst is not None:
            index = list(self.worst.index) or ""
            lines.append(
                f"{self.worst.what}{index} is {self.worst.found:.6e}, should be "
                f"{self.worst.expected:.6e}: off by {found.error:.1e}, at most {found.bound:.1e} "
                f"is rounding, and derivatives are of size {found.signal:.1e}."
            )
        if self.verdict == UNDECIDED and (unseen := unresolved(self.comparisons)):
            lines.append(
                f"An error of {COARSEST:.0%} would not have been seen in {', '.join(unseen)}."
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
) -> SurrogateReport:
    """Is the automatic derivative of a surrogate right, given its stop-gradients (``detach``)?

    Estimand: the derivative at theta0 of the surrogate whose detached terms keep their values of
    theta0, and whose draws keep their outcomes: by fourth-order differences of its values.
    Estimator: automatic differentiation, PyTorch's or ``gradient``; on every path of the draws.
    Valid when: the surrogate is smooth around theta0, draws as :func:`.estimator.check_estimator`
    asks, and uses stop-gradients that :func:`gradproof.estimators.enumeration.stops.holding` lists,
    or declares others with ``held``. One that is not known moves, and right surrogates are refuted.

    What it sees: a stop-gradient that is ignored; a backward pass that is wrong; gradients that
    reach what they should not, or not what they should (``reaches``).
    ``torch.autograd.gradcheck`` moves the detached terms too, so that it fails right surrogates.

    What it cannot see: a missing stop-gradient. A surrogate without it is another function, and its
    automatic derivative is right. Say what is wanted, in one of three ways: ``reaches``, if the
    term that is not detached has parameters of its own; ``held``, what returns the term; or
    ``objective``, whose derivative the mean derivative should be. The same goes for second
    derivatives: those of a score-function surrogate follow from its detached terms, and only
    ``objective`` shows that they are not those of the mean, and that those of DiCE's magic box are.

    Args:
        surrogate: called with ``inputs``; returns one number.
        wrt: the module or tensors that it is differentiated by. Default: those among the inputs
            that require gradients; with ``gradient``, also arrays of real numbers. They are named
            by key or place, ``gradient`` if it is alone, and moved and put back.
        reaches: the names of those that the gradient should reach, and no others.
        held: stop-gradients to add: pairs of where a function is looked up and its name, such as
            ``(model, "cost")``. What it returns is to be a constant, whether or not the surrogate
            detaches it. For Theano, let
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
        UnsupportedStopGradient: for a stop-gradient whose value cannot be kept, or a declared
            function that is not called.
        NotEnumerable: as :func:`.estimator.check_estimator`.
        NotDifferentiable: if there is nothing to move, too much, or the value is no finite number.
        InputChanged: if a run changes what it is differentiated by.
        TypeError, ValueError: for other arguments that do not fit.

    Reference: Foerster et al. (2018), DiCE, on what stop-gradients do to higher derivatives;
    Schulman et al. (2015), Gradient estimation using stochastic computation graphs.
    """
    started = time.perf_counter()
    label = name or str(getattr(surrogate, "__qualname__", type(surrogate).__name__))
    leaves = _parameters(surrogate, inputs, wrt, gradient)
    wanted = _wanted(reaches, leaves, order, gradient)
    check_precision(precision)
    subject = _Subject(surrogate, inputs, leaves, tuple(held), order, gradient, reset, precision)
    found = _WorstComparisons(label)
    first: Path[Any] | None = None
    stops: tuple[Stop, ...] = ()
    reached: set[str] = set()
    sums = _DerivativeSums()
    with subject.run():
        for path in subject.paths(paths):
            automatic, expected, touched = subject.on(path)
            if first is None:
                first, stops = path, path.value[1]
            reached |= touched
            sums.add(path, automatic)
            sizes = {one: np.abs(each) for one, each in automatic.items()}
            for one, slopes in expected.items():
                found.add(
                    _named(one),
                    automatic[one],
                    slopes,
                    subject.eps,
                    sizes[one],
                    _scale(sizes, one),
                    level=_level(path),
                    reached=touched.issuperset(one),
                    second=len(one) > 1,
                )
        assert first is not None
        if objective is not None:
            for one, slopes in subject.exact(objective, paths).items():
                what, scale = f"mean of {_named(one)}", _scale(sums.size, one)
                found.add(
                    what,
                    sums.mean[one],
                    slopes,
                    subject.eps,
                    sums.size[one],
                    scale,
                    level=0.0,
                    reached=False,
                    second=len(one) > 1,
                )
        gradcheck = subject.gradcheck(first)
    if wanted is not None:
        found.sets("the gradient", reached, wanted)
    comparisons = found.comparisons()
    worst = worst_of(comparisons)
    return SurrogateReport(
        name=label,
        verdict=judge(comparisons),
        order=order,
        comparisons=comparisons,
        worst=found.places.get(worst.what),
        reached=tuple(each for each in leaves if each in reached),
        stops=stops,
        gradcheck=gradcheck,
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

    def paths(self, most: int) -> Iterator[Path[Any]]:
        """Each path of the surrogate once."""
        return paths_of(self.first, self._perform, most=most)

    def first(self) -> tuple[Any, tuple[Stop, ...]]:
        """The value as it is, and what its stops gave."""
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

    def on(self, path: Path[Any]) -> tuple[Derivatives, Known, set[str]]:
        """The automatic derivatives on a path, what they should be, and what they reach."""
        value, stops = path.value
        if self._gradient is None:
            automatic, touched = _automatic(value, self._leaves, self._order)
        else:
            given = repeat(lambda: self._run(self._gradient), self._perform, path.choices)
            layout = GradientLayout(self._before)
            one = layout.split(layout.row(named(given.value)))
            automatic = {(key,): array for key, array in one.items()}
            touched = {key for key, array in one.items() if np.any(array)}

        def frozen() -> Any:
            with holding(stops, self._held):
                return self._run(self._surrogate)

        def value_of() -> float:
            found = repeat(frozen, self._perform, path.choices)
            return one_number(found.value, "the surrogate")

        here = one_number(value, "the surrogate")
        again = value_of()
        if here != again:
            raise NotReproducible(
                f"nondeterministic: the same draws and stop-gradients gave {again!r} after "
                f"{here!r}: {KEPT}"
            )

        inner = 0.0

        def value_and_size() -> tuple[float, float]:
            return (value := value_of()), max(abs(value), inner)

        expected = self._differences(value_and_size)
        if not _agree(automatic, expected, self.eps):
            # What cancels inside may be larger than what comes out of it.
            moved = self._moved(frozen, path.choices, here)
            if moved is None and not here:
                expected = {key: _unknown(automatic[key], each) for key, each in expected.items()}
            elif moved is not None and moved > self.eps * abs(here):
                inner = moved / self.eps
                expected = self._differences(value_and_size)
        return automatic, expected, touched

    def _moved(
        self, frozen: Callable[[], Any], choices: Sequence[Choice], here: float
    ) -> float | None:
        """What moved roundings inside move a value by at most; None if nothing can be moved."""

        def value() -> dict[str, np.ndarray]:
            other = repeat(frozen, self._perform, choices).value
            return {"value": np.array(one_number(other, "the surrogate"))}

        try:
            # From a seed: the same each time.
            found = measured(value, {"value": np.array(here)}, np.random.default_rng(0))
        except Exception:  # noqa: BLE001 - it runs as it is, and not with moved roundings
            return None
        return float(found.largest["value"]) if found.measured else None

    def exact(self, objective: Callable[..., Any], paths: int) -> Known:
        """The derivatives of the enumerated mean of an objective."""
        expectation = Expectation(objective, self._inputs, paths=paths, reset=self._before_run)
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
        return function(*self._inputs)

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

    def _differences(self, function: Function) -> Known:
        try:
            found = derivatives(function, self._leaves, order=self._order, eps=self.eps)
        except NotMovable as error:
            raise NotDifferentiable(str(error)) from error
        if self._exhausted is not None:  # to differences it is a point that has no value
            raise self._exhausted
        return found


def _still(slopes: Slopes) -> np.ndarray:
    """Where a value did not move at all, nor could have but for what is rounded to zero."""
    return np.asarray((slopes.value == 0.0) & (slopes.error <= STILL))


def _agree(found: Derivatives, slopes: Known, eps: float) -> bool:
    """Whether none is off by more than its error, and none was found on values that stand still."""
    for key, each in slopes.items():
        off = np.abs(found[key] - each.value) > each.error + OWN * eps * np.abs(found[key])
        if np.any(off & (each.kind == SMOOTH)) or np.any(_still(each)):
            return False
    return True


def _unknown(found: np.ndarray, slopes: Slopes) -> Slopes:
    """The same; a value that is zero nearby tells nothing where roundings cannot be moved."""
    lost = _still(slopes) & (found != 0.0)
    places = [tuple(int(each) for each in at) for at in np.argwhere(lost)]
    reasons = dict.fromkeys(places, "its value is zero nearby, and its roundings cannot be moved")
    kind = np.where(lost, UNRESOLVED, slopes.kind)
    return dataclasses.replace(slopes, kind=kind, reasons={**slopes.reasons, **reasons})


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
    if not getattr(value, "requires_grad", False):  # everything is detached
        return dict.fromkeys(leaves)
    torch: Any = sys.modules["torch"]  # it is imported, or there would be no tensor
    found = torch.autograd.grad(
        value.sum(), list(leaves.values()), allow_unused=True, retain_graph=True, create_graph=again
    )
    return dict(zip(leaves, found, strict=True))


def _filled(slope: Any, leaf: Any) -> np.ndarray:
    return np.zeros(tuple(leaf.shape)) if slope is None else array_of(slope).astype(np.float64)


class _DerivativeSums:
    """Weighted sums of derivatives over paths."""

    def __init__(self) -> None:
        self.mean: Derivatives = {}
        self.size: Derivatives = {}
        self.count = 0

    def add(self, path: Path[Any], found: Derivatives) -> None:
        """Add a path."""
        self.count += 1
        for key, value in found.items():
            self.mean[key] = self.mean.get(key, 0.0) + path.probability * value
            self.size[key] = self.size.get(key, 0.0) + path.probability * np.abs(value)


class _PathComparison(NamedTuple):
    """The derivatives of one path, as :func:`compare_entries` has them."""

    what: str
    found: np.ndarray
    expected: np.ndarray
    bounds: np.ndarray
    sizes: np.ndarray
    scale: float
    own_error: np.ndarray

    def compare(self, label: str, largest: np.ndarray | float = 0.0) -> Comparison:
        """Entry by entry.

        Args:
            largest: what each entry is at most on any path: what is lost beside that is no loss.
        """
        return compare_entries(
            self.what,
            self.found,
            self.expected,
            self.bounds,
            label,
            sizes=self.sizes,
            scale=np.maximum(self.scale, largest),
            own_error=self.own_error,
        )


class _WorstComparisons:
    """The worst comparison of each quantity over all paths."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._worst: dict[str, Comparison] = {}
        self._coarsest: dict[str, float] = {}
        self._unseen: dict[str, dict[str, None]] = {}
        self._notes: dict[str, str] = {}
        self._sets: list[Comparison] = []
        self._largest: dict[str, np.ndarray] = {}
        self._blind: list[_PathComparison] = []
        self.places: dict[str, Difference] = {}

    def add(
        self,
        what: str,
        found: np.ndarray,
        slopes: Slopes,
        eps: float,
        sizes: np.ndarray,
        scale: float,
        *,
        level: float,
        reached: bool,
        second: bool = False,
    ) -> None:
        """Compare the derivatives of one path, or their mean, entry by entry.

        Args:
            sizes: what is added up in each entry, without signs.
            scale: the largest of anything beside them.
            level: the size of the value itself. Where it does not move at all, it may have moved by
                half of its last digit.
            reached: whether the graph leads to what it is differentiated by; where it does not,
                and nothing moves, there is nothing to be seen.
            second: whether they are second derivatives.
        """
        known = slopes.kind == SMOOTH
        self._note(what, found, slopes)
        if reached:
            still, least = _still(slopes), eps * level
        else:
            still, least = (slopes.value == 0.0) & (found == 0.0), 0.0
        slopes = dataclasses.replace(slopes, error=np.where(still, least, slopes.error))
        # An unknown slope agrees with anything, and resolves nothing.
        expected = np.where(np.isfinite(slopes.value), slopes.value, found)
        bounds, own_error = np.where(known, slopes.error + OWN * eps * sizes, FAR), slopes.error
        if second:
            none = (found == 0.0) & (np.abs(expected) <= slopes.error)
            none &= slopes.error <= NONE * scale
            expected, sizes = np.where(none, 0.0, expected), np.where(none, 0.0, sizes)
            own_error = np.where(none, 0.0, own_error)
        # What cancels inside automatic differentiation is not known, and matters to few entries.
        off = np.abs(found - expected) > bounds
        bounds = np.where(off, bounds + ROUNDINGS * eps * scale, bounds)
        sizes = np.where(known, sizes, np.maximum(sizes, np.finfo(np.float64).tiny))
        self._largest[what] = np.maximum(self._largest.get(what, 0.0), np.abs(found))
        pair = _PathComparison(what, found, expected, bounds, sizes, scale, own_error)
        one = pair.compare(self._label)
        if one.unseen and len(self._blind) < BLIND:
            self._blind.append(pair)  # beside other paths there may be more to be seen
        else:
            self._keep(pair, one)

    def _keep(self, pair: _PathComparison, one: Comparison) -> None:
        what, found, expected, at = pair.what, pair.found, pair.expected, one.index
        self._coarsest[what] = max(self._coarsest.get(what, 0.0), one.resolution)
        self._unseen.setdefault(what, {}).update(dict.fromkeys(one.unseen))
        old = self._worst.get(what)
        if old is None or worst_of([old, one]) is not old:
            self._worst[what] = one
            # An empty array has no place to be worst in.
            both = (float(found[at]), float(expected[at])) if found.size else (0.0, 0.0)
            self.places[what] = Difference(what, at, *both)

    def _note(self, what: str, found: np.ndarray, slopes: Slopes) -> None:
        """Say why the first entry of unknown slope has none, on the first path that has one."""
        places = np.argwhere(slopes.kind != SMOOTH)
        if not len(places) or what in self._notes:
            return
        at = tuple(int(each) for each in places[0])
        if slopes.kind[at] == KINK:
            why = "not differentiable there"
            if np.isfinite(slopes.left[at]):
                why = (
                    f"{why}: slopes to its two sides are {slopes.left[at]:.6g} and "
                    f"{slopes.right[at]:.6g}, and automatic differentiation has {found[at]:.6g}"
                )
        else:
            why = f"not known: {slopes.reasons.get(at, 'no step does')}"
        more = f" (so are {len(places) - 1:,} more of its entries)" if len(places) > 1 else ""
        self._notes[what] = f"{entry(what, at)} is {why}{more}."

    def sets(self, what: str, found: set[str], expected: set[str]) -> None:
        """Compare what is reached."""
        one = compare_sets(what, found, expected, self._label)
        note = one.note.replace("has also", "reaches also").replace("lacks", "does not reach")
        self._sets.append(dataclasses.replace(one, note=note))

    def comparisons(self) -> tuple[Comparison, ...]:
        """All, in order; each with what could have been seen in every entry, on every path."""
        for pair in self._blind:
            self._keep(pair, pair.compare(self._label, self._largest[pair.what]))
        self._blind.clear()
        found = [
            dataclasses.replace(
                one,
                coarsest=self._coarsest[what],
                unseen=tuple(self._unseen[what])[:NAMED],
                note=one.note or self._notes.get(what, ""),
            )
            for what, one in self._worst.items()
        ]
        return (*found, *self._sets)


def _level(path: Path[Any]) -> float:
    """The size of a surrogate's value on a path."""
    return abs(one_number(path.value[0], "the surrogate"))


def _scale(sizes: Derivatives, like: tuple[str, ...]) -> float:
    """The largest of all of one order."""
    alike = (each for key, each in sizes.items() if len(key) == len(like))
    return max((float(each.max(initial=0.0)) for each in alike), default=0.0)


def _named(names: tuple[str, ...]) -> str:
    return f"second derivative by {' and '.join(names)}" if len(names) > 1 else names[0]


def _parameters(
    surrogate: Callable[..., Any], inputs: Sequence[Any], wrt: Any, gradient: Any
) -> Mapping[str, Any]:
    leaves = Estimator(surrogate, inputs, wrt=wrt).leaves
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
        raise ValueError("order=2 differentiates by PyTorch; leave out gradient=, or pass order=1")
    if isinstance(reaches, str):
        raise TypeError(f"reaches = {reaches!r}, expected names, such as [{reaches!r}]")
    wanted = None if reaches is None else set(reaches)
    unknown = sorted(map(str, (wanted or set()) - set(leaves)))
    if unknown:
        raise ValueError(f"reaches names {', '.join(unknown)}; there are {', '.join(leaves)}")
    return wanted


def _one_line(messages: Iterable[object]) -> str:
    return "; ".join(" ".join(str(each).split()).rstrip(".") for each in messages)
