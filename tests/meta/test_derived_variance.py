"""Variances that are not what is derived of them, and pairs with weights that are not right."""

import dataclasses
import re

import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note.claims import baseline_variance as variance_rows
from gradproof.checks.note.claims import renormalised
from gradproof.derivations import baseline_form as form
from gradproof.derivations import baseline_variance as variance
from gradproof.derivations import renormalised as draws
from gradproof.derivations.kernel.oracle import Oracle
from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines.batch_mean import BatchMean
from gradproof.estimators.baselines.constant import Constant
from gradproof.estimators.note.pairs import renormalised_weights

ROWS = [check for check in (*variance_rows.CHECKS, *renormalised.CHECKS) if check.expected == HOLDS]


@pytest.mark.parametrize("check", ROWS, ids=lambda check: check.id)
def test_the_right_ones_hold(scene, check):
    """The scene is right before anything is planted."""
    found = scene.run(check)
    assert found.verdict == HOLDS, found.explain()


def weight(ops, terms):
    """CL + CQ + 1 - B, as it should be."""
    return (
        ops.stop_gradient(terms.loss)
        + ops.stop_gradient(terms.log_q_at_draw)
        + 1.0
        - terms.baseline
    )


#: Costs in place of the one-pass row's. All but the first have the right mean: only a variance
#: can tell.
COSTS = {
    "B added": lambda ops, terms: (
        (weight(ops, terms) + 2.0 * terms.baseline) * terms.log_q_at_draw + terms.loss
    ),
    "B left out": lambda ops, terms: (
        (weight(ops, terms) + terms.baseline) * terms.log_q_at_draw + terms.loss
    ),
    "half of B": lambda ops, terms: (
        (weight(ops, terms) + 0.5 * terms.baseline) * terms.log_q_at_draw + terms.loss
    ),
    "the 1 left out": lambda ops, terms: (
        (weight(ops, terms) - 1.0) * terms.log_q_at_draw + terms.loss
    ),
}


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize(
    "check",
    [
        "baseline.variance/derived",
        "baseline.variance/derived-plus-one",
        "baseline.variance/derived-interval",
        "baseline.variance/registry",
        "baseline.form/derived",
    ],
)
def test_a_surrogate_with_another_variance_is_refuted(scene, check, name):
    """Though its mean is right, so that no check of a mean could tell."""
    scene.form("one-pass", COSTS[name])
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.match(r"(\S+: )?(variance (lost|above|taken)|(e|w)\.\S+ of )", found.worst), (
        found.worst
    )


@pytest.mark.parametrize("name", ["B left out", "half of B"])
def test_so_it_is_on_text(scene, name):
    """Each sentence of a sequence model alone, with each baseline."""
    scene.form("one-pass", COSTS[name])
    found = scene.run("baseline.variance/registry", "seqdgm")
    assert (found.verdict, found.crash) == (REFUTED, ""), found.explain()


class Lying(Constant):
    """A baseline that subtracts another number than it says when it is asked at one draw."""

    def value(self, seen):
        """Three times as much where a second label is drawn, but not in what is told of it."""
        return super().value(seen) * (1.0 + 2.0 * seen.inputs["draw"][:, 1])


def test_a_baseline_that_reads_the_draw_has_another_variance(scene):
    """It is no number of the sentence, so that no parabola is its variance."""
    scene.baseline("constant", Lying("constant"))
    found = scene.run("baseline.variance/registry")
    assert (found.verdict, found.crash) == (REFUTED, ""), found.explain()
    assert found.worst.startswith("constant: ")


def turned(oracle):
    """An oracle whose formula has the wrong sign."""
    return Oracle(-oracle.formula, oracle.arguments, oracle.indices)


def doubled(oracle):
    """An oracle of twice the number."""
    return Oracle(2 * oracle.formula, oracle.arguments, oracle.indices)


#: By check: the module of the formula that it reads, and the formula's name.
FORMULAS = [
    ("baseline.variance/derived-plus-one", variance, "PLUS_ONE"),
    ("baseline.variance/derived-leave-one-out", variance, "LEAVE_ONE_OUT"),
    ("baseline.variance/derived-interval", variance, "A1"),
    ("baseline.variance/derived-interval", variance, "A2"),
    ("baseline.form/derived", form, "EXCESS"),
    ("baseline.form/derived", variance, "A1"),
    ("renormalised/derived", draws, "GRADIENT"),
]


@pytest.mark.parametrize("wrong", [turned, doubled])
@pytest.mark.parametrize(("check", "module", "name"), FORMULAS)
def test_a_wrong_formula_is_refuted(scene, check, module, name, wrong):
    """A slip in a derived formula does not pass for want of a second opinion."""
    scene.replace(module, name, wrong(getattr(module, name)))
    found = scene.run(check)
    assert not found.crash, found.explain()
    # A negative E|s|^2 leaves no best baseline to look at: nothing is seen, and that is said.
    expected = UNDECIDED if (name, wrong) == ("A2", turned) else REFUTED
    assert found.verdict == expected, found.explain()


