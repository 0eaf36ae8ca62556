"""One row a derivation: its formula, as SymPy wrote it, against what frameworks compute.

The formula is fed with values, scores and pathwise gradients from complex steps. No automatic
differentiation is on that side, and no estimator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.derivations.kernel.oracle import Oracle
from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.builds import build, surrogate
from gradproof.estimators.note.complex_step import Tables
from gradproof.estimators.note.forms import FORMS
from gradproof.reference_models.model import one_hot

from ...evidence import HOLDS, Comparison
from ..check import Check, drawn
from ..study import Study
from .baseline import largest_baseline
from .constant import BASELINE, baseline_values
from .gradient import BY_SCORE

Named = dict[str, np.ndarray]


def apply(claim: str, study: Study, names: list[str], **further: Any) -> Named:
    """The sum over sentences of a derivation's formula, by parameter."""
    return apply_oracle(derivation(claim).oracle, study, names, **further)


def apply_oracle(oracle: Oracle, study: Study, names: list[str], **further: Any) -> Named:
    """The sum over sentences of a formula, by parameter.

    Args:
        further: arguments beside those that the tables have, or in their place; an array of one
            entry a sentence, or (labels, sentences) where the formula has it for each label.
    """
    return {
        name: np.sum(
            [
                of_sentence(oracle, study, name, row, **further)
                for row in range(study.subject.batch.n)
            ],
            axis=0,
        )
        for name in names
    }


def of_sentence(oracle: Oracle, study: Study, name: str, row: int, **further: Any) -> np.ndarray:
    """A formula for one sentence and one parameter; ``further`` as in :func:`apply_oracle`."""
    known = sentence(study.tables, name, row)
    known |= {key: np.asarray(value)[..., row] for key, value in further.items()}
    return oracle(**{key: known[key] for key in oracle.arguments})


def sentence(tables: Tables, name: str, row: int) -> Named:
    """What the tables have of one sentence and one parameter, by a formula's argument."""
    log_q = tables.log_q[:, row]
    return {
        "q": np.exp(log_q),
        "log_q": log_q,
        "loss": tables.loss[:, row],
        "score": tables.score[name][:, row],
        "pathwise": tables.pathwise[name][:, row],
    }


def enumerated_mean(
    study: Study, claim: str, form: str, by: tuple[str, ...], of: tuple[str, ...]
) -> list[Comparison]:
    """The enumerated mean of a form against the formula.

    Args:
        by: differentiate by these groups; none: by all at once.
        of: compare these groups.
    """
    names = study.names(*of)
    found = study.moments(form, groups=by)
    return study.compare_gradient(dict(found.mean), apply(claim, study, names), names)


def own_share(study: Study) -> list[Comparison]:
    """The mean with a batch mean of which a share is the sentence's own loss."""
    n, names, baseline = study.subject.batch.n, study.names(), BASELINES["batch-mean"]
    found = study.moments("one-pass", baseline)
    expected = apply("baseline.unbiased", study, names, own=np.full(n, 1.0 / n))
    extra = largest_baseline(study, study.baseline_inputs(baseline))
    return study.compare_gradient(dict(found.mean), expected, names, extra=extra)


def at_a_draw(study: Study) -> list[Comparison]:
    """One differentiation with CL, CQ and B held, at one draw."""
    subject, names = study.subject, study.names()
    draw = one_hot(study.draw(), subject.model.classes)
    inputs = subject.inputs(draw) | study.baseline_inputs(BASELINE)
    value = study.bench.values(build(baseline_values, subject), subject, inputs)["B"]
    found = study.bench.gradient(surrogate(FORMS["one-pass"], BASELINE, subject), subject, inputs)
    expected = apply("constant.theano", study, names, drawn=draw.T, baseline=value)
    extra = float(np.abs(value).max())
    return study.compare_gradient(found, expected, names, extra=extra)


def batch_at_a_draw(study: Study) -> list[Comparison]:
    """One differentiation of the batch against a sum of which each term is one sentence's."""
    subject, tables, names = study.subject, study.tables, study.names()
    labels, rows = study.draw(), np.arange(study.subject.batch.n)
    baseline = BASELINES["none"]
    inputs = subject.inputs(one_hot(labels, subject.model.classes))
    inputs |= study.baseline_inputs(baseline)
    found = study.bench.gradient(surrogate(FORMS["one-pass"], baseline, subject), subject, inputs)
    weight = tables.loss[labels, rows] + tables.log_q[labels, rows] + 1.0
    oracle = derivation("batch.one_pass").oracle
    expected = {
        name: oracle(
            weight=weight,
            score=tables.score[name][labels, rows],
            pathwise=tables.pathwise[name][labels, rows],
        )
        for name in names
    }
    return study.compare_gradient(found, expected, names)


def _row(claim: str, statement: str, compare: Callable[[Study], list[Comparison]]) -> Check:
    return Check(
        claim=claim,
        variant="derived",
        statement=statement,
        expected=HOLDS,
        compare=compare,
        **drawn(supports=False),  # a complex step asks for labels of positive probability
        models=(),
    )


def _mean_row(
    claim: str, statement: str, form: str, *of: str, by: tuple[str, ...] = BY_SCORE
) -> Check:
    return _row(claim, statement, lambda study: enumerated_mean(study, claim, form, by, of))


CHECKS = (
    _mean_row(
        "gradient.e", "the mean of the batch form is the derived formula's", "one-pass", "e", by=()
    ),
    _mean_row(
        "gradient.w",
        "the mean of the w line is the derived formula's",
        "score-line",
        "w",
        by=("w",),
    ),
    _mean_row(
        "gradient.phi_theta",
        "the mean of dL is the derived formula's",
        "pathwise",
        "phi",
        "theta",
        by=("phi", "theta"),
    ),
    _row("baseline.unbiased", "a batch mean keeps the share that is derived", own_share),
    _row("constant.theano", "one differentiation gives the derived estimate", at_a_draw),
    _row("batch.one_pass", "the batch's gradient is the derived sum", batch_at_a_draw),
    _mean_row("batch.plus_one", "E[(CQ + 1) s] is the derived -dH", "plus-one", "e", "w"),
)
