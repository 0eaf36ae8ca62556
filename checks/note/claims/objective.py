"""Claims objective.u and objective.c."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.note import complex_step, estimate_moments
from gradproof.estimators.note.builds import all_labels, build, exact_objective, terms_at
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.value_bounds import PASSES
from gradproof.reference_models import objective
from gradproof.reference_models.batch import UNLABELLED, Batch, from_arrays
from gradproof.reference_models.model import Model, every_label, one_hot
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import ROUNDING, Check, on_tabular_cases
from ..study import Study
from .formulas import derived_row

Named = Mapping[str, Array]

VALUE = "rounding: u 4R (1 + M) (2 + max|log q|) (1 + max|log q| + max|L|)"

#: Joint draws of a text's unlabelled sentences; where there are more, two sentences are taken.
MOST_JOINT = 256

#: The weight of the labelled sentences' -log q; any number that is not 0 or 1 will show a slip.
ALPHA = 0.7


def unlabelled_values(
    ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named
) -> Named:
    """U of each sentence, and E_q[log q] as enumerated."""
    log_q = model.log_q(ops, parameters, batch)
    losses = model.loss(ops, parameters, batch, inputs["draw"])
    nothing = ops.zeros_like(losses)
    return {
        "U": objective.unlabelled(ops, log_q, losses),
        "E log q": objective.unlabelled(ops, log_q, nothing),
    }


def single(study: Study, row: int, label: int | np.integer[Any]) -> float:
    """L of one sentence and one label, evaluated alone."""
    example = study.subject.example(row)
    inputs = example.inputs(every_label(1, example.model.classes)[[int(label)]])
    found = study.bench.values(build(_one_loss, example), example, inputs)
    return float(found["loss"][0, 0])


def _one_loss(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    return {"loss": model.loss(ops, parameters, batch, inputs["draw"])}


def scale(study: Study) -> float:
    """What rounding can do to a value of U: the magnitudes that are summed, times 4R u."""
    known = study.reference
    log_q = np.abs(np.where(np.isfinite(known.log_q), known.log_q, 0.0)).max()
    size = 1.0 + log_q + np.abs(known.loss).max()
    return 4.0 * known.value_bound() * (2.0 + log_q) * float(size)


def expectation(study: Study) -> list[Comparison]:
    """U in one vectorised pass against the sum over labels, each evaluated alone."""
    subject, known = study.subject, study.reference
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    found = study.bench.values(build(unlabelled_values, subject), subject, inputs)["U"]
    expected = [
        sum(
            known.probability[row, label] * (single(study, row, label) + known.log_q[row, label])
            for label in np.flatnonzero(known.probability[row] > 0.0)
        )
        for row in range(subject.batch.n)
    ]
    return [compare("U", found, expected, scale(study), study.name)]


def second_term(study: Study, sign: float) -> list[Comparison]:
    """E_q[log q] against ``sign`` times Shannon's entropy, summed term by term in NumPy."""
    subject, known = study.subject, study.reference
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    found = study.bench.values(build(unlabelled_values, subject), subject, inputs)["E log q"]
    shannon = [-sum(q * np.log(q) for q in row if q > 0.0) for row in known.probability]
    return [compare("E_q[log q]", found, sign * np.array(shannon), scale(study), study.name)]


def derivative(study: Study) -> list[Comparison]:
    """The enumerated gradient against complex steps in random directions, and in this framework."""
    subject, exact, rng = study.subject, study.reference, study.rng()
    if not np.isfinite(exact.log_q).all():
        raise ValueError(
            f"a label of {study.name} has probability zero: a complex step cannot tell log q of "
            "minus infinity, since complex numbers have no order; give every label some probability"
        )
    whole = build(exact_objective, subject)
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    here = study.bench.gradient(whole, subject, inputs)
    comparisons = study.compare_gradient(here, dict(exact.gradient), study.names())
    for name in study.names():
        direction = {key: np.zeros_like(value) for key, value in exact.gradient.items()}
        direction[name] = rng.choice([-1.0, 1.0], size=exact.gradient[name].shape)
        stepped = complex_step.derivative(whole, subject.parameters, inputs, direction)
        found = float((exact.gradient[name] * direction[name]).sum())
        bound = exact.bound(name) * max(1, exact.gradient[name].size)
        signal = float(np.abs(exact.gradient[name]).sum())
        comparisons.append(
            compare(f"{name} along a direction", found, stepped, bound, study.name, signal=signal)
        )
    return comparisons


