"""Derived formulas on models of real text, fed with the reference's scores and pathwise gradients.

A complex step differentiates by one entry at a time, which a sequence model has too many of. There
the formula is fed by autograd, label by label: no estimator is on that side either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradproof.derivations.kernel.oracle import Oracle
from gradproof.estimators.note.exact import Reference
from gradproof.reference_models.tabular import TabularModel

from ..study import Study
from .formulas import Arrays, apply_oracle


def formula_on(study: Study, oracle: Oracle, names: list[str], **further: Any) -> Arrays:
    """The sum over sentences of a formula, by parameter: from complex steps on tabular models.

    Args:
        further: as of :func:`~gradproof.checks.note.claims.formulas.apply_oracle`.
    """
    if isinstance(study.subject.model, TabularModel):
        return apply_oracle(oracle, study, names, **further)
    return formula_of(study.reference, oracle, names, **further)


def formula_of(known: Reference, oracle: Oracle, names: list[str], **further: Any) -> Arrays:
    """The sum over sentences of a formula at the values of a reference, by parameter."""
    return {
        name: np.sum(
            [_of_sentence(known, oracle, name, row, further) for row in range(len(known.loss))],
            axis=0,
        )
        for name in names
    }


def _of_sentence(
    known: Reference, oracle: Oracle, name: str, row: int, further: dict[str, Any]
) -> np.ndarray:
    arguments = {
        "q": known.probability[row],
        "log_q": known.log_q[row],
        "loss": known.loss[row],
        "score": known.score[name][row],
        "pathwise": known.pathwise[name][row],
    } | {key: np.asarray(value)[..., row] for key, value in further.items()}
    return oracle(**{key: arguments[key] for key in oracle.arguments})
