"""An objective that is run for many paths at a time has the mean and gradient that it has alone."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.user.expected_cost import gradient_of_mean
from gradproof.estimators.enumeration import block, block_moments, path_blocks
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.expectation import Expectation, ObjectiveGradient

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

#: Sums of at most 64 products of a few numbers each, of which some cancel.
ROUNDING = 1e-13


@pytest.fixture(autouse=True)
def few_paths_too(monkeypatch):
    """Small problems are run in blocks, and rows go as many ways as they like."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)
    monkeypatch.setattr(block, "FEWEST", 0)
    monkeypatch.setattr(path_blocks, "FEWEST_RUNS", 1000)


@pytest.fixture(name="x")
def _x():
    return torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)


def costs(x):
    """With parameters of their own."""
    return torch.stack([x[0] ** 2, x[1] * 3.0, x.sum()])


def three(x):
    """Labels of a batch."""
    return costs(x)[torch.distributions.Categorical(logits=x).sample((3,))].prod()


def detached(x):
    """Probabilities out of the graph."""
    return costs(x)[torch.multinomial(x.softmax(0).detach(), 1)[0]]


def by_data(x):
    """The same, as older code does it."""
    return costs(x.data)[torch.multinomial(x.data.softmax(0), 1)[0]]


def without_gradients(x):
    """Under no_grad, and copied."""
    with torch.no_grad():
        drawn = torch.distributions.Categorical(logits=x).sample((2,))
        return torch.clone(costs(x)[drawn].sum())


def without_replacement(x):
    """Two of three."""
    return costs(x)[torch.multinomial(x.softmax(0), 2)].pow(2).sum()


def weights_of_a_row(x):
    """Tables that depend on what was drawn before."""
    first = torch.multinomial(x.softmax(0), 1)[0]
    second = torch.multinomial((x * (1.0 + first)).softmax(0), 1)[0]
    return costs(x)[first] * costs(x)[second]


def coins(x):
    """Some of which are certain."""
    ones = torch.cat([torch.sigmoid(x), torch.ones(1, dtype=x.dtype)])
    return (torch.bernoulli(ones)[:3] * costs(x)).sum() ** 2


def fixed(x):
    """Draws that no parameter moves."""
    return costs(x)[torch.randint(3, ())] * torch.randperm(3)[0]


def episode(x):
    """Its length depends on what is drawn."""
    total = x[0] * 0.0
    for _ in range(3):
        drawn = torch.multinomial(x.softmax(0), 1)[0]
        total = total + costs(x)[drawn]
        if drawn == 2:
            break
    return total


BATCHED = [
    three, detached, by_data, without_gradients, without_replacement, weights_of_a_row, coins,
    fixed, episode,
]  # fmt: skip


@pytest.mark.parametrize("objective", BATCHED, ids=lambda each: each.__name__)
def test_blocks_are_paths(objective, x):
    """Mean, size, paths, and the gradient by one pass."""
    both = [Expectation(objective, [x], batch=batch) for batch in (True, False)]
    together, alone = (mean.repeated_mean() for mean in both)
    assert [mean.in_blocks for mean in both] == [True, False]
    assert together.paths == alone.paths
    assert together.value == pytest.approx(alone.value, rel=ROUNDING, abs=ROUNDING)
    assert together.size == pytest.approx(alone.size, rel=ROUNDING, abs=0.0)
    gradients, ways = [], []
    for batch in ("auto", False):
        code = ObjectiveGradient(objective, [x], {"gradient": x})
        with Enumeration(code, batch=batch) as enumeration:
            gradients.append(enumeration.moments({"gradient": np.zeros(3)}).mean())
        ways.append(enumeration.blocks > 0)
    assert ways == [True, False]
    np.testing.assert_allclose(*gradients, rtol=ROUNDING, atol=ROUNDING)


def number(x):
    """A number of Python's, whatever was drawn."""
    return costs(x)[torch.multinomial(x.softmax(0), 1)[0]].item()


def told_apart(x):
    """It can tell how it is run, and does something else."""
    mapped = torch._C._functorch.peek_interpreter_stack() is not None
    return three(x) * (1.0 + 1e-9 * mapped)


def of_another_slope(x):
    """The same value, with another gradient."""
    mapped = torch._C._functorch.peek_interpreter_stack() is not None
    return three(x) + mapped * 1e-9 * (x - x.tolist()[0]).sum() ** 2


ALONE = [number, told_apart]


@pytest.mark.parametrize("objective", ALONE, ids=lambda each: each.__name__)
def test_what_cannot_be_run_in_blocks_is_run_path_by_path(objective, x):
    """Or comes to something else there; it is tried once."""
    mean = Expectation(objective, [x])
    found = mean.repeated_mean()
    assert not mean.in_blocks
    assert found == Expectation(objective, [x], batch=False).repeated_mean()


def test_an_objective_of_parameters_by_name():
    """A module's, and what is said is the same both ways."""
    layer = torch.nn.Linear(2, 3).double()
    given = torch.tensor([0.5, -1.0], dtype=torch.float64)
    cost = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)

    def objective():
        return cost[torch.distributions.Categorical(logits=layer(given)).sample((2,))].prod()

    def estimate(wrong=0.0):
        q = torch.distributions.Categorical(logits=layer(given))
        y = q.sample((2,))
        return cost[y].prod() * (q.log_prob(y).sum() + wrong * q.log_prob(y)[0])

    for wrong, verdict in ((0.0, "holds"), (1e-3, "refuted")):
        for batch in ("auto", False):
            report = check_estimator(
                lambda wrong=wrong: estimate(wrong), wrt=layer, objective=objective, batch=batch
            )
            assert report.verdict == verdict


def test_a_gradient_that_differs_in_blocks_is_not_used(x):
    """The slope of a run by itself is what PyTorch says of it."""
    batched = gradient_of_mean(of_another_slope, [x], {"gradient": x})
    alone = gradient_of_mean(three, [x], {"gradient": x}, batch=False)
    np.testing.assert_allclose(
        batched.gradient["gradient"], alone.gradient["gradient"], rtol=ROUNDING
    )
