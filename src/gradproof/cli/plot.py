"""``gradproof plot``: figures of what was computed exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gradproof.checks.json_records import from_json
from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
from gradproof.checks.note.verify import fresh_seed
from gradproof.checks.variance.curve import curve
from gradproof.checks.variance.ratios import EXPECTED, KINDS, ratio_map
from gradproof.checks.variance.record_texts import other_texts
from gradproof.checks.variance.records import Scaling, Stage, Training
from gradproof.checks.variance.training import RECORD
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.parabola import Quadratics, quadratics
from gradproof.reference_models.model import group_of
from gradproof.reports import baselines as baselines_figure
from gradproof.reports import cost as cost_figure
from gradproof.reports import ratios as ratios_figure
from gradproof.reports import shares as shares_figure
from gradproof.reports import training as training_figure
from gradproof.reports import variance as variance_figure
from gradproof.reports.stages import pick
from gradproof.reports.style import FigureLayout

from . import options, text_options
from .console import clear_errors
from .figures import check_figure, save

Read = TypeVar("Read")

#: What writes each kind of record, for who has none yet.
TRAIN = "`gradproof train FOLDER` writes one"
BENCHMARK = "the benchmark of cost against K writes one; see benchmarks/"


@click.group("plot")
def command() -> None:
    """Draw figures of exact variances, as SVG, PNG or PDF.

    FILE ends in .svg, .png or .pdf. RECORD is a folder that `gradproof train` filled, or the
    record.json in it; for `cost`, what the benchmark wrote.
    """


@command.command("variance")
@options.FIGURE
@text_options.MODEL
@text_options.DATA
@text_options.SENTENCES
@options.SEED
@options.TRACEBACK
def variance(
    file: str, model: str, data: str, sentences: int, seed: int | None, show_traceback: bool
) -> None:
    """Draw the variance against a constant baseline into FILE (.svg, .png or .pdf).

    The gradient's variance over the drawn label, exact, by parameter group, on sentences of real
    text: where it is least, and between which baselines it is smaller than without one.
    """
    with clear_errors(show_traceback):
        check_figure(file)
        parabola, title, seed = _parabola(model, data, sentences, seed)
        found = curve(parabola.grouped(group_of))
        save(
            file,
            variance_figure.LAYOUT,
            lambda axes: variance_figure.draw(axes, found, title=title),
        )
    click.echo(
        f"wrote {file}: {found.none:.4g} without a baseline, {found.least:.4g} with the best "
        f"constant, {found.best:.4g}; one helps between 0 and {found.limit:.4g}; seed {seed}"
    )


@command.command("ratios")
@options.FIGURE
@click.option(
    "--baseline",
    type=click.Choice(KINDS),
    default=EXPECTED,
    show_default=True,
    help="E[R|x] of each sentence, the best B of each sentence, or the best constant.",
)
@text_options.MODEL
@text_options.DATA
@text_options.SENTENCES
@options.SEED
@options.TRACEBACK
def ratios(
    file: str,
    baseline: str,
    model: str,
    data: str,
    sentences: int,
    seed: int | None,
    show_traceback: bool,
) -> None:
    """Draw what a baseline does to the variance of every single parameter.

    A map of each matrix that the score reaches: the variance with the baseline over the one
    without, exact, on sentences of real text.
    """
    with clear_errors(show_traceback):
        check_figure(file)
        parabola, title, seed = _parabola(model, data, sentences, seed)
        found = ratio_map(parabola, baseline, title)
        save(
            file,
            ratios_figure.layout(found),
            lambda axes: ratios_figure.draw(axes, found, title=f"{title}, baseline: {baseline}"),
        )
    lowered = ", ".join(f"{100.0 * found.lowered(name):.0f} % of {name}" for name in found.ratios)
    click.echo(f"wrote {file}: lower in {lowered}; seed {seed}")


@command.command("baselines")
@options.RECORD
@options.FIGURE
@options.TRACEBACK
def baselines(record: str, file: str, show_traceback: bool) -> None:
    """Draw the variance with each baseline, by parameter group and stage of training."""
    with clear_errors(show_traceback):
        check_figure(file)
        found = _measured(record)
        save(
            file,
            baselines_figure.layout(found.stages),
            lambda axes: baselines_figure.draw(axes, found.stages, title=_title(found)),
        )
    click.echo(f"wrote {file}: {_steps(pick(found.stages))}")


@command.command("shares")
@options.RECORDS
@options.FIGURE
@options.TRACEBACK
def shares(records: tuple[str, ...], file: str, show_traceback: bool) -> None:
    """Draw the share of the removable variance that each baseline removes.

    Several records are drawn side by side.
    """
    with clear_errors(show_traceback):
        check_figure(file)
        found = [_measured(record) for record in records]
        save(file, *_shares(found))
    steps = dict.fromkeys(_steps(pick(each.stages)) for each in found)
    click.echo(f"wrote {file}: {'; '.join(steps)}")


def _shares(found: list[Training]) -> tuple[FigureLayout, Callable[[Any], Any]]:
    titles = [_title(each) for each in found]
    if len(found) == 1:
        (one,) = (each.stages for each in found)
        return shares_figure.layout(one), lambda axes: shares_figure.draw(
            axes, one, title=titles[0]
        )
    runs = [each.stages for each in found]
    return shares_figure.layout_runs(runs), lambda axes: shares_figure.draw_runs(axes, runs, titles)


@command.command("training")
@options.RECORD
@options.FIGURE
@options.TRACEBACK
def training(record: str, file: str, show_traceback: bool) -> None:
    """Draw the variance with each baseline through training, and the accuracy."""
    with clear_errors(show_traceback):
        check_figure(file)
        found = _measured(record)
        save(
            file,
            training_figure.LAYOUT,
            lambda axes: training_figure.draw(axes, found, title=_title(found)),
        )
    click.echo(f"wrote {file}: {_steps(found.stages)}")


@command.command("cost")
@options.RECORD
@options.FIGURE
@options.TRACEBACK
def cost(record: str, file: str, show_traceback: bool) -> None:
    """Draw what a gradient costs, and how much it varies, against the number of labels."""
    with clear_errors(show_traceback):
        check_figure(file)
        found = read(record, Scaling, BENCHMARK)
        save(file, cost_figure.LAYOUT, lambda axes: cost_figure.draw(axes, found))
    click.echo(f"wrote {file}: K = {', '.join(f'{each}' for each in found.classes)}")


def read(record: str, kind: type[Read], source: str) -> Read:
    """The record in a file, or in the record.json of a folder.

    Args:
        source: what writes one, for the message.

    Raises:
        ValueError: if there is none, or it is another kind of record; the message says what to do.
    """
    path = Path(record, RECORD) if Path(record).is_dir() else Path(record)
    if not path.is_file():
        raise ValueError(f"there is no record {path}; {source}")
    try:
        return from_json(kind, path.read_text(encoding="utf-8"))
    except (TypeError, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise ValueError(
            f"{path} is not a record that can be drawn here: {error}; {source}"
        ) from error


def _measured(record: str) -> Training:
    """A record of training with stages; if its texts are others than those here, that is said."""
    found = read(record, Training, TRAIN)
    if not found.stages:
        raise ValueError(
            f"{record} has no stages, so no variance was measured in it; train with --stages, "
            "e.g. --stages initial,middle,end"
        )
    other = other_texts(found, record)
    if other is not None:  # the figure is right all the same: of the record, and so of its texts
        click.echo(f"gradproof: {other}", err=True)
    return found


def _parabola(
    model: str, data: str, sentences: int, seed: int | None
) -> tuple[Quadratics, str, int]:
    """The parabolas of a text subject, its name, and the seed that repeats it."""
    seed = fresh_seed() if seed is None else seed
    text = TextOptions(labelled=0, unlabelled=sentences)
    subject = text_subject(model, prepare_text(data, text, seed), text, seed)
    return quadratics(reference(subject)), subject.name, seed


def _title(found: Training) -> str:
    return f"{found.model} on {found.data}"


def _steps(stages: tuple[Stage, ...]) -> str:
    return f"steps {', '.join(f'{stage.step:,}' for stage in stages)}"
