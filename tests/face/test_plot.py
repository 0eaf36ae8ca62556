"""``gradproof plot``: files that are figures, and names that are none."""

import pytest
from click.testing import CliRunner

from gradproof.cli import main

MAGIC = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", MAGIC)
def test_a_figure_is_written(tmp_path, suffix):
    """In the format that its name says, with the numbers in a line."""
    path = tmp_path / f"variance{suffix}"
    result = CliRunner().invoke(main, ["plot", "variance", str(path), "--seed", "1"])
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(MAGIC[suffix])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert "one helps between 0 and" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.txt"], "must end in .pdf, .png, .svg"),
        (["none/x.svg"], "there is no folder"),
        (["x.svg", "--model", "gpt"], "no model is called 'gpt'"),
        (["x.svg", "--data", "none"], "none"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(tmp_path, monkeypatch, arguments, words):
    """Exit status 2, a message, and no file."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plot", "variance", *arguments])
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert not list(tmp_path.iterdir())


def test_a_baseline_is_drawn_too(tmp_path, monkeypatch):
    """``gradproof baseline --figure`` marks where one's own lies."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(main, ["baseline", "--new", "mine.py"]).exit_code == 0
    arguments = ["baseline", "mine.py:PerToken", "--seed", "1", "--figure", "mine.svg"]
    result = runner.invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "mine.svg").read_bytes().startswith(MAGIC[".svg"])
