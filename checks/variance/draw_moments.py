"""Exact mean and variance of each estimator that training has, from one sentence's rows.

Every estimate is a sum of scores s_k and pathwise gradients d_k with weights that depend on what
was drawn: so its mean and its variance are sums over the draws of weights, and no draw is
differentiated by itself. A test holds this against the code that training differentiates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gradproof.estimators.note.pairs import every_pair
from gradproof.estimators.training.unlabelled import ENUMERATION, TWO_LABELS, Unlabelled


class DrawWeights(NamedTuple):
    """What an estimate is at each draw.

    Shape: ``probability`` (M,), of each draw; ``weights`` (M, 2 K), what each score and then each
    pathwise gradient is multiplied with there.
    """

    probability: np.ndarray
    weights: np.ndarray

    def mean(self) -> np.ndarray:
        """The mean weight of each row, (2 K,)."""
        mean: np.ndarray = self.probability @ self.weights
        return mean

    def variance(self, products: np.ndarray) -> float:
        """The variance, summed over parameters, from the rows' inner products (2 K, 2 K)."""
        rest = self.weights - self.mean()
        return float(self.probability @ np.einsum("mi,ij,mj->m", rest, products, rest))


def exact_weights(log_q: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """The weights (2 K,) of the gradient of U: q (L + log q + 1) of each score, q of each d."""
    q = np.exp(log_q)
    return np.concatenate([q * (loss + log_q + 1.0), q])


def draw_weights(
    row: Unlabelled, log_q: np.ndarray, loss: np.ndarray, *, baseline: float, length: float
) -> DrawWeights:
    """The weights of an estimator at each of its draws.

    Args:
        log_q: (K,). ``loss``: (K,), L at each label.
        baseline: B of the sentence, where the estimator has one.
        length: of the sentence, in tokens.

    Raises:
        ValueError: for a form that training does not have.
    """
    if row.name == ENUMERATION:
        return DrawWeights(np.ones(1), exact_weights(log_q, loss)[None])
    if row.name == TWO_LABELS:
        return _two_labels(log_q, loss)
    weight = {
        "one-pass": loss + log_q + 1.0 - baseline,
        "analytic-entropy": loss - baseline,
        "reward-per-token": loss / length - baseline,
    }
    if row.form not in weight:
        raise ValueError(f"form = {row.form!r}, expected one of {', '.join(weight)}")
    score = np.diag(weight[row.form])
    if row.form != "one-pass":
        score = score + _entropy_weights(log_q)
    return DrawWeights(np.exp(log_q), np.concatenate([score, np.eye(len(loss))], axis=1))


def _entropy_weights(log_q: np.ndarray) -> np.ndarray:
    """What -dH is of the scores, whatever is drawn: q (log q + 1)."""
    weights: np.ndarray = np.exp(log_q) * (log_q + 1.0)
    return weights


def _two_labels(log_q: np.ndarray, loss: np.ndarray) -> DrawWeights:
    """The released S2: weights q/(q + q') held, and their mean loss as the baseline."""
    q = np.exp(log_q)
    first, second = every_pair(len(q))
    # Added up, and not 1 - q: where one label is all but sure that has no digits.
    left = np.array([np.delete(q, label).sum() for label in range(len(q))])
    probability = q[first] * q[second] / left[first]
    share = 1.0 / (1.0 + np.exp(log_q[second] - log_q[first]))
    mean = share * loss[first] + (1.0 - share) * loss[second]
    score = np.tile(_entropy_weights(log_q), (len(first), 1))
    path = np.zeros_like(score)
    pairs = np.arange(len(first))
    for label, part in ((first, share), (second, 1.0 - share)):
        score[pairs, label] += part * (loss[label] - mean)
        path[pairs, label] += part
    return DrawWeights(probability, np.concatenate([score, path], axis=1))
