"""Surrogates with stop-gradients: automatic derivatives against differences that respect them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from gradproof.estimators.enumeration.estimator import Estimator, float_arrays
from gradproof.estimators.enumeration.expectation import NotDifferentiable, one_number
from gradproof.estimators.enumeration.gradients import GradientLayout, array_of
from gradproof.estimators.enumeration.input_arrays import input_arrays
from gradproof.estimators.enumeration.limits import MOST_PATHS
from gradproof.estimators.enumeration.moments import Moments
from gradproof.estimators.enumeration.run import Path
from gradproof.estimators.enumeration.stops import Declared, Stop

from ..evidence import (
    COARSEST,
    FAR,
    HOLDS,
    UNDECIDED,
    Comparison,
    entry,
    judge,
    unresolved_quantities,
    worst_of,
)
from ..section import Headline, Section, SectionTable
from . import snippet
from .code_name import code_name
from .differentiated_by import Parameters, differentiated_by
from .expected_cost import check_precision
from .plotted_report import PlottedReport
from .progress import Progress, telling
from .refused_draws import saying_instead
from .sections import comparison_table, largest_ratios, small
from .surrogate_comparisons import NAMED, Difference, WorstComparisons
from .surrogate_runs import Derivatives, Gradcheck, SurrogateRuns

#: What to do about a continuous number in a surrogate.
DRAWN_BEFORE = (
    "or draw it before the check, and let the surrogate use what was drawn: its derivatives are "
    "compared there; whether their mean is the wanted one is for check_estimator to say"
)


@dataclasses.dataclass(frozen=True, repr=False)
class SurrogateReport(PlottedReport):
    """The report on one surrogate; asserts, tables and figures only read it.

    ``reached`` are the parameters that the gradient reaches on some path; ``stops`` the
    stop-gradients on the first path, and ``gradcheck`` what ``torch.autograd.gradcheck`` says
    there, on which no verdict rests. ``worst_ratios`` are the largest error of each entry over its
    bound, on any path; ``mean`` and ``variance`` are of the automatic derivatives over all paths.
    ``snippet`` has lines that repeat the check, as far as what it was given can be written.
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
    snippet: str = ""
    worst_ratios: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    mean: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    variance: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    condition_words: ClassVar[str] = "report.right, or read report.verdict"

    @property
    def ratios(self) -> Mapping[str, np.ndarray]:
        """The largest error of each entry over its bound, on any path, by what it is."""
        return self.worst_ratios

    @property
    def right(self) -> bool:
        """Whether every derivative is what it should be, as far as could be seen."""
        return self.verdict == HOLDS

    def explain(self) -> str:
        """A paragraph: what came out, where it is worst, and what gradcheck says."""
        worst = worst_of(self.comparisons)
        where = f"{self.paths:,} path{'s' if self.paths > 1 else ''}"
        lines = [f"{self.name}: {self.verdict}, on {where}; stop-gradients: {self._list_stops()}."]
        notes = dict.fromkeys(one.note for one in self.comparisons if one.note)
        lines.extend(list(notes)[:NAMED])
        if self.worst is not None:
            index = list(self.worst.index) or ""
            lines.append(
                f"{self.worst.what}{index} is {self.worst.found:.6e}, should be "
                f"{self.worst.expected:.6e}: off by {worst.error:.1e}, at most {worst.bound:.1e} "
                f"is rounding, and derivatives are of size {worst.signal:.1e}."
            )
        if self.verdict == UNDECIDED and (unseen := unresolved_quantities(self.comparisons)):
            lines.append(
                f"An error of {COARSEST:.0%} would not have been seen in {', '.join(unseen)}."
            )
        lines.append(f"The gradient reaches {', '.join(self.reached) or 'nothing'}.")
        return "\n".join([*lines, f"{self.gradcheck}.", *self.notes])

    def headline(self) -> Headline:
        """Its name, its verdict, and the derivative that is farthest off, in units of its bound."""
        worst = worst_of(self.comparisons)
        off = (
            f"{entry(worst.what, worst.index)} is off by {small(worst.error)}, at most "
            f"{small(worst.bound)} is rounding"
        )
        return Headline(self.name, self.verdict, worst.note or off)

    def section(self) -> Section:
        """What a page shows of it."""
        named = {one.what: one for one in self.comparisons}
        stops = tuple((stop.what, stop.where) for stop in self.stops)
        facts = {
            "paths": f"{self.paths:,}",
            "order of the derivatives": str(self.order),
            "the gradient reaches": ", ".join(self.reached) or "nothing",
            "time": f"{self.seconds:.2f} s",
        }
        return Section(
            *self.headline(),
            paragraphs=tuple(self.explain().splitlines()),
            facts=tuple(facts.items()),
            tables=(
                comparison_table("Derivatives", named),
                SectionTable("Stop-gradients on the first path", ("function", "where"), stops),
            ),
            ratios=largest_ratios(self.comparisons),
            snippet=self.snippet,
        )

    def _list_stops(self) -> str:
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
    progress: Progress | bool | None = None,
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
            by key or place, ``gradient`` if it is alone, and moved and put back; of arrays of JAX,
            and of arrays in collections, those that ``gradient`` is by, with its names, as copies.
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
        progress: the same.

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
    given, started = dict(locals()), time.perf_counter()
    label = name or code_name(surrogate)
    parameters = _parameters(surrogate, inputs, wrt, gradient)
    for code, what in ((surrogate, "the surrogate"), (objective, "the objective")):
        if code is not None:
            parameters.check_not_kept(code, what)
    leaves = parameters.leaves
    wanted = _check_reaches(reaches, leaves, order, gradient)
    check_precision(precision)
    runs = SurrogateRuns(
        surrogate, inputs, parameters, tuple(held), order, gradient, reset, precision
    )
    comparisons = WorstComparisons(label)
    first: Path[Any] | None = None
    moments: Moments | None = None
    reached: set[str] = set()
    with saying_instead(DRAWN_BEFORE), telling(progress, paths) as listener, runs.run():
        for path in runs.paths(paths, listener):
            automatic, expected, touched = runs.derivatives_on(path)
            by_name = {_derivative_name(key): array for key, array in automatic.items()}
            if moments is None:
                first, moments = path, Moments(GradientLayout(by_name))
            moments.add(path._replace(value=by_name))
            reached |= touched
            sizes = {key: np.abs(array) for key, array in automatic.items()}
            for key, slopes in expected.items():
                comparisons.add(
                    _derivative_name(key),
                    automatic[key],
                    slopes,
                    runs.eps,
                    sizes[key],
                    _scale(sizes, key),
                    level=abs(one_number(path.value[0], "the surrogate")),
                    reached=touched.issuperset(key),
                    second=len(key) > 1,
                )
        assert first is not None
        assert moments is not None
        if objective is not None:
            mean, size = (moments.layout.split(row) for row in (moments.mean(), moments.size()))
            sizes = {key: size[_derivative_name(key)] for key in automatic}
            left_out = moments.layout.split(np.minimum(moments.left_out(), FAR))
            for key, slopes in runs.exact(objective, paths).items():
                error = slopes.error + left_out[_derivative_name(key)]
                comparisons.add(
                    f"mean of {_derivative_name(key)}",
                    mean[_derivative_name(key)],
                    dataclasses.replace(slopes, error=error),
                    runs.eps,
                    sizes[key],
                    _scale(sizes, key),
                    level=0.0,
                    reached=False,
                    second=len(key) > 1,
                )
        gradcheck = runs.gradcheck(first)
    if wanted is not None:
        comparisons.compare_reach("the gradient", reached, wanted)
    compared = comparisons.finish()
    return SurrogateReport(
        name=label,
        verdict=judge(compared),
        order=order,
        comparisons=compared,
        worst=comparisons.places.get(worst_of(compared).what),
        reached=tuple(name for name in leaves if name in reached),
        stops=first.value[1],
        gradcheck=gradcheck,
        paths=moments.count,
        seconds=time.perf_counter() - started,
        notes=tuple(runs.notes()),
        snippet=snippet.of_call(check_surrogate, given),
        worst_ratios=comparisons.ratios,
        mean=moments.layout.split(moments.mean()),
        variance=moments.layout.split(moments.variance()),
    )


