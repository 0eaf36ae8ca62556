"""Write docs/benchmark.md and the README's table anew, from the record in docs/benchmark.json.

    gradproof benchmark --right-runs 102 --bug-runs 4 --json docs/benchmark.json
    python benchmarks/detection.py

What is between two marks of a page is written here; all else of it is left alone.
"""

from __future__ import annotations

from pathlib import Path

from gradproof.checks.benchmark.results import BenchmarkResult
from gradproof.checks.json_records import from_json
from gradproof.reports.detection import fill

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write what the record says."""
    result = from_json(
        BenchmarkResult, (ROOT / "docs" / "benchmark.json").read_text(encoding="utf-8")
    )
    for path in (ROOT / "docs" / "benchmark.md", ROOT / "README.md"):
        path.write_text(fill(path.read_text(encoding="utf-8"), result), encoding="utf-8")


if __name__ == "__main__":
    main()
