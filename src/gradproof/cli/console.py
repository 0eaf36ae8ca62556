"""What all commands share once they run: output, progress, files written whole."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .exits import AS_RECORDED, NOT_AS_RECORDED, clear_errors

#: Wide enough for three frameworks when nobody's terminal says otherwise.
PIPED_WIDTH = 140

#: What Rich ends a word with that it cuts.
CUT = "…"

#: Below so many columns a table is shown record by record.
NARROW = 80


def show(table: Table) -> None:
    """Print a table: as wide as the terminal, and whole where there is none.

    Where a word or a number would be cut, and below 80 columns, each record is a few lines.
    """
    console = Console()
    if not console.file.isatty():  # Rich takes 80 columns then, which folds the table
        console.width = PIPED_WIDTH
    records = list(_records(table))
    with console.capture() as drawn:
        console.print(table)
    cut = drawn.get().count(CUT) > sum(record.plain.count(CUT) for record in records)
    if cut or console.width < NARROW:
        with console.capture() as drawn:
            for record in records:
                console.print(record, soft_wrap=True)
    # Written as all the rest is: Rich has an exit status of its own for a reader that went away.
    click.echo(drawn.get(), nl=False, color=True)


def _records(table: Table) -> Iterator[Text]:
    """Each row as lines, of a column each: its name, and what stands there.

    An empty first cell stands for the one above it.
    """
    heads = [_text_of(column.header) for column in table.columns]
    width = max(map(len, heads), default=0)
    first = Text()
    for row in zip(*(column.cells for column in table.columns), strict=True):
        cells = [_text_of(cell) for cell in row]
        first = cells[0] = cells[0] if cells[0].plain.strip() else first
        record = Text()
        for head, cell in zip(heads, cells, strict=True):
            if cell.plain.strip():
                record += Text(f"{head.plain:{width}}  ") + cell + Text("\n")
        yield record


def _text_of(cell: RenderableType) -> Text:
    """What stands in a cell, with its colours."""
    return cell.copy() if isinstance(cell, Text) else Text.from_markup(str(cell))


@contextlib.contextmanager
def progress() -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar on standard error while it is a terminal, and nothing where it is not."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield report


def finish(
    as_recorded: bool, show_traceback: bool, *files: tuple[str | None, Callable[[], str]]
) -> NoReturn:
    """End with the exit status of a verdict, what was found written where files are asked for.

    Args:
        files: the name of each, None where it is not asked for, and what makes its content.
    """
    for name, content in files:
        if name is not None:
            with clear_errors(show_traceback):
                write_whole(Path(name), content())
    sys.exit(AS_RECORDED if as_recorded else NOT_AS_RECORDED)


def check_writable(name: str | None, option: str = "--json") -> None:
    """Find out that a file cannot be written before the work is done; None: none is asked for.

    Raises:
        OSError: if it cannot be; the message says what to do.
    """
    if name is None:
        return
    if not name:
        raise FileNotFoundError(
            f"cannot write evidence: the file's name is ''; give one to {option}"
        )
    if name == "-":
        raise FileNotFoundError("cannot write to '-', which is not a file; give a file's name")
    path = Path(name)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {folder}; make it first")
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; give a file's name")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise PermissionError(f"cannot write {path}: no permission; choose another place")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all; a device or a pipe gets the content.

    Raises:
        OSError: if it cannot be written.
    """
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    raw = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(raw)
            return
        draft.write_bytes(raw)
        draft.replace(path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}; choose another place") from error
    finally:
        draft.unlink(missing_ok=True)
