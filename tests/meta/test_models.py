"""Models that are not what their claims say are refuted, by the check of that claim."""

import dataclasses
import re

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note.registry import CHECKS
from gradproof.reference_models import lstm, sequence
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA
from gradproof.reference_models.tabular import TabularModel

from .plant import TYPICAL, kinds_of


def without(batch):
    """The batch with a mask of ones: padding is read as if it were text."""
    return dataclasses.replace(batch, mask=batch.mask * 0 + 1)


def with_held(ops, parameters, *names):
    """The parameters, some of them held constant."""
    return {**parameters, **{name: ops.stop_gradient(parameters[name]) for name in names}}


# ------------------------------------------------------------------ padding and noise


class ClassifierReadsPadding(TabularModel):
    """The mean embedding is over padding too."""

    def log_q(self, ops, parameters, batch):
        """Without the mask."""
        return super().log_q(ops, parameters, without(batch))


class LossReadsPadding(TabularModel):
    """L alone reads it."""

    def loss(self, ops, parameters, batch, labels):
        """Without the mask."""
        return super().loss(ops, parameters, without(batch), labels)


class MeanOverT(TabularModel):
    """Padding is left out of the sum, and counted in the mean."""

    def log_q(self, ops, parameters, batch):
        """Divided by T."""
        return super().log_q(
            ops,
            {**parameters, "w.weight": parameters["w.weight"] / batch.t},
            batch,
        )


class ClassifierRunsOn(SeqDGM):
    """The classifier's LSTM does not stop at the last token."""

    def log_q(self, ops, parameters, batch):
        """Without the mask."""
        return super().log_q(ops, parameters, without(batch))


class DecoderPredictsPadding(SeqDGM):
    """The decoder is charged for padding."""

    def loss(self, ops, parameters, batch, labels):
        """Without the mask."""
        return super().loss(ops, parameters, without(batch), labels)


class AuxiliaryReadsPadding(SeqDGMA):
    """The LSTM that a comes from does not stop at the last token."""

    def _draw_auxiliary(self, ops, parameters, batch):
        return super()._draw_auxiliary(ops, parameters, without(batch))


class GradientReadsPadding(TabularModel):
    """Padding is in no value, and in the gradient all the same."""

    def loss(self, ops, parameters, batch, labels):
        """With a term whose value is zero."""
        own = super().loss(ops, parameters, batch, labels)
        leak = super().loss(ops, parameters, without(batch), labels)
        return own + 1e-3 * (leak - ops.stop_gradient(leak))


class RedrawnNoise(TabularModel):
    """Noise comes from a generator of the model's own, not from the batch."""

    rng = np.random.default_rng()

    def loss(self, ops, parameters, batch, labels):
        """Another value each time."""
        noise = {"eps_h": self.rng.standard_normal(batch.noise["eps_h"].shape)}
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


class RedrawnDropout(SeqDGM):
    """Word dropout is drawn at each call."""

    rng = np.random.default_rng()

    def loss(self, ops, parameters, batch, labels):
        """Another value each time, with a dropout that one call in 2^8 draws twice."""
        keep = self.rng.random(batch.noise["keep"].shape)
        noise = {**batch.noise, "keep": keep}
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


class RedrawnLatent(SeqDGM):
    """h is drawn by a generator of the model's own."""

    rng = np.random.default_rng()

    def _posterior(self, ops, parameters, batch, labels):
        mean, log_variance = super()._posterior(ops, parameters, batch, labels)
        return mean + 1e-6 * self.rng.standard_normal(), log_variance


class RedrawnAuxiliary(SeqDGMA):
    """a is drawn anew for log q and for L."""

    rng = np.random.default_rng()

    def _draw_auxiliary(self, ops, parameters, batch):
        noise = {**batch.noise, "eps_a": self.rng.standard_normal(batch.noise["eps_a"].shape)}
        return super()._draw_auxiliary(ops, parameters, dataclasses.replace(batch, noise=noise))


class RedrawnDecoder(SeqDGMA):
    """The decoder's word dropout is drawn at each call, in place of the batch's."""

    rng = np.random.default_rng()

    def loss(self, ops, parameters, batch, labels):
        """Fractions, so that no call draws what another drew."""
        noise = {**batch.noise, "keep": self.rng.random(batch.noise["keep"].shape)}
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


class JitteredClassifier(TabularModel):
    """log q is off by a little, at random: dropout that was left on."""

    rng = np.random.default_rng()

    def log_q(self, ops, parameters, batch):
        """Another value each time, by one part in a million."""
        jitter = 1.0 + 1e-6 * self.rng.standard_normal()
        return super().log_q(
            ops, {**parameters, "w.weight": parameters["w.weight"] * jitter}, batch
        )


