"""The verdict on an estimator that was sampled, from its samples and the test of their mean."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from gradproof.estimators.enumeration.gradients import GradientLayout

from ..evidence import FAR, HOLDS, REFUTED, UNDECIDED, Comparison, entry
from .estimand import UNMEASURED, Estimand
from .estimator_report import EstimatorReport, bias_at
from .sampled import Samples

#: A sampled verdict holds if a bias of this share of the largest entry would have been seen: what
#: baselines that contain their own draw do to a batch of ten.
SEEN = 0.1


def sampled_verdict(samples: Samples, seen: float, size: float) -> str:
    """The verdict on samples.

    Args:
        seen: the smallest bias that would have been seen in every entry.
        size: the largest entry of what the mean should be.
    """
    if samples.doubtful:
        return UNDECIDED
    if samples.test.rejected:
        return REFUTED
    return HOLDS if seen <= SEEN * size else UNDECIDED


def report_on_samples(
    name: str, exact: Estimand, samples: Samples, seconds: float, why: str
) -> EstimatorReport:
    """The report on an estimator that was sampled, and why it was.

    What to do about that, after a semicolon, was done.
    """
    test, start = samples.test, 0
    comparisons: list[Comparison] = []
    guilty, guilty_at = "", tuple[int, ...]()
    for key, value in exact.value.items():
        part = slice(start, start + value.size)
        off = np.abs(samples.mean[key] - value)
        at = _farthest(off)
        size = float(np.abs(value).max(initial=0.0))
        seen = float(test.detectable[part].max(initial=0.0))
        if start <= test.worst < part.stop:
            place = np.unravel_index(test.worst - start, value.shape)
            at = tuple(int(each) for each in place)
            guilty, guilty_at = key, at
        error = float(off[at]) if off.size else 0.0
        error = np.inf if np.isnan(error) else error
        comparisons.append(
            Comparison(key, value.size, error, min(seen, FAR), size, name, kind="sampled", index=at)
        )
        start = part.stop
    seen, size = float(test.detectable.max()), max(one.signal for one in comparisons)
    return EstimatorReport(
        name=name,
        verdict=sampled_verdict(samples, seen, size),
        method="sampled",
        comparisons=tuple(comparisons),
        worst=bias_at(guilty, guilty_at, samples.mean, exact.value),
        mean=samples.mean,
        variance=samples.variance,
        exact=exact.value,
        paths=0,
        mass=0.0,
        draws=test.draws,
        seconds=seconds,
        notes=(
            f"It was sampled, for {why.partition('; ')[0]}.",
            _name_entries(test.explain(), exact.value),
            *samples.notes,
        ),
        reason=_why_doubtful(exact, samples),
        detectable=seen,
        condition=samples.condition,
        bounds=GradientLayout(exact.value).split(np.minimum(test.detectable, FAR)),
    )


def _farthest(off: np.ndarray) -> tuple[int, ...]:
    """Where something is largest, or no number; nowhere in an empty array."""
    place = int(np.argmax(np.where(np.isnan(off), np.inf, off))) if off.size else 0
    return tuple(int(each) for each in np.unravel_index(place, off.shape)) if off.size else ()


def _why_doubtful(exact: Estimand, samples: Samples) -> str:
    """Why an error that was found is no bias for certain; empty if none is in doubt."""
    if not samples.doubtful:
        return ""
    layout = GradientLayout(exact.value)
    off = np.abs(layout.row(samples.mean) - layout.row(exact.value))
    allowed = layout.row(exact.error) + layout.row(exact.unstated)
    # Beside five standard errors no noise in any entry matters.
    explained = (off <= allowed + 5.0 * samples.test.standard_errors).all()
    return exact.why if explained else UNMEASURED


def _name_entries(text: str, exact: Mapping[str, np.ndarray]) -> str:
    """A text, in which entries have their names instead of their numbers in a row."""
    names = [entry(key, place) for key, value in exact.items() for place in np.ndindex(value.shape)]
    return re.sub(r"\bcoordinate (\d+)", lambda match: names[int(match[1])], text)
