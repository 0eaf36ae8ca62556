"""What is derived of values, of what reaches what, and of costs: slips on either side show."""

import re

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note.check import SEQUENCE_MODELS
from gradproof.checks.note.claims import baseline, cost_labels, labelled
from gradproof.checks.note.claims import objective as objective_rows
from gradproof.checks.note.registry import CHECKS
from gradproof.derivations.kernel.oracle import Oracle
from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.baselines.affine import Affine
from gradproof.reference_models import gaussian, lstm, objective, sequence
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA
from gradproof.reference_models.tabular import TabularModel

from .plant import kinds_of

#: Claims about what models are made of, and about the costs themselves.
OF_VALUES = ("partition", "invariants", "kl", "objective", "baseline.reconstruction", "labelled")
OF_VALUES += ("cost.labels",)

ROWS = [
    check.id
    for check in CHECKS.values()
    if check.claim.startswith(OF_VALUES) and check.variant.startswith("derived")
]

#: The formulas that each row calls, by name; the one at the end of a derivation has none.
CALLED = {
    "partition.seqdgm/derived": ("",),
    "partition.seqdgm_a/derived": ("",),
    "invariants/derived": ("", "state"),
    "kl.closed_form/derived": ("", "by_mean", "by_log_variance", "between"),
    "kl.closed_form/derived-coupled": ("auxiliary", "auxiliary_at_h", "coupling", "latent"),
    "baseline.reconstruction/derived": ("",),
    "objective.u/derived": ("",),
    "objective.c/derived": ("", "cost"),
    "labelled/derived": ("",),
    "cost.labels/derived": ("", "enumeration", "sampled", "draws"),
}
EACH = [(check, name) for check, names in CALLED.items() for name in names]


def run(scene, check):
    """On the typical case, or on the first model where a row has no cases."""
    return scene.run(check, kinds_of(check)[0])


def test_each_row_is_here():
    """None is without planted bugs, and each has two or more of its own kind."""
    assert set(CALLED) == set(ROWS)
    planted = [check for check, *_ in BUGS]
    assert all(planted.count(check) >= 2 for check in ROWS)


@pytest.mark.parametrize("check", ROWS)
def test_the_right_ones_hold(scene, check):
    """The scene is right before anything is planted."""
    for kind in kinds_of(check):
        found = scene.run(check, kind)
        assert found.verdict == HOLDS, found.explain()


# ------------------------------------------------------------------ the formula


class Other(Oracle):
    """A formula with something done to what comes out of it."""

    def __init__(self, oracle, change):
        vars(self).update(vars(oracle))
        self._change = change

    def __call__(self, **values):
        """The formula's value, changed."""
        return self._change(super().__call__(**values))


def with_formula(scene, check, name, change):
    """Another formula of a derivation, wherever it is read."""
    held = derivation(CHECKS[check].claim)
    if name:
        further = {**held.further, name: Other(held.further[name], change)}
        scene.monkeypatch.setitem(vars(held), "further", further)
    else:
        scene.monkeypatch.setitem(vars(held), "oracle", Other(held.oracle, change))


