"""The verdict on an estimator and an objective that were sampled along segments."""

from __future__ import annotations

import re

import numpy as np

from gradproof.estimators.enumeration.gradients import ByName

from ..evidence import FAR, REFUTED, UNDECIDED, Comparison
from .estimand import UNMEASURED
from .estimator_report import EstimatorReport, bias_at
from .sampled import Samples
from .sampled_report import sampled_verdict
from .segment_samples import SlopeDifferences
from .segments import Segment

#: What must hold besides.
VALID = (
    "Valid if, besides, the mean of the objective has no jump on a segment, and estimator and "
    "objective compute all that depends on the parameters anew in each call."
)


def report_on_segments(
    name: str,
    slopes: SlopeDifferences,
    samples: Samples,
    *,
    seconds: float,
    why: str,
    seed: int,
    note: str,
) -> EstimatorReport:
    """The report: mean slopes of the estimator, and those of the objective as what they should be.

    Args:
        slopes: with the moments of both.
        why: the objective was not enumerated.
        seed: that draws the directions again.
    """
    segments, test = slopes.segments, samples.test
    count = len(segments)
    names = [each.name for each in segments]
    mean, variance = slopes.moments.mean, slopes.moments.variance()
    by_estimator = {key: np.asarray(mean[i]) for i, key in enumerate(names)}
    by_objective = {key: np.asarray(mean[count + i]) for i, key in enumerate(names)}
    bounds = np.minimum(test.detectable, FAR)
    comparisons = tuple(
        Comparison(
            key,
            1,
            abs(float(samples.mean[key])),
            float(bounds[i]),
            abs(float(by_objective[key])),
            name,
            kind="sampled",
        )
        for i, key in enumerate(names)
    )
    # Of a mean slope that is itself sampled: a tenth of it is seen where it is some fifty standard
    # errors, beside which its own does not matter.
    seen, size = float(test.detectable.max()), max(one.signal for one in comparisons)
    verdict = sampled_verdict(samples, seen, size)
    return EstimatorReport(
        name=name,
        verdict=verdict,
        method="sampled",
        comparisons=comparisons,
        worst=bias_at(names[test.worst], (), by_estimator, by_objective),
        mean=by_estimator,
        variance={key: np.asarray(variance[i]) for i, key in enumerate(names)},
        exact=by_objective,
        paths=0,
        mass=0.0,
        draws=test.draws,
        seconds=seconds,
        notes=(
            f"It and its objective were sampled, for {why}.",
            _table(names, by_estimator, by_objective),
            _named(test.explain(), names),
            VALID,
            _limit(segments, seed, verdict),
            *((note,) if note else ()),
            *samples.notes,
        ),
        reason=UNMEASURED if samples.doubtful else "",
        detectable=seen,
        condition=samples.condition,
        along=_along(segments),
        seed=seed,
        bounds={key: np.asarray(bounds[i]) for i, key in enumerate(names)},
    )


def _table(names: list[str], by_estimator: ByName, by_objective: ByName) -> str:
    """Both slopes of each direction, in words."""
    parts = [
        f"{key} is {by_estimator[key]:.6e} by the estimator and {by_objective[key]:.6e} by the "
        "objective"
        for key in names
    ]
    return f"{'; '.join(parts)}."


def _named(text: str, names: list[str]) -> str:
    """The test's text, of differences of slopes."""
    text = text.replace("the mean is not the exact one", "the mean slopes are not the same")
    named = r"mean of coordinate (\d+)"
    text = re.sub(named, lambda match: f"mean difference of {names[int(match[1])]}", text)
    return re.sub(r"\bcoordinate (\d+)", lambda match: names[int(match[1])], text)


def _along(segments: tuple[Segment, ...]) -> str:
    """What a verdict holds along."""
    halves = sorted(each.half_length for each in segments)
    low, high = f"{halves[0]:.2g}", f"{halves[-1]:.2g}"
    length = low if low == high else f"{low} to {high}"
    many = len(segments)
    what = "one random direction" if many == 1 else f"{many} random directions"
    over = "a segment" if many == 1 else "segments"
    return f"along {what}, averaged over {over} of half-length {length} around the parameters"


def _limit(segments: tuple[Segment, ...], seed: int, verdict: str) -> str:
    """What could not be seen, and what can be done."""
    sizes = {each.goal: sum(way.size for way in each.towards.values()) for each in segments}
    text = (
        f"The directions are of length 1 and come from seed={seed}. A bias is not seen that is "
        "orthogonal to them, or nearly so, or that cancels along each segment."
    )
    if sum(sizes.values()) == len(segments):
        text = (
            f"The directions are of length 1, come from seed={seed}, and span all parameters. A "
            "bias is not seen that cancels along each segment."
        )
    if verdict == REFUTED:
        return (
            f"{text} The bias is somewhere on a segment; a smaller half_length= says whether it is "
            "there nearer to the parameters."
        )
    if verdict == UNDECIDED:
        return f"{text} A larger half_length= lowers the noise of the objective."
    return text
