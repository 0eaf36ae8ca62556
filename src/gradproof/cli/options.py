"""Options that several commands have, each written once."""

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
SEED = click.option(
    "--seed", type=click.IntRange(min=0), help="Repeat a run.  [default: a fresh one]"
)
TRACEBACK = click.option(
    "--traceback", "show_traceback", is_flag=True, help="Show where an error came from."
)
FIGURE = click.argument("file", metavar="FILE")
RECORD = click.argument("record", metavar="RECORD")
RECORDS = click.argument("records", metavar="RECORD...", nargs=-1, required=True)
