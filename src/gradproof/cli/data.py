"""``gradproof data``: the texts that commands know by name."""

from __future__ import annotations

import click
from rich.table import Table

from gradproof.reference_models.corpora import available

from .console import show


@click.command("data")
def command() -> None:
    """List the corpora that --data knows by name."""
    table = Table("name", "what", "licence", "installed")
    for row in available():
        table.add_row(row.name, row.description, row.licence, "yes" if row.installed else "no")
    show(table)
