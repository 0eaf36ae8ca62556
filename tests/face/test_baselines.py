"""``gradproof baselines``: the table of a folder that ``gradproof train`` filled."""

import json
import re

import pytest
from click.testing import CliRunner

from gradproof.cli import main

from .pages import blocks, read

pytestmark = pytest.mark.torch

#: A model of few parameters, on few sentences.
SMALL = ["--hidden", "2", "--width", "2", "--latent", "2", "--batch", "4", "--sentences", "2"]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Where a run of one step is."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    options = [*SMALL, "--seed", "1", "--steps", "1", "--stages", "initial"]
    assert run("train", "--folder", "run", *options)[0] == 0


def run(*arguments):
    """A command; its exit status and what it printed."""
    found = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"})
    return found.exit_code, found.output


def test_variances_are_those_of_the_record(tmp_path):
    """At the step whose stage was measured, in Markdown and as JSON too."""
    status, said = run("baselines", "run", "--step", "0", "--json", "t.json", "--markdown", "t.md")
    assert status == 0, said
    rows = {row["name"]: row for row in json.loads((tmp_path / "t.json").read_text())["estimators"]}
    assert all(row["verdict"] == "holds" for row in rows.values())
    record = json.loads((tmp_path / "run/record.json").read_text())["stages"][0]["rows"]
    totals = {
        row["baseline"] if row["fit"] in ("none", "exact") else f"{row['baseline']}, {row['fit']}":
        sum(row["variances"].values())
        for row in record
    }  # fmt: skip
    compared = [name for name in totals if name in rows]
    assert len(compared) == len(rows) == 17
    for name in compared:
        ratio = rows[name]["variance"] / rows["none"]["variance"]
        close = {"rel": 1e-11, "abs": 0.0}  # sums of some thousand terms in double precision
        assert ratio == pytest.approx(totals[name] / totals["none"], **close)
    assert "| expected-return | holds |" in (tmp_path / "t.md").read_text()


def test_what_cannot_be_compared_says_why():
    """A folder without a checkpoint, and a step that there is none of."""
    status, said = run("baselines", "nothing")
    assert status == 2
    assert "nothing holds no checkpoint; `gradproof train --folder nothing` leaves some" in said
    status, said = run("baselines", "run", "--step", "7")
    assert status == 2
    assert "run has no checkpoint of step 7; it has 0, 1" in said


def test_the_commands_of_the_page_run(tmp_path):
    """Those of the how-to, on a small model: the first trains, the second compares."""
    lines = [
        line.partition("#")[0].split()
        for block in blocks(read("docs/how-to/compare.md"), "sh")
        for line in block.splitlines()
    ]
    train, compare = (line[1:] for line in lines if line[1] != "compare")
    assert (train[0], compare[0]) == ("train", "baselines")
    folder = train[train.index("--folder") + 1]
    assert run(*train, *SMALL, "--held-out", "9")[0] == 0
    status, said = run(*compare)
    assert status == 0, said
    written = [compare[at + 1] for at, word in enumerate(compare) if word == "--figure"]
    assert len(written) == 1
    assert (tmp_path / written[0]).is_file()
    assert re.search(r"expected-return\W+holds", said)
    assert folder == compare[1]
