"""The inputs at which an estimator is off most: searched for, and made simple."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn_arrays

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.input_arrays import like_input
from gradproof.estimators.enumeration.limits import MOST_PATHS
from gradproof.estimators.enumeration.spread import RoundingBounds
from gradproof.estimators.enumeration.whole_numbers import whole_from

from ..evidence import HOLDS
from .estimand import DIFFERENCES, exact_gradient
from .estimator import check_estimator
from .estimator_report import EstimatorReport
from .objective import gradient_of_objective
from .progress import Progress, reporting

#: Inputs that are tried, where nobody says how many.
EXAMPLES = 200

#: A simple input will do if it shows this share of the largest bias that was found.
ENOUGH = 0.5

#: Between these numbers each entry of an input is looked for.
LOW, HIGH = -3.0, 3.0


#: A bias below this share of the gradient is not searched for: differences leave as much.
SEEN = DIFFERENCES * 100.0

#: For Hypothesis: nothing is printed, slowness is no error, and no example is kept.
QUIET: Any = {
    "database": None,
    "deadline": None,
    "suppress_health_check": list(hypothesis.HealthCheck),
    "verbosity": hypothesis.Verbosity.quiet,
    "phases": (hypothesis.Phase.generate, hypothesis.Phase.target, hypothesis.Phase.shrink),
}

#: Options with which a mean is not that of all paths, or compared otherwise.
OTHERWISE = frozenset({"draws", "integrate", "strategy", "fast", "exchangeable"})


@dataclasses.dataclass(frozen=True)
class WorstCase:
    """The simplest inputs that were found at which an estimator is off by much.

    ``bias`` is the length of mean - gradient there, in units of the gradient's, ``largest`` that of
    the worst of all ``examples``. ``report`` is that at ``inputs``.
    """

    inputs: tuple[np.ndarray, ...]
    bias: float
    largest: float
    examples: int
    report: EstimatorReport

    def explain(self) -> str:
        """Where it is off, and by how much."""
        if self.report.verdict == HOLDS:
            return (
                f"{self.report.name}: no bias was found at {self.examples} inputs; that proves "
                "nothing of the others."
            )
        at = ", ".join(np.array2string(one, separator=", ") for one in self.inputs)
        return (
            f"At {at} the mean is off by {self.bias:.0%} of the gradient; the largest of "
            f"{self.examples} inputs was {self.largest:.0%}.\n{self.report.explain()}"
        )


def find_worst_case(
    estimate: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    examples: int = EXAMPLES,
    low: float = LOW,
    high: float = HIGH,
    **options: Any,
) -> WorstCase:
    """The inputs at which an estimator's bias is largest, as simple as they can be made.

    Estimand and estimator: as of :func:`check_estimator`, at all inputs of these shapes. Hypothesis
    looks for large biases, and then for simple numbers (zeros, few digits) at which half as much
    is left. It finds what it finds: that it holds everywhere it looked proves nothing of the rest.
    Valid when: ``exact`` is a function of the inputs, or ``objective`` is given.

    Args:
        inputs: arrays or tensors, whose shapes and types others have.
        examples: inputs that are tried.
        low, high: between which every entry lies, in hundredths.
        options: of :func:`check_estimator`. ``progress`` is called for each input that is tried.

    Raises:
        TypeError: if ``inputs`` is no list or tuple.
        ValueError: if ``exact`` is numbers, there is nothing to be moved, or no hundredth lies
            between ``low`` and ``high``.
        ModuleNotFoundError: without Hypothesis.
        Other errors: as :func:`check_estimator`, at the inputs given.
    """
    if options.get("exact") is not None and not callable(options["exact"]):
        raise ValueError(
            "exact= is numbers, which fit one input only; pass a function of the inputs, or "
            "objective="
        )
    hundredths(low, high)
    words = f"examples = {examples!r:.40}, expected a whole number from 1"
    examples = whole_from(examples, 1, words)
    if not isinstance(inputs, list | tuple):
        raise TypeError(
            f"inputs is {' '.join(repr(inputs).split()):.60}, expected a list or tuple of arrays "
            "or tensors; put a single input in a list"
        )
    with reporting(options.pop("progress", None)) as progress:
        search = _Search(estimate, inputs, options, low, high, progress)
        search.look_at(search.given)  # wrong options are an error here, not one of Hypothesis
        search.run(examples)
        simple = search.simplest()
        report = search.report_at(simple)
    return WorstCase(simple, _bias(report), search.largest, search.tried, report)


class _Search:
    """What was found so far, of one estimator."""

    def __init__(
        self,
        estimate: Callable[..., Any],
        inputs: Sequence[Any],
        options: dict[str, Any],
        low: float,
        high: float,
        progress: Progress | None,
    ) -> None:
        self._estimate, self._options = estimate, {**options, "progress": False}
        self._progress, self._total, self._what = progress, 1, "inputs"
        self._inputs, self._low, self._high = inputs, low, high
        self.given = tuple(_array(place, one) for place, one in enumerate(inputs))
        if not sum(one.size for one in self.given):
            raise ValueError("inputs has no entry that could be moved: give an array or a tensor")
        self.largest, self.worst, self.tried = 0.0, self.given, 0

    def report_at(self, arrays: Sequence[np.ndarray]) -> EstimatorReport:
        """The report at some inputs."""
        return check_estimator(self._estimate, self._like(arrays), **self._options)

    def _like(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        return [like_input(one, array) for one, array in zip(self._inputs, arrays, strict=True)]

    def look_at(self, arrays: tuple[np.ndarray, ...]) -> float:
        """The bias there; the largest is kept."""
        self.tried += 1
        if self._progress is not None:
            self._progress(self.tried, max(self.tried, self._total), self._what)
        if self._options.keys() & OTHERWISE:
            bias = _bias(self.report_at(arrays))
        else:
            bias = self._enumerated_bias(arrays)
        if bias > self.largest:
            self.largest, self.worst = bias, arrays
        return bias

    def _enumerated_bias(self, arrays: tuple[np.ndarray, ...]) -> float:
        """The bias there without a verdict, whose bounds take longer than the mean."""
        options = self._options
        estimator = Estimator(
            self._estimate,
            self._like(arrays),
            wrt=options.get("wrt"),
            reset=options.get("reset"),
            returns=options.get("returns"),
        )
        paths = options.get("paths", MOST_PATHS)
        if options.get("objective") is None:
            estimand = exact_gradient(options.get("exact"), estimator)
        else:
            estimand = gradient_of_objective(options["objective"], estimator, paths=paths)
        with Enumeration(estimator, paths) as enumeration:
            moments = enumeration.moments(estimand.value)
            bounds = RoundingBounds(
                enumeration, moments, estimator.precision, options.get("precision", 0.0)
            )
        mean, exact = moments.mean(), moments.layout.row(estimand.value)
        own = moments.layout.row(estimand.error) + moments.layout.row(estimand.unstated)
        # What may be rounding is no bias, however small the gradient is that it is beside.
        if (np.abs(mean - exact) <= bounds.wide.bound + own).all():
            return 0.0
        return _share(moments.layout.split(mean), estimand.value)

    def run(self, examples: int) -> None:
        """Try so many inputs, towards larger biases."""
        self._total = examples + 1

        @hypothesis.settings(max_examples=examples, **QUIET)
        @hypothesis.given(self._strategy())
        def look(arrays: tuple[np.ndarray, ...]) -> None:
            hypothesis.target(min(self._bias_or_none(arrays), 1e9))

        look()

    def simplest(self) -> tuple[np.ndarray, ...]:
        """Simple inputs that show enough of the largest bias; those given if there is none."""
        if self.largest == 0.0:
            return self.given
        enough, before = ENOUGH * self.largest, self.tried
        self._what = "inputs, now for simple ones"
        try:
            found: tuple[np.ndarray, ...] = hypothesis.find(
                self._strategy(),
                lambda arrays: self._bias_or_none(arrays) >= enough,
                settings=hypothesis.settings(max_examples=4 * before, **QUIET),
            )
        except hypothesis.errors.NoSuchExample:
            return self.worst
        return found

    def _bias_or_none(self, arrays: tuple[np.ndarray, ...]) -> float:
        """The bias there; none where it cannot be checked."""
        try:
            return self.look_at(arrays)
        except (GradproofError, ArithmeticError):
            return 0.0

    def _strategy(self) -> Any:
        # Hundredths: they shrink to numbers that a reader can write down.
        steps = hundredths(self._low, self._high)
        entries = st.integers(*steps).map(lambda step: step / 100.0)
        return st.tuples(*(drawn_arrays(float, one.shape, elements=entries) for one in self.given))


def hundredths(low: float, high: float) -> tuple[int, int]:
    """The first and the last hundredth from ``low`` to ``high``, times a hundred.

    Raises:
        ValueError: if there is none.
    """
    if math.isfinite(low) and math.isfinite(high):
        # 100 * 0.29 is below 29 by a rounding.
        first, last = math.ceil(round(100.0 * low, 9)), math.floor(round(100.0 * high, 9))
        if first <= last:
            return first, last
    raise ValueError(
        f"low = {low!r} and high = {high!r}, expected numbers with a hundredth between them, as "
        "entries are tried in hundredths"
    )


def _bias(report: EstimatorReport) -> float:
    """The length of mean - gradient in units of the gradient's; 0 where it holds."""
    return 0.0 if report.verdict == HOLDS else _share(report.mean, report.exact)


def _share(mean: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]) -> float:
    """The length of mean - gradient in units of the gradient's; 0 where none was to be seen."""
    off = math.sqrt(sum(float(((mean[key] - exact[key]) ** 2).sum()) for key in exact))
    length = math.sqrt(sum(float((value**2).sum()) for value in exact.values()))
    share = off / length if length > 0.0 and math.isfinite(off) else 0.0
    return share if share > SEEN else 0.0


def _array(place: int, value: Any) -> np.ndarray:
    """Of an input.

    Raises:
        ValueError: if it is none of numbers that can be moved.
    """
    detach = getattr(value, "detach", None)
    array = np.asarray(value if detach is None else detach().cpu().numpy())
    if array.dtype.kind != "f":
        raise ValueError(
            f"inputs[{place}] is {value!r:.60}, expected an array or tensor of real numbers; leave "
            "what is not to be moved out of the inputs (functools.partial)"
        )
    return array.astype(float)
