"""SeqDGM, the sequence version of M1+M2: one latent h, word embeddings shared."""

from __future__ import annotations

import dataclasses

import numpy as np

from . import gaussian, layers, lstm, sequence
from .batch import Batch
from .model import Parameters, check_classes
from .ops import Array, Ops


@dataclasses.dataclass(frozen=True)
class SeqDGM:
    """Classifier q(y|x;w,e), encoder q(h|x,y;phi,e) and decoder p(x|h,y;theta,e), all LSTMs.

    L(x, y) = -log p(x|h,y) + KL(q(h|x,y) || N(0, I)) - log p(y), with h one reparameterised draw
    for a fixed eps and p(y) uniform. There may be dropout and batch normalisation around each LSTM
    (:mod:`.layers`).

    Args:
        classes: K, at least 2.
        vocabulary: V.
        width: D, of the embeddings.
        hidden: H, of each LSTM.
        latent: Z, of h.
        dropout: probability that the decoder does not see the previous token.
        input_dropout: probability that an entry of an LSTM's input is dropped.
        output_dropout: ... and of the states that are read of it.
        batch_norm: of these states: ``none``; ``fixed``, by statistics of the batch's noise, the
            running ones, say; ``live``, by the batch's own, which couples the sentences, as is
            refuted by claim ``batch.one_pass``.
        kl_weight: what the divergence terms of L are multiplied with.
        label_prior: whether L has -log p(y), which is the same for every label.

    Reference:
        Kingma et al. (2014), M1+M2; the note's section 1.
    """

    classes: int
    vocabulary: int
    width: int = 6
    hidden: int = 8
    latent: int = 3
    dropout: float = 0.25
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    batch_norm: str = layers.NONE
    kl_weight: float = 1.0
    label_prior: bool = True
    name: str = "seqdgm"

    def __post_init__(self) -> None:
        check_classes(self.classes)
        layers.check_layers(self)
        sequence.check_weight("kl_weight", self.kl_weight)

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random parameters, of a scale at which every part has a gradient that can be seen."""
        k, h = self.classes, self.hidden
        return {
            "e.embedding": rng.standard_normal((self.vocabulary, self.width)),
            **lstm.initial(rng, "w.lstm", self.width, h),
            **sequence.dense_initial(rng, "w.logits", h, k),
            **lstm.initial(rng, "phi.lstm", self.width, h),
            "phi.label": rng.standard_normal((k, 4 * h)),
            **sequence.dense_initial(rng, "phi.mean", h, self.latent),
            **sequence.dense_initial(rng, "phi.log_variance", h, self.latent),
            **sequence.decoder_initial(rng, width=self.width, hidden=h, vocabulary=self.vocabulary),
            "theta.label": rng.standard_normal((k, 4 * h)),
            "theta.latent": lstm.dense(rng, self.latent, 4 * h),
            **layers.initial(self, rng, "w"),
            **layers.initial(self, rng, "phi"),
            **layers.initial(self, rng, "theta"),
        }

    def noise(self, rng: np.random.Generator, n: int, t: int) -> dict[str, np.ndarray]:
        """``eps_h`` (N, Z) for h, ``keep`` (N, T) for word dropout, and that of the layers."""
        return {
            "eps_h": rng.standard_normal((n, self.latent)),
            "keep": sequence.keep_noise(rng, n, t, self.dropout),
            **layers.noise(self, rng, "w", n, t, tokens=False),
            **layers.noise(self, rng, "phi", n, t, tokens=False),
            **layers.noise(self, rng, "theta", n, t, tokens=True),
        }

    def log_q(self, ops: Ops, parameters: Parameters, batch: Batch) -> Array:
        """Log q(y|x), shape (N, K)."""
        state = sequence.encode(ops, parameters, "w.lstm", batch, size=self.hidden, options=self)
        return ops.log_softmax(sequence.dense(ops, parameters, "w.logits", state)[0])

    def latents(
        self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array
    ) -> dict[str, Array]:
        """``h`` (M, N, Z), drawn from q(h|x,y)."""
        mean, log_variance = self._posterior(ops, parameters, batch, labels)
        noise = ops.expand_dims(batch.noise["eps_h"], 0)
        return {"h": gaussian.sample(ops, mean, log_variance, noise)}

    def loss(self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array) -> Array:
        """L(x, y), shape (M, N), in nats."""
        mean, log_variance = self._posterior(ops, parameters, batch, labels)
        latent = gaussian.sample(ops, mean, log_variance, ops.expand_dims(batch.noise["eps_h"], 0))
        condition = ops.dot(labels, parameters["theta.label"]) + ops.dot(
            latent, parameters["theta.latent"]
        )
        cost = sequence.reconstruction(
            ops, parameters, batch, condition, size=self.hidden, options=self
        )
        kl = self.kl_weight * gaussian.kl_to_standard(ops, mean, log_variance)
        return cost + kl + sequence.prior_cost(self.classes, counted=self.label_prior)

    def _posterior(
        self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array
    ) -> tuple[Array, Array]:
        """Mean and log variance of q(h|x,y), each (M, N, Z)."""
        condition = ops.dot(labels, parameters["phi.label"])
        state = sequence.encode(
            ops, parameters, "phi.lstm", batch, size=self.hidden, condition=condition, options=self
        )
        return (
            sequence.dense(ops, parameters, "phi.mean", state),
            sequence.dense(ops, parameters, "phi.log_variance", state),
        )
