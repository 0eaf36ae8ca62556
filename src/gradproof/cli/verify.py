"""``gradproof verify``: every claim of the note, in every framework."""

from __future__ import annotations

from typing import Any

import click

from gradproof.checks.note.text import TextOptions, of_texts
from gradproof.estimators.backends import BACKENDS
from gradproof.reference_models.registry import MODELS

from . import options, text_options
from .exits import clear_errors


@click.command("verify")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help=f"Sequence model to verify on: {', '.join(MODELS)}. Repeat for several. Default: all.",
)
@click.option(
    "--data",
    default="names-8",
    show_default=True,
    metavar="NAME|FILE",
    help="Corpus by name (`gradproof data` lists them), or a CSV, TSV or JSONL file.",
)
@text_options.columns
@click.option(
    "--texts",
    type=click.IntRange(min=1),
    default=TextOptions.labelled + TextOptions.unlabelled,
    show_default=True,
    help="Sentences in the batch, one in four of them labelled.",
)
@click.option(
    "--length",
    type=click.IntRange(min=1),
    default=TextOptions.length,
    show_default=True,
    help="Tokens that a sentence is cut to; no name of the built-in corpora is longer.",
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    help=f"Framework: {', '.join(BACKENDS)}. Repeat for several. Default: all that are installed.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="CLAIM[/VARIANT]",
    help="Settle these claims only, e.g. gradient.e or gradient.e/printed. Repeat for several.",
)
@options.SEED
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Cases that Hypothesis draws for each check and framework.",
)
@options.JOBS
@click.option("--explain", is_flag=True, help="Print a counterexample for what is refuted.")
@options.JSON
@options.HTML
@options.TRACEBACK
def command(
    models: tuple[str, ...],
    data: str,
    text_column: str | None,
    label_column: str | None,
    unit: Any,
    texts: int,
    length: int,
    backends: tuple[str, ...],
    only: tuple[str, ...],
    seed: int | None,
    examples: int,
    jobs: int,
    explain: bool,
    json_file: str | None,
    html_file: str | None,
    show_traceback: bool,
) -> None:
    """Settle the claims about an estimator, on real text and on drawn cases.

    Prints a table of claims and frameworks. `holds` and `refuted` come with the error that is
    largest beside its bound, and that bound: what rounding can explain. A verdict that is not the
    one on record is marked `!`.

    Exit status: 0 if every verdict is the one on record, 1 if not, 2 if the command cannot be run
    or its output not be written, 130 if it was interrupted.
    """
    with clear_errors(show_traceback):
        from . import verify_run

        arguments = {
            "models": models or tuple(MODELS),
            "data": data,
            "backends": backends or None,
            "only": only,
            "seed": seed,
            "examples": examples,
            "options": of_texts(
                texts, length=length, text=text_column, label=label_column, unit=unit
            ),
            "processes": jobs,
        }
    verify_run.run(arguments, json_file, html_file, explain, show_traceback)
