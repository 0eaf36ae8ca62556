"""Estimators of which it is said that the order of their draws does not matter."""

import math

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.checks.user.orders import NotExchangeable
from gradproof.estimators.enumeration.run import NotReproducible, TooManyPaths

COSTS = np.array([0.5, 1.0, 3.0, 4.0])
LOGITS = np.array([-1.0, 0.0, 0.5, 1.0])


def law(logits):
    """Probabilities."""
    odds = np.exp(logits)
    return odds / odds.sum()


def make(draws, own=False, extra=lambda y: 0.0):
    """REINFORCE with the mean cost of the other labels, or of all, as the baseline."""
    rng = np.random.default_rng()

    def estimate(logits):
        y = rng.choice(4, p=law(logits), size=draws)
        cost = COSTS[y]
        baseline = cost.mean() if own else (cost.sum() - cost) / (draws - 1)
        score = np.eye(4)[y] - law(logits)
        return ((cost - baseline)[:, None] * score).mean(0) + extra(y)

    return estimate


def check(estimate, **options):
    """The report, with the exact gradient of the mean cost."""
    exact = law(LOGITS) * (COSTS - law(LOGITS) @ COSTS)
    options = {"exact": exact, "exchangeable": True, **options}
    return check_estimator(estimate, [LOGITS], **options)


def test_a_batch_of_twelve_is_enumerated_by_counts():
    """Sixteen million paths, in 455 ways; the baseline of all is refuted, and its reason named."""
    with pytest.raises(TooManyPaths):
        check(make(12), exchangeable=False)
    report = check(make(12))
    assert (report.verdict, report.method) == (HOLDS, "enumerated")
    assert report.paths == math.comb(15, 12)
    said = report.explain()
    assert "12 at most, were enumerated by how often each outcome comes" in said
    assert "each of 455 paths was run in 4 orders, which came to the same" in said
    wrong = check(make(12, own=True))
    assert wrong.verdict == REFUTED
    assert "0.9167 times" in wrong.explain()  # 1 - 1/12
    assert "12" in wrong.explain().partition("0.9167 times")[2]


def test_moments_are_those_of_all_orders():
    """Mean and variance, for a batch that is small enough for both."""
    few, all_ = check(make(5)), check(make(5), exchangeable=False)
    assert (few.paths, all_.paths) == (56, 1024)
    for name in ("mean", "variance"):
        one, other = getattr(few, name)["gradient"], getattr(all_, name)["gradient"]
        # Roundings of a thousand paths, which add up to a few in 1e15.
        assert np.abs(one - other).max() <= 1e-13 * np.abs(other).max()


ASYMMETRIC = {
    "the first": lambda y: 1e-3 * (y[0] - y[-1]),
    "the middle": lambda y: 1e-3 * (y[1] - y[0]),
    "neighbours": lambda y: 1e-3 * (y[0] == y[1]),
    "a rare pair": lambda y: 1e-3 * (y[0] == 0 and y[1] == 3),
}


@pytest.mark.parametrize("draws", [3, 5])
@pytest.mark.parametrize("name", ASYMMETRIC)
def test_an_order_that_matters_is_an_error(name, draws):
    """Whatever its mean; the message has both numbers and what to do."""
    with pytest.raises(NotExchangeable, match=r"the order of draws matters: .* exchangeable=True"):
        check(make(draws, extra=ASYMMETRIC[name]))


def test_two_draws_are_exchanged_for_certain():
    """Of two labels of two there is one way alone in which an order can show."""
    rng = np.random.default_rng()

    def estimate(theta):
        y = rng.choice(2, p=[0.5, 0.5], size=2)
        return theta * (y[0] - y[1])

    with pytest.raises(NotExchangeable):
        check_estimator(estimate, [np.ones(1)], exact=np.zeros(1), exchangeable=True)


def test_rounding_of_sums_in_another_order_is_no_matter():
    """Large numbers that cancel, in single precision."""
    report = check(make(6, extra=lambda y: np.float32(COSTS[y].astype(np.float32).mean() * 0.0)))
    assert report.verdict == HOLDS


def test_nondeterministic_code_is_called_that():
    """And not one in which an order matters."""
    count = iter(range(10**9))
    with pytest.raises(NotReproducible, match="another gradient when they were repeated"):
        check(make(3, extra=lambda y: float(next(count))))


def test_that_nothing_was_exchanged_is_said():
    """Labels that are drawn one by one."""
    rng = np.random.default_rng()

    def estimate(logits):
        y = np.array([rng.choice(4, p=law(logits)) for _ in range(2)])
        return (COSTS[y][:, None] * (np.eye(4)[y] - law(logits))).mean(0)

    report = check(estimate)
    assert (report.verdict, report.paths) == (HOLDS, 16)
    assert "exchangeable=True changed nothing" in report.explain()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": True}, "batch=True does not go with exchangeable=True"),
        ({"jobs": 2}, "jobs= does not go with"),
        ({"strategy": "heaviest", "draws": 100}, "strategy='heaviest' does not go with"),
        ({"exchangeable": 1}, "exchangeable = 1, expected True or False"),
    ],
)
def test_what_does_not_go_with_it_is_refused(options, message):
    """Before anything is run."""
    with pytest.raises(TypeError, match=message):
        check(make(3), **options)
