"""The answer's page: it says what the records say, and a record that changes changes it."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from gradproof.checks.json_records import from_json
from gradproof.checks.variance.record_texts import other_texts
from gradproof.checks.variance.records import EstimatorTable, Training
from gradproof.estimators.training.training_options import Schedule, TrainingOptions
from gradproof.reference_models.corpora import load
from gradproof.reports import answer
from gradproof.reports.plain_names import run_name
from gradproof.reports.stages import by_key

ROOT = Path(__file__).resolve().parents[2]
RUNS = {
    path.stem: from_json(Training, path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "docs" / "records").glob("*.json"), key=lambda path: path.stem)
    if path.stem not in ("scaling", "estimators", "enumeration", "llm", "samplers")
}
ESTIMATORS = ROOT / "docs" / "records" / "estimators.json"
TABLE = (
    from_json(EstimatorTable, ESTIMATORS.read_text(encoding="utf-8"))
    if ESTIMATORS.is_file()
    else None
)
PAGES = ("docs/note.md", "docs/answer.md")


def cells(table):
    """The rows of a table, by what the first column says."""
    rows = [
        [each.strip() for each in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]
    return {row[0]: row[1:] for row in rows}


# ------------------------------------------------------------------ the pages


@pytest.mark.parametrize("name", PAGES)
def test_no_number_was_typed(name):
    """Each marked place is what the records give."""
    page = (ROOT / name).read_text(encoding="utf-8")
    written = answer.fill(page, RUNS, TABLE)
    assert written == page, f"{name} is stale; run `python benchmarks/answer.py`"
    assert "<!-- answer -->" in page


def test_the_page_has_every_part():
    """What can be said of the records is said."""
    page = (ROOT / "docs" / "answer.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- ([\w-]+) -->", page)) == {*answer.PARTS, *answer.OF_TABLE}


def test_the_figure_is_of_these_runs():
    """A panel for each column of the tables."""
    drawn = (ROOT / "docs" / "shares.svg").read_text(encoding="utf-8")
    titles = [run_name(run) for run in answer.measured_runs(RUNS)]
    assert len(titles) == 4
    assert all(f">{title}</text>" in drawn for title in titles)


def test_each_record_has_the_command_that_made_it():
    """By name, with the options that a record tells of; defaults are those of the command."""
    page = (ROOT / "docs" / "answer.md").read_text(encoding="utf-8")
    commands = re.findall(r"^gradproof train --folder (\S+)(.*)$", page, flags=re.MULTILINE)
    assert sorted(name for name, _ in commands) == sorted(RUNS)
    for name, options in commands:
        words = options.split()
        given = {word: words[place + 1] for place, word in enumerate(words) if word[:2] == "--"}
        run = RUNS[name]
        assert run.seed == int(given["--seed"])
        assert run.model == given.get("--model", TrainingOptions().model)
        # These were made before there was one encoder for all, of which a record says nothing.
        apart = "false" if run.model == "seqdgm-a" else None
        assert given.get("--shared-encoder") == apart
        assert run.data == given.get("--data", TrainingOptions().data)
        assert run.estimator == given.get("--estimator", TrainingOptions().estimator)
        assert run.baseline in (TrainingOptions().row.baseline, "none")
        assert run.steps[-1] == int(given.get("--steps", Schedule().steps))
        sentences = {stage.sentences for stage in run.stages}
        assert sentences == ({int(given["--sentences"])} if "--sentences" in given else set())


def test_all_records_of_a_corpus_are_of_the_same_texts():
    """And of the texts that are here, or the difference is said."""
    texts = {(run.data, run.fingerprint) for run in RUNS.values()}
    assert {data for data, _ in texts} == {"names-8", "r8"}
    assert len(texts) == 2
    here = load("names-8")
    for name, run in RUNS.items():
        assert re.fullmatch(r"[0-9a-f]{16}", run.fingerprint)
        same = run.data != here.name or run.fingerprint == here.fingerprint
        said = other_texts(run, f"{name}.json")
        assert same or f"{name}.json was made with other texts than" in said
        planted = dataclasses.replace(run, data=here.name, fingerprint="0" * 16)
        assert f"has here: with {run.source} (checksum 0" in other_texts(planted, f"{name}.json")


def test_what_is_said_in_words_is_so():
    """Every form lowers the variance at every stage, and all sentences gain by E[R|x]."""
    compared = 0
    for run in RUNS.values():
        assert len(run.stages) in {0, 3}
        for stage in run.stages:
            for rows in (stage.rows, stage.analytic):
                none, *others = rows
                assert none.baseline == "none"
                assert all(row.total < none.total for row in others)
                assert {row.helped for row in rows if row.baseline == "expected-return"} == {1.0}
                compared += len(others)
    assert compared >= 4 * 3 * 2 * len(answer.COMPARED)


def test_what_is_said_of_single_rows_is_so():
    """The entropy in the score term, and the embedding: on words, and at the start of SeqDGM-A."""
    seen = 0
    for run in RUNS.values():
        for stage in run.stages[1:]:
            total = {key: row.total for key, row in by_key(stage).items()}
            for row in stage.analytic:
                if (row.baseline, row.fit) in answer.COMPARED[:3]:
                    assert row.total > total[row.baseline, row.fit]
                    seen += 1
            if run.data == "r8":
                both = total.pop(answer.AFFINE)
                for name in ("constant", "per-token", "affine-length", "affine-embedding"):
                    assert both < total[name, "mse"]
    assert seen >= 4 * 2 * 3
    first = by_key(RUNS["names-8-seqdgm-a"].stages[0])
    assert first["affine-embedding", "mse"].total > first["constant", "mse"].total


# ------------------------------------------------------------------ its parts


@pytest.fixture
def run(training):
    """A run whose rows have every fit that sentences speak of, and both forms of the score."""

    def make(stage):
        shares = zip((answer.NOTHING, *QUOTED), (0.0, 0.5, 0.75, 0.8, 0.9, 1.0), strict=True)
        none = stage.rows[0]
        rows = tuple(
            dataclasses.replace(
                none,
                baseline=baseline,
                fit=fit,
                variances={"e": 10.0 - 8.0 * share, "phi": 0.0},
                share=share,
                helped=share,
            )
            for (baseline, fit), share in shares
        )
        analytic = tuple(dataclasses.replace(row, variances={"e": 1.5 * row.total}) for row in rows)
        return dataclasses.replace(stage, rows=rows, analytic=analytic)

    return dataclasses.replace(training, stages=tuple(map(make, training.stages)))


QUOTED = (
    answer.CONSTANT,
    answer.RELEASED,
    answer.AFFINE,
    answer.EXPECTED,
    ("best", "exact"),
)


def test_tables_are_of_the_rows(run):
    """Shares, factors, sentences and ratios, by stage; where there is no variance, a dash."""
    runs = {"one": run}
    assert cells(answer.shares(runs)) == {
        "constant": ["50.0 / 50.0 / 50.0"],
        "per-token": ["75.0 / 75.0 / 75.0"],
        "affine-both": ["80.0 / 80.0 / 80.0"],
        "expected-return": ["90.0 / 90.0 / 90.0"],
    }
    assert cells(answer.factors(runs))["best"] == ["5.0 / 5.0 / 5.0"]
    assert cells(answer.helped_shares(runs))["constant"] == ["50.0 / 50.0 / 50.0"]
    assert cells(answer.plus_one(runs))["none"] == ["1.50 / 1.50 / 1.50"]
    assert "affine-both" not in cells(answer.plus_one(runs))
    assert cells(answer.groups(runs)) == {"e": ["0.4 / 0.4 / 0.4"], "phi": ["- / - / -"]}


def test_sentences_have_the_numbers(run):
    """One where all stages agree, and two where they do not; there are two sentences."""
    said = " ".join(answer.sentences({"one": run}).split())
    assert "removes 75.0 % of the variance that any B(x) can remove and makes the" in said
    assert "one constant removes 50.0 %" in said
    assert "up to 25.0 % of its sentences" in said
    assert "the variance is 1.50 times as large without" in said
    assert "gradient's variance 2.5 times smaller" in said
    assert len(re.findall(r"\.(?: |$)", said)) == 2
    last = run.stages[-1]
    rows = tuple(
        dataclasses.replace(row, share=0.9994) if row.baseline == "per-token" else row
        for row in last.rows
    )
    moved = dataclasses.replace(last, rows=rows)
    other = dataclasses.replace(run, stages=(*run.stages[:-1], moved))
    assert "removes 75.0 to 99.94 %" in " ".join(answer.sentences({"one": other}).split())


def test_estimators_are_compared_at_equal_steps_and_at_equal_seconds(training):
    """Of one seed, and of runs that no stage was measured in; one without a twin is left out."""
    sampled = dataclasses.replace(training, stages=())
    enumerated = dataclasses.replace(
        sampled,
        estimator="enumeration",
        steps=np.array([0, 20]),
        seconds=np.array([0.0, 4.5]),
        accuracy=np.array([0.1, 0.6]),
        loss=np.array([9.0, 8.0]),
    )
    alone = dataclasses.replace(sampled, seed=7)
    runs = {"a": sampled, "b": enumerated, "c": alone, "d": training}
    assert cells(answer.training(runs)) == {
        "1": ["20", "0.600", "4", "0.500", "2", "0.700", "40"],
    }


def test_texts_are_listed_once(training):
    """Runs with other lists of one corpus have a row each."""
    other = dataclasses.replace(training, fingerprint="fedcba9876543210")
    assert answer.texts({"one": training, "two": training, "three": other}).splitlines()[2:] == [
        "| names-8 | faker 1.0 | 0123456789abcdef |",
        "| names-8 | faker 1.0 | fedcba9876543210 |",
    ]


def test_a_second_seed_is_held_against_the_first(run):
    """By the furthest that a share moved, over the stages."""
    first = run.stages[0]
    rows = tuple(
        dataclasses.replace(row, share=row.share - 0.02) if row.baseline == "constant" else row
        for row in first.rows
    )
    moved = (dataclasses.replace(first, rows=rows), *run.stages[1:])
    other = dataclasses.replace(run, seed=2, stages=moved)
    assert cells(answer.seeds({"one": run, "two": other})) == {
        "seqdgm on names-8": ["1, 2", "2.0", "0.0", "2.0", "constant, running-mean"],
    }


@pytest.mark.parametrize("page", ["<!-- share -->\n<!-- /share -->", "<!-- shares -->"])
def test_a_mark_without_an_end_is_an_error(page):
    """Nor may a page ask for what there is not."""
    with pytest.raises(ValueError, match="has no end, or is none of what a page can quote"):
        answer.fill(page, {})


def test_marks_are_filled_and_all_else_is_left(run):
    """Twice fill is once fill."""
    page = "a\n<!-- shares -->\nold\n<!-- /shares -->\nb\n"
    found = answer.fill(page, {"one": run})
    assert found == answer.fill(found, {"one": run})
    assert found.startswith("a\n<!-- shares -->\n| baseline |")
    assert found.endswith("|\n<!-- /shares -->\nb\n")
