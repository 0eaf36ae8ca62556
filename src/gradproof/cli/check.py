"""``gradproof check``: a user's gradient estimator from a file, run on every path."""

from __future__ import annotations

from collections.abc import Callable

import click

from gradproof.checks.sequential.error_rates import ALPHA

from . import options

#: What a file may give besides the estimator; each is an option too, and its own default.
GIVEN = {
    "exact": "The exact gradient: its value, or a function of the inputs that returns it.",
    "objective": "Instead of it: draws, and returns the cost of one draw; or a dict of such.",
    "inputs": "A tuple, or a function that makes it: what the estimator is called with.",
    "wrt": "The module or tensors whose gradients are read, if not in the inputs.",
    "reset": "Called before each run, to forget what the last one left.",
}


def file_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option of the command for each thing that a file may give."""
    for key, text in reversed(GIVEN.items()):
        shown = f"{text}  [default: {key}, if it is there]"
        command = click.option(f"--{key}", metavar="NAME", help=shown)(command)
    return command


@click.command("check")
@options.TARGET
@options.NEW
@click.option(
    "--template",
    type=click.Choice(("reinforce", "policy")),
    default="reinforce",
    show_default=True,
    help="Which one --new writes: policy is a small language model with a loss on groups.",
)
@file_options
@options.PATHS
@click.option(
    "--strategy",
    type=click.Choice(("all", "heaviest", "quasi")),
    default="all",
    show_default=True,
    help="heaviest: where there are more paths, run the most probable, and draw from the others. "
    "quasi: of continuous numbers take random nets of points, as many as --draws.",
)
@click.option(
    "--judge",
    type=click.Choice(("equality", "direction")),
    default="equality",
    show_default=True,
    help="direction: a positive multiple of the exact gradient will do.",
)
@options.INTEGRATE
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
@click.option(
    "--exchangeable",
    is_flag=True,
    help="The order of draws of one call does not matter: enumerate how often each outcome comes.",
)
@click.option(
    "--additive",
    is_flag=True,
    help="The estimate is a sum of terms of one draw each: change one draw at a time.",
)
@options.SEED
@options.PATH_JOBS
@options.JSON
@options.HTML
@click.option(
    "--figure", metavar="PATH", help="Draw the report here: .svg, .png, .pdf, or .pgf with LaTeX."
)
@click.option(
    "--entry", metavar="ENTRY", help='Of the figure, such as "W[0, 3]".  [default: the worst]'
)
@options.PRESET
@options.TRACEBACK
def command(
    target: str | None,
    new_file: str | None,
    template: str,
    paths: int,
    strategy: str,
    judge: str,
    integrate: float | None,
    draws: int,
    alpha: float,
    rarest: float | None,
    bounds: tuple[float, float] | None,
    sd: float | None,
    half_length: float | None,
    fast: bool,
    exchangeable: bool,
    additive: bool,
    seed: int | None,
    jobs: int,
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
    random directions, on segments around the parameters. With --strategy heaviest the most
    probable paths are run, up to --paths, and --draws are drawn from the others. With --strategy
    quasi continuous numbers are those of --draws random nets of points, of --paths in all.

    Exit status: 0 if it is unbiased (or as --judge says), 1 if not, or if rounding hides it, 2 if
    it cannot be checked, 130 if it was interrupted.
    """
    from . import check_run

    limits = {
        "paths": paths,
        "strategy": strategy,
        "judge": judge,
        "integrate": integrate,
        "draws": draws,
        "alpha": alpha,
        "rarest": rarest,
        "bounds": bounds,
        "sd": sd,
        "half_length": half_length,
        "fast": fast,
        "exchangeable": exchangeable,
        "additive": additive,
        "seed": seed,
        "jobs": jobs,
    }
    outputs = check_run.Outputs(json_file, html_file, figure, entry, preset)
    check_run.run(target, new_file, template, names, limits, outputs, show_traceback)
