"""How many known bugs each method of checking sees, and how often it raises a false alarm.

Methods that run an estimator many times are tried many times themselves. A row's draws can be
enumerated, so that a run of the estimator has a known distribution over its paths, and n runs have
multinomial counts of them: means of n runs are drawn from these counts, which is the same in law as
running the estimator n times, and takes no time.
"""

from __future__ import annotations

import dataclasses
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.integration.quadrature import Quadrature
from gradproof.estimators.workers import share_out

from ..evidence import REFUTED
from ..sequential.mean_test import MeanTest
from ..user.estimator import check_estimator
from .bugs import ROWS, BenchmarkRow, Problem
from .not_by_mean import is_wrong
from .results import Answer, BenchmarkResult, Method, RowResult

#: Times that a method which draws is tried on a bug, and on a right estimator.
ON_BUGS, ON_RIGHT = 10, 20

#: Draws of the usual methods, and what they allow.
RTOL_DRAWS, RTOL = 100_000, 0.05
ERRORS_DRAWS, ERRORS = 10_000, 3.0

#: Most draws of the sequential test, and its probability of a false alarm.
MOST_DRAWS, ALPHA = 20_000, 1e-6

#: Plain runs that the time of one is taken from.
TIMED = 20

#: Nodes of each continuous number in a law. By these, means of right rows are off by a tenth of the
#: standard error of 100,000 draws at most (gumbel-softmax; the others by less than a hundredth).
NODES = 16


