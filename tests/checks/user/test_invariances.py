"""Sweeps that need no oracle: what they see, what they cannot, and what is no sweep at all."""

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.checks.user.invariances import check_invariances

THETA = np.array([[0.3, -1.0, 0.5], [0.1, 0.8, -0.4]])
COST = np.array([[1.0, 2.0, -3.0], [0.5, -1.5, 2.5]])


def softmax(theta):
    """Probabilities of each row."""
    weights = np.exp(theta)
    return weights / weights.sum(-1, keepdims=True)


def maker(value="held", score="right"):
    """Makes makers of score-function estimators of two sentences, right or wrong."""

    def make(cost=lambda f: f, baseline=lambda b: b, steps=0, rows=(0, 1), relabel=(0, 1, 2)):
        rng = np.random.default_rng()
        learned = 0.5 + 0.1 * steps
        names = np.asarray(relabel)

        def estimate(theta):
            p = softmax(theta)
            gradient, drawn = np.zeros_like(theta), []
            for n in rows:
                # Outcome k is called names[k] in the table that is drawn from.
                named = np.empty(3)
                named[names] = p[n]
                y = int(np.argsort(names)[rng.choice(3, p=named)])
                drawn.append((n, y, cost(COST[n, y])))
            mean = np.mean([f for _, _, f in drawn])
            for n, y, f in drawn:
                b = {"held": learned, "own": 0.3 * f, "batch": mean}[value]
                direction = np.eye(3)[y] - (p[n] if score == "right" else 0.9 * p[n])
                gradient[n] += (f - baseline(b)) * direction
            return gradient

        return estimate

    return make


def sweep(make):
    """All of them."""
    return check_invariances(make, (THETA,), sentences=2, classes=3)


def test_a_right_estimator_keeps_its_mean():
    """Whatever is changed."""
    found = sweep(maker())
    assert found.verdict == HOLDS
    assert set(found.verdicts) == {
        "baseline-shift", "baseline-none", "cost-shift", "cost-scale", "state", "sentences",
        "relabel",
    }  # fmt: skip
    assert found.not_run == ()
    assert "adding 2.71 to the cost leaves the mean" in found.explain()


@pytest.mark.parametrize(
    ("planted", "seen"),
    [
        ({"value": "own"}, {"baseline-none"}),
        ({"value": "batch"}, {"baseline-none", "sentences"}),
        (
            {"score": "off"},
            {"baseline-shift", "baseline-none", "cost-shift", "cost-scale", "state"},
        ),
    ],
    ids=["own draw in the baseline", "batch mean", "score that has a mean"],
)
def test_planted_bugs_are_seen_by_the_sweeps_that_can(planted, seen):
    """And by no others: a sweep says what it says."""
    found = sweep(maker(**planted))
    assert found.verdict == REFUTED
    assert {key for key, verdict in found.verdicts.items() if verdict == REFUTED} == seen


def test_what_a_maker_does_not_take_is_said():
    """A sweep that did not run is no sweep that holds."""

    def make(cost=lambda f: f):
        return maker()(cost=cost)

    found = sweep(make)
    assert set(found.verdicts) == {"cost-shift", "cost-scale"}
    assert set(found.not_run) == {
        "baseline-shift",
        "baseline-none",
        "state",
        "sentences",
        "relabel",
    }
    assert "not run, since the maker takes no such keyword: baseline-shift" in found.explain()


def test_nothing_to_vary_is_an_error():
    """Zero comparisons are no verdict."""
    with pytest.raises(TypeError, match="takes none of the keywords cost, baseline"):
        check_invariances(lambda: lambda: 1.0)