def _parameters(
    surrogate: Callable[..., Any], inputs: Sequence[Any], wrt: Any, gradient: Any
) -> Parameters:
    leaves = Estimator(surrogate, inputs, wrt=wrt).leaves
    if wrt is not None and not leaves:
        raise TypeError(
            f"wrt is {wrt!r:.60}, expected a module, a tensor that requires a gradient, or a "
            "mapping or sequence of such tensors; with gradient= all arrays of real numbers among "
            "the inputs are differentiated by: leave it out"
        )
    if not leaves and gradient is not None:
        leaves = float_arrays(inputs)
        if len(input_arrays(gradient, inputs)) > len(leaves):  # of JAX, or in collections
            return differentiated_by(Estimator(gradient, inputs))
    if not sum(array_of(leaf).size for leaf in leaves.values()):
        raise NotDifferentiable(
            "there is nothing to differentiate by: pass tensors that require gradients as inputs "
            "or wrt=, or arrays of real numbers together with gradient="
        )
    return Parameters(leaves)


def _check_reaches(
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


def _scale(sizes: Derivatives, like: tuple[str, ...]) -> float:
    """The largest of all of one order."""
    alike = (each for key, each in sizes.items() if len(key) == len(like))
    return max((float(each.max(initial=0.0)) for each in alike), default=0.0)


def _derivative_name(names: tuple[str, ...]) -> str:
    return f"second derivative by {' and '.join(names)}" if len(names) > 1 else names[0]
