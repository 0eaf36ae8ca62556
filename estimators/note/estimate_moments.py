"""Exact mean and variance of an estimator: its own code on every draw, weighted by probability."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from gradproof.reference_models.model import one_hot

from ..backends import Build, Names
from ..baselines import Baseline
from .bench import Bench
from .builds import surrogate
from .forms import Form
from .independence import check_independent
from .subject import Subject

#: Above this many joint draws the enumeration is refused: K^N grows fast.
MOST_DRAWS = 4096


#: Gradients by parameter, from one-hot labels (N, K).
Estimate = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class EstimateMoments:
    """Mean and variance of an estimate over its draws, per parameter entry.

    ``draws`` of positive probability were run; ``skipped`` have probability zero and were not.
    ``largest`` is the largest magnitude of one draw's estimate, by parameter.
    """

    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]
    largest: Mapping[str, float]
    draws: int
    skipped: int


def per_example(
    bench: Bench,
    form: Form,
    baseline: Baseline,
    subject: Subject,
    extra: Mapping[str, np.ndarray],
    log_q: np.ndarray,
    wrt: Names | None = None,
) -> EstimateMoments:
    """Moments of the batch estimate from N K runs, one sentence and one label each.

    Estimand: none; this describes an estimator. Estimator: any form with a baseline that is not
    coupled. Valid when: labels are drawn independently and no sentence enters another's cost; then
    means and variances add over sentences. :func:`joint` needs neither.

    Args:
        extra: further inputs, lambda among them.
        log_q: (N, K), the probabilities of the draws.
        wrt: the parameters to differentiate by; None: all of them.

    Raises:
        ValueError: if the baseline is coupled, a sentence enters another's cost, or the
            probabilities do not sum to one.
    """
    if baseline.coupled:
        raise ValueError(
            f"baseline {baseline.name!r} couples the sentences of a batch; enumerate jointly"
        )
    _check_total(np.exp(log_q))
    check_independent(subject)
    parts = []
    for row in range(subject.batch.n):
        example = subject.example(row)
        build = surrogate(form, baseline, example)

        def estimate(
            draw: np.ndarray, example: Subject = example, build: Build = build
        ) -> dict[str, np.ndarray]:
            return bench.gradient(build, example, example.inputs(draw) | dict(extra), wrt)

        parts.append(enumerate_draws(estimate, np.exp(log_q[[row]])))
    return EstimateMoments(
        mean={name: np.sum([part.mean[name] for part in parts], axis=0) for name in parts[0].mean},
        variance={
            name: np.sum([part.variance[name] for part in parts], axis=0) for name in parts[0].mean
        },
        largest={name: sum(part.largest[name] for part in parts) for name in parts[0].mean},
        draws=sum(part.draws for part in parts),
        skipped=sum(part.skipped for part in parts),
    )


def joint(
    bench: Bench,
    form: Form,
    baseline: Baseline,
    subject: Subject,
    extra: Mapping[str, np.ndarray],
    log_q: np.ndarray,
    wrt: Names | None = None,
) -> EstimateMoments:
    """Moments of the batch estimate from K^N runs, one for each way to label the batch.

    Valid when: labels are drawn independently; sentences may enter each other's cost.

    Raises:
        ValueError: if K^N is above :data:`MOST_DRAWS`, or the probabilities do not sum to one.
    """
    build = surrogate(form, baseline, subject)
    return enumerate_draws(
        lambda draw: bench.gradient(build, subject, subject.inputs(draw) | dict(extra), wrt),
        np.exp(log_q),
    )


def enumerate_draws(estimate: Estimate, probability: np.ndarray) -> EstimateMoments:
    """Run an estimate on every way to label a batch, and weight by probability.

    Args:
        estimate: gradients by name, from one-hot labels (N, K).
        probability: (N, K), rows summing to one; a row with a single 1 is a known label.

    Raises:
        ValueError: if there are more than :data:`MOST_DRAWS` ways of positive probability, or the
            probabilities do not sum to one.
    """
    _check_total(probability)
    n, k = probability.shape
    choices = [np.flatnonzero(row > 0.0) for row in probability]
    count = math.prod(map(len, choices))
    if count > MOST_DRAWS:
        raise ValueError(
            f"{count} joint draws (of K^N = {k}^{n}), at most {MOST_DRAWS} are enumerated; take "
            "fewer sentences"
        )
    draws = list(itertools.product(*choices))
    weights = np.array(
        [float(np.prod(probability[np.arange(n), list(labels)])) for labels in draws]
    )
    estimates = [estimate(one_hot(np.array(labels), k)) for labels in draws]
    mean, variance, largest = {}, {}, {}
    for name in estimates[0]:
        table = np.stack([one[name].astype(np.float64) for one in estimates])
        mean[name] = np.tensordot(weights, table, axes=1)
        # The mean is taken first, so that the variance cannot cancel.
        variance[name] = np.tensordot(weights, (table - mean[name]) ** 2, axes=1)
        largest[name] = float(np.abs(table).max())
    return EstimateMoments(mean, variance, largest, count, k**n - count)


def _check_total(probability: np.ndarray) -> None:
    totals = probability.sum(axis=1)
    # exp(log q) of K labels sums to 1 within the roundings of a log-softmax in float32.
    wrong = np.flatnonzero(~(np.abs(totals - 1.0) <= 1e-3))
    if wrong.size:
        raise ValueError(
            f"the labels of sentence {wrong[0]} have total probability "
            f"{float(totals[wrong[0]])!r}, expected 1; log q is not normalised over the labels"
        )
