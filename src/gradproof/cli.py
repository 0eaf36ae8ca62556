"""The command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from gradproof.checks.registry import CHECKS
from gradproof.checks.text import TextOptions
from gradproof.checks.verify import verify as run_verification
from gradproof.derivations.claims import CLAIMS
from gradproof.estimators.backends import BACKENDS
from gradproof.reference_models.corpora import available
from gradproof.reference_models.registry import MODELS
from gradproof.reports.table import refutations, summary, surprises, verdict_table

from . import derive, estimator, options, own, plot, score, train
from .console import (
    AS_RECORDED,
    NOT_AS_RECORDED,
    Command,
    check_writable,
    clear_errors,
    progress,
    show,
    write_whole,
)


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradproof")
def main() -> None:
    """gradcheck for stochastic gradients: verify gradient estimators, exactly.

    An estimator is run on every draw and weighed, so that its mean is exact and a verdict has no
    sampling noise in it.
    """


@main.command()
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
@click.option("--text-column", help="Column of the text, for a file.  [default: text]")
@click.option("--label-column", help="Column of the label, for a file.  [default: label]")
@click.option(
    "--unit",
    type=click.Choice(["word", "character"]),
    help="What a token is, for a file.  [default: word]",
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
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="the number of cores",
    help="Processes to run checks in.",
)
@click.option("--explain", is_flag=True, help="Print a counterexample for what is refuted.")
@click.option("--json", "json_file", metavar="FILE", help="Write evidence here.")
@options.TRACEBACK
def verify(
    models: tuple[str, ...],
    data: str,
    text_column: str | None,
    label_column: str | None,
    unit: Any,
    backends: tuple[str, ...],
    only: tuple[str, ...],
    seed: int | None,
    examples: int,
    jobs: int,
    explain: bool,
    json_file: str | None,
    show_traceback: bool,
) -> None:
    """Settle the claims about an estimator, on real text and on drawn cases.

    Prints a table of claims and frameworks. `holds` and `refuted` come with the largest error and
    the bound of what rounding can explain; a verdict that is not the one on record is marked `!`.

    Exit status: 0 if every verdict is the one on record, 1 if not, 2 if the command cannot be run
    or its output not be written, 130 if it was interrupted.
    """
    with clear_errors(show_traceback), progress() as report:
        if json_file is not None:
            check_writable(json_file)
        result = run_verification(
            models=models or tuple(MODELS),
            data=data,
            backends=backends or None,
            only=only,
            seed=seed,
            examples=examples,
            options=TextOptions(text=text_column, label=label_column, unit=unit),
            processes=jobs,
            progress=report,
        )
    show(verdict_table(result.evidence))
    told = refutations(result.evidence) if explain else []
    for paragraph in dict.fromkeys([*told, *surprises(result.evidence)]):
        click.echo(f"\n{paragraph}")
    for check, reason in result.not_run.items():
        click.echo(f"not run: {check}: {reason}")
    for message in result.missing.values():
        click.echo(f"left out: {message}")
    click.echo(f"\n{summary(result.evidence, result.seed)}")
    if json_file is not None:
        with clear_errors(show_traceback):
            write_whole(Path(json_file), result.to_json())
    sys.exit(AS_RECORDED if result.as_expected else NOT_AS_RECORDED)


@main.command()
@click.option("--variants", is_flag=True, help="List the checks of each claim too.")
def claims(variants: bool) -> None:
    """List the claims, each in a line."""
    table = Table("claim", "note", "statement")
    for claim in CLAIMS.values():
        table.add_row(claim.id, claim.section, Text(claim.statement))
        if variants:
            for check in CHECKS.values():
                if check.claim == claim.id:
                    line = f"[{check.expected}] {check.statement}"
                    table.add_row(f"  {check.id}", "", Text(line), style="dim")
    show(table)


@main.command()
def data() -> None:
    """List the corpora that --data knows by name."""
    table = Table("name", "what", "licence", "installed")
    for row in available():
        table.add_row(row.name, row.description, row.licence, "yes" if row.installed else "no")
    show(table)


main.add_command(derive.command)
main.add_command(estimator.command)
main.add_command(own.command)
main.add_command(plot.command)
main.add_command(score.command)
main.add_command(train.command)