def slopes(study: Study) -> list[Comparison]:
    """The score and dL of every label, along a direction a parameter, against complex steps."""
    subject, exact, rng = study.subject, study.reference, study.rng()
    values = build(all_labels, subject)
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    still = {name: np.zeros(np.shape(array)) for name, array in subject.parameters.items()}
    bound, comparisons = exact.unit * PASSES * exact.forward.operations, []
    for name, array in still.items():
        direction = rng.choice([-1.0, 1.0], array.shape)
        stepped = complex_step.directional(
            values, subject.parameters, inputs, still | {name: direction}
        )
        for what, table, of_step in (
            ("score", exact.score[name], stepped["log_q"]),
            ("dL", exact.pathwise[name], stepped["loss"].T),
        ):
            along = np.tensordot(table, direction, axes=direction.ndim)
            signal = float(np.abs(table).sum(axis=tuple(range(2, table.ndim))).max())
            of_all = exact.score if what == "score" else exact.pathwise
            left = array.size * float(exact.cancelled(of_all).max()) / PASSES
            comparisons.append(
                compare(
                    f"{what} by {name} along a direction",
                    along,
                    of_step,
                    bound * ((1.0 + exact.forward.largest) * signal + left),
                    study.name,
                    signal=signal,
                )
            )
    # A parameter that log q does not depend on has no score to be seen: it was exactly zero.
    return [one for one in comparisons if one.signal > 0.0 or one.error > 0.0]


