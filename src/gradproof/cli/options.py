"""Options that several commands have, each written once."""

from __future__ import annotations

import click

SEED = click.option(
    "--seed", type=click.IntRange(min=0), help="Repeat a run.  [default: a fresh one]"
)
TRACEBACK = click.option(
    "--traceback", "show_traceback", is_flag=True, help="Show where an error came from."
)
FIGURE = click.argument("file", metavar="FILE")
RECORD = click.argument("record", metavar="RECORD")
RECORDS = click.argument("records", metavar="RECORD...", nargs=-1, required=True)
