"""The checks of a session of tests, as a record and as the sections of a page."""

from __future__ import annotations

import dataclasses

from ..evidence import HOLDS
from ..section import Section, SectionTable
from .sections import small

#: The verdicts of a page that are none on an estimator.
NOT_CHECKED, PASSED, FAILED = "not checked", "tests passed", "tests failed"
NOTHING_CHECKED = "nothing checked"


@dataclasses.dataclass(frozen=True)
class SessionCheck:
    """One check that a test made; ``error`` is why it could not be, and ``verdict`` empty then.

    ``test`` is the test's name and ``failed`` whether it failed. ``worst`` is the entry that is
    ``off`` most in units of its ``bound``, and ``ratio`` how much that is. ``detectable``,
    ``condition`` and ``alpha`` are of checks that sample, and ``along`` of those that compare one
    direction only. ``check`` is the function or the test that made it, and ``seconds`` what it
    took.
    """

    test: str
    failed: bool
    name: str
    verdict: str = ""
    method: str = ""
    paths: int = 0
    draws: int = 0
    worst: str = ""
    off: float = 0.0
    bound: float = 0.0
    ratio: float = 0.0
    detectable: float = 0.0
    condition: str = ""
    along: str = ""
    alpha: float = 0.0
    error: str = ""
    check: str = ""
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class SessionRecord:
    """All checks of a session, by the names of their tests, and the session's seed."""

    seed: int
    checks: tuple[SessionCheck, ...]


def session_section(record: SessionRecord) -> Section:
    """The table of all checks."""
    columns = (
        "test",
        "estimator",
        "verdict",
        "off by",
        "bound",
        "paths or draws",
        "test's outcome",
    )
    rows = tuple(
        (
            check.test,
            check.name,
            f"{check.verdict} {check.along}".strip() or NOT_CHECKED,
            small(check.off) if check.verdict else "-",
            small(check.bound) if check.verdict else "-",
            f"{check.paths or check.draws:,}" if check.verdict else "-",
            "failed" if check.failed else "passed",
        )
        for check in record.checks
    )
    held = sum(check.verdict == HOLDS for check in record.checks)
    verdict = FAILED if any(check.failed for check in record.checks) else PASSED
    return Section(
        "Gradient estimators",
        verdict if rows else NOTHING_CHECKED,
        f"{held} of {len(rows)} checks hold",
        facts=(("seed", str(record.seed)),),
        tables=(SectionTable("Checks", columns, rows),),
    )


def error_section(name: str, error: str, snippet: str) -> Section:
    """An estimator that could not be checked: refused, or its own code raised an error."""
    first, *others = error.splitlines() or [""]
    return Section(name, NOT_CHECKED, first, tuple(others), snippet=snippet)


def titled(section: Section, test: str) -> Section:
    """The section of a check, under the name of its test."""
    title = f"{test}: {section.title}"
    return dataclasses.replace(section, title=title)
