"""``gradproof baseline``: from a file to a verdict, and what is said of files that are none."""

import html
import json
import re

import pytest
from click.testing import CliRunner

from gradproof.cli import main
from gradproof.reference_models.corpora import load

WRONG = """
import numpy as np

number = 3.0
def batch_mean(x): return np.full(len(x.losses), np.mean(x.losses))
def short(x): return np.ones(1)
class Needs:
    def __init__(self, more): pass
"""


def run(*arguments):
    """The command with these arguments, always with the same seed."""
    return CliRunner().invoke(main, ["baseline", *arguments, "--seed", "1"])


@pytest.fixture
def small(tmp_path):
    """Options for a text of two labels, with few ways to label two sentences."""
    path = tmp_path / "small.csv"
    rows = (f"{each} {label},{label}\n" for label in "xy" for each in ("a b", "c", "d e f"))
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    return "--data", str(path)


@pytest.fixture
def wrong(tmp_path):
    """A file with things that are no baselines."""
    path = tmp_path / "wrong.py"
    path.write_text(WRONG, encoding="utf-8")
    return path


def test_the_template_may_be_used(tmp_path, small):
    """What --new writes passes, and is not overwritten."""
    path = tmp_path / "mine.py"
    written = CliRunner().invoke(main, ["baseline", "--new", str(path)])
    assert written.exit_code == 0
    assert f"gradproof baseline {path}:PerToken" in written.output
    again = CliRunner().invoke(main, ["baseline", "--new", str(path)])
    assert again.exit_code == 2
    assert "exists already" in again.output
    evidence = tmp_path / "evidence.json"
    found = run(f"{path}:PerToken", *small, "--json", str(evidence))
    assert found.exit_code == 0, found.output
    said = r"PerToken may be used: the mean stays, and it lowers the variance by \d.* %, after 5 "
    said += "steps of learning; seed 1"
    assert re.search(said, found.output), found.output
    assert re.search(
        r"Looked at [\d,]+ batches .*negative .*after 1 to 1,000 updates", found.output
    )
    assert "after 5 steps of learning" in found.output
    record = json.loads(evidence.read_text(encoding="utf-8"))
    assert record["usable"]
    assert len(record["evidence"]) == 9
    assert {each["group"] for each in record["variances"]} == {"e", "w", "phi", "theta"}


def test_a_biased_one_may_not(wrong, small, tmp_path):
    """Exit status 1, with the place, the size and what to do; and a page that says so."""
    page = tmp_path / "page.html"
    found = run(f"{wrong}:batch_mean", *small, "--html", str(page))
    assert found.exit_code == 1, found.output
    assert "batch_mean may not be used: own-draw, own-mean, own-mean-alone" in found.output
    assert re.search(r"B of sentence \d, of \d, follows its own loss: with losses", found.output)
    assert "contains 1/N of its own loss: the score term keeps 1 - 1/N of it" in found.output
    assert "leave the sentence's own loss out of B" in found.output
    kept = html.unescape(page.read_text(encoding="utf-8"))
    for words in ("batch_mean", "refuted", "leave the sentence's own loss out of B"):
        assert words in kept
    assert f"gradproof baseline {wrong}:batch_mean {' '.join(small)} --seed 1" in kept


def test_lost_digits_are_told(tmp_path, small):
    """A mean of the others in single precision may be used, and what it hides is said."""
    path = tmp_path / "single.py"
    path.write_text(
        "import numpy as np\n\ndef single(x):\n    losses = x.losses.astype(np.float32)\n"
        "    return (losses.sum() - losses).astype(float) / max(1, len(losses) - 1)\n",
        encoding="utf-8",
    )
    found = run(f"{path}:single", *small)
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert re.search(r"B loses digits: rounding moves it by up to \S+ of the largest loss", said)


