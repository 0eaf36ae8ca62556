"""Every verdict is the same for models with dropout, batch normalisation and encoders apart."""

import dataclasses
import functools

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.checks.note.check import SEQUENCE_MODELS
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import run_check
from gradproof.checks.note.study import Study
from gradproof.estimators import backends
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.estimate_moments import per_example
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.independence import check_independent
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA

SIZES = {"width": 2, "hidden": 3, "latent": 2}
LAYERS = {"input_dropout": 0.3, "output_dropout": 0.3, "batch_norm": "fixed"}
WITH_A = functools.partial(SeqDGMA, 3, 7, auxiliary=2, **SIZES)
MODELS = {
    "layers": functools.partial(SeqDGM, 3, 7, **SIZES, **LAYERS),
    "layers of a shared encoder": functools.partial(WITH_A, **LAYERS),
    "layers of encoders apart": functools.partial(WITH_A, shared_encoder=False, **LAYERS),
    "no prior of the label": functools.partial(WITH_A, label_prior=False),
}

each_backend = pytest.mark.parametrize(
    "backend",
    [
        "autograd",
        *(pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("torch", "theano")),
    ],
)


def subject_of(make, seed=5):
    """A model on two sentences of three tokens and two, the first labelled."""
    rng = np.random.default_rng(seed)
    model = make()
    mask = np.array([[1, 1, 1], [1, 1, 0]])
    tokens = rng.integers(4, model.vocabulary, mask.shape) * mask
    batch = make_batch(tokens, mask, np.array([1, -1]), model.noise(rng, *mask.shape))
    return Subject(model, model.initial(rng), batch, name=model.name, seed=seed)


def run(check, subject, backend="autograd"):
    """Evidence on the subject alone."""
    bench = Bench(backends.load(backend))
    return run_check(CHECKS[check], bench, [Study(bench, subject)], examples=0, seed=0)


def about(subject):
    """The checks that are about a subject's model."""
    names = SEQUENCE_MODELS
    return [
        check
        for check in CHECKS.values()
        if subject.model.name in set(check.models) & set(names)
        and "autograd" in check.backends
        # One sentence of each kind makes one minibatch, whose weights are those of C.
        and check.id != "objective.c/minibatch-alike"
    ]


@pytest.mark.parametrize("name", MODELS)
def test_every_verdict_is_the_one_on_record(name):
    """Layers add noise and parameters, and change nothing of what is claimed."""
    subject = subject_of(MODELS[name])
    checks = about(subject)
    assert len(checks) > 30
    found = {check.id: run(check.id, subject) for check in checks}
    wrong = [found[check.id].explain() for check in checks
             if found[check.id].verdict != check.expected]  # fmt: skip
    assert not wrong, wrong


#: What depends on which framework runs a model: its values, its gradient, what reaches what.
EACH = (
    "forward/values",
    "gradient.e/corrected",
    "gradient.phi_theta/batch-form",
    "batch.one_pass/sum",
)


@each_backend
@pytest.mark.parametrize("name", MODELS)
def test_frameworks_agree_on_it(name, backend):
    """Values, one pass for the batch, the gradients' means, and the partition."""
    subject = subject_of(MODELS[name])
    claim = "partition.seqdgm" if subject.model.name == "seqdgm" else "partition.seqdgm_a"
    for check in (*EACH, f"{claim}/groups", f"{claim}/derived"):
        found = run(check, subject, backend)
        assert found.verdict == HOLDS, found.explain()


@each_backend
def test_live_statistics_couple_the_sentences(backend):
    """One pass is not the sum of the sentences' gradients, and no variances are added up."""
    subject = subject_of(functools.partial(WITH_A, batch_norm="live"))
    assert run("batch.one_pass/sum", subject, backend).verdict == REFUTED
    with pytest.raises(ValueError, match=r"sentences enter each other's cost: .* held fixed"):
        per_example(Bench(backends.load(backend)), FORMS["one-pass"], BASELINES["none"], subject,
                    {}, reference(subject).log_q)  # fmt: skip
    check_independent(subject_of(functools.partial(WITH_A, batch_norm="fixed")))


class RedrawnForL(SeqDGMA):
    """L has another dropout of the shared encoder's state than log q."""

    def noise(self, rng, n, t):
        """Noise for it."""
        found = super().noise(rng, n, t)
        return found | {"dropout.phi.output": found["dropout.e.output"][::-1]}

    def loss(self, ops, parameters, batch, labels):
        """With the other noise in the shared encoder's place."""
        noise = {**batch.noise, "dropout.e.output": batch.noise["dropout.phi.output"]}
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


class DroppedTwice(SeqDGM):
    """The classifier's dropout is that of the encoder of h."""

    def log_q(self, ops, parameters, batch):
        """With the noise of phi."""
        noise = {**batch.noise, "dropout.w.output": batch.noise["dropout.phi.output"]}
        return super().log_q(ops, parameters, dataclasses.replace(batch, noise=noise))


@pytest.mark.parametrize(
    ("kind", "check", "note"),
    [
        (
            functools.partial(RedrawnForL, 3, 7, auxiliary=2, **SIZES, **LAYERS),
            "partition.seqdgm_a/one-sample",
            "noise of L lacks dropout.e.output",
        ),
        (
            functools.partial(DroppedTwice, 3, 7, **SIZES, **LAYERS),
            "invariants/noise",
            "lacks dropout.w.output",
        ),
    ],
)
def test_dropout_of_the_wrong_layer_is_refuted_by_name(kind, check, note):
    """The draw of a shared layer is one draw, and each layer has its own."""
    found = run(check, subject_of(kind))
    assert found.verdict == REFUTED, found.explain()
    assert note in found.note
