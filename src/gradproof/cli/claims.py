"""``gradproof claims``: what is claimed, and what is checked of it."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from gradproof.checks.note.registry import CHECKS
from gradproof.derivations.claims import CLAIMS

from .console import show


@click.command("claims")
@click.option("--variants", is_flag=True, help="List the checks of each claim too.")
def command(variants: bool) -> None:
    """List the claims, each in a line."""
    table = Table("claim", "note", "statement")
    for claim in CLAIMS.values():
        table.add_row(claim.id, claim.section, Text(claim.statement))
        if variants:
            for check in CHECKS.values():
                if check.claim == claim.id:
                    line = f"[{check.expected}] {check.statement} ({check.runs_on})"
                    table.add_row(f"  {check.id}", "", Text(line), style="dim")
    show(table)
