"""Any estimator against its estimand: its own code, run once for every outcome of its draws."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration, check_batch
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.exchange import Exchange
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.limits import MOST_PATHS
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw
from gradproof.estimators.enumeration.sharing import Workers

from ..evidence import REFUTED, NothingCompared
from ..sequential.error_rates import ALPHA
from . import snippet
from .additive import check_additive, check_is_additive
from .code_name import code_name
from .direction import EQUALITY, check_judge
from .double_precision import decide_in_double
from .enumerated import EnumeratedCheck
from .environment_hint import environment_hint
from .estimand import SINGLE, Estimand, exact_gradient
from .estimator_report import Biased, EstimatorReport
from .expected_cost import check_precision
from .integrated import IntegratedCheck, check_tolerance
from .jax_keys import FreshKeys
from .known_spread import check_known, known_spread, refuse_known
from .objective import gradient_of_objective
from .orders import check_exchangeable, check_orders
from .partly_enumerated import check_heaviest
from .progress import Progress, RunProgress, telling
from .quasi import check_quasi
from .random_direction import Projection
from .sampled import Samples, check_sampling, sample
from .sampled_objective import check_half_length, check_sampled_objective
from .sampled_report import report_on_samples
from .strategy import ALL, HEAVIEST, QUASI, check_strategy


def check_estimator(
    estimate: Callable[..., Any],
    inputs: Sequence[Any] = (),
    *,
    exact: Any = None,
    objective: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None = None,
    exact_error: Any = None,
    fast: bool = False,
    wrt: Any = None,
    paths: int = MOST_PATHS,
    strategy: str = ALL,
    judge: str = EQUALITY,
    integrate: float | None = None,
    draws: int = 0,
    alpha: float = ALPHA,
    rarest: float | None = None,
    bounds: tuple[Any, Any] | None = None,
    sd: Any = None,
    half_length: float | None = None,
    seed: int | None = None,
    reset: Callable[[], object] | None = None,
    returns: str | None = None,
    precision: float = 0.0,
    keep_paths: bool = False,
    batch: bool | str = "auto",
    exchangeable: bool = False,
    additive: bool = False,
    jobs: int = 1,
    name: str | None = None,
    progress: Progress | bool | None = None,
) -> EstimatorReport:
    """Is a stochastic gradient estimator unbiased: is its mean the gradient that it estimates?

    Estimand: the gradient of the expected cost: ``exact``, or that of the mean of ``objective``.
    Estimator: ``estimate``, unmodified: the score-function estimator (likelihood ratio, REINFORCE)
    with any baseline or control variate, a pathwise, straight-through or other one. It is run once
    for each outcome of its discrete draws, and each run is weighted by the probability of its
    draws, so that mean and variance have no noise.
    Every run begins in the state that the estimator was given in: what a run changes (parameters,
    buffers, optimizers, attributes, generators) is put back, and said.
    Valid when: every draw is discrete and made by PyTorch, NumPy, Python's ``random``, JAX, Theano
    or PyTensor (``torch.multinomial``, ``torch.bernoulli``, ``torch.binomial``, ``torch.randint``,
    ``torch.randperm`` and what ``torch.distributions`` draw with them, the same of
    ``numpy.random``, of its generators and of ``jax.random``, comparisons of uniform numbers of
    NumPy and Python, Theano's ``RandomStreams``, and PyTensor's random variables). Anything else
    that draws is an unsupported draw: an error, or with ``draws=`` a reason to sample.

    A verdict holds if every entry is within its bound, and an error of one part in a hundred would
    have been seen in every entry of which the exact gradient is not zero. Where single precision is
    too coarse for that, what PyTorch computes in it is put into double precision for a while, and
    checked there.

    Args:
        estimate: called with ``inputs``; returns gradients (an array, a tensor, or a mapping,
            sequence or dataclass of them), or a surrogate, a tensor of one number, or nothing and
            leaves gradients in ``.grad``; of an estimator that takes an optimizer's step, what
            stood there before it.
        exact: the exact gradient, of the same names and shapes, or what returns it.
        objective: instead of it, what draws and returns the cost of one draw; its mean is
            enumerated and differentiated. If it cannot be enumerated, ``draws`` samples of both are
            compared along random directions, on segments around the parameters. Where parts of a
            module have goals of their own: such a function for each, by the name of a parameter or
            a prefix of names, as in ``{"actor": cost, "critic": squared_error}``.
        exact_error: what ``exact`` may be off by itself, a number or arrays like it. Default: the
            rounding of what returns it; of arrays that were made somehow, errors as small as
            differences leave refute nothing, nor such as single precision leaves if that is what
            they are in, or were.
        fast: whether slopes along one random direction are compared instead of each entry, as in
            ``gradcheck``'s fast mode; with ``objective`` only. It takes some thirty values of its
            mean, however many parameters there are, and what it cannot see is said.
        wrt: the module or tensors whose gradients are read. Default: those among the inputs. Or
            arrays among the inputs, where what is returned does not tell which of them it is by.
        paths: that may be run at most.
        strategy: ``all``: every path is run, and more than ``paths`` of them are an error or, with
            ``draws``, sampled; ``heaviest``: where there are more, as many as may be are run, the
            most probable first, and ``draws`` are drawn from the others and tested by betting. The
            verdict is a sampled one then, of a mean that varies the less the more probability was
            enumerated; where all paths can be run, it is the exact one. ``quasi``: where continuous
            numbers are used, they are those of ``draws`` random nets of points, in as many
            ``paths`` in all as fit; means over nets are unbiased, vary less than those of plain
            draws, and are tested by betting.
        judge: ``equality``: the mean must be the exact gradient; ``direction``: a positive multiple
            of it will do too, and the verdict is ``proportional`` then. What a positive factor does
            can be had by another learning rate.
        integrate: the share of each entry's mean magnitude that an error is to come to where
            continuous numbers are used, as in 1e-6: the mean is then integrated over them, by
            quadrature. None: they are an unsupported draw.
        draws: samples that may be taken where draws cannot be enumerated, or nets; 0: that is an
            error.
        alpha: probability of a false alarm of a sampled verdict.
        rarest: the least probability of an outcome that a sampled verdict allows for; what is rarer
            may make it false, and it says so. Default: that of the rarest outcome of any draw, as
            far as that is seen.
        bounds: between which every entry of one estimate lies, for certain: (low, high), each a
            number or arrays like the gradient. A sampled verdict then learns no range from draws,
            and is not conditional; a sample beyond them is an error.
        sd: instead, what no entry's standard deviation exceeds, a number or arrays. Samples that
            vary by more than twice that are an error.
        half_length: of the segments around the parameters along which slopes are compared, where
            ``objective`` cannot be enumerated either: directions have length 1. Default: by the
            noise of both, so that no entry moves by more than half its size, or half if its array
            has both signs.
        seed: of the generators that frameworks have of their own, for a sampled verdict, and of the
            directions that it draws, or ``fast`` does, and of the paths that ``heaviest`` draws, or
            nets.
        reset: called before each run, for an estimator that keeps something which is not meant to
            count, or cannot be put back. With ``objective``, parameters stay where they are.
        returns: ``gradient``, ``surrogate`` or ``grad`` (what it leaves in ``.grad``), where what
            an estimator returns could be read in more than one way.
        precision: of the coarsest arithmetic within, as the step from 1 to the next number, where
            it cannot be measured: ``np.finfo(np.float32).eps`` for a model in single precision that
            no framework of ours computes.
        keep_paths: keep what is returned on each path, for the report's ``guilty_paths()`` and
            ``plot()``. All paths are run once more for it, one by one; no verdict depends on it,
            and memory is bounded: where there is no room for all entries, the worst are kept.
        batch: whether many paths are run at a time, by ``torch.func.vmap`` or ``jax.vmap``:
            ``auto``, where that is possible and worth while, with some of the paths run by
            themselves too, and compared; False: none are;
            True: it is an error if they cannot be, and says why.
        exchangeable: whether the order does not matter in which draws of one call by the same
            probabilities come out (``size=``, ``sample((N,))``): a mean over labels, say. Then only
            how often each outcome comes is enumerated: of N draws of K outcomes (N + K - 1 over N)
            ways in place of K^N. Each is run in four orders, and it is an error if they differ.
        additive: whether the estimate is a sum (or a mean) of terms, each of one draw alone, and
            draws are independent: a batch of examples without a baseline of the others. Then one
            draw is changed at a time: of N draws of K outcomes N (K - 1) + 1 paths in place of
            K^N. It is compared on a thousand random paths, and an error if it is not so; the report
            says that it is declared, and how rare a path must be that may have been missed.
        jobs: processes that run paths, where there are more than 256 of them; the report is the
            same for any number. They are joblib's own, or those of the backend that is chosen
            around the call, as by ``joblib.parallel_config("dask")``. The estimator is sent to them
            by cloudpickle.
        progress: called for each run: how many were made, of about how many, of what. None: a line
            on standard error after two seconds, if that is a terminal; False: nothing.

    Raises:
        NotEnumerable: for an unsupported draw, too many paths, nondeterministic code, or estimates
            that are not exchangeable or additive as is said.
        NotAGradient: if there is no gradient to be read.
        NotSendable: if several processes are to run paths, and the estimator cannot be pickled.
        ChildProcessError: if these processes go on dying.
        BeyondRange, BeyondSpread: for samples that are not as ``bounds`` or ``sd`` says.
        TypeError, ValueError: for an exact gradient that does not fit.

    Reference: the estimator's mean is sum over draws of p(draw) g(draw) by definition. Williams
    (1992), REINFORCE; Glynn (1990), Likelihood ratio gradient estimation for stochastic systems.
    """
    given, started = dict(locals()), time.perf_counter()
    workers = Workers(jobs)
    _check_options(given)
    sampled = draws > 0 and strategy == ALL
    label = name or code_name(estimate)
    estimator = Estimator(estimate, inputs, wrt=wrt, reset=reset, returns=returns)
    _check_estimand(exact, objective, exact_error, fast)
    with telling(progress, paths) as listener:
        estimator.listener = listener
        try:
            if objective is None:
                estimand = exact_gradient(exact, estimator, exact_error=exact_error)
            else:
                estimand = gradient_of_objective(
                    objective,
                    estimator,
                    paths=paths,
                    reset=reset,
                    precision=precision,
                    fast=fast,
                    seed=seed,
                    batch=bool(batch),
                )
        except (UnsupportedDraw, TooManyPaths) as error:
            if objective is None or not sampled:
                raise
            return _repeatable(_sample_both(label, estimator, given, error), given, estimator)
        _check_entries(estimand.value)
        if strategy == HEAVIEST:
            estimand = _finitely_measured(estimand)
            report = check_heaviest(label, estimator, estimand, given, listener)
            if report is not None:
                return _repeatable(report, given, estimator)
        if additive:
            report = check_additive(label, estimator, estimand, given, listener)
            return _repeatable(report, given, estimator)
        try:
            with _enumeration(estimator, given, workers) as enumeration:
                check = EnumeratedCheck(
                    label, estimator, enumeration, estimand, precision, keep_paths
                )
                check.look()
                check.note = _note_orders(enumeration, estimator, estimand)
        except (UnsupportedDraw, TooManyPaths) as error:
            report = _report_instead(label, estimator, estimand, given, error, started, listener)
            return _repeatable(report, given, estimator)
    report = check.report(time.perf_counter() - started)
    if check.is_coarse:
        # Other processes do not know what double precision stands for.
        here = {**given, "jobs": 1, "judge": EQUALITY}
        report = decide_in_double(report, lambda: check_estimator(**here), estimator, given)
    return _repeatable(report, given, estimator)


def _enumeration(estimator: Estimator, given: Mapping[str, Any], workers: Workers) -> Enumeration:
    """Of all paths, as the options say."""
    shared = None if given["jobs"] == 1 else workers
    exchange = Exchange() if given["exchangeable"] else None
    batch = False if given["exchangeable"] else given["batch"]
    return Enumeration(estimator, given["paths"], shared, batch, exchange)


def _check_options(given: Mapping[str, Any]) -> None:
    """Whether options are any, and go together, before anything is run.

    Raises:
        TypeError, ValueError: if not.
    """
    check_precision(given["precision"])
    check_batch(given["batch"])
    check_tolerance(given["integrate"])
    check_judge(given["judge"])
    draws, both = given["draws"], given["objective"] is not None and given["strategy"] == ALL
    check_sampling(draws=draws, alpha=given["alpha"], rarest=given["rarest"], seed=given["seed"])
    check_known(given["bounds"], given["sd"], is_used=draws > 0)
    check_strategy(given)
    check_exchangeable(given)
    check_is_additive(given)
    check_half_length(given["half_length"], is_used=both and draws > 0)


def _repeatable(
    report: EstimatorReport, given: Mapping[str, Any], estimator: Estimator
) -> EstimatorReport:
    """The report, with the seed of samples or direction, and the lines that repeat the check."""
    report = report.judged(given["judge"])
    seed = given["seed"] if report.method == "sampled" else None
    if report.seed is not None:  # directions are drawn from it
        seed = report.seed
        given = {**given, "seed": seed}
    if isinstance(estimator.project, Projection):
        seed = estimator.project.direction.seed
        given = {**given, "seed": seed}
    return dataclasses.replace(
        report,
        seed=None if seed is None else int(seed),
        snippet=snippet.of_call(check_estimator, given),
    )


def _note_orders(enumeration: Enumeration, estimator: Estimator, estimand: Estimand) -> str:
    """What was seen of the order of draws, where it is said not to matter."""
    exchange = enumeration.exchange
    if exchange is None:
        return ""
    return check_orders(enumeration, exchange, estimand.value, estimator.precision)


def _sampled_instead(error: UnsupportedDraw | TooManyPaths) -> UnsupportedDraw | TooManyPaths:
    """The same error, which says what else can be done."""
    more = (
        ", and strategy='heaviest' to enumerate the most probable paths; where the order of draws "
        "does not matter exchangeable=True has fewer, and where each term has one draw of its own "
        "additive=True"
    )
    more = more if isinstance(error, TooManyPaths) else ""
    hint = environment_hint(error)
    return type(error)(f"{error}{hint}; pass draws= to sample it instead{more}")


def _report_instead(
    label: str,
    estimator: Estimator,
    estimand: Estimand,
    given: Mapping[str, Any],
    error: UnsupportedDraw | TooManyPaths,
    started: float,
    listener: RunProgress | None,
) -> EstimatorReport:
    """The report on an estimator that was not enumerated, by what else it is said may be done.

    Raises:
        UnsupportedDraw, TooManyPaths: if nothing is.
    """
    unsupported, strategy = isinstance(error, UnsupportedDraw), given["strategy"]
    if given["integrate"] is not None and unsupported:
        return _integrate(label, estimator, estimand, given, error, started)
    if strategy == QUASI and unsupported:
        estimand = _finitely_measured(estimand)
        doubt = _doubt(estimand, given["precision"])
        return check_quasi(label, estimator, estimand, given, doubt, str(error), listener)
    if strategy != ALL:
        raise error
    if not given["draws"]:
        raise _sampled_instead(error) from error
    if listener is not None:
        listener.sample(given["draws"])
    estimand = _finitely_measured(estimand)
    samples = _sample(estimator, estimand, given)
    seconds = time.perf_counter() - started
    return _along(report_on_samples(label, estimand, samples, seconds, str(error)), estimator)


def _integrate(
    name: str,
    estimator: Estimator,
    estimand: Estimand,
    given: Mapping[str, Any],
    refused: Exception,
    started: float,
) -> EstimatorReport:
    """The report on an estimator whose continuous draws were refused, and are integrated."""
    with Enumeration(estimator, given["paths"], batch=given["batch"]) as enumeration:
        check = IntegratedCheck(
            name,
            estimator,
            enumeration,
            estimand,
            tolerance=float(given["integrate"]),
            paths=given["paths"],
            precision=given["precision"],
            why=str(refused),
        )
        check.look()
    return check.report(time.perf_counter() - started)


def _sample_both(
    name: str, estimator: Estimator, given: Mapping[str, Any], refused: Exception
) -> EstimatorReport:
    """The report on an estimator whose objective was refused, and is sampled as well."""
    refuse_known(given["bounds"], given["sd"])
    options = ("draws", "alpha", "rarest", "seed", "precision", "reset", "half_length", "fast")
    return check_sampled_objective(
        name,
        given["objective"],
        estimator,
        **{key: given[key] for key in options},
        why=str(refused.__cause__ or refused),
    )


def _sample(estimator: Estimator, estimand: Estimand, given: Mapping[str, Any]) -> Samples:
    """Samples of an estimator that cannot be enumerated, and the test of their mean."""
    if estimator.project is not None:
        refuse_known(given["bounds"], given["sd"])
    known = known_spread(given["bounds"], given["sd"], estimand.value)
    precision, seed = given["precision"], given["seed"]
    with (
        estimator.restoring_state(generators=False),
        Handling(*estimator.roots) as handling,
    ):
        return sample(
            estimator,
            estimand.value,
            draws=given["draws"],
            alpha=given["alpha"],
            rarest=given["rarest"],
            known=known,
            exact_error=estimand.error,
            doubt=_doubt(estimand, precision),
            seed=seed,
            coarsest=max(precision, 0.0 if estimator.project is None else estimator.precision),
            perform=handling.perform,
            restore_state=estimator.restore_state,
            keys=FreshKeys(estimator.function, estimator.inputs, seed=seed),
        )


def _check_estimand(exact: Any, objective: Any, exact_error: Any, fast: object) -> None:
    """Whether the estimand is given in one way.

    Raises:
        TypeError: if not.
    """
    if (exact is None) == (objective is None):
        raise TypeError(
            "pass one of exact= (the exact gradient, or what returns it) and objective= (what "
            "draws and returns a cost, whose mean is enumerated)"
        )
    if objective is not None and exact_error is not None:
        raise TypeError(
            "exact_error= goes with exact= only: leave it out, objective= has its own error"
        )
    if not isinstance(fast, bool):
        raise TypeError(f"fast = {fast!r}, expected True or False")
    if fast and objective is None:
        raise TypeError(
            "fast=True goes with objective=, whose slope along one direction it takes; with exact= "
            "each entry is known: leave it out"
        )


def _check_entries(exact: Mapping[str, np.ndarray]) -> None:
    """Whether there is a number to be compared.

    Raises:
        NothingCompared: if not.
    """
    if not any(value.size for value in exact.values()):
        shapes = ", ".join(f"{key} has shape {value.shape}" for key, value in exact.items())
        raise NothingCompared(
            f"nothing to compare: no exact gradient has an entry ({shapes}); check exact=, wrt= "
            "and the sizes of the parameters"
        )


def _along(report: EstimatorReport, estimator: Estimator) -> EstimatorReport:
    """A report on samples that says along which direction they were compared, if along one."""
    projection = estimator.project
    if not isinstance(projection, Projection):
        return report
    note = projection.note(report.detectable, report.verdict == REFUTED)
    return dataclasses.replace(report, along=projection.words, notes=(*report.notes, note))


def assert_unbiased(
    estimate: Callable[..., Any], inputs: Sequence[Any] = (), **options: Any
) -> EstimatorReport:
    """:func:`check_estimator`, as an assertion.

    Raises:
        Biased: unless the mean is the exact gradient, or with ``judge="direction"`` a positive
            multiple of it; its message names the worst entry.
        Other errors: as :func:`check_estimator`.
    """
    __tracebackhide__ = True  # of pytest: the message says all
    checked = check_estimator(estimate, inputs, **options)
    if not checked.accepted:
        raise Biased(checked)
    return checked


def _finitely_measured(exact: Estimand) -> Estimand:
    """With what its own rounding was measured to do, where that is a number."""
    measured = exact.with_measured_error()
    finite = all(np.isfinite(error).all() for error in measured.error.values())
    return measured if finite else exact


def _doubt(exact: Estimand, precision: float) -> dict[str, np.ndarray]:
    """What the mean of samples may be off by, and nobody be wrong for certain; by parameter.

    What nobody stated of the exact gradient, and rounding of single precision, unless somebody said
    what the arithmetic is: what is inside of samples is not measured.
    """
    share = 0.0 if precision else SINGLE
    return {
        key: exact.unstated[key] + share * float(np.abs(value).max(initial=0.0))
        for key, value in exact.value.items()
    }