@pytest.mark.parametrize("wrong", [turned, doubled])
@pytest.mark.parametrize("claim", ["baseline.variance", "baseline.form", "renormalised"])
def test_a_wrong_final_formula_is_refuted(scene, claim, wrong):
    """Nor does one in the formula at the end."""
    found = derivation(claim)
    planted = dataclasses.replace(found, oracle=wrong(found.oracle))
    for place in (variance_rows, renormalised):
        scene.replace(place, "derivation", lambda _: planted)
    evidence = scene.run(f"{claim}/derived")
    assert not evidence.crash, evidence.explain()
    assert evidence.verdict == REFUTED, evidence.explain()


class OwnAmongOthers(BatchMean):
    """The mean of all losses, as if it left one out."""


def test_a_baseline_that_leaves_nothing_out_is_refuted(scene):
    """Its variance is another one than that of leave-one-out."""
    scene.baseline("leave-one-out", OwnAmongOthers(name="leave-one-out"))
    found = scene.run("baseline.variance/derived-leave-one-out")
    assert found.verdict == REFUTED, found.explain()


LIVE = renormalised.renormalised_live

#: Weights of pairs that are not the ones which a row is about.
WEIGHTS = {
    "equal weights": lambda ops, one, other, loss, other_loss: 0.5 * (loss + other_loss),
    "the score part forgotten": lambda ops, one, other, loss, other_loss: (
        ops.stop_gradient(LIVE(ops, one, other, one - one + 1.0, other - other)) * loss
        + ops.stop_gradient(LIVE(ops, one, other, one - one, other - other + 1.0)) * other_loss
    ),
    "the first label alone": lambda ops, one, other, loss, other_loss: loss,
}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("kind", ["typical", "seqdgm", "seqdgm-a"])
@pytest.mark.parametrize("check", ["renormalised/derived", "renormalised/corrected"])
def test_wrong_weights_of_pairs_are_refuted(scene, check, name, kind):
    """Whether the row is about the released weights or about the right ones, on any model."""
    place = check.split("/")[1].replace("derived", "renormalised")
    scene.replace(renormalised, place, WEIGHTS[name])
    found = scene.run(check, kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


@pytest.mark.parametrize("kind", ["typical", "seqdgm", "seqdgm-a"])
@pytest.mark.parametrize("cost", ["renormalised_live", "corrected"])
def test_right_weights_and_live_ones_are_told_from_the_released(scene, cost, kind):
    """The row of the released weights holds where the right ones are planted, and not else."""
    right = cost == "corrected"
    scene.replace(renormalised, "renormalised", getattr(renormalised, cost))
    found = scene.run("renormalised/released", kind)
    assert found.verdict == (HOLDS if right else REFUTED), found.explain()


def without_baseline(ops, one, other, loss, other_loss):
    """The weights held, and no baseline: not what live weights give."""
    weight, other_weight = renormalised_weights(ops, one, other)
    weight, other_weight = ops.stop_gradient(weight), ops.stop_gradient(other_weight)
    held, other_held = ops.stop_gradient(loss), ops.stop_gradient(other_loss)
    return weight * (held * one + loss) + other_weight * (other_held * other + other_loss)


def with_batch_mean(ops, one, other, loss, other_loss):
    """A baseline of the batch: each sentence has the others' losses in its own cost."""
    shared = ops.stop_gradient(ops.sum(loss))
    return RENORMALISED(ops, one, other, loss, other_loss) - shared * one


RENORMALISED = renormalised.renormalised


@pytest.mark.parametrize("kind", ["typical", "seqdgm", "seqdgm-a"])
@pytest.mark.parametrize(
    ("check", "cost"),
    [("renormalised/live", without_baseline), ("renormalised/batch", with_batch_mean)],
)
def test_another_baseline_of_pairs_is_refuted(scene, check, cost, kind):
    """None at all, or one of the whole batch, in the groups that the score reaches."""
    scene.replace(renormalised, "renormalised", cost)
    found = scene.run(check, kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.match(r"(e|w)\.", found.worst), found.worst


def test_many_labels_are_not_enumerated_by_pairs(scene):
    """Nothing is compared where there are more pairs than are allowed, and that is said."""
    scene.replace(renormalised, "MOST_PAIRS", 5)
    found = scene.run("renormalised/corrected", "seqdgm")
    assert found.verdict == UNDECIDED
    assert "zero comparisons" in found.crash


@pytest.mark.parametrize("check", ROWS, ids=lambda check: check.id)
def test_an_error_is_a_crash(scene, check):
    """A framework that raises has refuted nothing."""

    def broken(gradients):
        raise ZeroDivisionError("planted")

    scene.framework(gradient=broken)
    found = scene.run(check)
    assert "planted" in found.crash
    assert found.verdict != REFUTED
