"""Sums of independent estimates: moments and verdicts against all joint paths."""

import numpy as np
import pytest

from gradproof import NothingCompared, check_estimator
from gradproof.checks.user.summed_report import NotEnumerated, SummedReport

Q = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
COSTS = np.array([[1.0, 3.0, 2.0], [0.5, -1.0, 4.0]])
rng = np.random.default_rng()


def part(row, baseline=1.0):
    """One sentence's estimate."""
    y = rng.choice(3, p=Q[row])
    return (COSTS[row, y] - baseline) * (np.eye(3)[y] - Q[row])


def exact(row):
    """Its mean."""
    return Q[row] * (COSTS[row] - Q[row] @ COSTS[row])


def summed(*estimates):
    """The report on the sum."""
    total = SummedReport("sum")
    for row, estimate in enumerate(estimates):
        total.add(check_estimator(estimate, exact=exact(row)))
    return total.report()


def test_the_moments_are_those_of_all_joint_paths():
    """Mean, variance and verdict, by 3 + 3 paths in place of 9."""
    report = summed(lambda: part(0), lambda: part(1))
    joint = check_estimator(lambda: part(0) + part(1), exact=exact(0) + exact(1))
    assert (report.paths, joint.paths) == (6, 9)
    assert report.verdict == joint.verdict == "holds"
    close = {"rtol": 1e-14, "atol": 1e-15}  # a few roundings of numbers near one
    np.testing.assert_allclose(report.mean["gradient"], joint.mean["gradient"], **close)
    np.testing.assert_allclose(report.variance["gradient"], joint.variance["gradient"], **close)
    assert report.direction.cosine == pytest.approx(1.0, rel=1e-14, abs=0.0)  # roundings
    assert "a sum of 2 independent estimates" in report.explain()


def test_a_part_that_is_wrong_refutes_the_sum():
    """Half of one sentence's gradient, planted: the factor is that of the sum."""
    report = summed(lambda: part(0), lambda: part(1) / 2)
    joint = check_estimator(lambda: part(0) + part(1) / 2, exact=exact(0) + exact(1))
    assert report.verdict == joint.verdict == "refuted"
    assert report.direction.verdict == joint.direction.verdict == "differs"
    close = {"rel": 1e-13, "abs": 0.0}  # roundings
    assert report.direction.factor == pytest.approx(joint.direction.factor, **close)


def test_what_was_sampled_or_is_of_others_is_refused():
    """And a sum of nothing."""
    total = SummedReport("sum")
    with pytest.raises(NothingCompared, match="sum: a sum of no estimates"):
        total.report()
    sampled = check_estimator(
        lambda: rng.normal(size=1) + np.zeros(1), exact=np.zeros(1), draws=20, bounds=(-9.0, 9.0)
    )
    with pytest.raises(NotEnumerated, match="was sampled, expected enumerated"):
        total.add(sampled)
    total.add(check_estimator(lambda: part(0), exact=exact(0)))
    with pytest.raises(ValueError, match="a part by w, expected gradient"):
        total.add(check_estimator(lambda: {"w": part(0)}, exact={"w": exact(0)}))
