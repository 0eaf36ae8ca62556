"""The gradient of an enumerated objective, by PyTorch's differentiation of all that it computes."""

import numpy as np
import pytest

from gradproof.checks.user.expected_cost import gradient_of_mean
from gradproof.estimators.backends import load
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.expectation import (
    Expectation,
    GraphLost,
    NotDifferentiable,
    ObjectiveGradient,
)
from gradproof.estimators.enumeration.run import UnsupportedDraw

pytestmark = pytest.mark.torch

#: Sums over a few paths of products of as many numbers, none of which cancels another.
ROUNDING = 1e-14


@pytest.fixture(name="torch")
def _torch():
    return load("torch").torch


@pytest.fixture(name="x")
def _x(torch):
    return torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)


def by_graph(objective, x):
    """The gradient by one pass over all paths."""
    with Enumeration(ObjectiveGradient(objective, [x], {"gradient": x})) as enumeration:
        return enumeration.moments({"gradient": np.zeros(3)}).mean()


def costs(torch, x):
    """With parameters of their own."""
    return torch.stack([x[0] ** 2, x[1] * 3.0, x.sum()])


OBJECTIVES = {
    "plain": lambda torch, x: costs(torch, x)[torch.distributions.Categorical(logits=x).sample()],
    "detached probabilities": lambda torch, x: costs(torch, x)[
        torch.multinomial(x.softmax(0).detach(), 1)[0]
    ],
    "data": lambda torch, x: costs(torch, x.data)[torch.multinomial(x.data.softmax(0), 1)[0]],
    "two without replacement": lambda torch, x: costs(torch, x)[
        torch.multinomial(x.softmax(0), 2)
    ].sum(),
    "coins": lambda torch, x: (
        torch.bernoulli(torch.sigmoid(x)) * costs(torch, x) * torch.tensor([1.0, 2.0, 4.0])
    ).sum(),
}


def brute(torch, objective, x, step=1e-5):
    """By plain central differences of the enumerated mean."""
    mean = Expectation(lambda: objective(torch, x), [], beside=(x,))
    found = np.zeros(3)
    for place in range(3):
        before, sides = x.data[place].item(), []
        for move in (step, -step):
            x.data[place] = before + move
            sides.append(mean().value)
        x.data[place] = before
        found[place] = (sides[0] - sides[1]) / (2.0 * step)
    return found


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_pass_gives_the_gradient(torch, x, name):
    """Whatever is detached on the way: the mean depends on it all."""
    objective = OBJECTIVES[name]
    found = by_graph(lambda x: objective(torch, x), x)
    # Central differences of a smooth function with a step of 1e-5: their step squared is 1e-10.
    assert found == pytest.approx(brute(torch, objective, x), abs=3e-10)


def test_what_is_computed_without_gradients_moves_too(torch, x):
    """Under no_grad, in inference mode."""

    def objective(x):
        with torch.no_grad():
            q = torch.distributions.Categorical(logits=x)
            return costs(torch, x)[q.sample()]

    def inferred(x):
        with torch.inference_mode():
            return costs(torch, x)[torch.multinomial(x.softmax(0), 1)[0]]

    plain = by_graph(lambda x: OBJECTIVES["plain"](torch, x), x)
    assert by_graph(objective, x) == pytest.approx(plain, rel=ROUNDING, abs=0.0)
    assert by_graph(inferred, x) == pytest.approx(plain, rel=ROUNDING, abs=0.0)
    assert torch.is_grad_enabled()
    assert not x.detach().requires_grad  # stop-gradients stop again


