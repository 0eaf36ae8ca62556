"""Claims baseline.reconstruction and baseline.unbiased."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES, Baseline
from gradproof.estimators.baselines.protocol import BaselineInput, baseline_at_draw
from gradproof.estimators.note import complex_step
from gradproof.estimators.note.value_bounds import PASSES
from gradproof.reference_models import objective
from gradproof.reference_models.batch import from_arrays
from gradproof.reference_models.model import Model, every_label
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, REFUTED, Comparison, compare
from ..check import SEQUENCE_MODELS, Check, checks_of, on_tabular_cases
from ..study import FEW_DRAWS, Study
from .formulas import derived_row, formula_sum

Named = Mapping[str, Array]

#: Joint draws that a check runs on the sequence models; above, the tabular cases alone carry it.
MOST_JOINT = 256

#: Sentences that a coupled baseline is enumerated on, where there are not few draws of them all.
JOINT_SENTENCES = 2


@dataclasses.dataclass(frozen=True)
class ShiftedObjective:
    """Sum of U with L + B in place of L: subtracting B from log p(x|..) adds it to L."""

    baseline: Baseline
    model: Model
    n: int
    t: int

    def __call__(
        self, ops: Ops, parameters: Mapping[str, Array], inputs: Mapping[str, Array]
    ) -> Array:
        """Run on framework arrays, with ``draw`` the labels (K, N, K)."""
        batch = from_arrays(self.n, self.t, inputs)
        losses = self.model.loss(ops, parameters, batch, inputs["draw"])
        shift = baseline_at_draw(
            self.baseline, BaselineInput(ops, self.model, parameters, batch, inputs, losses[0])
        )
        log_q = self.model.log_q(ops, parameters, batch)
        return ops.sum(objective.unlabelled(ops, log_q, losses + ops.expand_dims(shift, 0)))


def reconstruction(study: Study, name: str) -> list[Comparison]:
    """The gradient of the shifted U against the gradient of U."""
    lam = study.baseline_inputs(BASELINES[name])
    return study.compare_gradient(
        shifted_gradient(study, BASELINES[name], lam),
        study.reference.gradient,
        study.names(),
        extra=largest_baseline(study, lam),
    )


def shifted_gradient(study: Study, baseline: Baseline, lam: Named) -> dict[str, np.ndarray]:
    """The gradient of U with L + B in place of L."""
    subject = study.subject
    shifted = ShiftedObjective(baseline, subject.model, subject.batch.n, subject.batch.t)
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes)) | dict(lam)
    return study.bench.gradient(shifted, subject, inputs)


def largest_baseline(study: Study, lam: Mapping[str, np.ndarray]) -> float:
    """A bound of |B|: lambda and what it is multiplied with at its largest, or the losses."""
    feature = max(np.abs(study.subject.parameters["e.embedding"]).max(), study.subject.batch.t)
    by_lambda = sum(float(np.abs(value).sum()) for value in lam.values()) * (1.0 + feature)
    return float(by_lambda + np.abs(study.reference.loss).max())


def unbiased(study: Study, name: str, *, shrunk: bool = False) -> list[Comparison]:
    """The enumerated mean with a baseline against the exact gradient.

    Args:
        shrunk: expect the gradient with its score part shrunk to the share that the baseline's
            formula says is kept, in place of the exact gradient.
    """
    baseline = BASELINES[name]
    if baseline.coupled:
        study = jointly(study)
        if joint_draws(study) > MOST_JOINT:
            return []
    expected = dict(study.reference.gradient)
    if shrunk:
        kept = baseline.kept_share(study.subject.batch.n)  # type: ignore[attr-defined]
        lost = loss_part(study)
        expected = {key: expected[key] - (1.0 - kept) * lost[key] for key in expected}
    return compare_mean(study, baseline, expected)


def compare_mean(
    study: Study, baseline: Baseline, expected: Mapping[str, np.ndarray]
) -> list[Comparison]:
    """The enumerated mean of the one-pass form with a baseline, against what it should be."""
    mean = study.moments("one-pass", baseline).mean
    extra = largest_baseline(study, study.baseline_inputs(baseline))
    return study.compare_gradient(mean, expected, study.names(), extra=extra)


def jointly(study: Study) -> Study:
    """The study, of its first sentences alone if all together have too many draws."""
    return study if joint_draws(study) <= FEW_DRAWS else study.first(JOINT_SENTENCES)


def joint_draws(study: Study) -> int:
    """K^N, the ways to label the batch."""
    return study.subject.model.classes**study.subject.batch.n


def loss_part(study: Study) -> dict[str, np.ndarray]:
    """sum_n E[L s], the part of the gradient that a baseline acts on, by parameter."""
    q, loss = study.reference.probability, study.reference.loss
    weights = np.where(q > 0.0, q * loss, 0.0)
    return {
        name: np.tensordot(weights, score, axes=2) for name, score in study.reference.score.items()
    }


#: Coupled baselines take K^N runs each, and the second model would show nothing that is new.
ONE_MODEL = ("seqdgm",)
ONE = "one model, two sentences: joint draws are K^N, and the other model would add nothing"


def _unbiased_row(name: str, statement: str, expected: str, *, least: int = 1) -> Check:
    return Check(
        "baseline.unbiased",
        name,
        statement,
        expected,
        functools.partial(unbiased, name=name),
        **on_tabular_cases(sentences=(least, 2)),
        models=ONE_MODEL if BASELINES[name].coupled else SEQUENCE_MODELS,
        limits=ONE if BASELINES[name].coupled else "",
    )


def _shrink_row(name: str, share: str) -> Check:
    return Check(
        "baseline.unbiased",
        f"{name}-share",
        f"{name} keeps {share} of E[L s]",
        HOLDS,
        functools.partial(unbiased, name=name, shrunk=True),
        **on_tabular_cases(),
        models=ONE_MODEL,
        limits=ONE,
    )


def own_share(study: Study) -> list[Comparison]:
    """The mean with a batch mean of which a share is the sentence's own loss."""
    study = jointly(study)
    if joint_draws(study) > MOST_JOINT:
        return []
    own = np.full(study.subject.batch.n, 1.0 / study.subject.batch.n)
    expected = formula_sum("baseline.unbiased", study, study.names(), own=own)
    return compare_mean(study, BASELINES["batch-mean"], expected)


