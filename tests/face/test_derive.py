"""``gradproof derive``: what it prints and writes, and how it fails."""

import dataclasses

import pytest
from click.testing import CliRunner

from gradproof.cli import main
from gradproof.derivations import registry
from gradproof.derivations.registry import DERIVATIONS


def run(*arguments):
    """The command with these arguments."""
    return CliRunner().invoke(main, ["derive", *arguments])


@pytest.fixture
def few(monkeypatch):
    """Two derivations only, since all of them take a minute."""
    # Deleted rows would come back in another order, which the ledger shows.
    two = {claim: DERIVATIONS[claim] for claim in ("objective.u", "labelled")}
    monkeypatch.setattr(registry, "DERIVATIONS", two)


def test_a_claim_is_printed():
    """As text with Unicode mathematics."""
    result = run("objective.u")
    assert result.exit_code == 0
    assert result.output.startswith("objective.u: refuted\n")
    assert "Σ_k q_k log q_k" in result.output


def test_several_claims_are_printed():
    """By a common beginning, or named one by one."""
    result = run("objective", "labelled")
    assert result.exit_code == 0
    for claim in ("objective.u: ", "objective.c: ", "labelled: "):
        assert f"{claim}" in result.output


@pytest.mark.usefixtures("few")
def test_all_are_listed():
    """With verdicts, and what to type next."""
    result = run()
    assert result.exit_code == 0
    assert "objective.u" in result.output
    assert "refuted" in result.output
    assert "`gradproof derive CLAIM` prints a derivation." in result.output


@pytest.mark.usefixtures("few")
def test_files_are_written(tmp_path):
    """The ledger in Markdown, a document in LaTeX; nothing is printed then."""
    markdown, latex = tmp_path / "ledger.md", tmp_path / "all.tex"
    result = run("--markdown", str(markdown), "--latex", str(latex))
    assert result.exit_code == 0
    assert result.output == ""
    assert markdown.read_text(encoding="utf-8").startswith("# The ledger\n")
    assert latex.read_text(encoding="utf-8").endswith("\\end{document}\n")


def test_a_dash_is_standard_output():
    """For a claim, its page alone."""
    result = run("labelled", "--markdown", "-")
    assert result.exit_code == 0
    assert result.output.startswith("## labelled: proved\n")


def test_a_place_that_cannot_be_written_is_told_first(tmp_path):
    """Before anything is derived."""
    result = run("--markdown", str(tmp_path / "none" / "x.md"))
    assert result.exit_code == 2
    assert "there is no folder" in result.output


def test_an_unknown_claim_is_an_error():
    """With a hint."""
    result = run("objectiv.u")
    assert result.exit_code == 2
    assert "did you mean 'objective.u'?" in result.output


def test_a_step_that_fails_is_named(monkeypatch):
    """Nothing is printed of a derivation that does not hold."""
    found = DERIVATIONS["labelled"]()
    first = found.parts[0]
    wrong = dataclasses.replace(first.steps[0], after=-first.steps[0].after)
    part = dataclasses.replace(first, steps=(wrong, *first.steps[1:]))
    planted = dataclasses.replace(found, parts=(part, *found.parts[1:]))
    monkeypatch.setitem(DERIVATIONS, "labelled", lambda: planted)
    registry.derive.cache_clear()
    registry.derivation.cache_clear()
    try:
        result = run("labelled")
    finally:
        registry.derive.cache_clear()
        registry.derivation.cache_clear()
    assert result.exit_code == 2
    assert "labelled, " in result.output
    assert "step 1 (" in result.output
    assert "does not lead from" in result.output
