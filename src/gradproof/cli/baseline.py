"""``gradproof baseline``: a user's baseline from a file, verified and measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType

import click
import numpy as np
from click.core import ParameterSource

from gradproof.checks.json_records import to_json
from gradproof.checks.note.baseline_report import BaselineReport
from gradproof.checks.note.baseline_states import UPDATES
from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
from gradproof.checks.note.user_baseline import SENTENCES, STEPS, examine
from gradproof.checks.note.verify import fresh_seed
from gradproof.checks.variance.curve import curve
from gradproof.checks.variance.training import last_checkpoint
from gradproof.estimators.backends import load
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.training import checkpoint as files
from gradproof.estimators.training.step import batch_of
from gradproof.estimators.training.training_options import make_task
from gradproof.reference_models.batch import UNLABELLED
from gradproof.reference_models.corpora import Corpus, Unit
from gradproof.reference_models.model import group_of
from gradproof.reports import html
from gradproof.reports import variance as variance_figure
from gradproof.reports.verdict_table import verdict_table

from . import options, text_options, user_file
from .baseline_words import (
    after,
    looked_at,
    meanings,
    noise_words,
    places,
    summary,
    troubles,
    variance_table,
)
from .console import check_writable, finish, progress, show
from .exits import clear_errors
from .figures import check_figure, save
from .repeat import command_line

#: Sentences without a label: two are enumerated jointly, a baseline of the batch needs as many to
#: show itself, and from the losses of all it learns and the search begins.
TEXT = TextOptions(labelled=0, unlabelled=4)

#: Options that a checkpoint has too, by what a run calls them.
OF_A_RUN = {
    "model": "model",
    "data": "data",
    "text_column": "text",
    "label_column": "label",
    "unit": "unit",
}

TEMPLATE = '''"""A baseline B(x; lambda) for `gradproof baseline {file}:PerToken`."""

import numpy as np


class PerToken:
    """A running mean of the loss per token, times the length of the sentence.

    It is called before a step, and updated after it: updated first, it would contain the loss that
    it is subtracted from, and bias the gradient.
    """

    def __init__(self, decay=0.9):
        self.decay, self.mean = decay, 0.0

    def __call__(self, x):
        """B of each sentence, shape (N,).

        x.tokens, x.mask (N, T), x.lengths (N,), x.embedded (N, D), the mean embedding, and
        x.losses (N,), of which a sentence must not use its own.
        """
        return self.mean * x.lengths

    def update(self, x, losses):
        """Called after a step; leave it out if nothing is learned."""
        new = np.sum(losses) / np.sum(x.lengths)
        self.mean = self.decay * self.mean + (1.0 - self.decay) * new
'''


@click.command("baseline")
@options.TARGET
@options.NEW
@text_options.MODEL
@text_options.DATA
@text_options.columns
@click.option(
    "--checkpoint",
    metavar="FOLDER|FILE",
    help="Look at the parameters, text and model of a run of `gradproof train`.",
)
@options.SEED
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=STEPS,
    show_default=True,
    help="Steps of learning after which the mean and the variance are looked at.",
)
@click.option(
    "--updates",
    type=click.IntRange(min=STEPS),
    default=UPDATES,
    show_default=True,
    help="Updates, at most, after which B is searched for its own draw.",
)
@click.option("--must-lower", is_flag=True, help="Exit with 1 too if it lowers no variance.")
@click.option(
    "--framework",
    type=click.Choice(["numpy", "torch"]),
    help="What the baseline computes with.  [default: torch if its file imports it]",
)
@click.option("--figure", metavar="FILE", help="Draw the variance here (.svg, .png or .pdf).")
@options.JSON
@options.HTML
@options.TRACEBACK
@click.pass_context
def command(
    context: click.Context,
    /,
    target: str | None,
    new_file: str | None,
    model: str,
    data: str,
    text_column: str | None,
    label_column: str | None,
    unit: Unit | None,
    checkpoint: str | None,
    seed: int | None,
    steps: int,
    updates: int,
    must_lower: bool,
    framework: str | None,
    figure: str | None,
    json_file: str | None,
    html_file: str | None,
    show_traceback: bool,
) -> None:
    """Verify a baseline of your own: may it be subtracted, and does it help?

    NAME in FILE.py is a function or a class. It takes an x with tokens, mask, lengths, embedded and
    losses (in float64), and gives B, one number for each sentence; a class may have
    update(x, losses) and fit(x, returns), called after a step. `--new FILE.py` writes one to begin
    with.

    The estimator is run with it on every way to label two sentences of real text, so that the mean
    and the variance are exact. That B does not read its own draw is searched beyond these: at
    losses of every kind and size, 1 to 4 sentences, short and long, before and after updates. What
    was looked at is said. Exit status: 0 if it may be used, 1 if not or undecided (with
    --must-lower, also if it does not lower the variance), 2 if the command cannot be run.
    """
    with clear_errors(show_traceback):
        target = user_file.target_of(target, new_file, TEMPLATE, "baseline", "PerToken")
        if target is None:
            return
        if figure is not None:
            check_figure(figure)
        check_writable(json_file)
        check_writable(html_file, "--html")
        seed = fresh_seed() if seed is None else seed
        if checkpoint is None:
            table = dataclasses.replace(TEXT, text=text_column, label=label_column, unit=unit)
            corpus, subject = _on_text(model, data, table, seed)
        else:
            given = {
                name: context.params[name]
                for name in OF_A_RUN
                if context.get_parameter_source(name) == ParameterSource.COMMANDLINE
            }
            corpus, subject = _of_checkpoint(Path(checkpoint), given, seed)
        finding = _examined(str(target), subject, seed, framework, steps, updates)
    show(verdict_table(finding.evidence))
    for line in meanings(finding):
        click.echo(line)
    for paragraph in troubles(finding):
        click.echo(f"\n{paragraph}")
    click.echo(f"\n{looked_at(finding)}")
    click.echo(f"\nVariance of the gradient on {subject.name}, summed over a group{after(finding)}")
    show(variance_table(finding))
    for line in (*places(finding), *noise_words(finding)):
        click.echo(line)
    if len(finding.values) < SENTENCES:
        click.echo(
            f"\nMean and variance are those of one sentence: with {SENTENCES} there are too many "
            "ways to label them. What B takes from other sentences was searched for in the losses "
            "alone; use data of fewer labels for its mean and variance"
        )
    click.echo(f"\n{summary(finding)}; seed {seed}")
    with clear_errors(show_traceback):
        if figure is not None:
            found = curve(finding.parabola.grouped(group_of))
            own = (float(finding.values.mean()), sum(each.own for each in finding.variances))
            save(
                figure,
                variance_figure.LAYOUT,
                lambda axes: variance_figure.draw(axes, found, own=own, title=finding.name),
            )
    enough = finding.usable and (finding.helps or not must_lower)
    finish(
        enough,
        show_traceback,
        (json_file, lambda: written(finding, corpus, seed)),
        (html_file, lambda: page(finding, seed)),
    )


def _examined(
    target: str, subject: Subject, seed: int, framework: str | None, steps: int, updates: int
) -> BaselineReport:
    function, module = user_file.load(target, "baseline", "PerToken")
    torch = framework == "torch" or (framework is None and _imports_torch(module))
    bench = Bench(load("torch" if torch else "autograd"))
    name = target.rpartition(":")[2]
    with progress() as report:
        return examine(
            function,
            subject,
            bench,
            name=name,
            torch=torch,
            seed=seed,
            steps=steps,
            updates=updates,
            progress=report,
        )


def _on_text(model: str, data: str, text: TextOptions, seed: int) -> tuple[Corpus, Subject]:
    prepared = prepare_text(data, text, seed)
    return prepared.corpus, text_subject(model, prepared, text, seed)


def _of_checkpoint(path: Path, given: dict[str, str], seed: int) -> tuple[Corpus, Subject]:
    """The model as a checkpoint has it, on sentences that it was trained on without a label.

    Raises:
        ValueError: if there is no checkpoint, or it is of another model or corpus than is given.
    """
    path = last_checkpoint(path) if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"there is no checkpoint {path}; `gradproof train --folder FOLDER` writes them"
        )
    point = files.read(path)
    for name, value in given.items():
        theirs = getattr(point.options, OF_A_RUN[name])
        if theirs != value:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"{path} is of a run with {OF_A_RUN[name]} = {theirs!r}, not {value!r}; leave "
                f"{flag} out"
            )
    point.options.check_measurable("look at a run that has weight 1")
    task = make_task(point.options)
    files.check(point, task, path)
    rng = np.random.default_rng(seed)
    rows = task.prepared.split.unlabelled
    count = min(TEXT.unlabelled, len(rows))
    batch = batch_of(task, rng.choice(rows, size=count, replace=False), rng)
    batch = dataclasses.replace(batch, labels=np.full(batch.n, UNLABELLED))
    corpus = task.prepared.corpus
    name = f"{task.model.name} on {corpus.name} after {point.state.step:,} steps"
    return corpus, Subject(task.model, point.state.parameters, batch, name=name, seed=seed)


def _imports_torch(module: ModuleType) -> bool:
    values = vars(module).values()
    return any(getattr(value, "__name__", "").split(".")[0] == "torch" for value in values)


def page(finding: BaselineReport, seed: int) -> str:
    """The page that one keeps, with what the command says."""
    paragraphs = (
        *troubles(finding),
        *places(finding),
        *noise_words(finding),
        looked_at(finding),
        summary(finding),
    )
    section = finding.section()
    return html.page(
        [dataclasses.replace(section, paragraphs=paragraphs, snippet=command_line(seed))]
    )


def written(finding: BaselineReport, corpus: Corpus, seed: int) -> str:
    """The whole record."""
    record = {
        "name": finding.name,
        "data": corpus.name,
        "source": corpus.source,
        "fingerprint": corpus.fingerprint,
        "seed": seed,
        "verdict": finding.verdict,
        "usable": finding.usable,
        "helps": finding.helps,
        "factor": finding.factor,
        "helps_between": finding.helps_between,
        "noise": finding.noise,
        "shares": {str(n): share for n, share in finding.shares.items()},
        "looked": finding.looked,
        "values": finding.values,
        "best": finding.best,
        "variances": finding.variances,
        "evidence": [found.as_dict() for found in finding.evidence],
    }
    return to_json(record)
