"""Options that several commands have, each written once."""

from __future__ import annotations

import os
from collections.abc import Callable

import click

from gradproof.estimators.enumeration.limits import MOST_PATHS
from gradproof.reports.paper_sizes import PRESETS

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
PATHS = click.option(
    "--paths",
    type=click.IntRange(min=1),
    default=MOST_PATHS,
    show_default=True,
    help="Paths, each an outcome of all draws, that may be run at most.",
)
INTEGRATE = click.option(
    "--integrate",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    metavar="ERROR",
    show_default="not, and continuous numbers that are used are an error",
    help="Integrate over continuous numbers that are used, until the error is this share of the "
    "mean magnitude.",
)
PRESET = click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default="page",
    show_default=True,
    help="Size and fonts of the figure: of a paper in two columns, or a conference's.",
)
PATH_JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes to run paths in, where there are more than 256.",
)
JSON = click.option("--json", "json_file", metavar="FILE", help="Write the record here.")
MARKDOWN = click.option("--markdown", "markdown_file", metavar="FILE", help="Write the table here.")
LATEX = click.option("--latex", "latex_file", metavar="FILE", help="Write it here, with booktabs.")
COMPARISON_FIGURE = click.option(
    "--figure",
    metavar="PATH",
    help="Draw bias against standard deviation here: .svg, .png, .pdf, or .pgf with LaTeX.",
)
BUDGET = click.option(
    "--budget",
    type=click.FloatRange(0.0, min_open=True),
    default=100.0,
    show_default=True,
    help="Rows are sorted by the mean squared error of what so much pays for.",
)
HTML = click.option("--html", "html_file", metavar="FILE", help="Write a page here, a single file.")
TRACEBACK = click.option(
    "--traceback", "show_traceback", is_flag=True, help="Show where an error came from."
)


def comparison_outputs(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where a table of estimators is written, and where an error is shown."""
    for option in (TRACEBACK, PRESET, COMPARISON_FIGURE, HTML, LATEX, MARKDOWN, JSON):
        command = option(command)
    return command


TARGET = click.argument("target", required=False, metavar="FILE.py:NAME")
NEW = click.option("--new", "new_file", metavar="FILE.py", help="Write a template to begin with.")
FIGURE = click.argument("file", metavar="FILE")
RECORD = click.argument("record", metavar="RECORD")
RECORDS = click.argument("records", metavar="RECORD...", nargs=-1, required=True)