class SharedStatistics(TabularModel):
    """The label-dependent layer is centred over the batch."""

    def __init__(self, **fields):
        super().__init__(**fields | {"batch_statistics": True})


class NeighbourLeaks(TabularModel):
    """A thousandth of the next sentence's L is in each."""

    def loss(self, ops, parameters, batch, labels):
        """Squared, so that it is not linear in the sentences."""
        own = super().loss(ops, parameters, batch, labels)
        return own + 1e-3 * ops.square(ops.sum(own, axis=1, keepdims=True))


def test_padding_that_moves_a_label_not_drawn_is_refuted(scene):
    """The gradient of one draw sees the labels drawn; values are compared at all of them."""
    drawn = scene.study(CHECKS["invariants/padding"], TYPICAL).draw()
    place = min({0, 1, 2} - set(drawn.tolist()))

    class OneLabelReadsPadding(TabularModel):
        """L of one label reads padding."""

        def loss(self, ops, parameters, batch, labels):
            """Without the mask, for that label alone."""
            leak = super().loss(ops, parameters, without(batch), labels)
            return super().loss(ops, parameters, batch, labels) + labels[:, :, place] * leak

    scene.model(OneLabelReadsPadding)
    found = scene.run("invariants/padding")
    assert found.verdict == REFUTED, found.explain()
    assert found.worst.startswith("L of ")


#: model, subject, check, where the error must be.
MODELS = [
    (ClassifierReadsPadding, TYPICAL, "invariants/padding", r"^(log q|e\.|w\.)"),
    (LossReadsPadding, TYPICAL, "invariants/padding", r"^(L|e\.|w\.|phi\.|theta\.)"),
    (MeanOverT, TYPICAL, "invariants/padding", r"^(log q|e\.|w\.)"),
    (GradientReadsPadding, TYPICAL, "invariants/padding", r"^(e|phi|theta)\."),
    (ClassifierRunsOn, "seqdgm", "invariants/padding", r"^(log q|e\.|w\.)"),
    (DecoderPredictsPadding, "seqdgm", "invariants/padding", r"^(L|e\.|w\.|phi\.|theta\.)"),
    (AuxiliaryReadsPadding, "seqdgm-a", "invariants/padding", r"."),
    (RedrawnNoise, TYPICAL, "invariants/deterministic", r"^(loss|e\.|w\.|phi\.|theta\.)"),
    (RedrawnDropout, "seqdgm", "invariants/deterministic", r"."),
    (RedrawnLatent, "seqdgm", "invariants/deterministic", r"^(loss|e\.|w\.|phi\.|theta\.)"),
    (RedrawnAuxiliary, "seqdgm-a", "invariants/deterministic", r"."),
    (RedrawnDecoder, "seqdgm-a", "invariants/deterministic", r"^(loss|e\.|w\.|phi\.|theta\.)"),
    (JitteredClassifier, TYPICAL, "invariants/deterministic", r"^(log_q|e\.|w\.)"),
    (RedrawnNoise, TYPICAL, "forward/values", r"^L of "),
    (SharedStatistics, TYPICAL, "batch.one_pass/sum", r"^(e|w|phi|theta)\."),
    (NeighbourLeaks, TYPICAL, "batch.one_pass/sum", r"^(e|w|phi|theta)\."),
    (SharedStatistics, TYPICAL, "objective.u/expectation", r"^U of "),
    (SharedStatistics, TYPICAL, "objective.c/value", r"^C of "),
]


