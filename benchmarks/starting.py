"""What starting costs beside starting Python: CPU seconds of a process, with the system's share.

    python benchmarks/starting.py [--rounds R] [--json FILE]

Each row is one process that starts and ends, and two floors are measured in the same run: a process
that does nothing, and one that imports click, as every command must. The rounds are interleaved and
the least of each is taken, which is what a machine that does something else meanwhile disturbs
least. What may not be imported is a test of its own: tests/face/test_starting.py.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

NOTHING, CLICK, PYTEST = "nothing", "import click", "import pytest"


class Start(NamedTuple):
    """A process, the row that is its floor, and CPU seconds that it may cost beside that."""

    arguments: tuple[str, ...]
    floor: str
    beside: float | None = None


STARTS = {
    NOTHING: Start(("-c", "pass"), NOTHING),
    CLICK: Start(("-c", CLICK), NOTHING),
    PYTEST: Start(("-c", PYTEST), NOTHING),
    "import numpy": Start(("-c", "import numpy"), NOTHING),
    "import gradproof": Start(("-c", "import gradproof"), NOTHING, 0.05),
    "the pytest plugin": Start(("-c", f"{PYTEST}; import gradproof.pytest_plugin"), PYTEST, 0.05),
    "gradproof --help": Start(("-m", "gradproof", "--help"), CLICK, 0.25),
    "gradproof --version": Start(("-m", "gradproof", "--version"), CLICK, 0.25),
    "gradproof check --help": Start(("-m", "gradproof", "check", "--help"), CLICK, 0.25),
    "gradproof verify --help": Start(("-m", "gradproof", "verify", "--help"), CLICK),
    "check_estimator": Start(("-c", "import gradproof; gradproof.check_estimator"), NOTHING),
    "verify": Start(("-c", "import gradproof; gradproof.verify"), NOTHING),
}


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    """User and system seconds of one process."""
    command = [sys.executable, *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int) -> list[dict[str, Any]]:
    """All rows, of interleaved rounds."""
    for start in STARTS.values():
        cpu_seconds(start.arguments)  # writes bytecode, and reads files, for the first time
    times = [
        {name: cpu_seconds(start.arguments) for name, start in STARTS.items()}
        for _ in range(rounds)
    ]
    least = {name: min(each[name] for each in times) for name in STARTS}
    rows: list[dict[str, Any]] = []
    for name, start in STARTS.items():
        beside = least[name] - least[start.floor]
        rows.append(
            {
                "start": name,
                "seconds": least[name],
                "floor": start.floor,
                "ratio": least[name] / least[start.floor],
                "beside": beside,
                "goal": start.beside,
                "missed": start.beside is not None and beside > start.beside,
            }
        )
    return rows


def main() -> None:
    """Print a table, and write the record if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds is 1 or more")
    rows = measure(given.rounds)
    print(f"{'':26s}{'CPU s':>8s}{'ratio':>8s}  {'floor':16s}{'beside':>8s}{'goal':>7s}")
    for row in rows:
        goal = "" if row["goal"] is None else f"{row['goal']:.2f}"
        print(
            f"{row['start']:26s}{row['seconds']:8.3f}{row['ratio']:8.1f}  {row['floor']:16s}"
            f"{row['beside']:8.3f}{goal:>7s}{' MISSED' if row['missed'] else ''}"
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
