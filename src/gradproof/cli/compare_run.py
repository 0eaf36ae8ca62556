"""What ``gradproof compare`` does: it reads the file, checks each estimator and shows the table."""

from __future__ import annotations

import types
from typing import Any, NamedTuple

import click
from rich.table import Table

from gradproof.checks.json_records import to_json
from gradproof.checks.section import SectionTable
from gradproof.checks.user.estimator_comparison import EstimatorComparison, compare_estimators
from gradproof.reports.paper_sizes import paper

from . import user_file
from .check_run import blame, made, read
from .console import check_writable, finish, progress, show
from .exits import clear_errors
from .figures import check_figure, write_figure
from .repeat import command_line
from .user_file import FileError

TEMPLATE = '''"""Estimators of one gradient for `gradproof compare {file}`."""

import torch
from torch.distributions import Categorical

rewards = torch.tensor([1.0, 3.0, 2.0, 5.0], dtype=torch.float64)

#: What the functions below are called with, an entry for each argument.
inputs = (torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64, requires_grad=True),)


def exact(logits):
    """The gradient of minus the expected reward, which a loss has."""
    p = logits.detach().softmax(0)
    return -p * (rewards - p @ rewards)


def policy_gradient(advantage, samples):
    """A loss from a group of samples, each with an advantage."""

    def loss(logits):
        q = Categorical(logits=logits)
        y = q.sample((samples,))
        return -(advantage(rewards[y]) * q.log_prob(y)).mean()

    return loss


estimators = {
    "reinforce": policy_gradient(lambda r: r, 4),
    "own mean": policy_gradient(lambda r: r - r.mean(), 4),
    "rloo": policy_gradient(lambda r: r - (r.sum() - r) / (len(r) - 1), 4),
    "grpo": policy_gradient(lambda r: (r - r.mean()) / (r.std() + 1e-6), 4),
}

#: What one estimate costs, in a unit of yours, such as samples. Leave it out if all cost the same,
#: or write costs = "passes" to have evaluations of a gradproof.CountedFunction counted.
costs = {"reinforce": 4, "own mean": 4, "rloo": 4, "grpo": 4}
'''


class ComparisonOutputs(NamedTuple):
    """Files to write, None where none is asked for."""

    json_file: str | None
    markdown_file: str | None
    latex_file: str | None
    html_file: str | None
    figure: str | None
    preset: str


def run(
    file: str | None,
    new_file: str | None,
    named: dict[str, str | None],
    names: dict[str, str | None],
    limits: dict[str, Any],
    outputs: ComparisonOutputs,
    show_traceback: bool,
) -> None:
    """Compare the estimators of a file, or write a template of one, and end with an exit status.

    Args:
        named: what the file's estimators and costs are called, by option, and ``names`` the rest.
        limits: what is passed to :func:`gradproof.compare_estimators`.
    """
    with clear_errors(show_traceback):
        file = user_file.target_of(file, new_file, TEMPLATE, "compare", "")
        if file is None:
            return
        check_outputs(outputs)
        module = user_file.module_of(file, "compare")
        with progress() as show_progress:
            options = limits | {"progress": show_progress}
            comparison = _compare(file, module, named, names, options)
    finish_with(file, comparison, outputs, show_traceback)


def check_outputs(outputs: ComparisonOutputs) -> None:
    """Whether they can be written, before the work is done.

    Raises:
        OSError, ValueError: if not.
    """
    for option, path in (
        ("--json", outputs.json_file),
        ("--markdown", outputs.markdown_file),
        ("--latex", outputs.latex_file),
        ("--html", outputs.html_file),
    ):
        check_writable(path, option)
    if outputs.figure is not None:
        check_figure(outputs.figure)
        paper(outputs.preset)  # of which a package may be missing


def finish_with(
    file: str, comparison: EstimatorComparison, outputs: ComparisonOutputs, show_traceback: bool
) -> None:
    """Print the table, write what is asked for, and end with an exit status."""
    show(table(comparison.table()))
    click.echo(f"\n{comparison.explain()}")
    with clear_errors(show_traceback):
        if outputs.figure is not None:
            write_figure(outputs.figure, comparison.plot(preset=outputs.preset))
            click.echo(f"wrote {outputs.figure}")
    finish(
        True,
        show_traceback,
        (outputs.markdown_file, comparison.markdown),
        (outputs.latex_file, comparison.latex),
        (outputs.json_file, lambda: to_json({"file": file, **comparison.as_dict()})),
        (outputs.html_file, lambda: comparison.page(repeat=command_line(None))),
    )


def _compare(
    file: str,
    module: types.ModuleType,
    named: dict[str, str | None],
    names: dict[str, str | None],
    options: dict[str, Any],
) -> EstimatorComparison:
    from_file = read(module, names)
    try:
        values = {key: getattr(module, name) for key, name in from_file.items()}
        estimators = made(_named(module, "estimators", named["estimators"]))
        costs = made(_named(module, "costs", named["costs"], needed=False))
        inputs = made(values.pop("inputs", ()))
        inputs = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
        if "wrt" in values:
            values["wrt"] = made(values["wrt"])
        return compare_estimators(estimators, inputs, costs=costs, **values, **options)
    except FileError:
        raise
    except (Exception, SystemExit) as error:
        raise FileError(blame(error, file, module)) from error


def _named(module: types.ModuleType, default: str, name: str | None, needed: bool = True) -> Any:
    """What a file has under a name.

    Raises:
        FileError: if it has no such name.
    """
    if hasattr(module, name or default):
        return getattr(module, name or default)
    if name is None and not needed:
        return None
    raise FileError(
        f"{module.__file__} has no {name or default!r}: expected a dict of functions by name, or a "
        f"function that makes it; define it there, or name it with --{default}"
    )


def table(rows: SectionTable) -> Table:
    """The table for a terminal, without what has no room there."""
    shown = [place for place, name in enumerate(rows.columns) if name not in ("cost", "seconds")]
    found = Table()
    for place in shown:
        found.add_column(rows.columns[place], justify="left" if place < 2 else "right")
    for row in rows.rows:
        found.add_row(*(row[place] for place in shown))
    return found
