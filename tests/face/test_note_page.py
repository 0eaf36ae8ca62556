"""The page on the note: its commands and programs run, and what it says of `verify` is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradproof.checks.note.check import SEQUENCE_MODELS
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.text import TextOptions
from gradproof.cli import main

from .pages import blocks, printed, read

PAGE = read("docs/note.md")

COMMANDS = sorted(
    {
        part.split("#")[0].strip()
        for block in blocks(PAGE, "sh")
        for line in block.splitlines()
        for part in line.split("&&")
        if part.strip().startswith("gradproof ")
    }
)

#: What makes a command of the page short enough for a test.
SHORT = {
    "verify": ["--examples", "2", "--jobs", "1", "--model", "seqdgm"],
    "train": ["--steps", "2", "--hidden", "2", "--stages", "none"],
}


def test_the_page_has_commands() -> None:
    """Were the page written in another way, the tests below would pass on nothing."""
    assert len(COMMANDS) >= 5
    assert len(blocks(PAGE, "python")) == 2
    # A command that was renamed would run at its full length, for minutes, and pass.
    assert SHORT.keys() <= {command.split()[1] for command in COMMANDS}


def test_what_it_says_of_what_runs_on_text_is_so() -> None:
    """Row by row: how many there are, how many run on text, on both models, and on drawn cases."""
    said = re.search(
        r"It has (\d+) rows, of which (\d+) run on text:.*?SeqDGM-A \((\d+) rows\)"
        r".*?(\d+) rows also run on 20 small cases",
        PAGE,
        re.DOTALL,
    )
    assert said
    rows, text, both, drawn = map(int, said.groups())
    checks = list(CHECKS.values())
    assert rows == len(checks)
    assert text == sum(bool(check.models) for check in checks)
    assert both == sum(set(check.models) == set(SEQUENCE_MODELS) for check in checks)
    assert drawn == sum(check.cases is not None for check in checks)
    options = TextOptions()
    assert (options.labelled, options.unlabelled) == (1, 2)


def needs(command: str) -> list[pytest.MarkDecorator]:
    """The frameworks that a command cannot do without."""
    return [pytest.mark.torch] if command.split()[1] == "train" else []


@pytest.mark.parametrize("command", [pytest.param(each, marks=needs(each)) for each in COMMANDS])
def test_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command is as on the page, on few cases and, where it names no claim, on one claim.

    The whole of `gradproof verify` and of `gradproof derive` is what tox's environments run.
    """
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(command)[1:]
    if arguments[0] == "baseline" and "--new" not in arguments:
        assert CliRunner().invoke(main, ["baseline", "--new", "mine.py"]).exit_code == 0
    if arguments == ["derive"]:
        arguments += ["labelled"]
    if "--resume" in arguments:
        short = ["train", arguments[1], *SHORT["train"]]
        assert CliRunner().invoke(main, short).exit_code == 0
    arguments += SHORT.get(arguments[0], [])
    if arguments[0] == "verify":
        if "--backend" not in arguments:
            arguments += ["--backend", "autograd"]
        if "--only" not in arguments:
            arguments += ["--only", "forward"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


@pytest.mark.torch
@pytest.mark.parametrize("block", blocks(PAGE, "python"))
def test_programs_run(block: str, tmp_path: Path) -> None:
    """As they stand; the variances need PyTorch."""
    printed(block, tmp_path)


def test_the_derivation_that_is_quoted_is_what_is_printed() -> None:
    """Lines of a derivation on the page are lines that the command prints."""
    quoted = [block.strip() for block in blocks(PAGE, "text") if "[proved]" in block]
    assert len(quoted) == 1
    output = CliRunner().invoke(main, ["derive", "gradient.e"]).output
    assert quoted[0] in output
