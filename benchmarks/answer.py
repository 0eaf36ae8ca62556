"""Write docs/answer.md, the README and docs/shares.svg anew, from the records in docs/records.

    python benchmarks/answer.py

The commands that made the records are in docs/answer.md. What is between two marks of a page is
written here; all else of it is left alone.
"""

from __future__ import annotations

from pathlib import Path

from gradproof.checks.json_records import from_json
from gradproof.checks.variance.record_texts import other_texts
from gradproof.checks.variance.records import Training
from gradproof.cli.figures import save
from gradproof.reports.answer import fill, measured_runs, title
from gradproof.reports.shares import draw_runs, layout_runs

ROOT = Path(__file__).resolve().parents[1]


def records(folder: Path) -> dict[str, Training]:
    """The training runs of a folder by name; those of cost are records of another kind."""
    return {
        path.stem: from_json(Training, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stem)
        if path.stem != "scaling"
    }


def main() -> None:
    """Write what the records say."""
    runs = records(ROOT / "docs" / "records")
    for name, run in runs.items():
        other = other_texts(run, f"docs/records/{name}.json")
        if other is not None:
            print(other)
    for path in (ROOT / "docs" / "answer.md", ROOT / "README.md"):
        path.write_text(fill(path.read_text(encoding="utf-8"), runs), encoding="utf-8")
    shown = measured_runs(runs)
    stages = [run.stages for run in shown]
    titles = [title(run) for run in shown]
    save(
        str(ROOT / "docs" / "shares.svg"),
        layout_runs(stages),
        lambda axes: draw_runs(axes, stages, titles),
    )


if __name__ == "__main__":
    main()
