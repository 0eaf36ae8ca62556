"""Claim cost.labels: what labels cost, counted in NumPy: no framework, no clock."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.note.builds import ModelBuild, all_labels
from gradproof.estimators.note.operation_counts import count_results
from gradproof.estimators.note.value_bounds import unit_roundoff
from gradproof.reference_models.model import every_label

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import checks_of, on_tabular_cases
from ..study import Study
from .partition import log_q_alone, loss_alone

WHOLE = "counts are whole numbers: no error at all; of the root, u 9"

#: Numbers of labels at which the parts are read off, and one at which they are put together again.
FEW, MORE, MANY = 2, 3, 7

#: Some drawn labels: neither one nor all.
SOME = 4

#: Variances, whole so that nothing rounds: between sentences, and by the drawn label.
BETWEEN, BY_LABEL = 3.0, 50.0

#: Roundings of the best number of draws: four roots and three products or quotients in the formula,
#: a quotient and a root of what is read off the counts, which is whole.
ROOT = 9


def count(study: Study, labels: int, evaluated: int, compute: object = all_labels) -> int:
    """Operations for one sentence.

    Args:
        labels: K, of a model that is otherwise the subject's.
        evaluated: how many labels L is asked for.
        compute: log q and L both, or one of them.
    """
    # Each model of ours is a dataclass with the field; what else it has stays as it is.
    model = dataclasses.replace(study.subject.model, classes=labels)  # type: ignore[type-var]
    batch = study.subject.batch.rows([0])
    inputs = batch.arrays() | {"draw": every_label(1, labels)[:evaluated]}
    whole = ModelBuild(compute, model, 1, batch.t)  # type: ignore[arg-type]
    return count_results(whole, model.initial(np.random.default_rng(0)), inputs)


class Parts(NamedTuple):
    """What a sentence costs: once, for each label of the softmax, for each label that L is at."""

    shared: float
    softmax: float
    loss: float


def parts(study: Study) -> Parts:
    """Read off classifier and L, each alone, at few labels."""
    few, more = (count(study, labels, 1, log_q_alone) for labels in (FEW, MORE))
    one, two = (count(study, FEW, evaluated, loss_alone) for evaluated in (1, 2))
    softmax, loss = more - few, two - one
    # What L computes once for all labels, such as what its encoder makes of the tokens, is shared.
    shared = (few - FEW * softmax) + (one - loss)
    return Parts(float(shared), float(softmax), float(loss))


def counted(study: Study) -> list[Comparison]:
    """Counts at many labels against the formulas at parts that were read off at few."""
    derived, costs = derivation("cost.labels"), parts(study)._asdict()
    every, *drawn_labels = (count(study, MANY, evaluated) for evaluated in (MANY, 1, 2, SOME))
    enumeration = derived.further["enumeration"](labels=MANY, **costs)
    comparisons = [compare("operations for all labels", every, enumeration, 0.0, study.name)]
    for draws, spent in zip((1, 2, SOME), drawn_labels, strict=True):
        expected = derived.further["sampled"](labels=MANY, draws=draws, **costs)
        what = f"operations for {draws} drawn"
        comparisons.append(compare(what, spent, expected, 0.0, study.name))
    ratio = derived.oracle(labels=MANY, **costs)
    # A quotient of whole numbers is rounded once, and so is the formula's: to the same number.
    comparisons.append(
        compare("times as much for all", every / drawn_labels[0], ratio, 0.0, study.name)
    )
    return [*comparisons, _best(study, dict(zip((1, 2, SOME), drawn_labels, strict=True)), costs)]


def _best(study: Study, spent: dict[int, int], costs: dict[str, float]) -> Comparison:
    """The best number of draws, where cost times variance, x n + y/n + z by counts, is least."""
    first, second, third = (spent[n] * (BETWEEN + BY_LABEL / n) for n in (1, 2, SOME))
    y = ((third - second) - 2.0 * (second - first)) * 4.0 / 3.0
    x = (second - first) + y / 2.0
    expected = derivation("cost.labels").further["draws"](
        labels=MANY, between=BETWEEN, by_label=BY_LABEL, **costs
    )
    bound = ROOT * unit_roundoff(np.dtype(np.float64)) * float(expected)
    return compare("best number of draws", np.sqrt(y / x), expected, bound, study.name)


def same_for_any(study: Study) -> list[Comparison]:
    """A sampled step with three labels against one with two."""
    with_three, with_two = (count(study, labels, 1) for labels in (MORE, FEW))
    return [compare("operations of a sampled step", with_three, with_two, 0.0, study.name)]


_row = checks_of(
    "cost.labels",
    **on_tabular_cases(supports=False),  # a support is of one number of labels
    backends=("autograd",),
    bound_reason=WHOLE,
)

CHECKS = (
    _row(
        "printed",
        "a sampled step costs as much with three labels as with two",
        REFUTED,
        same_for_any,
    ),
    _row(
        "derived",
        "shared, softmax and loss, read off at 2 and 3 labels, give the counts at 7",
        HOLDS,
        counted,
    ),
)
