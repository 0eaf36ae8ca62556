"""Claim renormalised: two labels without replacement, their probabilities scaled up to one."""

from __future__ import annotations

import numpy as np

from gradproof.derivations import renormalised as draws
from gradproof.derivations.registry import derivation
from gradproof.estimators.note.exact import Reference
from gradproof.estimators.note.pairs import (
    PairBuild,
    PairCost,
    corrected,
    every_pair,
    pair_inputs,
    pair_probability,
    renormalised,
    renormalised_live,
)
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.tabular import TabularModel

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import checks_of, on_tabular_cases
from ..study import Study
from .by_reference import formula_on
from .formulas import Arrays

#: The least q that is left for the second label. Where the first is all but sure, 1 - q has few
#: digits, and weights that divide by it have no more.
LEAST_LEFT = 1e-3

#: Draws of two labels that are enumerated, K (K - 1): those of ten labels and fewer.
MOST_PAIRS = 90

ROUNDING = "rounding of an estimate, over the least 1 - q"


def inputs_at(subject: Subject, first: np.ndarray, second: np.ndarray) -> Arrays:
    """The inputs of a surrogate at M pairs for each sentence, (M, N) each."""
    drawn = pair_inputs(first, second, subject.model.classes)
    return subject.batch.arrays() | {
        name: labels.astype(subject.dtype) for name, labels in drawn.items()
    }


def inputs_at_all(study: Study) -> tuple[Arrays, np.ndarray]:
    """The inputs at every pair, for all sentences, and its probability, (M, N)."""
    subject = study.subject
    first, second = every_pair(subject.model.classes)
    weight = pair_probability(study.reference.probability, first, second)
    labels = (np.repeat(label[:, None], subject.batch.n, axis=1) for label in (first, second))
    return inputs_at(subject, *labels), weight


def build_of(subject: Subject, cost: PairCost, *, values: bool = False) -> PairBuild:
    """A pair's surrogate for the sizes of a subject."""
    return PairBuild(cost, subject.model, subject.batch.n, subject.batch.t, values=values)


def mean_gradient(study: Study, cost: PairCost) -> Arrays:
    """The mean over both draws of a surrogate's gradient, summed over sentences.

    The surrogate is run at every pair at once, each weighed by its probability: pair by pair it
    would take K (K - 1) passes.
    """
    inputs, weight = inputs_at_all(study)
    inputs |= {"weight": weight.astype(study.subject.dtype)}
    return study.bench.gradient(build_of(study.subject, cost), study.subject, inputs)


def compare_means(study: Study, cost: PairCost, expected: Arrays) -> list[Comparison]:
    """The enumerated mean against what it should be, by parameter; the weights divide by 1 - q."""
    mean = mean_gradient(study, cost)
    return [
        compare(name, mean[name], expected[name], pair_bound(study, name), study.name)
        for name in study.names()
    ]


def pair_bound(study: Study, name: str) -> float:
    """What rounding can do to an estimate of two labels, with a baseline of the size of L."""
    largest = float(np.abs(study.reference.loss).max())
    return 2.0 * growth(study.reference) * study.reference.bound(name, extra=largest)


def growth(exact: Reference) -> float:
    """The factor by which rounding grows: 1 - q keeps that many digits fewer than q.

    What is divided by it, a weight or a pair's probability, is relatively as far off, and so is
    each term of a mean: the factor enters once, however many quotients there are.
    """
    return float(1.0 / (1.0 - exact.probability.max()))


def can_draw_two(study: Study) -> bool:
    """Whether a second label's probability has digits, and the pairs are not too many."""
    left = 1.0 - study.reference.probability.max()
    classes = study.subject.model.classes
    return bool(left >= LEAST_LEFT) and classes * (classes - 1) <= MOST_PAIRS


def loss_gradient(study: Study) -> Arrays:
    """The gradient of E_q[L], as claim ``released.entropy`` derives it."""
    return formula_on(study, derivation("released.entropy").oracle, study.names())


def against_truth(study: Study, cost: PairCost) -> list[Comparison]:
    """The enumerated mean against the gradient of E_q[L]."""
    if not can_draw_two(study):
        return []
    return compare_means(study, cost, loss_gradient(study))


