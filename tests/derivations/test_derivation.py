"""What a proof, a counterexample and a derivation refuse."""

import dataclasses

import pytest
import sympy as sp

from gradproof.derivations.kernel import rules
from gradproof.derivations.kernel.derivation import (
    PROVED,
    Counterexample,
    Proof,
    Step,
    StepFails,
)
from gradproof.derivations.kernel.expressions import (
    D,
    K,
    L,
    StopGradient,
    e,
    equal_by_algebra,
    free_letters,
    k,
    mean,
    normal_form,
    phi,
    q,
    total,
)
from gradproof.derivations.kernel.render import as_markdown, as_text
from gradproof.derivations.kernel.rules import RULES, Rule
from gradproof.derivations.kernel.well_formed import first_slip
from gradproof.derivations.registry import derivation

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
    wrong = Rule("log-derivative", "∂q = ∂log q", rules._rewrite_all(D, _without_the_factor))
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
        step.check(D(StopGradient(L) * sp.log(q), e), "here")


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
        (StopGradient(L), L),
        (total(q), sp.S.One),
    ],
)
def test_algebra_knows_no_rule(one, other):
    """What needs a rule is not equal without one."""
    assert not equal_by_algebra(one, other)


def test_algebra_reads_brackets():
    """Products are multiplied out inside sums, and the order of terms is nothing."""
    assert equal_by_algebra(total(q * (L + 1)), total(L * q + q))
    assert normal_form(total(q * L - L * q)) == 0
    assert equal_by_algebra(k / k, sp.S.One)


m, n = sp.symbols("m n", integer=True, positive=True)
a, b = sp.symbols("a b", real=True)


def of(name, *arguments):
    """A function of which nothing is known but what it depends on."""
    return sp.Function(name, real=True)(*arguments)


@pytest.mark.parametrize(
    ("rule", "before", "after", "given"),
    [
        # Over sentences, over too many labels, over two labels; and a function that is called 1.
        ("normalisation", total(q, m, n), sp.S.One, {}),
        ("normalisation", total(q, k, K + 1), sp.S.One, {}),
        ("normalisation", sp.Sum(q, (k, 2, K)), sp.S.One, {}),
        ("normalisation", total(L), sp.S.One, {L: sp.S.One}),
        # The sum has an index of its own, which the mean would bind.
        ("linearity of the mean", mean(total(L)), total(mean(L)), {}),
        ("held factor", D(StopGradient(L) ** e * L, e), StopGradient(L) ** e * D(L, e), {}),
        ("held constant", D(StopGradient(L) ** e, e), sp.S.Zero, {}),
        ("shown above", D(StopGradient(L) * q, e), D(L * q, e), {StopGradient(L): L}),
        (
            "shown above",
            D(D(StopGradient(L) * q, e), e),
            D(L * D(q, e), e),
            {D(StopGradient(L) * q, e): L * D(q, e)},
        ),
        ("linearity of the sum", L * total(q), total(L * q), {}),
        ("counting", total(L), K * L, {}),
        ("mean", mean(L, q.xreplace({k: m}), m), total(q * L), {}),
    ],
)
def test_a_false_step_does_not_pass(rule, before, after, given):
    """What looks like the rule, and is not."""
    with pytest.raises(StepFails, match=f"here: {rule!r} does not lead"):
        Step(after, rule, given=given).check(before, "here")


def test_what_is_shown_of_held_constants_is_used_where_no_derivative_is():
    """As a value it is right, beside a derivative as well."""
    shown = {D(StopGradient(L) * q, e): L * D(q, e)}
    before = D(StopGradient(L) * q, e) + D(q, e)
    Step(L * D(q, e) + D(q, e), "shown above", given=shown).check(before, "here")


