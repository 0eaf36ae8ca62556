"""The README: its commands run, and what it says of the project is so."""

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

from .pages import ROOT, blocks, printed, read

README = read("README.md")

COMMANDS = [
    part.split("#")[0].strip()
    for block in blocks(README, "sh")
    for line in block.splitlines()
    for part in line.split("&&")
    if part.strip()
]

GRADPROOF = sorted({command for command in COMMANDS if command.startswith("gradproof ")})

#: What makes a command of the README short enough for a test.
SHORT = {
    "verify": ["--examples", "2", "--jobs", "1", "--model", "seqdgm"],
    "benchmark": ["--only", "numpy/batch-mean", "--right-runs", "1", "--jobs", "1"],
    "train": ["--steps", "2", "--hidden", "2", "--stages", "none"],
}


def test_the_readme_has_commands() -> None:
    """Were the README written in another way, the tests below would pass on nothing."""
    assert len(GRADPROOF) >= 5
    assert blocks(README, "python")
    # A command that was renamed would run at its full length, for minutes, and pass.
    assert SHORT.keys() <= {command.split()[1] for command in GRADPROOF}


def test_what_it_says_of_what_runs_on_text_is_so() -> None:
    """Row by row: how many there are, how many run on text, on both models, and on drawn cases."""
    said = re.search(
        r"It has (\d+) rows, of which (\d+) run on text:.*?SeqDGM-A \((\d+) rows\)"
        r".*?(\d+) rows also run on 20 small cases",
        README,
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


@pytest.mark.parametrize("command", [pytest.param(each, marks=needs(each)) for each in GRADPROOF])
def test_gradproof_commands_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command is as in the README, on few cases and, where it names no claim, on one claim.

    The whole of `gradproof verify` and of `gradproof derive` is what tox's environments run.
    """
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(command)[1:]
    if arguments[0] == "baseline" and "--new" not in arguments:
        assert CliRunner().invoke(main, ["baseline", "--new", "mine.py"]).exit_code == 0
    if arguments[0] == "check" and "--new" not in arguments:
        new = ["check", "--new", "reinforce.py"]
        assert CliRunner().invoke(main, new).exit_code == 0
    if arguments == ["derive"]:
        arguments += ["labelled"]
    if "--resume" in arguments:
        short = ["train", *arguments[1:3], *SHORT["train"]]
        assert CliRunner().invoke(main, short).exit_code == 0
    arguments += SHORT.get(arguments[0], [])
    if arguments[0] == "verify":
        if "--backend" not in arguments:
            arguments += ["--backend", "autograd"]
        if "--only" not in arguments:
            arguments += ["--only", "forward"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


def test_other_commands_are_what_ci_runs() -> None:
    """What the README says installs and tests the project is what the CI script does."""
    others = {command for command in COMMANDS if not command.startswith("gradproof ")}
    assert others == {
        "python -m pip install '.[note]'",
        "python -m pip install tox",
        "tox run",
    }
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'tox" run' in script


@pytest.mark.parametrize("block", blocks(README, "python"))
def test_python_blocks_run(block: str, tmp_path: Path) -> None:
    """The library examples run as they stand."""
    printed(block, tmp_path)


@pytest.mark.torch
def test_the_first_example_prints_what_is_quoted(tmp_path: Path) -> None:
    """To the last digit that rounding leaves alone; a machine may round otherwise."""
    output = printed(blocks(README, "python")[0], tmp_path)
    measured = re.compile(r"at most \S+ is rounding")
    said, quoted = (measured.sub("", text.strip()) for text in (output, blocks(README, "text")[0]))
    assert said == quoted


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w/]+\.md)\)", README))))
def test_links_lead_somewhere(path: str) -> None:
    """A link to a file of the project leads to a file."""
    assert (ROOT / path).is_file()


def test_the_derivation_that_is_quoted_is_what_is_printed() -> None:
    """Lines of a derivation in the README are lines that the command prints."""
    quoted = [block.strip() for block in blocks(README, "text") if "[proved]" in block]
    assert len(quoted) == 1
    output = CliRunner().invoke(main, ["derive", "gradient.e"]).output
    assert quoted[0] in output
