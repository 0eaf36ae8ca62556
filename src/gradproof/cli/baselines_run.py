"""What ``gradproof baselines`` does: every baseline, at a run's checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gradproof.checks.user.estimator_comparison import EstimatorComparison
from gradproof.checks.variance.compared_baselines import compare_baselines
from gradproof.estimators.training import checkpoint as files
from gradproof.estimators.training.training_options import make_task

from .compare_run import ComparisonOutputs, check_outputs, finish_with
from .console import progress
from .exits import clear_errors
from .train import measured_subjects

#: Told how many sentences are done, of how many, and of what.
Shown = Callable[[int, int, str], None]


def run(
    folder: str,
    step: int | None,
    budget: float,
    outputs: tuple[str | None, str | None, str | None, str | None, str | None, str],
    show_traceback: bool,
) -> None:
    """Compare the baselines on the model in a folder, and end with an exit status.

    Args:
        outputs: what :class:`.compare_run.ComparisonOutputs` is made of.
    """
    written = ComparisonOutputs(*outputs)
    with clear_errors(show_traceback):
        check_outputs(written)
        with progress() as show_progress:
            comparison = compare_trained(folder, step, budget=budget, show=show_progress)
    finish_with(folder, comparison, written, show_traceback)


def compare_trained(
    folder: str, step: int | None, *, budget: float, show: Shown | None
) -> EstimatorComparison:
    """Every baseline on the sentences that the run's record measures them on.

    Args:
        folder: that ``gradproof train`` filled.
        step: of a checkpoint in it; None: the last.

    Raises:
        ValueError: if there is no such checkpoint, or it is of other texts or options.
    """
    steps = files.steps_in(Path(folder))
    if not steps:
        raise ValueError(
            f"{folder} holds no checkpoint; `gradproof train --folder {folder}` leaves some"
        )
    if step is not None and step not in steps:
        raise ValueError(
            f"{folder} has no checkpoint of step {step}; it has {', '.join(map(str, steps))}"
        )
    path = files.path_of(Path(folder), steps[-1] if step is None else step)
    point = files.read(path)
    task = make_task(point.options)
    files.check(point, task, path)
    sentences = point.schedule.sentences
    train, held_out, rng = measured_subjects(task, point.state.parameters, sentences)

    def one_done(done: int, total: int) -> None:
        if show is not None:
            show(done, total, "sentences")

    return compare_baselines(train, held_out, rng=rng, budget=budget, progress=one_done)
