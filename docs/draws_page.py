"""The page of draws: what can be said of each sampler of each library, from the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("records") / "samplers.json"

#: What the record says of code that uses what is drawn, and of code that only compares it.
WORDS = {"enumerated": "enumerated", "integrated": "integrated", "refused": "sampled only"}

HEAD = """# What is drawn, and what can be said of it

{count} samplers of {libraries} libraries, each tried by a program. A column says what becomes of
code that

- *uses* what is drawn, as a number: it is **enumerated**, that is run on every outcome; or
  **integrated**, with `check_estimator(..., integrate=1e-6)`; or it can be **sampled only**
  (`draws=`), and is an `UnsupportedDraw` without that;
- *compares* it, as in `x < c`, and does nothing else with it: **enumerated** means that each side's
  probability is exact.

What is enumerated or integrated was compared with 2,000 draws of the library's own sampler, within
five standard deviations, and its mean with a formula where the program has one. Parameters are
scalars or short vectors: an integral over more numbers takes more paths.
[Your own framework or draw](../how-to/own-draws.md) says what to do about the others.

Versions: {versions}. `python benchmarks/samplers.py` writes the record anew, of which this page is
made.

<input class="filter" type="search" placeholder="Filter: gamma, numpy, integrated …"
 aria-label="Filter the samplers"> <span class="filter-count" role="status"></span>
"""


def pages() -> dict[str, str]:
    """The page, by its path."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    answers = record["answers"]
    libraries = list(dict.fromkeys(answer["library"] for answer in answers))
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    head = HEAD.format(count=len(answers), libraries=len(libraries), versions=versions)
    lines = [
        head,
        "| library | sampler | used | compared | why it is not enumerated |",
        "|---|---|---|---|---|",
        *map(row, answers),
    ]
    return {"reference/draws.md": "\n".join(lines) + "\n"}


def row(answer: dict[str, Any]) -> str:
    """The line of one sampler."""
    compared = "enumerated" if answer["comparisons"] else "-"
    reason = answer["reason"].replace("|", "\\|").replace("<", "&lt;").replace("_", "\\_")
    cells = answer["library"], f"`{answer['sampler']}`", WORDS[answer["value"]], compared, reason
    return f"| {' | '.join(cells)} |"
