"""The README: its snippets run, its links lead somewhere, and its commands are what CI runs."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from .pages import ROOT, Snippet, as_quoted, blocks, is_test, printed, read, run, snippets

README = read("README.md")
ADDRESS = tomllib.loads(read("pyproject.toml"))["project"]["urls"]["Repository"]

COMMANDS = [
    part.split("#")[0].strip()
    for block in blocks(README, "sh")
    for line in block.splitlines()
    for part in line.split("&&")
]


#: What the snippets show, in their order, and the mark of what each needs.
FRAMEWORKS = {"torch": "torch", "numpy": "", "jax": "libraries", "rl": "libraries", "pytest": ""}


def cases() -> list[object]:
    """The snippets, each with the mark of what it needs."""
    return [
        pytest.param(snippet, id=name, marks=[getattr(pytest.mark, mark)] if mark else [])
        for snippet, (name, mark) in zip(snippets(README), FRAMEWORKS.items(), strict=True)
    ]


def test_it_is_short() -> None:
    """A newcomer reads it to the end; what takes longer has a page of its own."""
    assert len(README.splitlines()) < 150


def test_two_commands_are_what_ci_runs() -> None:
    """One does the main job, one passes the tests, as the CI script does it."""
    assert COMMANDS == [
        "python -m pip install '.[note]'",
        "gradproof verify",
        "python -m pip install tox",
        "tox run",
    ]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'tox" run' in script


@pytest.mark.parametrize("snippet", cases())
def test_snippets_run(snippet: Snippet, tmp_path: Path, library: Callable[[str], object]) -> None:
    """Each by itself, and prints what is quoted; the one that is a test is run by pytest."""
    for name in ("jax", "gymnasium"):
        if f"import {name}" in snippet.code:
            library(name)
    if is_test(snippet):
        (tmp_path / "test_snippet.py").write_text(snippet.code, encoding="utf-8")
        said = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path)
        assert "1 passed" in said
        assert "enumerated: 1 checks" in said
    else:
        output = printed(snippet.code, tmp_path)
        assert as_quoted(output) == as_quoted(snippet.quoted or "")


@pytest.mark.torch
def test_the_first_example_says_that_it_is_wrong(tmp_path: Path) -> None:
    """With each sample's baseline made of the other one it holds, so that the output can differ."""
    code = snippets(README)[0].code
    own = "costs[y].mean())"
    assert code.count(own) == 1
    assert "unbiased" in printed(code.replace(own, "costs[y].flip(0))"), tmp_path)


def test_links_are_absolute_and_lead_to_files() -> None:
    """A package index has no other file of the project beside the page."""
    links = re.findall(r"\]\(([^)]*)\)", README)
    assert len(links) >= 5
    for link in links:
        path = re.fullmatch(rf"{ADDRESS}/(?:blob|raw)/main/(\S+)", link)
        assert path, f"{link} does not begin with the Repository of pyproject.toml, {ADDRESS}"
        assert (ROOT / path[1]).is_file(), link