def live_baseline(study: Study) -> list[Comparison]:
    """U with a live baseline in it: the gradient moves by the baseline's own."""
    names, baseline = study.names(), BASELINES["live"]
    lam = study.baseline_inputs(baseline)
    shifted = shifted_gradient(study, baseline, lam)
    gradient = formula_sum("gradient.e", study, names)
    oracle = derivation("baseline.reconstruction").oracle
    slope = {name: _baseline_gradient(study, baseline, name, lam) for name in names}
    exact, extra = study.reference, largest_baseline(study, lam)
    # B's own gradient rounds too, and where all others are zero it is all that does.
    of_baseline = exact.unit * PASSES * exact.forward.operations
    return [
        compare(
            name,
            shifted[name],
            oracle(gradient=gradient[name], baseline_gradient=slope[name]),
            exact.bound(name, extra) + of_baseline * float(np.abs(slope[name]).max()),
            study.name,
        )
        for name in names
    ]


def _baseline_gradient(study: Study, baseline: Baseline, name: str, lam: Named) -> np.ndarray:
    """The derivative of the sum of B by one parameter, by complex steps."""
    subject = study.subject
    inputs = {
        key: value.astype(np.float64) if value.dtype.kind == "f" else value
        for key, value in (subject.batch.arrays() | dict(lam)).items()
    }

    def baseline_sum(ops: Ops, parameters: Named, arrays: Named) -> Array:
        batch = subject.batch.with_arrays(arrays)
        x = BaselineInput(ops, subject.model, parameters, batch, arrays, np.zeros(batch.n))
        return ops.sum(baseline.value(x))

    still = {key: np.zeros(np.shape(array)) for key, array in subject.parameters.items()}
    gradient = np.zeros(still[name].shape)
    for place in np.ndindex(gradient.shape):
        along = np.zeros(gradient.shape)
        along[place] = 1.0
        gradient[place] = complex_step.derivative(
            baseline_sum, subject.parameters, inputs, still | {name: along}
        )
    return gradient


_reconstruction = checks_of("baseline.reconstruction", **on_tabular_cases())

CHECKS = (
    _reconstruction(
        "held",
        "U with L + B(x), B affine in the embeddings and held constant",
        HOLDS,
        lambda study: reconstruction(study, "affine-embedding"),
    ),
    _reconstruction(
        "live",
        "U with L + B(x), B reading the shared embeddings live",
        REFUTED,
        lambda study: reconstruction(study, "live"),
    ),
    _unbiased_row("constant", "B the same number for every sentence", HOLDS),
    _unbiased_row("affine-embedding", "B affine in the mean embedding, held constant", HOLDS),
    _unbiased_row("leave-one-out", "B the mean loss of the other sentences", HOLDS, least=2),
    _unbiased_row("running-mean", "B a running mean, used before its update", HOLDS),
    _unbiased_row("live", "B reading the shared embeddings live", REFUTED),
    _unbiased_row("batch-mean", "B the batch's mean loss, j's own in it", REFUTED),
    _unbiased_row("running-mean-first", "B a running mean, updated first", REFUTED),
    _shrink_row("batch-mean", "1 - 1/N"),
    _shrink_row("running-mean-first", "1 - (1 - d)/N"),
    derived_row(
        "baseline.unbiased",
        "a batch mean keeps the share that is derived",
        own_share,
        models=ONE_MODEL,
        limits=ONE,
    ),
    derived_row(
        "baseline.reconstruction",
        "a live baseline moves the gradient of U by its own, as derived",
        live_baseline,
    ),
)
