"""What ``gradproof check`` does: it reads the file, runs the check and shows the report."""

from __future__ import annotations

import inspect
import math
import re
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import click
from rich.table import Table
from rich.text import Text

from gradproof.checks.evidence import entry as name_entry
from gradproof.checks.published_records import CHECK, published_fields, to_record
from gradproof.checks.user.estimator import check_estimator
from gradproof.checks.user.estimator_report import EstimatorReport
from gradproof.checks.user.plotted_report import locate
from gradproof.errors import GradproofError
from gradproof.estimators.workers import frames_of
from gradproof.reports.paper_sizes import paper
from gradproof.reports.report_figure import plot

from . import user_file
from .check import GIVEN
from .console import check_writable, finish, progress, show
from .exits import clear_errors
from .figures import check_figure, write_figure
from .policy_template import POLICY
from .repeat import command_line
from .user_file import FileError

TEMPLATE = '''"""A gradient estimator for `gradproof check {file}:reinforce`."""

import numpy as np

rng = np.random.default_rng()
costs = np.array([1.0, 3.0, 2.0])

#: What the functions below are called with, an entry for each argument.
inputs = (np.array([0.3, -0.2, 0.5]),)


def softmax(logits):
    """Probabilities of the outcomes."""
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def reinforce(logits):
    """Draws, and returns one estimate of the gradient; it is run once for every outcome.

    Return an array, or a dictionary, list or dataclass of them. With PyTorch, let the inputs be
    tensors that require gradients, or name a module with `wrt = module`; return gradients or a
    surrogate to be differentiated, or call backward() and return nothing.
    """
    probabilities = softmax(logits)
    outcome = rng.choice(len(probabilities), p=probabilities)
    score = np.eye(len(probabilities))[outcome] - probabilities
    return (costs[outcome] - 2.0) * score  # 2.0 is the baseline


def objective(logits):
    """Draws, and returns the cost of one draw: its mean is what the gradient should be of."""
    return costs[rng.choice(len(costs), p=softmax(logits))]


# Where the exact gradient is known, it is better than the objective, and is used instead:
#
# def exact(logits):
#     probabilities = softmax(logits)
#     return probabilities * (costs - probabilities @ costs)
#
# An estimator that keeps something from one run to the next needs a function that forgets it:
#
# def reset(): ...
'''


#: What ``--new`` writes, and the name in it that is tried first.
TEMPLATES = {"reinforce": (TEMPLATE, "reinforce"), "policy": (POLICY, "loss")}


class Outputs(NamedTuple):
    """Files to write, None where none is asked for, and what of the report is drawn."""

    json_file: str | None
    html_file: str | None
    figure: str | None
    entry: str | None
    preset: str


def run(
    target: str | None,
    new_file: str | None,
    template: str,
    names: dict[str, str | None],
    limits: dict[str, Any],
    outputs: Outputs,
    show_traceback: bool,
) -> None:
    """Check the estimator of a file, or write a template of one, and end with an exit status.

    Args:
        template: that is written if ``new_file`` is given.
        names: what the file's names are for, by option.
        limits: what is passed to :func:`gradproof.check_estimator`.
    """
    figure = outputs.figure
    with clear_errors(show_traceback):
        text, tried = TEMPLATES[template]
        target = user_file.target_of(target, new_file, text, "check", tried)
        if target is None:
            return
        check_writable(outputs.json_file)
        check_writable(outputs.html_file, "--html")
        if figure is not None:
            check_figure(figure)
            paper(outputs.preset)  # of which a package may be missing
        estimate, module = user_file.load(target, "check", "reinforce")
        from_file = read(module, names)
        with progress() as show_progress:
            limits = limits | {"keep_paths": figure is not None}
            report = _check(target, estimate, module, from_file, limits, show_progress)
    show(table(report))
    click.echo(f"\n{report.explain()}")
    click.echo(f"From the file, too: {', '.join(from_file.values())}.")
    with clear_errors(show_traceback):
        if figure is not None:
            drawn = plot(report, entry=outputs.entry, preset=outputs.preset)
            write_figure(figure, drawn)
            click.echo(_draw_words(report, outputs.entry, figure))
    finish(
        report.accepted,
        show_traceback,
        (outputs.json_file, lambda: record_of(report, target)),
        (outputs.html_file, lambda: report.page(repeat=command_line(report.seed))),
    )


def _draw_words(report: EstimatorReport, entry: str | None, file: str) -> str:
    """What was drawn, and the guilty paths in words."""
    lines = [f"wrote {file}"]
    if report.law is not None:
        name, index = locate(entry, report.ratios)
        paths = report.guilty_paths((name, index))
        lines += [f"{name_entry(name, index)}: {path}" for path in paths]
    return "\n".join(lines)


