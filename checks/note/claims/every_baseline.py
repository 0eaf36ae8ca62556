"""Claims baseline.reconstruction and baseline.unbiased, for all baselines of the registry at once.

Baselines are added up, each with a lambda of its own, so that a framework compiles one surrogate
and not one for each of them. Only where the sum is wrong are they run one by one, and named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from gradproof.estimators.baselines import BASELINES, Baseline
from gradproof.estimators.baselines.protocol import BaselineInput, NothingLearned, baseline_at_draw
from gradproof.estimators.note.builds import BaselineValues
from gradproof.reference_models.model import Model, one_hot
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, Comparison, compare
from ..check import Check, on_tabular_cases
from ..study import Study
from .baseline import ONE_MODEL, compare_mean

#: Baselines that say they are held, and those of them whose draws need no joint enumeration.
HELD = tuple(name for name, baseline in BASELINES.items() if baseline.held)
OF_SENTENCE = tuple(name for name in HELD if not BASELINES[name].coupled)


@dataclasses.dataclass(frozen=True)
class BaselineSum(NothingLearned):
    """Baselines added up. Lambda is drawn for each, so that no two of them cancel."""

    names: tuple[str, ...]
    coupled: bool = False
    held: bool = False  # each of them is, or is not

    @property
    def name(self) -> str:
        """The names of all."""
        return " + ".join(self.names)

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """Lambda of each, under ``lambda.<baseline>.<name>``."""
        return {
            f"lambda.{name}.{key}": value
            for name in self.names
            for key, value in BASELINES[name].initial(rng, width).items()
        }

    def value(self, seen: BaselineInput) -> Array:
        """Their sum, each held as a surrogate holds it."""
        total = seen.ops.zeros_like(seen.loss)
        for name in self.names:
            prefix = f"lambda.{name}."
            own = {
                key.removeprefix(prefix): array
                for key, array in seen.inputs.items()
                if key.startswith(prefix)
            }
            x = dataclasses.replace(seen, inputs={**seen.inputs, **own})
            total = total + baseline_at_draw(BASELINES[name], x)
        return total


@dataclasses.dataclass(frozen=True)
class Leak:
    """Sum of B over the sentences, as a surrogate subtracts it: a number that nothing may move.

    Zero times each parameter is added, for Theano calls it an error to differentiate by what a cost
    does not contain.
    """

    baseline: Baseline
    model: Model
    n: int
    t: int

    def __call__(
        self, ops: Ops, parameters: Mapping[str, Array], inputs: Mapping[str, Array]
    ) -> Array:
        """Run on framework arrays, at the labels ``draw`` (N, K)."""
        values = BaselineValues(self.baseline, self.model, self.n, self.t)
        value = values(ops, parameters, inputs)["B"]
        return ops.sum(value) + sum(0.0 * ops.sum(array) for array in parameters.values())


def leaks(study: Study, baseline: Baseline) -> list[Comparison]:
    """The gradient of B by every parameter, against none at all."""
    subject = study.subject
    inputs = subject.inputs(one_hot(study.draw(), subject.model.classes))
    build = Leak(baseline, subject.model, subject.batch.n, subject.batch.t)
    gradient = study.bench.gradient(build, subject, inputs | study.baseline_inputs(baseline))
    return [
        compare(f"gradient of B by {name}", value, 0.0 * value, 0.0, study.name, signal=1.0)
        for name, value in gradient.items()
    ]


def means(study: Study, baseline: Baseline) -> list[Comparison]:
    """The enumerated mean with a baseline against the exact gradient."""
    return compare_mean(study, baseline, study.reference.gradient)


def look_at_all(
    look: Callable[[Study, Baseline], list[Comparison]], names: tuple[str, ...]
) -> Callable[[Study], list[Comparison]]:
    """Look at the sum of some baselines, and at each where the sum is wrong."""

    def compare_all(study: Study) -> list[Comparison]:
        of_sum = look(study, BaselineSum(names))
        if all(one.error <= one.bound for one in of_sum):
            return of_sum
        of_each = [
            dataclasses.replace(one, what=f"{name}: {one.what}")
            for name in names
            for one in look(study, BaselineSum((name,)))
        ]
        # Were each of them right, the sum would still not be.
        return of_each if any(one.error > one.bound for one in of_each) else of_sum

    return compare_all


CHECKS = (
    Check(
        "baseline.reconstruction",
        "no-gradient",
        "no gradient enters B, whichever baseline is subtracted",
        HOLDS,
        look_at_all(leaks, HELD),
        **on_tabular_cases(),
        bound_reason="nothing: it must be zero",
    ),
    Check(
        "baseline.unbiased",
        "every-form",
        "B the sum of all that read the sentence alone: constant, per token, affine, ...",
        HOLDS,
        look_at_all(means, OF_SENTENCE),
        **on_tabular_cases(),
        models=ONE_MODEL,
        limits="one model: the other has each baseline by itself in baseline.variance/registry",
    ),
)