def test_undecided_for_lost_digits_is_not_called_biased(tmp_path):
    """A standard deviation of squares in single precision, on losses of everyday size."""
    path = tmp_path / "squares.py"
    path.write_text(
        "import numpy as np\n\ndef squares(x):\n    losses = x.losses.astype(np.float32)\n"
        "    others = max(1, len(losses) - 1)\n    mean = (losses.sum() - losses) / others\n"
        "    square = ((losses**2).sum() - losses**2) / others\n"
        "    return mean + np.sqrt(np.maximum(square - mean**2, 0.0))\n",
        encoding="utf-8",
    )
    found = run(f"{path}:squares")
    said = " ".join(found.output.split())
    assert "own-mean, undecided: rounding of B, which loses digits, would hide" in said, said
    assert "This says nothing of a bias" in said
    assert "the gradient is biased" not in said
    assert "Not searched: a leak at single losses" in said


def test_many_labels_leave_one_sentence_and_that_is_said(tmp_path):
    """With 17 labels two sentences cannot be labelled in all ways."""
    path = tmp_path / "ones.py"
    path.write_text("import numpy as np\ndef ones(x): return np.ones(len(x.lengths))\n", "utf-8")
    texts = tmp_path / "texts.csv"
    rows = (f"some {each} text {label},{label}\n" for label in range(17) for each in "abc")
    texts.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    found = run(f"{path}:ones", "--data", str(texts))
    assert found.exit_code == 0, found.output
    assert (
        "Mean and variance are those of one sentence: with 2 there are too many ways"
        in found.output
    )


def test_one_that_raises_the_variance_is_told_so(tmp_path, small):
    """By how much, where one would help, with a figure, and as a failure if it is asked for."""
    path, figure = tmp_path / "high.py", tmp_path / "high.png"
    path.write_text(
        "import numpy as np\ndef high(x): return np.full(len(x.lengths), 1e4)\n", "utf-8"
    )
    found = run(f"{path}:high", *small, "--must-lower", "--figure", str(figure))
    assert found.exit_code == 1, found.output
    said = r"high may be used: .* raises the variance [\d,]+-fold; a constant helps only between 0"
    assert re.search(said, found.output), found.output
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_what_is_too_large_is_not_called_biased(tmp_path, small):
    """Rounding hides what could be seen: that says nothing of a bias."""
    path = tmp_path / "large.py"
    path.write_text("import numpy as np\ndef b(x): return np.full(len(x.lengths), 1e9)\n", "utf-8")
    found = run(f"{path}:b", *small)
    assert found.exit_code == 1, found.output
    assert "b is undecided (own-mean" in found.output
    assert "too large to resolve" in found.output
    assert "the gradient is biased" not in found.output


@pytest.mark.torch
def test_a_checkpoint_is_looked_at(wrong, tmp_path):
    """The parameters, and the name, of a run; another model or corpus is an error."""
    folder = tmp_path / "run"
    options = ["--steps", "2", "--every", "1", "--stages", "none", "--seed", "1", "--width", "4"]
    options += ["--hidden", "4", "--batch", "8", "--labelled-batch", "8"]
    trained = CliRunner().invoke(main, ["train", "--folder", str(folder), *options])
    assert trained.exit_code == 0, trained.output
    evidence = tmp_path / "evidence.json"
    found = run(f"{wrong}:batch_mean", "--checkpoint", str(folder), "--json", str(evidence))
    assert found.exit_code == 1, found.output
    assert "seqdgm on names-8 after 2 steps" in found.output
    record, corpus = json.loads(evidence.read_text(encoding="utf-8")), load("names-8")
    assert (record["data"], record["source"]) == (corpus.name, corpus.source)
    assert record["fingerprint"] == corpus.fingerprint
    other = run(f"{wrong}:batch_mean", "--checkpoint", str(folder), "--model", "seqdgm-a")
    assert other.exit_code == 2
    assert "is of a run with model = 'seqdgm', not 'seqdgm-a'" in other.output
    none = run(f"{wrong}:batch_mean", "--checkpoint", str(tmp_path / "none"))
    assert none.exit_code == 2
    assert "there is no checkpoint" in none.output
    for file in (wrong, folder / "record.json"):  # nobody is to delete these
        no = run(f"{wrong}:batch_mean", "--checkpoint", str(file))
        assert no.exit_code == 2
        assert "is not a checkpoint; expected a checkpoint-STEP.npz" in no.output
        assert "delete" not in no.output
    columns = ("--checkpoint", str(folder), "--text-column", "t")
    assert (
        "with text = None, not 't'; leave --text-column out"
        in run(f"{wrong}:short", *columns).output
    )