@dataclasses.dataclass(frozen=True)
class GradientDistribution:
    """All that runs of an estimator can return: gradients (L, P) with probabilities (L,)."""

    probabilities: np.ndarray
    gradients: np.ndarray
    exact: np.ndarray
    seconds: float

    def mean_and_error(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Of n runs, (P,) each: the mean and its empirical standard error."""
        shares = rng.multinomial(n, self.probabilities) / n
        mean = shares @ self.gradients
        variance = shares @ (self.gradients - mean) ** 2
        return mean, np.sqrt(variance / n)

    def covariance(self) -> np.ndarray:
        """Of one run, (P, P)."""
        off = self.gradients - self.probabilities @ self.gradients
        return (self.probabilities[:, None] * off).T @ off

    def samples(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Of n runs, (n, P)."""
        return self.gradients[rng.choice(len(self.probabilities), n, p=self.probabilities)]


@dataclasses.dataclass(frozen=True)
class _PreparedRow:
    """A row at work."""

    row: BenchmarkRow
    problem: Problem
    law: GradientDistribution | None
    refuted: bool
    seconds: float
    paths: int
    bias: float | None


def run_benchmark(
    keys: Iterable[str] | None = None,
    *,
    seed: int | None = None,
    on_bugs: int = ON_BUGS,
    on_right: int = ON_RIGHT,
    processes: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> BenchmarkResult:
    """Every method on every row.

    Args:
        keys: of rows of the catalogue. None: all.
        seed: of the draws; None: a fresh one, which the record has.
        on_bugs, on_right: times that methods which draw are tried on a bug, and on a right
            estimator.
        processes: to work in; what comes out does not depend on how many.

    Raises:
        ValueError: for keys that are none, or no rows at all.
        ModuleNotFoundError: for a row whose framework is not installed.
    """
    chosen = list(ROWS if keys is None else keys)
    unknown = [key for key in chosen if key not in ROWS]
    if unknown or not chosen:
        raise ValueError(
            f"no rows {', '.join(unknown) or 'are given'}: the catalogue has {', '.join(ROWS)}"
        )
    entropy: Any = np.random.SeedSequence().entropy if seed is None else seed
    arguments = [(key, entropy, on_right if ROWS[key].right else on_bugs) for key in chosen]
    results = {}
    for row in share_out(processes, run_row, arguments):
        results[row.key] = row
        if progress:
            progress(len(results), len(chosen), row.key)
    return BenchmarkResult(tuple(METHODS), tuple(results[key] for key in chosen), str(entropy))


def run_row(key: str, entropy: int, runs: int) -> RowResult:
    """Every method on one row.

    Args:
        entropy: of the draws, with the place of the row in the catalogue.
        runs: times that methods which draw are tried.
    """
    row = ROWS[key]
    spawned = np.random.SeedSequence(entropy, spawn_key=(list(ROWS).index(key),))
    rng = np.random.default_rng(spawned)
    tried = _prepare(row)
    said = {method.id: run(tried, rng, runs) for method, run in METHODS.items()}
    return RowResult(key, row.right, row.statement, row.source, row.sees, tried.bias, said)


def _prepare(row: BenchmarkRow) -> _PreparedRow:
    problem = row.make()
    started = time.perf_counter()
    try:
        report = check_estimator(problem.estimate, problem.inputs, **problem.options())
    except Exception as error:
        # An answer too, where the catalogue says so; what else is raised is a bug of the catalogue.
        if row.raises is None or not isinstance(error, row.raises):
            raise
        return _PreparedRow(row, problem, None, True, _since(started), 0, None)
    seconds = _since(started)
    size = max((float(np.abs(each).max()) for each in report.exact.values()), default=0.0)
    off = max(float(np.abs(report.mean[key] - each).max()) for key, each in report.exact.items())
    return _PreparedRow(
        row,
        problem,
        law_of(row, report.exact),
        report.verdict == REFUTED,
        seconds,
        report.paths,
        off / size if size and np.isfinite(off) else None,
    )


def _since(started: float) -> float:
    return time.perf_counter() - started


def law_of(row: BenchmarkRow, exact: Mapping[str, np.ndarray]) -> GradientDistribution:
    """The law of a row's estimator, and the time of a plain run.

    Args:
        exact: gradients of the names and shapes that there should be.
    """
    problem = row.make()
    estimator = Estimator(problem.estimate, problem.inputs, wrt=problem.wrt, reset=problem.reset)
    layout = GradientLayout(exact)
    probabilities, gradients = [], []
    with Enumeration(estimator) as enumeration:
        if problem.integrate is not None:
            enumeration.handling.quadrature = _rule_of(enumeration)
        for path in enumeration.paths():
            probabilities.append(path.probability)
            gradients.append(layout.row(path.value))
    with estimator.restoring_state():
        started = time.perf_counter()
        for _ in range(TIMED):
            layout.row(estimator())
            estimator.restore_state()
        seconds = _since(started) / TIMED
    weights = np.array(probabilities)
    return GradientDistribution(
        weights / weights.sum(), np.stack(gradients), layout.row(exact), seconds
    )


def _rule_of(enumeration: Enumeration) -> Quadrature:
    """So many nodes for every continuous number that is used on some path."""
    rule = Quadrature()
    while True:
        numbers = rule.numbers
        rule = enumeration.handling.quadrature = Quadrature((NODES,) * numbers)
        for _ in enumeration.paths():
            pass
        if rule.numbers <= numbers:
            return rule


# ------------------------------------------------------------------ the methods


def _replay(tried: _PreparedRow, _rng: np.random.Generator, _runs: int) -> Answer:
    return Answer(float(tried.refuted), 1, float(tried.paths), tried.seconds)


def _beyond_mean(tried: _PreparedRow, _rng: np.random.Generator, _runs: int) -> Answer | None:
    started = time.perf_counter()
    wrong = is_wrong(tried.row)
    return None if wrong is None else Answer(float(wrong), 1, 0.0, _since(started))


def _sequential(tried: _PreparedRow, rng: np.random.Generator, runs: int) -> Answer | None:
    law = tried.law
    if law is None:
        return None
    if not np.isfinite(law.gradients).all():
        return None
    covariance = law.covariance()
    wrong, draws, started = 0, 0, time.perf_counter()
    for _ in range(runs):
        test = MeanTest(law.exact, alpha=ALPHA, covariance=covariance)
        taken, block = 0, 64
        while taken < MOST_DRAWS and not test.feed(law.samples(rng, block)):
            taken, block = taken + block, min(2 * block, MOST_DRAWS - taken - block)
            if block <= 0:
                break
        found = test.found()
        wrong += found.rejected
        draws += found.draws
    each = _since(started) / runs
    return Answer(wrong / runs, runs, draws / runs, each + draws / runs * law.seconds)


def _gradcheck(tried: _PreparedRow, _rng: np.random.Generator, _runs: int) -> Answer | None:
    if tried.problem.surrogate is None or "torch" not in sys.modules:
        return None
    torch: Any = sys.modules["torch"]
    surrogate, started = tried.problem.surrogate, time.perf_counter()

    def at_one_draw(*inputs: Any) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(0)  # gradcheck needs a function: the same draw each time
            return surrogate(*inputs)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of inputs in single precision
            agrees = torch.autograd.gradcheck(at_one_draw, tried.problem.inputs)
    except (RuntimeError, ValueError):  # gradcheck's own way to say no
        agrees = False
    return Answer(float(not agrees), 1, 1.0, _since(started))


def _tolerance(tried: _PreparedRow, rng: np.random.Generator, runs: int) -> Answer | None:
    def wrong(law: GradientDistribution) -> bool:
        mean, _ = law.mean_and_error(rng, RTOL_DRAWS)
        return not np.allclose(mean, law.exact, rtol=RTOL, atol=0.0)

    return _share_of_runs(tried, runs, RTOL_DRAWS, wrong)


def _standard_errors(tried: _PreparedRow, rng: np.random.Generator, runs: int) -> Answer | None:
    def wrong(law: GradientDistribution) -> bool:
        mean, error = law.mean_and_error(rng, ERRORS_DRAWS)
        # A coordinate that never varied is compared to rounding, as people do.
        allowed = np.maximum(ERRORS * error, 1e-8 * np.abs(law.exact).max())
        return bool((np.abs(mean - law.exact) > allowed).any())

    return _share_of_runs(tried, runs, ERRORS_DRAWS, wrong)


def _share_of_runs(
    tried: _PreparedRow, runs: int, draws: int, wrong: Callable[[GradientDistribution], bool]
) -> Answer | None:
    law = tried.law
    if law is None or not np.isfinite(law.gradients).all():
        return None
    share = sum(wrong(law) for _ in range(runs)) / runs
    return Answer(share, runs, float(draws), draws * law.seconds)


#: Each method, and what runs it: one row each.
METHODS: dict[Method, Callable[[_PreparedRow, np.random.Generator, int], Answer | None]] = {
    Method(
        "enumeration",
        "gradproof: the estimator's own code on every path, exactly, or integrated over continuous "
        "draws",
        True,
    ): _replay,
    Method(
        "beyond",
        "gradproof: where no mean shows it, the exact variance, plain draws, or what the gradient "
        "reaches",
        True,
    ): _beyond_mean,
    Method(
        "sequential",
        f"gradproof: a test on at most {MOST_DRAWS:,} draws that may stop at any, with the exact "
        f"covariance; false alarms at most {ALPHA:g}",
        True,
    ): _sequential,
    Method("gradcheck", "torch.autograd.gradcheck on the surrogate, one draw", False): _gradcheck,
    Method(
        "tolerance", f"mean of {RTOL_DRAWS:,} draws within {RTOL:.0%} of the gradient", False
    ): _tolerance,
    Method(
        "3 errors", f"mean of {ERRORS_DRAWS:,} draws within {ERRORS:g} standard errors", False
    ): _standard_errors,
}
