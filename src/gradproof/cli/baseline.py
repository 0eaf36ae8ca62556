"""``gradproof baseline``: a user's baseline from a file, verified and measured."""

from __future__ import annotations

from types import ModuleType

import click
from rich.table import Table
from rich.text import Text

from gradproof.checks.evidence import HOLDS
from gradproof.checks.json_records import to_json
from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
from gradproof.checks.note.user_baseline import (
    ADVICE,
    ROUNDS,
    SENTENCES,
    STEPS,
    BaselineReport,
    examine,
)
from gradproof.checks.note.verify import fresh_seed
from gradproof.checks.variance.curve import curve
from gradproof.estimators.backends import load
from gradproof.estimators.note.bench import Bench
from gradproof.reference_models.corpora import Corpus
from gradproof.reference_models.model import group_of
from gradproof.reports import variance as variance_figure
from gradproof.reports.verdict_table import verdict_table

from . import options, text_options, user_file
from .console import check_writable, clear_errors, finish, progress, show
from .figures import check_figure, save

#: Two sentences without a label: a baseline of the batch needs two to show itself.
TEXT = TextOptions(labelled=0, unlabelled=2)

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
@options.SEED
@click.option(
    "--framework",
    type=click.Choice(["numpy", "torch"]),
    help="What the baseline computes with.  [default: torch if its file imports it]",
)
@click.option("--figure", metavar="FILE", help="Draw the variance here (.svg, .png or .pdf).")
@options.JSON
@options.TRACEBACK
def command(
    target: str | None,
    new_file: str | None,
    model: str,
    data: str,
    seed: int | None,
    framework: str | None,
    figure: str | None,
    json_file: str | None,
    show_traceback: bool,
) -> None:
    """Verify a baseline of your own: may it be subtracted, and does it help?

    NAME in FILE.py is a function or a class. It takes an x with tokens, mask, lengths, embedded and
    losses, and gives B, one number for each sentence; a class may have update(x, losses) and
    fit(x, returns), called after a step. `--new FILE.py` writes one to begin with.

    The estimator is run with it on every way to label two sentences of real text, so that the mean
    and the variance are exact. Exit status: 0 if it may be used, 1 if not, 2 if the command cannot
    be run.
    """
    with clear_errors(show_traceback):
        target = user_file.target_of(target, new_file, TEMPLATE, "baseline", "PerToken")
        if target is None:
            return
        if figure is not None:
            check_figure(figure)
        check_writable(json_file)
        finding, corpus, seed = _examined(target, model, data, seed, framework)
    show(verdict_table(finding.evidence))
    for paragraph in troubles(finding):
        click.echo(f"\n{paragraph}")
    after = f", after {STEPS} steps of learning" if finding.learned else ""
    click.echo(f"\nVariance of the gradient, summed over a group{after}")
    show(variance_table(finding))
    for line in places(finding):
        click.echo(line)
    if len(finding.values) < SENTENCES:
        click.echo(
            f"\nOnly one sentence was looked at: with {SENTENCES} there are too many ways to label "
            "them. What B takes from other sentences is not seen; use data of fewer labels for that"
        )
    click.echo(f"\n{summary(finding)}; seed {seed}")
    with clear_errors(show_traceback):
        if figure is not None:
            found = curve(finding.parabola.grouped(group_of))
            own = float(finding.values.mean())
            save(
                figure,
                variance_figure.LAYOUT,
                lambda axes: variance_figure.draw(axes, found, own=own, title=finding.name),
            )
    finish(finding.usable, json_file, lambda: written(finding, corpus, seed), show_traceback)


def _examined(
    target: str, model: str, data: str, seed: int | None, framework: str | None
) -> tuple[BaselineReport, Corpus, int]:
    function, module = user_file.load(target, "baseline", "PerToken")
    torch = framework == "torch" or (framework is None and _imports_torch(module))
    seed = fresh_seed() if seed is None else seed
    prepared = prepare_text(data, TEXT, seed)
    subject = text_subject(model, prepared, TEXT, seed)
    bench = Bench(load("torch" if torch else "autograd"))
    name = target.rpartition(":")[2]
    with progress() as report:
        found = examine(
            function, subject, bench, name=name, torch=torch, seed=seed, progress=report
        )
    return found, prepared.corpus, seed


def _imports_torch(module: ModuleType) -> bool:
    values = vars(module).values()
    return any(getattr(value, "__name__", "").split(".")[0] == "torch" for value in values)


def troubles(finding: BaselineReport) -> list[str]:
    """For each verdict that is not as it should be: where, by how much, and what to do."""
    lines = []
    for found in finding.evidence:
        if found.verdict == HOLDS:
            continue
        what = found.crash or f"{found.worst} is off by {found.error:.3g}"
        lines.append(f"{found.variant}, {found.verdict}: {what}.\n  {ADVICE[found.variant]}.")
    return lines


def variance_table(finding: BaselineReport) -> Table:
    """Variances by group: without a baseline, with it, and with the best one."""
    table = Table()
    for column in ("group", "none", finding.name, "best", "of the removable"):
        table.add_column(column, justify="left" if column == "group" else "right")
    rows = {each.group: (each.none, each.own, each.best) for each in finding.variances}
    none, own, best = map(sum, zip(*rows.values(), strict=True))
    for group, (*numbers,) in (rows | {"all": (none, own, best)}).items():
        table.add_row(Text(group), *(f"{number:.4g}" for number in numbers), _share(*numbers))
    return table


def _share(none: float, own: float, best: float) -> str:
    # Without labels in it a group has no part that a baseline could remove; rounding remains.
    if none - best <= ROUNDS * none:
        return "-"
    return f"{100.0 * (none - own) / (none - best):.1f} %"


def places(finding: BaselineReport) -> list[str]:
    """Where B lies in the interval in which a baseline helps, sentence by sentence."""
    lines = []
    for row, (value, best) in enumerate(zip(finding.values, finding.best, strict=True)):
        low, high = sorted((0.0, 2.0 * float(best)))
        verdict = "helps" if low < value < high else "does not help"
        lines.append(
            f"sentence {row}: B = {value:.4g} {verdict}; it does between {low:.4g} and {high:.4g}, "
            f"best at {best:.4g}"
        )
    return lines


def summary(finding: BaselineReport) -> str:
    """One line: may it be used, does it help, and what is wrong."""
    wrong = [found.variant for found in finding.evidence if found.verdict != HOLDS]
    helps = "lowers" if finding.helps else "does not lower"
    if finding.usable:
        return f"{finding.name} may be used: the mean stays, and it {helps} the variance"
    return f"{finding.name} may not be used: {', '.join(wrong)}"


def written(finding: BaselineReport, corpus: Corpus, seed: int) -> str:
    """The whole record."""
    record = {
        "name": finding.name,
        "data": corpus.name,
        "source": corpus.source,
        "fingerprint": corpus.fingerprint,
        "seed": seed,
        "usable": finding.usable,
        "helps": finding.helps,
        "values": finding.values,
        "best": finding.best,
        "variances": finding.variances,
        "evidence": [found.as_dict() for found in finding.evidence],
    }
    return to_json(record)
