"""One option of a library, and what its mean gradient is compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from gradproof.checks.user.estimator_report import EstimatorReport


@dataclasses.dataclass(frozen=True)
class Row:
    """One option.

    Args:
        library: that it is of, by the name of its distribution.
        option: as its users write it.
        estimand: the quantity whose gradient it is compared with, made large.
        check: compares them.
    """

    library: str
    option: str
    estimand: str
    check: Callable[[], EstimatorReport]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is recorded of one option.

    Args:
        verdict: ``holds``, ``proportional``, ``zero`` or ``differs``; ``refuted`` where it is not
            known which of these it is, and ``undecided``.
        factor: of the mean along the gradient; the mean is that many times the gradient, where the
            two are proportional.
        cosine: of the angle between them; NaN where the mean is zero.
        deviation: standard deviation of one estimate, summed over entries, in units of the length
            of the gradient.
        paths: that were run.
    """

    library: str
    option: str
    estimand: str
    verdict: str
    factor: float
    cosine: float
    deviation: float
    paths: int
