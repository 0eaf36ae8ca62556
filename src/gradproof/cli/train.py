"""``gradproof train``: a semi-supervised model, trained with the surrogate that is verified."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

from gradproof.checks.note.verify import fresh_seed
from gradproof.checks.variance.records import Stage, Training
from gradproof.checks.variance.removable import stage
from gradproof.checks.variance.training import RECORD, Measure, last_checkpoint, train
from gradproof.estimators.backends import Arrays, load
from gradproof.estimators.engine import entry_moments, moments_table
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.training import checkpoint as files
from gradproof.estimators.training.step import batch_of, largest_class, pick
from gradproof.estimators.training.training_options import (
    BASELINE,
    FORM,
    TRAINABLE_FORMS,
    Schedule,
    TrainingOptions,
    TrainingTask,
    make_task,
    trainable,
)
from gradproof.estimators.training.unlabelled import ESTIMATORS
from gradproof.reference_models.model import group_of
from gradproof.reference_models.registry import MODELS

from .console import progress
from .exits import clear_errors
from .options import TRACEBACK

#: What the help says of each option of a run, in this order.
HELP = {
    "model": f"Of {', '.join(MODELS)}.",
    "data": "Corpus by name (`gradproof data`), or a CSV, TSV or JSONL file.",
    "estimator": "Of the gradient of U, where no label is known. "
    + "; ".join(f"{row.name}: {row.says}" for row in ESTIMATORS.values())
    + ".",
    "form": f"Of the surrogate, if sampled: {' or '.join(TRAINABLE_FORMS)}.  [default: {FORM}]",
    "baseline": f"Subtracted, if sampled. Of {', '.join(trainable())}.  [default: {BASELINE}]",
    "alpha": "Weight of -log q of a known label.",
    "batch": "Sentences without a label in each step.",
    "labelled_batch": "Sentences with a label in each step.",
    "weights": "Of a step's sentences. c: its mean is the gradient of C; batch: all alike, as in "
    "the released code, and a known label counts for more than in C.",
    "learning_rate": "Adam's.",
    "labelled": "Texts whose label is seen.  [default: 50 a class, a fifth of all at most]",
    "held_out": "Texts to measure accuracy on.  [default: 1000, a fifth of all at most]",
    "length": "Tokens that a sentence is cut to.",
    "vocabulary": "Tokens that the model knows.",
    "width": "Size of the embeddings.",
    "hidden": "Size of each LSTM.",
    "latent": "Size of h.",
    "auxiliary": "Size of a (seqdgm-a).",
    "dropout": "Probability that the decoder does not see the previous token.",
    "input_dropout": "Probability that an entry of an LSTM's input is dropped.",
    "output_dropout": "... and an entry of the states that it gives.",
    "batch_norm": "Batch normalisation of each LSTM's states: none; or fixed, by statistics that "
    "are drawn for each batch, and are mean 0 and variance 1 where accuracy is measured. The "
    "batch's own would bias the gradient.",
    "kl_weight": "Weight of the divergence terms of L.",
    "label_prior": "Whether L has -log p(y), which is the same for every label.",
    "entropy_weight": "Weight of log q in U = E[L + log q]; other than 1, with --stages none.",
    "shared_encoder": "One LSTM reads the sentence for a, y and h (seqdgm-a), not one for each.",
    "text": "Column of the text, for a file.  [default: text]",
    "label": "Column of the label, for a file.  [default: label]",
    "unit": "What a token is, for a file.  [default: word]",
    "seed": "Repeat a run.  [default: a fresh one]",
}

#: The types of options whose default is None.
TYPES: dict[str, Any] = {
    "form": str,
    "baseline": str,
    "labelled": click.IntRange(min=1),
    "held_out": click.IntRange(min=1),
    "text": str,
    "label": str,
    "unit": click.Choice(["word", "character"]),
    "seed": click.IntRange(min=0),
}

#: Named as the other commands name them.
FLAGS = {"text": "--text-column", "label": "--label-column"}

DEFAULTS = TrainingOptions().as_dict() | {"seed": None}


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option of the command for each of a run."""
    for name, said in reversed(HELP.items()):
        default = DEFAULTS[name]
        command = click.option(
            FLAGS.get(name, f"--{name.replace('_', '-')}"),
            name,
            type=TYPES.get(name, type(default)),
            default=default,
            show_default=default is not None,
            help=said,
        )(command)
    return command


@click.command("train")
@click.option(
    "--folder",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the record and the checkpoints are kept.",
)
@_run_options
@click.option("--steps", default=Schedule().steps, show_default=True, help="How many in all.")
@click.option("--every", default=Schedule().every, show_default=True, help="Steps between looks.")
@click.option(
    "--stages",
    default=",".join(Schedule().stages),
    show_default=True,
    metavar="LIST",
    help="Where to measure the exact variance with every baseline: initial, middle, end, "
    "or the number of a step; or none.",
)
@click.option(
    "--sentences",
    default=Schedule().sentences,
    show_default=True,
    help="At a stage, how many baselines are fitted on, and how many measured on.",
)
@click.option(
    "--processors",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="To compute on; more than one pays off for large models only.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in FOLDER, with its options.")
