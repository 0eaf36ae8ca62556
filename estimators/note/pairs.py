"""Surrogates of two labels drawn without replacement, one function each.

A pair's cost is made of log q and L at the first label and at the second, sentence by sentence. Its
derivative estimates the gradient of E_q[L]: the entropy is differentiated beside it.

Reference:
    The two-sample training (S2) in the code that the note's authors released in 2016. Kool, van
    Hoof and Welling (2020), Estimating gradients for discrete random variables by sampling without
    replacement.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gradproof.reference_models import objective
from gradproof.reference_models.batch import from_arrays
from gradproof.reference_models.model import Model, one_hot
from gradproof.reference_models.ops import Array, Ops

#: A cost (M, N) from log q at the first labels and the second, and L at the first and the second.
PairCost = Callable[[Ops, Array, Array, Array, Array], Array]


def renormalised_live(ops: Ops, one: Array, other: Array, loss: Array, other_loss: Array) -> Array:
    """The mean loss with the weights q/(q + q'), which are differentiated."""
    weight, other_weight = renormalised_weights(ops, one, other)
    return weight * loss + other_weight * other_loss


def renormalised(ops: Ops, one: Array, other: Array, loss: Array, other_loss: Array) -> Array:
    """The released surrogate: those weights, and the mean loss as baseline, held constant.

    Estimand: the gradient of E_q[L].
    Valid when: there are two labels. With more it is biased (claim ``renormalised``).
    """
    weight, other_weight = map(ops.stop_gradient, renormalised_weights(ops, one, other))
    held, other_held = ops.stop_gradient(loss), ops.stop_gradient(other_loss)
    baseline = weight * held + other_weight * other_held
    return weight * ((held - baseline) * one + loss) + other_weight * (
        (other_held - baseline) * other + other_loss
    )


def renormalised_weights(ops: Ops, one: Array, other: Array) -> tuple[Array, Array]:
    """The weights q/(q + q') and q'/(q + q'), each (M, N)."""
    scaled = ops.exp(ops.log_softmax(ops.stack([one, other], axis=-1)))
    weight, other_weight = ops.unstack(scaled, 2, 2)
    return weight, other_weight


def corrected(ops: Ops, one: Array, other: Array, loss: Array, other_loss: Array) -> Array:
    """The weights (1 - q')/(2 - q - q'), held constant, and a score part of their own.

    Estimand: the gradient of E_q[L].
    Valid when: every label has a probability below 1.
    Reference: Murthy (1957); Kool, van Hoof and Welling (2020).
    """
    left, other_left = 1.0 - ops.exp(one), 1.0 - ops.exp(other)
    both = left + other_left
    weight, other_weight = ops.stop_gradient(other_left / both), ops.stop_gradient(left / both)
    score = ops.stop_gradient(left * other_left / both * (loss - other_loss)) * (one - other)
    return score + weight * loss + other_weight * other_loss


class PairTerms(NamedTuple):
    """What a pair's cost is made of.

    Shape:
        ``log_q`` (N, K); the others (M, N), at the first labels drawn and at the second.
    """

    log_q: Array
    one: Array
    other: Array
    loss: Array
    other_loss: Array


@dataclasses.dataclass(frozen=True)
class PairBuild:
    """The surrogate of pairs on N sentences: a scalar whose gradient is the estimate.

    Args:
        cost: of a pair.
        with_entropy: take Shannon's H off, so that U is estimated and not E_q[L].
        values: give the cost of each pair and sentence, ``cost`` (M, N), in place of their sum.
    """

    cost: PairCost
    model: Model
    n: int
    t: int
    with_entropy: bool = False
    values: bool = False

    def __call__(
        self, ops: Ops, parameters: Mapping[str, Array], inputs: Mapping[str, Array]
    ) -> Array:
        """Run on framework arrays, at the labels ``first`` and ``second``, (M, N, K) each.

        A step draws one pair for each sentence, M = 1. ``weight`` (M, N), if it is there,
        multiplies the costs: the probability of each pair, where all pairs are added up.
        """
        costs = self.costs(ops, self.terms(ops, parameters, inputs))
        if self.values:
            return {"cost": costs}
        return ops.sum(inputs["weight"] * costs if "weight" in inputs else costs)

    def terms(
        self, ops: Ops, parameters: Mapping[str, Array], inputs: Mapping[str, Array]
    ) -> PairTerms:
        """What the cost is made of."""
        batch = from_arrays(self.n, self.t, inputs)
        log_q = self.model.log_q(ops, parameters, batch)
        draws = inputs["first"], inputs["second"]
        return PairTerms(
            log_q,
            # Added to zeros of the labels' shape: autograd's choice does not broadcast backwards.
            *(
                objective.at_label(ops, ops.expand_dims(log_q, 0) + ops.zeros_like(draw), draw)
                for draw in draws
            ),
            *(self.model.loss(ops, parameters, batch, draw) for draw in draws),
        )

    def costs(self, ops: Ops, terms: PairTerms) -> Array:
        """The cost of each pair and sentence, (M, N)."""
        costs = self.cost(ops, terms.one, terms.other, terms.loss, terms.other_loss)
        return costs - objective.entropy(ops, terms.log_q) if self.with_entropy else costs


def pair_inputs(first: np.ndarray, second: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """The labels of pairs, (M, N) each, as a build takes them."""
    return {"first": one_hot(first, classes), "second": one_hot(second, classes)}


def every_pair(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second label of every draw of two, (K (K - 1),) each."""
    first, second = np.array(list(itertools.permutations(range(classes), 2))).T
    return first, second


def pair_probability(probability: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The probability (M, N) of drawing labels (M,) and then others (M,), from q (N, K)."""
    one, other = probability[:, first].T, probability[:, second].T
    return one * other / (1.0 - one)
