"""The objectives U and C of the note, against ``ops``.

L is :meth:`Model.loss`. U(x) = E_q(y|x)[L(x, y) + log q(y|x)], and
C = (sum over labelled [L - alpha log q] + sum over unlabelled U) / (N_l + N_u).

The note weighs log q with 1; the released code of its authors with 0 on some data sets. Any other
weight gives another objective, and another estimand.
"""

from __future__ import annotations

from .batch import Batch
from .model import Model, Parameters
from .ops import Array, Ops


def entropy(ops: Ops, log_q: Array) -> Array:
    """Shannon's H = -sum_k q_k log q_k in nats, (N, K) -> (N,).

    A label of probability zero (log q of minus infinity) adds nothing, and no gradient.
    """
    return -ops.sum(ops.exp(log_q) * finite(ops, log_q), axis=-1)


def finite(ops: Ops, log_q: Array) -> Array:
    """``log_q`` with minus infinity replaced by 0, so that 0 * log 0 is 0 and not NaN."""
    return ops.where(log_q > -float("inf"), log_q, 0.0)


def unlabelled(ops: Ops, log_q: Array, losses: Array, entropy_weight: float = 1.0) -> Array:
    """U of each sentence by enumeration: log_q (N, K), losses (K, N) -> (N,).

    Args:
        entropy_weight: of log q, whose mean is minus Shannon's entropy.
    """
    by_sentence = ops.transpose(losses)
    own = finite(ops, log_q)
    if entropy_weight != 1.0:
        own = entropy_weight * own
    return ops.sum(ops.exp(log_q) * (by_sentence + own), axis=-1)


def at_label(ops: Ops, log_q: Array, labels: Array) -> Array:
    """Log q at one-hot labels (N, K), shape (N,); other labels may have probability zero."""
    chosen = labels > 0.5  # one-hot entries are 0 or 1
    return ops.sum(ops.where(chosen, log_q, 0.0), axis=-1)


def labelled(
    ops: Ops, model: Model, parameters: Parameters, batch: Batch, labels: Array, alpha: float
) -> Array:
    """L - alpha log q of labelled sentences, labels one-hot (N, K): shape (N,)."""
    loss = model.loss(ops, parameters, batch, ops.expand_dims(labels, 0))[0]
    return loss - alpha * at_label(ops, model.log_q(ops, parameters, batch), labels)


def cost(
    ops: Ops,
    log_q: Array,
    losses: Array,
    labels: Array,
    alpha: float,
    n: int,
    entropy_weight: float = 1.0,
) -> Array:
    """C of one batch in which some sentences have a label, a scalar.

    Args:
        alpha: the weight of -log q of the known label.
        n: N_l + N_u.
        entropy_weight: as of :func:`unlabelled`.

    Shape:
        log_q (N, K); losses (K, N); labels (N, K), one-hot where the label is known, else zero.
    """
    known = ops.sum(labels, axis=1)
    supervised = ops.sum(labels * ops.transpose(losses), axis=1) - alpha * at_label(
        ops, log_q, labels
    )
    without = unlabelled(ops, log_q, losses, entropy_weight)
    return ops.sum(known * supervised + (1.0 - known) * without) / n
