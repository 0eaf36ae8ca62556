"""Tables on narrow terminals: no number is ever cut; and what else all commands share."""

import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from rich.table import Table
from rich.text import Text

from gradproof.checks.note.verify import fresh_seed
from gradproof.cli import console
from gradproof.cli.console import NARROW, show

NUMBERS = ["2.732744e-01", "5.465488e-01", "2.7e-01", "4.9e-14", "1.061e+00"]


def table():
    """As `gradproof check` has it, with a second row of the same parameter."""
    made = Table()
    for name in ("parameter", "mean", "exact", "error", "bound", "standard deviation"):
        made.add_column(name, justify="left" if name == "parameter" else "right")
    made.add_row(Text("logits[3]"), *NUMBERS)
    made.add_row("", *reversed(NUMBERS))
    return made


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """It is."""
        return True


@pytest.fixture
def shown(monkeypatch):
    """What is shown of a table on a terminal of some columns."""

    def of(made, columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setattr(sys, "stdout", terminal := Terminal())
        show(made)
        return re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())

    return of


@pytest.mark.parametrize("columns", [20, 40, 60, NARROW - 1, NARROW, 81, 100, 200])
def test_no_number_is_cut(shown, columns):
    """Each stands there whole, twice, whatever the width is; and no ellipsis."""
    text = shown(table(), columns)
    assert "…" not in text
    for number in NUMBERS:
        assert text.count(number) == 2


def test_below_eighty_columns_a_record_is_a_few_lines(shown):
    """A column each, by its name; what the row above says of its first column is repeated."""
    lines = shown(table(), 60).splitlines()
    assert lines[:3] == [
        "parameter           logits[3]",
        "mean                2.732744e-01",
        "exact               5.465488e-01",
    ]
    assert lines[7] == "parameter           logits[3]"
    assert "┃" in shown(table(), 100)


def test_the_planted_table_is_cut(monkeypatch, shown):
    """Were it drawn as a table at sixty columns, numbers would be cut: the test above can fail."""
    monkeypatch.setattr(console, "NARROW", 0)
    monkeypatch.setattr(console, "CUT", "nowhere")
    text = shown(table(), 60)
    assert any(text.count(number) < 2 for number in NUMBERS)


def test_fresh_seeds_are_short_enough_to_type():
    """Ten digits at most, and shown whole."""
    seeds = [fresh_seed() for _ in range(100)]
    assert max(seeds) < 2**32 < 10**10
    assert len(set(seeds)) > 90  # of 2^32: two are equal once in a million
    assert str(np.int64(max(seeds))) == f"{max(seeds)}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_help_says(shell):
    """The variable of click, of the program's name."""
    code = "from gradproof.cli import main; main(prog_name='gradproof')"
    environment = {**os.environ, "_GRADPROOF_COMPLETE": f"{shell}_source"}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, env=environment)
    if shell == "bash" and "Bash is not installed" in done.stderr + done.stdout:
        pytest.skip("bash is not installed here")
    assert "_GRADPROOF_COMPLETE" in done.stdout
    assert "gradproof" in done.stdout
