# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Derivations as something to read: whole, in symbols, and as it is in the documentation."""

import re
from pathlib import Path

import pytest

from gradproof.derivations.claims import CLAIMS
from gradproof.derivations.kernel.derivation import Proof
from gradproof.derivations.kernel.render import (
    as_latex,
    as_markdown,
    as_text,
    latex_document,
    ledger,
)
from gradproof.derivations.registry import DERIVATIONS, derivation, find_derivations

LEDGER = Path(__file__).resolve().parents[2] / "docs" / "ledger.md"

#: The claims that are checked in numbers alone: nothing is derived of what frameworks compute.
NOT_DERIVED = {"forward"}

claims = pytest.mark.parametrize("claim", DERIVATIONS)


def test_every_claim_has_a_derivation():
    """Of the note's claims none is left out."""
    assert set(DERIVATIONS) == set(CLAIMS) - NOT_DERIVED


def test_the_ledger_is_not_stale():
    """The documentation's ledger is what the derivations say now."""
    now = ledger(derivation(claim) for claim in DERIVATIONS)
    assert LEDGER.read_text(encoding="utf-8") == now, (
        "docs/ledger.md is stale; run `gradproof derive --markdown docs/ledger.md`"
    )


@claims
def test_the_text_has_every_step(claim):
    """Each line, its rule, each part's title and verdict, what is assumed."""
    found = derivation(claim)
    text = as_text(found)
    assert text.startswith(f"{claim}: {found.verdict}\n")
    assert text.count("\n   = ") == found.steps
    for part in found.parts:
        assert part.title[1:] in text
        if isinstance(part, Proof):
            assert all(f"| {step.rule}" in text for step in part.steps)
    assert "Sum(" not in text
    assert "Derivative" not in text
    assert "**" not in text


@claims
@pytest.mark.parametrize("render", [as_text, as_markdown])
def test_a_title_that_begins_with_a_symbol_keeps_it(claim, render):
    """φ, θ and w are parameters; Φ, Θ and W would be others."""
    page = render(derivation(claim))
    titles = re.findall(r"^(?:### )?\d+\. (\S+ ?\S*)", page, re.MULTILINE)
    assert len(titles) >= len(derivation(claim).parts)
    assert [title for title in titles if re.match("[ΦΘW] |A drawn", title)] == []


@claims
def test_every_letter_is_explained(claim):
    """What is printed with an index, or as a Greek letter, stands in the legend."""
    text = as_text(derivation(claim))
    legend, _, body = text.partition("\n1. ")
    body = body.split("\nValid when")[0]
    formulas = [line for line in body.splitlines() if line.startswith(("     ", "   = "))]
    letters = set(re.findall(r"(?<![\w∂⊥])([A-Za-zα-ωℓ])_", " ".join(formulas))) - {"Σ"}
    letters |= set(re.findall(r"[⊥∂]([A-Za-zα-ω])_", " ".join(formulas)))
    assert letters - set(re.findall(r"[A-Za-zα-ω]", legend.split("\n\n", 2)[-1])) == set()


@claims
def test_markdown_and_latex_have_every_step(claim):
    """No step is lost, and dollars and braces pair."""
    found = derivation(claim)
    markdown, latex = as_markdown(found), as_latex(found)
    assert markdown.count("\n| = |") == found.steps
    assert markdown.count("$") % 2 == 0
    assert latex.count("={} &") == found.steps
    assert latex.replace(r"\{", "").count("{") == latex.replace(r"\}", "").count("}")


def test_latex_is_for_any_engine():
    """Only letters that every LaTeX reads are in the document."""
    document = latex_document(derivation(claim) for claim in DERIVATIONS)
    assert document.startswith(r"\documentclass")
    assert set(re.findall(r"[^\x00-\x7f]", document)) <= set("äöüøåéèß")


@claims
def test_latex_has_one_subscript_each(claim):
    """A second one, as in a_{2}_{i}, is an error of LaTeX."""
    assert re.search(r"_\{[^{}]*\}_\{", as_latex(derivation(claim))) is None


def test_claims_are_found_by_their_beginning():
    """As on the command line of verify; what finds nothing is an error with a hint."""
    assert find_derivations() == list(DERIVATIONS)
    assert find_derivations(("gradient",)) == ["gradient.e", "gradient.w", "gradient.phi_theta"]
    with pytest.raises(ValueError, match=r"'gradient.x' is no claim; did you mean 'gradient\..'"):
        find_derivations(("gradient.x",))
    with pytest.raises(ValueError, match="'forward' has no derivation"):
        find_derivations(("forward",))
    with pytest.raises(ValueError, match="'' is no claim"):
        find_derivations(("gradient.e", ""))
