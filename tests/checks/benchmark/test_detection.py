"""What methods say is counted rightly, and drawing from a law is running the estimator."""

import dataclasses

import numpy as np
import pytest

from gradproof.checks.benchmark.bugs import ROWS
from gradproof.checks.benchmark.detection import METHODS, law_of, run_benchmark
from gradproof.checks.benchmark.results import BenchmarkResult
from gradproof.checks.json_records import from_json, to_json
from gradproof.checks.sequential.mean_test import MeanTest
from gradproof.checks.user.estimator import check_estimator
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.gradients import GradientLayout

RIGHT, WRONG, STATE = "numpy/constant-baseline", "numpy/batch-mean", "numpy/gradients-add-up"

#: One of which no mean can be had.
REFUSED = "numpy/entropy-of-the-system"


def timeless(found):
    """A result without its times."""
    rows = [
        dataclasses.replace(
            row,
            answers={
                method: said and dataclasses.replace(said, seconds=0.0)
                for method, said in row.answers.items()
            },
        )
        for row in found.rows
    ]
    return dataclasses.replace(found, rows=tuple(rows))


def few(*keys, **options):
    """A result of some rows, with few runs."""
    return run_benchmark(keys or (RIGHT, WRONG, STATE, REFUSED), on_bugs=2, on_right=2, **options)


def test_bugs_are_caught_and_right_estimators_are_not():
    """Enumeration sees the bug or refuses it; a look at the state sees what is kept."""
    found = few(seed=1)
    by_key = {row.key: row for row in found.rows}
    assert found.bugs == found.seen == 3
    assert found.catches("enumeration") == 2
    assert by_key[STATE].answers["enumeration"].wrong == 0.0
    assert by_key[STATE].answers["beyond"].wrong == 1.0
    assert found.false_alarms("enumeration") == found.false_alarms("sequential") == 0
    assert by_key[WRONG].answers["sequential"].wrong == 1.0
    assert by_key[WRONG].bias == pytest.approx(0.178, abs=5e-4)  # as printed, to three places
    assert by_key[REFUSED].answers["sequential"] is by_key[REFUSED].answers["beyond"] is None
    assert by_key[REFUSED].bias is None
    assert by_key[RIGHT].bias < 1e-14  # some roundings
    assert found.as_claimed
    assert found.runs("sequential") == 2


def test_a_false_alarm_or_a_missed_bug_is_no_claim():
    """What the command's exit status hangs on."""
    found = few(seed=1)

    def changed(key, wrong):
        rows = [
            dataclasses.replace(
                row,
                answers=row.answers
                | {"enumeration": dataclasses.replace(row.answers["enumeration"], wrong=wrong)},
            )
            if row.key == key
            else row
            for row in found.rows
        ]
        return dataclasses.replace(found, rows=tuple(rows))

    assert not changed(RIGHT, 1.0).as_claimed
    assert not changed(WRONG, 0.0).as_claimed


def test_the_same_seed_gives_the_same_score_in_any_number_of_processes():
    """Each row draws from a generator of its own."""
    first = timeless(few(seed=3))
    assert first == timeless(few(seed=3))
    assert first == timeless(few(seed=3, processes=2))
    assert few().seed != few().seed


def test_rows_that_are_none_are_an_error():
    """Zero rows are no benchmark."""
    with pytest.raises(ValueError, match="no rows numpy/none: the catalogue has"):
        few("numpy/none")
    with pytest.raises(ValueError, match="no rows are given"):
        run_benchmark(())


def test_a_record_is_read_as_it_was_written():
    """And nothing else is read."""
    found = few(seed=1)
    assert from_json(BenchmarkResult, to_json(found)) == found
    for text in ("{", "[]", "{}", '{"methods": [], "rows": [], "seed": "1", "more": 1}'):
        with pytest.raises(ValueError, match=r"no JSON|BenchmarkResult has the fields"):
            from_json(BenchmarkResult, text)
    assert isinstance(found, BenchmarkResult)
    assert tuple(METHODS) == found.methods


def test_a_law_has_the_moments_of_its_estimator():
    """Mean and covariance of the paths are those that enumeration finds."""
    row = ROWS[WRONG]
    problem = row.make()
    known = check_estimator(problem.estimate, problem.inputs, **problem.options())
    law = law_of(row, known.exact)
    mean = np.concatenate([np.ravel(each) for each in known.mean.values()])
    variance = np.concatenate([np.ravel(each) for each in known.variance.values()])
    # Sums in another order; a variance of numbers that are a few times as large.
    assert law.probabilities @ law.gradients == pytest.approx(mean, rel=1e-12, abs=0.0)
    assert np.diag(law.covariance()) == pytest.approx(variance, rel=1e-10, abs=0.0)  # the same


@pytest.mark.torch
@pytest.mark.parametrize("id", ["arm", "sticking-the-landing"])
def test_a_law_over_nodes_has_the_moments_of_the_integral(id):
    """Continuous numbers have nodes in their place: one with two comparisons, one with none."""
    row = ROWS[f"torch/{id}"]
    problem = row.make()
    known = check_estimator(problem.estimate, problem.inputs, **problem.options())
    law = law_of(row, known.exact)
    mean = np.concatenate([np.ravel(each) for each in known.mean.values()])
    variance = np.concatenate([np.ravel(each) for each in known.variance.values()])
    # Both estimators are polynomials in the number on each path, for which the rule is exact.
    assert law.probabilities @ law.gradients == pytest.approx(mean, rel=1e-10, abs=1e-12)
    assert np.diag(law.covariance()) == pytest.approx(variance, rel=1e-10, abs=0.0)  # the same


def test_drawing_from_a_law_is_running_the_estimator():
    """A thousand runs of an estimator have the mean that its law has: or once in 10^9 not."""
    row = ROWS[WRONG]
    problem = row.make()
    known = check_estimator(problem.estimate, problem.inputs, **problem.options())
    law = law_of(row, known.exact)
    run, layout = Estimator(problem.estimate, problem.inputs), GradientLayout(known.exact)
    covariance = law.covariance()
    test = MeanTest(law.probabilities @ law.gradients, alpha=1e-9, covariance=covariance)
    for _ in range(10):
        assert not test.feed(np.stack([layout.row(run()) for _ in range(100)]))
    mean, error = law.mean_and_error(np.random.default_rng(), 100_000)
    # Six standard errors, once in 5 10^8 for each of a few entries.
    assert (np.abs(mean - law.probabilities @ law.gradients) <= 6.0 * error + 1e-12).all()
