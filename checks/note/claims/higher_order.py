"""Claim higher_order: second derivatives of surrogates, along a direction."""

from __future__ import annotations

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.builds import build, exact_objective, surrogate
from gradproof.estimators.note.complex_step import second_derivative
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.value_bounds import PASSES
from gradproof.reference_models.model import every_label, one_hot

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import checks_of, on_tabular_cases
from ..study import Study

Named = dict[str, np.ndarray]

#: Tokens of a text that second derivatives are taken of.
TOKENS = 6

TWICE = "rounding: u (4R)(4)(2 + M) times the largest terms of a second derivative"


def direction(study: Study) -> Named:
    """One direction for all parameters, of signs: nothing is lost in it and nothing rounds."""
    rng = study.rng()
    return {
        name: rng.choice([-1.0, 1.0], np.shape(array)).astype(study.subject.dtype)
        for name, array in study.subject.parameters.items()
    }


def exact(study: Study) -> Named:
    """The second derivative of the enumerated U along the direction, by a complex step, in float64.

    No framework differentiates twice here, the one that is looked at or another: what is wrong with
    its second derivatives, of tanh say, would be on both sides.
    """
    wide = {name: np.asarray(value, np.float64) for name, value in study.subject.parameters.items()}
    subject = study.subject.replace(parameters=wide)
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    return second_derivative(build(exact_objective, subject), wide, inputs, direction(study))


def mean_and_largest(study: Study, form: str) -> tuple[Named, dict[str, float]]:
    """The enumerated mean of a form's second derivative, and the largest of its terms."""
    subject, along, none = study.subject, direction(study), BASELINES["none"]
    lam = study.baseline_inputs(none)
    mean = {name: np.zeros(np.shape(array)) for name, array in along.items()}
    largest = dict.fromkeys(along, 0.0)
    for row in range(subject.batch.n):
        example = subject.example(row)
        whole = surrogate(FORMS[form], none, example)
        for label in range(subject.model.classes):
            inputs = example.inputs(one_hot(np.array([label]), subject.model.classes))
            of_draw = study.bench.curvature(whole, example, inputs | lam, along)
            for name in along:
                value = of_draw[name]
                mean[name] += study.reference.probability[row, label] * value
                # An entry that is no number is an error to be told, not a bound of errors.
                sizes = np.abs(value[np.isfinite(value)])
                largest[name] = max(largest[name], float(sizes.max(initial=0.0)))
    return mean, largest


def gap(study: Study, *, absolute: bool = False) -> Named:
    """What the held surrogate lacks, from the derived formula and complex steps.

    Args:
        absolute: of magnitudes, each label as if it were sure, so that nothing cancels: a measure
            of what rounds. (The score of a sure label is tiny by cancelling, 1 - q.)
    """
    tables, along = study.tables, direction(study)
    size = np.abs if absolute else np.asarray
    q = np.ones_like(tables.log_q) if absolute else np.exp(tables.log_q)
    cost = tables.loss + tables.log_q
    slope = {name: tables.pathwise[name] + tables.score[name] for name in along}
    shape = cost.shape
    on_score, on_slope = (
        # Entries that cancel along a direction round all the same.
        sum(size(of[name] * along[name]).reshape(*shape, -1).sum(axis=-1) for name in along)
        for of in (tables.score, slope)
    )
    oracle = derivation("higher_order").oracle
    return {
        name: np.sum(
            [
                oracle(
                    q=q[:, row],
                    cost=size(cost[:, row]),
                    score_u=size(tables.score[name][:, row]),
                    score_v=size(on_score[:, row]),
                    slope_u=size(slope[name][:, row]),
                    slope_v=size(on_slope[:, row]),
                )
                for row in range(shape[1])
            ],
            axis=0,
        )
        for name in along
    }


def shortened(study: Study) -> Study:
    """The study, or of a text the first tokens of one sentence: steps are written out in Theano."""
    if study.has_few_entries:
        return study
    return Study(study.bench, study.first(1).subject.first_tokens(TOKENS))


def curvature(study: Study, form: str, *, added: bool = False) -> list[Comparison]:
    """The mean of a form's second derivative against that of U.

    Args:
        added: add what the derived formula says is lacking.
    """
    study = shortened(study)
    mean, largest = mean_and_largest(study, form)
    lacking, sizes = gap(study), gap(study, absolute=True)
    expected, reference = exact(study), study.reference
    # Two passes of reverse mode are four times the roundings of a forward pass, twice over, and
    # what is added up is as large as a term of one draw or of the gap, for each label.
    factor = reference.unit * PASSES * 4.0 * reference.forward.operations
    factor *= 2.0 + max(reference.forward.largest, reference.forward_q.largest)
    terms = study.subject.batch.n * study.subject.model.classes
    return [
        compare(
            name,
            mean[name] + lacking[name] if added else mean[name],
            expected[name],
            factor * terms * (largest[name] + float(sizes[name].max())),
            study.name,
        )
        for name in study.names()
    ]


_row = checks_of(
    "higher_order",
    **on_tabular_cases(supports=False, sentences=(1, 2)),
    models=("seqdgm",),
    limits="one model, six tokens of one sentence: Theano has a second derivative of no scan",
    bound_reason=TWICE,
)

CHECKS = (
    _row(
        "held",
        "(CL + CQ + 1) log q + L, differentiated twice",
        REFUTED,
        lambda study: curvature(study, "one-pass"),
    ),
    _row(
        "derived",
        "... lacks what is derived, and nothing else",
        HOLDS,
        lambda study: curvature(study, "one-pass", added=True),
    ),
    _row(
        "magic-box",
        "exp(log q - CQ) (L + log q), differentiated twice",
        HOLDS,
        lambda study: curvature(study, "magic-box"),
    ),
)
