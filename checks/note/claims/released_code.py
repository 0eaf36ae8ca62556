"""Claims released.*: the variants of the released code that have one label a sentence.

Each is compared with ∂U, which it misses, with what is derived of it, and with what is right.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES, Baseline
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import Noise
from gradproof.reference_models.redrawn import SECOND, redrawn

from ...evidence import HOLDS, REFUTED, Comparison
from ..check import Check, checks_of, on_tabular_cases
from ..study import Study
from .baseline import largest_baseline
from .by_reference import formula_of, formula_on

#: What the released script subtracts from the loss per token.
BASELINE = "mean-loss"


def against_gradient(study: Study, form: str, baseline: str = "none") -> list[Comparison]:
    """The enumerated mean of a form with a baseline against ∂U."""
    return _compare_mean(study, form, BASELINES[baseline], dict(study.reference.gradient))


def against_formula(
    study: Study, claim: str, form: str, baseline: str = "none"
) -> list[Comparison]:
    """The enumerated mean of a form with a baseline against what is derived of it."""
    per_token = 1.0 / study.subject.batch.mask.sum(axis=1)
    expected = formula_on(study, derivation(claim).oracle, study.names(), per_token=per_token)
    return _compare_mean(study, form, BASELINES[baseline], expected)


def _compare_mean(
    study: Study, form: str, baseline: Baseline, expected: dict[str, np.ndarray]
) -> list[Comparison]:
    lam = study.baseline_inputs(baseline)
    extra = largest_baseline(study, lam) if lam else 0.0
    mean = study.moments(form, baseline).mean
    return study.compare_gradient(mean, expected, study.names(), extra=extra)


def with_second_draw(study: Study, *, same: bool = False) -> Study:
    """The study of a model whose L has another draw of a, or the same one again.

    What is known of it is put together from the right model at either draw.
    """
    subject = study.subject
    first = subject.batch.noise["eps_a"]
    second = first if same else study.rng().standard_normal(first.shape)
    known = study.reference
    if not same:
        there = reference(_with_noise(subject, eps_a=second))
        known = dataclasses.replace(known, loss=there.loss, pathwise=there.pathwise)
    apart = _with_noise(subject, **{SECOND: second}).replace(model=redrawn(subject.model))
    return Study(study.bench, apart, known)


def _with_noise(subject: Subject, **noise: np.ndarray) -> Subject:
    """The same with other noise, or more of it."""
    batch = subject.batch
    changed = {name: array.astype(subject.dtype) for name, array in noise.items()}
    return subject.replace(
        batch=dataclasses.replace(batch, noise=Noise({**batch.noise, **changed}))
    )


def second_draw(study: Study, *, same: bool) -> list[Comparison]:
    """The enumerated mean with a second draw of a, against ∂U at the first."""
    mean = with_second_draw(study, same=same).moments("one-pass").mean
    return study.compare_gradient(mean, dict(study.reference.gradient), study.names())


def second_draw_as_derived(study: Study) -> list[Comparison]:
    """The enumerated mean with a second draw of a, against what is derived of it."""
    apart = with_second_draw(study)
    oracle = derivation("released.redrawn").oracle
    expected = formula_of(apart.reference, oracle, study.names())
    return apart.compare_gradient(apart.moments("one-pass").mean, expected, study.names())


def _rows(claim: str, form: str, baseline: str, *statements: str) -> tuple[Check, ...]:
    """Three rows of a form: what it misses, what it gives, and the form that is right."""
    released, derived, corrected = statements
    against = functools.partial(against_gradient, baseline=baseline)
    as_derived = functools.partial(against_formula, claim=claim, form=form, baseline=baseline)
    row = checks_of(claim)
    return (
        row(
            "released",
            released,
            REFUTED,
            functools.partial(against, form=form),
            **on_tabular_cases(),
        ),
        # A complex step asks for labels of positive probability.
        row("derived", derived, HOLDS, as_derived, **on_tabular_cases(supports=False)),
        row(
            "corrected",
            corrected,
            HOLDS,
            functools.partial(against, form="analytic-entropy"),
            **on_tabular_cases(),
        ),
    )


#: Of what has no a there are no small cases: these run on text alone.
_redrawn = checks_of("released.redrawn", models=("seqdgm-a",), limits="it is about this model")

CHECKS = (
    *_rows(
        "released.reward",
        "reward-per-token",
        BASELINE,
        "(L/|x| - b) log q - H + L, b a running mean of L, against dU",
        "... is what is derived: 1/|x| of E[L s] is left",
        "(L - b) log q - H + L, with the same b",
    ),
    *_rows(
        "released.entropy",
        "no-entropy",
        BASELINE,
        "(L - b) log q + L, the entropy's weight 0, against dU",
        "... is what is derived: the gradient of E[L]",
        "(L - b) log q - H + L, the entropy's weight 1",
    ),
    _redrawn(
        "released",
        "a for q(y|a,x), and another draw of it for L, against dU at the first",
        REFUTED,
        functools.partial(second_draw, same=False),
    ),
    _redrawn(
        "derived",
        "... is what is derived: the gradient of E_q[L at the second a + log q]",
        HOLDS,
        second_draw_as_derived,
    ),
    _redrawn(
        "corrected",
        "the second a is the first again",
        HOLDS,
        functools.partial(second_draw, same=True),
    ),
)
