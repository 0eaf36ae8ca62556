"""``gradproof plot``: figures of what was computed exactly."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from gradproof.checks.json_records import from_json
from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
from gradproof.checks.note.verify import fresh_seed
from gradproof.checks.variance.curve import curve
from gradproof.checks.variance.ratios import EXPECTED, KINDS, ratio_map
from gradproof.checks.variance.record_texts import other_texts
from gradproof.checks.variance.records import EstimatorTable, Scaling, Stage, Training
from gradproof.checks.variance.training import RECORD
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.parabola import Quadratics, quadratics
from gradproof.reference_models.corpora import Unit
from gradproof.reference_models.model import group_of
from gradproof.reports import baselines as baselines_figure
from gradproof.reports import cost as cost_figure
from gradproof.reports import estimator_table
from gradproof.reports import ratios as ratios_figure
from gradproof.reports import shares as shares_figure
from gradproof.reports import training as training_figure
from gradproof.reports import variance as variance_figure
from gradproof.reports.plain_names import run_name, subject_name
from gradproof.reports.stages import pick
from gradproof.reports.style import FigureLayout

from . import options, text_options
from .console import progress
from .exits import clear_errors
from .figures import check_figure, save

Read = TypeVar("Read")

#: What writes each kind of record, for who has none yet.
TRAIN = "`gradproof train --folder FOLDER` writes one"
TABLE = "`python benchmarks/estimator_table.py` writes one"
BENCHMARK = "the benchmark of cost against K writes one; see benchmarks/"


class FigureContent(NamedTuple):
    """What a command draws, and what it says of it."""

    layout: FigureLayout
    paint: Callable[[Any], Any]
    words: str


def _save_drawing(make: Callable[..., FigureContent]) -> Callable[..., None]:
    """A command that draws into FILE what is made of its other arguments."""

    @options.FIGURE
    @options.TRACEBACK
    @functools.wraps(make)
    def draw(file: str, show_traceback: bool, **arguments: Any) -> None:
        with clear_errors(show_traceback):
            check_figure(file)
            drawing = make(**arguments)
            save(file, drawing.layout, drawing.paint)
        click.echo(f"wrote {file}: {drawing.words}")

    return draw


@click.group("plot")
def command() -> None:
    """Draw figures of exact variances, as SVG, PNG, PDF or PGF.

    FILE ends in .svg, .png or .pdf, or .pgf where LaTeX is installed. RECORD is a folder that
    `gradproof train` filled, or the record.json in it; for `cost` and `estimators`, what the
    benchmark wrote.
    """


@command.command("variance")
@text_options.MODEL
@text_options.DATA
@text_options.columns
@text_options.SENTENCES
@options.SEED
@_save_drawing
def variance(
    model: str, data: str, sentences: int, seed: int | None, **columns: Any
) -> FigureContent:
    """Draw the variance against a constant baseline into FILE (.svg, .png or .pdf).

    The gradient's variance over the drawn label, exact, by parameter group, on sentences of real
    text: where it is least, and between which baselines it is smaller than without one.
    """
    parabola, title, seed = _parabola(model, data, sentences, seed, **columns)
    against = curve(parabola.grouped(group_of))
    return FigureContent(
        variance_figure.LAYOUT,
        lambda axes: variance_figure.draw(axes, against, title=title),
        f"{against.none:.4g} without a baseline, {against.least:.4g} with the best constant, "
        f"{against.best:.4g}; one helps between 0 and {against.limit:.4g}; seed {seed}",
    )


@command.command("ratios")
@click.option(
    "--baseline",
    type=click.Choice(KINDS),
    default=EXPECTED,
    show_default=True,
    help="E[R|x] of each sentence, the best B of each sentence, or the best constant.",
)
@text_options.MODEL
@text_options.DATA
@text_options.columns
@text_options.SENTENCES
@options.SEED
@_save_drawing
def ratios(
    baseline: str, model: str, data: str, sentences: int, seed: int | None, **columns: Any
) -> FigureContent:
    """Draw what a baseline does to the variance of every single parameter.

    A histogram for each matrix that the score reaches: the variance with the baseline over the one
    without, exact, on sentences of real text.
    """
    parabola, title, seed = _parabola(model, data, sentences, seed, **columns)
    maps, words = ratio_map(parabola, baseline, title), ratios_figure.KIND_NAMES[baseline]
    lower = ", ".join(f"{100.0 * maps.lowered_share(name):.0f} % of {name}" for name in maps.ratios)
    return FigureContent(
        ratios_figure.layout(maps),
        lambda axes: ratios_figure.draw(axes, maps, title=f"{title}, {words}"),
        f"lower in {lower}; seed {seed}",
    )


@command.command("baselines")
@options.RECORD
@_save_drawing
def baselines(record: str) -> FigureContent:
    """Draw the variance with each baseline, by parameter group and stage of training."""
    run = _read_stages(record)
    return FigureContent(
        baselines_figure.layout(run.stages),
        lambda axes: baselines_figure.draw(axes, run.stages, title=run_name(run)),
        _steps(pick(run.stages)),
    )


@command.command("shares")
@options.RECORDS
@_save_drawing
def shares(records: tuple[str, ...]) -> FigureContent:
    """Draw the share of the removable variance that each baseline removes.

    Several records are drawn side by side.
    """
    runs = [_read_stages(record) for record in records]
    stages, titles = [run.stages for run in runs], [run_name(run) for run in runs]
    words = "; ".join(dict.fromkeys(_steps(pick(shown)) for shown in stages))
    if len(runs) == 1:
        return FigureContent(
            shares_figure.layout(stages[0]),
            lambda axes: shares_figure.draw(axes, stages[0], title=titles[0]),
            words,
        )
    return FigureContent(
        shares_figure.layout_runs(stages),
        lambda axes: shares_figure.draw_runs(axes, stages, titles),
        words,
    )


@command.command("training")
@options.RECORD
@click.option(
    "--only", metavar="BASELINE", multiple=True, help="Show this one; may be given several times."
)
@_save_drawing
def training(record: str, only: tuple[str, ...]) -> FigureContent:
    """Draw the variance with each baseline through training, a panel each, and the accuracy."""
    run = _read_stages(record)
    return FigureContent(
        training_figure.layout(run, only),
        lambda axes: training_figure.draw(axes, run, only=only, title=run_name(run)),
        f"{_steps(run.stages)}; baselines {', '.join(training_figure.baselines_of(run, only))}",
    )


@command.command("cost")
@options.RECORD
@_save_drawing
def cost(record: str) -> FigureContent:
    """Draw what a gradient costs, and how much it varies, against the number of labels."""
    scaling = read(record, Scaling, BENCHMARK)
    return FigureContent(
        cost_figure.LAYOUT,
        lambda axes: cost_figure.draw(axes, scaling),
        f"K = {', '.join(map(str, scaling.classes))}",
    )


@command.command("estimators")
@options.RECORD
@_save_drawing
def estimators(record: str) -> FigureContent:
    """Draw the accuracy of each estimator against the seconds of its steps."""
    table = read(record, EstimatorTable, TABLE)
    if not table.runs:
        raise ValueError(f"{record} has no runs yet; {TABLE}")
    return FigureContent(
        estimator_table.layout(table),
        lambda axes: estimator_table.draw(axes, table),
        ", ".join(f"{data} (K = {classes})" for data, classes in estimator_table.corpora(table)),
    )


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


def _read_stages(record: str) -> Training:
    """A record of training with stages; if its texts are others than those here, that is said."""
    run = read(record, Training, TRAIN)
    if not run.stages:
        raise ValueError(
            f"{record} has no stages, so no variance was measured in it; train with --stages, "
            "e.g. --stages initial,middle,end"
        )
    other = other_texts(run, record)
    if other is not None:  # the figure is right all the same: of the record, and so of its texts
        click.echo(f"gradproof: {other}", err=True)
    return run


def _parabola(
    model: str,
    data: str,
    sentences: int,
    seed: int | None,
    text_column: str | None,
    label_column: str | None,
    unit: Unit | None,
) -> tuple[Quadratics, str, int]:
    """The parabolas of a text subject, its name, and the seed that repeats it."""
    seed = fresh_seed() if seed is None else seed
    text = TextOptions(
        labelled=0, unlabelled=sentences, text=text_column, label=label_column, unit=unit
    )
    subject = text_subject(model, prepare_text(data, text, seed), text, seed)
    with progress() as report:
        if report is not None:  # how long it takes nobody knows beforehand
            report(0, 1, f"the exact variance of {sentences} sentences")
        return quadratics(reference(subject)), subject_name(model, data), seed


def _steps(stages: tuple[Stage, ...]) -> str:
    return f"steps {', '.join(f'{stage.step:,}' for stage in stages)}"
