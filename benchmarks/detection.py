"""Write docs/benchmark.md and docs/detection.svg anew, from the record in docs/benchmark.json.

    gradproof benchmark --right-runs 102 --bug-runs 4 --json docs/benchmark.json
    python benchmarks/detection.py

What is between two marks of the page is written here; all else of it is left alone.
"""

from __future__ import annotations

from pathlib import Path

from gradproof.checks.benchmark.results import BenchmarkResult
from gradproof.checks.json_records import from_json
from gradproof.cli.figures import save
from gradproof.reports.detection import fill
from gradproof.reports.detection_figure import LAYOUT, draw

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write what the record says."""
    result = from_json(
        BenchmarkResult, (ROOT / "docs" / "benchmark.json").read_text(encoding="utf-8")
    )
    page = ROOT / "docs" / "benchmark.md"
    page.write_text(fill(page.read_text(encoding="utf-8"), result), encoding="utf-8")
    save(str(ROOT / "docs" / "detection.svg"), LAYOUT, lambda panels: draw(panels, result))


if __name__ == "__main__":
    main()
