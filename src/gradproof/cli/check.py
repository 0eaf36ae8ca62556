"""``gradproof check``: a user's gradient estimator from a file, run on every path."""

from __future__ import annotations

import inspect
import math
import re
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from gradproof.checks.evidence import entry as name_entry
from gradproof.checks.published_records import CHECK, published_fields, to_record
from gradproof.checks.sequential.wealth import ALPHA
from gradproof.checks.user.estimator import check_estimator
from gradproof.checks.user.estimator_report import EstimatorReport
from gradproof.checks.user.plotted_report import locate
from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.run import MOST_PATHS
from gradproof.reports.paper_sizes import PRESETS, paper
from gradproof.reports.report_figure import plot

from . import options, user_file
from .console import check_writable, clear_errors, finish, progress, show
from .figures import check_figure, write_figure
from .repeat import command_line
from .user_file import FileError

#: What a file may give besides the estimator; each is an option too, and its own default.
GIVEN = {
    "exact": "The exact gradient: its value, or a function of the inputs that returns it.",
    "objective": "Instead of it: draws, and returns the cost of one draw; or a dict of such.",
    "inputs": "A tuple, or a function that makes it: what the estimator is called with.",
    "wrt": "The module or tensors whose gradients are read, if not in the inputs.",
    "reset": "Called before each run, to forget what the last one left.",
}

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