@pytest.mark.parametrize(
    ("model", "kind", "check", "where"),
    MODELS,
    ids=[f"{model.__name__}-{check}" for model, _, check, _ in MODELS],
)
def test_models_that_leak_are_refuted(scene, model, kind, check, where):
    """Padding, noise and other sentences must not reach a value or a gradient: each shows."""
    scene.model(model)
    found = scene.run(check, kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(where, found.worst), found.worst


# ------------------------------------------------------------------ noise that is ignored


def with_other(batch, **noise):
    """The batch with some of its noise replaced."""
    return dataclasses.replace(batch, noise={**batch.noise, **noise})


class MeanOnly(TabularModel):
    """The latent row is not jittered."""

    def loss(self, ops, parameters, batch, labels):
        """At the noise zero."""
        quiet = with_other(batch, eps_h=0.0 * batch.noise["eps_h"])
        return super().loss(ops, parameters, quiet, labels)


class MeanOfH(SeqDGM):
    """L reads the mean of h, and no draw."""

    def loss(self, ops, parameters, batch, labels):
        """At the noise zero."""
        quiet = with_other(batch, eps_h=0.0 * batch.noise["eps_h"])
        return super().loss(ops, parameters, quiet, labels)


class OneNoiseForAll(SeqDGM):
    """Every sentence is drawn with the noise of the first."""

    def loss(self, ops, parameters, batch, labels):
        """Its row, repeated."""
        first = 0.0 * batch.noise["eps_h"] + batch.noise["eps_h"][:1]
        return super().loss(ops, parameters, with_other(batch, eps_h=first), labels)


class OneNoiseForEachColumn(SeqDGMA):
    """All of a is drawn with one number."""

    def _draw_auxiliary(self, ops, parameters, batch):
        first = 0.0 * batch.noise["eps_a"] + batch.noise["eps_a"][:, :1]
        return super()._draw_auxiliary(ops, parameters, with_other(batch, eps_a=first))


class NoiseOfH(SeqDGMA):
    """a is drawn with the noise of h."""

    def _draw_auxiliary(self, ops, parameters, batch):
        wrong = with_other(batch, eps_a=batch.noise["eps_h"])
        return super()._draw_auxiliary(ops, parameters, wrong)


class NoDropout(SeqDGMA):
    """The decoder sees every token."""

    def loss(self, ops, parameters, batch, labels):
        """As if nothing had been dropped."""
        kept = 0.0 * batch.noise["keep"] + 1.0
        return super().loss(ops, parameters, with_other(batch, keep=kept), labels)


class SpareNoise(SeqDGM):
    """Declares noise that nothing reads."""

    def noise(self, rng, n, t):
        """One more array."""
        return super().noise(rng, n, t) | {"eps_spare": rng.standard_normal((n, 1))}


#: model, subject, what the note names.
IGNORED = [
    (MeanOnly, TYPICAL, "lacks eps_h"),
    (MeanOfH, "seqdgm", "lacks eps_h"),
    (OneNoiseForAll, "seqdgm", "lacks eps_h[1, 0], eps_h[1, 1]"),
    (OneNoiseForEachColumn, "seqdgm-a", "lacks eps_a[0, 1], eps_a[1, 1]"),
    (NoiseOfH, "seqdgm-a", "lacks eps_a"),
    (NoDropout, "seqdgm-a", "lacks keep"),
    (SpareNoise, "seqdgm", "lacks eps_spare"),
]


@pytest.mark.parametrize(
    ("model", "kind", "names"), IGNORED, ids=[model.__name__ for model, _, _ in IGNORED]
)
def test_noise_that_is_ignored_is_refuted_by_name(scene, model, kind, names):
    """What the batch draws and no value reads is no draw of the model's: the note names it."""
    scene.model(model)
    found = scene.run("invariants/noise", kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert found.note == f"noise that moves log q or L {names}"


class HardDropout(SeqDGM):
    """Only asks of the noise whether it is above one half."""

    def loss(self, ops, parameters, batch, labels):
        """As zeros and ones."""
        keep = ops.where(batch.noise["keep"] > 0.5, 1.0, 0.0)
        return super().loss(ops, parameters, with_other(batch, keep=keep), labels)


def test_noise_of_zeros_and_ones_is_moved_by_what_it_means(scene):
    """A mask that is compared with one half is used, though a small step moves nothing."""
    scene.model(HardDropout)
    found = scene.run("invariants/noise", "seqdgm")
    assert found.verdict == HOLDS, found.explain()


# ------------------------------------------------------------------ partition


class ClassifierInL(SeqDGM):
    """The classifier's bias is in L."""

    def loss(self, ops, parameters, batch, labels):
        """With w in it."""
        leak = ops.sum(parameters["w.logits.bias"])
        return super().loss(ops, parameters, batch, labels) + leak


class DecoderInClassifier(SeqDGM):
    """The decoder's bias is in log q."""

    def log_q(self, ops, parameters, batch):
        """With theta in it."""
        leak = ops.sum(ops.square(parameters["theta.output_bias"]))
        scaled = {**parameters, "w.logits.weight": parameters["w.logits.weight"] * leak}
        return super().log_q(ops, scaled, batch)


class DecoderInEncoder(SeqDGM):
    """What theta should have, h is made of."""

    def _posterior(self, ops, parameters, batch, labels):
        mean, log_variance = super()._posterior(ops, parameters, batch, labels)
        return mean + ops.sum(parameters["theta.output_bias"]), log_variance


class OwnEmbeddings(SeqDGM):
    """The classifier has embeddings of its own."""

    def initial(self, rng):
        """One more table."""
        table = rng.standard_normal((self.vocabulary, self.width))
        return super().initial(rng) | {"w.embedding": table}

    def log_q(self, ops, parameters, batch):
        """Reads its own table."""
        own = {**parameters, "e.embedding": parameters["w.embedding"]}
        return super().log_q(ops, own, batch)


class EmbeddingsHeld(SeqDGM):
    """The classifier reads the shared embeddings, held constant."""

    def log_q(self, ops, parameters, batch):
        """No gradient reaches e."""
        return super().log_q(ops, with_held(ops, parameters, "e.embedding"), batch)


class DeadParameter(SeqDGM):
    """A parameter is in the computation, times zero."""

    def loss(self, ops, parameters, batch, labels):
        """The decoder does not see the label."""
        dead = {**parameters, "theta.label": 0.0 * parameters["theta.label"]}
        return super().loss(ops, dead, batch, labels)


class UnusedParameter(SeqDGM):
    """A parameter that nothing reads."""

    def initial(self, rng):
        """One more, of the decoder's by its name."""
        return super().initial(rng) | {"theta.unused": rng.standard_normal(2)}


class AlsoSharesLSTM(SeqDGM):
    """The classifier runs the encoder's LSTM."""

    def log_q(self, ops, parameters, batch):
        """phi in log q."""
        parts = ("input", "recurrent", "bias")
        shared = {f"w.lstm.{part}": parameters[f"phi.lstm.{part}"] for part in parts}
        return super().log_q(ops, {**parameters, **shared}, batch)


class HeldAuxiliary(SeqDGMA):
    """The classifier's a is held constant."""

    def log_q(self, ops, parameters, batch):
        """No gradient through a."""
        shared = [name for name in parameters if name.startswith("e.") and "lstm" in name]
        return super().log_q(ops, with_held(ops, parameters, *shared), batch)


class AuxiliaryFromEmbeddings(SeqDGMA):
    """The classifier reads a's LSTM, and has one of its own beside it, which nothing reads."""

    def initial(self, rng):
        """One more LSTM."""
        return super().initial(rng) | lstm.initial(rng, "w.lstm", self.width, self.hidden)


class OwnEncoder(SeqDGMA):
    """The classifier reads the sentence with an LSTM of its own, and calls it the shared one."""

    def initial(self, rng):
        """One more LSTM, of e by its name."""
        return super().initial(rng) | lstm.initial(rng, "e.own", self.width, self.hidden)

    def log_q(self, ops, parameters, batch):
        """By way of a, and of its own LSTM's last state."""
        own = sequence.encode(ops, parameters, "e.own", batch, size=self.hidden)
        logits = super().log_q(ops, parameters, batch)
        more = sequence.dense(ops, parameters, "w.logits", own)[0]
        return ops.log_softmax(logits + more)


class SecondSample(SeqDGMA):
    """L draws another a than the classifier."""

    def noise(self, rng, n, t):
        """Noise for it."""
        return super().noise(rng, n, t) | {"eps_b": rng.standard_normal((n, self.auxiliary))}

    def loss(self, ops, parameters, batch, labels):
        """With the other noise."""
        noise = {**batch.noise, "eps_a": batch.noise["eps_b"]}
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


class MeanForTheClassifier(SeqDGMA):
    """The classifier reads the mean of a, not the sample."""

    def log_q(self, ops, parameters, batch):
        """Without noise."""
        noise = {**batch.noise, "eps_a": 0.0 * batch.noise["eps_a"]}
        return super().log_q(ops, parameters, dataclasses.replace(batch, noise=noise))


class MeanForL(SeqDGMA):
    """L reads the mean of a, the classifier the sample."""

    def loss(self, ops, parameters, batch, labels):
        """Without noise."""
        noise = {**batch.noise, "eps_a": 0.0 * batch.noise["eps_a"]}
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


class DropoutInClassifier(SeqDGMA):
    """The decoder's word dropout is applied to the classifier as well."""

    def log_q(self, ops, parameters, batch):
        """Reads ``keep``."""
        kept = dataclasses.replace(batch, mask=batch.mask * (0.5 + batch.noise["keep"]))
        return super().log_q(ops, parameters, kept)


#: model, subject, check, note.
PARTITIONS = [
    (ClassifierInL, "partition.seqdgm/groups", "group e has also w.logits.bias"),
    (ClassifierInL, "partition.seqdgm/embeddings", "shared has also w.logits.bias"),
    (DecoderInClassifier, "partition.seqdgm/groups", "group e has also theta.output_bias"),
    (DecoderInEncoder, "partition.seqdgm/groups", "group phi has also theta.output_bias"),
    (OwnEmbeddings, "partition.seqdgm/groups", "group e lacks e.embedding"),
    (OwnEmbeddings, "partition.seqdgm/embeddings", "shared lacks e.embedding"),
    (EmbeddingsHeld, "partition.seqdgm/groups", "group e lacks e.embedding"),
    (EmbeddingsHeld, "partition.seqdgm/embeddings", "shared lacks e.embedding"),
    (DeadParameter, "partition.seqdgm/groups", "pathwise lacks theta.label"),
    (UnusedParameter, "partition.seqdgm/groups", "group theta lacks theta.unused"),
    (AlsoSharesLSTM, "partition.seqdgm/groups", "phi.lstm.bias"),
    (AlsoSharesLSTM, "partition.seqdgm/embeddings", "shared has also phi.lstm.bias"),
    (HeldAuxiliary, "partition.seqdgm_a/groups", "e.lstm.input"),
    (HeldAuxiliary, "partition.seqdgm_a/up-to-a", "shared lacks e.lstm.bias"),
    (AuxiliaryFromEmbeddings, "partition.seqdgm_a/groups", "w.lstm.bias"),
    (OwnEncoder, "partition.seqdgm_a/groups", "group e lacks e.own.bias"),
    (SecondSample, "partition.seqdgm_a/one-sample", "noise of L has also eps_b"),
    (MeanForTheClassifier, "partition.seqdgm_a/one-sample", "noise of log q lacks eps_a"),
    (MeanForL, "partition.seqdgm_a/one-sample", "noise of L lacks eps_a"),
    (DropoutInClassifier, "partition.seqdgm_a/one-sample", "noise of log q has also keep"),
]


@pytest.mark.parametrize(
    ("model", "check", "note"),
    PARTITIONS,
    ids=[f"{model.__name__}-{check}" for model, check, _ in PARTITIONS],
)
def test_another_partition_is_refuted_by_name(scene, model, check, note):
    """The evidence names the parameter, or the noise, that is where it should not be."""
    scene.model(model)
    found = scene.run(check, *kinds_of(check))
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert note in found.note, found.note
    assert found.note in found.explain()


def test_embeddings_alone_can_hold_for_the_auxiliary_model(scene):
    """The row on record as refuted for SeqDGM-A is refuted by what the model shares, not always."""
    check = CHECKS["partition.seqdgm_a/embeddings"]
    assert scene.run(check, "seqdgm-a").verdict == REFUTED
    assert scene.run(dataclasses.replace(check, models=("seqdgm",)), "seqdgm").verdict == HOLDS


# ------------------------------------------------------------------ no distribution


class NearlyNormalised(TabularModel):
    """Probabilities that sum to 1.0001: the enumeration lets that pass, for float32's sake."""

    def log_q(self, ops, parameters, batch):
        """A ten-thousandth too much."""
        return super().log_q(ops, parameters, batch) + 1e-4


@pytest.mark.parametrize("check", ["gradient.e/corrected", "gradient.w/corrected"])
def test_probabilities_that_nearly_sum_to_one_are_refuted(scene, check):
    """What the enumeration lets pass, the gradients of the entropy do not."""
    scene.model(NearlyNormalised)
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


class Logits(TabularModel):
    """log q is not normalised."""

    def log_q(self, ops, parameters, batch):
        """The logits, shifted so that no sum of them is one."""
        return super().log_q(ops, parameters, batch) + 0.1


class LossIsNaN(TabularModel):
    """L is the root of a negative number at one label."""

    def loss(self, ops, parameters, batch, labels):
        """NaN at the last label."""
        return super().loss(ops, parameters, batch, labels) + np.array([0.0, 0.0, np.nan])[:, None]


def test_draws_that_do_not_sum_to_one_are_no_verdict(scene):
    """Weights that are no probabilities mean nothing: the check says so, and does not hold."""
    scene.model(Logits)
    found = scene.run("gradient.phi_theta/batch-form")
    assert found.verdict == UNDECIDED
    assert "total probability" in found.crash
    assert "log q is not normalised over the labels" in found.crash


def test_an_infinite_model_is_no_verdict(scene):
    """Nothing can be said of a model without values; the message names sentence and label."""
    scene.model(LossIsNaN)
    found = scene.run("gradient.phi_theta/batch-form")
    assert found.verdict == UNDECIDED
    assert "L is nan for sentence 0 and label 2 of tabular" in found.crash
