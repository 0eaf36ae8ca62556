"""``gradproof compare``: from a file to a table, and what is said of what cannot be compared."""

import json
import re

import pytest
from click.testing import CliRunner

from gradproof.cli import main
from gradproof.cli.compare_run import TEMPLATE

from .pages import blocks, read, snippets

FILE = """
import numpy as np

rng = np.random.default_rng()
q = np.array([0.5, 0.25, 0.25])
c = np.array([1.0, 2.0, 4.0])
inputs = (np.log(q),)
exact = q * (c - q @ c)


def score(theta, weight):
    k = rng.choice(3, p=q)
    return weight(c[k]) * (np.eye(3)[k] - q)


estimators = {
    "plain": lambda theta: score(theta, lambda cost: cost),
    "half": lambda theta: score(theta, lambda cost: cost / 2),
    "squared": lambda theta: score(theta, lambda cost: cost**2),
}
costs = {"plain": 1, "half": 2, "squared": 1}
"""


@pytest.fixture
def file(tmp_path):
    """A file of three estimators."""
    path = tmp_path / "mine.py"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def run(*arguments):
    """The command; its exit status and what it printed."""
    found = CliRunner().invoke(main, ["compare", *arguments], env={"COLUMNS": "200"})
    return found.exit_code, found.output


def test_a_file_becomes_a_table(file, tmp_path):
    """In the terminal, as JSON, Markdown, LaTeX and a page."""
    paths = {
        option: str(tmp_path / f"t{end}")
        for option, end in (
            ("--json", ".json"),
            ("--markdown", ".md"),
            ("--latex", ".tex"),
            ("--html", ".html"),
        )
    }
    status, said = run(file, *(word for pair in paths.items() for word in pair), "--budget", "10")
    assert status == 0
    assert "proportional" in said
    assert "differs" in said
    assert "The mean is 0.5000 times the gradient in every entry." in said
    record = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in record["estimators"]}
    assert record["budget"] == 10.0
    assert rows["half"]["factor"] == pytest.approx(0.5, abs=1e-12)  # rounding
    assert rows["half"]["cost"] == 2.0
    assert "| plain | holds | 0 |" in (tmp_path / "t.md").read_text(encoding="utf-8")
    assert r"\toprule" in (tmp_path / "t.tex").read_text(encoding="utf-8")
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert "3 estimators" in page or "1 of 3 hold" in page


def test_a_figure_is_drawn(file, tmp_path):
    """As SVG, with a name for each."""
    pytest.importorskip("matplotlib")
    figure = tmp_path / "f.svg"
    status, _ = run(file, "--figure", str(figure))
    assert status == 0
    drawn = figure.read_text(encoding="utf-8")
    for name in ("plain", "half", "squared", "bias / |gradient|"):
        assert name in drawn


def test_names_may_be_others(file):
    """And a name that is missing is named."""
    status, said = run(file, "--estimators", "rows")
    assert status == 2
    assert "has no 'rows': expected a dict of functions by name" in said
    status, said = run(file, "--costs", "prices")
    assert status == 2
    assert "has no 'prices'" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("estimators = {", "others = {"), "has no 'estimators'"),
        (("exact =", "wanted ="), "does not say what the gradient should be"),
        (('"plain": 1,', '"plain": -1,'), "costs['plain'] = -1, expected a positive number"),
        (("estimators = {", "estimators = {1: 2,"), "expected functions by name"),
    ],
)
def test_a_file_that_lacks_something_is_told_what(file, change, words):
    """In one line, with status 2."""
    with open(file, "w", encoding="utf-8") as out:
        out.write(FILE.replace(*change))
    status, said = run(file)
    assert status == 2
    assert words in said


@pytest.mark.torch
def test_the_template_runs(tmp_path):
    """With four estimators, of which two are right."""
    pytest.importorskip("torch")
    path = str(tmp_path / "new.py")
    status, said = run("--new", path)
    assert status == 0
    assert said.strip() == f"wrote {path}; try: gradproof compare {path}"
    assert "{file}" in TEMPLATE
    status, said = run(path)
    assert status == 0
    assert "1 - 1/4" in said


def test_no_file_is_no_command():
    """It says what to give."""
    status, said = run()
    assert status == 2
    assert "give either FILE.py or --new FILE.py" in said


@pytest.mark.torch
def test_the_command_of_the_page_draws_the_figure_that_is_kept(tmp_path, monkeypatch):
    """Of its file of estimators: every name is in the figure, and in the one of the page."""
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    page = read("docs/how-to/compare.md")
    (snippet,) = (each for each in snippets(page) if each.file == "bits.py")
    (tmp_path / "bits.py").write_text(snippet.code, encoding="utf-8")
    (command,) = (
        line for each in blocks(page, "sh") for line in each.splitlines() if "bits.py" in line
    )
    status, said = run(*command.split()[2:])
    assert status == 0, said
    assert "forward" in said
    names = re.findall(r'^    "([^"]+)": ', snippet.code, flags=re.MULTILINE)
    assert len(names) == 9
    drawn = (tmp_path / "bits.svg").read_text(encoding="utf-8")
    kept = read("docs/bits.svg")
    for name in names:
        assert name in drawn
        assert name in kept


@pytest.mark.torch
def test_a_template_of_a_policy_runs(tmp_path):
    """Its loss holds, and its two losses can be compared."""
    pytest.importorskip("torch")
    path = str(tmp_path / "policy.py")
    wrote = CliRunner().invoke(main, ["check", "--new", path, "--template", "policy"])
    assert wrote.output.strip() == f"wrote {path}; try: gradproof check {path}:loss"
    checked = CliRunner().invoke(main, ["check", f"{path}:loss"], env={"COLUMNS": "200"})
    assert checked.exit_code == 0, checked.output
    assert "loss: unbiased, by 49 paths" in checked.output
    status, said = run(path)
    assert status == 0
    assert "differs" in said
