"""Claims gradient.e, .w and .phi_theta: as printed, corrected, and in batch form."""

from __future__ import annotations

import functools
import math

import numpy as np

from gradproof.estimators.note.builds import build
from gradproof.reference_models import objective
from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model, Parameters
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, REFUTED, Comparison
from ..check import Check, on_tabular_cases
from ..study import Study
from .formulas import derived_mean


def mean_is_exact(
    study: Study, form: str, by: tuple[str, ...], of: tuple[str, ...]
) -> list[Comparison]:
    """The enumerated mean of a form against the exact gradient of U.

    Args:
        by: differentiate by these groups, as a line of the note does; none: by all at once.
        of: compare these groups; none: all of them.
    """
    mean = study.moments(form, groups=by).mean
    return study.compare_gradient(mean, study.reference.gradient, study.names(*of))


def entropy(
    ops: Ops, model: Model, parameters: Parameters, batch: Batch, inputs: Parameters
) -> Array:
    """The sum of H over the sentences, a scalar."""
    return ops.sum(objective.entropy(ops, model.log_q(ops, parameters, batch)))


def negative_entropy(
    ops: Ops, model: Model, parameters: Parameters, batch: Batch, inputs: Parameters
) -> Array:
    """The sum of -H over the sentences, a scalar."""
    return -entropy(ops, model, parameters, batch, inputs)


def printed_w(study: Study) -> list[Comparison]:
    """The w line read to the letter: dH/de is added to the estimate for w.

    Where e's and w's tables have one shape the sum exists and is compared; where they have not, the
    line is no estimate of anything.
    """
    subject, name = study.subject, study.names("w")[0]
    score_part = study.moments("score-of-loss", groups=("w",)).mean[name]
    inputs = subject.inputs(np.zeros((subject.batch.n, subject.model.classes)))
    added = study.bench.gradient(build(entropy, subject), subject, inputs, ("e.embedding",))[
        "e.embedding"
    ]
    if added.shape != score_part.shape:
        note = (
            f"dH/de has shape {added.shape} and the estimate for {name} has shape "
            f"{score_part.shape}: they cannot be added"
        )
        return [Comparison(name, 1, math.inf, 0.0, 1.0, study.name, note)]
    return study.compare_gradient({name: score_part + added}, study.reference.gradient, [name])


#: What the lines for e and w are differentiated by: the score terms reach no other group.
BY_SCORE = ("e", "w")


def printed_excess(study: Study) -> list[Comparison]:
    """The mean of the line for e as printed, against the exact gradient and twice dH on top."""
    subject, names = study.subject, study.names("e")
    inputs = subject.inputs(np.zeros((subject.batch.n, subject.model.classes)))
    slope = study.bench.gradient(build(entropy, subject), subject, inputs, tuple(names))
    mean, exact = study.moments("printed-entropy", groups=BY_SCORE).mean, study.reference.gradient
    expected = {name: exact[name] + 2.0 * slope[name] for name in names}
    return study.compare_gradient(mean, expected, names)


def _row(
    claim: str,
    variant: str,
    statement: str,
    expected: str,
    form: str,
    *of: str,
    by: tuple[str, ...] = BY_SCORE,
) -> Check:
    """The enumerated mean of a form; ``by`` and ``of`` as in :func:`mean_is_exact`."""
    compare = functools.partial(mean_is_exact, form=form, by=by, of=of)
    return Check(claim, variant, statement, expected, compare, **on_tabular_cases())


#: The last line of the note's three.
PHI_THETA = ("phi", "theta")

CHECKS = (
    _row("gradient.e", "printed", "L ds + dH + dL", REFUTED, "printed-entropy", "e"),
    Check(
        "gradient.e",
        "printed-excess",
        "L ds + dH + dL is off by 2 dH",
        HOLDS,
        printed_excess,
        **on_tabular_cases(),
    ),
    _row("gradient.e", "corrected", "L ds - dH + dL", HOLDS, "analytic-entropy", "e"),
    _row("gradient.e", "batch-form", "d[(CL + CQ + 1) log q + L]", HOLDS, "one-pass", "e", by=()),
    Check(
        "gradient.w",
        "printed",
        "L ds + dH/de, in the line for w",
        REFUTED,
        printed_w,
        **on_tabular_cases(),
        models=(),
        limits="on a sequence model gradients by w and by e differ in shape, and cannot be added",
    ),
    _row("gradient.w", "printed-sign", "L ds + dH/dw", REFUTED, "printed-entropy", "w"),
    _row("gradient.w", "corrected", "L ds - dH/dw", HOLDS, "analytic-entropy", "w"),
    _row("gradient.w", "batch-form", "d[(CL + CQ + 1) log q]", HOLDS, "score-line", "w", by=("w",)),
    _row("gradient.phi_theta", "printed", "dL", HOLDS, "pathwise", *PHI_THETA, by=PHI_THETA),
    _row(
        "gradient.phi_theta",
        "batch-form",
        "the form for e, differentiated once for all groups",
        HOLDS,
        "one-pass",
        by=(),
    ),
    derived_mean(
        "gradient.e", "the mean of the batch form is the derived formula's", "one-pass", "e", by=()
    ),
    derived_mean(
        "gradient.w",
        "the mean of the w line is the derived formula's",
        "score-line",
        "w",
        by=("w",),
    ),
    derived_mean(
        "gradient.phi_theta",
        "the mean of dL is the derived formula's",
        "pathwise",
        *PHI_THETA,
        by=PHI_THETA,
    ),
)
