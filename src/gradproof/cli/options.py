"""Options that several commands have, each written once."""

from __future__ import annotations

import os

import click

SEED = click.option(
    "--seed", type=click.IntRange(min=0), help="Repeat a run.  [default: a fresh one]"
)
JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="the number of cores",
    help="Processes to work in.",
)
PATH_JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes to run paths in, where there are more than 256.",
)
JSON = click.option("--json", "json_file", metavar="FILE", help="Write the record here.")
HTML = click.option("--html", "html_file", metavar="FILE", help="Write a page here, a single file.")
TARGET = click.argument("target", required=False, metavar="FILE.py:NAME")
NEW = click.option("--new", "new_file", metavar="FILE.py", help="Write a template to begin with.")
TRACEBACK = click.option(
    "--traceback", "show_traceback", is_flag=True, help="Show where an error came from."
)
FIGURE = click.argument("file", metavar="FILE")
RECORD = click.argument("record", metavar="RECORD")
RECORDS = click.argument("records", metavar="RECORD...", nargs=-1, required=True)
