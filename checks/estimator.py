"""Anyone's estimator against its estimand: its own code, run once for every outcome."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.replay import MOST_PATHS, Continuous, TooManyPaths, named

from .enumerated import enumerate_paths
from .evidence import (
    COARSEST,
    HOLDS,
    REFUTED,
    UNDECIDED,
    Comparison,
    compare,
    judge_exact,
    unresolved,
    worst_of,
)
from .gradients import Runner, float_arrays
from .objective import by_differences, check_precision
from .sampled import Sampled, sample
from .sequential import ALPHA

#: A sampled verdict holds if a bias of this share of the largest entry would have been seen: what
#: baselines that contain their own draw do to a batch of ten.
SEEN = 0.1

#: The least probability of an outcome that matters, unless told otherwise: some thousand draws are
#: taken to know the range of the rest.
RAREST = 1e-3

#: In place of infinity, where a bound must be a number.
FAR = 1e300


#: Relative errors below this are such as arithmetic in single precision makes: roundings of 6e-8,
#: some hundreds of them.
SINGLE = 1e-4


@dataclasses.dataclass(frozen=True)
class Bias:
    """Where a mean is farthest from what it should be, in units of what may be."""

    parameter: str
    index: tuple[int, ...]
    mean: float
    exact: float


@dataclasses.dataclass(frozen=True)
class Checked:
    """What was found of one estimator; asserts, tables and figures only read it.

    ``method`` is ``enumerated`` or ``sampled``. ``mean`` and ``variance`` are over all paths, by
    parameter; ``exact`` is what the mean should be. ``paths`` were run, of at most ``draws`` draws;
    or as many ``draws`` were sampled, and ``detectable`` is the smallest bias that would have been
    seen in any entry. ``places`` are the entries that ``comparisons`` are of, by parameter.
    ``notes`` are facts that no verdict hangs on.
    """

    name: str
    verdict: str
    method: str
    comparisons: tuple[Comparison, ...]
    places: Mapping[str, tuple[int, ...]]
    worst: Bias
    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]
    exact: Mapping[str, np.ndarray]
    paths: int
    draws: int
    seconds: float
    notes: tuple[str, ...] = ()
    detectable: float = 0.0

    @property
    def unbiased(self) -> bool:
        """Whether the mean is the exact gradient, as far as could be seen."""
        return self.verdict == HOLDS

    @property
    def total_variance(self) -> float:
        """Summed over all entries of all parameters."""
        return float(sum(value.sum() for value in self.variance.values()))

    def explain(self) -> str:
        """A paragraph: what came out, where it is worst, and what to do next."""
        if self.method == "sampled":
            verdict = "unbiased as far as could be seen" if self.unbiased else self.verdict
            lines = [f"{self.name}: {verdict}.", *self.notes]
            if self.verdict == UNDECIDED:
                lines.append("Take more draws to tell, or enumerate a smaller problem.")
            return "\n".join(lines)
        found = worst_of(self.comparisons)
        entry = f"{self.worst.parameter}{list(self.worst.index) if self.worst.index else ''}"
        lines = [
            f"{self.name}: {'unbiased' if self.unbiased else self.verdict}, by "
            f"{_count(self.paths, 'path')} of at most {_count(self.draws, 'draw')}.",
            f"mean of {entry} is {self.worst.mean:.6e}, should be {self.worst.exact:.6e}: off by "
            f"{found.error:.1e}, at most {found.bound:.1e} is rounding, and gradients are of size "
            f"{found.signal:.1e}.",
        ]
        if found.note:
            lines.append(found.note)
        if self.verdict == UNDECIDED:
            lines.append(self._advice())
        elif self.verdict == REFUTED and found.error < SINGLE * found.signal:
            lines.append(
                "An error so small may be rounding of single precision: if it is computed in that, "
                "pass precision=np.finfo(np.float32).eps."
            )
        return "\n".join([*lines, *self.notes])

    def _advice(self) -> str:
        """What to do about a verdict that is none."""
        unseen = unresolved(self.comparisons)
        if not unseen:
            return "Rounding alone might be so large: use double precision, or say precision=."
        return (
            f"An error of {COARSEST:.0%} would not have been seen in {', '.join(unseen)}. If that "
            "gradient is zero, leave it out of what is compared; if not, use double precision."
        )


class Biased(AssertionError):
    """An estimator whose mean is not the exact gradient. ``checked`` has what was found."""

    def __init__(self, checked: Checked) -> None:
        super().__init__(checked.explain())
        self.checked = checked


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def check_estimator(
    estimate: Callable[..., Any],
    inputs: Sequence[Any] = (),
    *,
    exact: Any = None,
    objective: Callable[..., Any] | None = None,
    wrt: Any = None,
    paths: int = MOST_PATHS,
    draws: int = 0,
    alpha: float = ALPHA,
    rarest: float = RAREST,
    seed: int | None = None,
    reset: Callable[[], object] | None = None,
    returns: str | None = None,
    precision: float = 0.0,
    name: str | None = None,
) -> Checked:
    """Is the mean of a gradient estimator the gradient that it estimates?

    Estimand: the gradient of the expected cost: ``exact``, or that of the mean of ``objective``.
    Estimator: ``estimate``, unmodified. It is run once for each outcome of its discrete draws, and
    each run is weighed by the probability of its draws, so that mean and variance have no noise.
    Valid when: every draw is discrete and made by a function of PyTorch, NumPy, JAX, Theano or
    PyTensor that is looked up in its module (``torch.multinomial``, ``torch.bernoulli``, what
    ``torch.distributions`` draws with them, ``torch.randint``, ``torch.randperm``, the same of
    ``numpy.random``, of its generators and of ``jax.random``, comparisons of NumPy's ``random()``,
    Theano's ``RandomStreams``, and PyTensor's random variables). Anything else that draws is an
    error, or a reason to sample.

    Args:
        estimate: called with ``inputs``; returns gradients (an array, a tensor, or a mapping,
            sequence or dataclass of them), or a surrogate, a tensor of one number, or nothing and
            leaves gradients in ``.grad``.
        exact: the exact gradient, of the same names and shapes, or what returns it.
        objective: instead of it, what draws and returns the cost of one draw; its mean is
            enumerated and differenced.
        wrt: the module or tensors whose gradients are read. Default: those among the inputs.
        paths: that may be run at most.
        draws: samples that may be taken where draws cannot be enumerated; 0: that is an error.
        alpha: chance of a false alarm of a sampled verdict.
        rarest: the least probability of an outcome that a sampled verdict allows for.
        seed: of the generators that frameworks have of their own, for a sampled verdict.
        reset: called before each run, for an estimator that keeps something.
        returns: ``gradient`` or ``surrogate``, for a tensor of one number that could be either.
        precision: of the coarsest arithmetic within, as the step from 1 to the next number:
            ``np.finfo(np.float32).eps`` for a model in single precision whose gradients are turned
            into double. Default: that of the gradients and probabilities as they are given.

    Raises:
        NotEnumerable: for draws that cannot be walked through, or a run that is not repeatable.
        NotAGradient: if there is no gradient to be read.
        TypeError, ValueError: for an exact gradient that does not fit, or an input that changes.

    Reference: the estimator's mean is sum over draws of p(draw) g(draw) by definition.
    """
    started = time.perf_counter()
    check_precision(precision)
    label = name or str(getattr(estimate, "__qualname__", type(estimate).__name__))
    runner = Runner(estimate, inputs, wrt=wrt, reset=reset, returns=returns)
    known, errors = _known(exact, objective, inputs, runner, paths, reset, precision)
    try:
        moments = enumerate_paths(runner, estimate, known, most=paths, coarsest=precision)
    except (Continuous, TooManyPaths) as error:
        if draws:
            found = sample(
                runner,
                known,
                draws=draws,
                alpha=alpha,
                rarest=rarest,
                seed=seed,
                coarsest=precision,
            )
            return _of_samples(label, known, found, time.perf_counter() - started, str(error))
        raise type(error)(f"{error}; pass draws= to sample it instead") from error
    comparisons, places = [], {}
    for key, value in known.items():
        bounds = moments.bounds(key) + errors.get(key, 0.0)
        one, places[key] = _compare(key, moments.mean[key], value, bounds, label)
        # What is zero exactly has the size of what cancels.
        size = float(np.abs(value).max(initial=0.0)) or moments.size(key)
        note = moments.note(key) or one.note
        comparisons.append(dataclasses.replace(one, signal=size, note=note))
    worst = worst_of(comparisons)
    return Checked(
        name=label,
        verdict=judge_exact(comparisons),
        method="enumerated",
        comparisons=tuple(comparisons),
        places=places,
        worst=_bias(worst.what, places[worst.what], moments.mean, known),
        mean=moments.mean,
        variance=moments.variance(),
        exact=known,
        paths=moments.count,
        draws=moments.draws,
        seconds=time.perf_counter() - started,
        notes=tuple(moments.notes()),
    )


def assert_unbiased(
    estimate: Callable[..., Any], inputs: Sequence[Any] = (), **options: Any
) -> Checked:
    """:func:`check_estimator`, as an assertion.

    Raises:
        Biased: unless the mean is the exact gradient; its message names the worst entry.
        Other errors: as :func:`check_estimator`.
    """
    checked = check_estimator(estimate, inputs, **options)
    if not checked.unbiased:
        raise Biased(checked)
    return checked


def _compare(
    key: str, mean: np.ndarray, exact: np.ndarray, bounds: np.ndarray, label: str
) -> tuple[Comparison, tuple[int, ...]]:
    """The entry with the largest error in units of its own bound, and where it is."""
    off = np.abs(mean - exact)
    if not off.size or not np.isfinite(off).all():
        whole = compare(key, mean, exact, float(np.max(bounds, initial=0.0)), label)
        return whole, _farthest(off)
    at = _farthest(np.divide(off, bounds, out=np.where(off > 0.0, np.inf, 0.0), where=bounds > 0.0))
    return Comparison(key, mean.size, float(off[at]), float(bounds[at]), 0.0, label), at


def _farthest(off: np.ndarray) -> tuple[int, ...]:
    """Where something is largest, or no number; nowhere in an empty array."""
    place = int(np.argmax(np.where(np.isnan(off), np.inf, off))) if off.size else 0
    return tuple(int(each) for each in np.unravel_index(place, off.shape)) if off.size else ()


def _of_samples(
    name: str, known: Mapping[str, np.ndarray], found: Sampled, seconds: float, why: str
) -> Checked:
    test, start, comparisons, places = found.test, 0, [], {}
    guilty = ""
    for key, value in known.items():
        part = slice(start, start + value.size)
        off = np.abs(found.mean[key] - value)
        places[key] = _farthest(off)
        size = float(np.abs(value).max(initial=0.0))
        seen = float(test.detectable[part].max(initial=0.0))
        if start <= test.worst < part.stop:
            guilty, at = key, np.unravel_index(test.worst - start, value.shape)
            places[key] = tuple(int(each) for each in at)
        error = float(off[places[key]]) if off.size else 0.0
        error = np.inf if np.isnan(error) else error
        comparisons.append(
            Comparison(key, value.size, error, min(seen, FAR), size, name, kind="sampled")
        )
        start = part.stop
    seen, size = float(test.detectable.max()), max(one.signal for one in comparisons)
    verdict = REFUTED if test.rejected else HOLDS if seen <= SEEN * size else UNDECIDED
    return Checked(
        name=name,
        verdict=verdict,
        method="sampled",
        comparisons=tuple(comparisons),
        places=places,
        worst=_bias(guilty, places[guilty], found.mean, known),
        mean=found.mean,
        variance=found.variance,
        exact=known,
        paths=0,
        draws=test.draws,
        seconds=seconds,
        notes=(f"It was sampled, for {why}.", test.explain()),
        detectable=seen,
    )


def _known(
    exact: Any,
    objective: Callable[..., Any] | None,
    inputs: Sequence[Any],
    runner: Runner,
    paths: int,
    reset: Callable[[], object] | None,
    precision: float,
) -> tuple[dict[str, np.ndarray], Mapping[str, np.ndarray]]:
    if (exact is None) == (objective is None):
        raise TypeError(
            "pass one of exact= (the exact gradient, or what returns it) and objective= (what "
            "draws and returns a cost, whose mean is enumerated)"
        )
    if objective is not None:
        leaves = runner.leaves or float_arrays(inputs)
        found = by_differences(
            objective, inputs, leaves, paths=paths, reset=reset, coarsest=precision
        )
        return dict(found.gradient), found.error
    known = named(exact(*inputs) if callable(exact) else exact)
    for key, value in known.items():
        if not np.isfinite(value).all():
            raise ValueError(f"exact gradient of {key} is not finite: {value!r:.60}")
    return known, {}


def _bias(
    key: str, at: tuple[int, ...], mean: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]
) -> Bias:
    return Bias(key, at, float(mean[key][at]), float(exact[key][at]))
