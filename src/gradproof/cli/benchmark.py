"""``gradproof benchmark``: every method of checking, on every estimator of the catalogue."""

from __future__ import annotations

import click

from gradproof.checks.benchmark.bugs import ROWS
from gradproof.checks.benchmark.detection import ON_BUGS, ON_RIGHT, run_benchmark
from gradproof.checks.json_records import to_json
from gradproof.reports.detection import row_table, summary_table

from . import options
from .console import check_writable, finish, progress, show
from .exits import clear_errors


@click.command("benchmark")
@click.option(
    "--only",
    multiple=True,
    metavar="FRAMEWORK[/ID]",
    help="Run these estimators only, e.g. numpy or torch/batch-mean. Repeat for several.",
)
@click.option(
    "--bug-runs",
    type=click.IntRange(min=1),
    default=ON_BUGS,
    show_default=True,
    help="Times that a method which draws is tried on each bug.",
)
@click.option(
    "--right-runs",
    type=click.IntRange(min=1),
    default=ON_RIGHT,
    show_default=True,
    help="Times that it is tried on each right estimator.",
)
@click.option("--rows", "whole", is_flag=True, help="Print a line for each estimator too.")
@options.SEED
@options.JOBS
@options.JSON
@options.TRACEBACK
def command(
    only: tuple[str, ...],
    bug_runs: int,
    right_runs: int,
    whole: bool,
    seed: int | None,
    jobs: int,
    json_file: str | None,
    show_traceback: bool,
) -> None:
    """Try methods of checking on known bugs and on right estimators.

    Bugs that were seen in libraries and papers, and right estimators of every kind, are put to
    gradproof's methods and to the usual ones: torch.autograd.gradcheck on the surrogate, a mean of
    100,000 draws within 5 %, a mean of 10,000 within 3 standard errors. Prints what each method
    caught, missed and raised a false alarm at, and the time that it takes for one run on each.

    Exit status: 0 if gradproof's methods raise no false alarm and see every bug, by the mean over
    all draws or beyond it, 1 if not, 2 if the command cannot be run, 130 if it was interrupted.
    """
    with clear_errors(show_traceback), progress() as report:
        check_writable(json_file)
        result = run_benchmark(
            _select_rows(only),
            seed=seed,
            on_bugs=bug_runs,
            on_right=right_runs,
            processes=jobs,
            progress=report,
        )
    if whole:
        show(row_table(result))
    show(summary_table(result))
    click.echo(f"\n{result.bugs} bugs, {len(result.rows) - result.bugs} right, seed {result.seed}")
    finish(result.as_claimed, show_traceback, (json_file, lambda: to_json(result)))


def _select_rows(only: tuple[str, ...]) -> list[str]:
    """The keys of the rows that are named, or whose framework is; without a name, of all."""
    frameworks = {key.split("/")[0] for key in ROWS}
    unknown = [name for name in only if name not in ROWS and name not in frameworks]
    if unknown:
        raise ValueError(
            f"--only {', '.join(unknown)} names no estimator; frameworks are "
            f"{', '.join(sorted(frameworks))}, and --rows prints the estimators of one"
        )
    return [key for key in ROWS if not only or key in only or key.split("/")[0] in only]
