"""What backends differentiate and evaluate, as values: two equal builds may share a compilation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gradproof.reference_models import objective
from gradproof.reference_models.batch import Batch, from_arrays
from gradproof.reference_models.model import Model
from gradproof.reference_models.ops import Array, Ops

from ..baselines.protocol import Baseline, BaselineInput, baseline_at_draw
from .forms import Form, FormTerms
from .subject import Subject

Named = Mapping[str, Array]


@dataclasses.dataclass(frozen=True)
class ModelBuild:
    """A function of a model on a batch of N by T.

    ``compute`` takes (ops, model, parameters, batch, inputs).
    """

    compute: Callable[..., Any]
    model: Model
    n: int
    t: int

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> Any:
        """Run on framework arrays."""
        batch = from_arrays(self.n, self.t, inputs)
        return self.compute(ops, self.model, parameters, batch, inputs)


def build(compute: Callable[..., Any], subject: Subject) -> ModelBuild:
    """``compute`` for the sizes of a subject."""
    return ModelBuild(compute, subject.model, subject.batch.n, subject.batch.t)


@dataclasses.dataclass(frozen=True)
class SurrogateBuild:
    """The single-sample surrogate of a batch: a scalar whose gradient is the estimate.

    Reference:
        Schulman et al. (2015), Gradient estimation using stochastic computation graphs.
    """

    form: Form
    baseline: Baseline
    model: Model
    n: int
    t: int

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> Array:
        """The sum over sentences, at the labels ``draw`` (N, K)."""
        return self.cost(ops, self.terms(ops, parameters, inputs))

    def terms(self, ops: Ops, parameters: Named, inputs: Named) -> FormTerms:
        """What the cost is made of; the baseline is detached, if it says that it must be."""
        batch = from_arrays(self.n, self.t, inputs)
        terms = terms_at(ops, self.model, parameters, batch, inputs["draw"])
        seen = BaselineInput(ops, self.model, parameters, batch, inputs, terms.loss)
        baseline = baseline_at_draw(self.baseline, seen)
        return terms._replace(baseline=baseline)

    def cost(self, ops: Ops, terms: FormTerms) -> Array:
        """The sum over sentences of the form's cost."""
        return ops.sum(self.form.cost(ops, terms))


@dataclasses.dataclass(frozen=True)
class BaselineValues:
    """B of each sentence, as a surrogate subtracts it."""

    baseline: Baseline
    model: Model
    n: int
    t: int

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> Named:
        """``B`` (N,), at the labels ``draw`` (N, K)."""
        batch = from_arrays(self.n, self.t, inputs)
        loss = terms_at(ops, self.model, parameters, batch, inputs["draw"]).loss
        x = BaselineInput(ops, self.model, parameters, batch, inputs, loss)
        return {"B": baseline_at_draw(self.baseline, x)}


def terms_at(ops: Ops, model: Model, parameters: Named, batch: Batch, draw: Array) -> FormTerms:
    """The terms of a form at labels ``draw`` (N, K), with no baseline."""
    log_q = model.log_q(ops, parameters, batch)
    loss = model.loss(ops, parameters, batch, ops.expand_dims(draw, 0))[0]
    return FormTerms(
        log_q=log_q,
        log_q_at_draw=objective.at_label(ops, log_q, draw),
        loss=loss,
        baseline=ops.zeros_like(loss),
        lengths=ops.sum(batch.mask, axis=1),
    )


def surrogate(form: Form, baseline: Baseline, subject: Subject) -> SurrogateBuild:
    """A form with a baseline, for the sizes of a subject."""
    return SurrogateBuild(form, baseline, subject.model, subject.batch.n, subject.batch.t)


def all_labels(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """``log_q`` (N, K) and ``loss`` (K, N), with ``draw`` the labels (K, N, K)."""
    return {
        "log_q": model.log_q(ops, parameters, batch),
        "loss": model.loss(ops, parameters, batch, inputs["draw"]),
    }


def exact_objective(
    ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named
) -> Array:
    """The sum of U over the sentences, by enumeration, with ``draw`` the labels (K, N, K)."""
    values = all_labels(ops, model, parameters, batch, inputs)
    return ops.sum(objective.unlabelled(ops, values["log_q"], values["loss"]))