def read(module: types.ModuleType, names: dict[str, str | None]) -> dict[str, str]:
    """The names of what a file gives, by what it is.

    Raises:
        FileError: if an option names something that is missing, or nothing says what the
            gradient should be.
    """
    from_file = {}
    for key, name in names.items():
        if hasattr(module, name or key):
            from_file[key] = name or key
        elif name is not None:
            raise FileError(
                f"{module.__file__} has no {name!r}, which --{key} names; define it there"
            )
    if names["exact"] and names["objective"]:
        raise FileError("give one of --exact and --objective: each says what the gradient is")
    if "exact" in from_file and "objective" in from_file:
        del from_file["exact" if names["objective"] else "objective"]
    if not {"exact", "objective"} & from_file.keys():
        raise FileError(
            f"{module.__file__} does not say what the gradient should be: let it have `exact` (the "
            "gradient, or a function that returns it) or `objective` (draws, and returns a cost), "
            "or name them with --exact or --objective"
        )
    return from_file


def _check(
    target: str,
    estimate: Callable[..., Any],
    module: types.ModuleType,
    from_file: dict[str, str],
    limits: Mapping[str, Any],
    progress: Callable[[int, int, str], None] | None,
) -> EstimatorReport:
    name = target.rpartition(":")[2]
    values = {key: getattr(module, named) for key, named in from_file.items()}
    try:
        inputs = made(values.pop("inputs", ()))
        inputs = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
        for called in (
            name,
            *(from_file[key] for key in ("exact", "objective") if key in from_file),
        ):
            _check_call(called, getattr(module, called), inputs)
        if "wrt" in values:
            values["wrt"] = made(values["wrt"])
        return check_estimator(estimate, inputs, **values, **limits, name=name, progress=progress)
    except FileError:
        raise
    except (Exception, SystemExit) as error:
        raise FileError(blame(error, target, module)) from error


def made(value: Any) -> Any:
    """What a function of the file makes; a module of PyTorch is no such function."""
    return value() if isinstance(value, types.FunctionType) else value


def _check_call(name: str, function: Any, inputs: tuple[Any, ...]) -> None:
    """Find out that there are too few inputs, or too many, before a run does.

    Raises:
        FileError: if there are.
    """
    if not isinstance(function, types.FunctionType):
        return  # a value, or an object, whose own message must do
    try:
        inspect.signature(function).bind(*inputs)
    except TypeError as error:
        count = f"{len(inputs)} input{'' if len(inputs) == 1 else 's'}"
        raise FileError(
            f"{name}{inspect.signature(function)} cannot be called with {count}: {error}; give "
            "them as `inputs = (...)` in the file, or with --inputs NAME"
        ) from error


def blame(error: BaseException, target: str, module: types.ModuleType) -> str:
    """One message: where in the file, what, after which draws."""
    frames = frames_of(error)
    lines = [frame.line for frame in frames if frame.file == module.__file__]
    place = f"{target.rpartition(':')[0]}:{lines[-1]}" if lines else target
    # Ours are also those about what came out, which are raised where the user's code has ended.
    is_last_ours = bool(frames) and frames[-1].module.startswith("gradproof")
    ours = isinstance(error, GradproofError) or (not lines and is_last_ours)
    kind = "" if ours else f"raised {type(error).__name__}: "
    said = str(error) or "without a message"
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    # The library's arguments are the command's options.
    said = (said + notes).replace("fast=True", "--fast")
    said = said.replace("half_length=", "half-length=")
    said = re.sub(r"strategy='(\w+)'", r"--strategy \1", said)
    said = re.sub(r"\b(exchangeable|additive)=True", r"--\1", said)
    given = (*GIVEN, "paths", "integrate", "draws", "rarest", "jobs", "bounds", "sd", "half-length")
    options = "|".join(given)
    said = re.sub(rf"\b({options})=(?![\w'\"])", r"--\1", said)
    return f"{place}: {kind}{said}" + ("" if ours else "; --traceback shows more")


def table(report: EstimatorReport) -> Table:
    """The worst entry of each parameter."""
    worst = Table()
    for column in ("parameter", "mean", "exact", "error", "bound", "standard deviation"):
        worst.add_column(column, justify="left" if column == "parameter" else "right")
    for one in report.comparisons:
        mean, exact = report.mean[one.what], report.exact[one.what]
        if not mean.size:
            continue
        at = one.index
        entry = f"[{', '.join(map(str, at))}]" if at else ""
        spread = math.sqrt(report.variance[one.what][at])
        worst.add_row(
            Text(f"{one.what}{entry}"),
            f"{mean[at]:.6e}",
            f"{exact[at]:.6e}",
            f"{one.error:.1e}",
            f"{one.bound:.1e}",
            f"{spread:.3e}",
        )
    return worst


def record_of(report: EstimatorReport, target: str) -> str:
    """The whole record, as JSON."""
    fields = {name: getattr(report, name) for name in published_fields(report)}
    return to_record(CHECK, {"target": target, "unbiased": report.unbiased, **fields})
