"""The page on architecture: each of its examples runs, and prints what the page says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .pages import ROOT, Example, examples, printed, read

PAGE = read("docs/architecture.md")
EXAMPLES = {example.title: example for example in examples(PAGE)}

#: One place in each example where a slip must show: what stands there, the slip, and what it says.
SLIPS = {
    "A derivation": ('"log-derivative"', '"product rule"', "'product rule' does not lead from"),
    "A check": ("study.moments(form)", 'study.moments("one-pass")', "gradient.e/not-held holds"),
    "A baseline": ("Square(held=False)", "Square(held=True)", "holds\nholds\n"),
    "A framework's draws": (
        'FRAMEWORKS["dice"] = Dice\n',
        "",
        "NotReproducible: nondeterministic: the same outcomes",
    ),
    "A bug": ("* np.eye(3)[y]  #", "* (np.eye(3)[y] - q)  #", "numpy/score-without-q holds"),
    "A figure": ("barh([row.baseline for", "barh([row.fit for", "False"),
}


def cases() -> list[object]:
    """The examples, each with the mark of what it needs."""
    return [
        pytest.param(
            example,
            id=title,
            marks=[pytest.mark.torch] if "import torch" in example.code else [],
        )
        for title, example in EXAMPLES.items()
    ]


def test_every_place_has_an_example() -> None:
    """Were a heading lost or renamed, the tests below would pass on what is left."""
    assert list(EXAMPLES) == list(SLIPS)


@pytest.mark.parametrize("example", cases())
def test_examples_print_what_is_quoted(example: Example, tmp_path: Path) -> None:
    """An example runs by itself, in an empty folder."""
    assert printed(example.code, tmp_path) == example.quoted


@pytest.mark.parametrize("example", cases())
def test_a_slip_in_an_example_shows(example: Example, tmp_path: Path) -> None:
    """Each example can fail: of one slip it says what is wrong, and does not merely crash."""
    right, slip, message = SLIPS[example.title]
    assert example.code.count(right) == 1
    try:
        said = printed(example.code.replace(right, slip), tmp_path)
    except subprocess.CalledProcessError as error:
        said = error.stderr
    assert message in said
    assert said != example.quoted


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("### A\n```python\n1\n```\n", "'A' has 1 programs and 0 outputs"),
        ("### A\n```text\n1\n```\n", "'A' has 0 programs and 1 outputs"),
        ("### A\n" + 2 * "```python\n1\n```\n```text\n```\n", "'A' has 2 programs and 2 outputs"),
        ("## A\n```python\n1\n```\n### B\n", "above the first heading"),
    ],
)
def test_what_would_not_be_run_is_an_error(page: str, message: str) -> None:
    """A program without an output, without a heading, or behind another one."""
    with pytest.raises(ValueError, match=re.escape(message)):
        examples(page)


NAMED = sorted(
    {
        (page, path)
        for page in ("docs/architecture.md", "docs/style.md", "CONTRIBUTING.md")
        for path in re.findall(r"[`(]([\w/]+\.(?:py|md))[`)]", read(page))
    }
)


@pytest.mark.parametrize(("page", "path"), NAMED)
def test_files_that_are_named_are_there(page: str, path: str) -> None:
    """By their path from the root or from the page, or by the end of it where the room is clear."""
    beside = (ROOT / page).parent / path
    assert (ROOT / path).is_file() or beside.is_file() or any(ROOT.glob(f"[a-z]*/**/{path}"))
