"""What ``gradproof verify`` does: it verifies, and shows and writes what came out."""

from __future__ import annotations

from typing import Any

import click

from gradproof.checks.note.verify import verify
from gradproof.reports.verdict_table import refutations, summary, surprises, verdict_table

from .console import check_writable, finish, progress, show
from .exits import clear_errors
from .repeat import command_line


def run(
    arguments: dict[str, Any],
    json_file: str | None,
    html_file: str | None,
    explain: bool,
    show_traceback: bool,
) -> None:
    """Verify, and end with an exit status.

    Args:
        arguments: of :func:`gradproof.verify`.
    """
    with clear_errors(show_traceback), progress() as report:
        check_writable(json_file)
        check_writable(html_file, "--html")
        result = verify(**arguments, progress=report)
    show(verdict_table(result.evidence))
    paragraphs = refutations(result.evidence) if explain else []
    for paragraph in dict.fromkeys([*paragraphs, *surprises(result.evidence)]):
        click.echo(f"\n{paragraph}")
    for check, reason in result.not_run.items():
        click.echo(f"not run: {check}: {reason}")
    for message in result.missing.values():
        click.echo(f"left out: {message}")
    for said in (result.fewer, result.cut):
        if said:
            click.echo(said)
    click.echo(f"\n{summary(result.evidence, result.seed)}")
    finish(
        result.as_expected,
        show_traceback,
        (json_file, result.to_json),
        (html_file, lambda: result.page(repeat=command_line(result.seed))),
    )
