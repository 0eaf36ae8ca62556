"""Derived formulas of the costs themselves, and of a baseline in them, against frameworks.

As in :mod:`.derived` no automatic differentiation is on the formula's side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES, Baseline
from gradproof.estimators.baselines.base import BaselineInput
from gradproof.estimators.note import complex_step
from gradproof.estimators.note.builds import build
from gradproof.estimators.note.value_bounds import PASSES
from gradproof.reference_models.batch import UNLABELLED
from gradproof.reference_models.model import every_label, one_hot
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, Comparison, compare
from ..check import ROUNDING, Check, drawn
from ..study import Study
from .baseline import ShiftedObjective, largest_baseline
from .derived import apply
from .labelled import labelled_cost
from .objective import ALPHA, VALUE, cost_inputs, scalar_cost, scale, unlabelled_values, whole_cost

Named = Mapping[str, Array]


def live_baseline(study: Study) -> list[Comparison]:
    """U with a live baseline in it: the gradient moves by the baseline's own."""
    subject, names, baseline = study.subject, study.names(), BASELINES["live"]
    lam = study.baseline_inputs(baseline)
    shifted = ShiftedObjective(baseline, subject.model, subject.batch.n, subject.batch.t)
    every = every_label(subject.batch.n, subject.model.classes)
    found = study.bench.gradient(shifted, subject, subject.inputs(every) | lam)
    gradient, oracle = apply("gradient.e", study, names), derivation("baseline.reconstruction")
    slope = {name: _of_baseline(study, baseline, name, lam) for name in names}
    known, extra = study.reference, largest_baseline(study, lam)
    # B's own gradient rounds too, and where all others are zero it is all that does.
    of_baseline = known.unit * PASSES * known.forward.operations
    return [
        compare(
            name,
            found[name],
            oracle.oracle(gradient=gradient[name], baseline_gradient=slope[name]),
            known.bound(name, extra) + of_baseline * float(np.abs(slope[name]).max()),
            study.name,
        )
        for name in names
    ]


def _of_baseline(study: Study, baseline: Baseline, name: str, lam: Named) -> np.ndarray:
    """The derivative of the sum of B by one parameter, by complex steps."""
    subject = study.subject
    inputs = {
        key: value.astype(np.float64) if value.dtype.kind == "f" else value
        for key, value in (subject.batch.arrays() | dict(lam)).items()
    }

    def whole(ops: Ops, parameters: Named, given: Named) -> Array:
        batch = subject.batch.with_arrays(given)
        seen = BaselineInput(ops, subject.model, parameters, batch, given, np.zeros(batch.n))
        return ops.sum(baseline.value(seen))

    still = {key: np.zeros(np.shape(array)) for key, array in subject.parameters.items()}
    found = np.zeros(still[name].shape)
    for place in np.ndindex(found.shape):
        along = np.zeros(found.shape)
        along[place] = 1.0
        found[place] = complex_step.derivative(
            whole, subject.parameters, inputs, still | {name: along}
        )
    return found


def unlabelled(study: Study) -> list[Comparison]:
    """U of each sentence."""
    subject, known = study.subject, study.tables
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    found = study.bench.values(build(unlabelled_values, subject), subject, inputs)["U"]
    expected = derivation("objective.u").oracle(
        q=np.exp(known.log_q), log_q=known.log_q, loss=known.loss
    )
    return [compare("U", found, expected, scale(study), study.name)]


def cost(study: Study) -> list[Comparison]:
    """C, and its gradient, from tables of both kinds of sentences."""
    subject, known, derived = study.subject, study.tables, derivation("objective.c")
    labels = subject.batch.labels
    i, j = np.flatnonzero(labels != UNLABELLED), np.flatnonzero(labels == UNLABELLED)
    drawn_from = {
        "q": np.exp(known.log_q[:, j].T),
        "log_q": known.log_q[:, j].T,
        "loss": known.loss[:, j].T,
        "alpha": ALPHA,
    }
    inputs = cost_inputs(study)
    value = study.bench.values(build(whole_cost, subject), subject, inputs)["C"]
    whole = derived.further["cost"](
        labelled_loss=known.loss[labels[i], i], labelled_log_q=known.log_q[labels[i], i],
        **drawn_from,
    )  # fmt: skip
    found = study.bench.gradient(build(scalar_cost, subject), subject, inputs)
    expected = {
        name: derived.oracle(
            labelled_pathwise=known.pathwise[name][labels[i], i],
            labelled_score=known.score[name][labels[i], i],
            score=known.score[name][:, j].swapaxes(0, 1),
            pathwise=known.pathwise[name][:, j].swapaxes(0, 1),
            **drawn_from,
        )
        for name in study.names()
    }
    return [
        compare("C", value, whole, scale(study), study.name),
        *study.compare_gradient(found, expected, study.names()),
    ]


def given_labels(study: Study) -> list[Comparison]:
    """The gradient of the labelled part at labels that are given."""
    subject, known, oracle = study.subject, study.tables, derivation("labelled").oracle
    labels, rows = study.draw(), np.arange(study.subject.batch.n)
    inputs = subject.inputs(one_hot(labels, subject.model.classes))
    found = study.bench.gradient(build(labelled_cost, subject), subject, inputs)
    expected = {
        name: oracle(
            pathwise=known.pathwise[name][labels, rows],
            score=known.score[name][labels, rows],
            alpha=ALPHA,
        ).sum(axis=0)
        for name in study.names()
    }
    return study.compare_gradient(found, expected, study.names())


def _row(
    claim: str,
    statement: str,
    compare: Callable[[Study], list[Comparison]],
    bound_reason: str = ROUNDING,
    *,
    labelled: bool = False,
) -> Check:
    return Check(
        claim=claim,
        variant="derived",
        statement=statement,
        expected=HOLDS,
        compare=compare,
        # A complex step asks for labels of positive probability.
        **drawn(supports=False, labelled=labelled),
        models=(),
        bound_reason=bound_reason,
    )


CHECKS = (
    _row(
        "baseline.reconstruction",
        "a live baseline moves the gradient of U by its own, as derived",
        live_baseline,
    ),
    _row("objective.u", "U of each sentence is the derived sum", unlabelled, VALUE),
    _row(
        "objective.c",
        "C and its gradient are the derived averages",
        cost,
        f"{ROUNDING}; of C: {VALUE}",
        labelled=True,
    ),
    _row("labelled", "the gradient at given labels is the derived one", given_labels),
)
