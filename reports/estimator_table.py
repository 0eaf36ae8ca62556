"""Estimators side by side: seconds, accuracy, exact variance and bias, as a table and a figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradproof.checks.variance.records import EstimatorRun, EstimatorStage, EstimatorTable

from .plain_names import data_name
from .style import PAGE, FigureLayout, line_style

#: Names of the rows by estimator and baseline, in the order of the table.
NAMES: dict[tuple[str, str], str] = {
    ("enumeration", "none"): "enumeration",
    ("s1", "per-token"): "S1, b·\\|x\\|",
    ("s1-normalised", "mean-loss"): "S1-normalised (biased)",
    ("s2", "none"): "S2 (biased for K > 2)",
    ("no-baseline", "none"): "no baseline",
    ("sampled", "affine-both"): "ours, affine in both",
    ("sampled", "expected-return"): "ours, E[R\\|x]",
}

#: Columns of a line of prose.
WIDTH = 120


def corpora(table: EstimatorTable) -> list[tuple[str, int]]:
    """The corpora of a record, and K of each."""
    return list(dict.fromkeys((run.data, run.classes) for run in table.runs))


def write_tables(table: EstimatorTable) -> str:
    """A table for each corpus, and what the runs were."""
    said = ", ".join(f"{name} {value}" for name, value in table.options.items())
    parts = [
        textwrap.fill(
            f"Each run had {table.budget:g} seconds of one processor for its steps "
            f"({table.machine}; {said}); of several seeds the mean is written; moments are of "
            f"{table.sentences} held-out sentences, at the start, half way and at the end.",
            WIDTH,
            break_on_hyphens=False,
        )
    ]
    return "\n\n".join([*parts, *(_table_of(table, *one) for one in corpora(table))])


def _table_of(table: EstimatorTable, data: str, classes: int) -> str:
    same = _equal_steps(table, data)
    seeds = len({run.seed for run in table.runs if run.data == data})
    head = [
        f"{data}, K = {classes}, {seeds} seed{'' if seeds == 1 else 's'}",
        "seconds a step",
        "steps",
        f"accuracy after {same:,} steps",
        "accuracy in equal seconds",
        "variance / without baseline",
        "cosine",
        "cosine, w",
    ]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for key, name in NAMES.items():
        runs = table.of(data, *key)
        if runs:
            rows.append([name, *_cells(runs, same)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _equal_steps(table: EstimatorTable, data: str) -> int:
    """The last step after which every run of a corpus was looked at."""
    looked = [set(run.steps.tolist()) for run in table.runs if run.data == data]
    return int(max(set.intersection(*looked)))


def _cells(runs: Sequence[EstimatorRun], same: int) -> list[str]:
    at_same = [run.accuracy[np.flatnonzero(run.steps == same)[0]] for run in runs]
    return [
        f"{_seconds_per_step(runs):.3g}",
        f"{np.mean([run.steps[-1] for run in runs]):,.0f}",
        f"{np.mean(at_same):.3f}",
        f"{np.mean([run.accuracy[-1] for run in runs]):.3f}",
        _stages(runs, lambda stage: stage.variance / stage.without, "{:.2g}"),
        _stages(runs, lambda stage: stage.cosine, "{:.3f}"),
        _stages(runs, lambda stage: stage.cosine_w, "{:.3f}"),
    ]


def _stages(
    runs: Sequence[EstimatorRun], value: Callable[[EstimatorStage], float], form: str
) -> str:
    """The geometric mean, if positive, of a number over seeds, at each stage."""
    said = []
    for stages in zip(*(run.stages for run in runs), strict=False):
        values = np.array([value(stage) for stage in stages])
        positive = bool((values > 0.0).all())
        mean = math.exp(np.log(values).mean()) if positive else float(values.mean())
        said.append(form.format(mean))
    return " / ".join(said)


def write_sentence(table: EstimatorTable) -> str:
    """Where one sampled label pays off, and by how much, in a sentence."""
    parts = []
    for data, classes in corpora(table):
        enumerated = table.of(data, "enumeration", "none")
        ours = {
            key: table.of(data, *key)
            for key in NAMES
            if key[0] == "sampled" and table.of(data, *key)
        }
        if not enumerated or not ours:
            continue
        best = max(ours, key=lambda key: _end(ours[key]))
        times = _seconds_per_step(enumerated) / _seconds_per_step(ours[best])
        name = NAMES[best].removeprefix("ours, ")
        parts.append(
            f"{_end(ours[best]):.3f} with one label ({name}) against {_end(enumerated):.3f} by "
            f"enumeration on {data} (K = {classes}), with {_times(times)} as many steps"
        )
    said = f"In {table.budget:g} seconds of steps accuracy comes to {'; '.join(parts)}."
    return textwrap.fill(said, WIDTH, break_on_hyphens=False)


def _end(runs: Sequence[EstimatorRun]) -> float:
    return float(np.mean([run.accuracy[-1] for run in runs]))


def _seconds_per_step(runs: Sequence[EstimatorRun]) -> float:
    return float(np.mean([run.seconds_per_step for run in runs]))


def _times(factor: float) -> str:
    return f"{factor:.1f} times" if factor < 10.0 else f"{factor:,.0f} times"


def layout(table: EstimatorTable) -> FigureLayout:
    """A panel for each corpus."""
    return FigureLayout(PAGE, 2.6, columns=len(corpora(table)), share_y=True)


def mean_curve(runs: Sequence[EstimatorRun]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and accuracy, mean over seeds, after each number of steps that all were looked at.

    Seeds end after numbers of steps that differ by a few: the last points are put together.

    Shape: (S,), (S,).
    """
    steps = sorted(set.intersection(*(set(run.steps[:-1].tolist()) for run in runs)) - {0})
    places = [[int(np.flatnonzero(run.steps == step)[0]) for step in steps] + [-1] for run in runs]
    seconds = [run.seconds[place] for run, place in zip(runs, places, strict=True)]
    accuracy = [run.accuracy[place] for run, place in zip(runs, places, strict=True)]
    return np.mean(seconds, axis=0), np.mean(accuracy, axis=0)


def draw(axes: Any, table: EstimatorTable) -> Any:
    """Draw accuracy against seconds, a panel for each corpus and a line for each row.

    Args:
        axes: one of matplotlib, or as many as there are corpora; returned.
    """
    panels = np.atleast_1d(axes)
    for panel, (data, classes) in zip(panels, corpora(table), strict=True):
        for place, (key, name) in enumerate(NAMES.items()):
            runs = table.of(data, *key)
            if runs:
                seconds, accuracy = mean_curve(runs)
                style = line_style(place) | {"lw": 0.9, "ms": 2.2}
                panel.plot(seconds, accuracy, label=name.replace("\\", ""), **style)
        panel.set_xscale("log")
        panel.set_ylim(0.0, 1.0)
        panel.set_xlabel("seconds of steps")
        panel.set_title(f"{data_name(data)} (K = {classes})", loc="left")
    seeds = len({run.seed for run in table.runs})
    panels[0].set_ylabel("accuracy, held out" + (f", mean of {seeds} seeds" if seeds > 1 else ""))
    panels[0].figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center",
                            ncols=4, frameon=False)  # fmt: skip
    return axes