@pytest.mark.parametrize(("check", "name"), EACH)
@pytest.mark.parametrize("factor", [-1.0, 1.0 + 1e-6])
def test_a_formula_with_another_value_is_refuted(scene, check, name, factor):
    """The bound of each formula is no wider than its digits."""
    with_formula(scene, check, name, lambda value: factor * value)
    found = run(scene, check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


def fails(value):
    """An error, whatever the value."""
    raise FloatingPointError("planted")


@pytest.mark.parametrize(("check", "name"), EACH)
def test_a_formula_that_fails_is_a_crash(scene, check, name):
    """It is no reason to go on without it."""
    with_formula(scene, check, name, fails)
    found = run(scene, check)
    assert found.verdict == UNDECIDED
    assert found.crash == "FloatingPointError: planted"


# ------------------------------------------------------------------ models


class ReadsPhi(SeqDGM):
    """A classifier that reads a parameter of inference."""

    def log_q(self, ops, parameters, batch):
        """Moved by a label's bias, so little that no value would tell."""
        moved = super().log_q(ops, parameters, batch)
        return moved + 1e-30 * ops.sum(parameters["phi.label"])


class ReadsTheClassifier(SeqDGM):
    """A loss with the classifier in it."""

    def loss(self, ops, parameters, batch, labels):
        """Moved by the classifier's bias."""
        moved = super().loss(ops, parameters, batch, labels)
        return moved + 1e-30 * ops.sum(parameters["w.logits.bias"])


class WithoutA(SeqDGMA):
    """A classifier that a does not reach, as in SeqDGM."""

    def log_q(self, ops, parameters, batch):
        """Of the sentence alone, without a."""
        state = sequence.encode(ops, parameters, "e.lstm", batch, size=self.hidden)
        return ops.log_softmax(sequence.dense(ops, parameters, "w.logits", state)[0])


class ReadsTheta(SeqDGMA):
    """A classifier that reads a parameter of generation."""

    def log_q(self, ops, parameters, batch):
        """Moved by the decoder's bias."""
        moved = super().log_q(ops, parameters, batch)
        return moved + 1e-30 * ops.sum(parameters["theta.output_bias"])


class EveryLoss(TabularModel):
    """A loss that computes all labels whichever are asked for."""

    def loss(self, ops, parameters, batch, labels):
        """The first label twice."""
        super().loss(ops, parameters, batch, np.eye(self.classes)[:, None, :])
        return super().loss(ops, parameters, batch, labels)


class Pairs(TabularModel):
    """A classifier that compares each label with each other."""

    def log_q(self, ops, parameters, batch):
        """As it was, with differences that nobody asks for."""
        found = super().log_q(ops, parameters, batch)
        return found + 0.0 * ops.sum(ops.expand_dims(found, 1) - ops.expand_dims(found, 2))


class LossOfK(TabularModel):
    """A loss at one label that grows with their number."""

    def loss(self, ops, parameters, batch, labels):
        """As it was, with what nobody asks for beside it."""
        return super().loss(ops, parameters, batch, labels) + 0.0 * ops.sum(labels * labels)


class NoSoftmax(TabularModel):
    """Labels that are equally likely, whatever the sentence."""

    def log_q(self, ops, parameters, batch):
        """No operation in it."""
        return np.full((batch.n, self.classes), -1.0)


# ------------------------------------------------------------------ values


def unmasked_run(ops, parameters, name, inputs, mask, **rest):
    """An LSTM that steps through padding."""
    return RIGHT_RUN(ops, parameters, name, inputs, 0 * mask + 1, **rest)


def first_masked_run(ops, parameters, name, inputs, mask, *, t, **rest):
    """An LSTM whose mask is one step late."""
    late = ops.concatenate([mask[:, :1], mask[:, : t - 1]], axis=1)
    return RIGHT_RUN(ops, parameters, name, inputs, late, t=t, **rest)


def unmasked_sum(ops, parameters, batch, states):
    """A sum of all columns, those of padding too."""
    rows = batch.with_arrays(batch.arrays() | {"mask": 0 * batch.mask + 1})
    return RIGHT_SUM(ops, parameters, rows, states)


RIGHT_RUN, RIGHT_SUM = lstm.run, sequence._negative_log_likelihood
RIGHT_BETWEEN, RIGHT_LOG = gaussian.kl_between, gaussian.log_density
RIGHT_STANDARD, RIGHT_AT = gaussian.kl_to_standard, objective.at_label
RIGHT_U, RIGHT_C = objective.unlabelled, objective.cost
RIGHT_COUNT = cost_labels.count


def planted_model(kind):
    """Plants another model."""
    return lambda scene: scene.model(kind)


def planted(place, name, value):
    """Plants another function."""
    return lambda scene: scene.replace(place, name, value)


def planted_framework(**changes):
    """Plants another framework."""
    return lambda scene: scene.framework(**changes)


def planted_baseline(baseline):
    """Plants another live baseline."""
    return lambda scene: scene.baseline("live", baseline)


class Tripled(Affine):
    """A baseline in whose gradient what it holds counts once, and twice in its value."""

    def value(self, seen):
        """Right, with twice itself held."""
        found = super().value(seen)
        return found + 2.0 * (found - seen.ops.stop_gradient(found))


def scaled_at(name, factor):
    """One parameter's gradient times a factor."""
    return lambda found: found | {name: factor * found[name]}


#: check, what is wrong, how to plant it, where the error must be.
BUGS = [
    ("partition.seqdgm/derived", "log q reads phi", planted_model(ReadsPhi), "what phi reaches"),
    ("partition.seqdgm/derived", "L reads w", planted_model(ReadsTheClassifier), "what w reaches"),
    (
        "partition.seqdgm/derived",
        "the embeddings held",
        planted_framework(reached=lambda names: names - {"e.embedding"}),
        "what e reaches",
    ),
    (
        "partition.seqdgm/derived",
        "one parameter of many missed",
        planted_framework(reached=lambda names: names - {"theta.latent"}),
        "what theta reaches",
    ),
    ("partition.seqdgm_a/derived", "no a in log q", planted_model(WithoutA), "what v reaches"),
    (
        "partition.seqdgm_a/derived",
        "log q reads theta",
        planted_model(ReadsTheta),
        "what theta reaches",
    ),
    ("invariants/derived", "no mask", planted(lstm, "run", unmasked_run), "states"),
    ("invariants/derived", "a late mask", planted(lstm, "run", first_masked_run), "states"),
    (
        "invariants/derived",
        "padding summed",
        planted(sequence, "_negative_log_likelihood", unmasked_sum),
        "cost of the tokens",
    ),
    (
        "kl.closed_form/derived",
        "a half left out",
        planted(gaussian, "kl_to_standard", lambda *given: 2.0 * RIGHT_STANDARD(*given)),
        r"KL|dKL/d\w+",
    ),
    (
        "kl.closed_form/derived",
        "a constant left out",
        planted(gaussian, "kl_to_standard", lambda *given: RIGHT_STANDARD(*given) + 0.5),
        "KL",
    ),
    (
        "kl.closed_form/derived",
        "the Gaussians in the other order",
        planted(
            gaussian,
            "kl_between",
            lambda ops, mean, log, other, other_log: RIGHT_BETWEEN(
                ops, other, other_log, mean, log
            ),
        ),
        "KL to another",
    ),
    (
        "kl.closed_form/derived",
        "a derivative",
        planted_framework(gradient=scaled_at("phi.mean", 1.0 + 1e-6)),
        "dKL/dmean",
    ),
    (
        "kl.closed_form/derived",
        "another derivative",
        planted_framework(gradient=scaled_at("phi.log_variance", 1.0 + 1e-6)),
        "dKL/dlog_variance",
    ),
    (
        "kl.closed_form/derived-coupled",
        "no log variance in the density",
        planted(
            gaussian,
            "log_density",
            lambda ops, x, mean, log: RIGHT_LOG(ops, x, mean, log) + 0.5 * ops.sum(log, axis=-1),
        ),
        "auxiliary|coupling",
    ),
    (
        "kl.closed_form/derived-coupled",
        "the closed form of two means as of one",
        planted(
            gaussian,
            "kl_between",
            lambda ops, mean, log, other, other_log: RIGHT_BETWEEN(
                ops, mean, log, mean + 0.0 * other, other_log
            ),
        ),
        "auxiliary_at_h|coupling",
    ),
    (
        "kl.closed_form/derived-coupled",
        "h as wide as N(0, 1)",
        planted(
            gaussian,
            "kl_to_standard",
            lambda ops, mean, log: RIGHT_STANDARD(ops, mean, 0.0 * log),
        ),
        "latent",
    ),
    (
        "baseline.reconstruction/derived",
        "held",
        lambda scene: scene.replace(baseline, "BASELINES", HELD),
        r"e\.embedding",
    ),
    (
        "baseline.reconstruction/derived",
        "its gradient three times",
        planted_baseline(Tripled("live", held=False)),
        r"e\.embedding",
    ),
    (
        "baseline.reconstruction/derived",
        "no entropy in U",
        planted(
            objective,
            "unlabelled",
            lambda ops, log_q, losses: ops.sum(ops.exp(log_q) * ops.transpose(losses), axis=-1),
        ),
        r"[ew]\.",
    ),
    (
        "objective.u/derived",
        "the entropy added",
        planted(
            objective,
            "unlabelled",
            lambda ops, log_q, losses: (
                RIGHT_U(ops, log_q, losses) + 2.0 * objective.entropy(ops, log_q)
            ),
        ),
        "U",
    ),
    (
        "objective.u/derived",
        "L at labels in another order",
        planted(
            objective,
            "unlabelled",
            lambda ops, log_q, losses: RIGHT_U(
                ops, log_q, ops.concatenate([losses[1:], losses[:1]], axis=0)
            ),
        ),
        "U",
    ),
    (
        "objective.c/derived",
        "a sum and no average",
        planted(objective, "cost", lambda *given: RIGHT_C(*given[:-1], 1)),
        r"C|\w+\.\w+",
    ),
    (
        "objective.c/derived",
        "labels ignored",
        planted(
            objective,
            "cost",
            lambda ops, log_q, losses, labels, alpha, n: RIGHT_C(
                ops, log_q, losses, 0.0 * labels, alpha, n
            ),
        ),
        r"C|\w+\.\w+",
    ),
    (
        "objective.c/derived",
        "U held",
        planted(
            objective, "unlabelled", lambda ops, *given: ops.stop_gradient(RIGHT_U(ops, *given))
        ),
        r"\w+\.\w+",
    ),
    (
        "objective.c/derived",
        "a constant in C alone",
        planted_framework(values=lambda found: {k: v + 1e-6 for k, v in found.items()}),
        "C",
    ),
    (
        "labelled/derived",
        "the classifier's own loss held",
        planted(
            objective, "at_label", lambda ops, *given: ops.stop_gradient(RIGHT_AT(ops, *given))
        ),
        r"[ew]\.",
    ),
    (
        "labelled/derived",
        "a score term",
        planted(
            labelled,
            "labelled_cost",
            lambda ops, model, parameters, batch, inputs: with_score_term(
                ops, model, parameters, batch, inputs
            ),
        ),
        r"[ew]\.",
    ),
    ("cost.labels/derived", "every loss", planted_model(EveryLoss), "operations for all labels"),
    ("cost.labels/derived", "pairs of labels", planted_model(Pairs), "operations for"),
    ("cost.labels/derived", "a loss that grows", planted_model(LossOfK), "operations for"),
]


def with_score_term(ops, model, parameters, batch, inputs):
    """The labelled cost, as if the label had been drawn."""
    loss = model.loss(ops, parameters, batch, ops.expand_dims(inputs["draw"], 0))[0]
    at_draw = objective.at_label(ops, model.log_q(ops, parameters, batch), inputs["draw"])
    return ops.sum(loss - objective_rows.ALPHA * at_draw + ops.stop_gradient(loss) * at_draw)


HELD = {**BASELINES, "live": Affine("live", held=True)}


@pytest.mark.parametrize(
    ("check", "plant", "where"),
    [(check, plant, where) for check, _, plant, where in BUGS],
    ids=[f"{check}-{name}" for check, name, *_ in BUGS],
)
def test_a_bug_is_refuted_where_it_is(scene, check, plant, where):
    """In what it is in; neither a crash nor nothing."""
    plant(scene)
    found = run(scene, check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.match(f"({where})", found.worst), found.worst


# ------------------------------------------------------------------ costs, as printed


@pytest.mark.parametrize("kind", ["typical", *SEQUENCE_MODELS])
def test_the_same_cost_for_any_number_of_labels_is_refuted(scene, kind):
    """On each subject: the softmax is there."""
    found = scene.run("cost.labels/printed", kind)
    assert found.verdict == REFUTED
    assert found.worst.startswith("operations of a sampled step of ")


@pytest.mark.parametrize(
    "plant",
    [
        planted_model(NoSoftmax),
        lambda scene: scene.replace(cost_labels, "MORE", cost_labels.FEW),
        planted(
            cost_labels,
            "count",
            lambda study, *numbers: RIGHT_COUNT(study, *numbers, cost_labels.loss_alone),
        ),
    ],
    ids=["no softmax", "the same number twice", "L alone"],
)
def test_without_a_softmax_it_is_not_refuted(scene, plant):
    """What refutes it is the softmax: without one in the classifier, or the count, nothing does."""
    plant(scene)
    found = scene.run("cost.labels/printed")
    assert not found.crash, found.explain()
    assert found.verdict == HOLDS
    assert not found.as_expected
