"""What a proof, a counterexample and a derivation refuse."""

import dataclasses

import pytest
import sympy as sp

from gradproof.derivations import rules
from gradproof.derivations.derivation import PROVED, Counterexample, Proof, Step, StepFails
from gradproof.derivations.expressions import D, Held, K, L, e, k, mean, normal, phi, q, same, total
from gradproof.derivations.registry import derivation
from gradproof.derivations.rules import RULES, Rule

SCORE = D(sp.log(q), e)


def test_a_rule_that_is_not_needed_is_refused():
    """Algebra that is dressed up as a rule."""
    step = Step(q * L + q, "product rule")
    with pytest.raises(StepFails, match="here: 'product rule' is not the rule used, algebra alone"):
        step.check(q * (L + 1), "here")


def test_the_rule_that_would_do_is_named():
    """A wrong name is told apart from a wrong line."""
    before, after = total(D(q * L, e)), total(q * D(L, e) + L * D(q, e))
    with pytest.raises(StepFails, match=r"'chain rule' does not lead .* 'product rule' would lead"):
        Step(after, "chain rule").check(before, "here")
    with pytest.raises(StepFails, match="nor does any other rule"):
        Step(total(q * D(L, e) - L * D(q, e)), "product rule").check(before, "here")


def test_a_proof_without_steps_proves_nothing():
    """Zero steps are no verdict."""
    with pytest.raises(StepFails, match="no steps, so nothing is proved"):
        Proof("empty", q, ()).check("x", {})


def test_a_wrong_rule_of_the_house_is_seen_by_the_witness(monkeypatch):
    """Were a rewriting rule itself wrong, numbers at a point would tell."""
    wrong = Rule("log-derivative", "∂q = ∂log q", rules._everywhere(D, _without_the_factor))
    monkeypatch.setitem(RULES, "log-derivative", wrong)
    proof = Proof("slip", D(q, e), (Step(SCORE, "log-derivative"),))
    with pytest.raises(StepFails, match=r"every step passes, but at a point .* a rule is wrong"):
        proof.check("x", {})


def _without_the_factor(node):
    return D(sp.log(node.args[0]), node.args[1]) if node.args[0] == q else node


def test_a_held_constant_is_not_its_value_under_a_derivative():
    """The one substitution that would make every wrong surrogate right."""
    step = Step(D(L * sp.log(q), e), "value of a held constant")
    with pytest.raises(StepFails, match="does not lead"):
        step.check(D(Held(L) * sp.log(q), e), "here")


def test_normalisation_needs_a_constant():
    """Σ q f is not f where f depends on the label."""
    with pytest.raises(StepFails, match="does not lead"):
        Step(L, "normalisation").check(total(q * L), "here")
    Step(K, "normalisation").check(total(q * K), "here")


def test_independence_reads_what_a_function_depends_on():
    """L depends on e, and not on w; q the other way round for φ."""
    with pytest.raises(StepFails, match="does not lead"):
        Step(sp.S.Zero, "independence").check(D(L, e), "here")
    Step(sp.S.Zero, "independence").check(D(q, phi), "here")


t = sp.Symbol("t", positive=True)


@pytest.mark.parametrize(
    ("claimed", "actual", "at", "words"),
    [
        (t, t**2 / t, {t: sp.Rational(1, 3)}, "both sides are 1/3, so this refutes nothing"),
        (t, 2 * t, {}, "t is not an exact number; give every letter an exact value"),
        (t, 2 * t, {t: sp.Float(0.5)}, "is not an exact number"),
        (sp.log(4), 2 * sp.log(2), {}, "refutes nothing"),
    ],
)
def test_a_counterexample_is_exact_and_refutes(claimed, actual, at, words):
    """Two numbers, exact and different, or it is an error."""
    with pytest.raises(StepFails, match=words):
        Counterexample("x", "a case", claimed, actual, at).check("claim", {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"claim": "gradient.x"}, "no claim is called 'gradient.x'"),
        ({"parts": ()}, "without parts proves nothing"),
        ({"verdict": "undecided"}, "the verdict is undecided, and no part of it bears that out"),
    ],
)
def test_a_derivation_is_about_a_claim_and_bears_its_verdict_out(changes, words):
    """A verdict alone is none."""
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(derivation("gradient.e"), **changes).check()


def test_a_refutation_needs_a_counterexample():
    """Proofs of corrections do not refute what was printed."""
    found = derivation("gradient.e")
    proofs = tuple(part for part in found.parts if part.verdict == PROVED)
    with pytest.raises(ValueError, match="the verdict is refuted, and no part"):
        dataclasses.replace(found, parts=proofs).check()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (total(q * L), total(q) * L),
        (total(q + L), total(q) + total(L)),
        (D(q + L, e), D(q, e) + D(L, e)),
        (mean(L), total(q * L)),
        (Held(L), L),
        (total(q), sp.S.One),
    ],
)
def test_algebra_knows_no_rule(one, other):
    """What needs a rule is not equal without one."""
    assert not same(one, other)


def test_algebra_reads_brackets():
    """Products are multiplied out inside sums, and the order of terms is nothing."""
    assert same(total(q * (L + 1)), total(L * q + q))
    assert normal(total(q * L - L * q)) == 0
    assert same(k / k, sp.S.One)
