"""An estimator in single precision that is not decided: decided in double precision, if it can."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.estimator import Estimator, UserFunction
from gradproof.estimators.enumeration.frameworks.torch_doubled import NotDoubled, doubled

from ..evidence import COARSEST, HOLDS, REFUTED, UNDECIDED, unresolved_quantities
from .estimand import SINGLE
from .estimator_report import EstimatorReport
from .listing import list_names

#: What makes the report on the same estimator, where its tensors are in double precision.
Check = Callable[[], EstimatorReport]


def decide_in_double(
    report: EstimatorReport, check: Check, estimator: Estimator, given: Mapping[str, Any]
) -> EstimatorReport:
    """The report of double precision, where single precision is too coarse for a verdict.

    A mean of real numbers does not depend on the precision that it is computed in. Only that it
    holds is taken over, and of what is refuted the direction: numbers that were rounded before they
    are put into double precision are a bias there (of 1e-8, where probabilities no longer sum to
    one), and none where they were made.

    Args:
        report: where some of it is in single precision.
        check: makes the other, in this process.
        estimator: whose tensors are put into double precision.
        given: the options of the check: an exact gradient or objective that is called is called
            there too.
    """
    if not _is_too_coarse(report):
        return report
    estimands = [given["exact"], given["objective"]]
    if isinstance(given["objective"], Mapping):
        estimands.extend(given["objective"].values())
    called = [UserFunction(each) for each in estimands if callable(each)]
    try:
        with doubled(estimator, *called):
            finer = check()
    except NotDoubled:
        return report
    except Exception as error:  # noqa: BLE001 - it runs in single precision, and not in double
        return _with_reason(report, f"it does not run there ({_words(error)})")
    seconds = report.seconds + finer.seconds
    if finer.verdict != (REFUTED if report.verdict == REFUTED else HOLDS):
        return _with_reason(report, f"it is {finer.verdict} there{_remedy(finer, given)}")
    apart = {key: np.abs(mean - finer.mean[key]) for key, mean in report.mean.items()}
    share = max(float(off.max(initial=0.0)) for off in apart.values())
    if not _is_the_same(report, finer, apart):
        return _with_reason(report, f"its mean there is another one, by up to {share:.1e}")
    note = (
        f"In single precision {_what_is_too_coarse(report)}. All that is in single precision was "
        "put into double precision for a while, and the mean and its bounds are from there; as it "
        f"runs by itself the mean differs by up to {share:.1e}, as rounding explains."
    )
    return dataclasses.replace(finer, notes=(*finer.notes, note), seconds=seconds)


def _is_the_same(
    report: EstimatorReport, finer: EstimatorReport, apart: Mapping[str, np.ndarray]
) -> bool:
    """Whether two means are one, but for rounding.

    What rounding decides (a floor, a comparison) is within a bound that was measured too, and
    another mean: rounding alone leaves all entries within what single precision leaves of the
    largest. What it decides on outcomes that are rarer than that is not told from it.
    """
    rounding = SINGLE * max(float(np.abs(mean).max(initial=0.0)) for mean in finer.mean.values())
    return all(
        (off <= np.minimum(report.bounds[key], rounding)).all() for key, off in apart.items()
    )


def _is_too_coarse(report: EstimatorReport) -> bool:
    """Whether rounding alone leaves the verdict undecided, or the direction of what is refuted."""
    if report.method != "enumerated" or report.along or report.reason:
        return False
    points_nowhere = report.direction is not None and report.direction.verdict == UNDECIDED
    return report.verdict == UNDECIDED or (report.verdict == REFUTED and points_nowhere)


def _remedy(finer: EstimatorReport, given: Mapping[str, Any]) -> str:
    """Why, and what can be done."""
    why = f": {finer.reason.removesuffix('.')}" if finer.reason else ""
    if why and given["objective"] is None and not callable(given["exact"]):
        why += "; or pass exact= as a function, which is called in double precision too"
    return why


def _what_is_too_coarse(report: EstimatorReport) -> str:
    """What could not be told in single precision."""
    if report.verdict == REFUTED:
        return "it could not be told where the mean points"
    unseen = unresolved_quantities(report.comparisons)
    if not unseen:
        return "rounding alone could explain what the mean is off by"
    return f"an error of {COARSEST:.0%} would not have been seen in {list_names(unseen)}"


def _words(error: Exception) -> str:
    """The first line of what was raised."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _with_reason(report: EstimatorReport, why: str) -> EstimatorReport:
    if report.verdict == REFUTED:  # whatever its direction
        return report
    return dataclasses.replace(
        report,
        reason=f"In single precision {_what_is_too_coarse(report)}. Double precision, which was "
        f"tried, does not decide: {why.removesuffix('.')}.",
    )
