"""SeqDGM-A: SeqDGM with an auxiliary variable a between the sentence and the label."""

from __future__ import annotations

import dataclasses

import numpy as np

from . import gaussian, lstm, sequence
from .batch import Batch
from .model import Parameters, check_classes
from .ops import Array, Ops


@dataclasses.dataclass(frozen=True)
class SeqDGMA:
    """a ~ q(a|x;e), q(y|a,x;w,e), q(h|x,a,y;phi,e), p(a|y,h;theta), p(x|h,a,y;theta,e).

    L(x, y) = -log p(x|h,a,y) + log q(a|x) - log p(a|y,h) + KL(q(h|x,a,y) || N(0, I)) - log p(y),
    with one reparameterised draw of a, which the classifier and L share, and one of h given it.
    Only the term for h given a is in closed form: p(a|y,h) couples a and h (claim
    ``kl.closed_form``).

    Args:
        classes: K, at least 2.
        vocabulary: V.
        width: D, of the embeddings.
        hidden: H, of each LSTM.
        latent: Z, of h.
        auxiliary: A, of a.
        dropout: probability that the decoder does not see the previous token.

    Reference:
        Maaloe et al. (2016), Auxiliary Deep Generative Models; the note's section 1.
    """

    classes: int
    vocabulary: int
    width: int = 6
    hidden: int = 8
    latent: int = 3
    auxiliary: int = 3
    dropout: float = 0.25
    name: str = "seqdgm-a"

    def __post_init__(self) -> None:
        check_classes(self.classes)

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random parameters, of a scale at which every part has a gradient that can be seen."""
        k, h, z, a = self.classes, self.hidden, self.latent, self.auxiliary
        parameters = {"e.embedding": rng.standard_normal((self.vocabulary, self.width))}
        for name in ("e.lstm", "w.lstm", "phi.lstm"):
            parameters |= lstm.initial(rng, name, self.width, h)
        for name, inputs, outputs in (
            ("e.mean", h, a),
            ("e.log_variance", h, a),
            ("w.logits", h, k),
            ("phi.mean", h, z),
            ("phi.log_variance", h, z),
            ("theta.a_mean", z, a),
            ("theta.a_log_variance", z, a),
        ):
            parameters |= sequence.dense_initial(rng, name, inputs, outputs)
        for name, inputs, outputs in (
            ("w.auxiliary", a, k),
            ("phi.label", k, 4 * h),
            ("phi.auxiliary", a, 4 * h),
            ("theta.a_label", k, a),
            ("theta.label", k, 4 * h),
            ("theta.latent", z, 4 * h),
            ("theta.auxiliary", a, 4 * h),
        ):
            parameters[name] = lstm.dense(rng, inputs, outputs)
        return parameters | sequence.decoder_initial(
            rng, width=self.width, hidden=h, vocabulary=self.vocabulary
        )

    def noise(self, rng: np.random.Generator, n: int, t: int) -> dict[str, np.ndarray]:
        """``eps_a`` (N, A) for a, ``eps_h`` (N, Z) for h, ``keep`` (N, T) for word dropout."""
        return {
            "eps_a": rng.standard_normal((n, self.auxiliary)),
            "eps_h": rng.standard_normal((n, self.latent)),
            "keep": sequence.keep_noise(rng, n, t, self.dropout),
        }

    def log_q(self, ops: Ops, parameters: Parameters, batch: Batch) -> Array:
        """Log q(y|a,x) at the sampled a, shape (N, K)."""
        draw, _, _ = self._draw_auxiliary(ops, parameters, batch)
        state = sequence.encode(ops, parameters, "w.lstm", batch, size=self.hidden)
        logits = sequence.dense(ops, parameters, "w.logits", state)
        return ops.log_softmax((logits + ops.dot(draw, parameters["w.auxiliary"]))[0])

    def latents(
        self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array
    ) -> dict[str, Array]:
        """``a`` (1, N, A) and ``h`` (M, N, Z)."""
        draw, _, _ = self._draw_auxiliary(ops, parameters, batch)
        return {"a": draw, "h": self._draw_latent(ops, parameters, batch, labels, draw)[0]}

    def loss(self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array) -> Array:
        """L(x, y), shape (M, N), in nats."""
        draw, mean_a, log_variance_a = self._draw_auxiliary(ops, parameters, batch)
        latent, mean, log_variance = self._draw_latent(ops, parameters, batch, labels, draw)
        condition = (
            ops.dot(labels, parameters["theta.label"])
            + ops.dot(latent, parameters["theta.latent"])
            + ops.dot(draw, parameters["theta.auxiliary"])
        )
        cost = sequence.reconstruction(ops, parameters, batch, condition, size=self.hidden)
        kl = gaussian.kl_to_standard(ops, mean, log_variance)
        log_q_a = gaussian.log_density(ops, draw, mean_a, log_variance_a)
        log_p_a = self._log_prior_of_auxiliary(ops, parameters, labels, latent, draw)
        return cost + kl + log_q_a - log_p_a + sequence.prior_cost(self.classes)

    def _draw_auxiliary(
        self, ops: Ops, parameters: Parameters, batch: Batch
    ) -> tuple[Array, Array, Array]:
        """a, and mean and log variance of q(a|x), each (1, N, A)."""
        state = sequence.encode(ops, parameters, "e.lstm", batch, size=self.hidden)
        mean = sequence.dense(ops, parameters, "e.mean", state)
        log_variance = sequence.dense(ops, parameters, "e.log_variance", state)
        noise = ops.expand_dims(batch.noise["eps_a"], 0)
        return gaussian.sample(ops, mean, log_variance, noise), mean, log_variance

    def _draw_latent(
        self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array, draw: Array
    ) -> tuple[Array, Array, Array]:
        """h, and mean and log variance of q(h|x,a,y), each (M, N, Z)."""
        condition = ops.dot(labels, parameters["phi.label"]) + ops.dot(
            draw, parameters["phi.auxiliary"]
        )
        state = sequence.encode(
            ops, parameters, "phi.lstm", batch, size=self.hidden, condition=condition
        )
        mean = sequence.dense(ops, parameters, "phi.mean", state)
        log_variance = sequence.dense(ops, parameters, "phi.log_variance", state)
        noise = ops.expand_dims(batch.noise["eps_h"], 0)
        return gaussian.sample(ops, mean, log_variance, noise), mean, log_variance

    def _log_prior_of_auxiliary(
        self, ops: Ops, parameters: Parameters, labels: Array, latent: Array, draw: Array
    ) -> Array:
        """Log p(a|y,h;theta), shape (M, N)."""
        mean = sequence.dense(ops, parameters, "theta.a_mean", latent) + ops.dot(
            labels, parameters["theta.a_label"]
        )
        log_variance = sequence.dense(ops, parameters, "theta.a_log_variance", latent)
        return gaussian.log_density(ops, draw, mean, log_variance)
