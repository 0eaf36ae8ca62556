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


class Snippet(NamedTuple):
    """A program of a page, and the output that the page shows below it, if it shows any.

    ``file`` is the name of the file that it is, if it has a title.
    """

    code: str
    quoted: str | None
    file: str | None


def snippets(page: str) -> list[Snippet]:
    """The Python blocks of a page in their order; one with a title is a file.

    Raises:
        ValueError: for a block whose fence this reads as no program, so that nobody would run it.
    """
    pattern = r"^```python(?: title=\"([\w.]+)\")?\n(.*?)^```\n(?:\n```text\n(.*?)^```)?"
    found = re.findall(pattern, page, flags=re.DOTALL | re.MULTILINE)
    fences = re.findall(r"^[ \t]*```+ ?(?:\{? ?\.?py).*$", page, flags=re.MULTILINE)
    if len(found) != len(fences):
        raise ValueError(f"{len(fences)} blocks of Python, of which {len(found)} can be run")
    return [Snippet(code, quoted or None, title or None) for title, code, quoted in found]


def check_together(page: str, folder: Path) -> int:
    """Run the snippets of a page in a folder, as one program; compare what they print.

    Files are written before, and those of tests are run by pytest.

    Returns:
        How many snippets were run.

    Raises:
        AssertionError: if one prints something else than the page says.
        subprocess.CalledProcessError: if one fails.
    """
    everything = snippets(page)
    for snippet in everything:
        if snippet.file:
            (folder / snippet.file).write_text(snippet.code, encoding="utf-8")
    tests = [snippet for snippet in everything if (snippet.file or "").startswith("test_")]
    for snippet in tests:
        run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", snippet.file], folder)
    programs = [snippet for snippet in everything if not snippet.file]
    mark = "=== end of a snippet ==="
    output = printed("\n".join(f"{one.code}\nprint({mark!r})" for one in programs), folder)
    for snippet, text in zip(programs, output.split(f"{mark}\n"), strict=False):
        said, quoted = as_quoted(text), as_quoted(snippet.quoted or "")
        assert said == quoted, f"it prints {said!r}, and the page says {quoted!r}:\n{snippet.code}"
    return len(everything)


def as_quoted(text: str) -> str:
    """An output without what another machine rounds otherwise, or takes another time for."""
    return re.sub(r"at most \S+ is rounding|in [\d.]+s", "", text).strip()


def is_test(snippet: Snippet) -> bool:
    """Whether pytest is to run it."""
    return "def test_" in snippet.code


def printed(code: str, folder: Path) -> str:
    """What a program prints, run by itself in a folder.

    Raises:
        subprocess.CalledProcessError: if it fails; with what it said.
    """
    return run([sys.executable, "-c", code], folder)


def run(command: list[str], folder: Path) -> str:
    """What a command prints in a folder.

    Raises:
        subprocess.CalledProcessError: if it fails; with what it said.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        name = command[:2]
        error = subprocess.CalledProcessError(done.returncode, name, done.stdout, done.stderr)
        error.add_note(done.stdout + done.stderr)
        raise error
    return done.stdout