def test_what_the_graph_loses_is_found_by_differences(torch, x):
    """A cost that becomes a number of Python; probabilities that NumPy has."""
    rng = np.random.default_rng()

    def number(x):
        return costs(torch, x)[torch.multinomial(x.softmax(0), 1)[0]].item()

    def of_numpy(x):
        p = x.detach().softmax(0).numpy()
        return costs(torch, x)[int(rng.choice(3, p=p / p.sum()))]

    expected = by_graph(lambda x: OBJECTIVES["plain"](torch, x), x)
    for objective in (number, of_numpy):
        found = gradient_of_mean(objective, [x], {"gradient": x})
        assert "by differences of" in found.how
        off = np.abs(found.gradient["gradient"] - expected)
        assert (off <= found.error["gradient"]).all()
    with pytest.raises(GraphLost, match="probabilities that PyTorch does not compute"):
        by_graph(of_numpy, x)
    found = gradient_of_mean(lambda x: OBJECTIVES["plain"](torch, x), [x], {"gradient": x})
    assert "by PyTorch's differentiation" in found.how
    assert found.gradient["gradient"] == pytest.approx(expected, rel=ROUNDING, abs=0.0)


def test_many_parameters_take_one_pass(torch):
    """As many as differences would take half an hour for."""
    weight = torch.zeros(20_000, 3, dtype=torch.float64, requires_grad=True)
    features = torch.linspace(-1.0, 1.0, 20_000, dtype=torch.float64)
    cost = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)

    def objective(weight):
        return cost[torch.distributions.Categorical(logits=features @ weight).sample()]

    found = gradient_of_mean(objective, [weight], {"gradient": weight})
    q = (features @ weight).softmax(0)
    (exact,) = torch.autograd.grad(q @ cost, weight)
    # Three paths of terms below 3: where the features are near 0, their roundings are all there is.
    np.testing.assert_allclose(found.gradient["gradient"], exact, rtol=ROUNDING, atol=1e-15)


def test_what_an_objective_draws_unseen_is_named(torch, x):
    """Also where hardly any run of it shows."""

    def objective(x):
        kept = torch.ops.aten.dropout(torch.ones(1, dtype=torch.float64), 1e-9, True)
        return (x**2).sum() * kept[0]

    with pytest.raises(UnsupportedDraw, match=r"PyTorch drew by aten\.bernoulli_"):
        Expectation(objective, [x]).repeated_mean()


def test_graphs_of_before_are_neither_freed_nor_passed_by(torch, x):
    """What was made before the objective is called is found, and detached it is a constant."""
    made = x.exp()

    def passes(x):
        return (made * x).sum()

    def stops(x):
        return (made.detach() * x + made.data * x + torch.tensor(made.tolist()) * x).sum()

    def other(x):  # made of what is no parameter
        return (free * x).sum()

    free = torch.ones(3, dtype=torch.float64, requires_grad=True) * 2.0
    for objective, found in ((passes, {"gradient": None}), (stops, {}), (other, {})):
        code = ObjectiveGradient(objective, [x], {"gradient": x}, look=True)
        with Enumeration(code) as enumeration:
            mean = enumeration.moments({"gradient": np.zeros(3)}).mean()
        assert code.made_before == found
    assert mean.tolist() == [2.0] * 3
    # One of the three goes through PyTorch's numbers of single precision.
    single = 2.0**-24
    assert by_graph(stops, x) == pytest.approx(3.0 * made.detach().numpy(), rel=single, abs=0.0)
    made.sum().backward()


def test_a_kink_is_said_to_be_one(torch):
    """At the point; beside it there is a slope."""
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    objective = lambda x: (torch.relu(x) + x).sum()  # noqa: E731
    with pytest.raises(NotDifferentiable, match="slopes to the two sides are"):
        gradient_of_mean(objective, [x], {"gradient": x})
    x.data += 1e-4
    found = gradient_of_mean(objective, [x], {"gradient": x})
    assert found.gradient["gradient"].tolist() == [2.0]


def test_an_objective_may_change_its_input(torch, x):
    """It is put back after each run, and is no kink."""

    def objective(x):
        with torch.no_grad():
            x += 1.0
        return (x**2).sum()

    before = x.detach().clone()
    mean = Expectation(objective, [x])
    assert mean.repeated_mean().value == float(((before + 1.0) ** 2).sum())
    assert torch.equal(x.detach(), before)
    with pytest.raises(TypeError, match="objective = 3, expected something to call"):
        UserFunction(3, called="objective")
