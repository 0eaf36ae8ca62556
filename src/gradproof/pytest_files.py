"""The files of ``--gradproof-html`` and ``--gradproof-json``: all checks of a session.

The plugin loads this module where one of them is asked for, and no worker does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest  # type: ignore[import-not-found,unused-ignore]

from gradproof.checks.published_records import SESSION as RECORD
from gradproof.checks.published_records import to_record
from gradproof.checks.section import Section
from gradproof.checks.user.session import (
    SessionCheck,
    SessionRecord,
    error_section,
    session_section,
    titled,
)
from gradproof.cli.console import check_writable, write_whole
from gradproof.reports import html

from .pytest_plugin import SESSION
from .recorded_checks import FOR_PAGES, Facts


def check_files(config: Any) -> None:
    """Find out that a file cannot be written before any test is run.

    Raises:
        UsageError: if it cannot be.
    """
    for option, name, _ in _files(config):
        try:
            check_writable(name, option)
        except OSError as error:
            raise pytest.UsageError(f"{option}: {error}") from error


def pytest_sessionfinish(session: Any) -> None:
    """Write what was found."""
    config = session.config
    found = config.pluginmanager.get_plugin(SESSION).records
    rows = sorted(found, key=lambda row: row["test"])
    for _, name, content in _files(config):
        write_whole(Path(name), content(rows, config.option.gradproof_seed))


def _say_where(terminalreporter: Any, config: Any) -> None:
    """Name the files, below what the plugin says of the checks."""
    for _, name, _ in _files(config):
        terminalreporter.write_line(f"gradproof wrote {name}")


#: Called, not used as a decorator: where pytest is missing, a type checker knows no type of it.
pytest_terminal_summary = pytest.hookimpl(trylast=True)(_say_where)


def _files(config: Any) -> list[tuple[str, str, Callable[[list[Facts], int], str]]]:
    """The option, the file and what makes its content, of those that are asked for."""
    kinds = (
        ("--gradproof-html", config.option.gradproof_html, session_page),
        ("--gradproof-json", config.option.gradproof_json, session_json),
    )
    return [row for row in kinds if row[1] is not None]


def session_json(rows: list[Facts], seed: int) -> str:
    """The record of a session."""
    record = _record(rows, seed)
    return to_record(RECORD, {"seed": record.seed, "checks": record.checks})


def session_page(rows: list[Facts], seed: int) -> str:
    """The page of a session: a table of all checks, and a section for each."""
    return html.page([session_section(_record(rows, seed)), *map(_section, rows)])


def _record(rows: list[Facts], seed: int) -> SessionRecord:
    plain = ({key: row[key] for key in row if key not in FOR_PAGES} for row in rows)
    return SessionRecord(seed, tuple(SessionCheck(**row) for row in plain))


def _section(row: Facts) -> Section:
    if "error" in row:
        section = error_section(row["name"], row["error"], row["snippet"])
    elif "said" in row:  # a test on samples, which has no section of its own
        first, *others = row["said"].splitlines()
        section = Section(row["name"], row["verdict"], first, tuple(others))
    else:
        section = Section.from_json(row["section"])
    return titled(section, row["test"])
