"""C of a batch, as what is differentiated in a training step.

C = (sum over labelled [L - alpha log q] + sum over unlabelled U) / (N_l + N_u); a step sees n_l and
n_u of the sentences. U is enumerated, or replaced by the surrogate of one drawn label, whose
gradient has the same mean, or of two.

Reference:
    Kingma et al. (2014), Semi-supervised learning with deep generative models.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from gradproof.estimators.note.builds import Named, SurrogateBuild, all_labels
from gradproof.estimators.note.pairs import PairBuild, renormalised_live
from gradproof.reference_models import objective
from gradproof.reference_models.batch import from_arrays
from gradproof.reference_models.model import Model
from gradproof.reference_models.ops import Array, Ops
from gradproof.reference_models.tabular import mean_embedding

#: Stands before the names of the labelled sentences' arrays.
LABELLED = "labelled."


@dataclasses.dataclass(frozen=True)
class SampledSurrogate:
    """The surrogate of N sentences at the labels ``draw`` (N, K), and what was seen there.

    Args:
        entropy_weight: of log q in U; the surrogate's form must have the same.
    """

    surrogate: SurrogateBuild
    entropy_weight: float = 1.0

    @property
    def n(self) -> int:
        """N."""
        return self.surrogate.n

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> dict[str, Array]:
        """``cost``, to differentiate, and ``value``, the estimate of U: sums over sentences.

        ``loss``, ``returns`` (L + weight (log q + 1)) and ``embedded`` are what a baseline learns
        from: (N,) and (N, D), at the labels drawn, and detached.
        """
        terms = self.surrogate.terms(ops, parameters, inputs)
        batch = from_arrays(self.surrogate.n, self.surrogate.t, inputs)
        loss, at_draw = ops.stop_gradient(terms.loss), ops.stop_gradient(terms.log_q_at_draw)
        return {
            "cost": self.surrogate.cost(ops, terms),
            "value": ops.sum(loss + self.entropy_weight * at_draw),
            "loss": loss,
            "returns": loss + self.entropy_weight * (at_draw + 1.0),
            "embedded": ops.stop_gradient(mean_embedding(ops, parameters, batch)),
        }


@dataclasses.dataclass(frozen=True)
class PairSurrogate:
    """The surrogate of N sentences at two labels each, ``first`` and ``second`` (1, N, K).

    Args:
        entropy_weight: of log q in U.
    """

    pairs: PairBuild
    entropy_weight: float = 1.0

    @property
    def n(self) -> int:
        """N."""
        return self.pairs.n

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> dict[str, Array]:
        """``cost``, to differentiate, and ``value``, the estimate of U: sums over sentences."""
        terms = self.pairs.terms(ops, parameters, inputs)
        value = renormalised_live(ops, terms.one, terms.other, terms.loss, terms.other_loss)
        spread = objective.entropy(ops, terms.log_q)
        left = 1.0 - self.entropy_weight  # of the entropy, which the pairs' cost has whole
        return {
            "cost": ops.sum(self.pairs.costs(ops, terms)) + left * ops.sum(spread),
            "value": ops.stop_gradient(ops.sum(value - self.entropy_weight * spread)),
        }


@dataclasses.dataclass(frozen=True)
class EnumeratedObjective:
    """U of N sentences over all labels, with ``draw`` the labels (K, N, K).

    Args:
        entropy_weight: of log q in U.
    """

    model: Model
    n: int
    t: int
    entropy_weight: float = 1.0

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> dict[str, Array]:
        """``cost`` and ``value``, the same sum over sentences."""
        batch = from_arrays(self.n, self.t, inputs)
        values = all_labels(ops, self.model, parameters, batch, inputs)
        cost = ops.sum(
            objective.unlabelled(ops, values["log_q"], values["loss"], self.entropy_weight)
        )
        return {"cost": cost, "value": ops.stop_gradient(cost)}


class Weights(NamedTuple):
    """What the cost of one labelled and of one unlabelled sentence of a step is multiplied with."""

    labelled: float
    unlabelled: float


def weights_of_c(labelled: int, unlabelled: int, all_labelled: int, all_unlabelled: int) -> Weights:
    """N_l/n_l and N_u/n_u over N_l + N_u: the mean of a step is the gradient of C.

    Valid when: the sentences of each kind are drawn uniformly, with or without replacement (claim
    ``objective.c``).

    Args:
        labelled, unlabelled: how many of each kind the step has.
        all_labelled, all_unlabelled: how many C has.
    """
    total = all_labelled + all_unlabelled
    return Weights(all_labelled / labelled / total, all_unlabelled / unlabelled / total)


def weights_of_batch(labelled: int, unlabelled: int) -> Weights:
    """One over the sentences of the step, for either kind: C of the batch as if it were all.

    A step's mean is the gradient of a cost in which labelled sentences count
    (n_l/N_l) / (n_u/N_u) times what they count in C.
    """
    return Weights(*[1.0 / (labelled + unlabelled)] * 2)


@dataclasses.dataclass(frozen=True)
class BatchCost:
    """C of some sentences without labels and ``n`` by ``t`` with, under ``labelled.<name>``."""

    unlabelled: SampledSurrogate | PairSurrogate | EnumeratedObjective
    model: Model
    n: int
    t: int
    alpha: float
    weights: Weights

    def __call__(self, ops: Ops, parameters: Named, inputs: Named) -> dict[str, Array]:
        """``cost``, to differentiate, ``value``, C or its estimate, and what U's part gives."""
        terms = self.unlabelled(ops, parameters, inputs)
        arrays = {
            name.removeprefix(LABELLED): array
            for name, array in inputs.items()
            if name.startswith(LABELLED)
        }
        batch = from_arrays(self.n, self.t, arrays)
        labelled = ops.sum(
            objective.labelled(ops, self.model, parameters, batch, arrays["draw"], self.alpha)
        )
        known, unknown = self.weights
        return terms | {
            "cost": known * labelled + unknown * terms["cost"],
            "value": known * ops.stop_gradient(labelled) + unknown * terms["value"],
        }
