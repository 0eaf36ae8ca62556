"""Slips in what the released code's variants are, and in what is derived of them, are refuted."""

import dataclasses

import pytest

from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.checks.note.claims import released_code as released
from gradproof.derivations.kernel.oracle import Oracle
from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines.batch_mean import BatchMean
from gradproof.estimators.note.forms import FORMS
from gradproof.reference_models.objective import entropy
from gradproof.reference_models.redrawn import RedrawnSeqDGMA, redrawn

from .plant import kinds_of

#: The rows of one label a sentence, with the form that each is about.
FORM = {"released.reward": "reward-per-token", "released.entropy": "no-entropy"}
PLACES = [(claim, kind) for claim in FORM for kind in kinds_of(f"{claim}/released")]


@pytest.mark.parametrize(("claim", "kind"), PLACES)
def test_the_right_form_in_the_place_of_the_released_one_holds(scene, claim, kind):
    """What the row refutes is the form, and nothing else about it."""
    scene.form(FORM[claim], FORMS["analytic-entropy"].cost)
    found = scene.run(f"{claim}/released", kind)
    assert found.verdict == HOLDS, found.explain()


def per_token(ops, terms, *, more=0.0, path=1.0):
    """(CL / |x| - B) log q - H + L, with another length, or another share of L."""
    weight = ops.stop_gradient(terms.loss) / (terms.lengths + more) - terms.baseline
    return weight * terms.log_q_at_draw - entropy(ops, terms.log_q) + path * terms.loss


#: claim, what is wrong, the cost, and the groups in which it is.
SLIPS = [
    ("released.reward", "not divided", FORMS["analytic-entropy"].cost, "e|w"),
    ("released.reward", "one token more", lambda ops, t: per_token(ops, t, more=1.0), "e|w"),
    ("released.reward", "half of L", lambda ops, t: per_token(ops, t, path=0.5), "e|phi|theta"),
    (
        "released.reward",
        "L live",
        lambda ops, t: per_token(ops, t) + (t.loss - ops.stop_gradient(t.loss)) * t.log_q_at_draw,
        "e|phi|theta",
    ),
    ("released.entropy", "H in it", FORMS["analytic-entropy"].cost, "e|w"),
    ("released.entropy", "twice H", FORMS["printed-entropy"].cost, "e|w"),
    ("released.entropy", "no score", FORMS["pathwise"].cost, "e|w"),
]


@pytest.mark.parametrize(("claim", "cost", "groups"), [(row[0], *row[2:]) for row in SLIPS],
                         ids=[f"{row[0]}-{row[1]}" for row in SLIPS])  # fmt: skip
@pytest.mark.parametrize("kind", ["typical", "seqdgm", "seqdgm-a"])
def test_another_form_is_not_what_is_derived(scene, claim, cost, groups, kind):
    """Each slip is refuted on tables and on LSTMs, in the groups it is in."""
    scene.form(FORM[claim], cost)
    found = scene.run(f"{claim}/derived", kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert found.worst.split(".")[0] in groups.split("|"), found.worst


@pytest.mark.parametrize("check", ["released.reward/corrected", "released.entropy/corrected"])
def test_a_baseline_with_the_own_draw_in_it_is_refuted(scene, check):
    """The released baseline may be subtracted because it is updated afterwards."""
    scene.baseline(released.BASELINE, BatchMean(name=released.BASELINE))
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert found.worst[0] in "ew", found.worst


class SameSign(RedrawnSeqDGMA):
    """The second a where the first has the other sign."""

    def loss(self, ops, parameters, batch, labels):
        """L with that noise."""
        noise = dict(batch.noise)
        noise["eps_a_again"] = -noise["eps_a_again"]
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


def other_sign(model):
    """The same model with that loss."""
    return SameSign(**vars(redrawn(model)))


#: By row: what stands for the model with a second draw, and the verdict.
MODELS = {
    "released": (lambda model: model, HOLDS),  # no second draw after all
    "derived": (lambda model: model, REFUTED),
    "corrected": (other_sign, REFUTED),
}


@pytest.mark.parametrize("variant", MODELS)
def test_another_second_draw_shows(scene, variant):
    """One that is the first again, and one that should be and is not."""
    planted, verdict = MODELS[variant]
    scene.replace(released, "redrawn", planted)
    found = scene.run(f"released.redrawn/{variant}", "seqdgm-a")
    assert not found.crash, found.explain()
    assert found.verdict == verdict, found.explain()


@pytest.mark.parametrize("kind", ["seqdgm", "seqdgm-a"])
@pytest.mark.parametrize("claim", [*FORM, "released.redrawn"])
def test_a_wrong_formula_is_refuted_on_sequence_models_too(scene, claim, kind):
    """There it is fed by autograd: a slip of one part in a million shows."""
    if kind not in kinds_of(f"{claim}/derived"):
        return
    right = derivation(claim).oracle
    wrong = Oracle((1 + 1e-6) * right.formula, right.arguments, right.indices)
    scene.monkeypatch.setitem(vars(derivation(claim)), "oracle", wrong)
    found = scene.run(f"{claim}/derived", kind)
    assert found.verdict == REFUTED, found.explain()
