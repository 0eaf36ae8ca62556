"""SeqDGM-A: SeqDGM with an auxiliary variable a between the sentence and the label."""

from __future__ import annotations

import dataclasses

import numpy as np

from . import gaussian, layers, lstm, sequence
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

    The note counts the encoder, and the sampling of a, to what the classifier shares with the rest:
    one LSTM reads the sentence for q(a|x), q(y|a,x) and q(h|x,a,y), and its parameters are in e.
    (It also gives the classifier an LSTM of its own, of SeqDGM and of this model alike; that is the
    other reading, ``shared_encoder=False``, where encoder and a are shared through a alone.)
    There may be dropout and batch normalisation around each LSTM (:mod:`.layers`); those of the
    shared one are the same for all three.

    Args:
        classes: K, at least 2.
        vocabulary: V.
        width: D, of the embeddings.
        hidden: H, of each LSTM.
        latent: Z, of h.
        auxiliary: A, of a.
        dropout: probability that the decoder does not see the previous token.
        input_dropout: probability that an entry of an LSTM's input is dropped.
        output_dropout: ... and of the states that are read of it.
        batch_norm: of these states: ``none``; ``fixed``, by statistics of the batch's noise, the
            running ones, say; ``live``, by the batch's own, which couples the sentences, as is
            refuted by claim ``batch.one_pass``.
        kl_weight: what the divergence terms of L are multiplied with.
        label_prior: whether L has -log p(y), which is the same for every label.
        shared_encoder: False: q(y|a,x) and q(h|x,a,y) have an LSTM of their own each, in w and phi,
            and share with q(a|x) the embeddings and a. Then h is encoded with label and a at every
            token, and not in a layer after the last one.

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
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    batch_norm: str = layers.NONE
    kl_weight: float = 1.0
    label_prior: bool = True
    shared_encoder: bool = True
    name: str = "seqdgm-a"

    def __post_init__(self) -> None:
        check_classes(self.classes)
        layers.check_layers(self)
        sequence.check_weight("kl_weight", self.kl_weight)

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random parameters, of a scale at which every part has a gradient that can be seen."""
        k, h, z, a = self.classes, self.hidden, self.latent, self.auxiliary
        parameters = {"e.embedding": rng.standard_normal((self.vocabulary, self.width))}
        for group in self._encoders:
            parameters |= lstm.initial(rng, f"{group}.lstm", self.width, h)
        into = h if self.shared_encoder else 4 * h
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
            ("phi.label", k, into),
            ("phi.auxiliary", a, into),
            ("theta.a_label", k, a),
            ("theta.label", k, 4 * h),
            ("theta.latent", z, 4 * h),
            ("theta.auxiliary", a, 4 * h),
        ):
            parameters[name] = lstm.dense(rng, inputs, outputs)
        parameters |= sequence.decoder_initial(
            rng, width=self.width, hidden=h, vocabulary=self.vocabulary
        )
        if self.shared_encoder:
            parameters |= sequence.dense_initial(rng, "phi.hidden", h, h)
        for group in (*self._encoders, "theta"):
            parameters |= layers.initial(self, rng, group)
        return parameters

    @property
    def _encoders(self) -> tuple[str, ...]:
        """The groups that have an LSTM to read the sentence with."""
        return ("e",) if self.shared_encoder else ("e", "w", "phi")

    def noise(self, rng: np.random.Generator, n: int, t: int) -> dict[str, np.ndarray]:
        """``eps_a`` (N, A), ``eps_h`` (N, Z), ``keep`` (N, T) for word dropout; of the layers."""
        found = {
            "eps_a": rng.standard_normal((n, self.auxiliary)),
            "eps_h": rng.standard_normal((n, self.latent)),
            "keep": sequence.keep_noise(rng, n, t, self.dropout),
        }
        for group in self._encoders:
            found |= layers.noise(self, rng, group, n, t, tokens=False)
        return found | layers.noise(self, rng, "theta", n, t, tokens=True)

    def log_q(self, ops: Ops, parameters: Parameters, batch: Batch) -> Array:
        """Log q(y|a,x) at the sampled a, shape (N, K)."""
        draw, _, _, state = self._draw_auxiliary(ops, parameters, batch)
        if not self.shared_encoder:
            state = self._encode(ops, parameters, "w", batch)
        logits = sequence.dense(ops, parameters, "w.logits", state)
        return ops.log_softmax((logits + ops.dot(draw, parameters["w.auxiliary"]))[0])

    def latents(
        self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array
    ) -> dict[str, Array]:
        """``a`` (1, N, A) and ``h`` (M, N, Z)."""
        draw, _, _, state = self._draw_auxiliary(ops, parameters, batch)
        return {"a": draw, "h": self._draw_latent(ops, parameters, batch, labels, draw, state)[0]}

    def loss(self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array) -> Array:
        """L(x, y), shape (M, N), in nats."""
        draw, mean_a, log_variance_a, state = self._draw_auxiliary(ops, parameters, batch)
        latent, mean, log_variance = self._draw_latent(ops, parameters, batch, labels, draw, state)
        condition = (
            ops.dot(labels, parameters["theta.label"])
            + ops.dot(latent, parameters["theta.latent"])
            + ops.dot(draw, parameters["theta.auxiliary"])
        )
        cost = sequence.reconstruction(
            ops, parameters, batch, condition, size=self.hidden, options=self
        )
        kl = gaussian.kl_to_standard(ops, mean, log_variance)
        log_q_a = gaussian.log_density(ops, draw, mean_a, log_variance_a)
        log_p_a = self._log_prior_of_auxiliary(ops, parameters, labels, latent, draw)
        kl, log_q_a, log_p_a = (self.kl_weight * term for term in (kl, log_q_a, log_p_a))
        return (
            cost
            + kl
            + log_q_a
            - log_p_a
            + sequence.prior_cost(self.classes, counted=self.label_prior)
        )

    def _encode(
        self,
        ops: Ops,
        parameters: Parameters,
        group: str,
        batch: Batch,
        condition: Array | None = None,
    ) -> Array:
        """The last state of a group's LSTM, (M, N, H)."""
        return sequence.encode(
            ops,
            parameters,
            f"{group}.lstm",
            batch,
            size=self.hidden,
            condition=condition,
            options=self,
        )

    def _draw_auxiliary(
        self, ops: Ops, parameters: Parameters, batch: Batch
    ) -> tuple[Array, Array, Array, Array]:
        """a, mean and log variance of q(a|x), each (1, N, A), and the encoder's state (1, N, H)."""
        state = self._encode(ops, parameters, "e", batch)
        mean = sequence.dense(ops, parameters, "e.mean", state)
        log_variance = sequence.dense(ops, parameters, "e.log_variance", state)
        noise = ops.expand_dims(batch.noise["eps_a"], 0)
        return gaussian.sample(ops, mean, log_variance, noise), mean, log_variance, state

    def _draw_latent(
        self,
        ops: Ops,
        parameters: Parameters,
        batch: Batch,
        labels: Array,
        draw: Array,
        state: Array,
    ) -> tuple[Array, Array, Array]:
        """h, and mean and log variance of q(h|x,a,y), each (M, N, Z)."""
        condition = ops.dot(labels, parameters["phi.label"]) + ops.dot(
            draw, parameters["phi.auxiliary"]
        )
        if self.shared_encoder:
            state = ops.tanh(sequence.dense(ops, parameters, "phi.hidden", state) + condition)
        else:
            state = self._encode(ops, parameters, "phi", batch, condition)
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
