"""The registry: its rows are well formed, cover the claims, and are found by what people type."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.checks.note import registry
from gradproof.checks.note.check import SEQUENCE_MODELS, Check
from gradproof.checks.note.registry import CHECKS, find_checks
from gradproof.derivations.claims import CLAIMS
from gradproof.estimators.backends import BACKENDS
from gradproof.reference_models.registry import MODELS

#: The claims of the note that a check must settle; the rest are measured, not decided.
SETTLED = (
    "partition.seqdgm",
    "partition.seqdgm_a",
    "invariants",
    "kl.closed_form",
    "baseline.reconstruction",
    "objective.u",
    "objective.c",
    "gradient.e",
    "gradient.w",
    "gradient.phi_theta",
    "baseline.unbiased",
    "constant.theano",
    "batch.one_pass",
    "batch.plus_one",
    "labelled",
)


def test_identifiers_are_unique():
    """No row hides another, and each is found under the id that it has."""
    assert all(check.id == name for name, check in CHECKS.items())
    assert len(CHECKS) == len(list(registry._rows()))
    row = next(iter(CHECKS.values()))
    with pytest.raises(RuntimeError, match="two checks have one id"):
        registry._by_id([row, row])
    with pytest.raises(RuntimeError, match="checks of nothing, which no claim is called"):
        registry._by_id([dataclasses.replace(row, claim="nothing")])


def test_checks_are_in_the_order_of_the_claims():
    """Wherever their modules are."""
    order = list(CLAIMS)
    places = [order.index(check.claim) for check in CHECKS.values()]
    assert places == sorted(places)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_each_row_is_well_formed(check):
    """A claim that exists, a statement, an expectation, a reason for the bounds, known names."""
    assert check.claim in CLAIMS
    assert re.fullmatch(r"[a-z0-9_.]+/[a-z0-9_-]+", check.id)
    assert check.statement.strip() == check.statement != ""
    assert "\n" not in check.statement
    assert check.expected in (HOLDS, REFUTED)
    assert check.bound_reason
    assert set(check.models) <= set(SEQUENCE_MODELS)
    assert check.backends
    assert set(check.backends) <= set(BACKENDS)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_each_row_has_something_to_run_on(check):
    """A check without cases and without models would never compare anything."""
    assert check.cases is not None or check.models


def test_the_models_are_those_of_the_command_line():
    """By the same names."""
    assert set(SEQUENCE_MODELS) == set(MODELS)


@pytest.mark.parametrize("claim", SETTLED)
def test_each_claim_has_a_row_that_holds(claim):
    """What is refuted as printed has a correction that holds beside it."""
    expected = [check.expected for check in CHECKS.values() if check.claim == claim]
    assert HOLDS in expected


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("claim", SETTLED)
def test_each_claim_is_settled_in_each_framework(claim, backend):
    """Frameworks may have rows of their own; none is left out of a claim."""
    assert [c.id for c in CHECKS.values() if c.claim == claim and backend in c.backends]


def test_forward_values_come_first():
    """Gradients mean nothing without them."""
    assert next(iter(CHECKS)) == "forward/values"


# ------------------------------------------------------------------ find_checks


def test_no_pattern_means_all():
    """In the order of the registry."""
    assert find_checks() == list(CHECKS.values())


@given(st.sampled_from(sorted(CHECKS)))
def test_an_id_finds_its_row_alone(name):
    """Not the rows whose ids begin so: batch-mean is not batch-mean-share."""
    assert [check.id for check in find_checks((name,))] == [name]


@given(st.sampled_from(sorted(CHECKS)), st.data())
def test_the_beginning_of_a_claim_finds_all_of_it(name, data):
    """As ``gradient`` finds gradient.e, gradient.w and gradient.phi_theta."""
    claim = CHECKS[name].claim
    beginning = claim[: data.draw(st.integers(1, len(claim)))]
    found = find_checks((beginning,))
    assert found == [check for check in CHECKS.values() if check.claim.startswith(beginning)]
    assert CHECKS[name] in found


def test_the_beginning_of_an_id_finds_the_rows_that_begin_so():
    """As a claim's does, also beyond the slash."""
    found = [check.id for check in find_checks(("baseline.unbiased/affine",))]
    assert found == ["baseline.unbiased/affine-embedding"]
    some = [check.id for check in find_checks(("constant.theano/cl-is",))]
    assert some == ["constant.theano/cl-is-l", "constant.theano/cl-is-l-e"]


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)
def test_a_row_that_leaves_a_model_of_text_out_says_why(check):
    """And one that leaves none out has nothing to say; what it runs on can be read."""
    assert bool(check.limits) == (set(check.models) != set(SEQUENCE_MODELS))
    assert check.limits in check.runs_on
    for model in check.models:
        assert f"{model} on text" in check.runs_on


@given(st.lists(st.sampled_from([*CHECKS, *CLAIMS, "grad", "b"]), min_size=1, max_size=4))
def test_several_patterns_find_each_row_once(patterns):
    """In the order of the registry, whatever the order of the patterns."""
    known = [p for p in patterns if "/" in p or any(c.startswith(p) for c in claims_with_rows())]
    found = [check.id for check in find_checks(tuple(known))] if known else []
    assert found == [name for name in CHECKS if name in found]
    assert len(found) == len(set(found))


def claims_with_rows():
    """Claims that a check settles; others are only measured."""
    return {check.claim for check in CHECKS.values()}


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("gradiant.e", "'gradient.e'"),
        ("gradient.e/corected", "'gradient.e/corrected'"),
        ("kl_closed_form", "'kl.closed_form'"),
        ("baseline.unbiased/leave_one_out", "'baseline.unbiased/leave-one-out'"),
    ],
)
def test_a_slip_is_answered_with_what_is_near(pattern, near):
    """The message has what was typed, what is close, and where to look."""
    with pytest.raises(ValueError, match="no check or claim") as caught:
        find_checks((pattern,))
    assert str(caught.value) == (
        f"no check or claim is called {pattern!r}, or begins so; did you mean {near}? "
        "`gradproof claims --variants` lists them"
    )


@pytest.mark.parametrize("pattern", ["zzzzzz", "/", "e/printed", "Gradient"])
def test_what_nothing_is_near_to_is_an_error(pattern):
    """An unknown name never means no checks, nor all of them."""
    with pytest.raises(ValueError, match="`gradproof claims --variants` lists them"):
        find_checks((pattern,))


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_without_a_check_is_an_error_of_its_own(monkeypatch, claim):
    """It is not answered with the very name that was typed. Each claim has checks: these go."""
    left = {name: row for name, row in CHECKS.items() if not row.claim.startswith(claim)}
    assert len(left) < len(CHECKS)
    monkeypatch.setattr(registry, "CHECKS", left)
    with pytest.raises(ValueError, match=rf"^claim '{re.escape(claim)}' has no check$"):
        find_checks((claim,))


def test_one_unknown_pattern_among_known_ones_is_an_error():
    """It is not passed over for the sake of the others."""
    with pytest.raises(ValueError, match="'nothing'"):
        find_checks(("gradient", "nothing"))


def test_a_check_knows_its_id():
    """``claim/variant``."""
    check = Check("gradient.e", "mine", "s", HOLDS, lambda study: [])
    assert check.id == "gradient.e/mine"
    assert check.models == SEQUENCE_MODELS
    assert check.backends == tuple(BACKENDS)
