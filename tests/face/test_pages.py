"""The pages of the site: every program runs, and prints what the page says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import gradproof
from gradproof.cli import main

from .pages import ROOT, blocks, check_together, read, snippets

#: Pages whose programs other tests run.
ELSEWHERE = {
    "docs/architecture.md": "test_architecture_page.py",
    "docs/libraries.md": "tests/libraries",
    "docs/note.md": "test_note_page.py",
}

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "docs").rglob("*.md")
    if "```python" in path.read_text(encoding="utf-8")
    and path.relative_to(ROOT).as_posix() not in ELSEWHERE
)

#: What a page may import that is not installed with the project, and the mark of its tests.
NEEDS = {"jax": "libraries", "gymnasium": "libraries", "trl": "trainers", "torch": "torch"}


def cases() -> list[object]:
    """The pages, each with the mark of what it needs: the libraries' environment has torch too."""
    params = []
    for page in PAGES:
        marks = [mark for name, mark in NEEDS.items() if f"import {name}\n" in read(page)]
        slow = ["slow"] if "/tutorials/" in page else []
        chosen = [getattr(pytest.mark, mark) for mark in marks[:1] + slow]
        params.append(pytest.param(page, marks=chosen))
    return params


@pytest.mark.parametrize("page", cases())
def test_programs_print_what_is_quoted(
    page: str, tmp_path: Path, library: Callable[[str], object]
) -> None:
    """From top to bottom, as one program; files that are tests are run by pytest."""
    for name in NEEDS:
        if f"import {name}\n" in read(page):
            library(name)
    assert check_together(read(page), tmp_path) == read(page).count("```python")


def test_there_are_pages() -> None:
    """Were the folders renamed, the test above would pass on what is left."""
    folders = [Path(page).parent.name for page in PAGES]
    assert folders.count("tutorials") == 5
    assert folders.count("how-to") == 12
    assert folders.count("reference") == 9


@pytest.mark.parametrize(
    ("page", "error", "message"),
    [
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", AssertionError, "prints"),
        ("```python\nprint(1)\n```\n\nNo output.\n", AssertionError, "prints"),
        ("```python\nx = 1\n```\n\n```python\n1 / 0\n```\n", subprocess.CalledProcessError, None),
        (
            '```python title="test_it.py"\ndef test_it():\n    assert False\n```\n',
            subprocess.CalledProcessError,
            None,
        ),
        ("```py\nprint(1)\n```\n", ValueError, "1 blocks of Python, of which 0"),
        ("- item\n\n    ```python\n    print(1)\n    ```\n", ValueError, "1 blocks of Python"),
    ],
)
def test_a_page_that_is_wrong_is_an_error(
    page: str, error: type[Exception], message: str | None, tmp_path: Path
) -> None:
    """Another output, an output that is not shown, a crash, a test that fails, an unread block."""
    with pytest.raises(error, match=message):
        check_together(page, tmp_path)


def test_a_program_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """Names, and files that were written, are there for the next."""
    page = (
        '```python title="data.py"\nnumber = 2\n```\n\n'
        "```python\nfrom data import number\n```\n\n"
        "```python\nprint(number)\n```\n\n```text\n2\n```\n"
    )
    assert check_together(page, tmp_path) == 3
    assert [snippet.file for snippet in snippets(page)] == ["data.py", None, None]


def test_commands_of_the_pages_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the tutorial on CI, one after the other, in one folder."""
    monkeypatch.chdir(tmp_path)
    lines = [
        line for block in blocks(read("docs/tutorials/ci.md"), "sh") for line in block.split("\n")
    ]
    commands = [line.split()[1:] for line in lines if line.startswith("gradproof ")]
    assert len(commands) == 3
    for command in commands:
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "report.json").is_file()


def test_every_public_name_is_in_the_reference() -> None:
    """Once, under the path where it is defined, and nothing that is not public."""
    pages = "".join(read(page) for page in PAGES if page.startswith("docs/reference/"))
    documented = re.findall(r"^::: (gradproof[\w.]*)\.(\w+)$", pages, flags=re.MULTILINE)
    names = [name for _, name in documented if name != "Checks"]  # the fixture has no public name
    assert sorted(names) == sorted(gradproof.__all__)
    for module, name in documented:
        assert (module, name) == ("gradproof.recorded_checks", "Checks") or name in (
            gradproof._HOMES[module]
        ), f"{name} is not imported from {module}"


def test_links_between_pages_lead_to_files() -> None:
    """Of what is written by hand; the site's own check reads what is built."""
    made = {"index.md", "contributing.md", "changelog.md"}
    broken = []
    for path in (ROOT / "docs").rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+\.md)", path.read_text(encoding="utf-8")):
            target = (path.parent / link).resolve()
            inside = target.relative_to(ROOT / "docs")
            if not (target.is_file() or inside.parts[0] == "bugs" or inside.as_posix() in made):
                broken.append(f"{path.name}: {link}")
    assert broken == []
