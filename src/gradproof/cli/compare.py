"""``gradproof compare``: the estimators of a file, side by side in one table."""

from __future__ import annotations

import click

from . import options
from .check import file_options


@click.command("compare")
@click.argument("file", required=False, metavar="FILE.py")
@options.NEW
@click.option(
    "--estimators",
    metavar="NAME",
    help="A dict of functions by name, or a function that makes it.  [default: estimators]",
)
@file_options
@click.option(
    "--costs",
    metavar="NAME",
    help='A dict of what one estimate costs, by name, or "passes".  [default: costs, or 1 each]',
)
@options.BUDGET
@options.PATHS
@options.INTEGRATE
@options.comparison_outputs
def command(
    file: str | None,
    new_file: str | None,
    estimators: str | None,
    costs: str | None,
    budget: float,
    paths: int,
    integrate: float | None,
    json_file: str | None,
    markdown_file: str | None,
    latex_file: str | None,
    html_file: str | None,
    figure: str | None,
    preset: str,
    show_traceback: bool,
    **names: str | None,
) -> None:
    """Compare estimators of one gradient: bias, direction, exact variance, error at equal cost.

    FILE.py has a dict of estimators by name, each as `gradproof check` takes it, and says what the
    gradient should be (exact or objective). `--new FILE.py` writes one to begin with.

    Each estimator is run on every outcome of its own draws: no number has noise. Bias, variance and
    mean squared error are in units of the gradient's length, and its square. An estimator whose
    mean is a multiple of the gradient is "proportional", one that points elsewhere "differs".

    Exit status: 0 if the table could be made, whatever is in it, 2 if not, 130 if it was
    interrupted.
    """
    from . import compare_run

    outputs = compare_run.ComparisonOutputs(
        json_file, markdown_file, latex_file, html_file, figure, preset
    )
    limits = {"budget": budget, "paths": paths, "integrate": integrate}
    named = {"estimators": estimators, "costs": costs}
    compare_run.run(file, new_file, named, names, limits, outputs, show_traceback)