def as_derived(study: Study, cost: PairCost) -> list[Comparison]:
    """The released scheme's mean against the derived formula; on tables its value too."""
    if not can_draw_two(study):
        return []
    expected = formula_on(study, draws.GRADIENT, study.names(), f=study.reference.loss.T)
    comparisons = compare_means(study, cost, expected)
    if isinstance(study.subject.model, TabularModel):
        comparisons += compare_values(study, renormalised_live)
    return comparisons


def compare_values(study: Study, cost: PairCost) -> list[Comparison]:
    """The enumerated mean of a pair's cost at each sentence, against the derived mean."""
    subject, exact = study.subject, study.reference
    inputs, weight = inputs_at_all(study)
    values = study.bench.values(build_of(subject, cost, values=True), subject, inputs)["cost"]
    mean = (weight * values).sum(axis=0)
    oracle = derivation("renormalised").oracle
    size = (2.0 + exact.forward.largest) * float(np.abs(exact.loss).max())
    return [
        compare(
            f"value of sentence {row}",
            mean[row],
            float(oracle(q=exact.probability[row], f=exact.loss[row])),
            8.0 * growth(exact) * exact.value_bound() * (1.0 + size),
            study.name,
            signal=1.0 + size,
        )
        for row in range(subject.batch.n)
    ]


def drawn_pair(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Two labels of each sentence, (1, N) each, the second another than the first."""
    rng, classes = study.rng(), study.subject.model.classes
    both = np.array([rng.permutation(classes)[:2] for _ in range(study.subject.batch.n)])
    return both[None, :, 0], both[None, :, 1]


def batch_as_sum(study: Study, cost: PairCost) -> list[Comparison]:
    """One differentiation of a batch of pairs, against each sentence in a batch of its own."""
    if not can_draw_two(study):
        return []
    subject, (first, second) = study.subject, drawn_pair(study)
    together = study.bench.gradient(
        build_of(subject, cost), subject, inputs_at(subject, first, second)
    )
    alone = {name: np.zeros(np.shape(value)) for name, value in subject.parameters.items()}
    for row in range(subject.batch.n):
        example = subject.example(row)
        inputs = inputs_at(example, first[:, [row]], second[:, [row]])
        for name, value in study.bench.gradient(build_of(example, cost), example, inputs).items():
            alone[name] += value
    return [
        compare(name, together[name], alone[name], pair_bound(study, name), study.name)
        for name in study.names()
    ]


def held_as_live(study: Study) -> list[Comparison]:
    """At one pair a sentence: the weights held and a baseline, against the weights live."""
    if not can_draw_two(study):
        return []
    subject, (first, second) = study.subject, drawn_pair(study)
    inputs = inputs_at(subject, first, second)
    held, live = (
        study.bench.gradient(build_of(subject, cost), subject, inputs)
        for cost in (renormalised, renormalised_live)
    )
    return [
        compare(name, held[name], live[name], pair_bound(study, name), study.name)
        for name in study.names()
    ]


_row = checks_of("renormalised", bound_reason=ROUNDING)
_three = on_tabular_cases(supports=False, classes=(3, 4), sentences=(1, 2))

CHECKS = (
    _row(
        "released",
        "weights q/(q + q') and the mean L as baseline, held constant, against dE[L]",
        REFUTED,
        lambda study: against_truth(study, renormalised),
        **_three,
    ),
    _row(
        "derived",
        "... is what is derived; on tables the value too",
        HOLDS,
        lambda study: as_derived(study, renormalised),
        **_three,
    ),
    _row(
        "live",
        "... is at every pair the weights differentiated, with no baseline",
        HOLDS,
        held_as_live,
        **_three,
    ),
    _row(
        "batch",
        "... of a batch of pairs is the sum of the sentences' own",
        HOLDS,
        lambda study: batch_as_sum(study, renormalised),
        **_three,
    ),
    _row(
        "corrected",
        "weights (1 - q')/(2 - q - q') and their score part, against dE[L]",
        HOLDS,
        lambda study: against_truth(study, corrected),
        **_three,
    ),
)