def defines(*given, line=a):
    """A proof whose steps are definitions."""
    return Proof("letters", line, tuple(Step(line, "definition", given=each) for each in given))


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        (defines({mean(L): sp.S.Zero}), "is no letter that a definition may give a meaning"),
        (defines({L + a: b}), "is no letter"),
        (defines({e: phi}), "e is no letter"),
        (defines({k: m}, line=total(L)), "k is no letter"),
        (defines({a: b}, {a: 2 * b}), "a was defined before, as something else"),
        (defines({of("f", k): L}, {of("f", m): L}), "f_m was defined before"),
        (defines({a: b}, {b: 2 * a}), "definition of a: it is defined by itself"),
        (defines({of("f", k): of("f", m) + 1}), "definition of f: it is defined by itself"),
        (defines({a: L}, line=mean(a * L)), "a hides the index k"),
        (defines({a: mean(L)}, line=D(a, e)), "a hides that it depends on e"),
        (defines({of("f", k): D(L, e)}, line=D(of("f", k), e)), "f_k hides that it depends on e"),
        (defines({a: b}, line=mean(a, L)), "L_k is no probability of a draw k"),
        (defines({a: b}, line=mean(a, q, m)), "q_k is no probability of a draw m"),
        (defines({q: L}, line=mean(a)), "q_k is no probability of a draw k"),
    ],
)
def test_a_definition_hides_and_smuggles_nothing(proof, words):
    """A letter stands for one thing, and shows what that depends on."""
    assert words in first_slip([proof])


@pytest.mark.parametrize(
    "proof",
    [
        defines({a: b}, {a: b}),
        defines({of("f", k): of("g", k)}, {of("f", m): of("g", m)}),
        defines({of("f", k): total(of("g", k, m), m, K)}, {of("f", m): total(of("g", m, k), k, K)}),
        defines({of("f", n): of("f", n - 1) / 2}),
        defines({a: mean(L)}, line=a * D(L, e)),
    ],
)
def test_a_definition_may_be_said_again(proof):
    """Also of another index, and by what stands before it."""
    assert first_slip([proof]) == ""


def test_a_derivation_looks_at_its_letters():
    """The message names the claim, the part and the step."""
    found = derivation("gradient.e")
    extra = Proof("extra", a, (Step(b, "definition", given={a: b, b: a}),))
    with pytest.raises(StepFails, match=r"gradient\.e, definition of a: it is defined by itself"):
        dataclasses.replace(found, parts=(*found.parts, extra)).check()
    with pytest.raises(ValueError, match="rewriting goes round in a circle"):
        extra.check("x", {})


def test_an_induction_uses_what_it_shows():
    """For one less, and nothing else; and at 0 there must be nothing to show."""
    right = {of("f", n - 1): of("f", 0)}
    down = Step(of("f", n - 1), "definition", given={of("f", n): of("f", n - 1)})
    proof = Proof("down", of("f", n), (down, Step(of("f", 0), "induction", given=right)))
    proof.check("x", proof.given)
    for given in ({of("f", n - 1): sp.S.Zero}, right | {a: b}):
        result = sp.S.Zero if sp.S.Zero in given.values() else of("f", 0)
        proof = Proof("down", of("f", n), (down, Step(result, "induction", given=given)))
        with pytest.raises(StepFails, match="not what this part shows, for one less"):
            proof.check("x", proof.given)


def test_what_is_no_number_does_not_pass_the_witness():
    """0/0 is not equal to anything."""
    proof = Proof("nothing", total(L) * 0 + a, (Step(a + b - b + 0 * a, "algebra"),))
    proof.check("x", {})
    with pytest.raises(StepFails, match="a rule is wrong"):
        proof.check("x", {a: sp.nan})


def test_what_a_step_assumes_is_said_at_the_end():
    """An assumption that the author forgot to list is listed all the same."""
    found = derivation("renormalised")
    assert "in part 3: q₂ = 1 - q₁" in as_text(found).partition("Valid when")[2]
    assert "in part 3: q₂ = 1 - q₁" in as_markdown(found).partition("**Valid when**")[2]


def test_what_was_shown_is_found_again():
    """A step names the parts that it leans on."""
    assert "| shown above (part 1)\n" in as_text(derivation("gradient.e"))
    assert "| shown above (parts 3, 4 and 5): the three" in as_text(derivation("kl.closed_form"))


def test_free_letters_know_the_index_of_a_mean():
    """As of a sum, which may end at a letter."""
    assert free_letters(mean(L * of("f", m))) & {k, m, K} == {m}
    assert free_letters(total(L)) & {k, K} == {K}
