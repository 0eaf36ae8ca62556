"""The command line."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
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

#: Exit statuses: every verdict as recorded; some verdict not; the command could not be run.
AS_RECORDED, NOT_AS_RECORDED, UNUSABLE = 0, 1, 2

#: What a shell reports of a command that Ctrl-C ended, and of one whose reader went away.
INTERRUPTED, UNREAD = 128 + 2, 128 + 13

#: Wide enough for three frameworks when nobody's terminal says otherwise.
PIPED_WIDTH = 140


class _Command(click.Group):
    """A command that ends in one line where it is interrupted, or cannot write what it found."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with _ends_in_one_line():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        # Here too: click makes a status of its own of what it catches on the way to main.
        with _ends_in_one_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _ends_in_one_line() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo("gradproof: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:  # all others are met where they are made, by _clear_errors
        _drop_output()
        if isinstance(error, BrokenPipeError):
            sys.exit(UNREAD)  # `| head` has read what it wanted: no news for anyone
        _fail(f"cannot write to standard output: {error.strerror}; redirect it elsewhere")


def _drop_output() -> None:
    """Let nothing more be written: Python would try once more, on its way out, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
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
@click.option("--seed", type=click.IntRange(min=0), help="Repeat a run.  [default: a fresh one]")
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
@click.option("--traceback", "show_traceback", is_flag=True, help="Show where an error came from.")
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
    with _clear_errors(show_traceback), _progress() as report:
        if json_file is not None:
            _check_writable(json_file)
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
    _show(verdict_table(result.evidence))
    told = refutations(result.evidence) if explain else []
    for paragraph in dict.fromkeys([*told, *surprises(result.evidence)]):
        click.echo(f"\n{paragraph}")
    for check, reason in result.not_run.items():
        click.echo(f"not run: {check}: {reason}")
    for message in result.missing.values():
        click.echo(f"left out: {message}")
    click.echo(f"\n{summary(result.evidence, result.seed)}")
    if json_file is not None:
        with _clear_errors(show_traceback):
            _write_whole(Path(json_file), result.to_json())
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
    _show(table)


@main.command()
def data() -> None:
    """List the corpora that --data knows by name."""
    table = Table("name", "what", "licence", "installed")
    for row in available():
        table.add_row(row.name, row.description, row.licence, "yes" if row.installed else "no")
    _show(table)


def _show(table: Table) -> None:
    console = Console()
    if not console.file.isatty():  # Rich takes 80 columns then, which folds the table
        console.width = PIPED_WIDTH
    with console.capture() as drawn:
        console.print(table)
    # Written as all the rest is: Rich has an exit status of its own for a reader that went away.
    click.echo(drawn.get(), nl=False, color=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar on standard error while it is a terminal, and nothing where it is not."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield report


@contextlib.contextmanager
def _clear_errors(show_traceback: bool) -> Iterator[None]:
    """Turn errors that a user can mend into one message, and keep the traceback for who asks."""
    try:
        yield
    except (ValueError, ImportError, OSError) as error:
        if show_traceback:
            traceback.print_exc()
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"gradproof: {message}", err=True)
    sys.exit(UNUSABLE)


def _check_writable(name: str) -> None:
    """Find out that a file cannot be written before the work is done."""
    if not name:
        raise FileNotFoundError("cannot write evidence: the file's name is ''; give one to --json")
    path = Path(name)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {folder}; make it first")
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; give a file's name")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise PermissionError(f"cannot write {path}: no permission; choose another place")


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all; a device or a pipe gets the text."""
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}; choose another place") from error
    finally:
        draft.unlink(missing_ok=True)
