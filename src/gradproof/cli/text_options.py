"""Options that commands have which work on text: they know the models of the note."""

from __future__ import annotations

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
