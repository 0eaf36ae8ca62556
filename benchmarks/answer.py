"""Write what pages say of the records in docs/records, and the figures of them, anew.

They are docs/answer.md, docs/note.md, docs/how-to/many-paths.md, and shares, estimators and
enumeration.svg in docs.

    python benchmarks/answer.py

The commands that made docs/records are in docs/answer.md. What is between two marks of a page is
written here; all else of it is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gradproof.checks.json_records import from_json
from gradproof.checks.variance.record_texts import other_texts
from gradproof.checks.variance.records import EnumerationCost, EstimatorTable, Scaling, Training
from gradproof.cli.figures import save
from gradproof.reports import cost as scaling_report
from gradproof.reports import enumeration_cost
from gradproof.reports.answer import fill, measured_runs
from gradproof.reports.estimator_table import draw as draw_table
from gradproof.reports.estimator_table import layout as layout_table
from gradproof.reports.plain_names import run_name
from gradproof.reports.shares import draw_runs, layout_runs

ROOT = Path(__file__).resolve().parents[1]

#: Records that are of no training run.
OTHERS = ("scaling", "estimators", "enumeration", "llm", "samplers")


def records(folder: Path) -> dict[str, Training]:
    """The training runs of a folder by name; the others are records of another kind."""
    return {
        path.stem: from_json(Training, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stem)
        if path.stem not in OTHERS
    }


def estimator_table(path: Path) -> EstimatorTable | None:
    """The record of estimators side by side, if there is one."""
    if not path.is_file():
        return None
    return from_json(EstimatorTable, path.read_text(encoding="utf-8"))


def write_costs(records: Path) -> None:
    """What moments and enumeration cost: a table in a page each, and the figure of the latter."""
    scaling = from_json(Scaling, (records / "scaling.json").read_text(encoding="utf-8"))
    _rewrite(ROOT / "docs" / "note.md", lambda page: scaling_report.fill(page, scaling))
    cost = from_json(EnumerationCost, (records / "enumeration.json").read_text(encoding="utf-8"))
    page = ROOT / "docs" / "how-to" / "many-paths.md"
    _rewrite(page, lambda page: enumeration_cost.fill(page, cost))
    save(
        str(ROOT / "docs" / "enumeration.svg"),
        enumeration_cost.LAYOUT,
        lambda axes: enumeration_cost.draw(axes, cost),
    )


def _rewrite(path: Path, fill: Callable[[str], str]) -> None:
    path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Write what the records say."""
    write_costs(ROOT / "docs" / "records")
    runs = records(ROOT / "docs" / "records")
    for name, run in runs.items():
        other = other_texts(run, f"docs/records/{name}.json")
        if other is not None:
            print(other)
    table = estimator_table(ROOT / "docs" / "records" / "estimators.json")
    for path in (ROOT / "docs" / "answer.md", ROOT / "docs" / "note.md"):
        page = fill(path.read_text(encoding="utf-8"), runs, table)
        path.write_text(page, encoding="utf-8")
    shown = measured_runs(runs)
    stages = [run.stages for run in shown]
    titles = [run_name(run) for run in shown]
    save(
        str(ROOT / "docs" / "shares.svg"),
        layout_runs(stages),
        lambda axes: draw_runs(axes, stages, titles),
    )
    if table is not None:
        save(
            str(ROOT / "docs" / "estimators.svg"),
            layout_table(table),
            lambda axes: draw_table(axes, table),
        )


if __name__ == "__main__":
    main()
