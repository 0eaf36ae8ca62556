"""What is kept over the memory of a parameter is a constant, and the report says so."""

import numpy as np
import pytest

from gradproof import check_estimator

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

COSTS = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
NOTE = "The objective keeps something over the memory of gradient, as detach() makes it"


def estimate(given):
    """The score-function estimator."""
    q = torch.distributions.Categorical(logits=given)
    y = q.sample()
    return COSTS[y] * q.log_prob(y)


def said(report):
    """Whether the note is there."""
    return any(note.startswith(NOTE) for note in report.notes)


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_an_objective_that_is_refuted_by_a_constant_says_what_it_is(kind):
    """Made before it is called, it does not move when the parameter does."""
    given = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    kept = given.detach()
    kept = kept.numpy() if kind == "array" else kept

    def objective(given):
        logits = torch.as_tensor(kept)
        return COSTS[torch.distributions.Categorical(logits=logits).sample()]

    report = check_estimator(estimate, [given], objective=objective)
    assert report.verdict == "refuted"
    assert said(report)


def test_what_shares_no_memory_is_not_spoken_of():
    """A copy, and the parameter itself."""
    given = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    old = given.detach().clone()

    def objective(given_again):
        assert given_again is given
        assert old is not given
        return COSTS[torch.distributions.Categorical(logits=given).sample()]

    report = check_estimator(estimate, [given], objective=objective)
    assert report.verdict == "holds"
    assert not said(report)


def test_segments_say_it_too():
    """There it is the estimator's as well as the objective's."""
    given = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    kept = given.detach()

    def cost(given):
        return ((given + torch.randn(2, dtype=torch.float64)) ** 2).sum()

    def objective(_):
        return cost(kept)

    options = {"draws": 100, "rarest": 0.2, "progress": False}
    assert said(check_estimator(cost, [given], objective=objective, **options))
    assert not said(check_estimator(cost, [given], objective=cost, **options))


def test_arrays_of_numpy_are_moved_where_they_are():
    """What is kept over their memory moves along."""
    given = np.array([0.3, -0.7])
    kept, rng = given.view(), np.random.default_rng()

    def cost(_):
        return float((kept + rng.integers(2)).sum())

    def gradient(_):
        return np.ones(2) + 0.0 * rng.integers(2)

    report = check_estimator(gradient, [given], objective=cost)
    assert report.verdict == "holds"
    assert not said(report)
