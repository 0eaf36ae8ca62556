"""``gradproof plot``: figures of what was computed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from matplotlib.figure import Figure

from gradproof.checks.curve import curve
from gradproof.checks.evidence import Curve
from gradproof.checks.text import TextOptions, prepare_text, text_subject
from gradproof.checks.verify import fresh_seed
from gradproof.estimators.exact import reference
from gradproof.estimators.quadratic import quadratics
from gradproof.reference_models.model import group_of
from gradproof.reference_models.registry import MODELS
from gradproof.reports.variance import draw

from .console import check_writable, clear_errors

#: What matplotlib writes that people put into papers and pages.
FORMATS = (".pdf", ".png", ".svg")


@click.group("plot")
def command() -> None:
    """Draw figures of exact variances, as SVG, PNG or PDF."""


@command.command("variance")
@click.argument("file", metavar="FILE")
@click.option("--model", default="seqdgm", show_default=True, help=f"Of {', '.join(MODELS)}.")
@click.option("--data", default="names-8", show_default=True, metavar="NAME|FILE", help="Corpus.")
@click.option(
    "--sentences", type=click.IntRange(min=1), default=4, show_default=True, help="How many."
)
@click.option("--seed", type=click.IntRange(min=0), help="Repeat a run.  [default: a fresh one]")
@click.option("--traceback", "show_traceback", is_flag=True, help="Show where an error came from.")
def variance(
    file: str, model: str, data: str, sentences: int, seed: int | None, show_traceback: bool
) -> None:
    """Draw the variance against a constant baseline into FILE (.svg, .png or .pdf).

    The gradient's variance over the drawn label, exact, by parameter group, on sentences of real
    text: where it is least, and between which baselines it is smaller than without one.
    """
    with clear_errors(show_traceback):
        check_figure(file)
        if model not in MODELS:
            raise ValueError(f"no model is called {model!r}; known: {', '.join(MODELS)}")
        seed = fresh_seed() if seed is None else seed
        options = TextOptions(labelled=0, unlabelled=sentences)
        subject = text_subject(model, prepare_text(data, options, seed), options, seed)
        found = curve(quadratics(reference(subject)).grouped(group_of))
        save(file, found, title=subject.name)
    click.echo(
        f"wrote {file}: {found.none:.4g} without a baseline, {found.least:.4g} with the best "
        f"constant, {found.best:.4g}; one helps between 0 and {found.limit:.4g}; seed {seed}"
    )


def check_figure(file: str) -> None:
    """Find out that a figure cannot be written before the work is done.

    Raises:
        ValueError: if the name does not end as a figure's does.
        OSError: if there is no place for it.
    """
    if Path(file).suffix.lower() not in FORMATS:
        raise ValueError(f"{file!r} must end in {', '.join(FORMATS)}")
    check_writable(file)


def save(file: str, found: Curve, *, title: str, own: float | None = None) -> None:
    """Draw a curve into a file, whole or not at all."""
    figure: Any = Figure(figsize=(7.0, 3.6), layout="constrained")
    draw(figure.subplots(), found, own=own, title=title)
    path = Path(file).resolve()
    draft = path.with_name(f".{path.stem}.draft{path.suffix}")
    try:
        figure.savefig(draft, dpi=200)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
