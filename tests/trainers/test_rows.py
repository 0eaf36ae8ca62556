"""Losses and trainers of libraries, as they are installed: what the table says of each."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import llm

pytestmark = [pytest.mark.trainers, pytest.mark.filterwarnings("ignore")]  # of what they import

#: What each library is imported by.
NEEDS = {
    "by hand": "verl",
    "openrlhf": "openrlhf",
    "torchrl": "torchrl",
    "trl": "trl",
    "verl": "verl",
}

RECORDED = {llm._key(one): one for one in llm.read().answers}
ROWS = {llm._key(row): row for row in llm.all_rows()}

#: Rows of a trainer that are tried here, with two tokens: one takes half a minute where it differs.
#: All of one token are tried besides.
OF_TWO_TOKENS = {
    "RLOOTrainer(); gpt2; T = 2",
    "GRPOTrainer(loss_type='dr_grpo', scale_rewards='none'); gpt2; T = 2",
}

#: Of losses: every other one of verl has the same code in it.
FEW = [
    key
    for number, (key, row) in enumerate(ROWS.items())
    if (row.library != "trl" and number % 4 == 0)
    or (row.library == "trl" and ("T = 1" in row.option or row.option in OF_TWO_TOKENS))
]

#: Other machines round otherwise, and some of these losses are in single precision.
ALLOWED = 1e-4


@pytest.mark.parametrize("key", FEW, ids="; ".join)
def test_the_record_is_what_is_found(key, installed_library):
    """Verdict, factor, cosine and deviation of the row."""
    installed_library(NEEDS[key[0]])
    found, recorded = llm.answer_of(ROWS[key]), RECORDED[key]
    assert found.verdict == recorded.verdict
    assert found.paths == recorded.paths
    for name in ("factor", "cosine", "deviation"):
        number = pytest.approx(getattr(recorded, name), rel=0.0, abs=ALLOWED, nan_ok=True)
        assert getattr(found, name) == number, name


def test_the_record_has_the_rows_of_the_program():
    """All of them, in their order."""
    assert list(RECORDED) == list(ROWS)
    assert len(ROWS) >= 51


def test_the_record_has_the_installed_versions(installed_library):
    """It would be of others else."""
    for name in ("verl", "openrlhf", "torchrl", "trl"):
        installed_library(name)
    assert dict(llm.read().versions) == llm.versions()
