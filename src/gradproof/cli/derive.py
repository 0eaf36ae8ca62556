"""``gradproof derive``: the derivations, checked and printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from gradproof.derivations.kernel.derivation import REFUTED, Derivation
from gradproof.derivations.kernel.render import as_text, latex_document, ledger, page
from gradproof.derivations.registry import derive, find_derivations

from . import options
from .console import check_writable, progress, show, write_whole
from .exits import clear_errors

#: Standard output, where a file is asked for.
HERE = "-"


@click.command("derive")
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@click.option("--markdown", metavar="FILE", help="Write Markdown here; - is standard output.")
@click.option("--latex", metavar="FILE", help="Write a LaTeX document here; - is standard output.")
@options.TRACEBACK
def command(
    claims: tuple[str, ...], markdown: str | None, latex: str | None, show_traceback: bool
) -> None:
    """Derive claims symbolically, and check every step.

    CLAIM is an id, or the beginning of several: `gradient` is gradient.e, gradient.w and
    gradient.phi_theta. Without one, all claims are derived and listed with their verdicts.

    Each step names the rule that justifies it, and a program applies that rule; numbers at a point
    are a second witness. A refuted claim comes with an exact counterexample and with what holds.

    Exit status: 0 if every step holds, 2 if one does not or the command cannot be run.
    """
    with clear_errors(show_traceback):
        for name in (markdown, latex):
            if name != HERE:
                check_writable(name)
        derivations = _derive_all(find_derivations(claims))
        if markdown is not None:
            _write(markdown, page(derivations) if claims else ledger(derivations))
        if latex is not None:
            _write(latex, latex_document(derivations))
    if markdown is not None or latex is not None:
        return
    if claims:
        click.echo("\n\n".join(map(as_text, derivations)), nl=False)
    else:
        show(_table(derivations))
        click.echo("\n`gradproof derive CLAIM` prints a derivation.")


def _derive_all(claims: Sequence[str]) -> list[Derivation]:
    derivations = []
    with progress() as report:
        for number, claim in enumerate(claims):
            if report:
                report(number, len(claims), claim)
            derivations.append(derive(claim))
    return derivations


def _write(name: str, text: str) -> None:
    if name == HERE:
        sys.stdout.write(text)
    else:
        write_whole(Path(name), text)


def _table(derivations: Sequence[Derivation]) -> Table:
    table = Table("claim", "verdict", "steps", "finding")
    for one in derivations:
        verdict = Text(one.verdict, style="magenta" if one.verdict == REFUTED else "green")
        table.add_row(one.claim, verdict, str(one.steps), Text(f"{one.finding}."))
    return table
