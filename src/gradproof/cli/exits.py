"""How commands end: exit statuses, and errors in one line. Help needs no more than this."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from gradproof.extras import what_to_install

#: Exit statuses: every verdict as recorded; some verdict not; the command could not be run.
AS_RECORDED, NOT_AS_RECORDED, UNUSABLE = 0, 1, 2

#: What a shell reports of a command that Ctrl-C ended, and of one whose reader went away.
INTERRUPTED, UNREAD = 128 + 2, 128 + 13


class Command(click.Group):
    """A command that ends in one line where it is interrupted, or cannot write what it found."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, from arguments to exit status."""
        with _ends_in_one_line():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run one command of the group."""
        # Here too: click makes a status of its own of what it catches on the way to main.
        with _ends_in_one_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _ends_in_one_line() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo("gradproof: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:  # all others are met where they are made, by clear_errors
        _drop_output()
        if isinstance(error, BrokenPipeError):
            sys.exit(UNREAD)  # `| head` has read what it wanted: no news for anyone
        fail(f"cannot write to standard output: {error.strerror}; redirect it elsewhere")


def _drop_output() -> None:
    """Let nothing more be written: Python would try once more, on its way out, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextlib.contextmanager
def clear_errors(show_traceback: bool) -> Iterator[None]:
    """Turn errors that a user can fix into one message; --traceback shows the traceback."""
    try:
        yield
    except (ValueError, ImportError, OSError) as error:
        if show_traceback:
            traceback.print_exc()
        remedy = what_to_install(error) if isinstance(error, ModuleNotFoundError) else None
        fail(remedy or str(error))


def fail(message: str) -> NoReturn:
    """End with a message in one line."""
    click.echo(f"gradproof: {message}", err=True)
    sys.exit(UNUSABLE)
