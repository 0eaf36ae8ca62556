"""Pages whose examples are run: what they show is taken out of them, and run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Example(NamedTuple):
    """What stands below one heading: a program, and what the page says that it prints."""

    title: str
    code: str
    quoted: str


def read(name: str) -> str:
    """The text of a page, by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def examples(page: str) -> list[Example]:
    """The examples of a page, one for each heading of the third level that has any.

    Raises:
        ValueError: for a heading that has not one program and one output, and for a program above
            the first of these headings: nobody would run it.
    """
    above, *sections = re.split(r"^### ", page, flags=re.MULTILINE)
    if blocks(above, "python"):
        raise ValueError("a program stands above the first heading of an example; give it one")
    found = []
    for section in sections:
        title = section.partition("\n")[0]
        code, quoted = blocks(section, "python"), blocks(section, "text")
        if len(code) != len(quoted) or len(code) > 1:
            raise ValueError(
                f"{title!r} has {len(code)} programs and {len(quoted)} outputs, expected one each"
            )
        if code:
            found.append(Example(title, code[0], quoted[0]))
    return found


def printed(code: str, folder: Path) -> str:
    """What a program prints, run by itself in a folder.

    Raises:
        subprocess.CalledProcessError: if it fails; with what it said.
    """
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        error = subprocess.CalledProcessError(done.returncode, run[:2], done.stdout, done.stderr)
        error.add_note(done.stderr)
        raise error
    return done.stdout
