"""Options that commands have which work on text: they know the models of the note."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gradproof.reference_models.registry import MODELS

MODEL = click.option(
    "--model", default="seqdgm", show_default=True, help=f"Of {', '.join(MODELS)}."
)
DATA = click.option(
    "--data", default="names-8", show_default=True, metavar="NAME|FILE", help="Corpus."
)
SENTENCES = click.option(
    "--sentences", type=click.IntRange(min=1), default=4, show_default=True, help="How many."
)


def columns(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where text and label stand in a file, and what a token is."""
    for option in (
        click.option(
            "--unit",
            type=click.Choice(["word", "character"]),
            help="What a token is, for a file.  [default: word]",
        ),
        click.option("--label-column", help="Column of the label, for a file.  [default: label]"),
        click.option("--text-column", help="Column of the text, for a file.  [default: text]"),
    ):
        command = option(command)
    return command