def test_a_table_of_other_columns(tmp_path):
    """The columns are named here as for `gradproof verify`, which the error says."""
    path, mine = tmp_path / "small.csv", tmp_path / "mine.py"
    rows = (f"{each} {name},{name}\n" for name in "xy" for each in ("a b", "c", "d e f"))
    path.write_text("words,kind\n" + "".join(rows), encoding="utf-8")
    mine.write_text("def two(x): return 2.0 + 0.0 * x.lengths\n", encoding="utf-8")
    assert "--text-column" in run(f"{mine}:two", "--data", str(path)).output
    columns = ("--text-column", "words", "--label-column", "kind")
    found = run(f"{mine}:two", "--data", str(path), *columns)
    assert found.exit_code == 0, found.output
    assert "own-gradient      no gradient enters B\n" in found.output  # each row is explained
    figure = str(tmp_path / "v.svg")
    arguments = ["plot", "variance", figure, "--data", str(path), *columns, "--sentences", "1"]
    drawn = CliRunner().invoke(main, arguments)
    assert drawn.exit_code == 0, drawn.output


@pytest.mark.torch
def test_a_leak_in_torch_is_named(tmp_path, small):
    """A file that imports torch gets tensors, and the parameter that leaks is named."""
    path = tmp_path / "leaky.py"
    path.write_text("import torch\n\ndef leak(x): return x.embedded.sum(dim=1)\n", encoding="utf-8")
    found = run(f"{path}:leak", *small)
    assert found.exit_code == 1, found.output
    assert "gradient of B by e.embedding" in found.output
    assert "detach what B reads" in found.output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short", "returned an array of shape (1,), expected (2,)"),
        ("none", "has no 'none'; it has batch_mean, short, Needs"),
        ("number", "is 3.0, expected a function or a class"),
        ("Needs", "a class must be made without arguments"),
        ("", "which function of "),
    ],
)
def test_what_is_no_baseline_is_an_error(wrong, name, words):
    """Exit status 2 and a message."""
    found = run(f"{wrong}:{name}")
    assert found.exit_code == 2, found.output
    assert words in found.output


def test_a_file_may_import_what_stands_beside_it(tmp_path, small):
    """Also dataclasses with annotations as text, which ask for the module by its name."""
    (tmp_path / "beside_it.py").write_text("LEVEL = 1.0\n", encoding="utf-8")
    path = tmp_path / "level.py"
    path.write_text(
        "from __future__ import annotations\nimport dataclasses\nfrom beside_it import LEVEL\n"
        "@dataclasses.dataclass\nclass Level:\n    level: float = LEVEL\n"
        "    def __call__(self, x): return [self.level] * len(x.lengths)\n",
        encoding="utf-8",
    )
    found = run(f"{path}:Level", *small)
    assert found.exit_code == 0, found.output


def test_what_is_no_file_is_an_error(tmp_path):
    """Neither there, nor Python, nor asked for."""
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0\n", encoding="utf-8")
    text = tmp_path / "text.txt"
    text.write_text("hello\n", encoding="utf-8")
    for target, words in (
        (f"{tmp_path}/none.py:x", "there is no file"),
        (f"{broken}:x", "raised ZeroDivisionError"),
        (f"{text}:x", "its name must end in .py"),
    ):
        found = run(target)
        assert found.exit_code == 2
        assert words in found.output
    nothing = CliRunner().invoke(main, ["baseline"])
    assert nothing.exit_code == 2
    assert "give either FILE.py:NAME or --new FILE.py" in nothing.output
    unknown = run(f"{broken}:x", "--model", "gpt")
    assert unknown.exit_code == 2
