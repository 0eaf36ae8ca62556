"""Every step of every derivation can fail: errors are planted in each, and must be named."""

import dataclasses
import functools
import itertools

import pytest
import sympy as sp

from gradproof.derivations.kernel.derivation import Proof, StepFails
from gradproof.derivations.kernel.expressions import E
from gradproof.derivations.registry import DERIVATIONS, derivation, derive

claims = pytest.mark.parametrize("claim", DERIVATIONS)


def one_a_rule(claim):
    """One step for each rule that a claim's proofs name: the part, the step and its place."""
    return {step.rule: (part, place, step) for part, place, step in steps_of(claim)}.values()


def steps_of(claim):
    """Every step of a claim's proofs: the part, the step and its place."""
    for part in derivation(claim).parts:
        if isinstance(part, Proof):
            for place, step in enumerate(part.steps):
                yield part, place, step


def with_step(part, place, **changes):
    """The proof with one step changed."""
    steps = list(part.steps)
    steps[place] = dataclasses.replace(steps[place], **changes)
    return dataclasses.replace(part, steps=tuple(steps))


def fails(claim, part, place, words):
    """Require that a step fails, and that the message names the claim, the part and the step."""
    with pytest.raises(StepFails) as caught:
        part.check_step(place, claim)
    for word in (claim, repr(part.title), *words):
        assert word in str(caught.value)


def terms_of(expression):
    """Places where something is added: the sum over labels or mean, and what is added in it."""
    inner = expression
    while isinstance(inner, (sp.Sum, E)):
        inner = inner.args[0]
    return inner, sp.Add.make_args(inner)


@claims
def test_each_derivation_checks(claim):
    """All steps hold, by the rule that they name, and numbers agree at a point."""
    assert derive(claim).claim == claim


@claims
def test_a_wrong_rule_is_named(claim):
    """No step passes under algebra alone; the first under no rule that has nothing to do there."""
    tried = 0
    for part, place, step in one_a_rule(claim):
        for rule in ("algebra",) if tried else ("algebra", "integral"):
            if step.rule != rule:
                fails(
                    claim, with_step(part, place, rule=rule), place, [f"step {place + 1} ({rule})"]
                )
                tried += 1
    assert tried


@claims
def test_a_rule_that_does_not_exist_is_named(claim):
    """A slip of the pen in a rule's name is no rule."""
    part, place, _ = next(steps_of(claim))
    fails(
        claim,
        with_step(part, place, rule="prodcut rule"),
        place,
        ["no rule is called 'prodcut rule'"],
    )


@claims
def test_a_sign_is_named(claim):
    """A line with its sign turned does not follow, wherever it stands."""
    tried = 0
    for part, place, step in one_a_rule(claim):
        if step.after != 0:
            fails(claim, with_step(part, place, after=-step.after), place, [f"step {place + 1}"])
            tried += 1
    assert tried


@claims
def test_a_dropped_term_is_named(claim):
    """Of two or more terms none can be left out."""
    tried = 0
    for part, place, step in one_a_rule(claim):
        inner, terms = terms_of(step.after)
        if len(terms) > 1:
            short = step.after.xreplace({inner: sp.Add(*terms[1:])})
            fails(claim, with_step(part, place, after=short), place, [f"step {place + 1}"])
            tried += 1
    if not tried:  # a derivation whose every line is one term: a factor then
        part, place, step = next(steps_of(claim))
        fails(claim, with_step(part, place, after=2 * step.after), place, [f"step {place + 1}"])


@claims
def test_a_step_left_out_is_named(claim):
    """Two rules cannot stand as one: a step that is skipped is missed by the next."""
    for part, place, step in steps_of(claim):
        if place + 1 < len(part.steps) and step.rule != part.steps[place + 1].rule:
            steps = part.steps[:place] + part.steps[place + 1 :]
            short = dataclasses.replace(part, steps=steps)
            fails(claim, short, place, [f"step {place + 1} ({part.steps[place + 1].rule})"])
            return
    pytest.fail("no two steps in a row to leave one out of")


@functools.cache
def claims_that_need(rule):
    """The claims with a step by this rule."""
    return [claim for claim in DERIVATIONS if any(s.rule == rule for _, _, s in steps_of(claim))]


@pytest.mark.parametrize("claim", claims_that_need("normalisation"))
def test_a_forgotten_normalisation_is_named(claim):
    """Where the probabilities sum to one, and nobody says so, the proof does not pass."""
    for part, place, step in steps_of(claim):
        if step.rule == "normalisation":
            for rule in ("algebra", "linearity of the sum", "product rule"):
                fails(
                    claim, with_step(part, place, rule=rule), place, [f"step {place + 1} ({rule})"]
                )
            return


def test_normalisation_is_used():
    """The parametrisation above is not empty."""
    assert len(claims_that_need("normalisation")) > 3


@claims
def test_what_is_said_to_be_shown_must_be(claim):
    """An equality that no earlier part has as its first and last line is not shown."""
    found = derivation(claim)
    users = [
        (number, part, place)
        for number, part in enumerate(found.parts)
        if isinstance(part, Proof)
        for place, step in enumerate(part.steps)
        if step.rule == "shown above"
    ]
    for number, part, _ in itertools.islice(users, 1):
        alone = dataclasses.replace(
            found, verdict=part.verdict, parts=(part, *found.parts[number + 1 :])
        )
        with pytest.raises(StepFails, match="is not shown in an earlier part"):
            alone.check()
