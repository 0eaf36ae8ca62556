"""Claim renormalised: two labels without replacement, their probabilities scaled up to one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import numpy as np

from gradproof.derivations import renormalised as draws
from gradproof.derivations.registry import derivation
from gradproof.estimators.note.builds import terms_at
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import from_arrays
from gradproof.reference_models.model import Model, one_hot
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import checks_of, on_tabular_cases
from ..study import Study
from .formulas import Arrays, apply_oracle

#: The least q that is left for the second label. Where the first is all but sure, 1 - q has few
#: digits, and weights that divide by it have no more.
LEAST_LEFT = 1e-3

ROUNDING = "rounding of an estimate, over the least 1 - q"


@dataclasses.dataclass(frozen=True)
class PairBuild:
    """A surrogate of two labels of one sentence, ``first`` and ``second`` (1, K).

    Args:
        weighed: the cost from log q and L at both labels, each (1,).
    """

    weighed: Callable[[Ops, Array, Array, Array, Array], Array]
    model: Model
    t: int
    value: bool = False

    def __call__(
        self, ops: Ops, parameters: Mapping[str, Array], inputs: Mapping[str, Array]
    ) -> Array:
        """Run on framework arrays."""
        batch = from_arrays(1, self.t, inputs)
        one, other = (
            terms_at(ops, self.model, parameters, batch, inputs[draw])
            for draw in ("first", "second")
        )
        cost = ops.sum(
            self.weighed(ops, one.log_q_at_draw, other.log_q_at_draw, one.loss, other.loss)
        )
        return {"cost": ops.expand_dims(cost, 0)} if self.value else cost


def released(ops: Ops, one: Array, other: Array, loss: Array, other_loss: Array) -> Array:
    """The weights q/(q + q') of the released scheme, live."""
    scaled = ops.exp(ops.log_softmax(ops.stack([one, other], axis=-1)))
    return scaled[:, 0] * loss + scaled[:, 1] * other_loss


def corrected(ops: Ops, one: Array, other: Array, loss: Array, other_loss: Array) -> Array:
    """The weights that are right, held constant, and a score part of their own."""
    left, other_left = 1.0 - ops.exp(one), 1.0 - ops.exp(other)
    both = left + other_left
    weight, other_weight = ops.stop_gradient(other_left / both), ops.stop_gradient(left / both)
    score = ops.stop_gradient(left * other_left / both * (loss - other_loss)) * (one - other)
    return score + weight * loss + other_weight * other_loss


def pairs(study: Study, row: int) -> list[tuple[float, int, int]]:
    """Probability, first and second label of every draw of two for one sentence."""
    q = study.reference.probability[row]
    labels = range(study.subject.model.classes)
    return [(q[k] * q[m] / (1.0 - q[k]), k, m) for k, m in itertools.permutations(labels, 2)]


def pair_inputs(example: Subject, first: int, second: int) -> Arrays:
    """The inputs of a pair's surrogate."""
    classes = example.model.classes
    return {
        **example.batch.arrays(),
        "first": one_hot(np.array([first]), classes).astype(example.dtype),
        "second": one_hot(np.array([second]), classes).astype(example.dtype),
    }


def mean_gradient(study: Study, weighed: Callable[..., Array]) -> Arrays:
    """The mean over both draws of a surrogate's gradient, summed over sentences."""
    mean = {name: np.zeros(np.shape(value)) for name, value in study.subject.parameters.items()}
    for row in range(study.subject.batch.n):
        example = study.subject.example(row)
        build = PairBuild(weighed, example.model, example.batch.t)
        for weight, first, second in pairs(study, row):
            inputs = pair_inputs(example, first, second)
            for name, gradient in study.bench.gradient(build, example, inputs).items():
                mean[name] += weight * gradient
    return mean


def compare_means(
    study: Study, weighed: Callable[..., Array], expected: Arrays
) -> list[Comparison]:
    """The enumerated mean against what it should be, by parameter; the weights divide by 1 - q."""
    mean = mean_gradient(study, weighed)
    grown = 1.0 / (1.0 - study.reference.probability.max())
    return [
        compare(
            name,
            mean[name],
            expected[name],
            2.0 * grown**2 * study.reference.bound(name),
            study.name,
        )
        for name in study.names()
    ]


def left_enough(study: Study) -> bool:
    """Whether a second label can be drawn with a probability that has digits."""
    return bool(1.0 - study.reference.probability.max() >= LEAST_LEFT)


def loss_gradient(study: Study) -> Arrays:
    """The gradient of E_q[L], put together from scores and pathwise gradients."""
    tables = study.tables
    q = np.exp(tables.log_q)
    return {
        name: np.tensordot(q * tables.loss, tables.score[name], axes=2)
        + np.tensordot(q, tables.pathwise[name], axes=2)
        for name in study.names()
    }


def against_truth(study: Study, weighed: Callable[..., Array]) -> list[Comparison]:
    """The enumerated mean against the gradient of E_q[L]."""
    if not left_enough(study):
        return []
    return compare_means(study, weighed, loss_gradient(study))


def as_derived(study: Study) -> list[Comparison]:
    """The released scheme's mean, gradient and value, against the derived formulas."""
    if not left_enough(study):
        return []
    expected = apply_oracle(draws.GRADIENT, study, study.names(), f=study.tables.loss)
    values = (_compare_value(study, row) for row in range(study.subject.batch.n))
    return [*compare_means(study, released, expected), *values]


def _compare_value(study: Study, row: int) -> Comparison:
    example = study.subject.example(row)
    build = PairBuild(released, example.model, example.batch.t, value=True)
    value = sum(
        weight * float(study.bench.values(build, example, pair_inputs(example, k, m))["cost"][0])
        for weight, k, m in pairs(study, row)
    )
    loss = study.tables.loss[:, row]
    expected = derivation("renormalised").oracle(q=np.exp(study.tables.log_q[:, row]), f=loss)
    grown = 1.0 / (1.0 - study.reference.probability.max())
    size = (2.0 + study.reference.forward.largest) * float(np.abs(loss).max())
    bound = 8.0 * grown**2 * study.reference.value_bound() * (1.0 + size)
    return compare(
        f"value of sentence {row}", value, float(expected), bound, study.name, signal=1.0 + size
    )


_row = checks_of(
    "renormalised",
    **on_tabular_cases(supports=False, classes=(3, 4), sentences=(1, 1)),
    models=(),
    bound_reason=ROUNDING,
)

CHECKS = (
    _row(
        "released",
        "weights q/(q + q'), differentiated, against dE[L]",
        REFUTED,
        lambda study: against_truth(study, released),
    ),
    _row("derived", "... is what is derived, value and gradient", HOLDS, as_derived),
    _row(
        "corrected",
        "weights (1 - q')/(2 - q - q') and their score part, against dE[L]",
        HOLDS,
        lambda study: against_truth(study, corrected),
    ),
)
