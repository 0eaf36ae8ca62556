"""``gradproof baselines``: every baseline of the note on a trained model, in one table."""

from __future__ import annotations

import click

from . import options


@click.command("baselines")
@click.argument("folder", metavar="FOLDER")
@click.option(
    "--step",
    type=click.IntRange(min=0),
    help="Of a checkpoint in the folder.  [default: the last]",
)
@options.BUDGET
@options.comparison_outputs
def command(
    folder: str,
    step: int | None,
    budget: float,
    json_file: str | None,
    markdown_file: str | None,
    latex_file: str | None,
    html_file: str | None,
    figure: str | None,
    preset: str,
    show_traceback: bool,
) -> None:
    """Compare every baseline on a model that was trained.

    FOLDER is one that `gradproof train` filled. Baselines are fitted on its texts without a label.
    On held-out ones the estimator of one label is enumerated with each of them, sentence by
    sentence, and variances are added. The table is that of `gradproof compare`.

    Exit status: 0 if the table could be made, whatever is in it, 2 if not, 130 if it was
    interrupted.
    """
    from . import baselines_run

    files = (json_file, markdown_file, latex_file, html_file, figure, preset)
    baselines_run.run(folder, step, budget, files, show_traceback)
