"""A derivation's formula, as SymPy wrote it, applied to what frameworks compute.

The formula is fed with values, scores and pathwise gradients of every label: on tabular cases from
complex steps, with no automatic differentiation on that side, and on the sequence models from
autograd, one label at a time, which row ``objective.u/slopes`` checks. No estimator is on that
side. Each claim has rows of its own of this kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradproof.derivations.kernel.oracle import Oracle
from gradproof.derivations.registry import derivation

from ...evidence import HOLDS, Comparison
from ..check import ROUNDING, Check, on_tabular_cases
from ..study import Study

Arrays = dict[str, np.ndarray]


def formula_sum(claim: str, study: Study, names: list[str], **further: Any) -> Arrays:
    """The sum over sentences of a derivation's formula, by parameter."""
    return apply_oracle(derivation(claim).oracle, study, names, **further)


def apply_oracle(oracle: Oracle, study: Study, names: list[str], **further: Any) -> Arrays:
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
    tables = study.tables
    arguments = {
        "q": np.exp(tables.log_q[:, row]),
        "log_q": tables.log_q[:, row],
        "loss": tables.loss[:, row],
        "score": tables.score[name][:, row],
        "pathwise": tables.pathwise[name][:, row],
    } | {key: np.asarray(value)[..., row] for key, value in further.items()}
    return oracle(**{key: arguments[key] for key in oracle.arguments})


def enumerated_mean(
    study: Study, claim: str, form: str, by: tuple[str, ...], of: tuple[str, ...]
) -> list[Comparison]:
    """The enumerated mean of a form against the formula.

    Args:
        by: differentiate by these groups; none: by all at once.
        of: compare these groups.
    """
    names = study.names(*of)
    mean = study.moments(form, groups=by).mean
    return study.compare_gradient(mean, formula_sum(claim, study, names), names)


def derived_row(
    claim: str,
    statement: str,
    compare: Callable[[Study], list[Comparison]],
    bound_reason: str = ROUNDING,
    *,
    labelled: bool = False,
    **further: Any,
) -> Check:
    """A row that compares with the formula which is derived for a claim.

    Args:
        further: other fields of the check.
    """
    return Check(
        claim,
        "derived",
        statement,
        HOLDS,
        compare,
        # A complex step asks for labels of positive probability.
        **on_tabular_cases(supports=False, labelled=labelled),
        bound_reason=bound_reason,
        **further,
    )


def derived_mean(claim: str, statement: str, form: str, *of: str, by: tuple[str, ...]) -> Check:
    """The same of the enumerated mean of a form; ``by`` and ``of`` as there."""
    return derived_row(claim, statement, lambda study: enumerated_mean(study, claim, form, by, of))