def _file_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option of the command for each thing that a file may give."""
    for key, text in reversed(GIVEN.items()):
        shown = f"{text}  [default: {key}, if it is there]"
        command = click.option(f"--{key}", metavar="NAME", help=shown)(command)
    return command


@click.command("check")
@options.TARGET
@options.NEW
@_file_options
@click.option(
    "--paths",
    type=click.IntRange(min=1),
    default=MOST_PATHS,
    show_default=True,
    help="Paths, each an outcome of all draws, that may be run at most.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=0),
    default=0,
    show_default="none, and what cannot be enumerated is an error",
    help="Samples that may be taken where draws cannot be enumerated.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    default=ALPHA,
    show_default=True,
    help="Probability of a false alarm, of a sampled verdict.",
)
@click.option(
    "--rarest",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    show_default="0.001, or what is seen of the draws",
    help="Least probability of an outcome that a sampled verdict allows for.",
)
@click.option(
    "--bounds",
    type=(float, float),
    metavar="LOW HIGH",
    help="Between which every entry of one estimate lies: no range is learnt from samples then.",
)
@click.option("--sd", type=float, help="Instead, what no entry's standard deviation exceeds.")
@click.option(
    "--half-length",
    type=float,
    show_default="by the noise",
    help="Of segments, where an objective is sampled too: how far parameters are moved.",
)
@click.option(
    "--fast",
    is_flag=True,
    help="Compare one random direction instead of each entry; with an objective only.",
)
@options.SEED
@options.JSON
@options.HTML
@click.option(
    "--figure", metavar="PATH", help="Draw the report here: .svg, .png, .pdf, or .pgf with LaTeX."
)
@click.option(
    "--entry", metavar="ENTRY", help='Of the figure, such as "W[0, 3]".  [default: the worst]'
)
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default="page",
    show_default=True,
    help="Size and fonts of the figure: of a paper in two columns, or a conference's.",
)
@options.TRACEBACK
def command(
    target: str | None,
    new_file: str | None,
    paths: int,
    draws: int,
    alpha: float,
    rarest: float | None,
    bounds: tuple[float, float] | None,
    sd: float | None,
    half_length: float | None,
    fast: bool,
    seed: int | None,
    json_file: str | None,
    html_file: str | None,
    figure: str | None,
    entry: str | None,
    preset: str,
    show_traceback: bool,
    **names: str | None,
) -> None:
    """Is a gradient estimator of your own unbiased: is its mean the gradient it estimates?

    NAME in FILE.py is a function or a class. It draws, with PyTorch or NumPy, and returns
    gradients, or a surrogate to be differentiated, or leaves gradients in .grad. The file also says
    what they should be: the gradient itself (exact), or what draws and returns a cost (objective).
    `--new FILE.py` writes one to begin with.

    The estimator is run as it is, once for every outcome of its draws, and each run is weighted by
    its probability: mean and standard deviation are exact, and a verdict has no false alarm in it.
    The table has the worst entry of each parameter; a bound is what rounding can explain.
    --figure draws all entries, standard deviations, every estimate of one entry, and the outcomes
    with the largest shares of its bias, which are printed in words as well.

    With --draws an estimator that cannot be enumerated, since it draws normal numbers or too much
    at once, is sampled until its mean is refuted or there are as many draws. What is printed says
    what the verdict rests on; a bound is the smallest bias that would have been seen then. An
    objective that cannot be enumerated is sampled as well, and slopes are compared along three
    random directions, on segments around the parameters.

    Exit status: 0 if it is unbiased, 1 if not, or if rounding hides it, 2 if it
    cannot be checked, 130 if it was interrupted.
    """
    with clear_errors(show_traceback):
        target = user_file.target_of(target, new_file, TEMPLATE, "check", "reinforce")
        if target is None:
            return
        check_writable(json_file)
        check_writable(html_file, "--html")
        if figure is not None:
            check_figure(figure)
            paper(preset)  # of which a package may be missing
        estimate, module = user_file.load(target, "check", "reinforce")
        from_file = read(module, names)
        with progress() as show_progress:
            limits = {
                "paths": paths,
                "draws": draws,
                "alpha": alpha,
                "rarest": rarest,
                "bounds": bounds,
                "sd": sd,
                "half_length": half_length,
                "fast": fast,
                "seed": seed,
            }
            limits["keep_paths"] = figure is not None
            report = _check(target, estimate, module, from_file, limits, show_progress)
    show(table(report))
    click.echo(f"\n{report.explain()}")
    click.echo(f"From the file, too: {', '.join(from_file.values())}.")
    with clear_errors(show_traceback):
        if figure is not None:
            write_figure(figure, plot(report, entry=entry, preset=preset))
            click.echo(_draw_words(report, entry, figure))
    finish(
        report.unbiased,
        show_traceback,
        (json_file, lambda: record_of(report, target)),
        (html_file, lambda: report.page(repeat=command_line(report.seed))),
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
        inputs = _make(values.pop("inputs", ()))
        inputs = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
        for called in (
            name,
            *(from_file[key] for key in ("exact", "objective") if key in from_file),
        ):
            _check_call(called, getattr(module, called), inputs)
        if "wrt" in values:
            values["wrt"] = _make(values["wrt"])
        return check_estimator(estimate, inputs, **values, **limits, name=name, progress=progress)
    except FileError:
        raise
    except (Exception, SystemExit) as error:
        raise FileError(blame(error, target, module)) from error


def _make(value: Any) -> Any:
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
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == module.__file__]
    place = f"{target.rpartition(':')[0]}:{lines[-1]}" if lines else target
    # Ours are also those about what came out, which are raised where the user's code has ended.
    ours = isinstance(error, GradproofError) or (not lines and _is_ours(error))
    kind = "" if ours else f"raised {type(error).__name__}: "
    said = str(error) or "without a message"
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    # The library's arguments are the command's options.
    said = (said + notes).replace("fast=True", "--fast")
    said = said.replace("half_length=", "half-length=")
    options = "|".join((*GIVEN, "paths", "draws", "rarest", "bounds", "sd", "half-length"))
    said = re.sub(rf"\b({options})=(?![\w'\"])", r"--\1", said)
    return f"{place}: {kind}{said}" + ("" if ours else "; --traceback shows more")


def _is_ours(error: BaseException) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and str(last.tb_frame.f_globals.get("__name__")).startswith("gradproof")


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