@TRACEBACK
@click.pass_context
def command(
    context: click.Context,
    /,
    folder: Path,
    steps: int,
    every: int,
    stages: str,
    sentences: int,
    processors: int,
    resume: bool,
    show_traceback: bool,
    **options: Any,
) -> None:
    """Train a semi-supervised model on real text, with PyTorch.

    FOLDER gets record.json (loss, held-out accuracy and, at each stage, the exact variance of the
    gradient with every baseline) and checkpoints. The same seed gives the same parameters, bit by
    bit, and so does a run that was stopped and resumed.

    Exit status: 0 if it was trained to the end, 2 if not, 130 if it was interrupted.
    """
    with clear_errors(show_traceback):
        load("torch")  # before anything is read or written
        schedule = Schedule(steps, every, _listed(stages), sentences)
        given = {name for name in context.params if _is_given(context, name)}
        if resume:
            options, schedule = _resumed(folder, options, schedule, given)
        elif options["seed"] is None:
            options["seed"] = fresh_seed()
        task = make_task(TrainingOptions(**options))
        try:
            with progress() as report:
                record = train(
                    task,
                    folder,
                    schedule,
                    resume=resume,
                    measure=measured_on(task, schedule.sentences),
                    progress=report,
                    processors=processors,
                )
        except KeyboardInterrupt:
            click.echo(_stopped(folder), err=True)
            raise
    click.echo(summary(record, task, folder))


def measured_on(task: TrainingTask, sentences: int) -> Measure:
    """Measures every baseline: fitted on sentences without a label, measured on held-out ones.

    The sentences and their noise are the same at each stage, and what differs is the parameters.
    """

    def measure(step: int, parameters: Arrays) -> Stage:
        fitted, held_out, rng = measured_subjects(task, parameters, sentences)
        name = task.prepared.corpus.name
        return stage(
            fitted,
            held_out,
            data=name,
            step=step,
            rng=rng,
            table=moments_table,
            per_parameter=best_per_parameter(held_out),
        )

    return measure


def measured_subjects(
    task: TrainingTask, parameters: Arrays, sentences: int
) -> tuple[Subject, Subject, np.random.Generator]:
    """Sentences to fit baselines on, others to measure them on, and the generator for the fits."""
    rng = np.random.default_rng(task.options.seed)
    split = task.prepared.split
    fitted, held_out = (
        Subject(task.model, parameters, batch_of(task, pick(rng, rows, sentences), rng))
        for rows in (split.unlabelled, split.held_out)
    )
    return fitted, held_out, rng


def best_per_parameter(subject: Subject) -> dict[str, float]:
    """The variance that the best B of each parameter entry and sentence leaves, by group."""
    found: dict[str, float] = {}
    for name, least in entry_moments(subject).least.items():
        found[group_of(name)] = found.get(group_of(name), 0.0) + float(least.sum())
    return found


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) == ParameterSource.COMMANDLINE


def _listed(stages: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in stages.split(",")) if stages != "none" else ()


def _resumed(
    folder: Path, options: dict[str, Any], schedule: Schedule, given: set[str]
) -> tuple[dict[str, Any], Schedule]:
    """The options of the run in a folder, but for those that were given.

    A given one that differs is met when the checkpoint is held against the task.
    """
    point = files.read(last_checkpoint(folder))
    overrides = {name: value for name, value in options.items() if name in given}
    changes = {name: getattr(schedule, name) for name in vars(schedule) if name in given}
    return (
        point.options.as_dict() | overrides,
        dataclasses.replace(point.schedule, **changes),
    )


def _stopped(folder: Path) -> str:
    steps = files.steps_in(folder)
    if not steps:
        return f"gradproof: stopped before the first checkpoint; {folder} holds no run"
    return (
        f"gradproof: stopped; the checkpoint of step {steps[-1]} is whole, go on with: "
        f"gradproof train --folder {shlex.quote(str(folder))} --resume"
    )


def summary(record: Training, task: TrainingTask, folder: Path) -> str:
    """One line: how it went, and what to do next; before it another one, if texts were cut."""
    steps = int(record.steps[-1])
    cut = task.prepared.describe_cut(range(len(task.prepared.corpus)))
    held_out = len(task.prepared.split.held_out)
    texts = "text" if held_out == 1 else "texts"
    return (f"{cut}\n" if cut else "") + (
        f"loss {record.loss[-1]:.4g}, accuracy {record.accuracy[-1]:.3f} on "
        f"{held_out} held-out {texts} ({largest_class(task):.3f} by always "
        f"naming the largest class), {steps} steps in {record.seconds[-1]:.3g} s; "
        f"seed {record.seed}; see {folder / RECORD}, or go on with: gradproof train --folder "
        f"{shlex.quote(str(folder))} --resume --steps {2 * steps}"
    )
