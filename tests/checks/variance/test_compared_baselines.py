"""The note's baselines in a table: against parabolas, records and the answer's page."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from gradproof.checks.json_records import from_json
from gradproof.checks.variance.compared_baselines import Sentence, compare_baselines
from gradproof.checks.variance.records import Training
from gradproof.checks.variance.removable import stage
from gradproof.estimators.engine import moments_table
from gradproof.estimators.engine.label_jacobian import label_jacobian
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.training.step import initial_state
from gradproof.estimators.training.training_options import TrainingOptions, make_task
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.tabular import TabularModel

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.torch

#: Of sums of some thousand terms, in double precision.
CLOSE = {"rel": 1e-11, "abs": 0.0}


@pytest.fixture(autouse=True)
def _torch():
    """Gradients of every label are PyTorch's here."""
    pytest.importorskip("torch")


def subjects(seed=5, sentences=6):
    """Sentences of one tabular model to fit on, and others to measure on."""
    rng = np.random.default_rng(seed)
    model = TabularModel(3, 6, 2)
    parameters = model.initial(rng)

    def some(n):
        mask = np.arange(4) < rng.integers(1, 5, (n, 1))
        tokens = rng.integers(0, 6, mask.shape) * mask
        return Subject(model, parameters, make_batch(tokens, mask, noise=model.noise(rng, n, 4)))

    return some(sentences), some(sentences)


def name_of(row):
    """What the table calls a row of a record."""
    return row.baseline if row.fit in ("none", "exact") else f"{row.baseline}, {row.fit}"


def test_variances_are_those_of_the_parabolas():
    """By group, for every baseline and fit; each holds, and its mean is the gradient."""
    train, held_out = subjects()
    options = {"data": "none", "step": 0, "rng": np.random.default_rng(3)}
    # Of the same table, or fits of a network would differ by more than rounding.
    witness = stage(train, held_out, table=moments_table, **options)
    table = compare_baselines(train, held_out, rng=np.random.default_rng(3))
    compared = [row for row in witness.rows if not row.baseline.startswith("best-per")]
    assert sorted(map(name_of, compared)) == sorted(row.name for row in table.rows)
    assert len(compared) == 17
    for row in compared:
        report = table[name_of(row)].report
        assert report.unbiased
        assert table[name_of(row)].factor == pytest.approx(1.0, **CLOSE)
        assert report.paths == held_out.batch.n * 3
        for group, variance in row.variances.items():
            assert report.variance[group].sum() == pytest.approx(variance, **CLOSE)


def test_rows_may_be_chosen():
    """By name; a name that is none is said, with those that there are."""
    train, held_out = subjects()
    table = compare_baselines(
        train, held_out, rng=np.random.default_rng(3), only=["none", "per-token, mse"]
    )
    assert {row.name for row in table.rows} == {"none", "per-token, mse"}
    with pytest.raises(ValueError, match="no row is called 'per-token'; there are none, constant"):
        compare_baselines(train, held_out, rng=np.random.default_rng(3), only=["per-token"])


def test_other_parameters_are_refused():
    """Baselines are fitted where they are measured."""
    train, _ = subjects()
    _, held_out = subjects(seed=6)
    with pytest.raises(ValueError, match="is not the same where baselines are fitted"):
        compare_baselines(train, held_out, rng=np.random.default_rng(3))


def test_wrong_scores_are_refused():
    """A score that is planted to be twice as long at one label does not pass for rounding."""
    _, held_out = subjects()
    jacobian = label_jacobian(held_out.example(0))
    assert Sentence(jacobian).check("right", 1.0).unbiased
    rows = jacobian.rows.copy()
    rows[0] *= 2.0
    with pytest.raises(ValueError, match=r"the mean of the scores by e is .*, expected zero"):
        Sentence(dataclasses.replace(jacobian, rows=rows))


def test_a_baseline_that_knows_the_label_is_refuted(monkeypatch):
    """The loss itself, planted as the baseline: the gradient of log q is all that is left."""
    train, held_out = subjects()
    made = Sentence.__init__

    def planted(self, jacobian):
        made(self, jacobian)
        exact = self._gradient()
        self._gradient = lambda: exact
        self._returns = self._returns - jacobian.loss

    monkeypatch.setattr(Sentence, "__init__", planted)
    table = compare_baselines(train, held_out, rng=np.random.default_rng(3), only=["none"])
    assert table["none"].verdict == "differs"


def printed(page, part, column):
    """The first number of a column of a part of the answer's page, by row."""
    block = re.search(rf"<!-- {part} -->\n(.*?)<!-- /{part} -->", page, re.DOTALL)[1]
    rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in block.splitlines()]
    at = rows[0].index(column)
    return {row[0]: row[at].split(" / ")[0] for row in rows[2:]}


def digits(number, as_printed):
    """A number with as many digits as another one was printed with."""
    decimals = len(as_printed.partition(".")[2])
    return f"{number:,.{decimals}f}"


def excerpt():
    """The table that the how-to quotes, a row each by column."""
    page = (ROOT / "docs/how-to/compare.md").read_text(encoding="utf-8")
    block = next(each for each in page.split("```text\n") if each.startswith("| estimator |"))
    lines = [line.strip("| ").split(" | ") for line in block.partition("```")[0].splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


@pytest.mark.slow
def test_the_figures_of_the_answer_are_those_of_the_table():
    """At the initial parameters of SeqDGM on names, to the digits that the page prints."""
    from gradproof.cli.train import measured_subjects

    page = (ROOT / "docs/answer.md").read_text(encoding="utf-8")
    text = (ROOT / "docs/records/names-8-seqdgm.json").read_text(encoding="utf-8")
    record = from_json(Training, text)
    command = re.search(r"gradproof train --folder names-8-seqdgm (.*)", page)[1]
    assert command == "--seed 1 --sentences 256 --weights batch --alpha 10"
    task = make_task(TrainingOptions(seed=1, weights="batch", alpha=10.0))
    if task.prepared.corpus.fingerprint != json.loads(text)["fingerprint"]:
        pytest.skip("the names that are installed are not those of the record")
    train, held_out, rng = measured_subjects(task, initial_state(task).parameters, 256)
    quoted = excerpt()
    only = [*(row["estimator"] for row in quoted), "best"]
    table = compare_baselines(train, held_out, rng=rng, only=only)
    assert table.verdict == "9 of 9 hold"
    assert [row.name for row in table.rows] == ["best", *only[:-1]]
    shown = table.table()
    for row, cells in zip(quoted, shown.rows[1:], strict=True):
        assert row == {name: cells[shown.columns.index(name)] for name in row}
    variances = {row.name: row.report.total_variance for row in table.rows}
    recorded = {name_of(row): row.total for row in record.stages[0].rows}
    assert {name: recorded[name] for name in only} == pytest.approx(variances, **CLOSE)
    factors = printed(page, "factors", "seqdgm on names-8")
    shares = printed(page, "shares", "seqdgm on names-8")
    none, removable = variances["none"], variances["none"] - variances["best"]
    for name in only:
        assert digits(none / variances[name], factors[name]) == factors[name]
    for name in set(only) - {"none", "best"}:
        share = 100.0 * (none - variances[name]) / removable
        assert digits(share, shares[name]) == shares[name]