def whole_cost(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """C of the batch, its labelled sentences marked in ``known`` (N, K)."""
    log_q = model.log_q(ops, parameters, batch)
    losses = model.loss(ops, parameters, batch, inputs["draw"])
    return {"C": objective.cost(ops, log_q, losses, inputs["known"], ALPHA, batch.n)}


def known_labels(study: Study) -> np.ndarray:
    """One-hot labels (N, K), zero for sentences without one."""
    labels = study.subject.batch.labels
    rows = one_hot(np.maximum(labels, 0), study.subject.model.classes)
    return (rows * (labels != UNLABELLED)[:, None]).astype(study.subject.dtype)


def cost_inputs(study: Study) -> dict[str, np.ndarray]:
    """Every label, and which are known."""
    subject = study.subject
    every = every_label(subject.batch.n, subject.model.classes)
    return subject.inputs(every) | {"known": known_labels(study)}


def check_known(study: Study) -> None:
    """Make sure that C is finite.

    Raises:
        ValueError: if a known label has probability zero.
    """
    for row, label in enumerate(study.subject.batch.labels):
        if label != UNLABELLED and study.reference.probability[row, label] == 0.0:
            raise ValueError(
                f"sentence {row} has the label {label}, whose probability is zero: -log q and "
                "C are infinite; give the label some probability or the sentence another label"
            )


def cost_value(study: Study) -> list[Comparison]:
    """C in one pass against the sum sentence by sentence."""
    subject, exact = study.subject, study.reference
    check_known(study)
    value = study.bench.values(build(whole_cost, subject), subject, cost_inputs(study))["C"]
    total = 0.0
    for row, label in enumerate(subject.batch.labels):
        if label == UNLABELLED:
            positive = np.flatnonzero(exact.probability[row] > 0.0)
            total += sum(
                exact.probability[row, k] * (single(study, row, k) + exact.log_q[row, k])
                for k in positive
            )
        else:
            total += single(study, row, label) - ALPHA * exact.log_q[row, label]
    return [compare("C", value, total / subject.batch.n, scale(study), study.name)]


@dataclasses.dataclass(frozen=True)
class SampledCost:
    """The surrogate of C: labelled sentences as they are, unlabelled ones at a drawn label."""

    model: Model
    n: int
    t: int

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> Array:
        """Run on framework arrays, with ``draw`` (N, K) the known labels and the drawn ones."""
        batch = from_arrays(self.n, self.t, inputs)
        terms = terms_at(ops, self.model, parameters, batch, inputs["draw"])
        sampled = FORMS["one-pass"].cost(ops, terms)
        supervised = terms.loss - ALPHA * terms.log_q_at_draw
        known = ops.sum(inputs["known"], axis=1)
        return ops.sum(known * supervised + (1.0 - known) * sampled) / self.n


def sampled_cost(study: Study) -> list[Comparison]:
    """The mean of the sampled gradient of C, and the gradient of C itself, against the derived one.

    The mean is over the labels of the unlabelled sentences.
    """
    unlabelled = int((study.subject.batch.labels == UNLABELLED).sum())
    if study.subject.model.classes**unlabelled > MOST_JOINT:
        study = study.first(2)
    subject = study.subject
    check_known(study)
    known = known_labels(study)
    weights = np.where(known.sum(axis=1)[:, None] > 0.0, known, study.reference.probability)
    surrogate = SampledCost(subject.model, subject.batch.n, subject.batch.t)
    sampled = estimate_moments.enumerate_draws(
        lambda draw: study.bench.gradient(
            surrogate, subject, subject.inputs(draw) | {"known": known}
        ),
        weights,
    )
    whole = study.bench.gradient(build(scalar_cost, subject), subject, cost_inputs(study))
    expected = derived_cost(study)
    enumerated = study.compare_gradient(whole, expected, study.names())
    return [
        *study.compare_gradient(dict(sampled.mean), expected, study.names()),
        *(dataclasses.replace(one, what=f"{one.what} by enumeration") for one in enumerated),
    ]


def derived_cost(study: Study) -> dict[str, np.ndarray]:
    """The gradient of C put together from scores s and pathwise gradients d, by parameter.

    1/N of the sum of d - alpha s over labelled sentences, and over unlabelled ones of
    sum_k q_k [(L + log q + 1) s + d].
    """
    reference, known = study.reference, known_labels(study)
    on_tabular_cases = np.where(known.sum(axis=1)[:, None] > 0.0, 0.0, reference.probability)
    log_q = np.where(on_tabular_cases > 0.0, reference.log_q, 0.0)
    by_score = on_tabular_cases * (reference.loss + log_q + 1.0) - ALPHA * known
    return {
        name: (
            np.tensordot(by_score, reference.score[name], axes=2)
            + np.tensordot(on_tabular_cases + known, reference.pathwise[name], axes=2)
        )
        / study.subject.batch.n
        for name in study.names()
    }


def scalar_cost(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Array:
    """C as a scalar."""
    return whole_cost(ops, model, parameters, batch, inputs)["C"]


def unlabelled_as_derived(study: Study) -> list[Comparison]:
    """U of each sentence."""
    subject, known = study.subject, study.tables
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    found = study.bench.values(build(unlabelled_values, subject), subject, inputs)["U"]
    expected = derivation("objective.u").oracle(
        q=np.exp(known.log_q), log_q=known.log_q, loss=known.loss
    )
    return [compare("U", found, expected, scale(study), study.name)]


def cost_as_derived(study: Study) -> list[Comparison]:
    """C, and its gradient, from tables of both kinds of sentences."""
    subject, tables, derived = study.subject, study.tables, derivation("objective.c")
    labels = subject.batch.labels
    i, j = np.flatnonzero(labels != UNLABELLED), np.flatnonzero(labels == UNLABELLED)
    drawn_from = {
        "q": np.exp(tables.log_q[:, j].T),
        "log_q": tables.log_q[:, j].T,
        "loss": tables.loss[:, j].T,
        "alpha": ALPHA,
    }
    inputs = cost_inputs(study)
    value = study.bench.values(build(whole_cost, subject), subject, inputs)["C"]
    whole = derived.further["cost"](
        labelled_loss=tables.loss[labels[i], i], labelled_log_q=tables.log_q[labels[i], i],
        **drawn_from,
    )  # fmt: skip
    gradient = study.bench.gradient(build(scalar_cost, subject), subject, inputs)
    expected = {
        name: derived.oracle(
            labelled_pathwise=tables.pathwise[name][labels[i], i],
            labelled_score=tables.score[name][labels[i], i],
            score=tables.score[name][:, j].swapaxes(0, 1),
            pathwise=tables.pathwise[name][:, j].swapaxes(0, 1),
            **drawn_from,
        )
        for name in study.names()
    }
    return [
        compare("C", value, whole, scale(study), study.name),
        *study.compare_gradient(gradient, expected, study.names()),
    ]


CHECKS = (
    Check(
        claim="objective.u",
        variant="slopes",
        statement="the score and dL of each label, against complex steps along directions",
        expected=HOLDS,
        compare=slopes,
        **on_tabular_cases(supports=False),
        backends=("autograd",),
        bound_reason="rounding: u 4R (1 + M) times the sizes that are added up along a direction",
    ),
    Check(
        claim="objective.u",
        variant="expectation",
        statement="U in one pass over all labels is E_q[L + log q], label by label",
        expected=HOLDS,
        compare=expectation,
        **on_tabular_cases(),
        bound_reason=VALUE,
    ),
    Check(
        claim="objective.u",
        variant="entropy-printed",
        statement="E_q[log q] = H",
        expected=REFUTED,
        compare=lambda study: second_term(study, +1.0),
        **on_tabular_cases(),
        bound_reason=VALUE,
    ),
    Check(
        claim="objective.u",
        variant="entropy-corrected",
        statement="E_q[log q] = -H",
        expected=HOLDS,
        compare=lambda study: second_term(study, -1.0),
        **on_tabular_cases(),
        bound_reason=VALUE,
    ),
    Check(
        claim="objective.u",
        variant="derivative",
        statement="its enumerated gradient, against complex steps without any differentiation",
        expected=HOLDS,
        compare=derivative,
        # Complex numbers have no order, so a step cannot tell a log q of minus infinity.
        **on_tabular_cases(supports=False),
    ),
    Check(
        claim="objective.c",
        variant="value",
        statement="C in one pass is the mean of L - alpha log q and U, sentence by sentence",
        expected=HOLDS,
        compare=cost_value,
        **on_tabular_cases(labelled=True, supports=False),
        bound_reason=VALUE,
    ),
    Check(
        claim="objective.c",
        variant="sampled",
        statement="one drawn label a sentence gives the derived gradient of C in the mean",
        expected=HOLDS,
        compare=sampled_cost,
        **on_tabular_cases(labelled=True, supports=False),
        bound_reason=ROUNDING,
    ),
    derived_row(
        "objective.u", "U of each sentence is the derived sum", unlabelled_as_derived, VALUE
    ),
    derived_row(
        "objective.c",
        "C and its gradient are the derived averages",
        cost_as_derived,
        f"{ROUNDING}; of C: {VALUE}",
        labelled=True,
    ),
)
