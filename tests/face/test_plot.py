"""``gradproof plot``: files that are figures, and names that are none."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from gradproof.checks.json_records import to_json
from gradproof.checks.variance.records import BaselineVariance, Scaling, Stage, Training
from gradproof.cli import main
from gradproof.reference_models.corpora import load

MAGIC = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}

ROWS = tuple(
    BaselineVariance(name, "none", {"e": value, "w": 1.0}, share)
    for name, value, share in (("none", 9.0, 0.0), ("constant", 5.0, np.nan), ("best", 4.0, 1.0))
)
TRAINING = Training(
    model="seqdgm",
    data="names-8",
    source="faker 1.0, last names by locale",
    fingerprint=load("names-8").fingerprint,
    estimator="sampled",
    baseline="none",
    seed=1,
    steps=np.array([0, 1500]),
    seconds=np.array([0.0, 1.0]),
    loss=np.array([9.0, 8.0]),
    accuracy=np.array([0.1, 0.4]),
    stages=tuple(Stage("seqdgm", "names-8", step, 4, 8, ROWS) for step in (0, 1500)),
)
SCALING = Scaling(
    model="seqdgm",
    machine="two cores",
    sentences=32,
    parameters=400_000,
    classes=np.array([10, 50]),
    enumerated=np.array([0.1, 0.5]),
    total=np.array([0.11, 0.55]),
    per_parameter=np.array([0.14, np.nan]),
    sampled=np.array([0.01, 0.01]),
    variances={"none": np.array([5.0, 6.0])},
    others={"general": np.full(2, 0.6)},
    extrapolated=("general",),
)

#: The figures of a training record.
OF_TRAINING = ("baselines", "shares", "training")


def run(*arguments):
    """The result of ``gradproof plot``."""
    return CliRunner().invoke(main, ["plot", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    """A folder as ``gradproof train`` fills it."""
    made = tmp_path / "run"
    made.mkdir()
    (made / "record.json").write_text(to_json(TRAINING), encoding="utf-8")
    return made


@pytest.fixture
def scaling(tmp_path):
    """A file as the benchmark writes it."""
    path = tmp_path / "scaling.json"
    path.write_text(to_json(SCALING), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", MAGIC)
def test_a_figure_is_written(tmp_path, suffix):
    """In the format that its name says, with the numbers in a line."""
    path = tmp_path / f"variance{suffix}"
    result = run("variance", path, "--seed", "1")
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(MAGIC[suffix])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert "one helps between 0 and" in result.output


@pytest.mark.parametrize("suffix", MAGIC)
@pytest.mark.parametrize("name", OF_TRAINING)
def test_a_training_record_is_drawn(tmp_path, folder, name, suffix):
    """From its folder, and from the file in it, to the last byte the same."""
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    result = run(name, folder, first)
    assert result.exit_code == 0, result.output
    assert "steps 0, 1,500" in result.output
    assert result.stderr == ""  # another version of faker is no news where its lists are the same
    assert first.read_bytes().startswith(MAGIC[suffix])
    assert run(name, folder / "record.json", second).exit_code == 0
    assert first.read_bytes() == second.read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {"run", first.name, second.name}


@pytest.mark.parametrize("name", OF_TRAINING)
def test_a_record_of_other_texts_is_drawn_and_says_so(tmp_path, folder, name):
    """What it was made with, what is here, and what to do; the figure is of the record anyway."""
    other = dataclasses.replace(TRAINING, fingerprint="0" * 16)
    (folder / "record.json").write_text(to_json(other), encoding="utf-8")
    result = run(name, folder, tmp_path / "x.svg")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.svg").exists()
    here = load("names-8")
    assert result.stderr == (
        f"gradproof: {folder} was made with other texts than 'names-8' has here: with faker 1.0, "
        f"last names by locale (checksum 0000000000000000), and here it is {here.source} (checksum "
        f"{here.fingerprint}); install that version, or make the record anew with `gradproof "
        "train`\n"
    )


def test_several_records_are_drawn_side_by_side(tmp_path, folder):
    """``shares`` takes as many as there are, and says their steps once."""
    path = tmp_path / "x.svg"
    result = run("shares", folder, folder / "record.json", path)
    assert result.exit_code == 0, result.output
    assert result.output.count("steps 0, 1,500") == 1
    assert path.read_text(encoding="utf-8").count(">SeqDGM on last names, 8 locales</text>") == 2
    assert run("shares", path).exit_code == 2  # a figure, and no record


def test_baselines_of_a_training_can_be_chosen(tmp_path, folder):
    """By name, each as a panel; the message for another names those that there are."""
    path = tmp_path / "x.svg"
    result = run("training", folder, path, "--only", "constant")
    assert result.exit_code == 0, result.output
    assert "steps 0, 1,500; baselines constant" in result.output
    path.unlink()
    result = run("training", folder, path, "--only", "mlp")
    assert result.exit_code == 2
    assert "the record has no baseline 'mlp'; it has constant" in result.output
    assert not path.exists()


def test_cost_is_drawn(tmp_path, scaling):
    """A record of scaling has a figure, whose text is text."""
    path = tmp_path / "cost.svg"
    result = run("cost", scaling, path)
    assert result.exit_code == 0, result.output
    assert "K = 10, 50" in result.output
    assert ">enumerated gradient</text>" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("baseline", ["expected", "best", "constant"])
def test_ratios_are_drawn(tmp_path, baseline):
    """What is written says how much of each matrix has a lower variance."""
    path = tmp_path / "ratios.png"
    result = run("ratios", path, "--baseline", baseline, "--sentences", "2", "--seed", "1")
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(MAGIC[".png"])
    assert "% of w.logits.weight" in result.output
    assert "theta" not in result.output  # no score reaches it, so every ratio is 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.txt"], "must end in .pdf, .pgf, .png, .svg"),
        (["none/x.svg"], "there is no folder"),
        (["x.svg", "--model", "seqdmg"], "unknown model 'seqdmg'"),
        (["x.svg", "--model", "seqdmg"], "did you mean 'seqdgm'?"),
        (["x.svg", "--data", "none"], "none"),
    ],
)
@pytest.mark.parametrize("name", ["variance", "ratios"])
def test_what_cannot_be_drawn_is_an_error(tmp_path, monkeypatch, name, arguments, words):
    """Exit status 2, a message, and no file."""
    monkeypatch.chdir(tmp_path)
    result = run(name, *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*OF_TRAINING, "cost"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no record"),
        ("not JSON", "is no JSON"),
        ("[]", "has the fields"),
        ("{}", "has the fields"),
        ("\udcff", "can't decode"),
    ],
)
def test_what_is_no_record_is_an_error(tmp_path, name, text, words):
    """The message says what is wrong with it, and what writes one; there is no file."""
    path, figure = tmp_path / "record.json", tmp_path / "x.svg"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = run(name, path, figure)
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert ("benchmark" if name == "cost" else "`gradproof train") in result.output
    assert not figure.exists()


def test_a_record_of_another_kind_is_an_error(tmp_path, folder, scaling):
    """A cost is no training, nor the other way round."""
    for name, record in (("shares", scaling), ("cost", folder)):
        result = run(name, record, tmp_path / "x.svg")
        assert result.exit_code == 2, result.output
        assert "is not a record that can be drawn here" in result.output
    assert not (tmp_path / "x.svg").exists()


@pytest.mark.parametrize("name", OF_TRAINING)
def test_a_run_without_stages_is_an_error(tmp_path, folder, name):
    """Nothing was measured, so there is nothing to draw, and the message says how to measure."""
    bare = dataclasses.replace(TRAINING, stages=())
    (folder / "record.json").write_text(to_json(bare), encoding="utf-8")
    result = run(name, folder, tmp_path / "x.svg")
    assert result.exit_code == 2, result.output
    assert "has no stages" in result.output
    assert "--stages" in result.output
    assert not (tmp_path / "x.svg").exists()


def test_a_baseline_is_drawn_too(tmp_path, monkeypatch):
    """``gradproof baseline --figure`` marks where one's own lies."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(main, ["baseline", "--new", "mine.py"]).exit_code == 0
    arguments = ["baseline", "mine.py:PerToken", "--seed", "1", "--figure", "mine.svg"]
    result = runner.invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "mine.svg").read_bytes().startswith(MAGIC[".svg"])


def test_what_draws_is_loaded_only_to_draw():
    """matplotlib is a third of the time that a command takes to start."""
    script = "import sys, gradproof.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
