"""``gradproof baseline``: from a file to a verdict, and what is said of files that are none."""

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
    """The command with these arguments, always on the same text."""
    return CliRunner().invoke(main, ["baseline", *arguments, "--seed", "1"])


@pytest.fixture
def wrong(tmp_path):
    """A file with things that are no baselines."""
    path = tmp_path / "wrong.py"
    path.write_text(WRONG, encoding="utf-8")
    return path


def test_the_template_may_be_used(tmp_path):
    """What --new writes passes, and is not overwritten."""
    path = tmp_path / "mine.py"
    written = CliRunner().invoke(main, ["baseline", "--new", str(path)])
    assert written.exit_code == 0
    assert f"gradproof baseline {path}:PerToken" in written.output
    again = CliRunner().invoke(main, ["baseline", "--new", str(path)])
    assert again.exit_code == 2
    assert "exists already" in again.output
    evidence = tmp_path / "evidence.json"
    found = run(f"{path}:PerToken", "--json", str(evidence))
    assert found.exit_code == 0, found.output
    assert (
        "PerToken may be used: the mean stays, and it lowers the variance; seed 1" in found.output
    )
    assert "after 5 steps of learning" in found.output
    record = json.loads(evidence.read_text(encoding="utf-8"))
    assert record["usable"]
    corpus = load("names-8")
    assert (record["data"], record["source"]) == (corpus.name, corpus.source)
    assert record["fingerprint"] == corpus.fingerprint
    assert len(record["evidence"]) == 8
    assert {each["group"] for each in record["variances"]} == {"e", "w", "phi", "theta"}


def test_a_biased_one_may_not(wrong):
    """Exit status 1, with the place, the size and what to do."""
    found = run(f"{wrong}:batch_mean")
    assert found.exit_code == 1, found.output
    assert "batch_mean may not be used: own-draw, own-mean, own-mean-alone" in found.output
    assert re.search(r"B of sentence \d, over its own draws of seqdgm on names-8", found.output)
    assert "leave the sentence's own loss out of B" in found.output


def test_many_labels_leave_one_sentence_and_that_is_said(tmp_path):
    """With 61 labels two sentences cannot be labelled in all ways."""
    path = tmp_path / "ones.py"
    path.write_text("import numpy as np\ndef ones(x): return np.ones(len(x.lengths))\n", "utf-8")
    texts = tmp_path / "texts.csv"
    rows = (f"some {each} text {label},{label}\n" for label in range(61) for each in "abc")
    texts.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    found = run(f"{path}:ones", "--data", str(texts))
    assert found.exit_code == 0, found.output
    assert "Only one sentence was looked at: with 2 there are too many ways" in found.output


@pytest.mark.torch
def test_a_leak_in_torch_is_named(tmp_path):
    """A file that imports torch gets tensors, and the parameter that leaks is named."""
    path = tmp_path / "leaky.py"
    path.write_text("import torch\n\ndef leak(x): return x.embedded.sum(dim=1)\n", encoding="utf-8")
    found = run(f"{path}:leak")
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
        ("", "is not FILE.py:NAME"),
    ],
)
def test_what_is_no_baseline_is_an_error(wrong, name, words):
    """Exit status 2 and a message."""
    found = run(f"{wrong}:{name}")
    assert found.exit_code == 2, found.output
    assert words in found.output


def test_a_file_may_import_what_stands_beside_it(tmp_path):
    """Also dataclasses with annotations as text, which ask for the module by its name."""
    (tmp_path / "beside_it.py").write_text("LEVEL = 1.0\n", encoding="utf-8")
    path = tmp_path / "level.py"
    path.write_text(
        "from __future__ import annotations\nimport dataclasses\nfrom beside_it import LEVEL\n"
        "@dataclasses.dataclass\nclass Level:\n    level: float = LEVEL\n"
        "    def __call__(self, x): return [self.level] * len(x.lengths)\n",
        encoding="utf-8",
    )
    found = run(f"{path}:Level")
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
